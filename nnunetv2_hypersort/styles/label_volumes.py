"""Volumes of the training labels of each style: what is left to compare when the images are gone."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import mannwhitneyu

from nnunetv2_hypersort.latents import Style
from nnunetv2_hypersort.model.case_images import CaseImages, evenly_spread
from nnunetv2_hypersort.styles.wording import describe_volumes

_MOST_CASES = 40
# Different patients are compared here, so only what chance hardly gives is said.
_CHANCE = 0.01
_LEAST_RATIO = 0.05
_MOSTLY = 0.75


def label_volumes(images: CaseImages, styles: Sequence[Style]) -> dict[str, dict[str, np.ndarray]]:
    """The volumes of the training labels.

    Args:
        images: Where the labels are.
        styles: The styles; of each at most 40 cases are read.

    Returns:
        For each style that has labels, for each label the volume in ml of each case read that is annotated for it.

    Raises:
        HyperSORTError: A label cannot be read.
    """
    volumes: dict[str, dict[str, np.ndarray]] = {}
    for style in styles:
        cases = evenly_spread([case for case in style.cases if case in images.labels], _MOST_CASES)
        annotated = images.model.annotated
        maps = [(*images.label(case), annotated.targets_of(case)) for case in cases]
        if maps:
            volumes[style.name] = {
                label: np.array(
                    [np.isin(drawn, values).sum() * voxel / 1000 for drawn, voxel, known in maps if label in known]
                )
                for label, values in images.model.labels.items()
            }
    return volumes


def describe_label_volumes(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> str:
    """Compare the labels of two styles, which are of different patients, in words.

    Args:
        ours: For each label the volumes of this style.
        theirs: For each label those of the other style.
    """
    # A label that no case of a style is annotated for says nothing of the style.
    ours = {label: volumes for label, volumes in ours.items() if len(volumes) and len(theirs[label])}
    drawn = {label: [float((volumes > 0).mean()) for volumes in (ours[label], theirs[label])] for label in ours}
    left_out = [label for label, (here, there) in drawn.items() if here <= 1 - _MOSTLY and there >= _MOSTLY]
    added = [label for label, (here, there) in drawn.items() if there <= 1 - _MOSTLY and here >= _MOSTLY]
    ratios = {}
    for label in ours:
        medians = [float(np.median(volumes)) for volumes in (ours[label], theirs[label])]
        if label in (*left_out, *added) or not all(medians):
            continue
        by_chance = mannwhitneyu(ours[label], theirs[label]).pvalue
        if by_chance < _CHANCE and abs(medians[0] / medians[1] - 1) >= _LEAST_RATIO:
            ratios[label] = medians[0] / medians[1]
    return describe_volumes(left_out, added, ratios)
