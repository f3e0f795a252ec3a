"""Whether a place can be written to, found out before the work and not after it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.temporary_names import temporary_name


def require_writable(*places: str | os.PathLike[str]) -> None:
    """Refuse places that cannot be written to, by writing a little there.

    Args:
        places: Files to be written or replaced, and folders to be filled; neither need exist, nor the folders above.

    Raises:
        HyperSORTError: One of them lies where nothing can be written: a folder without permission, a file system that
            is read-only or full.
    """
    for place in map(Path, places):
        folder = place if place.is_dir() else place.absolute().parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        trial = folder / temporary_name("trial")
        try:
            try:
                trial.write_bytes(b"0" * 4096)
            finally:
                trial.unlink(missing_ok=True)
        except OSError as error:
            raise HyperSORTError(
                f"{place} cannot be written, as {folder} takes no file ({error.strerror}); make it writable, or give "
                "another place."
            ) from error


@contextmanager
def printed_if_unsaved(result: Callable[[], str]) -> Iterator[None]:
    """Print a result if the block, which saves it, cannot: a disk that filled up meanwhile takes no work with it.

    Args:
        result: Gives it as text.

    Raises:
        OSError: What the block raised; HyperSORTError likewise.
    """
    try:
        yield
    except (HyperSORTError, OSError):
        print(result(), flush=True)
        raise
