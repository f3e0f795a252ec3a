"""Settings from a YAML file or from a config that ships with the package."""

import difflib
import os
from importlib import resources
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings.schema import Settings
from nnunetv2_hypersort.settings.yaml_file import parse_yaml, read_yaml

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
        HyperSORTError: The file is missing, not YAML, holds an unknown key or a key twice, or a value out of range.
    """
    name = os.fspath(path_or_name)
    path, names = Path(name).expanduser(), shipped_configs()
    if name in names and not path.is_file():
        source = f"shipped config {name}.yaml"
        text = (resources.files("nnunetv2_hypersort.configs") / f"{name}.yaml").read_text(encoding="utf-8")
        return Settings.from_dict(parse_yaml(text, source), source=source)
    try:
        content = read_yaml(path, str(path))
    except FileNotFoundError:
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise HyperSORTError(
            f"Settings {name!r} ({CONFIG_VARIABLE}) are neither a file nor a shipped config ({', '.join(names)}).{hint}"
        ) from None
    return Settings.from_dict(content, source=str(path))
