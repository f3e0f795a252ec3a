"""A model that version 0.1 trained opens and predicts what version 0.1 predicted with it.

`tests/data/model_of_version_0_1`: one fold on generated balls (tests/modes/tiny_datasets.py), 150 steps with latents
that start far apart; and the segmentation of one image at three latents, as nnUNetv2_predict of that version wrote it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder
from nnunetv2_hypersort.prediction import latent_for_prediction, predict_from_model_folder

MODEL = Path(__file__).parents[1] / "data" / "model_of_version_0_1"
LATENTS = {"mode": "mode", "case": "case:case_2", "coordinates": "0.75,-1.25"}


def voxels(path):
    return SimpleITKIO().read_seg(str(path))[0][0]


@pytest.mark.parametrize("kind", LATENTS)
def test_each_way_to_predict_gives_the_same_segmentation(tmp_path, kind):
    expected = voxels(MODEL / "expected" / f"{kind}.nii.gz")
    assert len(np.unique(expected)) > 1
    image = [str(MODEL / "case_0_0000.nii.gz")]
    options = {"num_processes_preprocessing": 0, "num_processes_segmentation_export": 0, "device": "cpu"}
    (latent,) = predict_from_model_folder(MODEL, [image], tmp_path / "ours", latent=LATENTS[kind], **options)
    np.testing.assert_array_equal(voxels(tmp_path / "ours" / "case_0.nii.gz"), expected)

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    (tmp_path / "nnunet").mkdir()
    with latent_for_prediction(LATENTS[kind]):
        predictor.initialize_from_trained_model_folder(str(MODEL), (0,))
        predictor.predict_from_files_sequential([image], [str(tmp_path / "nnunet" / "case_0")])
    np.testing.assert_array_equal(voxels(tmp_path / "nnunet" / "case_0.nii.gz"), expected)

    segmenter = FoldSegmenter(ModelFolder.open(MODEL), 0)
    np.testing.assert_array_equal(segmenter.segment_images(image, latent.coordinates), expected)


def test_the_three_segmentations_differ():
    shown = [voxels(MODEL / "expected" / f"{kind}.nii.gz") for kind in LATENTS]
    assert all((one != other).any() for one, other in ((shown[0], shown[1]), (shown[1], shown[2])))


def test_a_prediction_that_version_0_1_began_is_continued_where_latents_agree(tmp_path, capsys):
    output, images = tmp_path / "out", tmp_path / "in"
    images.mkdir()
    output.mkdir()
    shutil.copy(MODEL / "case_0_0000.nii.gz", images)
    shutil.copy(MODEL / "expected" / "coordinates.nii.gz", output / "case_0.nii.gz")
    plans = json.loads((MODEL / "plans.json").read_text())
    folds = {"0": {"coordinates": [0.75, -1.25], "origin": "coordinates as given"}}
    plans["hypersort"]["prediction"] = {"latent": "0.75,-1.25", "folds": folds}
    (output / "plans.json").write_text(json.dumps(plans))
    predict_from_model_folder(
        MODEL,
        images,
        output,
        latent=LATENTS["coordinates"],
        continue_prediction=True,
        num_processes_preprocessing=0,
        num_processes_segmentation_export=0,
        device="cpu",
    )
    assert "a former version" in capsys.readouterr().out
    account = json.loads((output / "plans.json").read_text())["hypersort"]["prediction"]
    assert account["version"] == 2
