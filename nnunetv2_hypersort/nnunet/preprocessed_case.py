"""A preprocessed case of nnU-Net, read as its own dataset class would and without unpickling what anyone wrote.

nnU-Net's class opens a `.b2nd` with all that Blosc2 can put into one, and unpickles the properties of the case.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.case_properties import read_properties
from nnunetv2_hypersort.nnunet.names import is_path_part
from nnunetv2_hypersort.nnunet.plain_arrays import FREE_BYTES, read_b2nd, read_npy, read_npz

_SHAPES = ("shape_before_cropping", "shape_after_cropping_and_before_resampling")
_MOST_LARGER = 1000
"""How many times the voxels of a preprocessed case its image may have had, beyond `FREE_BYTES`."""


def read_preprocessed_case(folder: Path, case_id: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read a case from a folder of preprocessed cases: `.b2nd`, or `.npz` with or without unpacked `.npy`.

    Args:
        folder: nnU-Net's folder of a configuration, such as `nnUNetPlans_3d_fullres`.
        case_id: Name of the case.

    Returns:
        The image, shape (channels, x, y, z), float32; its label, shape (1, x, y, z), integer; and nnU-Net's account of
        the original grid.

    Raises:
        HyperSORTError: The name is a path, or a file is missing, damaged, or holds or asks for anything but numbers
            of its own size.
    """
    if not is_path_part(case_id):
        raise HyperSORTError(f"{case_id!r} is no case identifier but a path; give the name of a preprocessed case.")
    try:
        data, segmentation = _arrays(folder, case_id)
        properties = read_properties(folder / f"{case_id}.pkl")
        _check(data, segmentation, properties)
    except (OSError, ValueError) as error:
        raise HyperSORTError(
            f"The preprocessed case {case_id} cannot be read from {folder} ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); run nnUNetv2_preprocess again."
        ) from error
    return np.asarray(data, np.float32), segmentation, properties


def _arrays(folder: Path, case_id: str) -> tuple[np.ndarray, np.ndarray]:
    compressed = folder / f"{case_id}.b2nd"
    if compressed.is_file():
        data = read_b2nd(compressed)
        # Labels compress better than any image: they may be as large as theirs.
        return data, read_b2nd(folder / f"{case_id}_seg.b2nd", most=4 * data.nbytes)
    packed, unpacked = folder / f"{case_id}.npz", [folder / f"{case_id}{part}.npy" for part in ("", "_seg")]
    data, segmentation = (
        read_npy(file) if file.is_file() else read_npz(packed, name)
        for file, name in zip(unpacked, ("data", "seg"), strict=True)
    )
    return data, segmentation


def _check(data: np.ndarray, segmentation: np.ndarray, properties: dict[str, Any]) -> None:
    if data.ndim != 4 or segmentation.shape != (1, *data.shape[1:]) or segmentation.dtype.kind not in "iu":
        raise ValueError(f"an image of shape {data.shape} with a segmentation of shape {segmentation.shape}")
    most = max(FREE_BYTES, _MOST_LARGER * math.prod(data.shape[1:]))
    for name in _SHAPES:
        shape = properties.get(name)
        if not isinstance(shape, tuple | list) or not all(isinstance(side, int | np.integer) for side in shape):
            raise ValueError(f"its properties have no {name}")
        if math.prod(map(int, shape)) > most or min(shape, default=0) < 1:
            raise ValueError(f"{name} is {tuple(shape)}, for a preprocessed image of shape {data.shape}")
