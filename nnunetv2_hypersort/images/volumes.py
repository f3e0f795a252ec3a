"""Label files: their voxel grid, their values, and one clear sentence where something is wrong with them."""

import gzip
import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError

# Formats without millimetres: nnU-Net counts in pixels there, and so do we.
PIXEL_FORMATS = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
# Two grids are one if their corners lie closer than this many voxels: headers are rounded to float32 by some tools.
_CORNER_TOLERANCE = 0.05


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a label file.

    Attributes:
        shape: Number of voxels along each array axis (2 or 3 axes).
        spacing: Distance of neighbouring voxel centres along each array axis, in mm (pixels for PNG, BMP and TIFF).
        affine: Maps array indices to scanner coordinates in mm, x to the right, y to the front and z to the head of
            the patient (NIfTI's RAS+), shape (4, 4) (3-D) or (3, 3) (2-D).
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64]

    @cached_property
    def diagonal(self) -> float:
        """Length of the diagonal of the whole image, voxels counted with their full extent, in mm."""
        return math.sqrt(sum((n * s) ** 2 for n, s in zip(self.shape, self.spacing, strict=True)))

    def difference(self, other: "Grid") -> str | None:
        """Say in words how `other` differs from this grid, or None if they are the same grid."""
        if self.shape != other.shape:
            return f"{_times(other.shape)} voxels instead of {_times(self.shape)}"
        if not np.allclose(self.spacing, other.spacing, rtol=1e-3, atol=0):
            return f"a spacing of {_times(other.spacing)} mm instead of {_times(self.spacing)} mm"
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], 1, indexing="ij")).reshape(
            len(self.shape) + 1, -1
        )
        shift = np.linalg.norm(((self.affine - other.affine) @ corners)[:-1], axis=0).max()
        if shift > _CORNER_TOLERANCE * min(self.spacing):
            return f"another origin or orientation (corners up to {shift:.4g} mm apart)"
        return None


def read_grid(path: str | os.PathLike[str]) -> Grid:
    """Read the voxel grid of a label file from its header alone.

    Raises:
        HyperSORTError: The file cannot be read or holds no single 2-D or 3-D map.
    """
    path = Path(path)
    return _nifti_grid(_open_nifti(path), path) if _is_nifti(path) else _itk_grid(_open_itk(path), path)


def read_label_map(path: str | os.PathLike[str]) -> tuple[NDArray[np.integer[Any]], Grid, str | None]:
    """Read a label file.

    Args:
        path: A NIfTI file (read with nibabel, because ITK fills the missing part of a truncated NIfTI file with
            whatever is in memory) or any other format that SimpleITK reads.

    Returns:
        The label map with an integer type and 2 or 3 axes, slowest first; its grid; and a remark if the file stores
        whole numbers as floating point, else None.

    Raises:
        HyperSORTError: The file is truncated or otherwise unreadable, or holds values that are no whole numbers.
    """
    path = Path(path)
    array, grid = _read_array(path)
    remark = None
    if array.dtype.kind in "fc":
        array = _whole_numbers(array, path)
        remark = f"{path} stores its labels as floating point; they are whole numbers and were read as labels."
    elif array.dtype.kind not in "iub":
        raise HyperSORTError(f"{path} holds values of type {array.dtype}, which are no labels; give a label map.")
    native = np.uint8 if array.dtype.kind == "b" else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=native), grid, remark


def read_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read an image as float32, with its axes in the order of `read_label_map`.

    Raises:
        HyperSORTError: The file is truncated or otherwise unreadable, or holds no single 2-D or 3-D image.
    """
    return _read_array(Path(path))[0].astype(np.float32)


def drop_flat_axes(array: NDArray[Any], grid: Grid) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Drop axes of a single voxel, so that a volume of one slice is measured as the 2-D image it is.

    In three dimensions every voxel of a single slice is a surface voxel, and the surface distances mean nothing.

    Returns:
        The array with at least 2 axes, and the spacing of its axes in mm.
    """
    flat = [axis for axis, n in enumerate(array.shape) if n == 1][: max(0, array.ndim - 2)]
    spacing = tuple(s for axis, s in enumerate(grid.spacing) if axis not in flat)
    return array.reshape([n for axis, n in enumerate(array.shape) if axis not in flat]), spacing


def _read_array(path: Path) -> tuple[NDArray[Any], Grid]:
    if _is_nifti(path):
        image = _open_nifti(path)
        grid = _nifti_grid(image, path)
        try:
            array = _load_nifti_data(image, path)
        except Exception as error:  # nibabel, gzip and zlib each have their own error for a file that ends too early
            raise _unreadable(path, error) from None
        return array.T.reshape(grid.shape), grid
    reader = _open_itk(path)
    grid = _itk_grid(reader, path)
    _check_gipl_size(path, reader)
    import SimpleITK

    try:
        return SimpleITK.GetArrayFromImage(reader.Execute()), grid
    except RuntimeError as error:
        raise _unreadable(path, error) from None


