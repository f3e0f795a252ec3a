"""The metrics of `hypersort evaluate` against a plain loop of MONAI calls over full volumes, side by side.

    python benchmarks/benchmark_evaluation.py

Label maps of 300 x 500 x 500 voxels (1.0 x 0.8 x 0.8 mm) with 15 organs of the volumes measured in amos_0001 of AMOS22
(uint8, wavy surfaces); the predictions are moved by up to 2 voxels and slightly larger or smaller. Both sides score the
same two map pairs on two cores. The plain loop has them in memory and uses the cores as PyTorch does, with two threads.
Ours takes them from .npy files, which is counted, with two worker processes, which are started before. The sides take
turns, so that other load on the machine meets both, and their scores are compared.

The last line is the whole command on NIfTI files: start of the workers, reading, metrics, intervals, figures.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation import LabelTable, compute_case_scores
from nnunetv2_hypersort.evaluation.case_scores import METRICS

Result = TypeVar("Result")
Vector = NDArray[np.float64]

CORES = 2
SHAPE = (300, 500, 500)
SPACING = (1.0, 0.8, 0.8)
TOLERANCE = 2.0
# Millilitres, in the order of AMOS22's labels.
VOLUMES = {
    "spleen": 242.5, "right_kidney": 150.8, "left_kidney": 166.7, "gallbladder": 9.7, "esophagus": 12.5,
    "liver": 1461.9, "stomach": 458.2, "aorta": 103.7, "postcava": 69.9, "pancreas": 37.6,
    "right_adrenal_gland": 2.6, "left_adrenal_gland": 5.3, "duodenum": 36.2, "bladder": 65.8, "prostate_uterus": 41.3,
}  # fmt: skip
LABELS = LabelTable({"background": 0, **{name: value for value, name in enumerate(VOLUMES, start=1)}})


def make_pair(seed: int, shape: Sequence[int] = SHAPE) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make a reference and a prediction with rough ellipsoids of the organs' volumes."""
    generator = np.random.default_rng(seed)
    maps = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    # Small organs last, so that large ones do not cover them.
    for value, volume in sorted(enumerate(VOLUMES.values(), start=1), key=lambda organ: -organ[1]):
        radius = (volume * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
        stretch = generator.uniform(0.7, 1.4, 3)
        radii = radius * stretch / np.prod(stretch) ** (1 / 3) / SPACING
        middle, margin = np.array(shape) / 2, 1.2 * radii
        centre = generator.uniform(np.minimum(margin, middle), np.maximum(shape - margin, middle))
        phases = generator.uniform(0, 2 * np.pi, 3)
        draw_organ(maps[0], value, centre, radii, phases)
        moved = centre + generator.uniform(-2, 2, 3)
        draw_organ(maps[1], value, moved, radii * generator.uniform(0.96, 1.04), phases + generator.uniform(0, 0.5, 3))
    return maps


def draw_organ(label_map: NDArray[np.uint8], value: int, centre: Vector, radii: Vector, phases: Vector) -> None:
    """Draw an ellipsoid with a wavy surface into a label map; centre and radii are in voxels."""
    box = tuple(
        slice(max(0, int(c - 1.2 * r) - 1), min(n, int(c + 1.2 * r) + 2))
        for c, r, n in zip(centre, radii, label_map.shape, strict=True)
    )
    axes = [(axis - c) / r for axis, c, r in zip(np.ogrid[box], centre, radii, strict=True)]
    waves = sum(np.sin(9 * axis + phase) for axis, phase in zip(axes, phases, strict=True))
    inside = axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2 < 1 + 0.06 * waves
    label_map[box][inside] = value


def run_plain_loop(reference: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Call MONAI's metrics for one label after the other on the full volumes."""
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    options = {"include_background": True, "spacing": list(SPACING)}
    scores = []
    for structure in LABELS.structures:
        masks = [
            torch.from_numpy(label_map == structure.values[0])[None, None] for label_map in (prediction, reference)
        ]
        size = int(masks[0].sum()), int(masks[1].sum())
        scores.append(
            [
                2 * int((masks[0] & masks[1]).sum()) / sum(size),
                float(compute_hausdorff_distance(*masks, percentile=95, **options)),
                float(compute_surface_dice(*masks, class_thresholds=[TOLERANCE], use_subvoxels=True, **options)),
                float(compute_average_surface_distance(*masks, symmetric=True, **options)),
                1 - abs(size[0] - size[1]) / sum(size),
            ]
        )
    return np.array(scores)


def run_ours(reference: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the same with this package."""
    scores = compute_case_scores(
        reference, prediction, labels=LABELS, spacing=SPACING, nsd_tolerances=TOLERANCE, surfaces=True
    )
    return np.array([score.values for score in scores])


def run_ours_on_file(path: Path) -> tuple[NDArray[np.float64], float]:
    """Score the map pair of a .npy file; return the scores and the CPU time in seconds."""
    start = time.process_time()
    reference, prediction = np.load(path)
    return run_ours(reference, prediction), time.process_time() - start


def start_worker() -> None:
    """Import everything and bind a worker to one thread before the clock starts."""
    import torch

    torch.set_num_threads(1)
    small = np.zeros((4, 4, 4), np.uint8)
    small[1:3, 1:3, 1:3] = 1
    run_ours(small, small)


def measure_command(folder: Path, pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> float:
    """Time `hypersort evaluate` on NIfTI files, in seconds."""
    import nibabel

    for name in ("reference", "prediction"):
        (folder / name).mkdir()
    for index, pair in enumerate(pairs):
        for name, label_map in zip(("reference", "prediction"), pair, strict=True):
            image = nibabel.Nifti1Image(label_map.T, np.diag([*SPACING[::-1], 1.0]))
            nibabel.save(image, folder / name / f"case_{index}.nii.gz")
    labels = {"background": 0, **{structure.name: structure.values[0] for structure in LABELS.structures}}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    command = [sys.executable, "-m", "nnunetv2_hypersort.cli.main", "evaluate", "-np", str(len(pairs))]
    command += ["-ref", "reference", "-pred", "prediction", "-djfile", "dataset.json", "-o", "results"]
    return measure(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))[0]


def measure(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return the wall time of a call in seconds, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, check that both sides agree, and print the figures."""
    parser = argparse.ArgumentParser(description="Speed of hypersort evaluate against a plain loop of MONAI calls.")
    parser.add_argument("--repetitions", type=int, default=3, help="turns of each side")
    args = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    import monai
    import torch

    torch.set_num_threads(CORES)
    pairs = [make_pair(seed) for seed in range(CORES)]
    print(f"{CORES} map pairs of {SHAPE}, {len(VOLUMES)} organs; MONAI {monai.__version__}, torch {torch.__version__}")
    wall: dict[str, list[float]] = {"plain": [], "ours": []}
    cpu: dict[str, list[float]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"pair_{index}.npy" for index in range(CORES)]
        for path, pair in zip(paths, pairs, strict=True):
            np.save(path, np.stack(pair))
        with ProcessPoolExecutor(CORES, mp_context=get_context("spawn"), initializer=start_worker) as workers:
            list(workers.map(run_ours_on_file, paths))  # so that all workers run
            for turn in range(args.repetitions):
                before = time.process_time()
                seconds, plain = measure(lambda: [run_plain_loop(*pair) for pair in pairs])
                wall["plain"].append(seconds)
                cpu["plain"].append(time.process_time() - before)
                seconds, ours = measure(lambda: list(workers.map(run_ours_on_file, paths)))
                wall["ours"].append(seconds)
                cpu["ours"].append(sum(used for _, used in ours))
                print(f"turn {turn + 1}: plain {wall['plain'][-1]:.1f} s, ours {wall['ours'][-1]:.2f} s", flush=True)
        command_time = measure_command(Path(folder), pairs)
    difference = np.abs(np.array(plain) - np.array([scores for scores, _ in ours])).max(axis=(0, 1))
    print("largest difference:", ", ".join(f"{m} {d:.1g}" for m, d in zip(METRICS, difference, strict=True)))
    print("| seconds per case (median) | wall, 2 cores | CPU |\n|---|---|---|")
    for side, title in (("plain", "plain loop, full volumes"), ("ours", "ours")):
        print(f"| {title} | {statistics.median(wall[side]) / CORES:.2f} | {statistics.median(cpu[side]) / CORES:.2f} |")
    ratios = [
        statistics.median(a / b for a, b in zip(times["plain"], times["ours"], strict=True)) for times in (wall, cpu)
    ]
    print(f"| speed-up | {ratios[0]:.1f}x | {ratios[1]:.1f}x |")
    print(f"whole command on {CORES} cases: {command_time:.1f} s")


if __name__ == "__main__":
    main()
