"""Settings from a YAML file or from a config that ships with the package."""

import difflib
import os
from importlib import resources
from pathlib import Path

import yaml

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings.schema import Settings

CONFIG_VARIABLE = "HYPERSORT_CONFIG"
"""Environment variable that chooses the settings of a training: a path, or the name of a shipped config."""


def shipped_configs() -> list[str]:
    """The names of the training configs that ship with the package, sorted."""
    folder = resources.files("nnunetv2_hypersort.configs")
    names = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    # Specs of planted styles stand in the same folder; they are no settings of a training.
    return [name for name in names if not name.startswith("perturb_")]


def load_settings(path_or_name: str | os.PathLike[str]) -> Settings:
    """Read settings from a YAML file, or from a shipped config given by its name.

    Args:
        path_or_name: A path to a YAML file, or a name such as `default` or `published`.

    Raises:
        HyperSORTError: The file is missing, not YAML, holds an unknown key, or a value out of range.
    """
    text, source = _read(os.fspath(path_or_name))
    try:
        content = yaml.safe_load(text)
    except Exception as error:  # PyYAML lets errors of Python through, as of a date with a 13th month
        problem = " ".join(str(error).split())[:300] or type(error).__name__
        raise HyperSORTError(f"{source} is not valid YAML: {problem}.") from error
    return Settings.from_dict(content, source=source)


def _read(path_or_name: str) -> tuple[str, str]:
    path = Path(path_or_name).expanduser()
    names = shipped_configs()
    if path_or_name in names and not path.is_file():
        text = (resources.files("nnunetv2_hypersort.configs") / f"{path_or_name}.yaml").read_text(encoding="utf-8")
        return text, f"shipped config {path_or_name}.yaml"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        nearest = difflib.get_close_matches(path_or_name, names, n=1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise HyperSORTError(
            f"Settings {path_or_name!r} ({CONFIG_VARIABLE}) are neither a file nor a shipped config "
            f"({', '.join(names)}).{hint}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise HyperSORTError(f"Settings {path} ({CONFIG_VARIABLE}) cannot be read as a text file: {error}.") from error
