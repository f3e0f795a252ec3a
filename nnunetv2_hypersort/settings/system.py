"""One class for the settings of any trainer: YAML in, typed and checked, stored in nnU-Net's plans."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeVar

from nnunetv2_hypersort.settings import checks
from nnunetv2_hypersort.settings.loading import System, read_config
from nnunetv2_hypersort.settings.training import TrainingSettings

S = TypeVar("S", bound="SystemSettings")


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """All settings of a training: a section for each subject, every key with its type, range and default.

    A system of its own derives from it, names itself, and adds sections, frozen dataclasses whose fields carry a check:

        @dataclass(frozen=True, kw_only=True)
        class LossSettings:
            label_smoothing: float = field(default=0.1, metadata=checks.number(0, 1))


        @dataclass(frozen=True, kw_only=True)
        class SmoothSettings(SystemSettings):
            system: ClassVar[System] = System("Smooth", section="smooth", variable="SMOOTH_CONFIG")
            loss: LossSettings = field(default_factory=LossSettings)

    Attributes:
        training: Departures from the trainer's own values.
    """

    system: ClassVar[System]

    training: TrainingSettings = field(default_factory=TrainingSettings)

    @classmethod
    def load(cls: type[S], path_or_name: str | os.PathLike[str]) -> S:
        """Read settings from a YAML file, or from a shipped config of this system given by its name.

        Args:
            path_or_name: A path to a YAML file, or a name such as `default` or `published`.

        Raises:
            HyperSORTError: The file is missing, not YAML, holds an unknown key, or a value out of range.
        """
        content, source = read_config(path_or_name, cls.system)
        return cls.from_dict(content, source=source)

    @classmethod
    def from_environment(cls: type[S]) -> S | None:
        """The settings that the system's environment variable names, or None if it is not set.

        Raises:
            HyperSORTError: As `load`.
        """
        chosen = os.environ.get(cls.system.variable)
        return cls.load(chosen) if chosen else None

    @classmethod
    def from_plans(cls: type[S], plans: Mapping[str, Any] | None, *, source: str) -> S | None:
        """The settings stored in nnU-Net's plans, or None if there are none of this system.

        Args:
            plans: Content of a `plans.json`.
            source: Where the plans come from; named in errors.

        Raises:
            HyperSORTError: They hold an unknown key or a value out of range.
        """
        section = (plans or {}).get(cls.system.section)
        if not isinstance(section, Mapping) or "settings" not in section:
            return None
        return cls.from_dict(section["settings"], source=f"{source}: {cls.system.section}.settings")

    @classmethod
    def from_dict(cls: type[S], content: object, *, source: str) -> S:
        """Build settings from nested mappings, every key and value checked.

        Args:
            content: What a YAML or JSON file holds: `{section: {key: value}}`. None is an empty mapping.
            source: Where `content` comes from; named in errors.

        Raises:
            HyperSORTError: An unknown section or key (the nearest valid one is named), a value of the wrong type or
                out of its range, or values that exclude each other.
        """
        given = checks.mapping(content, where=source)
        kinds = {section.name: section.default_factory for section in cls._sections()}
        checks.known_keys(given, kinds, where=source)
        sections = {name: _section(kind, given.get(name), f"{source}: {name}") for name, kind in kinds.items()}
        settings = cls(**sections)
        settings.check(source=source)
        return settings

    def check(self, *, source: str) -> None:
        """Refuse values that are right each by itself and exclude each other; for systems to override.

        Args:
            source: Where the settings come from, to be named in errors.

        Raises:
            HyperSORTError: There are such values.
        """

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The settings as nested dictionaries of JSON types; `from_dict` reads them back."""
        return {
            section.name: {
                key: value.value if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
                for key, value in dataclasses.asdict(getattr(self, section.name)).items()
            }
            for section in self._sections()
        }

    def store_in(self, plans: dict[str, Any]) -> None:
        """Enter the settings into nnU-Net's plans, which go with every checkpoint."""
        plans[self.system.section] = {"settings": self.to_dict()}

    def differences(self: S, other: S) -> list[tuple[str, Any, Any]]:
        """The keys in which two settings differ, as `(section.key, value here, value there)`."""
        here, there = self.to_dict(), other.to_dict()
        return [
            (f"{section}.{key}", value, there[section][key])
            for section, values in here.items()
            for key, value in values.items()
            if value != there[section][key]
        ]

    @classmethod
    def _sections(cls) -> list["dataclasses.Field[Any]"]:
        # What a system adds comes first: it is what people set.
        return sorted(dataclasses.fields(cls), key=lambda section: section.name == "training")


def _section(kind: Any, content: object, where: str) -> Any:
    given = checks.mapping(content, where=where)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    checks.known_keys(given, fields, where=where)
    values = {}
    for key, value in given.items():
        if value is None:
            # `key:` with nothing behind it, and null in plans.json, both mean "as the default".
            continue
        values[key] = fields[key].metadata["check"](value, f"{where}.{key}")
    return kind(**values)
