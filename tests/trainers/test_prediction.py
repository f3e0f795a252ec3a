"""Prediction through nnU-Net's predictor with models of two tiny folds."""

import copy
import json
import multiprocessing
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from nnunetv2.inference import predict_from_raw_data
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.nnunet import checkpoints, insides
from nnunetv2_hypersort.prediction import latent_for_prediction, predict_from_model_folder, predicting_model

ONE_PROCESS = {"num_processes_preprocessing": 1, "num_processes_segmentation_export": 1, "device": "cpu"}
HERE = {"num_processes_preprocessing": 0, "num_processes_segmentation_export": 0, "device": "cpu"}
CASE = "phantom_004"


@pytest.fixture
def images(preprocessed):
    return preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs"


@pytest.fixture
def files(images):
    """The same as a list: for a folder nnU-Net starts twelve processes to look into it."""
    return [[str(images / "phantom_test_00_0000.nii.gz")]]


def opened(model, latent, folds=(0, 1)):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, tile_step_size=1)
    with latent_for_prediction(latent):
        predictor.initialize_from_trained_model_folder(str(model), folds)
    return predictor


@pytest.fixture
def data():
    return torch.from_numpy(np.random.default_rng(3).normal(size=(1, 16, 30, 24)).astype(np.float32))


@pytest.fixture
def plain(trained_model, data):
    """Plain nnU-Net's predictor with the weights that the training networks generate at a case, and its logits."""
    model = ModelFolder.open(trained_model)
    planned, states = model.planned, []
    for fold in model.folds:
        network = fold.network()
        with network.materialised(torch.as_tensor(fold.record.latent_of(CASE), dtype=torch.float32)):
            states.append(copy.deepcopy(network.primary.state_dict()))
    network = nnUNetTrainer.build_network_architecture(
        planned.plans_manager, planned.configuration_manager, 1, 2, False
    )
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, tile_step_size=1)
    predictor.manual_initialization(
        network, planned.plans_manager, planned.configuration_manager, states, model.dataset_json, "x", (0, 1, 2)
    )
    return predictor


def logits_elsewhere(predictor, data, queue):
    """In a process that was started afresh."""
    torch.set_num_threads(1)
    queue.put(predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).numpy())


def test_a_predictor_is_plain_nnunets_however_it_is_passed_on(trained_model, plain, data, tmp_path, monkeypatch):
    expected = plain.predict_logits_from_preprocessed_data(data)
    predictor = opened(trained_model, f"case:{CASE}")

    def same(other):
        return torch.equal(other.predict_logits_from_preprocessed_data(data), expected)

    assert type(predictor.network) is type(plain.network)
    assert same(predictor)
    assert same(copy.deepcopy(predictor))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=logits_elsewhere, args=(predictor, data.numpy(), queue))
    process.start()
    elsewhere = queue.get(timeout=300)
    process.join()
    assert np.array_equal(elsewhere, expected.numpy())

    torch.save(predictor.list_of_parameters, tmp_path / "parameters.pth")
    predictor.list_of_parameters = torch.load(tmp_path / "parameters.pth", weights_only=True)
    assert same(predictor)
    read = [
        torch.load(trained_model / f"fold_{fold}" / "checkpoint_final.pth", weights_only=False)["network_weights"]
        for fold in (0, 1)
    ]
    predictor.list_of_parameters = read
    with pytest.raises(
        HyperSORTError, match=f"built to predict with the latent case:{CASE}, and HYPERSORT_LATENT says"
    ):
        same(predictor)
    monkeypatch.setenv("HYPERSORT_LATENT", f"case:{CASE}")
    assert same(predictor)
    assert same(copy.deepcopy(predictor))

    predictor.network.load_state_dict(read[1])
    predictor.list_of_parameters = [predictor.network.state_dict()]
    plain.list_of_parameters = plain.list_of_parameters[1:]
    expected = plain.predict_logits_from_preprocessed_data(data)
    assert same(predictor)


