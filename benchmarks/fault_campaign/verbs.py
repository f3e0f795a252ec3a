"""The verbs whose work is disturbed, each on private copies of what it needs and in a fork of its own."""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.cli.main import main as hypersort
from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold
from nnunetv2_hypersort.model.model_folder import ModelFolder

STYLE = "A"
DONE, REFUSED, CRASHED, KILLED = "done", "refused", "crashed", "killed"
SPEC = """
styles:
  as_drawn: {proportion: 0.5}
  dilated: {proportion: 0.5, operations: [{dilate: {mm: 6}}]}
errors: {rate: 0.2, kinds: [empty: {}, other_case: {}]}
"""
_CHANGING = ("converted", "seconds", "source")


@dataclass(frozen=True)
class Inputs:
    """What verbs work on; nothing of it is changed.

    Attributes:
        raw: Raw dataset in nnU-Net's layout.
        model: Trained model whose folds leave each case out once, with the style `STYLE` in all of them.
        download: The same cases as a TotalSegmentator download.
        spec: Styles and errors to plant.
    """

    raw: Path
    model: Path
    download: Path
    spec: Path


@dataclass(frozen=True)
class Outcome:
    """How a process ended (`done`, `refused` in a sentence, `crashed`, `killed`), and its standard error."""

    kind: str
    errors: str


# By verb its arguments, from what it works on, the folder for what it writes, and the copy of the model in there.
VERBS: dict[str, Callable[[Inputs, Path, Path], list[str]]] = {
    "perturb": lambda inputs, place, model: [
        *("perturb", str(inputs.raw), str(place / "Dataset902_Planted")),
        *("--spec", str(inputs.spec), "--processes", "1"),
    ],
    "styles": lambda inputs, place, model: ["styles", str(model), "--cases", "0", "-device", "cpu"],
    "report": lambda inputs, place, model: ["report", str(model), "--minutes", "0", "-device", "cpu"],
    "harmonise": lambda inputs, place, model: [
        *("harmonise", str(model), "--style", STYLE, "-o", str(place / "Dataset903_OneStyle")),
        *("-device", "cpu", "-np", "1"),
    ],
    "export": lambda inputs, place, model: [
        *("export", str(model), "--style", STYLE, "-o", str(place / "exported"), "--no-validation", "-device", "cpu"),
    ],
    "convert": lambda inputs, place, model: [
        *("convert", "totalsegmentator", str(inputs.download), "-d", "904", "--classes", "liver", "-np", "1"),
    ],
}


def prepare_inputs(raw: Path, model: Path, folder: Path) -> Inputs:
    """Write the download and the spec.

    Args:
        raw: Raw dataset of one class, liver.
        model: Trained-model folder that `write_style` was called for; an empty one does for verbs that need none.
        folder: For the download and the spec; made anew.
    """
    shutil.rmtree(folder, ignore_errors=True)
    download = folder / "Totalsegmentator_dataset"
    rows = ["image_id;split"]
    for number, label in enumerate(sorted((raw / "labelsTr").glob("*.nii.gz"))[:3]):
        case = download / f"s{number:04d}"
        (case / "segmentations").mkdir(parents=True)
        image = raw / "imagesTr" / label.name.replace(".nii.gz", "_0000.nii.gz")
        shutil.copyfile(image, case / "ct.nii.gz")
        shutil.copyfile(label, case / "segmentations" / "liver.nii.gz")
        rows.append(f"{case.name};train")
    (download / "meta.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return Inputs(raw, model, download, folder / "spec.yaml")


def write_style(model: Path) -> None:
    """Write the style `STYLE` into the plans of a trained model: in each fold the latent of its first case."""
    opened = ModelFolder.open(model)
    there = {}
    for fold in opened.folds:
        record = fold.record
        case = record.case_ids[0]
        there[record.fold] = StyleInFold(tuple(record.latent_of(case)), case, record.fingerprint, 0)
    cases = tuple(sorted({case for fold in opened.folds for case in fold.record.case_ids}))
    opened.write_book(StyleBook((Style(STYLE, there, cases),)))


def fresh_place(inputs: Inputs, place: Path) -> Path:
    """An empty folder but for a copy of the model and an empty nnUNet_raw."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(inputs.model, _model_in(inputs, place))
    (place / "nnUNet_raw").mkdir()
    return place


def _model_in(inputs: Inputs, place: Path) -> Path:
    return place / inputs.model.parent.name / inputs.model.name


def start(verb: str, inputs: Inputs, place: Path, before: Callable[[], None] = lambda: None) -> tuple[int, Path]:
    """Run a verb in a fork.

    Args:
        verb: One of `VERBS`.
        inputs: What it works on.
        place: See `fresh_place`.
        before: Called in the fork before the verb.

    Returns:
        The process, and the file with what it writes to standard error; see `finish`.
    """
    descriptor, log = tempfile.mkstemp(prefix="verb-")
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(descriptor, 2)
            # What Python holds for them may be something else, as under pytest.
            sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
            if verb == "convert":
                os.environ["nnUNet_raw"] = str(place / "nnUNet_raw")
            before()
            status = hypersort(VERBS[verb](inputs, place, _model_in(inputs, place)))
        except BaseException:  # whatever it is, a fork must not go on in what its parent was doing
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(descriptor)
    return child, Path(log)


def finish(process: int, log: Path) -> Outcome:
    """Wait for a process that `start` returned."""
    _, status = os.waitpid(process, 0)
    errors = log.read_text(errors="replace")
    log.unlink()
    kind = {0: DONE, 1: REFUSED, -signal.SIGKILL: KILLED}.get(os.waitstatus_to_exitcode(status), CRASHED)
    return Outcome(kind, errors)


def run(verb: str, inputs: Inputs, place: Path) -> Outcome:
    """Run a verb undisturbed."""
    return finish(*start(verb, inputs, place))


def digest(place: Path) -> dict[str, str]:
    """A checksum of each file in a place; times and paths in the protocol of a conversion do not count."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_dir():
            continue
        content = path.read_bytes()
        if path.name == "conversion.json":
            protocol = {key: value for key, value in json.loads(content).items() if key not in _CHANGING}
            content = json.dumps(protocol).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def differences(wanted: dict[str, str], found: dict[str, str]) -> str:
    """What is missing, left over or different, in a few words; empty if nothing is."""
    parts = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    parts += [f"{name} is left over" for name in found.keys() - wanted.keys()]
    parts += [f"{name} differs" for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
    return ", ".join(sorted(parts)[:5])


def undisturbed(verb: str, inputs: Inputs, place: Path) -> tuple[dict[str, str], float]:
    """What a verb leaves if nothing disturbs it, and the seconds it takes.

    Raises:
        RuntimeError: It does not do its work, or leaves something else the second time: then nothing can be compared.
    """
    found = []
    for _ in range(2):
        began = time.monotonic()
        outcome = run(verb, inputs, fresh_place(inputs, place))
        seconds = time.monotonic() - began
        if outcome.kind != DONE:
            raise RuntimeError(f"{verb} undisturbed: {outcome.errors}")
        found.append(digest(place))
    if found[0] != found[1]:
        raise RuntimeError(f"{verb} leaves other files each time: {differences(*found)}")
    return found[0], seconds
