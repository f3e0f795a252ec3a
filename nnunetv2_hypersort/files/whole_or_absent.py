"""Files that are either whole or absent: write beside the target, flush, rename."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.temporary_names import remove_leftovers, temporary_name

_FULL = 1 << 20  # bytes; with less room than this a failed write has filled the disk


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `target` to write to, and move it onto `target` when the block ends without an error.

    The temporary name is of this write alone, so several processes may write the same target: each reader sees one
    whole file, the last writer's in the end. It ends as the target's does, so libraries that choose a format by the
    ending work. What a killed process left is removed by the next write into the folder. A file that is replaced keeps
    its permissions, as if it had been written to; if the block raises, it stays as it was.

    Args:
        target: The file to be written. Its folder must exist.

    Yields:
        The path to write to.

    Raises:
        OSError: The folder is missing or read-only, or the disk is full; the target is named.
    """
    target = Path(target)
    with unfinished_path(target) as temporary:
        yield temporary
        if target.is_file():
            shutil.copymode(target, temporary)
        _flush(temporary)
    _flush(target.parent)


@contextmanager
def unfinished_path(target: Path) -> Iterator[Path]:
    """As `atomic_path`, without flushing and with the permissions that the block gives: for links and copies."""
    remove_leftovers(target.parent)
    temporary = target.with_name(temporary_name(target.name))
    try:
        with errors_name(target, temporary):
            yield temporary
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def errors_name(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let errors of a block that writes a file name it: the system's name none where a write fails, or another one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary and os.fspath(temporary)):
            raise OSError(error.errno, error.strerror, os.fspath(target)) from error
        raise
    except RuntimeError as error:
        # Libraries in C++ (PyTorch, ITK) say "write failed" at best.
        if shutil.disk_usage(target.parent).free < _FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(target)) from error
        raise


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `target` as UTF-8, whole or not at all.

    Names of files may hold bytes that are no UTF-8 (`os.fsdecode`); they come out as they went in.
    """
    with atomic_path(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def write_json(target: str | os.PathLike[str], content: Any) -> None:
    """Write `content` to `target` as indented JSON, whole or not at all."""
    write_text(target, json.dumps(content, indent=4) + "\n")


@contextmanager
def changing_json(target: str | os.PathLike[str], *, wait: float = 60.0) -> Iterator[dict[str, Any]]:
    """Read a JSON file, let the block change its content, and write it; no other process changes it meanwhile.

    Nothing is written if the block raises or changes nothing.

    Args:
        target: The file; it holds an object.
        wait: Seconds to wait for another process that is changing it.

    Yields:
        The content, to be changed in place.

    Raises:
        HyperSORTError: The file is missing or damaged, or another process does not let go of it.
        OSError: The file cannot be written.
    """
    with locked(target, wait=wait):
        try:
            text = Path(target).read_text(encoding="utf-8-sig")
            content = json.loads(text)
        except FileNotFoundError:
            raise HyperSORTError(f"There is no {target}; put it back.") from None
        except ValueError as error:
            raise HyperSORTError(f"{target} is damaged ({error}); restore it.") from error
        if not isinstance(content, dict):
            raise HyperSORTError(f"{target} holds no JSON object; restore it.")
        before = json.dumps(content)
        yield content
        if json.dumps(content) != before:
            write_json(target, content)


def _flush(path: Path) -> None:
    # Directories can be opened for flushing on POSIX only; on Windows the rename alone has to do.
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
