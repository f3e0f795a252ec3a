"""What plans name as a network is judged before anything of it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.components import refuse_foreign_components
from nnunetv2_hypersort.nnunet.network_classes import TRUSTED_VARIABLE, refuse_untrusted_classes

UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
UNTRUSTED = [
    "os.system",
    "subprocess.Popen",
    "builtins.exec",
    "venv.__main__.Net",
    "unittest.__main__.Net",
    "torch.hub.load",
    "torch.nnx.Module",
    "torch.Tensor",
    "torchvision.models.ResNet",
    "nnunetv2.run.run_training.Net",
    "trap.Net",
    "",
    "torch",
    "torch.nn..Module",
    ".torch.nn.Module",
    "torch.nn.Module\n",
    "torch.nn.__init__.Module",
    "torch.nn.Module.__init__",
    "torch/nn.Module",
    7,
    ["torch.nn.Module"],
]
TRUSTED_BUT_NO_CLASS_OF_MODULES = [
    "torch.nn.functional.relu",
    "torch.nn.modules.module.torch",
    "torch.nn.modules.module.functools",
    "torch.nn.Parameter",
    "torch.nn.Absent",
    "torch.nn.absent.Absent",
    "torch.nn.Conv3d.forward",
    "dynamic_network_architectures.architectures.unet.Union",
    # Known there, and of another package.
    "torch.nn.modules.conv.SavedCall",
]


def planned(name: object, layer: object = None) -> dict:
    architecture = {"network_class_name": name, "arch_kwargs": {"norm_op": layer}, "_kw_requires_import": ["norm_op"]}
    return {"configurations.3d_fullres": {"architecture": architecture}}


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Modules in the current folder that leave a mark when they are imported, and the mark."""
    mark = tmp_path / "mark"
    leave = f"open({str(mark)!r}, 'w').close()\nimport torch\nclass Net(torch.nn.Module): pass\n"
    here = tmp_path / "here"
    for module in ("trap.py", "package/__init__.py", "package/__main__.py", "test_x.py"):
        (here / module).parent.mkdir(parents=True, exist_ok=True)
        (here / module).write_text(leave)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend("")
    return mark


@pytest.mark.parametrize("layer", [None, "torch.nn.LeakyReLU", "torch.nn.modules.instancenorm.InstanceNorm3d"])
@pytest.mark.parametrize("name", [UNET, "dynamic_network_architectures.architectures.primus.PrimusM"])
def test_networks_of_nnunet_are_taken(name, layer):
    refuse_untrusted_classes(planned(name, layer), source="x")


@pytest.mark.parametrize("name", UNTRUSTED)
def test_other_packages_are_refused_without_an_import(name, trap):
    before = set(sys.modules)
    for crafted in (planned(name), planned(UNET, name)):
        with pytest.raises(HyperSORTError, match=r"The plans in x name .*, and nothing of it was imported"):
            refuse_untrusted_classes(crafted, source="x")
    assert not trap.exists()
    assert {name for name in set(sys.modules) - before if name.startswith(("venv", "unittest", "trap"))} == set()


@pytest.mark.parametrize("name", TRUSTED_BUT_NO_CLASS_OF_MODULES)
def test_all_but_classes_of_modules_is_refused(name, monkeypatch):
    import torch.nn.modules.conv as conv

    class Foreign(conv.Conv3d):
        pass

    monkeypatch.setattr(conv, "SavedCall", Foreign, raising=False)
    with pytest.raises(HyperSORTError, match="no class of PyTorch modules is known by that name"):
        refuse_untrusted_classes(planned(name), source="x")


@pytest.mark.parametrize("architecture", [None, [], "x", {}, {"arch_kwargs": []}, {"arch_kwargs": {}}])
def test_an_architecture_that_is_none_is_refused(architecture):
    with pytest.raises(HyperSORTError, match="describe no network"):
        refuse_untrusted_classes({"configurations.2d": {"architecture": architecture}}, source="x")


