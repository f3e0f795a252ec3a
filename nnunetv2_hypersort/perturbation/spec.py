"""The spec of a perturbation: styles with their proportions, errors with their rate, read from YAML."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.perturbation.error_steps import ERRORS, WEIGHT, PlantedError
from nnunetv2_hypersort.perturbation.parsing import InvalidSettingError, Setting, check_keys, parse_settings
from nnunetv2_hypersort.perturbation.steps import OPERATIONS, Kind, Operation, Step
from nnunetv2_hypersort.settings.yaml_file import read_yaml


@dataclass(frozen=True)
class Style:
    """An annotation style: its name, its share of the cases (0 to 1) and its operations in order."""

    name: str
    proportion: Decimal
    operations: tuple[Operation, ...]

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """Return the label map drawn in this style; the ignore label stays where it is."""
        drawn = labels.copy()
        for operation in self.operations:
            drawn = operation.apply(drawn, grid, table)
        return restore_ignored(drawn, labels, table)


@dataclass(frozen=True)
class PerturbationSpec:
    """Styles, the share of cases that get an error in addition (0 to 1), and the kinds of errors."""

    styles: tuple[Style, ...]
    error_rate: Decimal
    errors: tuple[PlantedError, ...]

    def check_labels(self, table: LabelTable) -> None:
        """Raise a HyperSORTError if the spec names a label that the dataset does not have."""
        steps: list[Step] = [step for style in self.styles for step in style.operations]
        for step in (*steps, *self.errors):
            step.arguments(table)


def restore_ignored(changed: Labels, original: Labels, table: LabelTable) -> Labels:
    """Put the ignore label back where it was: it marks what nobody knows, in any style."""
    if table.ignore_label is not None:
        changed[changed == table.ignore_label] = 0
        changed[original == table.ignore_label] = table.ignore_label
    return changed


def load_spec(path: Path) -> PerturbationSpec:
    """Read and validate a YAML spec.

    Raises:
        HyperSORTError: The file is not readable, is no YAML, gives a key twice, or does not describe a perturbation.
    """
    try:
        content = read_yaml(path, f"The spec {path}")
    except FileNotFoundError:
        raise HyperSORTError(f"The spec {path} does not exist; give an existing file.") from None
    return parse_spec(content, str(path))


def parse_spec(content: Any, where: str = "The spec") -> PerturbationSpec:
    """Validate a spec given as nested mappings and lists.

    Args:
        content: Mapping with `styles` and, if errors are wanted, `errors`.
        where: Its name, for error messages.

    Raises:
        HyperSORTError: Keys are unknown or missing, values are not accepted, or proportions do not add up to 1.
    """
    if not isinstance(content, dict):
        raise HyperSORTError(f"{where} must be a mapping with 'styles' and, if wanted, 'errors'.")
    check_keys(content, ("styles", "errors"), where)
    listed = content.get("styles")
    if not isinstance(listed, dict) or not listed:
        raise HyperSORTError(f"{where}: 'styles' must map the name of each style to its proportion and operations.")
    styles = tuple(_parse_style(name, body, f"{where}, style {name!r}") for name, body in listed.items())
    total = sum(style.proportion for style in styles)
    if total != 1:
        raise HyperSORTError(f"{where}: the proportions of the styles add up to {total}; they must add up to 1.")
    rate, errors = _parse_errors(content.get("errors"), f"{where}, errors")
    return PerturbationSpec(styles, rate, errors)


def _parse_style(name: Any, body: Any, where: str) -> Style:
    # Names become folders and cells of a table.
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum() or name == "none":
        raise HyperSORTError(f"{where}: a style's name must consist of letters, digits, '_' and '-'; rename it.")
    if not isinstance(body, dict):
        raise HyperSORTError(f"{where} must be a mapping with 'proportion' and 'operations'.")
    check_keys(body, ("proportion", "operations"), where)
    proportion = _share(body.get("proportion"), f"{where}: proportion")
    steps = body.get("operations") or []
    read = _parse_steps(steps, OPERATIONS, {}, f"{where}, operations")
    return Style(name, proportion, tuple(Operation(kind, settings) for kind, settings in read))


def _parse_errors(body: Any, where: str) -> tuple[Decimal, tuple[PlantedError, ...]]:
    if body is None:
        return Decimal(0), ()
    if not isinstance(body, dict):
        raise HyperSORTError(f"{where} must be a mapping with 'rate' and 'kinds'.")
    check_keys(body, ("rate", "kinds"), where)
    rate = _share(body.get("rate"), f"{where}: rate")
    read = _parse_steps(body.get("kinds") or [], ERRORS, {"weight": WEIGHT}, f"{where}, kinds")
    kinds = tuple(PlantedError(name, settings, settings.pop("weight")) for name, settings in read)
    if rate and not kinds:
        raise HyperSORTError(f"{where}: the rate is {rate} but there are no 'kinds'; list at least one.")
    return rate, kinds


def _parse_steps(
    listed: Any, known: Mapping[str, Kind], more: Mapping[str, Setting], where: str
) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(listed, list):
        raise HyperSORTError(f"{where} must be a list with entries like '- {next(iter(known))}: {{...}}'.")
    steps = []
    for number, entry in enumerate(listed, start=1):
        entry = {entry: None} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or len(entry) != 1:
            raise HyperSORTError(
                f"{where}, entry {number} must name one of {', '.join(known)} with its settings, "
                f"like '- {next(iter(known))}: {{...}}'; it is {entry!r}."
            )
        ((name, given),) = entry.items()
        check_keys([name], known, f"{where}, entry {number}")
        here = f"{where}, entry {number} ({name})"
        settings = parse_settings({**known[name].settings, **more}, given, here)
        try:
            known[name].check(settings)
        except InvalidSettingError as error:
            raise HyperSORTError(f"{here} must have {error}.") from None
        steps.append((name, settings))
    return steps


def _share(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise HyperSORTError(f"{where} is {value!r}; it must be a number from 0 to 1.")
    # By way of the digits written, so that 0.1 + 0.2 + 0.7 is 1.
    return Decimal(str(value))
