"""An exported style is a model of plain nnU-Net that predicts, packs and installs without our package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.handover import export, style_validation
from nnunetv2_hypersort.handover.export import export_style
from nnunetv2_hypersort.handover.plain_model import plain_plans
from nnunetv2_hypersort.handover.slicer import slicer_obstacles
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder
from nnunetv2_hypersort.prediction import latent_for_prediction

NAME = "nnUNetTrainer__nnUNetPlans_A__3d_fullres"
HELD_OUT = {"0": ["phantom_000", "phantom_001"], "1": ["phantom_008", "phantom_009"]}


@pytest.fixture
def model(styled_model) -> Path:
    for fold in ("fold_0", "fold_1"):
        (styled_model / fold / "progress.png").write_bytes(b"a picture")
    return styled_model


@pytest.fixture
def quick(model, tmp_path):
    """Export without validation."""

    def run(style: str = "A", root: Path = tmp_path / "root", **options):
        return export_style(model, style, root, validate=False, progress=False, **options)

    return run


def voxels(path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def predict(model, latent, folds, image, output) -> np.ndarray:
    with latent_for_prediction(latent):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(model), folds)
        predictor.predict_from_files_sequential([[str(image)]], [str(output)])
    return voxels(f"{output}.nii.gz")


def test_plain_nnunet_predicts_packs_and_installs_it_without_our_package(model, preprocessed, tmp_path, capsys):
    (model / "fold_1" / "progress.png").unlink()
    root, made = tmp_path / "root", tmp_path / "made"
    made.mkdir()
    assert main(["export", str(model), "--style", "A", "-o", str(root), "-device", "cpu", "-np", "1"]) == 0
    assert "nnUNetv2_predict -d Dataset901_Tiny -c 3d_fullres -p nnUNetPlans_A -f 0 1 " in capsys.readouterr().out
    (image,) = (preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs").glob("*.nii.gz")

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("nnUNet_", "HYPERSORT"))}
    script = Path(__file__).with_name("plain_nnunet.py")
    arguments = [root, "Dataset901_Tiny", "nnUNetPlans_A", "3d_fullres", image, made]
    done = subprocess.run(
        [sys.executable, "-I", str(script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "our package cannot be imported" in done.stdout
    assert "dynamic_network_architectures.architectures.unet\nnnUNetTrainer\n" in done.stdout
    both = predict(model, "style:A", (0, 1), image, tmp_path / "both")
    second = predict(model, "style:A", (1,), image, tmp_path / "second")
    np.testing.assert_array_equal(voxels(made / "both.nii.gz"), both)
    np.testing.assert_array_equal(voxels(made / "from_zip.nii.gz"), both)
    np.testing.assert_array_equal(voxels(made / "second.nii.gz"), second)
    assert not np.array_equal(both, second)
    assert not np.array_equal(both, predict(model, "style:B", (0, 1), image, tmp_path / "other"))

    written = root / "Dataset901_Tiny" / NAME
    assert (written / "fold_0" / "progress.png").read_bytes() == b"a picture"
    assert (written / "fold_1" / "progress.png").read_bytes().startswith(b"\x89PNG")
    labels = preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "labelsTr"
    for fold, cases in HELD_OUT.items():
        summary = json.loads((written / f"fold_{fold}" / "validation" / "summary.json").read_text())
        assert [entry["reference_file"] for entry in summary["metric_per_case"]] == [f"{c}.nii.gz" for c in cases]
        expected = []
        for case in cases:
            drawn, segmented = (
                voxels(labels / f"{case}.nii.gz"),
                voxels(written / f"fold_{fold}" / "validation" / f"{case}.nii.gz"),
            )
            expected.append(2 * (drawn & segmented).sum() / (drawn.sum() + segmented.sum()))
        assert summary["foreground_mean"]["Dice"] == pytest.approx(np.mean(expected), abs=1e-12)
        assert "style A (case phantom_004)" in summary["note"]
        assert "fits the mixture" in summary["note"]
    opened = ModelFolder.open(model)
    image = opened.raw_folder() / "imagesTr" / "phantom_008_0000.nii.gz"
    latent = opened.book.find("A").folds["1"].coordinates
    np.testing.assert_array_equal(
        voxels(written / "fold_1" / "validation" / "phantom_008.nii.gz"),
        FoldSegmenter(opened, 1).segment_images([image], latent),
    )


def test_the_files_are_those_of_plain_nnunet(quick, model):
    exported = quick()
    assert exported.folder.name == NAME
    assert exported.dice == {}
    assert exported.obstacles == ()
    plans = json.loads((exported.folder / "plans.json").read_text())
    original = json.loads((model / "plans.json").read_text())
    assert plans.pop("plans_name") == "nnUNetPlans_A"
    assert plans == {key: value for key, value in original.items() if key not in ("hypersort", "plans_name")}
    for name in ("dataset.json", "dataset_fingerprint.json"):
        assert json.loads((exported.folder / name).read_text()) == json.loads((model / name).read_text())
    for fold in ("fold_0", "fold_1"):
        before = torch.load(model / fold / "checkpoint_final.pth", weights_only=False)
        after = torch.load(exported.folder / fold / "checkpoint_final.pth", weights_only=False)
        # HyperSORTTrainer saves as nnU-Net does, so nnU-Net's keys are those of its checkpoint.
        assert after.keys() == before.keys()
        assert after["trainer_name"] == "nnUNetTrainer"
        assert after["init_args"].keys() == before["init_args"].keys()
        assert after["init_args"]["plans"] == {**plans, "plans_name": "nnUNetPlans_A"}
        assert after["inference_allowed_mirroring_axes"] == before["inference_allowed_mirroring_axes"] == (0, 1, 2)
        assert not [key for key in after["logging"] if key.startswith("latent")]
        assert after["logging"]["train_losses"] == before["logging"]["train_losses"]
        summary = json.loads((exported.folder / fold / "validation" / "summary.json").read_text())
        assert summary["metric_per_case"] == []
        assert "Not validated" in summary["note"]


def test_plain_nnunet_trains_on_from_it(quick, model):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    exported = quick(folds=[0])
    arguments = torch.load(exported.folder / "fold_0" / "checkpoint_final.pth", weights_only=False)["init_args"]
    arguments["plans"]["continue_training"] = True
    trainer = nnUNetTrainer(**{**arguments, "device": torch.device("cpu")})
    trainer.load_checkpoint(str(exported.folder / "fold_0" / "checkpoint_final.pth"))
    assert trainer.current_epoch == 1
    assert trainer.optimizer.param_groups[0]["momentum"] == 0.99


def test_3d_slicer_takes_it(quick, tmp_path):
    """The rules of the extension, as its Parameter.py has them (KitwareMedical/SlicerNNUnet)."""
    exported = quick(root=tmp_path / "root")
    for chosen in (exported.folder, exported.folder.parent, tmp_path / "root"):
        found = next(chosen.rglob("dataset.json")).parent
        assert found == exported.folder
    assert found.name.split("__") == ["nnUNetTrainer", "nnUNetPlans_A", "3d_fullres"]
    assert found.parent.name == "Dataset901_Tiny"
    for fold in (0, 1):
        assert (found / f"fold_{fold}" / "checkpoint_final.pth").is_file()
    labels = json.loads((found / "dataset.json").read_text())["labels"]
    assert all(isinstance(value, int) for value in labels.values())


def test_what_3d_slicer_cannot_run_is_said():
    def obstacles(ending=".nii.gz", channels=1, folds=("0", "1")):
        names = {str(number): "MRI" for number in range(channels)}
        return slicer_obstacles({"file_ending": ending, "channel_names": names}, folds)

    assert obstacles() == []
    assert ".nrrd" in obstacles(ending=".nrrd")[0]
    assert "2 channels" in obstacles(channels=2)[0]
    assert "numbered folds only" in obstacles(folds=("all",))[0]
    assert "(2,3)" in obstacles(folds=("2", "3"))[0]


@pytest.mark.parametrize("style", ["A", "a-b", "left__right", "_", "__x_"])
def test_every_style_name_makes_a_plans_name_that_companions_can_split(style):
    name = plain_plans({"plans_name": "nnUNetPlans"}, style)["plans_name"]
    assert name.startswith("nnUNetPlans_")
    assert f"nnUNetTrainer__{name}__2d".split("__") == ["nnUNetTrainer", name, "2d"]


def test_an_interrupted_export_is_taken_up(model, tmp_path, monkeypatch):
    def options(root):
        return {"results_root": root, "folds": [0], "num_processes": 1, "progress": False}

    segmented = []
    segment = FoldSegmenter.segment_image

    def interrupted(self, image, latent):
        if len(segmented) == 1:
            raise KeyboardInterrupt
        segmented.append(latent)
        return segment(self, image, latent)

    monkeypatch.setattr(FoldSegmenter, "segment_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_style(model, "A", **options(tmp_path / "root"))
    assert not (tmp_path / "root" / "Dataset901_Tiny" / NAME).exists()
    again = []
    monkeypatch.setattr(FoldSegmenter, "segment_image", lambda *args: again.append(0) or segment(*args))
    monkeypatch.setattr(
        style_validation,
        "compute_metrics_on_folder",
        lambda *args, **options: {"foreground_mean": {"Dice": 0.5}, "mean": {}, "metric_per_case": []},
    )
    exported = export_style(model, "A", **options(tmp_path / "root"))
    assert len(again) == 1
    assert exported.dice == {"0": 0.5}
    assert {path.name for path in exported.folder.parent.iterdir()} == {NAME}
    assert {path.name for path in (exported.folder / "fold_0" / "validation").iterdir()} == {
        "phantom_000.nii.gz",
        "phantom_001.nii.gz",
        "summary.json",
    }


def test_raw_data_serve_where_the_preprocessed_are_gone(model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        style_validation,
        "compute_metrics_on_folder",
        lambda *args, **options: {"foreground_mean": {"Dice": 0.5}, "mean": {}, "metric_per_case": []},
    )
    with_all = export_style(model, "A", tmp_path / "first", folds=[0], progress=False)
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    with_raw = export_style(model, "A", tmp_path / "second", folds=[0], progress=False)
    for case in HELD_OUT["0"]:
        file = Path("fold_0", "validation", f"{case}.nii.gz")
        np.testing.assert_array_equal(voxels(with_all.folder / file), voxels(with_raw.folder / file))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(HyperSORTError, match=r"The images of Dataset901_Tiny are gone, .*\(`--no-validation`\)"):
        export_style(model, "A", tmp_path / "third", folds=[0])
    assert not (tmp_path / "third").exists()


def test_bad_input_is_refused_before_anything_is_written(quick, model, tmp_path):
    with pytest.raises(HyperSORTError, match="no style Z; the styles of this model are A, B, C"):
        quick("Z")
    with pytest.raises(HyperSORTError, match="style C is not known in fold 1, only in 0; choose folds with `-f`"):
        quick("C")
    (model / "fold_1" / "checkpoint_final.pth").rename(model / "fold_1" / "checkpoint_latest.pth")
    with pytest.raises(HyperSORTError, match=r"no checkpoint_final\.pth in fold 1 .*; folds with one: 0"):
        quick(folds=[0, 1])
    content = torch.load(model / "fold_0" / "checkpoint_final.pth", weights_only=False)
    content["network_weights"]["latents.values"] += 0.01
    torch.save(content, model / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(HyperSORTError, match=r"found in another checkpoint of fold 0 .* run `hypersort styles MODEL`"):
        quick(folds=[0])
    assert not (tmp_path / "root").exists()


def test_an_existing_model_is_never_touched(quick, tmp_path):
    folder = quick(folds=[0]).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(HyperSORTError, match="nnUNetTrainer__nnUNetPlans_A__3d_fullres exists already; move it away"):
        quick()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert quick("B", folds=[0]).folder.parent == folder.parent
    (tmp_path / "file").touch()
    with pytest.raises(HyperSORTError, match=r"cannot be made \(.*\); choose another folder"):
        quick(root=tmp_path / "file")


def test_a_missing_fingerprint_comes_from_the_preprocessed_data_or_is_said(quick, model, tmp_path, monkeypatch):
    wanted = (model / "dataset_fingerprint.json").read_text()
    (model / "dataset_fingerprint.json").unlink()
    exported = quick(folds=[0])
    assert (exported.folder / "dataset_fingerprint.json").read_text() == wanted
    monkeypatch.delenv("nnUNet_preprocessed")
    with pytest.raises(HyperSORTError, match=r"There is no dataset_fingerprint\.json in .*HyperSORTTrainer"):
        quick("B", folds=[0])


def test_another_network_than_the_planned_one_is_refused(quick, tmp_path, monkeypatch):
    from torch import nn

    from nnunetv2_hypersort.trainers import HyperSORTTrainer

    build = HyperSORTTrainer.build_network_architecture

    def with_other_nonlinearity(*args, **options) -> nn.Module:
        network = build(*args, **options)
        for module in network.modules():
            for name, child in module.named_children():
                if isinstance(child, nn.LeakyReLU):
                    setattr(module, name, nn.ReLU())
        return network

    monkeypatch.setattr(HyperSORTTrainer, "build_network_architecture", staticmethod(with_other_nonlinearity))
    with pytest.raises(HyperSORTError, match="builds another network than nnUNetTrainer"):
        quick()
    assert not (tmp_path / "root").exists()


def test_an_unfinished_export_of_something_else_is_not_continued(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(export, "write_no_validation", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        quick(folds=[0])
    with pytest.raises(HyperSORTError, match=r"\.unfinished-.* holds the result of another model, style or folds"):
        quick(folds=[1])
    assert not (tmp_path / "root" / "Dataset901_Tiny" / NAME).exists()
