"""Label maps written with nnU-Net's own writers, whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.files import atomic_path


def write_labels(
    writer: Any, labels: np.ndarray, properties: Mapping[str, Any], target: str | os.PathLike[str]
) -> None:
    """Write a label map, and beside it the spacing file of nnU-Net's TIFF format.

    A spacing file that is there is replaced, never written into: it may be a hard link to that of another dataset.

    Args:
        writer: An object of one of nnU-Net's reader and writer classes.
        labels: Label values in nnU-Net's axis order.
        properties: What a reader of that class said of the case.
        target: The file; its ending is one that the class knows.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(target)
    with atomic_path(target) as temporary:
        # The spacing of case.tif stands in case.json. In place before the label, so a label that is there is complete.
        spacing_file = temporary.with_suffix(".json")
        try:
            writer.write_seg(labels, str(temporary), properties)
            if spacing_file.is_file():
                os.replace(spacing_file, target.with_suffix(".json"))
        finally:
            spacing_file.unlink(missing_ok=True)
