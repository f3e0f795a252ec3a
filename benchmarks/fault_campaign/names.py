"""Hostile names in the files of a trained model, with canaries that show whether anything ran or was written."""

import json
import os
import pickle
import random
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.fault_campaign.mutations import MutationCounts, outcome_of
from nnunetv2_hypersort.handover.export import export_style
from nnunetv2_hypersort.latents import LatentChoice, Style, StyleBook, StyleInFold
from nnunetv2_hypersort.model import ModelFolder, load_preprocessed
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel

CHECKPOINT, PICKLE = "fold_0/checkpoint_final.pth", "case.pkl"
STYLE = "canary"

# Where a name stands: the file, the keys on the way to it, and what kind of name belongs there.
PLACES: list[tuple[str, tuple[Any, ...], str]] = [
    *(("plans.json", (key,), "path") for key in ("dataset_name", "plans_name")),
    *(
        ("plans.json", ("configurations", None, key), "path")
        for key in ("data_identifier", "inherits_from", "previous_stage", "next_stage")
    ),
    *(("plans.json", (key,), "word") for key in ("image_reader_writer", "label_manager")),
    *(
        ("plans.json", ("configurations", None, key), "word")
        for key in ("preprocessor_name", "resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities")
    ),
    ("plans.json", ("configurations", None, "normalization_schemes", 0), "word"),
    ("plans.json", ("configurations", None, "architecture", "network_class_name"), "class"),
    *(
        ("plans.json", ("configurations", None, "architecture", "arch_kwargs", layer), "class")
        for layer in ("conv_op", "norm_op", "nonlin")
    ),
    ("plans.json", ("hypersort", "styles", 0, "name"), "path"),
    ("plans.json", ("hypersort", "styles", 0, "cases", 0), "path"),
    ("plans.json", ("hypersort", "styles", 0, "folds", "0", "case"), "path"),
    ("dataset.json", ("file_ending",), "path"),
    ("dataset.json", ("dataset",), "listing"),
    (CHECKPOINT, ("trainer_name",), "word"),
    (CHECKPOINT, ("init_args", "configuration"), "path"),
    (PICKLE, (), "pickle"),
]


@dataclass(frozen=True)
class _Place:
    """Where an attack happens: everything is inside `root`, and only `exports` may be written to."""

    root: Path
    model: Path
    here: Path
    mark: Path
    exports: Path


class _Marks:
    def __init__(self, mark: Path, by: Callable[..., Any]) -> None:
        self._call = (by, (str(mark),))

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def attack_with_names(
    count: int, model_folder: Path, scratch: Path, *, seed: int = 0, places: Sequence[Any] = PLACES
) -> MutationCounts:
    """Put one hostile name at a time where a model has a name, beside and in its checkpoint, and use the model.

    The code paths: the start of every verb, the checks before `hypersort predict`, reading a preprocessed case,
    finding images and labels, and the export of a style. The current folder, which Python searches, and the model hold
    modules, packages and cases that leave a mark when anything of them runs.

    Args:
        count: How many names.
        model_folder: A trained-model folder with `fold_0/checkpoint_final.pth`; its preprocessed data are at hand.
        scratch: A folder to be made.
        seed: Of the order of places, and the choice of names.
        places: Those of `PLACES` to take.

    Returns:
        The counts. A failure is a mark, a file outside of the export, another exception, or a hang.
    """
    draw = random.Random(seed)
    place = _prepare(model_folder, scratch)
    whole = {name: (place.model / name).read_bytes() for name in ("plans.json", "dataset.json", CHECKPOINT)}
    case_file, case = _case(place)
    counts = MutationCounts()
    _refuse_dead_traps(place)
    before = _listing(place)
    order = draw.sample(places, len(places))
    for number in range(count):
        file, keys, kind = order[number % len(order)]
        name = draw.choice(_hostile(kind, place))
        _write(place, whole, file, keys, name, case_file)
        outcomes = {path: outcome_of(use) for path, use in _uses(place, case_file.stem).items()}
        written = sorted(str(path.relative_to(place.root)) for path in _listing(place) ^ before)
        counts.outcomes[file, kind, "refused" if "refused" in outcomes.values() else "the same model"] += 1
        counts.failures += [
            f"name {number + 1}, {'.'.join(map(str, keys))} of {file} = {name!r}, {path}: {outcome}"
            for path, outcome in [*outcomes.items(), ("anywhere", f"wrote {written}" if written else "refused")]
            if outcome not in ("refused", "the same model")
        ]
        for entry in written:
            _remove(place.root / entry)
        _remove(place.exports)
        for changed, content in whole.items():
            (place.model / changed).write_bytes(content)
        case_file.write_bytes(case)
    shutil.rmtree(scratch)
    return counts


