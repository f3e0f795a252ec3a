"""Organ groups, always by name: given by the user, or small, medium and large from the data."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.labels import find_structure

SIZE_GROUPS = ("small", "medium", "large")


def parse_groups(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Parse `--groups` arguments such as "small=gallbladder,adrenal_gland_left".

    Returns:
        Group name -> names of its structures.

    Raises:
        HyperSORTError: An argument has no such form, or two have the same group name.
    """
    groups: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, members = argument.partition("=")
        name, names = name.strip(), [member.strip() for member in members.split(",") if member.strip()]
        if not equals or not name or not names:
            raise HyperSORTError(f'--groups: "{argument}" has not the form group=label,label; write it like that.')
        if name in groups:
            raise HyperSORTError(f'--groups: the group "{name}" is given twice; put its labels into one argument.')
        groups[name] = names
    return groups


def resolve_groups(groups: Mapping[str, Sequence[str]], structures: Sequence[str]) -> dict[str, list[int]]:
    """Look the names of the groups' structures up.

    Returns:
        Group name -> indices into `structures`, each once.

    Raises:
        HyperSORTError: A structure is unknown (the nearest name is suggested), or a group is called like a structure.
    """
    names = list(structures)
    for group in groups:
        if group in names:
            raise HyperSORTError(f'--groups: "{group}" is the name of a label; choose another name for the group.')
    return {
        group: list(dict.fromkeys(find_structure(member, names, where=f"--groups, {group}") for member in members))
        for group, members in groups.items()
    }


def group_by_size(volumes: NDArray[np.float64], structures: Sequence[str]) -> dict[str, list[int]]:
    """Split structures into terciles of their median physical volume.

    Args:
        volumes: Volume of each structure in each reference in mm^3, shape (C, L); 0 where it is absent.
        structures: Their L names; they decide ties, so that the order in dataset.json does not.

    Returns:
        "small", "medium" and "large" -> indices of structures; sizes differ by at most one. A structure that no
        reference holds is in no group. Empty with fewer than three structures, where terciles mean nothing.
    """
    present = [index for index in range(len(structures)) if (volumes[:, index] > 0).any()]
    if len(present) < len(SIZE_GROUPS):
        return {}
    medians = {index: float(np.median(volumes[volumes[:, index] > 0, index])) for index in present}
    ordered = sorted(present, key=lambda index: (medians[index], structures[index]))
    parts = np.array_split(np.array(ordered), len(SIZE_GROUPS))
    return {name: [int(index) for index in part] for name, part in zip(SIZE_GROUPS, parts, strict=True)}
