"""A folder that a command fills and, after an interruption, goes on filling."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.temporary_names import remove_leftovers


@contextmanager
def claimed_folder(folder: Path, record: str, description: dict[str, Any], *, of: str) -> Iterator[None]:
    """Fill a folder alone: make it with a record of what goes into it, or find the same record there.

    Two commands that fill the same folder at once would take each other's half-done work for their own.

    Args:
        folder: The folder to be filled.
        record: Name of the record, such as `perturb.json`.
        description: What goes into the folder, in JSON types.
        of: What may differ between two descriptions, for the message.

    Raises:
        HyperSORTError: The folder holds something else, cannot be made, or another command is filling it.
        OSError: The folder cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HyperSORTError(f"{folder} cannot be made ({error}); choose another folder.") from error
    with locked(folder):
        _claim(folder, record, description, of)
        yield


def _claim(folder: Path, record: str, description: dict[str, Any], of: str) -> None:
    path = folder / record
    # By way of JSON, so that what is compared is what can be read back.
    wanted = json.loads(json.dumps(description))
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            raise HyperSORTError(
                f"{folder} holds the result of another {of} (see {record} there); choose another destination or "
                "delete that folder."
            )
        return
    if folder.is_dir():
        remove_leftovers(folder)  # of a process that was killed before the record had its name
    if folder.exists() and any(folder.iterdir()):
        raise HyperSORTError(f"{folder} is not empty and was not written by this command; choose another folder.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HyperSORTError(f"{folder} cannot be made ({error}); choose another folder.") from error
    write_json(path, wanted)
