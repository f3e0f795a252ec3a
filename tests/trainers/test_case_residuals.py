"""One look at all training cases, with a network whose segmentation is known."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from torch import nn

from nnunetv2_hypersort.images.label_residuals import FEATURES, label_residuals
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.hypersort.case_residuals import WeightAverage, residuals_of_cases

LABELS = {"background": 0, "liver": 1, "tumour": 2}


class Threshold(nn.Module):
    """Segments as liver what is brighter than one half."""

    def forward(self, x):
        return [torch.cat([1 - x, x, torch.zeros_like(x) - 9], 1) - 0.5, None]


def image(low: int, high: int) -> np.ndarray:
    data = np.zeros((1, 6, 10, 12), np.float32)
    data[0, 1:5, low:high, 3:9] = 1
    return data


def trainer(cases: dict[str, tuple[np.ndarray, np.ndarray]], annotated: dict | None = None, patch=(6, 10, 12)):
    content = {"labels": LABELS, "file_ending": ".nii.gz", **({"annotated_labels": annotated} if annotated else {})}

    class Dataset:
        def __init__(self, folder, identifiers, folder_with_segs_from_previous_stage=None):
            assert set(identifiers) <= set(cases)

        def load_case(self, case):
            data, label = cases[case]
            return data, label[None], None, {}

    annotation = None
    if annotated:
        annotation = BatchAnnotation(AnnotatedLabels.from_dataset_json(content, "dataset.json", cases=set(cases)))
    return SimpleNamespace(
        dataset_json=content,
        dataset_class=Dataset,
        preprocessed_dataset_folder="",
        folder_with_segs_from_previous_stage=None,
        is_ddp=False,
        device=torch.device("cpu"),
        annotation=annotation,
        label_manager=LabelManager(LABELS, None),
        configuration_manager=SimpleNamespace(patch_size=list(patch), spacing=[2.0, 1.0, 1.0]),
        _autocast=nullcontext,
    )


@pytest.fixture
def cases():
    larger = image(2, 8)[0].astype(np.int16)
    same = image(3, 7)[0].astype(np.int16)
    return {"a": (image(3, 7), larger), "b": (image(3, 7), same), "c": (image(2, 7), larger)}


@pytest.mark.parametrize("patch", [(6, 10, 12), (6, 8, 8)], ids=["whole", "patches"])
def test_labels_are_compared_with_what_the_network_segments(cases, patch):
    found = residuals_of_cases(trainer(cases, patch=patch), Threshold(), list(cases))
    structures = {"liver": 1, "tumour": 2}
    for row, (data, label) in enumerate(cases.values()):
        segmented = (data[0] > 0.5).astype(np.int16)
        expected = label_residuals(label, segmented, [2.0, 1.0, 1.0], structures)
        np.testing.assert_allclose(found.values[row], list(expected.values()))
        np.testing.assert_allclose(found.sizes[row], np.log([segmented.sum() + 1, 1]))
    # Four rows more on either side of a liver of four, and none at all in the second case.
    assert found.values[0, FEATURES.index("log_volume_ratio")] == pytest.approx(np.log(145 / 97))
    assert not found.values[1].any()


def test_annotations_of_one_image_are_recognised(cases):
    first, second, third = residuals_of_cases(trainer(cases), Threshold(), list(cases)).images.tolist()
    assert first == second != third


def test_what_a_case_is_not_annotated_for_is_unknown(cases):
    found = residuals_of_cases(trainer(cases, annotated={"a": ["liver"]}), Threshold(), list(cases))
    unknown = np.isnan(found.values)
    assert unknown[0, len(FEATURES) :].all()
    assert not unknown[0, : len(FEATURES)].any()
    assert not unknown[1:].any()


def test_the_mean_of_weights_over_steps_is_in_place_and_goes_again():
    network = nn.Linear(1, 1, bias=False)
    values = [1.0, 2.0, 6.0]
    with torch.no_grad():
        network.weight.fill_(values[0])
        average = WeightAverage(network)
        for value in values[1:]:
            network.weight.fill_(value)
            average.add()
    with average.in_place():
        assert network.weight.item() == pytest.approx(3)
    assert network.weight.item() == 6
