"""cleanlab's label quality score of a label map, for volumes."""

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError


def softmin_score(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Score the labels of one case with `cleanlab.segmentation.rank.get_label_quality_scores`, method softmin.

    cleanlab takes 2-D images of one size. Its score pools the voxels of an image whatever their place, so a volume is
    handed over as one tall image, its slices below each other, and each case by itself.

    Args:
        labels: Shape (Z, Y, X), values 0 to K - 1.
        probabilities: Shape (K, Z, Y, X): probability of each label from a network that did not train on the case.

    Returns:
        The score in [0, 1], lower = worse: the mean of the probabilities p of the given labels, weighted by
        softmax((1 - p) / 0.1) over the voxels (Lad and Mueller, arXiv 2307.05080).

    Raises:
        HyperSORTError: cleanlab is not installed.
    """
    try:
        from cleanlab.segmentation.rank import get_label_quality_scores
    except ImportError:
        raise HyperSORTError("The softmin baseline needs cleanlab: pip install '.[benchmarks]'.") from None
    width = labels.shape[-1]
    scores, _ = get_label_quality_scores(
        labels.reshape(1, -1, width).astype(np.int64),
        probabilities.reshape(1, len(probabilities), -1, width),
        method="softmin",
        # For another method, but without a number cleanlab goes and counts the cores.
        n_jobs=1,
        batch_size=1,
        verbose=False,
    )
    return float(scores[0])
