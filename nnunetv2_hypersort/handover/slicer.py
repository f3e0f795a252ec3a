"""What 3D Slicer's nnU-Net extension asks of a model.

It lets the user choose a folder, takes the first `dataset.json` below it as standing in the trained-model folder, wants
`fold_N/checkpoint_final.pth` there for the folds that the user types as numbers (0 by default), splits the name of the
folder at `__` into trainer, plans and configuration, and calls nnU-Net's command with the dataset name, which is that
of the parent folder, on one volume in `volume_0000.nii.gz`.
Source: KitwareMedical/SlicerNNUnet, SlicerNNUnet/SlicerNNUNetLib/Parameter.py and SegmentationLogic.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def slicer_obstacles(dataset_json: Mapping[str, Any], folds: Sequence[str]) -> list[str]:
    """What keeps the extension from running a model whose folder is laid out as it wants; one sentence each.

    Args:
        dataset_json: Content of the model's `dataset.json`.
        folds: The names of its folds.
    """
    obstacles = []
    ending = dataset_json["file_ending"]
    channels = dataset_json.get("channel_names", dataset_json.get("modality", {}))
    if ending != ".nii.gz":
        obstacles.append(f"3D Slicer's nnU-Net extension hands over .nii.gz files, but this model takes {ending}.")
    if len(channels) != 1:
        obstacles.append(
            f"3D Slicer's nnU-Net extension hands over one image, but this model takes {len(channels)} channels."
        )
    if not any(fold.isdigit() for fold in folds):
        obstacles.append("3D Slicer's nnU-Net extension takes numbered folds only, and this model has none.")
    elif "0" not in folds:
        obstacles.append(f"In 3D Slicer's nnU-Net extension type the folds ({','.join(folds)}); it takes 0 by default.")
    return obstacles
