"""Models from anyone: nothing they name is run, and nothing is read or written outside."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.handover.export import export_style
from nnunetv2_hypersort.latents import LatentChoice
from nnunetv2_hypersort.model import ModelFolder, load_preprocessed
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel

DATASET = "Dataset901_Tiny"


class Call:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self._mark,)


def change(model: Path, **plans) -> None:
    """Change the plans of a model, beside its checkpoints and in them."""
    content = json.loads((model / "plans.json").read_text())
    (model / "plans.json").write_text(json.dumps(content | plans))
    for path in model.glob("fold_*/checkpoint_final.pth"):
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        checkpoint["init_args"]["plans"].update(plans)
        torch.save(checkpoint, path)


def predict(model: Path) -> object:
    return PredictingModel.open(model, [0], LatentChoice(), checkpoint_name="checkpoint_final.pth")


def test_plans_do_not_lead_to_cases_inside_the_model(styled_model, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    results = tmp_path / "nnUNet_results"
    shutil.copytree(os.environ["nnUNet_preprocessed"], tmp_path / "nnUNet_preprocessed")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "nnUNet_preprocessed"))
    there = ModelFolder.open(styled_model).preprocessed_cases_folder()
    shutil.copytree(there, styled_model / "cases")
    for file in (styled_model / "cases").glob("*.pkl"):
        file.write_bytes(pickle.dumps(Call(mark)))
    configuration = json.loads((styled_model / "plans.json").read_text())["configurations"]
    configuration["3d_fullres"]["data_identifier"] = "cases"
    change(
        styled_model,
        dataset_name=f"../{results.name}/{DATASET}/{styled_model.name}",
        configurations=configuration,
    )
    for use in (lambda: ModelFolder.open(styled_model), lambda: predict(styled_model)):
        with pytest.raises(HyperSORTError, match=r"dataset_name in .*plans\.json is '\.\./nnUNet_results/"):
            use()
    assert not mark.exists()


def test_a_case_runs_nothing_whatever_its_folder(styled_model, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    shutil.copytree(os.environ["nnUNet_preprocessed"], tmp_path / "nnUNet_preprocessed")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "nnUNet_preprocessed"))
    model = ModelFolder.open(styled_model)
    (model.preprocessed_cases_folder() / "phantom_003.pkl").write_bytes(pickle.dumps({"spacing": Call(mark)}))
    with pytest.raises(HyperSORTError, match=r"phantom_003\.pkl: it asks for \w+\.mkdir, .* nothing in it was run"):
        load_preprocessed(model, "phantom_003")
    assert not mark.exists()
    with (model.preprocessed_cases_folder() / "phantom_003.pkl").open("rb") as file:
        pickle.load(file)
    assert mark.is_dir(), "the trap does not work, so the test proves nothing"
    load_preprocessed(model, "phantom_004")


@pytest.mark.parametrize(
    ("name", "value"),
    [("dataset_name", "../elsewhere"), ("dataset_name", "{outside}"), ("plans_name", "/../../x"), ("plans_name", "..")],
)
def test_export_stays_in_its_root(styled_model, tmp_path, name, value):
    root, outside = tmp_path / "root", tmp_path / "elsewhere"
    outside.mkdir()
    change(styled_model, **{name: value.format(outside=outside)})
    with pytest.raises(HyperSORTError, match=f"{name} in .* which is not one plain name"):
        export_style(styled_model, "A", root, validate=False)
    assert not root.exists()
    assert list(outside.iterdir()) == []


def test_export_of_a_model_as_it_is_stays_in_its_root(styled_model, tmp_path):
    exported = export_style(styled_model, "A", tmp_path / "root", validate=False, progress=False)
    assert exported.folder.parent == tmp_path / "root" / DATASET


def test_a_network_of_another_package_is_not_imported(trained_model, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    monkeypatch.chdir(trained_model)
    monkeypatch.syspath_prepend("")
    Path("trap.py").write_text(f"open({str(mark)!r}, 'w')\nimport torch\nclass Net(torch.nn.Module): pass\n")
    configurations = json.loads((trained_model / "plans.json").read_text())["configurations"]
    configurations["3d_fullres"]["architecture"]["network_class_name"] = "trap.Net"
    change(trained_model, configurations=configurations)
    for use in (lambda: ModelFolder.open(trained_model), lambda: predict(trained_model)):
        with pytest.raises(HyperSORTError, match=r"name 'trap\.Net' as a network .* nothing of it was imported"):
            use()
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("features_per_stage", [8000, 8000, 8000], r"a network of \d{10,} weights, and it holds \d+"),
        ("features_per_stage", [10**9, 8, 16], "a number above 10000 in its architecture"),
        ("n_conv_per_stage", [2, 10**9, 2], "a number above 10000 in its architecture"),
        ("n_stages", 2, "describe no network"),
        ("kernel_sizes", "x", "describe no network"),
        ("no_argument", 1, "describe no network"),
    ],
)
def test_plans_of_a_network_larger_than_the_checkpoint_are_refused(trained_model, key, value, said):
    configurations = json.loads((trained_model / "plans.json").read_text())["configurations"]
    configurations["3d_fullres"]["architecture"]["arch_kwargs"][key] = value
    change(trained_model, configurations=configurations)
    for use in (lambda: ModelFolder.open(trained_model), lambda: predict(trained_model)):
        with pytest.raises(HyperSORTError, match=said):
            use()


def test_a_trainer_that_is_none_is_refused(trained_model):
    path = trained_model / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, map_location="cpu", weights_only=False)
    for name in ("os", "nn", "FoldRecord", "AbsentTrainer"):
        torch.save({**content, "trainer_name": name}, path)
        with pytest.raises(HyperSORTError, match=f"trainer {name} of this model|{name}, which the model names"):
            predict(trained_model)
        with pytest.raises(HyperSORTError, match=f"trainer {name} of this model|{name}, which the model names"):
            ModelFolder.open(trained_model, folds=[0]).fold(0).network()


def test_the_dataset_json_of_a_model_names_no_images(trained_model):
    model = ModelFolder.open(trained_model)
    honest = CaseImages.find(model)
    listed = {"x": {"images": ["/etc/passwd"], "label": "/etc/passwd"}}
    model.dataset_json["dataset"] = listed
    found = CaseImages.find(model)
    assert found.images == honest.images
    assert found.labels == honest.labels
    assert len(found.images) == 10


def test_another_file_ending_than_that_of_the_training_is_refused(trained_model):
    content = json.loads((trained_model / "dataset.json").read_text())
    (trained_model / "dataset.json").write_text(json.dumps({**content, "file_ending": ".png"}))
    for use in (lambda: ModelFolder.open(trained_model), lambda: predict(trained_model)):
        with pytest.raises(HyperSORTError, match=r"differs from what .* was trained with, in file_ending"):
            use()