def test_a_mean_of_predicting_folds_is_plain_nnunets(trained_model, plain, data):
    predictor = opened(trained_model, f"case:{CASE}")
    for each in (predictor, plain):
        one, other = each.list_of_parameters
        each.list_of_parameters = [{name: (one[name] + other[name]) / 2 for name in one}]
    ours, theirs = (each.predict_logits_from_preprocessed_data(data) for each in (predictor, plain))
    assert torch.equal(ours, theirs)


def test_all_folds_are_checked_before_any_work(trained_model, tmp_path, capsys):
    for latent, said in (
        ("0.1,0.2", "cannot serve folds 0, 1"),
        ("case:phantom_009", r"phantom_009 is not training data of fold 1.*can serve: 0\."),
    ):
        # The message comes from the first load: nothing was predicted with fold 0 before fold 1 was looked at.
        with pytest.raises(HyperSORTError, match=said):
            opened(trained_model, latent)
        with pytest.raises(HyperSORTError, match=said):
            predict_from_model_folder(
                trained_model, "unused", tmp_path / "out", latent=latent, folds=(0, 1), device="cpu"
            )
    assert not (tmp_path / "out").exists()


def test_every_fold_is_stated_before_the_first_case_and_translated_once(trained_model, data, monkeypatch):
    predictor = opened(trained_model, f"case:{CASE}")
    account = predictor.plans_manager.plans["hypersort"]["prediction"]
    assert account["latent"] == f"case:{CASE}"
    assert set(account["folds"]) == {"0", "1"}
    names = list(predictor.network.state_dict())
    assert [list(weights) for weights in predictor.list_of_parameters] == [names, names]


def test_without_nnunets_list_of_folds_one_fold_predicts_and_a_second_is_refused(trained_model, data, monkeypatch):
    alone = opened(trained_model, f"case:{CASE}", (0,))
    expected = alone.predict_logits_from_preprocessed_data(data)
    # As if nnU-Net called it otherwise, and set what it has last.
    monkeypatch.setattr(insides, "FOLDS_ATTRIBUTE", "weights_of_folds")
    predictor = opened(trained_model, f"case:{CASE}")
    assert set(predictor.plans_manager.plans["hypersort"]["prediction"]["folds"]) == {"0"}
    monkeypatch.setenv("HYPERSORT_LATENT", f"case:{CASE}")
    with pytest.raises(HyperSORTError, match=r"no list `weights_of_folds`.* only one fold can predict \(fold 0 was"):
        predictor.predict_logits_from_preprocessed_data(data)
    predictor.list_of_parameters = predictor.list_of_parameters[:1]
    assert torch.equal(predictor.predict_logits_from_preprocessed_data(data), expected)


