"""Images and label maps as nnU-Net reads them for a data set: through its own reader classes."""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.completeness import check_complete, unreadable
from nnunetv2_hypersort.images.geometry import Grid, times
from nnunetv2_hypersort.images.headers import (
    describe_voxel_type,
    grid_by_itk,
    grid_by_nibabel,
    nifti_disagreement,
    refuse_numberless,
)
from nnunetv2_hypersort.images.spacing_file import check_spacing_file

Found = TypeVar("Found")

PIXEL_FORMATS = (".png", ".bmp", ".tif", ".tiff")
"""File endings without millimetres: nnU-Net counts in pixels there (but for a 3-D TIFF with a spacing file)."""


def length_unit(file_ending: object) -> str:
    """The unit of lengths in files of an ending: `mm` or `pixels`."""
    return "pixels" if str(file_ending).lower() in PIXEL_FORMATS else "mm"


_NAME_A_READER = 'name a class of nnunetv2.imageio as "overwrite_image_reader_writer" in dataset.json'


@dataclass(frozen=True)
class LabelImage:
    """A label map as nnU-Net reads it.

    Attributes:
        values: Label values, whole numbers, three axes in nnU-Net's order (slowest first; a two-dimensional file has
            one voxel along the first).
        grid: Its grid.
        remarks: What is odd about the file, as predicates ("stores ..."); it was read all the same.
        reader: The object of nnU-Net's that read it and writes others like it.
        properties: What that reader says of the file.
    """

    values: NDArray[np.integer[Any]]
    grid: Grid
    remarks: tuple[str, ...]
    reader: Any
    properties: dict[str, Any]


@dataclass(frozen=True)
class ImageReader:
    """Reads files with nnU-Net's reader classes, whatever they print and however they fail.

    Attributes:
        kinds: Reader classes of nnU-Net; the first is the data set's, and the next one is asked where one fails, as
            nnU-Net does in its choice.
    """

    kinds: tuple[type[Any], ...]

    def read_labels(self, path: Path) -> LabelImage:
        """Read a label map.

        Raises:
            HyperSORTError: The file is truncated or otherwise unreadable, or does not hold one label map.
        """
        check_complete(path)
        check_spacing_file(path, self.kinds)

        def read(reader: Any) -> tuple[Any, NDArray[Any], dict[str, Any]]:
            return (reader, *reader.read_seg(str(path)))

        (reader, found, properties), fallback = self._first(path, read)
        if len(found) != 1:
            raise _not_one(path, len(found))
        grid = _checked(Grid.of(found.shape[1:], properties), path)
        floating, scaling = describe_voxel_type(path)
        if floating or scaling:
            refuse_numberless(path)
        values = _whole_numbers(found[0], path, scaling)
        remarks = fallback
        if sizes := nifti_disagreement(path, grid):
            size = times(grid.file_spacing[::-1])
            remarks.append(f"states voxel sizes that disagree ({sizes}); read with {size} mm, as nnU-Net does.")
        if floating:
            remarks.append("stores its labels as floating point; they are whole numbers and were read as labels.")
        return LabelImage(values, grid, tuple(remarks), reader, properties)

    def read_image(self, path: Path) -> NDArray[np.float32]:
        """Read an image.

        Returns:
            Intensities, shape (channels, z, y, x).

        Raises:
            HyperSORTError: The file is truncated or otherwise unreadable.
        """
        check_complete(path)
        (image, _), _ = self._first(path, lambda reader: reader.read_images((str(path),)))
        return np.asarray(image, np.float32)

    def label_grid(self, path: Path) -> Grid:
        """The grid of a label map, from its header alone where that is enough.

        Raises:
            HyperSORTError: The file cannot be read or does not hold one map.
        """
        check_spacing_file(path, self.kinds)
        (grid, channels), _ = self._first(path, lambda reader: _grid(reader, path, "read_seg", str(path)))
        if channels != 1:
            raise _not_one(path, channels)
        return _checked(grid, path)

    def image_grid(self, path: Path) -> Grid:
        """The grid of an image with any number of channels, from its header alone where that is enough.

        Raises:
            HyperSORTError: The file cannot be read.
        """
        check_spacing_file(path, self.kinds, image=True)
        (grid, _), _ = self._first(path, lambda reader: _grid(reader, path, "read_images", (str(path),)))
        return _checked(grid, path)

    def _first(self, path: Path, read: Callable[[Any], Found]) -> tuple[Found, list[str]]:
        failures: list[tuple[str, Exception]] = []
        for kind in self.kinds:
            try:
                with _quiet():
                    found = read(kind())
            # Readers fail with whatever their library raises.
            except Exception as error:
                failures.append((kind.__name__, error))
                continue
            return found, [
                f"cannot be read by nnU-Net's {name} ({_reason(error)}) and was read by {kind.__name__}; mend its "
                "header, or nnU-Net will not read it in a data set whose other files it reads."
                for name, error in failures[:1]
            ]
        reasons = failures[0][1] if len(failures) == 1 else "; ".join(f"{n}: {_reason(error)}" for n, error in failures)
        raise unreadable(path, reasons)


