"""Whether an image file is all there: some readers fill the missing part with whatever is in memory."""

import gzip
import logging
import math
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

_CHUNK = 1 << 20
_GIPL_HEADER = 256
_NIFTI_HEADER = 348


def check_complete(path: Path) -> None:
    """Refuse a NIfTI, GIPL or TIFF file that is cut short, or a NIfTI whose compressed data fail their checksum.

    ITK and tifffile read such files without a word. Those who read the other formats notice by themselves.

    Raises:
        HyperSORTError: The file cannot be read, or is not all there.
    """
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            expected, found = _nifti_size(path), _unpacked_size(path)
        elif name.endswith(".gipl"):
            expected, found = _gipl_size(path), path.stat().st_size
        elif name.endswith((".tif", ".tiff")):
            expected, found = _tiff_size(path), path.stat().st_size
        else:
            return
    except Exception as error:  # nibabel, gzip and ITK each have their own error for a file that ends too early
        raise unreadable(path, error) from None
    if found < expected:
        raise unreadable(path, f"{found} bytes instead of {expected}")


def unreadable(path: Path, error: Exception | str) -> HyperSORTError:
    """One sentence for a file that cannot be read, with the library's reason."""
    lines = str(error).strip().splitlines()
    reason = lines[-1].strip() if lines else type(error).__name__
    return HyperSORTError(f"{path} is truncated or no readable label file ({reason}); write or copy it again.")


def nifti_bytes(header: Any) -> int:
    """How many bytes, unpacked, a NIfTI file has whose header this is."""
    voxels = math.prod(int(length) for length in header.get_data_shape())
    return max(int(header.get_data_offset()), _NIFTI_HEADER) + voxels * int(header.get_data_dtype().itemsize)


def _nifti_size(path: Path) -> int:
    import nibabel

    return nifti_bytes(nibabel.load(path).header)


def _unpacked_size(path: Path) -> int:
    if not path.name.lower().endswith(".gz"):
        return path.stat().st_size
    size = 0
    # The checksum stands at the very end, and is compared only by who reads that far.
    with gzip.open(path) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
    return size


def _tiff_size(path: Path) -> int:
    import tifffile

    # Where the list of pages ends too early tifffile logs it and reads the pages that are there.
    logger, errors = logging.getLogger("tifffile"), _Kept()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(errors)
    try:
        with tifffile.TiffFile(path) as file:
            ends = [
                int(offset) + int(length)
                for page in file.pages
                for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
    finally:
        logger.removeHandler(errors)
        logger.propagate = propagated
    if errors.texts:
        raise ValueError(errors.texts[0])
    return max(ends, default=0)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _gipl_size(path: Path) -> int:
    import SimpleITK

    from nnunetv2_hypersort.images.headers import read_itk_header

    header = read_itk_header(path)
    bytes_per_voxel = {
        SimpleITK.sitkUInt8: 1, SimpleITK.sitkInt8: 1, SimpleITK.sitkUInt16: 2, SimpleITK.sitkInt16: 2,
        SimpleITK.sitkUInt32: 4, SimpleITK.sitkInt32: 4, SimpleITK.sitkFloat32: 4, SimpleITK.sitkFloat64: 8,
    }.get(header.GetPixelID(), 1)  # fmt: skip
    return _GIPL_HEADER + math.prod(int(length) for length in header.GetSize()) * bytes_per_voxel
