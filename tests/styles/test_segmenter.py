"""Segmentation with any latent equals nnU-Net's prediction."""

import json

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder, load_preprocessed, preprocess_files
from nnunetv2_hypersort.prediction import latent_for_prediction

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.fixture
def image_file(preprocessed):
    (image,) = (preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs").glob("*.nii.gz")
    return image


def voxels(image) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(image)


@pytest.mark.parametrize("device", DEVICES)
def test_it_gives_what_nnunets_predictor_gives(trained_model, image_file, tmp_path, device):
    model = ModelFolder.open(trained_model)
    segmenter = FoldSegmenter(model, 0, device)
    image = preprocess_files(model.planned, [image_file])
    segmentations = []
    for case in ("phantom_004", "phantom_007"):
        out = tmp_path / case
        with latent_for_prediction(f"case:{case}"):
            predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(trained_model), (0,))
            predictor.predict_from_files_sequential([[str(image_file)]], [str(out)])
        segmentations.append(segmenter.segment_image(image, model.fold(0).record.latent_of(case)))
        segmenter.write_segmentation(segmentations[-1], image, tmp_path / "mine.nii.gz")
        expected, written = (SimpleITK.ReadImage(str(path)) for path in (f"{out}.nii.gz", tmp_path / "mine.nii.gz"))
        np.testing.assert_array_equal(voxels(written), voxels(expected))
        assert written.GetPixelID() == expected.GetPixelID()
        for what in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(written, what)() == getattr(expected, what)()
    assert not np.array_equal(*segmentations), "the two latents differ too little for this test"


def test_the_command_line_gives_the_same(styled_model, image_file, tmp_path):
    arguments = ["-m", str(styled_model), "-i", str(image_file.parent), "-f", "0", "-device", "cpu"]
    threads = torch.get_num_threads()
    try:
        status = main(["predict", *arguments, "-o", str(tmp_path), "--latent", "style:B", "-npp", "1", "-nps", "1"])
    finally:
        torch.set_num_threads(threads)  # nnU-Net's command takes all
    assert status == 0
    model = ModelFolder.open(styled_model, folds=[0])
    latent = model.book.find("B").folds["0"].coordinates
    segmentation = FoldSegmenter(model, "0").segment_images([image_file], latent)
    predicted = tmp_path / image_file.name.replace("_0000", "")
    np.testing.assert_array_equal(segmentation, voxels(SimpleITK.ReadImage(str(predicted))))
    account = json.loads((tmp_path / "plans.json").read_text())["hypersort"]["prediction"]
    assert account["latent"] == "style:B"
    (stated,) = account["folds"].values()
    assert (stated["coordinates"], stated["origin"]) == (list(latent), "style B (case phantom_006)")


def test_logits_are_those_of_the_predictor_with_mirroring(trained_model, monkeypatch):
    model = ModelFolder.open(trained_model)
    fold = model.fold(1)
    latent = fold.record.latent_of("phantom_003")
    data = load_preprocessed(model, "phantom_000").data
    monkeypatch.setenv("HYPERSORT_LATENT", "case:phantom_003")
    expected = {}
    for mirroring in (True, False):
        predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=mirroring, allow_tqdm=False)
        network = model.planned.build_predicting_network()
        network.load_state_dict(torch.load(fold.checkpoint, weights_only=False)["network_weights"])
        predictor.manual_initialization(
            network,
            model.planned.plans_manager,
            model.planned.configuration_manager,
            None,
            model.dataset_json,
            "HyperSORTTrainer",
            fold.mirror_axes,
        )
        expected[mirroring] = predictor.predict_sliding_window_return_logits(torch.from_numpy(data))
    logits = FoldSegmenter(model, fold).logits(data, latent)
    assert logits.shape == (2, *data.shape[1:])
    assert torch.equal(logits, expected[True])
    assert not torch.equal(logits, expected[False])


def test_a_training_case_is_segmented_on_its_preprocessed_grid(trained_model):
    model = ModelFolder.open(trained_model)
    segmenter = FoldSegmenter(model, "0")
    image = load_preprocessed(model, "phantom_001")
    latent = model.fold(0).record.latent_of("phantom_004")
    segmentation = segmenter.segment_preprocessed("phantom_001", latent)
    assert segmentation.shape == image.segmentation.shape == image.data.shape[1:]
    np.testing.assert_array_equal(segmentation, segmenter.logits(image, latent).argmax(0).numpy())


def test_segmenting_leaves_the_network_as_it_was(trained_model):
    model = ModelFolder.open(trained_model)
    segmenter = FoldSegmenter(model, 0)
    before = {name: value.clone() for name, value in segmenter.hypernetwork.state_dict().items()}
    segmenter.segment_preprocessed("phantom_001", model.fold(0).record.latent_of("phantom_004"))
    for name, value in segmenter.hypernetwork.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_latent_of_another_dimension_is_refused(trained_model):
    segmenter = FoldSegmenter(ModelFolder.open(trained_model), 0)
    with pytest.raises(HyperSORTError, match=r"shape \(3,\) was given, but the latents of this model have 2 coord"):
        segmenter.logits(np.zeros((1, 16, 24, 24), np.float32), [0.0, 1.0, 2.0])


def test_the_second_stage_of_a_cascade_is_refused(trained_model):
    model = ModelFolder.open(trained_model)
    model.planned.configuration_manager.configuration["previous_stage"] = "3d_lowres"
    with pytest.raises(HyperSORTError, match="second stage of a cascade"):
        FoldSegmenter(model, 0)