def reader_for(dataset_json: Mapping[str, Any], example_file: Path | None = None) -> ImageReader:
    """The reader that nnU-Net takes for a data set.

    That is the class named by `overwrite_image_reader_writer`, else the first that knows the file ending and reads an
    example. nnU-Net's own function decides.

    Args:
        dataset_json: Content of dataset.json.
        example_file: An image or label map of the data set; None decides by the ending.

    Raises:
        HyperSORTError: nnU-Net has no reader for the ending.
    """
    from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
    from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES, determine_reader_writer_from_dataset_json

    content, ending = dict(dataset_json), str(dataset_json["file_ending"]).lower()
    named = content.get("overwrite_image_reader_writer", "None")
    able = [kind for kind in LIST_OF_IO_CLASSES if ending in kind.supported_file_endings]
    example = str(example_file) if example_file is not None and len(able) > 1 else None
    try:
        with _quiet():
            chosen = determine_reader_writer_from_dataset_json(content, example, verbose=False)
    except RuntimeError:
        if not able:
            raise HyperSORTError(
                f"nnU-Net has no reader for {ending} files; convert them, or {_NAME_A_READER}."
            ) from None
        return ImageReader(tuple(able))
    except (TypeError, ValueError, ImportError) as error:
        raise HyperSORTError(f"nnU-Net finds no reader named {named!r} ({error}); {_NAME_A_READER}.") from None
    # nnU-Net takes whatever its modules have by that name.
    if not (isinstance(chosen, type) and issubclass(chosen, BaseReaderWriter)):
        raise HyperSORTError(f"{named!r} is no reader of nnU-Net; {_NAME_A_READER}.")
    others = () if chosen.__name__ == named else tuple(kind for kind in able if kind is not chosen)
    return ImageReader((chosen, *others))


def _grid(reader: Any, path: Path, method: str, argument: Any) -> tuple[Grid, int]:
    by_header = {"SimpleITKIO": grid_by_itk, "NibabelIO": grid_by_nibabel}.get(type(reader).__name__)
    if by_header is not None:
        return by_header(path)
    found, properties = getattr(reader, method)(argument)
    return Grid.of(found.shape[1:], properties), len(found)


def _checked(grid: Grid, path: Path) -> Grid:
    if not all(math.isfinite(step) and step > 0 for step in grid.spacing):
        raise HyperSORTError(f"{path} states a spacing of {times(grid.file_spacing)} mm; mend its header.")
    return grid


def _not_one(path: Path, channels: int) -> HyperSORTError:
    return HyperSORTError(f"{path} holds {channels} values per voxel; give one 2-D or 3-D label map per file.")


def _whole_numbers(found: NDArray[Any], path: Path, scaling: str) -> NDArray[np.integer[Any]]:
    # Most label maps have few labels; one byte per voxel makes all that follows faster.
    for dtype in (np.uint8, np.uint16, np.int64):
        with np.errstate(invalid="ignore"):
            values: NDArray[np.integer[Any]] = found.astype(dtype)
        if np.array_equal(values, found):
            return values
    if not np.isfinite(found).all():
        raise HyperSORTError(f"{path} holds values that are no numbers (NaN or infinite); give a label map.")
    wrong = float(found[found != np.rint(found)][0])
    if scaling:
        raise HyperSORTError(
            f"{path} holds values that are no whole numbers, such as {wrong!r}, because its header scales what is "
            f"stored ({scaling}); save the label map as integers without scaling."
        )
    raise HyperSORTError(
        f"{path} holds values that are no whole numbers, such as {_digits(wrong)}; "
        "give a label map, not probabilities, and resample label maps without interpolation."
    )


def _digits(number: float) -> str:
    # As few digits as tell it from a whole number.
    return next(text for digits in range(4, 18) if float(text := f"{number:.{digits}g}") != round(number))


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    import SimpleITK

    # Where one reader fails nnU-Net prints its traceback, whatever `verbose` says, and readers print warnings.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
