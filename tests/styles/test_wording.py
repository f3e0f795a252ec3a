"""Words for differences between styles, from segmentations that differ in a known way."""

import json
import re

import numpy as np
import pytest

from nnunetv2_hypersort.styles.style_contrast import Segmented, contrast_styles
from nnunetv2_hypersort.styles.wording import describe_contrast

LABELS = {"head": 1, "tail": 2}
RAS = ("R", "A", "S")


def box(head: slice, tail: slice, *, grown: int = 0, shift: int = 0) -> np.ndarray:
    """Two labels behind each other, 12 x 12 voxels across."""
    labels = np.zeros((40, 60, 40), np.int16)
    inner = slice(14 - grown + shift, 26 + grown + shift)
    labels[inner, head, 14 - grown : 26 + grown] = 1
    labels[inner, tail, 14 - grown : 26 + grown] = 2
    return labels


def words(ours, theirs, *, spacing=(1.0, 1.0, 1.0), codes=RAS, labels=LABELS, unit="mm") -> str:
    maps = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)] * 4
    cases = [Segmented({"a": one, "b": two}, spacing, codes) for one, two in maps]
    return describe_contrast(contrast_styles("a", "b", cases, labels), unit)


DRAWN = box(slice(30, 44), slice(14, 30))


def test_the_same_styles_do_not_differ():
    assert words(DRAWN, DRAWN) == "no clear difference"


def test_a_label_left_out_is_named_and_the_rest_compared():
    head_only = np.where(DRAWN == 1, DRAWN, 0)
    assert words(head_only, DRAWN) == "leaves out tail"
    assert words(DRAWN, head_only) == "also segments tail"
    larger = np.where(box(slice(30, 44), slice(14, 30), grown=1) == 1, 1, 0)
    # 14 x 14 instead of 12 x 12 voxels across.
    assert words(larger, DRAWN).startswith("leaves out tail; the rest: 36 % more volume, border 0.")


def ball(radius: float) -> np.ndarray:
    centred = np.meshgrid(*[np.arange(41.0) - 20] * 3, indexing="ij")
    return (sum(axis**2 for axis in centred) <= radius**2).astype(np.int16)


def test_volume_and_border():
    # (11 / 9)³ = 1.83, and two voxels of 1.5 mm.
    options = {"spacing": (1.5, 1.5, 1.5), "labels": {"organ": 1}}
    larger, smaller = words(ball(11), ball(9), **options), words(ball(9), ball(11), **options)
    said = [
        re.fullmatch(r"(\d+) % (more|less) volume, border (\d\.\d) mm further (out|in)", one)
        for one in (larger, smaller)
    ]
    assert [float(one[1]) for one in said] == pytest.approx([83, 45], abs=3)
    assert [float(one[3]) for one in said] == pytest.approx([3, 3], abs=0.2)
    assert [(one[2], one[4]) for one in said] == [("more", "out"), ("less", "in")]
    assert words(ball(16), ball(11), labels={"organ": 1}).startswith("3.1 times the volume, border ")
    assert words(ball(11), ball(9), codes=None, labels={"organ": 1}, unit="pixels").endswith(" pixels further out")


def test_a_moved_border_between_two_labels_is_told_by_label():
    # 18 and 12 instead of 14 and 16 slices; together nothing changes.
    said = words(box(slice(26, 44), slice(14, 26)), DRAWN).split("; ")
    assert said[0].startswith("tail: 25 % less volume, border ")
    assert said[0].endswith(" further in")
    assert said[1].startswith("head: 29 % more volume, border ")


def test_an_end_and_a_shift():
    shorter = box(slice(30, 44), slice(24, 30))
    assert "reaches 10 mm less far posterior" in words(shorter, DRAWN)
    assert words(box(slice(30, 44), slice(14, 30), shift=4), DRAWN) == "lies 4.0 mm further right"
    assert words(DRAWN, box(slice(30, 44), slice(14, 30), shift=4)) == "lies 4.0 mm further left"
    assert words(box(slice(30, 44), slice(14, 30), shift=4), DRAWN, codes=None) == "no clear difference"


def test_what_the_cases_do_not_agree_on_is_not_said():
    moved = [box(slice(30, 44), slice(14, 30), shift=shift) for shift in (4, -4, 4, -4, 4)]
    assert words(moved, [DRAWN] * 5) == "no clear difference"


def test_regions_may_overlap():
    assert words(np.where(DRAWN == 1, DRAWN, 0), DRAWN, labels={"whole": (1, 2), "core": 1}).startswith("53 % less vol")


def test_nothing_segmented():
    assert words(np.zeros_like(DRAWN), DRAWN).startswith("cannot be told")


def test_the_numbers_are_kept():
    cases = [Segmented({"a": np.zeros_like(DRAWN), "b": DRAWN}, (1.0, 1.0, 1.0), RAS)]
    content = contrast_styles("a", "b", cases, LABELS).to_json()
    assert content["leaves_out"] == ["head", "tail"]
    assert content["cases"] == 0
    assert json.loads(json.dumps(content, allow_nan=False)) == content
