"""Arrays of numbers from the formats that nnU-Net preprocesses to, with sizes compared before memory is asked for.

`blosc2.open` would follow what a `.b2nd` says beyond that: other files, addresses in the network, expressions, code.
c-blosc2 looks for an unknown codec by running a Python in the current folder. So a file is looked through first.
"""

import math
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import blosc2
import numpy as np

FREE_BYTES = 2**28
"""What an array may take whatever the size of its file: 256 MiB. Zeros compress to next to nothing."""

_MOST_PER_BYTE = 1000
_MOST_CHUNKS = 10**6
# c-blosc2, README_CFRAME_FORMAT.rst: where the header of a frame states what, big-endian.
_MAGIC = slice(2, 10)
_HEADER_SIZE, _FRAME_SIZE, _FRAME_TYPE, _CODEC, _BYTES, _COMPRESSED = 0x0B, 0x10, 0x1A, 0x1B, 0x1E, 0x27
_TYPE_SIZE, _CHUNK_BYTES, _HAS_TRAILING_METADATA = 0x30, 0x3A, 0x44
_FRAME_FILTERS, _FRAME_HEADER = slice(0x47, 0x4D), 0x57
_PRESENT = 0xC3
# README_CHUNK_FORMAT.rst: the header of a chunk, little-endian.
_CHUNK_FLAGS, _CHUNK_SIZE, _CHUNK_FILTERS, _CHUNK_HEADER = 2, 4, slice(16, 22), 32
_BUILT_IN_CODECS = {0, 1, 2, 3, 4, 5}  # BloscLZ, LZ4, LZ4HC, (Snappy,) Zlib, Zstandard
_BUILT_IN_FORMATS = {0, 1, 3, 4}
_BUILT_IN_FILTERS = {0, 1, 2, 3, 4}  # none, shuffle, bitshuffle, delta, truncated precision


def read_b2nd(path: Path, *, most: int = 0) -> np.ndarray:
    """Read an array that Blosc2 compressed.

    Args:
        path: The file.
        most: Bytes that the array may take, if they are more than `FREE_BYTES` and 1000 times those of the file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, larger than that, or holds anything else than one plain array of numbers, or needs
            codecs that are not part of Blosc2.
    """
    content = path.read_bytes()
    most = max(most, FREE_BYTES, _MOST_PER_BYTE * len(content))
    _check_frame(content, most)
    try:
        chunks = blosc2.schunk_from_cframe(content)
        if list(chunks.meta.keys()) != ["b2nd"]:
            raise ValueError("it holds something else than a plain array")
        for number in range(chunks.nchunks):
            _check_chunk(chunks.get_chunk(number), most=chunks.chunksize)
        array = blosc2.ndarray_from_cframe(content)
        _check_array(array, most)
        return np.asarray(array[()])
    except ValueError:
        raise
    except Exception as error:  # Blosc2 raises anything on a damaged file
        raise ValueError(f"it is damaged ({type(error).__name__}: {str(error)[:100]})") from error


def read_npz(path: Path, name: str) -> np.ndarray:
    """Read one array of an `.npz`.

    Args:
        path: The file.
        name: Of the array.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, has no such array, or that is larger than 1000 times what it takes in the file and
            than 256 MiB, or of anything but numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > max(FREE_BYTES, _MOST_PER_BYTE * entry.compress_size):
                raise ValueError(f"{name} is {entry.file_size} bytes out of {entry.compress_size}")
            with archive.open(entry) as file:
                return _read_npy(file, entry.file_size)  # type: ignore[arg-type]  # reads bytes as files do
    except (OSError, ValueError):
        raise
    except Exception as error:  # zipfile raises anything on a damaged archive
        raise ValueError(f"it is damaged ({type(error).__name__}: {str(error)[:100]})") from error


def read_npy(path: Path) -> np.ndarray:
    """Read an `.npy`.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, or not an array of numbers.
    """
    with path.open("rb") as file:
        return _read_npy(file, path.stat().st_size)


def _read_npy(file: BinaryIO, size: int) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header: Any = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format is none of nnU-Net's")
    shape, in_fortran_order, dtype = read_header(file)
    _refuse_no_numbers(dtype)
    stated, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if stated != there or any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape} has {stated} bytes, and there are {there}")
    content = file.read(stated)
    if len(content) != stated:
        raise ValueError("it is cut short")
    return np.reshape(np.frombuffer(content, dtype), shape, order="F" if in_fortran_order else "C")


def _check_frame(content: bytes, most: int) -> None:
    if len(content) < _FRAME_HEADER + _CHUNK_HEADER or content[_MAGIC] != b"b2frame\0":
        raise ValueError("it is no array of Blosc2, or cut short")
    header, frame = _stated(content, "i", _HEADER_SIZE), _stated(content, "Q", _FRAME_SIZE)
    size, compressed = _stated(content, "q", _BYTES), _stated(content, "q", _COMPRESSED)
    chunk = _stated(content, "i", _CHUNK_BYTES)
    if not (frame == len(content) and header >= _FRAME_HEADER and 0 <= compressed <= len(content) - header):
        raise ValueError("it is cut short or damaged")
    if content[_FRAME_TYPE] != 0 or content[_HAS_TRAILING_METADATA] == _PRESENT:
        raise ValueError("it holds something else than a plain array")
    if not 0 <= size <= most or chunk < 0 or (size and (chunk == 0 or size > _MOST_CHUNKS * chunk)):
        raise ValueError(f"it asks for {size} bytes out of {len(content)}")
    if content[_CODEC] & 0x0F not in _BUILT_IN_CODECS or not _BUILT_IN_FILTERS.issuperset(content[_FRAME_FILTERS]):
        raise ValueError("it needs a codec that is no part of Blosc2")
    if size:
        # The table of where each chunk is, a chunk itself.
        _check_chunk(content[header + compressed :], most=8 * -(-size // chunk))


def _check_chunk(chunk: bytes, *, most: int) -> None:
    if len(chunk) < _CHUNK_HEADER or not 0 <= struct.unpack_from("<i", chunk, _CHUNK_SIZE)[0] <= most:
        raise ValueError("it is cut short or damaged")
    built_in = chunk[_CHUNK_FLAGS] >> 5 in _BUILT_IN_FORMATS
    if not built_in or not _BUILT_IN_FILTERS.issuperset(chunk[_CHUNK_FILTERS]):
        raise ValueError("it needs a codec that is no part of Blosc2")


def _check_array(array: Any, most: int) -> None:
    dtype = np.dtype(array.dtype)
    _refuse_no_numbers(dtype)
    shape, sides, blocks = (tuple(map(int, of)) for of in (array.shape, array.chunks, array.blocks))
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= size <= most:
        raise ValueError(f"it asks for {size} bytes")
    padded = [-(-side // block) * block for side, block in zip(sides, blocks, strict=True)]
    number = math.prod(-(-length // side) for length, side in zip(shape, sides, strict=True))
    schunk = array.schunk
    if (
        schunk.typesize != dtype.itemsize
        or schunk.nchunks != number
        or schunk.chunksize != math.prod(padded) * dtype.itemsize
    ):
        raise ValueError(f"it states a shape of {shape}, and has something else")


def _refuse_no_numbers(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError("it holds something else than numbers")


def _stated(content: bytes, kind: str, place: int) -> int:
    (value,) = struct.unpack_from(f">{kind}", content, place)
    return int(value)
