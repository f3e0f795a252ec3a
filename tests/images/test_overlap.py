"""Dice of a segmentation with a label map."""

import math

import numpy as np

from nnunetv2_hypersort.images.label_comparison import dice_per_label, mean_dice

REFERENCE = np.array([[1, 1, 2, 2], [0, 0, 3, 3]])
SEGMENTATION = np.array([[1, 0, 2, 2], [0, 0, 0, 1]])


def test_dice_by_hand():
    dice = dice_per_label(SEGMENTATION, REFERENCE, {"one": 1, "two": 2, "three": 3, "both": (1, 2), "none": 7})
    assert {name: dice[name] for name in ("one", "two", "three")} == {"one": 0.5, "two": 1.0, "three": 0.0}
    assert dice["both"] == 2 * 3 / (4 + 4)
    assert math.isnan(dice["none"])
    assert mean_dice({name: dice[name] for name in ("one", "two", "none")}) == 0.75
    assert math.isnan(mean_dice({"none": dice["none"]}))


def test_ignored_voxels_do_not_count():
    dice = dice_per_label(SEGMENTATION, REFERENCE, {"one": 1, "two": 2}, ignore_label=3)
    assert dice["one"] == 2 * 1 / (2 + 1)  # the false voxel under a 3 is gone
    assert dice["two"] == 1
