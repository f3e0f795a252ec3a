"""Volumes get, for a seed, the labels they have always had: digests of what version 0.1.0's first code wrote."""

import hashlib

import nibabel as nib
import numpy as np
from planting import labels_in, perturbed

# Every operation and every error, the random ones with a direction or axis drawn in space.
SPEC = {
    "styles": {
        "as_drawn": {"proportion": 0.25},
        "grown": {
            "proportion": 0.25,
            "operations": [
                {"fill_holes": {"labels": "back"}},
                {"fill_holes": {"axis": "inferior-superior"}},
                {"dilate": {"mm": 2}},
                {"smooth": {"mm": 1.5, "labels": "front"}},
                {"margin": {"mm": 1, "labels": "front", "neighbours": "back"}},
            ],
        },
        "turned": {
            "proportion": 0.25,
            "operations": [
                {"offset": {"axis": "posterior-anterior", "mm": -1.5}},
                {"rotate_slices": {"axis": "inferior-superior", "degrees": 25}},
                {"erode": {"mm": 1}},
            ],
        },
        "bordered": {
            "proportion": 0.25,
            "operations": [
                {"shift_border": {"between": ["front", "back"], "axis": "posterior-anterior", "mm": 1.5}},
                {
                    "tilt_border": {
                        "between": ["front", "back"],
                        "axis": "posterior-anterior",
                        "towards": "inferior-superior",
                        "degrees": 20,
                    }
                },
                {"cut": {"end": "superior", "fraction": 0.3}},
                {"leave_out": {"labels": ["front"]}},
            ],
        },
    },
    "errors": {
        "rate": 1,
        "kinds": [
            {"shift": {"mm": 6, "weight": 3}},
            {"flip": {"weight": 2}},
            "other_case",
            "empty",
            {"swap_labels": {"labels": ["front", "back"]}},
            {"missing_slices": {"axis": "left-right", "fraction": 0.4}},
            {"spill": {"mm": 3}},
        ],
    },
}

# Case -> error, style and digest; computed with the code of before two-dimensional data were told apart.
PINNED = {
    "c_00": ("empty", "as_drawn", "a8f1059d9bb4"),
    "c_01": ("flip", "grown", "ed4db006e7aa"),
    "c_02": ("shift", "turned", "70b4cba34983"),
    "c_03": ("shift", "turned", "91feb44e44e2"),
    "c_04": ("flip", "turned", "22bd4f27587d"),
    "c_05": ("spill", "bordered", "582df42192ed"),
    "c_06": ("shift", "turned", "0444335905f7"),
    "c_07": ("shift", "bordered", "0518fdedb56e"),
    "c_08": ("flip", "as_drawn", "f2339ab2384f"),
    "c_09": ("empty", "grown", "d6b107d4eb84"),
    "c_10": ("spill", "as_drawn", "455b6921b254"),
    "c_11": ("missing_slices", "grown", "edc94584ba82"),
    "c_12": ("other_case", "as_drawn", "0ba6ea5b4284"),
    "c_13": ("swap_labels", "bordered", "57bda7197dd3"),
    "c_14": ("shift", "grown", "6e8351aa175c"),
    "c_15": ("missing_slices", "bordered", "ee961ea5e574"),
    "c_16": ("shift", "bordered", "a8f1059d9bb4"),
    "c_17": ("swap_labels", "as_drawn", "2b9c99cdad6d"),
    "c_18": ("flip", "grown", "f73c5fd9f7ca"),
    "c_19": ("other_case", "turned", "118b5e5487b3"),
}
STYLES = {
    "as_drawn": "561598c40dd3",
    "grown": "153981fe4165",
    "turned": "46bce7f20167",
    "bordered": "05af88dfad96",
}


def digest(path):
    labels = labels_in(path).astype(np.uint8)
    return hashlib.sha256(repr(labels.shape).encode() + labels.tobytes()).hexdigest()[:12]


def write_cases(folder, write_dataset_json):
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(20):
        # From one thick volume to three slices, out of which a shift may carry the label altogether.
        labels = np.zeros((22, 24, 3 + number % 4 * 3), np.uint8)
        start = 5 + number % 5
        labels[start : start + 7, 5:11, 1:-1] = 2
        labels[start + 1 : start + 8, 11:17, 1:-1] = 1
        labels[start + 3, 14, :] = 0
        labels[start + 3, 8, 2:-2] = 0
        image = nib.Nifti1Image(labels, np.diag([-1.0, 0.8, 2.5, 1.0]))
        nib.save(image, folder / f"labelsTr/c_{number:02d}.nii.gz")
        nib.save(image, folder / f"imagesTr/c_{number:02d}_0000.nii.gz")
    write_dataset_json(folder, numTraining=20)


def test_volumes_stay_bit_for_bit_for_a_given_seed(tmp_path, write_dataset_json):
    source, target = tmp_path / "Dataset901_Volumes", tmp_path / "Dataset902_Styles"
    write_cases(source, write_dataset_json)

    rows = perturbed(source, SPEC, target, seed=7, all_styles=True)

    assert {row.case: (row.error, row.style, digest(target / f"labelsTr/{row.case}.nii.gz")) for row in rows} == PINNED
    combined = {
        style: hashlib.sha256(
            "".join(digest(path) for path in sorted((target / "labels_all_styles" / style).iterdir())).encode()
        ).hexdigest()[:12]
        for style in SPEC["styles"]
    }
    assert combined == STYLES
