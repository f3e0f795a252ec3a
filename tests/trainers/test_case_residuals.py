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
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.hypersort import latent_training
from nnunetv2_hypersort.trainers.hypersort.case_residuals import residuals_of_cases

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


class Watched(HyperSORTTrainer):
    """Notes a weight after each step, and the one that the look at all cases is taken with."""

    def on_train_start(self) -> None:
        super().on_train_start()
        self.weights: list[float] = []
        self.looked_with: float | None = None

    def _gather_gradients(self, rows, offsets):
        self.weights.append(next(self.hypernetwork.primary.parameters()).flatten()[0].item())
        super()._gather_gradients(rows, offsets)


Watched.__name__ = "HyperSORTTrainer"


def test_all_cases_are_looked_at_with_the_mean_of_the_weights_over_the_last_epoch(make_trainer, monkeypatch):
    # Five epochs of four steps: 40 % are the first two.
    config = "training: {num_epochs: 5, num_iterations_per_epoch: 4, num_val_iterations_per_epoch: 1, seed: 3}"
    trainer = make_trainer(config, kind=Watched)

    def look(trainer, network, cases):
        trainer.looked_with = next(network.parameters()).flatten()[0].item()
        return residuals_of_cases(trainer, network, cases)

    monkeypatch.setattr(latent_training, "residuals_of_cases", look)
    trainer.run_training()
    assert len(trainer.weights) == 8
    assert len(set(trainer.weights[4:])) > 1
    assert trainer.looked_with == pytest.approx(np.mean(trainer.weights[4:]), rel=1e-5)
    # The training goes on with its own weights.
    assert not trainer.hypernetwork.case_gradients.gathering
