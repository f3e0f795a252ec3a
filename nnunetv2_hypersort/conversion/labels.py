"""Which source classes become which labels of the nnU-Net dataset."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_hypersort.errors import HyperSORTError

ALL = "all"
MOST_LABELS = 255  # label maps are written as unsigned 8-bit integers


@dataclass(frozen=True)
class LabelPlan:
    """The labels of the new dataset and where they come from.

    Attributes:
        names: Label names in order; `names[i]` has the id `i + 1` (0 is the background).
        targets: Source class name -> label id, in the order of the source's class map. Classes that were not chosen are
            absent: their voxels become background.
        whole: Whether every class of the source is used.
    """

    names: tuple[str, ...]
    targets: Mapping[str, int]
    whole: bool

    def dataset_labels(self) -> dict[str, int]:
        """Return the `labels` entry of dataset.json: consecutive ids from 0, the background."""
        return {"background": 0, **{name: index for index, name in enumerate(self.names, start=1)}}

    def names_without(self, missing: Iterable[str]) -> tuple[str, ...]:
        """The labels that are made of no class in `missing`: one of several classes is annotated if all of them are."""
        lost = {self.targets[name] for name in missing}
        return tuple(name for index, name in enumerate(self.names, start=1) if index not in lost)


def parse_merge(text: str) -> tuple[str, list[str]]:
    """Read `NAME=CLASS,CLASS,...` into the new label's name and the names of its classes.

    Raises:
        HyperSORTError: The text does not have that form.
    """
    name, separator, members = text.partition("=")
    classes = [member.strip() for member in members.split(",") if member.strip()]
    if not separator or not name.strip() or not classes:
        raise HyperSORTError(
            f"--merge {text!r} is not of the form NAME=CLASS,CLASS (for example kidneys=kidney_right,kidney_left)"
        )
    return name.strip(), classes


def plan_labels(
    available: Sequence[str],
    chosen: Iterable[str] | None = None,
    *,
    merges: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> LabelPlan:
    """Choose classes, merge some into one label, and number the labels consecutively in the source's order.

    Args:
        available: All class names of the source, in the order of its class map.
        chosen: Class names, group names, names of merged labels, or "all"; None means all. Merged labels are always
            included.
        merges: New label name -> classes (or groups) that become that one label.
        groups: Group name -> its classes.
        aliases: Other spellings that users know -> class name.

    Returns:
        The plan; a merged label takes the place of its first class.

    Raises:
        HyperSORTError: A name is unknown (the nearest are named), a class is used twice, or nothing is chosen.
    """
    merges, groups, aliases = merges or {}, groups or {}, aliases or {}
    label_of: dict[str, str] = {}
    for label, members in merges.items():
        expanded = _expand(members, available, groups, aliases, ())
        if label == "background" or label in set(available) - set(expanded):
            raise HyperSORTError(f"--merge: {label!r} is already the name of another label; choose a new name")
        for member in expanded:
            if member in label_of:
                raise HyperSORTError(f"--merge: {member} is in both {label_of[member]!r} and {label!r}; name it once")
            label_of[member] = label
    for name in _expand([ALL] if chosen is None else chosen, available, groups, aliases, tuple(merges)):
        label_of.setdefault(name, name)
    names = list(dict.fromkeys(label_of[name] for name in available if name in label_of))
    if not names:
        raise HyperSORTError("no class is chosen; name at least one with --classes")
    if len(names) > MOST_LABELS:
        raise HyperSORTError(f"{len(names)} labels do not fit into a label map; choose at most {MOST_LABELS}")
    targets = {name: names.index(label_of[name]) + 1 for name in available if name in label_of}
    return LabelPlan(names=tuple(names), targets=targets, whole=len(targets) == len(available))


def _expand(
    wanted: Iterable[str],
    available: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    aliases: Mapping[str, str],
    merged: Sequence[str],
) -> list[str]:
    known = set(available)
    expanded: list[str] = []
    for name in wanted:
        resolved = aliases.get(name, name)
        if resolved in known:
            expanded.append(resolved)
        elif name == ALL:
            expanded.extend(available)
        elif name in groups:
            expanded.extend(member for member in groups[name] if member in known)
        elif "," in name:
            names = " ".join(part for part in name.split(",") if part)
            raise HyperSORTError(f"{name!r} is no class: names are separated by blanks, as in --classes {names}")
        elif name not in merged:
            choices = [*available, *groups, ALL, *merged]
            near = difflib.get_close_matches(name, choices, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(choices)}"
            raise HyperSORTError(f"the class {name!r} is not in this release; {hint}")
    return list(dict.fromkeys(expanded))
