"""Slices of the report: orientation, contours and the choice of the slice, against answers found by hand."""

import io
import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from nnunetv2_hypersort.model import PreprocessedImage
from nnunetv2_hypersort.report.slices import (
    CutOut,
    SliceView,
    label_fields,
    prediction_fields,
    worst_slice,
)


def view(direction: list[float], transpose_forward: tuple[int, ...], spacing: tuple[float, ...]) -> SliceView:
    properties = {"sitk_stuff": {"direction": direction, "spacing": (1.0, 1.0, 1.0)}}
    planned = SimpleNamespace(
        configuration_manager=SimpleNamespace(spacing=spacing),
        plans_manager=SimpleNamespace(transpose_forward=transpose_forward),
    )
    return SliceView.of(PreprocessedImage(np.zeros((1, 2, 2, 2)), None, properties), cast(Any, planned))


LPS = [1, 0, 0, 0, 1, 0, 0, 0, 1]
RAS = [-1, 0, 0, 0, -1, 0, 0, 0, 1]
STORED = np.array([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("direction", "transpose_forward", "shown"),
    [
        # Axial: rows run to the back, columns to the left of the patient, who looks at the reader.
        (LPS, (0, 1, 2), [[1, 2], [3, 4]]),
        (RAS, (0, 1, 2), [[4, 3], [2, 1]]),
        # Sagittal: rows run upwards and are turned over, columns to the back.
        (LPS, (2, 0, 1), [[3, 4], [1, 2]]),
        # The same with rows to the back and columns upwards.
        (LPS, (2, 1, 0), [[2, 4], [1, 3]]),
    ],
)
def test_slices_are_shown_as_radiologists_look_at_them(
    direction: list[float], transpose_forward: tuple[int, ...], shown: list[list[int]]
) -> None:
    assert view(direction, transpose_forward, (3.0, 2.0, 1.0)).apply(STORED).tolist() == shown


def test_spacing_follows_rows_and_columns() -> None:
    assert view(LPS, (0, 1, 2), (3.0, 2.0, 1.0)).spacing == (2.0, 1.0)
    assert view(LPS, (2, 1, 0), (3.0, 2.0, 1.0)).spacing == (1.0, 2.0)


def test_a_contour_runs_along_the_faces_of_the_voxels() -> None:
    label = np.zeros((10, 20), int)
    label[2:6, 5:15] = 1
    # Voxels of 2 x 1 mm in a slice of 20 x 20 mm, drawn with 1000 units: 50 per millimetre.
    path = CutOut((0, 10), (0, 20), (2.0, 1.0)).path(label_fields(label, [1]))
    points = np.array([[int(value) for value in pair.split(",")] for pair in re.findall(r"\d+,\d+", path)])
    assert points.min(0).tolist() == [250, 200]
    assert points.max(0).tolist() == [750, 600]
    assert path.startswith("M")
    assert path.count("M") == path.count("Z") == 1


def test_a_region_is_outlined_as_one() -> None:
    label = np.zeros((8, 8), int)
    label[2:4, 2:6], label[4:6, 2:6] = 1, 2
    cut = CutOut((0, 8), (0, 8), (1.0, 1.0))
    assert cut.path(label_fields(label, [(1, 2)])).count("M") == 1
    assert cut.path(label_fields(label, [1, 2])).count("M") == 2


def test_predicted_fields_are_positive_where_the_class_wins() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 6, 6))
    fields = prediction_fields(logits, has_regions=False)
    for label, field in enumerate(fields, start=1):
        np.testing.assert_array_equal(field > 0, logits.argmax(0) == label)


def test_a_picture_shows_millimetres_square() -> None:
    cut = CutOut.around(np.ones((400, 100), bool), (1.0, 2.0))
    assert cut.size == (500, 1000)
    assert Image.open(io.BytesIO(cut.encode(np.random.default_rng(0).normal(size=(400, 100))))).size == (88, 176)


def test_a_cut_out_holds_all_foreground_and_stays_in_the_slice() -> None:
    inside = np.zeros((300, 300), bool)
    inside[0:10, 250:290] = True
    cut = CutOut.around(inside, (1.0, 1.0))
    # 1.6 times 40 mm, moved in from the edge.
    assert cut.rows == (0, 64)
    assert cut.columns == (236, 300)


def test_the_worst_slice_is_where_label_and_prediction_differ_most() -> None:
    label, prediction = np.zeros((4, 5, 5), int), np.zeros((4, 5, 5), int)
    label[0, :2] = 1  # 10 voxels that are missed
    prediction[2, :3] = 1  # 15 that are added
    assert worst_slice(label, prediction, None) == 2
    # Where the truth is unknown nothing can be wrong.
    label[2] = 9
    assert worst_slice(label, prediction, 9) == 0
    # nnU-Net's -1 outside the body is background.
    assert worst_slice(np.full((4, 5, 5), -1), np.zeros((4, 5, 5), int), None) == 2


def test_without_a_prediction_the_slice_with_most_foreground_is_shown() -> None:
    label = np.zeros((4, 5, 5), int)
    label[1, 0] = label[3, :2] = 1
    assert worst_slice(label, None, None) == 3
    assert worst_slice(np.zeros((4, 5, 5), int), None, None) == 2
