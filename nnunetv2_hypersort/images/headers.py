"""What the headers of image files say, without their voxels."""

from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid, times


def read_itk_header(path: Path) -> Any:
    """Let ITK read the header of a file.

    Returns:
        A SimpleITK `ImageFileReader` that knows size, spacing, origin, direction and type of the voxels.

    Raises:
        RuntimeError: ITK cannot read it, or refuses it because its directions are not orthonormal.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def grid_by_itk(path: Path) -> tuple[Grid, int]:
    """The grid of a file as nnU-Net's SimpleITKIO reads it, and the number of its channels.

    Raises:
        RuntimeError: ITK cannot read the header, or the file has no 2 to 4 axes of single numbers.
    """
    header = read_itk_header(path)
    size, spacing = header.GetSize(), [abs(step) for step in header.GetSpacing()]
    components = header.GetNumberOfComponents()
    if components != 1:
        raise RuntimeError(f"{components} values per voxel")
    if len(size) not in (2, 3, 4):
        raise RuntimeError(f"{len(size)} axes")
    of_array = [float(step) for step in spacing[2::-1]]
    stuff = {"spacing": header.GetSpacing(), "origin": header.GetOrigin(), "direction": header.GetDirection()}
    # As SimpleITKIO does with files of two axes.
    properties = {"sitk_stuff": stuff, "spacing": of_array if len(size) > 2 else [max(spacing) * 999, *of_array]}
    shape = tuple(int(length) for length in size[2::-1])
    return Grid.of((1,) * (3 - len(shape)) + shape, properties), int(size[3]) if len(size) == 4 else 1


def grid_by_nibabel(path: Path) -> tuple[Grid, int]:
    """The grid of a file as nnU-Net's NibabelIO reads it, and the number of its channels (1).

    Raises:
        RuntimeError: The file does not have three axes.
        Exception: Whatever nibabel raises for a header that it cannot read.
    """
    import nibabel

    image: Any = nibabel.load(path)
    if image.ndim != 3:
        raise RuntimeError(f"{times(image.shape)} voxels, and NibabelIO reads files of three axes only")
    properties = {
        "nibabel_stuff": {"original_affine": image.affine},
        "spacing": [float(step) for step in image.header.get_zooms()[::-1]],
    }
    return Grid.of(tuple(int(length) for length in image.shape[::-1]), properties), 1


def describe_voxel_type(path: Path) -> tuple[bool, str]:
    """Whether a file stores floating-point numbers, and how NIfTI scales them.

    Returns:
        True for floating-point numbers; and, where a NIfTI header scales stored whole numbers, its `scl_slope` and
        `scl_inter` in words, else an empty text.
    """
    if is_nifti(path):
        import nibabel

        image: Any = nibabel.load(path)
        slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
        text = "" if (slope, inter) == (1.0, 0.0) else f"scl_slope {slope:.9g}, scl_inter {inter:.9g}"
        return image.get_data_dtype().kind == "f", text
    import SimpleITK

    try:
        return "float" in SimpleITK.GetPixelIDValueAsString(read_itk_header(path).GetPixelID()), ""
    except RuntimeError:
        return False, ""


def refuse_numberless(path: Path) -> None:
    """Refuse a NIfTI file of floating-point numbers that holds NaN or infinity: ITK reads them as 0, without a word.

    Raises:
        HyperSORTError: It does.
    """
    if not is_nifti(path):
        return
    import nibabel

    image: Any = nibabel.load(path)
    if not np.isfinite(np.asarray(image.dataobj)).all():
        raise HyperSORTError(f"{path} holds values that are no numbers (NaN or infinite); give a label map.")


def nifti_disagreement(path: Path, grid: Grid) -> str | None:
    """List the voxel sizes that a NIfTI header states, if not all are the one that is read.

    Args:
        path: A file of any format; of others than NIfTI nothing is said.
        grid: Its grid as it is read.

    Returns:
        The sizes in the order of the file's axes (x, y, z) by the fields that state them, or None.
    """
    if not is_nifti(path):
        return None
    import nibabel

    header: Any = nibabel.load(path).header
    if not hasattr(header, "get_sform"):
        return None
    read = grid.file_spacing[::-1]
    stated = {"pixdim": np.abs(header["pixdim"][1 : len(read) + 1].astype(np.float64))}
    for name, form in (("sform", header.get_sform(coded=True)), ("qform", header.get_qform(coded=True))):
        if form[1]:
            stated[name] = np.linalg.norm(form[0][:3, : len(read)], axis=0)
    if all(np.allclose(size, read, rtol=1e-3, atol=0) for size in stated.values()):
        return None
    return ", ".join(f"{name} {times(size)}" for name, size in stated.items()) + " mm"


def is_nifti(path: Path) -> bool:
    """Whether the name of a file is that of a NIfTI file."""
    return path.name.lower().endswith((".nii", ".nii.gz"))
