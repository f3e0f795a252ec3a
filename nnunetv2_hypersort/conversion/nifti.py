"""Reading single-file gzipped NIfTI-1 volumes, with a plain reason for every file that cannot be read."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.images.completeness import nifti_bytes

UNPACK_AGAIN = "unpack or download it again"
LEAVE_OUT = "leave the case out with --skip-bad"

_HEADER_BYTES = 348
_DATA_OFFSET = 352  # header and the four bytes that say there is no extension
_FIRST_BYTES = 1 << 16
_MOST_DEFLATED = 1032  # deflate packs no more bytes into one: no room is made for what a damaged header promises
_GZIP = 31  # zlib's name for "a gzip stream, its checksum verified"


class UnusableFileError(Exception):
    """A file that cannot be used: what is wrong with it, what to do, and (from `blaming`) which file it is."""

    def __init__(self, reason: str, remedy: str = UNPACK_AGAIN) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy
        self.path: Path | None = None


def fault_of(error: Exception) -> UnusableFileError:
    """Return what any failure of work with a file says about that file."""
    if isinstance(error, UnusableFileError):
        return error
    if isinstance(error, MemoryError):
        return UnusableFileError("needs more memory than there is", f"use fewer processes (-np), or {LEAVE_OUT}")
    if isinstance(error, OSError):
        return UnusableFileError(f"cannot be read ({error.strerror or error})", f"check the disk, or {LEAVE_OUT}")
    text = " ".join(str(error).split())
    return UnusableFileError(f"cannot be used ({type(error).__name__}{': ' if text else ''}{text})", LEAVE_OUT)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Note in every fault found within the block that it is this file's; what fails in writing (OSError) passes."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        fault = fault_of(error)
        fault.path = path
        raise fault from None if fault is error else error


@contextmanager
def _reading() -> Iterator[None]:
    # Files come from anywhere: zlib, nibabel, NumPy and the disk each fail in their own way.
    try:
        yield
    except UnusableFileError:
        raise
    except Exception as error:
        raise fault_of(error) from error


@dataclass(frozen=True)
class Volume:
    """A decompressed file: header and bytes. Everything else is computed when asked for, without copies."""

    header: Any
    raw: bytes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the three axes of the file."""
        return spatial_shape(self.header)

    @property
    def stored(self) -> npt.NDArray[Any]:
        """The stored values, one axis, in the order of the file (first axis fastest), without intensity scaling."""
        count = int(np.prod(self.shape))
        values: npt.NDArray[Any] = np.frombuffer(
            self.raw, self.header.get_data_dtype(), count=count, offset=self.header.get_data_offset()
        )
        return values

    @property
    def values(self) -> npt.NDArray[Any]:
        """The values with the header's intensity scaling; the stored ones where there is none."""
        slope, intercept = self.header.get_slope_inter()
        if slope in (None, 1.0) and intercept in (None, 0.0):
            return self.stored
        scaled: npt.NDArray[Any] = self.stored * np.float64(slope) + np.float64(intercept)
        return scaled


@_reading()
def read_header(path: Path) -> Any:
    """Read the NIfTI-1 header of a gzipped file.

    Returns:
        nibabel's `Nifti1Header`.

    Raises:
        UnusableFileError: The file is missing, not gzip, or not a usable NIfTI-1 file.
    """
    with _open(path) as stream:
        return _parse_header(stream.read(_FIRST_BYTES))


@_reading()
def read_volume(path: Path) -> Volume:
    """Decompress the whole file, verifying gzip's checksum and length.

    Raises:
        UnusableFileError: As `read_header`; also cut short, a wrong checksum, or fewer voxels than the header says.
    """
    with _open(path) as stream:
        packed = stream.read()
    header = _parse_header(packed[:_FIRST_BYTES])
    expected = nifti_bytes(header)
    try:
        raw = zlib.decompress(packed, wbits=_GZIP, bufsize=min(expected, _MOST_DEFLATED * len(packed)))
        if len(raw) < expected:
            raw = gzip.decompress(packed)  # several gzip members, one after the other
    except (zlib.error, EOFError, OSError) as error:
        raise UnusableFileError(_explain(error)) from None
    if len(raw) < expected:
        raise UnusableFileError(f"holds {len(raw)} bytes where its header promises {expected}")
    return Volume(header, raw)


@_reading()
def check_length(path: Path, header: Any) -> None:
    """Compare the unpacked length that gzip notes at the end of the file with the one the header asks for.

    Raises:
        UnusableFileError: The file is cut short or damaged.
    """
    with _open(path) as stream:
        stream.seek(-4, 2)
        noted = int.from_bytes(stream.read(4), "little")
    if noted != nifti_bytes(header) % 2**32:
        # A file of several gzip members, or with bytes after the voxels, is rare but sound: look at all of it.
        read_volume(path)