def test_a_package_is_trusted_by_the_variable_or_an_argument(tmp_path, monkeypatch):
    package = tmp_path / "installed" / "own_networks_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import torch\nclass Net(torch.nn.Module): pass\n")
    monkeypatch.syspath_prepend(str(package.parent))
    name = "own_networks_of_mine.Net"
    with pytest.raises(HyperSORTError, match=f"set {TRUSTED_VARIABLE} to its name"):
        refuse_untrusted_classes(planned(name), source="x")
    assert "own_networks_of_mine" not in sys.modules
    refuse_untrusted_classes(planned(name), source="x", trusted_packages=["own_networks_of_mine"])
    monkeypatch.setenv(TRUSTED_VARIABLE, "other, own_networks_of_mine")
    refuse_untrusted_classes(planned(name), source="x")
    for prefix in ("own_networks", "own_networks_of_mine.net", "own_networks_of_mine.Net.x"):
        monkeypatch.setenv(TRUSTED_VARIABLE, prefix)
        with pytest.raises(HyperSORTError, match="nothing of it was imported"):
            refuse_untrusted_classes(planned(name), source="x")


def test_a_trusted_package_is_not_taken_from_the_current_folder(trap, monkeypatch):
    monkeypatch.setenv(TRUSTED_VARIABLE, "trap, package")
    for place in ("", str(Path.cwd())):
        monkeypatch.syspath_prepend(place)
        for name in ("trap.Net", "package.Net"):
            with pytest.raises(HyperSORTError, match="the current folder is not searched"):
                refuse_untrusted_classes(planned(name), source="x")
        with pytest.raises(HyperSORTError, match="nothing of it was imported"):
            refuse_untrusted_classes(planned("package.__main__.Net"), source="x")
    assert not trap.exists()
    assert "" in sys.path


def test_a_program_started_in_the_folder_of_a_trap_imports_nothing_of_it(trap):
    program = (
        "from nnunetv2_hypersort.nnunet.network_classes import refuse_untrusted_classes as refuse\n"
        "for name in ('unittest.__main__.Net', 'venv.__main__.Net', 'trap.Net'):\n"
        "    planned = {'network_class_name': name, 'arch_kwargs': {}, '_kw_requires_import': []}\n"
        "    try:\n        refuse({'configurations.2d': {'architecture': planned}}, source='x')\n"
        "    except RuntimeError as error:\n        print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["HyperSORTError"] * 3
    assert not trap.exists()
    assert sorted(os.listdir()) == ["package", "test_x.py", "trap.py"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("image_reader_writer", "os"),
        ("image_reader_writer", "BaseException"),
        ("image_reader_writer", "np"),
        ("image_reader_writer", "Absent"),
        ("label_manager", "join"),
        ("preprocessor_name", "recursive_find_python_class"),
        ("preprocessor_name", "multiprocessing"),
        ("normalization_schemes", ["ABC"]),
        ("normalization_schemes", "ZScoreNormalization"[:3]),
        ("normalization_schemes", None),
        ("resampling_fn_data", "partial"),
        ("resampling_fn_seg", "map_coordinates"),
        ("resampling_fn_probabilities", "np"),
    ],
)
def test_a_part_of_nnunet_that_is_none_is_refused(key, name):
    configuration = {
        "architecture": {},
        "preprocessor_name": "DefaultPreprocessor",
        "normalization_schemes": ["ZScoreNormalization", "CTNormalization"],
        **dict.fromkeys(("resampling_fn_data", "resampling_fn_seg"), "resample_data_or_seg_to_shape"),
        "resampling_fn_probabilities": "resample_torch_fornnunet",
    }
    plans = {
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "configurations": {"2d": {"inherits_from": "3d_fullres"}, "3d_fullres": configuration},
    }
    refuse_foreign_components(plans, "2d", source="x")
    (configuration if key in configuration else plans)[key] = name
    with pytest.raises(HyperSORTError, match=f"{key} in x is .*, and nnU-Net has none of that name"):
        refuse_foreign_components(plans, "2d", source="x")


def test_a_configuration_that_is_not_planned_is_refused():
    circle = {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}
    for plans in (
        {},
        {"configurations": {}},
        {"configurations": circle},
        {"configurations": {"a": {"inherits_from": "c"}}},
    ):
        with pytest.raises(HyperSORTError, match="does not plan the configuration a"):
            refuse_foreign_components(plans, "a", source="x")
