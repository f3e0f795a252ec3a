"""The YAML file of a training, or the config that ships with the package under a name."""

import difflib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings.yaml_file import parse_yaml, read_yaml


@dataclass(frozen=True)
class System:
    """What tells the settings of one kind of training from those of another.

    Attributes:
        name: What people call it; named in logs.
        section: Key in nnU-Net's plans, and folder of its shipped configs.
        variable: Environment variable that chooses the settings of a training: a path, or the name of a shipped config.
    """

    name: str
    section: str
    variable: str


def shipped_configs(section: str = "hypersort") -> list[str]:
    """The names of the training configs of a system that ship with the package, sorted.

    Args:
        section: The system's `System.section`.
    """
    folder = resources.files("nnunetv2_hypersort.configs") / section
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_config(path_or_name: str | os.PathLike[str], system: System) -> tuple[Any, str]:
    """Read a YAML file, or a shipped config of a system given by its name.

    Returns:
        The content, and where it comes from.

    Raises:
        HyperSORTError: The file is missing, not YAML, or gives a key twice.
    """
    name = os.fspath(path_or_name)
    path, names = Path(name).expanduser(), shipped_configs(system.section)
    if name in names and not path.is_file():
        shipped = resources.files("nnunetv2_hypersort.configs") / system.section / f"{name}.yaml"
        source = f"shipped config {name}.yaml"
        return parse_yaml(shipped.read_text(encoding="utf-8"), source), source
    try:
        return read_yaml(path, str(path)), str(path)
    except FileNotFoundError:
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise HyperSORTError(
            f"Settings {name!r} ({system.variable}) are neither a file nor a shipped config "
            f"({', '.join(names) or 'there are none'}).{hint}"
        ) from None
