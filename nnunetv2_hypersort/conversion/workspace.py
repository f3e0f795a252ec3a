"""The folder in which a dataset grows, and the moment it becomes one.

nnU-Net takes every folder whose name begins with `DatasetNNN` for a dataset. Until it is complete, a dataset therefore
lives under a hidden name, together with what is needed to go on after an interruption.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.conversion.cases import CaseCheck, SourceCase, file_stamps
from nnunetv2_hypersort.conversion.checking import FULL
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.nnunet.dataset_ids import UNFINISHED, nnunet_folders, of_id

_REMOVED = ".removing-"


@dataclass(frozen=True)
class Workspace:
    """An unfinished dataset.

    Attributes:
        final: The dataset folder, once complete.
        settings: Everything that decides what the dataset will contain, as JSON content.
    """

    final: Path
    settings: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The hidden folder beside the final one."""
        return self.final.with_name(f"{UNFINISHED}{self.final.name}")

    @property
    def bookkeeping(self) -> Path:
        """What only an unfinished dataset needs."""
        return self.folder / ".conversion"

    @property
    def records(self) -> Path:
        """One record for each finished case."""
        return self.bookkeeping / "cases"

    def require_same_settings(self, *, overwrite: bool) -> None:
        """Look at what an earlier, interrupted run left; with `overwrite`, remove what does not fit.

        Raises:
            HyperSORTError: It was started with other settings.
        """
        if not self.folder.exists():
            return
        earlier = self._state().get("settings")
        if earlier == self.settings:
            return
        if overwrite:
            _remove(self.folder)
            return
        differing = [key for key, value in self.settings.items() if (earlier or {}).get(key) != value]
        what = "\n".join(f"  {key}: {(earlier or {}).get(key)!r} then, {self.settings[key]!r} now" for key in differing)
        raise HyperSORTError(
            f"{self.folder} was left by an interrupted conversion with other settings:\n{what}\n"
            "Repeat the earlier command to go on with it, or remove the folder (or add --overwrite) to start again"
        )

    def earlier_checks(self, cases: Sequence[SourceCase], mode: str) -> dict[str, CaseCheck]:
        """Return the checks of an interrupted run, at least as thorough, of cases whose files are still the same."""
        stored: Mapping[str, Any] = self._state().get("checks", {})
        checks = {}
        for case in cases:
            entry = stored.get(case.identifier)
            if entry and entry["mode"] in (FULL, mode) and _unchanged(case, entry["stamps"]):
                checks[case.identifier] = CaseCheck.from_json(entry["check"], entry["stamps"])
        return checks

    def begin(self, cases: Sequence[SourceCase], checks: Mapping[str, CaseCheck], mode: str) -> None:
        """Create the folder and note settings and checks in it."""
        self.records.mkdir(parents=True, exist_ok=True)
        for name in ("imagesTr", "labelsTr"):
            (self.folder / name).mkdir(exist_ok=True)
        stored = {
            case.identifier: {
                "mode": mode,
                "stamps": checks[case.identifier].stamps,
                "check": checks[case.identifier].to_json(),
            }
            for case in cases
        }
        write_json(self.bookkeeping / "state.json", {"settings": self.settings, "checks": stored})

    def finished(self, cases: Sequence[SourceCase]) -> dict[str, Any]:
        """Return the records of the cases that need not be converted again."""
        records = {}
        for case in cases:
            entry = _read_json(self.records / f"{case.identifier}.json")
            if entry and _unchanged(case, entry["stamps"]):
                records[case.identifier] = entry["record"]
        return records

    def tidy(self, cases: Sequence[SourceCase]) -> None:
        """Remove what killed workers left half-written, and files of cases that are no longer part of the dataset."""
        kept = {case.identifier for case in cases}
        for folder in (self.folder / name for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs")):
            for path in folder.glob("*") if folder.is_dir() else ():
                identifier = path.name.removesuffix(".nii.gz")
                if folder.name.startswith("images"):
                    identifier = identifier[: -len("_0000")]
                if identifier not in kept:
                    path.unlink()

    def publish(self, dataset_id: int, replaced: Sequence[Path]) -> None:
        """Give the folder its final name, after removing what it replaces."""
        for path in replaced:
            # First out of nnU-Net's sight in one step, then file by file.
            hidden = path.with_name(f"{_REMOVED}{path.name}")
            _remove(hidden)
            path.rename(hidden)
        self.folder.rename(self.final)
        self.tidy_published(dataset_id)

    @property
    def is_published(self) -> bool:
        """Whether an earlier run with the same settings was killed between giving the final name and tidying up."""
        return bool(_read_json(self.final / self.bookkeeping.name / "state.json").get("settings") == self.settings)

    def tidy_published(self, dataset_id: int) -> None:
        """Remove from a complete dataset what only an unfinished one needs, and what it replaced."""
        bookkeeping = self.final / self.bookkeeping.name
        # The state last: by it a run that is killed here is known to have done its work.
        _remove(bookkeeping / self.records.name)
        _remove(bookkeeping)
        for folder in nnunet_folders().values():
            for prefix in (_REMOVED, _REMOVED + UNFINISHED):
                for path in of_id(dataset_id, folder, prefix=prefix):
                    _remove(path)

    def _state(self) -> dict[str, Any]:
        return _read_json(self.bookkeeping / "state.json")


def write_record(folder: Path, case: SourceCase, record: Mapping[str, Any]) -> None:
    """Note in the folder of records that a case is complete, and what was done with it."""
    target = folder / f"{case.identifier}.json"
    temporary = target.with_suffix(".part")
    # Not flushed to the disk, unlike the label it stands for: a record that a power cut takes away, or spoils, costs no
    # more than converting that case again.
    temporary.write_text(json.dumps({"stamps": file_stamps(case.files), "record": record}), encoding="utf-8")
    os.replace(temporary, target)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _unchanged(case: SourceCase, stamps: Any) -> bool:
    try:
        return bool(file_stamps(case.files) == stamps)
    except OSError:
        return False


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
