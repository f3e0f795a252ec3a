"""Generated downloads with the names, types and headers of the published ones."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel
import numpy as np

from nnunetv2_hypersort.conversion.settings import LabelOptions, Settings
from nnunetv2_hypersort.dataset_conversion.amos22 import Amos22Options, convert_amos22
from nnunetv2_hypersort.dataset_conversion.totalsegmentator import TotalSegmentatorOptions, convert_totalsegmentator

SHAPE = (12, 10, 8)
AFFINE = np.array([[-1.5, 0, 0, 90.0], [0, 1.5, 0, -40.0], [0, 0, 3.0, 10.0], [0, 0, 0, 1.0]])
SHEARED = np.array([[-1.5, 0.02, 0, 90.0], [0, 1.5, 0, -40.0], [0, 0, 3.0, 10.0], [0, 0, 0, 1.0]])

AMOS_TASK1 = {
    "0": "background", "1": "spleen", "2": "kidney_right", "3": "kidney_left", "4": "gallbladder", "5": "esophagus",
    "6": "liver", "7": "stomach", "8": "aorta", "9": "inferior_vena_cava", "10": "pancreas",
    "11": "adrenal_gland_right", "12": "adrenal_gland_left", "13": "duodenum", "14": "bladder",
    "15": "prostate_and_uterus",
}  # fmt: skip
AMOS_ZENODO = {
    **AMOS_TASK1, "2": "right kidney", "3": "left kidney", "4": "gall bladder", "8": "arota", "9": "postcava",
    "11": "right adrenal gland", "12": "left adrenal gland", "15": "prostate/uterus",
}  # fmt: skip


def save(path: Path, values, affine=AFFINE, *, sform_only: bool = True) -> Path:
    """Write a volume with nibabel; by default with an sform alone, as TotalSegmentator's files have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, 2)
    image.set_qform(None if sform_only else affine, 0 if sform_only else 1)
    nibabel.save(image, path)
    return path


def ct(seed: int = 0, shape=SHAPE):
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


def box(low, high, shape=SHAPE, dtype=np.uint8):
    mask = np.zeros(shape, dtype)
    mask[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))] = 1
    return mask


def amos_label(seed: int = 0, shape=SHAPE, dtype=np.uint16):
    return np.random.default_rng(seed).integers(0, 16, shape).astype(dtype)


def make_amos(
    root: Path,
    *,
    train: Iterable[int] = (1, 4),
    validation: Iterable[int] = (8,),
    test: Iterable[int] = (2,),
    labels: Mapping[str, str] = AMOS_ZENODO,
    listed_validation_folder: str = "imagesVa",
) -> Path:
    """Write an AMOS22 download and return its folder."""
    content = {"name": "AMOS", "licence": "CC-BY-SA 4.0", "release": "1.0 01/05/2022", "labels": dict(labels)}
    for key, folder, ids in (("training", "Tr", train), ("validation", "Va", validation), ("test", "Ts", test)):
        content[key] = []
        for number in ids:
            name = f"amos_{number:04d}"
            save(root / f"images{folder}" / f"{name}.nii.gz", ct(number), sform_only=False)
            listed = listed_validation_folder if key == "validation" else f"images{folder}"
            entry = {"image": f"./{listed}/{name}.nii.gz"}
            if key != "test":
                save(root / f"labels{folder}" / f"{name}.nii.gz", amos_label(number), sform_only=False)
                entry["label"] = f"./{listed.replace('images', 'labels')}/{name}.nii.gz"
            content[key].append(entry)
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def make_totalsegmentator(
    root: Path,
    splits: Mapping[str, str],
    masks: Mapping[str, np.ndarray],
    *,
    image: str = "ct.nii.gz",
    affine=AFFINE,
) -> Path:
    """Write a TotalSegmentator download in which every case has the same masks, and return its folder."""
    rows = [
        "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"
    ]
    for number, (name, split) in enumerate(splits.items()):
        save(root / name / image, ct(number), affine)
        for structure, mask in masks.items():
            save(root / name / "segmentations" / f"{structure}.nii.gz", mask, affine)
        rows.append(f"{name};{50 + number};m;{'AB'[number % 2]};ct thorax;{split};siemens;Somatom;120;no_pathology;")
    (root / "meta.csv").write_text("﻿" + "\n".join(rows) + "\n", encoding="utf-8")
    return root


def convert_amos(source: Path, *, classes=None, merges=None, **given) -> Path:
    """Convert an AMOS22 download; `given` are settings and options of AMOS22."""
    settings = {name: given.pop(name) for name in Settings.__dataclass_fields__ if name in given}
    options = Amos22Options(labels=LabelOptions(classes, merges or {}), **given)
    return convert_amos22(source, Settings(**{"dataset_id": 218, **settings}), options)


def convert_masks(source: Path, *, classes=None, merges=None, allow_missing=False, release=None, **settings) -> Path:
    """Convert a TotalSegmentator download."""
    options = TotalSegmentatorOptions(LabelOptions(classes, merges or {}), allow_missing, release)
    return convert_totalsegmentator(source, Settings(**{"dataset_id": 291, **settings}), options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def load(path: Path):
    """Return voxels and affine as nibabel reads them."""
    image = nibabel.load(path)
    return np.asanyarray(image.dataobj), image.affine


def truncate(path: Path, keep: float = 0.6) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def break_checksum(path: Path) -> None:
    """Change gzip's CRC, as in release 1.0's s0864: everything unpacks, but the checksum does not fit."""
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))