def test_predicting_from_python(trained_model, images, files, tmp_path):
    out = tmp_path / "out"
    chosen = predict_from_model_folder(trained_model, images, out, latent=f"case:{CASE}", folds=(0,), **ONE_PROCESS)
    assert [latent.fold for latent in chosen] == ["0"]
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset.json",
        "phantom_test_00.nii.gz",
        "plans.json",
        "predict_from_raw_data_args.json",
    ]
    account = json.loads((out / "plans.json").read_text())["hypersort"]["prediction"]
    np.testing.assert_allclose(account["folds"]["0"]["coordinates"], chosen[0].coordinates)
    options = {**HERE, "continue_prediction": True}
    for other in ("mode", "0.1,0.2"):
        with pytest.raises(HyperSORTError, match="begun with another latent"):
            predict_from_model_folder(trained_model, files, out, latent=other, **options)
    coordinates = ",".join(repr(float(value)) for value in chosen[0].coordinates)
    predict_from_model_folder(trained_model, files, out, latent=coordinates, **options)
    plans = json.loads((out / "plans.json").read_text())
    del plans["hypersort"]
    (out / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(HyperSORTError, match="was not made with a HyperSORT model"):
        predict_from_model_folder(trained_model, files, out, **options)


@pytest.mark.parametrize("entry_point", ["predict_entry_point", "predict_entry_point_modelfolder"])
def test_nnunets_own_command_continues_the_same_prediction_only(
    trained_model, images, files, tmp_path, monkeypatch, entry_point
):
    out = tmp_path / "out"
    predict_from_model_folder(trained_model, files, out, latent=f"case:{CASE}", folds=(0, 1), **HERE)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    model = {
        "predict_entry_point": ["-d", "901", "-c", "3d_fullres", "-tr", "HyperSORTTrainer"],
        "predict_entry_point_modelfolder": ["-m", str(trained_model)],
    }[entry_point]
    flags = ["-i", str(images), "-o", str(out), "-f", "0", "1", "-device", "cpu"]
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)

    def go_on(latent, *more):
        monkeypatch.setattr(sys, "argv", ["nnUNetv2_predict", *model, *flags, *more])
        with latent_for_prediction(latent):
            getattr(predict_from_raw_data, entry_point)()

    with pytest.raises(HyperSORTError, match="begun with another latent"):
        go_on("case:phantom_005", "--continue_prediction")
    checkpoint = trained_model / "fold_1" / "checkpoint_final.pth"
    content = torch.load(checkpoint, weights_only=False)
    changed = {**content["network_weights"]}
    changed["primary.decoder.seg_layers.1.bias"] = changed["primary.decoder.seg_layers.1.bias"] + 1
    del changed["checksum"]
    torch.save({**content, "network_weights": changed}, checkpoint)
    with pytest.raises(HyperSORTError, match="begun with other weights of fold 1"):
        go_on(f"case:{CASE}", "--continue_prediction")
    torch.save(content, checkpoint)
    dataset_json = json.loads((trained_model / "dataset.json").read_text())
    (trained_model / "dataset.json").write_text(json.dumps({**dataset_json, "channel_names": {"0": "another"}}))
    with pytest.raises(HyperSORTError, match="begun with other labels or channels"):
        go_on(f"case:{CASE}", "--continue_prediction")
    (trained_model / "dataset.json").write_text(json.dumps(dataset_json))
    # Anew, but with segmentations of other cases in the folder.
    (out / "another.nii.gz").write_bytes(before["phantom_test_00.nii.gz"])
    with pytest.raises(HyperSORTError, match="It has other cases: add to them with"):
        go_on("case:phantom_005")
    (out / "another.nii.gz").unlink()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    go_on(f"case:{CASE}", "--continue_prediction")
    assert json.loads((out / "plans.json").read_text()) == json.loads(before["plans.json"])


def test_segmentations_of_another_latent_are_not_mixed_in(trained_model, images, files, tmp_path):
    out = tmp_path / "out"
    predict_from_model_folder(trained_model, files, out, latent=f"case:{CASE}", **HERE)
    # The same cases are written over; others would lie beside those of the first style.
    predict_from_model_folder(trained_model, files, out, latent="case:phantom_005", **HERE)
    shutil.copy(images / "phantom_test_00_0000.nii.gz", tmp_path / "other_0000.nii.gz")
    others = [[str(tmp_path / "other_0000.nii.gz")]]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(HyperSORTError, match=r"begun with another latent .*It has other cases: add to them with"):
        predict_from_model_folder(trained_model, others, out, latent=f"case:{CASE}", **HERE)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    predict_from_model_folder(trained_model, others, out, latent="case:phantom_005", **HERE)
    assert {path.name for path in out.glob("*.nii.gz")} == {"phantom_test_00.nii.gz", "other.nii.gz"}


