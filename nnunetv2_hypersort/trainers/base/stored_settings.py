"""Which settings a training runs with: those asked for, those of its model folder, or the defaults."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.settings import SystemSettings

S = TypeVar("S", bound=SystemSettings)


def resolve_settings(kind: type[S], asked: S | None, model_folder: Path, fold: int | str) -> tuple[S, str]:
    """Decide on the settings of a training that starts or continues.

    Args:
        kind: The settings of the trainer's system.
        asked: What the system's variable names, or None.
        model_folder: The trained-model folder that holds (or will hold) the fold folders.
        fold: The fold to be trained.

    Returns:
        The settings, and where they come from.

    Raises:
        HyperSORTError: The settings asked for differ from those another fold of this model was trained with.
    """
    stored, origin = _stored(kind, model_folder, fold)
    if asked is None:
        return (stored, origin) if stored else (kind(), "defaults")
    others = sorted(
        folder.name
        for folder in model_folder.glob("fold_*")
        if folder.name != f"fold_{fold}" and any(folder.glob("checkpoint_*.pth"))
    )
    if stored is not None and others:
        refuse_differences(asked, stored, there=f"{', '.join(others)} of {model_folder}")
    return asked, f"{kind.system.variable}={os.environ.get(kind.system.variable)}"


def refuse_differences(here: S, stored: S, *, there: str) -> None:
    """Raise if two settings differ, with both values of each key.

    Raises:
        HyperSORTError: They differ.
    """
    differences = here.differences(stored)
    if differences:
        listed = "; ".join(f"{key} is {ours!r} here and {theirs!r} there" for key, ours, theirs in differences)
        raise HyperSORTError(
            f"The settings differ from those of {there}: {listed}. To go on with that run, set {here.system.variable} "
            f"to its settings (unset it if plans.json in the model folder has them); to train with other settings, "
            f"move that run away or use another plans name."
        )


def refuse_replaced(settings: SystemSettings, model_folder: Path) -> None:
    """Raise if another fold has begun with other settings since: all folds share one plans.json, the last one's.

    Args:
        settings: Those that this training runs with.
        model_folder: The trained-model folder.

    Raises:
        HyperSORTError: The plans.json there states other settings.
    """
    path = model_folder / "plans.json"
    stored = None
    # Another fold that starts may be writing the file in place.
    with suppress(HyperSORTError):
        stored = type(settings).from_plans(_read_plans(path), source=str(path))
    if stored is not None:
        refuse_differences(settings, stored, there=f"a training that has begun in {model_folder} since")


def _stored(kind: type[S], model_folder: Path, fold: int | str) -> tuple[S | None, str]:
    path = model_folder / "plans.json"
    try:
        return kind.from_plans(_read_plans(path), source=str(path)), str(path)
    except HyperSORTError:
        # nnU-Net writes the file in place whenever a training starts, and a training killed there leaves a part of it.
        # Each checkpoint holds the plans, too, and nnU-Net is about to write the file again.
        checkpoints = sorted(
            model_folder.glob("fold_*/checkpoint_*.pth"), key=lambda file: (file.parent.name != f"fold_{fold}", file)
        )
        for checkpoint in checkpoints:
            with suppress(HyperSORTError):
                plans = read_checkpoint(checkpoint)["init_args"].get("plans")
                return kind.from_plans(plans, source=str(checkpoint)), f"{checkpoint}, as {path} is damaged"
        if not checkpoints:
            return None, "defaults"
        raise


def _read_plans(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise HyperSORTError(f"{path} is not valid JSON ({error}); restore it or remove it to start anew.") from error
    if not isinstance(content, Mapping):
        raise HyperSORTError(f"{path} is not a JSON object, so it holds no plans; restore it or remove it.")
    return content
