"""Which settings a training runs with: those asked for, those of its model folder, or the defaults."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import CONFIG_VARIABLE, Settings, load_settings


def settings_from_environment() -> Settings | None:
    """The settings that HYPERSORT_CONFIG names, or None if it is not set."""
    chosen = os.environ.get(CONFIG_VARIABLE)
    return load_settings(chosen) if chosen else None


def resolve_settings(asked: Settings | None, model_folder: Path, fold: int | str) -> tuple[Settings, str]:
    """Decide on the settings of a training that starts or continues.

    Args:
        asked: What HYPERSORT_CONFIG names, or None.
        model_folder: The trained-model folder that holds (or will hold) the fold folders.
        fold: The fold to be trained.

    Returns:
        The settings, and where they come from.

    Raises:
        HyperSORTError: The settings asked for differ from those another fold of this model was trained with.
    """
    stored, origin = _stored(model_folder, fold)
    if asked is None:
        return (stored, origin) if stored else (Settings(), "defaults")
    others = sorted(
        folder.name
        for folder in model_folder.glob("fold_*")
        if folder.name != f"fold_{fold}" and any(folder.glob("checkpoint_*.pth"))
    )
    if stored is not None and others:
        refuse_differences(asked, stored, there=f"{', '.join(others)} of {model_folder}")
    return asked, f"{CONFIG_VARIABLE}={os.environ.get(CONFIG_VARIABLE)}"


def settings_in_plans(plans: Mapping[str, Any] | None, *, source: str) -> Settings | None:
    """The settings stored in nnU-Net plans, or None."""
    section = (plans or {}).get(PLANS_SECTION)
    if not isinstance(section, Mapping) or "settings" not in section:
        return None
    return Settings.from_dict(section["settings"], source=f"{source}: {PLANS_SECTION}.settings")


def refuse_differences(here: Settings, stored: Settings, *, there: str) -> None:
    """Raise if two settings differ, with both values of each key.

    Raises:
        HyperSORTError: They differ.
    """
    differences = here.differences(stored)
    if differences:
        listed = "; ".join(f"{key} is {ours!r} here and {theirs!r} there" for key, ours, theirs in differences)
        raise HyperSORTError(
            f"The settings differ from those of {there}: {listed}. To go on with that run, set {CONFIG_VARIABLE} to "
            f"its settings (unset it if plans.json in the model folder has them); to train with other settings, move "
            f"that run away or use another plans name."
        )


def _stored(model_folder: Path, fold: int | str) -> tuple[Settings | None, str]:
    path = model_folder / "plans.json"
    try:
        return settings_in_plans(_read_plans(path), source=str(path)), str(path)
    except HyperSORTError:
        # nnU-Net writes the file in place whenever a training starts, and a training killed there leaves a part of it.
        # Each checkpoint holds the plans, too, and nnU-Net is about to write the file again.
        checkpoints = sorted(
            model_folder.glob("fold_*/checkpoint_*.pth"), key=lambda file: (file.parent.name != f"fold_{fold}", file)
        )
        for checkpoint in checkpoints:
            with suppress(HyperSORTError):
                plans = read_checkpoint(checkpoint)["init_args"].get("plans")
                return settings_in_plans(plans, source=str(checkpoint)), f"{checkpoint}, as {path} is damaged"
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