def test_nothing_global_changes_and_each_checkpoint_is_read_once(trained_model, files, tmp_path, monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer", raising=False)
    # The argument counts, not the variable.
    monkeypatch.setenv("HYPERSORT_LATENT", "of no form")
    read = []

    def reading(path):
        read.append(path.parent.name)
        return checkpoints.read_checkpoint(path)

    monkeypatch.setattr(predicting_model, "read_checkpoint", reading)
    opens = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **more: opens.append(args) or load(*args, **more))

    def globals_of_the_process():
        return (
            dict(os.environ),
            list(sys.argv),
            torch.get_num_threads(),
            torch.backends.cudnn.benchmark,
            torch.random.get_rng_state().tolist(),
            torch.serialization.get_safe_globals(),
            torch.is_grad_enabled(),
        )

    before = globals_of_the_process()
    predict_from_model_folder(trained_model, files, tmp_path / "out", latent=f"case:{CASE}", folds=(0, 1), **HERE)
    assert globals_of_the_process() == before
    assert read == ["fold_0", "fold_1"]
    assert len(opens) == 2
    assert (tmp_path / "out" / "phantom_test_00.nii.gz").is_file()


def test_missing_and_damaged_checkpoints_are_named(trained_model, tmp_path):
    with pytest.raises(HyperSORTError, match=r"no .*fold_3.checkpoint_final\.pth\. Folds .*: 0, 1;"):
        predict_from_model_folder(trained_model, "in", tmp_path, folds=(3,), device="cpu")
    (trained_model / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(HyperSORTError, match="is not a readable nnU-Net checkpoint"):
        predict_from_model_folder(trained_model, "in", tmp_path, device="cpu")


def test_images_that_nnunet_would_not_find_and_a_device_that_is_none_are_named(trained_model, images, tmp_path):
    def refused(source, said, **options):
        with pytest.raises(HyperSORTError, match=said):
            predict_from_model_folder(trained_model, source, tmp_path / "out", **{"device": "cpu", **options})

    refused(tmp_path / "absent", r"no folder .*absent")
    other = tmp_path / "other"
    other.mkdir()
    refused(other, r"ends in \.nii\.gz.*files there: none")
    for name in ("a_0000.nrrd", "b_0000.nrrd", "readme.txt"):
        (other / name).touch()
    refused(other, r"ends in \.nii\.gz, as .*file_ending\); files there: 2 with \.nrrd, 1 with \.txt")
    (other / "a.nii.gz").touch()
    refused(other, r"a\.nii\.gz has no number of a channel; call it a_0000\.nii\.gz")
    refused([], "nothing to predict")
    if not torch.cuda.is_available():
        refused(images, "device cuda cannot be used", device="cuda")
    refused(images, "device tpu cannot be used", device="tpu")
    assert not (tmp_path / "out").exists()


def test_another_file_ending_than_the_training_had_is_refused(trained_model, images, tmp_path):
    path = trained_model / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "file_ending": ".nrrd"}))
    with pytest.raises(HyperSORTError, match=r"differs from what .* was trained with, in file_ending"):
        predict_from_model_folder(trained_model, images, tmp_path / "out", device="cpu")


def test_a_trainer_without_latents_predicts_as_it_is(trained_model, files, tmp_path, monkeypatch):
    folder = tmp_path / "trainers"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n\n\n"
        "class MyTrainer(nnUNetTrainer):\n    pass\n"
    )
    monkeypatch.setenv("nnUNet_extTrainer", str(folder))
    path = trained_model / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    weights = content["network_weights"]
    plain = {name.removeprefix("primary."): weights[name] for name in weights if name.startswith("primary.")}
    for trainer in ("MyTrainer", "nnUNetTrainer"):
        torch.save({**content, "network_weights": plain, "trainer_name": trainer}, path)
        if trainer == "MyTrainer":
            with pytest.raises(HyperSORTError, match="has no latents, so it cannot predict with case:phantom_004"):
                predict_from_model_folder(trained_model, files, tmp_path / "out", latent=f"case:{CASE}", **HERE)
            predict_from_model_folder(trained_model, files, tmp_path / "out", **HERE)
            assert (tmp_path / "out" / "phantom_test_00.nii.gz").is_file()
    with pytest.raises(HyperSORTError, match="was not trained with a HyperSORT trainer"):
        predict_from_model_folder(trained_model, files, tmp_path / "out", **HERE)
