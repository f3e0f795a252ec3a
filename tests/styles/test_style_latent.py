"""The latent of a style: the medoid's, unless its network draws what the style leaves out."""

from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage
from nnunetv2_hypersort.styles import style_latent as module
from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.style_latent import style_latent

# Two clusters on a line: the first four cases around 0, the others around 10.
PLACES = [0.0, -1, 1, 2, 10, 9, 11, 10]


@pytest.fixture
def setting(trained_model, monkeypatch):
    """A fold with latents on a line, and a network that draws voxels until a latent is far enough from 10."""
    model = ModelFolder.open(trained_model, folds=[0])
    (fold,) = model.folds
    cases = fold.record.case_ids[: len(PLACES)]
    latents = np.stack([PLACES, np.zeros(len(PLACES))], axis=1)
    fold = replace(fold, record=replace(fold.record, case_ids=cases, latents=latents))
    clusters = FoldClusters("0", {case: row // 4 for row, case in enumerate(cases)}, (cases[0], cases[4]))
    looked_at: list[float] = []

    def set_up(*, labelled: int, stray_above: float, labelled_elsewhere: int = 4):
        """Labels have so many voxels; the network draws them, and a stray one where latents are above a place."""

        def load(_model, case):
            label = np.zeros((4, 4, 4), np.int16)
            label[0, 0, : labelled if case in cases[:4] else labelled_elsewhere] = 1
            return PreprocessedImage(np.zeros((1, 4, 4, 4), np.float32), label, {})

        class Network:
            def __init__(self, model, fold, device):
                assert fold.mirror_axes is None
                self.model = model

            def segment_preprocessed(self, image, latent):
                looked_at.append(float(latent[0]))
                drawn = image.segmentation.copy()
                drawn[3, 3, 3] = latent[0] > stray_above
                return drawn

        monkeypatch.setattr(module, "load_preprocessed", load)
        monkeypatch.setattr(module, "FoldSegmenter", Network)
        return model, fold, clusters

    return set_up, looked_at


def test_a_style_that_leaves_nothing_out_is_its_medoid_and_nothing_is_segmented(setting):
    set_up, looked_at = setting
    np.testing.assert_array_equal(style_latent(*set_up(labelled=4, stray_above=-99), 0), [0, 0])
    assert looked_at == []


def test_what_a_style_leaves_out_moves_its_latent_away_from_the_others(setting):
    set_up, looked_at = setting
    # The others' mean is 10, so a share of 0.2 of the way is the place -2.
    np.testing.assert_allclose(style_latent(*set_up(labelled=0, stray_above=-2), 0, cases=2), [-2, 0])
    assert sorted(set(looked_at)) == [-5, -4, -3, -2.5, -2, -1.5, -1, 0]
    assert len(looked_at) == 2 * 8


def test_a_label_that_is_rare_everywhere_is_no_matter_of_style(setting):
    set_up, looked_at = setting
    rare = set_up(labelled=0, stray_above=-2, labelled_elsewhere=0)
    np.testing.assert_array_equal(style_latent(*rare, 0), [0, 0])
    assert looked_at == []


def test_the_medoid_stays_where_it_leaves_out_enough_or_nothing_else_is_better(setting):
    set_up, looked_at = setting
    np.testing.assert_array_equal(style_latent(*set_up(labelled=0, stray_above=1), 0), [0, 0])
    assert set(looked_at) == {0}
    np.testing.assert_array_equal(style_latent(*set_up(labelled=0, stray_above=-99), 0), [0, 0])
    assert min(looked_at) == -5


def test_without_other_styles_cases_or_data_it_is_the_medoid(setting, monkeypatch):
    set_up, looked_at = setting
    model, fold, clusters = set_up(labelled=0, stray_above=-2)
    alone = replace(clusters, clusters={case: min(number, 0) for case, number in clusters.clusters.items()})
    np.testing.assert_array_equal(style_latent(model, fold, alone, 0), [0, 0])
    np.testing.assert_array_equal(style_latent(model, fold, clusters, 0, cases=0), [0, 0])
    monkeypatch.undo()
    monkeypatch.setenv("nnUNet_preprocessed", "/nowhere")
    np.testing.assert_array_equal(style_latent(model, fold, clusters, 0), [0, 0])
    assert looked_at == []
