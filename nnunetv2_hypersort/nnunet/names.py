"""Names that come out of files: each is one part of a path, or one word of Python, or refused."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

_LONGEST = 255
"""Bytes of a name that file systems take."""

# With a separator of any system; on Windows also with a drive, or a stream of a file.
_NO_PART = re.compile(r"[/\\\0:]" if os.name == "nt" else r"[/\\\0]")
_FOLD = re.compile(r"\d{1,6}|all|")
_ENDING = re.compile(r"(\.[A-Za-z0-9]+){1,3}")
_WORD = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,199}")
# What nnU-Net looks up in its own packages by name, and calls.
_SEARCHED = ("image_reader_writer", "label_manager", "experiment_planner_used")
_SEARCHED_IN_CONFIGURATION = (
    "preprocessor_name",
    "resampling_fn_data",
    "resampling_fn_seg",
    "resampling_fn_probabilities",
)


def is_path_part(name: Any) -> bool:
    """Whether a name from a file can only be one part of a path: no separator, no drive, not the folder above."""
    if not isinstance(name, str) or name in ("", ".", "..") or _NO_PART.search(name):
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeError:
        return False


def path_part(name: Any, *, what: str, source: object) -> str:
    """A name from a file, if it can only be one part of a path.

    Args:
        name: What stands in the file.
        what: What it is the name of, such as `dataset_name`.
        source: The file; both are named in the error.

    Raises:
        HyperSORTError: It is no text, empty, `.` or `..`, too long, or holds a separator or a drive.
    """
    if is_path_part(name):
        return str(name)
    raise HyperSORTError(
        f"{what} in {source} is {_shown(name)}, which is not one plain name: it would lead to another folder; restore "
        f"the file, or take the model from a source you trust."
    )


def is_fold_name(name: Any) -> bool:
    """Whether this is a number, `all`, or nothing (weights that were never trained)."""
    return isinstance(name, str) and _FOLD.fullmatch(name) is not None


def check_file_ending(content: Mapping[str, Any], *, source: object) -> None:
    """Refuse a dataset.json whose `file_ending`, if it states one, is more than that, as `/../case.nii.gz` is.

    Raises:
        HyperSORTError: It is no text of up to three parts such as `.nii.gz`.
    """
    ending = content.get("file_ending")
    if ending is not None and not (isinstance(ending, str) and _ENDING.fullmatch(ending)):
        raise HyperSORTError(
            f"file_ending in {source} is {_shown(ending)}, which is no ending of files such as .nii.gz; restore the "
            f"file, or take it from a source you trust."
        )


def check_words(names: Mapping[str, Any], *, source: object) -> None:
    """Refuse names that nnU-Net looks up in its own packages and that are not one word of Python.

    Args:
        names: The names by what they are of; None is left out.
        source: The file; named in the error.

    Raises:
        HyperSORTError: One has a dot, a separator or two leading underscores, or is no text.
    """
    for what, name in names.items():
        if name is not None and not (isinstance(name, str) and _WORD.fullmatch(name)):
            raise HyperSORTError(
                f"{what} in {source} is {_shown(name)}, which is no name of a class or function of nnU-Net; restore "
                f"the file, or take the model from a source you trust."
            )


def check_plans_names(plans: Mapping[str, Any], *, source: object) -> None:
    """Refuse plans with a name that nnU-Net or we make a part of a path, or look up, and that is more than a name.

    Raises:
        HyperSORTError: See `path_part` and `check_words`; or the configurations are none.
    """
    for what, name in _path_names(plans, source):
        path_part(name, what=what, source=source)
    check_words({key: plans.get(key) for key in _SEARCHED}, source=source)
    for name, planned in (plans.get("configurations") or {}).items():
        words = {f"{name}.{key}": planned.get(key) for key in _SEARCHED_IN_CONFIGURATION}
        schemes = planned.get("normalization_schemes") or []
        if not isinstance(schemes, list | tuple):
            schemes = [schemes]
        words |= {f"{name}.normalization_schemes[{channel}]": scheme for channel, scheme in enumerate(schemes)}
        check_words(words, source=source)


def check_checkpoint_names(checkpoint: Mapping[str, Any], *, source: object) -> None:
    """Refuse a checkpoint of nnU-Net with a name in it that is more than a name.

    Raises:
        HyperSORTError: See `check_plans_names` and `check_file_ending`.
    """
    started = checkpoint["init_args"]
    check_words({"trainer_name": checkpoint["trainer_name"]}, source=source)
    if "configuration" in started:
        path_part(started["configuration"], what="configuration", source=source)
    if isinstance(started.get("plans"), Mapping):
        check_plans_names(started["plans"], source=source)
    if isinstance(started.get("dataset_json"), Mapping):
        check_file_ending(started["dataset_json"], source=source)


def _path_names(plans: Mapping[str, Any], source: object) -> Iterator[tuple[str, Any]]:
    yield from ((key, plans[key]) for key in ("dataset_name", "plans_name") if key in plans)
    configurations = plans.get("configurations")
    if configurations is not None and not (
        isinstance(configurations, Mapping) and all(isinstance(planned, Mapping) for planned in configurations.values())
    ):
        raise HyperSORTError(f"The configurations in {source} are none; restore the file.")
    for name, planned in (configurations or {}).items():
        yield "The name of a configuration", name
        next_stages = planned.get("next_stage")
        stages = next_stages if isinstance(next_stages, list | tuple) else [next_stages]
        named = [(key, planned.get(key)) for key in ("data_identifier", "inherits_from", "previous_stage")]
        for key, value in [*named, *(("next_stage", stage) for stage in stages)]:
            if value is not None:
                yield f"{name}.{key}", value


def _shown(name: Any) -> str:
    return ascii(name)[:100] if isinstance(name, str) else f"a {type(name).__name__}"