def _load_nifti_data(image: Any, path: Path) -> NDArray[Any]:
    if not path.name.lower().endswith(".gz"):
        return np.asarray(image.dataobj)
    with gzip.open(path) as stream:
        array = np.asarray(image.from_file_map(image.make_file_map({"image": stream})).dataobj)
        # The checksum stands at the very end, and is compared only by who reads that far.
        while stream.read(1 << 20):
            pass
    return array


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _open_nifti(path: Path) -> Any:
    import nibabel

    try:
        return nibabel.load(path)
    except Exception as error:
        raise _unreadable(path, error) from None


def _nifti_grid(image: Any, path: Path) -> Grid:
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 2 and shape[-1] == 1 and len(shape) != 3:
        shape = shape[:-1]
    if len(shape) not in (2, 3) or 0 in shape:
        raise HyperSORTError(f"{path} has the shape {_times(image.shape)}; give one 2-D or 3-D label map per file.")
    # Array axes are turned round, slowest first: so are the columns of the affine.
    order = [*range(len(shape))[::-1], 3]
    affine = np.asarray(image.affine, dtype=np.float64)[:, order]
    if len(shape) == 2:
        affine = affine[[0, 1, 3]]
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:-1, :-1], axis=0))
    _check_spacing(spacing, path)
    return Grid(shape[::-1], spacing, affine)


def _open_itk(path: Path) -> Any:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    return reader


def _itk_grid(reader: Any, path: Path) -> Grid:
    size = reader.GetSize()
    if len(size) not in (2, 3) or reader.GetNumberOfComponents() != 1 or 0 in size:
        raise HyperSORTError(
            f"{path} has {len(size)} axes and {reader.GetNumberOfComponents()} values per voxel; "
            "give one 2-D or 3-D label map per file."
        )
    shape = tuple(int(n) for n in size[::-1])
    dims = len(shape)
    if path.name.lower().endswith(PIXEL_FORMATS):
        spacing = _sidecar_spacing(path, dims)
        return Grid(shape, spacing, np.diag([*spacing, 1.0]))
    spacing = tuple(float(s) for s in reader.GetSpacing()[::-1])
    _check_spacing(spacing, path)
    affine = np.eye(dims + 1)
    affine[:dims, :dims] = np.reshape(reader.GetDirection(), (dims, dims))[:, ::-1] * spacing
    affine[:dims, dims] = reader.GetOrigin()
    affine[:2] *= -1  # ITK's x and y point to the left and to the back
    return Grid(shape, spacing, affine)


def _sidecar_spacing(path: Path, dims: int) -> tuple[float, ...]:
    # nnU-Net's convention for TIFF stacks: case.json beside case.tif holds {"spacing": [z, y, x]}.
    sidecar = path.with_suffix(".json")
    if dims != 3 or not sidecar.is_file():
        return (1.0,) * dims
    try:
        spacing = tuple(float(s) for s in json.loads(sidecar.read_text(encoding="utf-8"))["spacing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HyperSORTError(f'{sidecar} must hold {{"spacing": [z, y, x]}} for {path.name} ({error}).') from None
    if len(spacing) != dims:
        raise HyperSORTError(f"{sidecar} holds {len(spacing)} spacings for the {dims} axes of {path.name}.")
    _check_spacing(spacing, sidecar)
    return spacing


def _check_gipl_size(path: Path, reader: Any) -> None:
    # ITK reads what is there of a truncated GIPL file and leaves the rest undefined.
    if path.suffix.lower() != ".gipl":
        return
    import SimpleITK

    bytes_per_voxel = {
        SimpleITK.sitkUInt8: 1, SimpleITK.sitkInt8: 1, SimpleITK.sitkUInt16: 2, SimpleITK.sitkInt16: 2,
        SimpleITK.sitkUInt32: 4, SimpleITK.sitkInt32: 4, SimpleITK.sitkFloat32: 4, SimpleITK.sitkFloat64: 8,
    }.get(reader.GetPixelID(), 1)  # fmt: skip
    expected, found = 256 + math.prod(reader.GetSize()) * bytes_per_voxel, path.stat().st_size
    if found < expected:
        raise _unreadable(path, f"{found} bytes instead of {expected}")


def _check_spacing(spacing: tuple[float, ...], path: Path) -> None:
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        raise HyperSORTError(f"{path} states a spacing of {_times(spacing)} mm; mend its header.")


def _whole_numbers(array: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if array.dtype.kind == "c" or not np.isfinite(array).all():
        raise HyperSORTError(f"{path} holds values that are no numbers (NaN or infinite); give a label map.")
    wrong = array != np.rint(array)
    if wrong.any():
        raise HyperSORTError(
            f"{path} holds values that are no whole numbers, such as {float(array[wrong][0]):.4g}; "
            "give a label map, not probabilities, and resample label maps without interpolation."
        )
    return array.astype(np.int64)


def _unreadable(path: Path, error: Exception | str) -> HyperSORTError:
    reason = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
    return HyperSORTError(f"{path} is truncated or no readable label file ({reason}); write or copy it again.")


def _times(numbers: Any) -> str:
    return " x ".join(f"{n:.6g}" for n in numbers)