def _prepare(model_folder: Path, scratch: Path) -> _Place:
    root = scratch.resolve()
    model = root / "nnUNet_results" / model_folder.parent.name / model_folder.name
    (model / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", CHECKPOINT):
        shutil.copyfile(model_folder / name, model / name)
    for file in (model_folder, *_preprocessed(model_folder)):
        if (file / "dataset_fingerprint.json").is_file():
            shutil.copyfile(file / "dataset_fingerprint.json", model / "dataset_fingerprint.json")
    preprocessed = root / "nnUNet_preprocessed" / model_folder.parent.name
    shutil.copytree(_preprocessed(model_folder)[0], preprocessed)
    place = _Place(root, model, root / "here", root / "mark", root / "exports")
    opened = ModelFolder.open(model, folds=[0])
    record = opened.fold(0).record
    latent = StyleInFold(tuple(record.latents[0]), record.case_ids[0], record.fingerprint, 0)
    opened.write_book(StyleBook((Style(STYLE, {"0": latent}, record.case_ids),)))
    # A canary in each place from which Python, or nnU-Net, might take something.
    sings = f"open({str(place.mark)!r}, 'w').close()\nimport torch\nclass Net(torch.nn.Module): pass\n"
    for folder in (place.here, model):
        for module in ("canary.py", "nest/__init__.py", "nest/__main__.py", "test_canary.py"):
            (folder / module).parent.mkdir(parents=True, exist_ok=True)
            (folder / module).write_text(sings)
    cases = preprocessed / opened.planned.configuration_manager.data_identifier
    shutil.copytree(cases, model / "cases")
    for file in (model / "cases").glob("*.pkl"):
        file.write_bytes(pickle.dumps(_Marks(place.mark, os.mkdir)))
    (root / "outside").mkdir()
    return place


def _preprocessed(model_folder: Path) -> list[Path]:
    folder = ModelFolder.open(model_folder, folds=[0]).preprocessed_folder()
    if folder is None:
        raise FileNotFoundError(f"no preprocessed data of {model_folder}")
    return [folder]


def _case(place: _Place) -> tuple[Path, bytes]:
    file = sorted((place.root / "nnUNet_preprocessed").glob("*/*/*.pkl"))[-1]
    return file, file.read_bytes()


def _refuse_dead_traps(place: _Place) -> None:
    with next(iter((place.model / "cases").glob("*.pkl"))).open("rb") as file:
        pickle.load(file)
    if not place.mark.is_dir():
        raise RuntimeError("the canary is dead, so nothing would be noticed")
    place.mark.rmdir()


def _hostile(kind: str, place: _Place) -> list[Any]:
    inside = f"../nnUNet_results/{place.model.parent.name}/{place.model.name}"
    paths = ["../outside", str(place.root / "outside"), inside, f"{inside}/cases", "..", ".", "", "a/b", "a\\b", "x\0y"]
    words = ["os", "torch", "np", "multiprocessing", "join", "isfile", "ABC", "canary", "__import__", "nest.__main__"]
    classes = ["canary.Net", "nest.Net", "nest.__main__.Net", "venv.__main__.Net", "unittest.__main__.Net"]
    functions = ["os.system", "os.mkdir", "subprocess.Popen", "torch.hub.load", "torch.nn..Module", "builtins.exec"]
    odd: list[Any] = [7, ["x"], {"x": 1}, "x" * 300, "\ud800"]
    calls = [os.mkdir, os.system, eval, open, torch.load]
    return {
        "path": [*paths, *odd],
        "word": [*words, *paths, *classes, *odd],
        "class": [*classes, *classes, *functions, *words, *odd],
        "listing": [{"x": {"images": ["../../outside/x"], "label": str(place.mark)}}, {"../x": {}}, [], "x"],
        "pickle": [_Marks(place.mark, call) for call in calls],
    }[kind]


def _write(
    place: _Place, whole: dict[str, bytes], file: str, keys: tuple[Any, ...], name: Any, case_file: Path
) -> None:
    if file == PICKLE:
        case_file.write_bytes(pickle.dumps({"spacing": name}))
        return
    checkpoint = torch.load(place.model / CHECKPOINT, map_location="cpu", weights_only=False)
    configuration = checkpoint["init_args"]["configuration"]
    way = [configuration if key is None else key for key in keys]
    if file == CHECKPOINT:
        _put(checkpoint, way, name)
    else:
        content = json.loads(whole[file])
        _put(content, way, name)
        (place.model / file).write_text(json.dumps(content))
        if way[0] != "hypersort":
            # In the checkpoint, too: otherwise the difference alone would be refused.
            _put(checkpoint["init_args"]["plans" if file == "plans.json" else "dataset_json"], way, name)
    torch.save(checkpoint, place.model / CHECKPOINT)


def _put(content: Any, way: list[Any], name: Any) -> None:
    for key in way[:-1]:
        content = content[key]
    content[way[-1]] = name


def _uses(place: _Place, case: str) -> dict[str, Callable[[], str | None]]:
    def open_model() -> str | None:
        ModelFolder.open(place.model, folds=[0]).fold(0).network()
        return None

    def check_prediction() -> str | None:
        choice = LatentChoice.parse(f"style:{STYLE}")
        PredictingModel.open(place.model, [0], choice, checkpoint_name="checkpoint_final.pth")
        return None

    def read_case() -> str | None:
        load_preprocessed(ModelFolder.open(place.model, folds=[0]), case)
        return None

    def find_images() -> str | None:
        found = CaseImages.find(ModelFolder.open(place.model, folds=[0]))
        named = [Path(file) for files in found.images.values() for file in files] + list(found.labels.values())
        led_out = [str(file) for file in named if place.root / "outside" in file.parents or file == place.mark]
        return f"images {led_out}" if led_out else None

    def export() -> str | None:
        export_style(place.model, STYLE, place.exports, validate=False, progress=False)
        return None

    uses = {"open": open_model, "predict": check_prediction, "case": read_case, "images": find_images, "export": export}
    return {name: _at(place, use) for name, use in uses.items()}


def _at(place: _Place, use: Callable[[], str | None]) -> Callable[[], str | None]:
    def used() -> str | None:
        with _in_folder_of_canaries(place):
            return use()

    return used


@contextmanager
def _in_folder_of_canaries(place: _Place) -> Iterator[None]:
    variable = "nnUNet_preprocessed"
    before, path, folder = os.environ.get(variable), list(sys.path), Path.cwd()
    os.environ[variable] = str(place.root / variable)
    sys.path.insert(0, "")
    os.chdir(place.here)
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(folder)
        sys.path[:] = path
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _listing(place: _Place) -> set[Path]:
    return {path for path in place.root.rglob("*") if place.exports not in (path, *path.parents)}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
