"""The main job with nnU-Net's own commands on real data: train, kill, continue, predict with two latents."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from csv_rows import csv_rows

from nnunetv2_hypersort.demo.small_plan import shrink
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers

pytestmark = pytest.mark.integration

CASES = 30
DATASET = "Dataset004_Hippocampus"
MODEL = "HyperSORTTrainer__nnUNetPlans__3d_fullres"
# Wide initial latents and a fast optimiser: networks of two cases must differ after 200 steps.
CONFIG = """
latent: {start: random, init_std: 0.3}
training: {num_epochs: 4, num_iterations_per_epoch: 50, num_val_iterations_per_epoch: 2, save_every: 1, seed: 0,
  optimizer: adam, initial_lr: 3e-3}
"""


class Workplace:
    """nnU-Net's folders, and its commands run in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "nnUNet_results" / DATASET / MODEL
        self.environment = {
            **os.environ,
            **{name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")},
            TRAINER_VARIABLE: with_our_trainers(""),
            "nnUNet_def_n_proc": "2",
        }

    def start(self, command: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [Path(sys.executable).parent / command, *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, *arguments: str, fails: bool = False, **environment: str) -> str:
        process = self.start(command, *arguments, **environment)
        output, _ = process.communicate(timeout=900)
        assert (process.returncode != 0) == fails, output[-4000:]
        return output

    def train(self, fold: int, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        flags = ("-tr", "HyperSORTTrainer", "-device", "cpu", *arguments)
        return self.start("nnUNetv2_train", "4", "3d_fullres", str(fold), *flags, nnUNet_n_proc_DA="0", **environment)

    def predict(self, output: Path, latent: str, *folds: str, fails: bool = False) -> str:
        flags = ("-d", "4", "-c", "3d_fullres", "-f", *folds, "-tr", "HyperSORTTrainer", "-device", "cpu")
        files = ("-i", str(self.folder / "in"), "-o", str(output), "-npp", "1", "-nps", "1")
        return self.run("nnUNetv2_predict", *flags, *files, fails=fails, HYPERSORT_LATENT=latent)

    def latents(self, fold: int) -> list[dict[str, str]]:
        return csv_rows(self.model / f"fold_{fold}" / "latents.csv")


@pytest.fixture(scope="module")
def workplace(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Thirty cases, converted, planned small, preprocessed, and fold 0 trained with a kill in the middle."""
    place = Workplace(tmp_path_factory.mktemp("hippocampus"))
    source = shared_data / "Task04_Hippocampus"
    task = place.folder / "Task04_Hippocampus"
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (task / name).mkdir(parents=True)
    content = json.loads((source / "dataset.json").read_text())
    content["training"] = content["training"][:CASES]
    content["numTraining"], content["test"], content["numTest"] = CASES, [], 0
    (task / "dataset.json").write_text(json.dumps(content))
    for entry in content["training"]:
        for file in entry.values():
            shutil.copyfile(source / file, task / file)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "in"):
        (place.folder / name).mkdir()
    place.run("nnUNetv2_convert_MSD_dataset", "-i", str(task), "-np", "2")
    place.run("nnUNetv2_plan_and_preprocess", "-d", "4", "-c", "3d_fullres", "-np", "2", "--verify_dataset_integrity")
    shrink(
        place.folder / "nnUNet_preprocessed" / DATASET / "nnUNetPlans.json",
        configuration="3d_fullres",
        spacing=2.0,
        patch_size=[24, 32, 24],
        features=[8, 16, 32],
        batch_size=2,
    )
    place.run("nnUNetv2_preprocess", "-d", "4", "-c", "3d_fullres", "-np", "2")
    config = place.folder / "short.yaml"
    config.write_text(CONFIG)

    training = place.train(0, HYPERSORT_CONFIG=str(config))
    waiting_for = place.model / "fold_0" / "checkpoint_latest.pth"
    deadline = time.monotonic() + 600
    while not waiting_for.exists():
        assert training.poll() is None, training.communicate()[0][-4000:]
        assert time.monotonic() < deadline, "no checkpoint within ten minutes"
        time.sleep(0.05)
    os.killpg(training.pid, signal.SIGKILL)
    training.communicate()
    assert not (place.model / "fold_0" / "checkpoint_final.pth").exists()

    continued = place.train(0, "--c")
    output, _ = continued.communicate(timeout=900)
    assert continued.returncode == 0, output[-4000:]
    # The settings came from the model folder, and the first epochs were not run again.
    assert "plans.json" in output.split("HyperSORT settings (")[1].split(")")[0]
    assert "Epoch 0 " not in output

    split = json.loads((place.folder / "nnUNet_preprocessed" / DATASET / "splits_final.json").read_text())
    for case in split[0]["val"][:2]:
        image = place.folder / "nnUNet_raw" / DATASET / "imagesTr" / f"{case}_0000.nii.gz"
        shutil.copyfile(image, place.folder / "in" / image.name)
    return place


def test_the_fold_folder_is_complete(workplace: Workplace) -> None:
    fold = workplace.model / "fold_0"
    for name in ("checkpoint_final.pth", "latent_map.png", "latent_history.safetensors", "validation/summary.json"):
        assert (fold / name).is_file(), name
    rows = workplace.latents(0)
    assert len(rows) == CASES * 4 // 5
    assert {row["epoch"] for row in rows} == {"4"}
    # 200 steps of batch size 2; a case that fills a batch alone counts once.
    assert 300 < sum(int(row["visits"]) for row in rows) <= 400
    assert json.loads((fold / "validation" / "summary.json").read_text())["foreground_mean"]["Dice"] > 0.3


def test_two_latents_give_two_valid_segmentations(workplace: Workplace) -> None:
    rows = workplace.latents(0)
    positions = np.array([[float(row["z_0"]), float(row["z_1"])] for row in rows])
    first, second = np.unravel_index(
        np.linalg.norm(positions[:, None] - positions[None], axis=2).argmax(), (len(rows),) * 2
    )
    outputs = []
    for row in (rows[int(first)], rows[int(second)]):
        output = workplace.folder / f"out_{row['case']}"
        printed = workplace.predict(output, f"case:{row['case']}", "0")
        assert f"case {row['case']}" in printed
        account = json.loads((output / "plans.json").read_text())["hypersort"]["prediction"]
        assert account["latent"] == f"case:{row['case']}"
        np.testing.assert_allclose(
            account["folds"]["0"]["coordinates"], [float(row["z_0"]), float(row["z_1"])], rtol=1e-5
        )
        outputs.append(output)
    different = 0
    for image in sorted((workplace.folder / "in").iterdir()):
        name = image.name.replace("_0000", "")
        one, other = (nibabel.load(output / name) for output in outputs)
        for segmentation in (one, other):
            assert segmentation.shape == nibabel.load(image).shape
            np.testing.assert_allclose(segmentation.affine, nibabel.load(image).affine, atol=1e-4)
            assert set(np.unique(segmentation.dataobj)) <= {0, 1, 2}
            assert np.asarray(segmentation.dataobj).any()
        different += int((np.asarray(one.dataobj) != np.asarray(other.dataobj)).sum())
    assert different > 0


def test_hypersort_predict_equals_nnunets_command(workplace: Workplace) -> None:
    case = workplace.latents(0)[0]["case"]
    workplace.predict(workplace.folder / "stock", f"case:{case}", "0")
    ours = workplace.folder / "ours"
    flags = (
        "-m",
        str(workplace.model),
        "-f",
        "0",
        "--latent",
        f"case:{case}",
        "-device",
        "cpu",
        "-npp",
        "1",
        "-nps",
        "1",
    )
    files = ("-i", str(workplace.folder / "in"), "-o", str(ours))
    # Neither the variable of the latent nor that of the trainers has to be right.
    wrong = {"nnUNet_extTrainer": "", "HYPERSORT_LATENT": "mode"}
    workplace.run("hypersort", "predict", *flags, *files, **wrong)
    for file in sorted(ours.glob("*.nii.gz")):
        assert np.array_equal(nibabel.load(file).dataobj, nibabel.load(workplace.folder / "stock" / file.name).dataobj)
    said = workplace.run(
        "hypersort", "predict", *flags[:4], "--latent", "mode", *flags[6:], *files, "--continue_prediction", fails=True
    )
    assert "was begun with another latent" in said


def test_refusals_write_no_segmentation(workplace: Workplace) -> None:
    split = json.loads((workplace.folder / "nnUNet_preprocessed" / DATASET / "splits_final.json").read_text())
    held_out = split[0]["val"][0]
    output = workplace.folder / "refused"
    for latent, said in (
        (f"case:{held_out}", f"{held_out} is not training data of fold 0, so it has no latent there"),
        ("case:hippocampus_0", "the nearest ids are"),
        ("0.1,0.2,0.3", "has 3 coordinates"),
        ("somewhere", "cannot be read"),
    ):
        assert said in workplace.predict(output, latent, "0", fails=True)
    assert not list(output.glob("*.nii.gz"))


def test_several_folds(workplace: Workplace) -> None:
    continued = workplace.train(1)
    printed, _ = continued.communicate(timeout=900)
    assert continued.returncode == 0, printed[-4000:]
    split = json.loads((workplace.folder / "nnUNet_preprocessed" / DATASET / "splits_final.json").read_text())
    common = sorted(set(split[0]["train"]) & set(split[1]["train"]))[0]
    output = workplace.folder / "both"
    workplace.predict(output, f"case:{common}", "0", "1")
    account = json.loads((output / "plans.json").read_text())["hypersort"]["prediction"]["folds"]
    assert set(account) == {"0", "1"}
    assert account["0"]["coordinates"] != account["1"]["coordinates"]
    assert "modes of different folds may be different" in workplace.predict(
        workplace.folder / "modes", "mode", "0", "1"
    )
    refused = workplace.folder / "refused_folds"
    assert "cannot serve folds 0, 1" in workplace.predict(refused, "0.1,0.2", "0", "1", fails=True)
    only_in_0 = sorted(set(split[1]["val"]))[0]
    said = workplace.predict(refused, f"case:{only_in_0}", "0", "1", fails=True)
    assert f"{only_in_0} is not training data of fold 1" in said
    assert not list(refused.glob("*.nii.gz"))
