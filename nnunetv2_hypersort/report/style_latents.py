"""The latent that a case's label is compared with: that of the style nearest to it."""

from collections.abc import Sequence

import numpy as np

from nnunetv2_hypersort.model import TrainedFold
from nnunetv2_hypersort.report.content import ShownStyle


def nearest_style_latent(fold: TrainedFold, case_id: str, styles: Sequence[ShownStyle]) -> np.ndarray:
    """The latent of the style that a case is drawn in, or would be if it were not an error.

    Args:
        fold: The fold that segments.
        case_id: A training case of the model.
        styles: The styles, largest first.

    Returns:
        Shape (dim,): among the styles of this fold the one nearest to the latent of the case; for a case that this
        fold did not train on, the style that lists it, or the largest; without styles the mode of the fold.
    """
    here = [style for style in styles if fold.name in style.folds and not style.fitted]
    if not here:
        return fold.record.mode()[1]
    latents = np.array([style.folds[fold.name].coordinates for style in here])
    if case_id in fold.record.rows:
        row = int(np.argmin(np.linalg.norm(latents - fold.record.latent_of(case_id), axis=1)))
    else:
        row = next((row for row, style in enumerate(here) if case_id in style.cases), 0)
    nearest: np.ndarray = latents[row]
    return nearest