def spatial_shape(header: Any) -> tuple[int, int, int]:
    """Return the shape without trailing axes of length one.

    Raises:
        UnusableFileError: The file does not hold exactly one 3-D volume.
    """
    shape = tuple(int(size) for size in header.get_data_shape())
    if len(shape) < 3 or min(shape) < 1 or any(size != 1 for size in shape[3:]):
        raise UnusableFileError(f"has the shape {shape}, not that of one 3-D volume", LEAVE_OUT)
    return shape[0], shape[1], shape[2]


def is_flat(header: Any) -> bool:
    """Whether the header has exactly three axes, as nnU-Net's readers want it."""
    return len(header.get_data_shape()) == 3


def label_header(image_header: Any) -> Any:
    """Return a header for a label map on the grid of an image: the same sform, qform, units and voxel size."""
    header = image_header.copy()
    header.set_data_shape(spatial_shape(image_header))
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["intent_code"] = 0
    header["descrip"] = header["intent_name"] = b""
    return header


def write_volume(path: Path, header: Any, values: npt.NDArray[Any]) -> None:
    """Write a gzipped NIfTI-1 file, whole or not at all; equal content gives equal bytes.

    Args:
        path: The file to be written.
        header: A `Nifti1Header` whose data type and shape are those of `values`.
        values: The voxels, one axis in file order (first axis fastest), or three axes.
    """
    _write(path, header, np.asarray(values, dtype=header.get_data_dtype()).ravel(order="F").data)


def write_flattened(path: Path, volume: Volume) -> None:
    """Write a volume with trailing axes of length one as a 3-D file; the voxel bytes stay what they are."""
    header = volume.header.copy()
    header.set_data_shape(volume.shape)
    start = volume.header.get_data_offset()
    length = int(np.prod(volume.shape)) * header.get_data_dtype().itemsize
    _write(path, header, memoryview(volume.raw)[start : start + length])


def _write(path: Path, header: Any, data: Any) -> None:
    header = header.copy()
    header.set_data_offset(_DATA_OFFSET)
    # Without a name and a time in gzip's header, equal content gives equal bytes.
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as stream,
    ):
        stream.write(header.binaryblock + bytes(_DATA_OFFSET - _HEADER_BYTES))
        stream.write(data)


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UnusableFileError("is missing") from None
    except OSError as error:
        raise UnusableFileError(f"cannot be opened ({error.strerror})", "check its permissions and the disk") from None


def _parse_header(packed: bytes) -> Any:
    if packed[:2] != b"\x1f\x8b":
        raise UnusableFileError("is empty" if not packed else "is not a gzip file")
    try:
        block = zlib.decompressobj(_GZIP).decompress(packed, _DATA_OFFSET)
    except zlib.error as error:
        raise UnusableFileError(_explain(error)) from None
    if len(block) < _HEADER_BYTES:
        raise UnusableFileError("is cut short within its header")
    try:
        header = nibabel.Nifti1Header(block[:_HEADER_BYTES])
        dtype, affine = header.get_data_dtype(), header.get_best_affine()
        nifti_bytes(header)
    # nibabel has several ways to refuse a header, each with exceptions of its own.
    except Exception as error:
        raise UnusableFileError(f"has no readable NIfTI-1 header ({error})") from None
    if bytes(header["magic"].tobytes())[:3] != b"n+1":
        raise UnusableFileError("is not a single-file NIfTI-1 volume", LEAVE_OUT)
    if dtype.kind not in "iuf":
        raise UnusableFileError(f"holds voxels of the type {dtype}, not numbers", LEAVE_OUT)
    if not np.all(np.isfinite(affine)):
        raise UnusableFileError("has a header without a valid position in space", LEAVE_OUT)
    try:
        header.get_slope_inter()
    except HeaderDataError:
        raise UnusableFileError(
            f"has a header with the scl_slope {header['scl_slope']} and the scl_inter {header['scl_inter']}",
            f"correct the two, or {LEAVE_OUT}",
        ) from None
    return header


def describe_scaling(header: Any) -> str:
    """Return how the header scales what is stored, in words to be added to a reason; empty where it does not."""
    slope, intercept = header.get_slope_inter()
    if slope in (None, 1.0) and intercept in (None, 0.0):
        return ""
    return f" (its header scales the stored values: scl_slope {slope}, scl_inter {intercept})"


def _explain(error: Exception) -> str:
    text = str(error)
    if "incomplete or truncated" in text or isinstance(error, EOFError):
        return "is cut short"
    if "data check" in text or "CRC" in text:
        return "fails its CRC check: the voxels are damaged"
    return f"cannot be decompressed ({text})"
