"""How fast and how lean is `hypersort convert`? Side by side with a plain nibabel loop and with a plain file copy.

    python benchmarks/benchmark_conversion.py --folder SCRATCH --output docs/conversion_benchmark.json

Writes a generated TotalSegmentator download (CT and one mask per structure) and a generated AMOS22 download into
SCRATCH, converts both with the command users run, and times three things on the same files, each in a process of its
own:

- `hypersort convert`, checking and converting separately (the times are those of conversion.json);
- the steps of TotalSegmentator's own script written as a plain loop over nibabel, in one process as that script runs;
- a copy of the files and nothing else: the limit.

The plain loop is slow, so it runs on the first subjects only, half of them before and half after the conversion; all
results are per case. Linux only: memory is read from /proc.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel
import numpy as np

from nnunetv2_hypersort.dataset_conversion.amos22 import CLASSES as AMOS_CLASSES
from nnunetv2_hypersort.dataset_conversion.totalsegmentator_releases import CT_V1

SPACING_MM = 1.5
MEGABYTE = 1e6


def main() -> None:
    """Generate the data, run the contenders, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder; about 4 GB at the default size")
    parser.add_argument("--output", type=Path, help="JSON file for the results; parts not run again stay")
    parser.add_argument(
        "--parts", nargs="+", choices=("totalsegmentator", "amos22"), default=["totalsegmentator", "amos22"]
    )
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument(
        "--distinct", type=int, default=4, help="subjects that are generated; the others are copies of them"
    )
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 200))
    parser.add_argument("--masks", type=int, default=104)
    parser.add_argument("--loop-subjects", type=int, default=8, help="subjects that the plain loop converts")
    parser.add_argument("--amos-subjects", type=int, default=20)
    parser.add_argument("--amos-shape", type=int, nargs=3, default=(512, 512, 100))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--contender", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        started = time.monotonic()
        CONTENDERS[args.contender[0]](*args.contender[1:])
        print(time.monotonic() - started)
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    results = json.loads(args.output.read_text(encoding="utf-8")) if args.output and args.output.exists() else {}
    for part in args.parts:
        conditions = {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "load_at_start": round(os.getloadavg()[0], 1),
            "processes": args.processes,
        }
        results[part] = {**PARTS[part](args), "conditions": conditions}
    text = json.dumps(results, indent=4)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


def benchmark_totalsegmentator(args: argparse.Namespace) -> dict[str, object]:
    """Convert the generated TotalSegmentator download; throughput in cases per minute, peak memory in MB."""
    source = generate_totalsegmentator(args)
    subjects = sorted(path.name for path in source.iterdir() if path.is_dir())
    half = max(1, args.loop_subjects // 2)
    before, after = subjects[:half], subjects[half : 2 * half]
    loop = [run(args, "plain_loop", source, args.folder / "loop", *before)]
    ours = convert(args, "totalsegmentator", source, args.processes)
    loop.append(run(args, "plain_loop", source, args.folder / "loop", *after))
    copy = run(args, "plain_copy", source, args.folder / "copy", *subjects)
    same = compare(args.folder / "nnUNet_raw" / "Dataset991_Benchmark", args.folder / "loop", [*before, *after])
    shutil.rmtree(args.folder / "nnUNet_raw")
    shutil.rmtree(args.folder / "loop")
    loop_seconds = sum(part["seconds"] for part in loop) / (len(before) + len(after))
    return {
        "subjects": len(subjects),
        "shape": list(args.shape),
        "masks": args.masks,
        "megabytes": round(folder_size(source) / MEGABYTE),
        "label_maps_compared_equal": same,
        "convert": {
            "check_cases_per_minute": per_minute(ours["check"] / len(subjects)),
            "convert_cases_per_minute": per_minute(ours["convert"] / len(subjects)),
            "both_cases_per_minute": per_minute((ours["check"] + ours["convert"]) / len(subjects)),
            "peak_megabytes": ours["peak_megabytes"],
        },
        "plain_loop": {
            "subjects": len(before) + len(after),
            "cases_per_minute": per_minute(loop_seconds),
            "peak_megabytes": max(part["peak_megabytes"] for part in loop),
        },
        "plain_copy": {"cases_per_minute": per_minute(copy["seconds"] / len(subjects))},
        "convert_over_plain_loop": round(loop_seconds * len(subjects) / ours["convert"], 2),
        "check_and_convert_over_plain_loop": round(loop_seconds * len(subjects) / (ours["check"] + ours["convert"]), 2),
    }


def benchmark_amos22(args: argparse.Namespace) -> dict[str, object]:
    """Convert the generated AMOS22 download with links and with copies, between two plain copies of its files."""
    source = generate_amos22(args)
    folders = ("imagesTr", "labelsTr")
    copies = [run(args, "plain_copy", source, args.folder / "copy", *folders)]
    flushed = [run(args, "flushed_copy", source, args.folder / "copy", *folders)]
    linked = convert(args, "amos22", source, args.processes)
    shutil.rmtree(args.folder / "nnUNet_raw")
    copied = convert(args, "amos22", source, args.processes, "--copy")
    shutil.rmtree(args.folder / "nnUNet_raw")
    copies.append(run(args, "plain_copy", source, args.folder / "copy", *folders))
    flushed.append(run(args, "flushed_copy", source, args.folder / "copy", *folders))
    copy_seconds = sum(part["seconds"] for part in copies) / len(copies)
    flushed_seconds = sum(part["seconds"] for part in flushed) / len(flushed)
    return {
        "subjects": args.amos_subjects,
        "shape": list(args.amos_shape),
        "megabytes": round(folder_size(source) / MEGABYTE),
        "check_cases_per_minute": per_minute(linked["check"] / args.amos_subjects),
        "peak_megabytes": linked["peak_megabytes"],
        "seconds": {
            "plain_copy": [round(part["seconds"], 2) for part in copies],
            "plain_copy_flushed_to_disk": [round(part["seconds"], 2) for part in flushed],
            "convert_hard_links": linked["convert"],
            "convert_copies": copied["convert"],
        },
        "hard_links_over_plain_copy": round(linked["convert"] / copy_seconds, 3),
        "copies_over_plain_copy": round(copied["convert"] / copy_seconds, 3),
        "copies_over_plain_copy_flushed_to_disk": round(copied["convert"] / flushed_seconds, 3),
    }


def generate_totalsegmentator(args: argparse.Namespace) -> Path:
    """Write CTs with noise and ellipsoid masks; each mask overlaps its neighbours a little, as in the real data set."""
    source, shape = args.folder / "Totalsegmentator_dataset", tuple(args.shape)
    rows = ["image_id;split"]
    for number in range(args.subjects):
        folder = source / f"s{number:04d}"
        rows.append(f"{folder.name};train")
        if folder.exists():
            continue
        if number >= args.distinct:
            shutil.copytree(source / f"s{number % args.distinct:04d}", folder)
            continue
        random = np.random.default_rng(number)
        save(folder / "ct.nii.gz", random.normal(0, 60, shape).astype(np.int16))
        for structure in CT_V1[: args.masks]:
            mask = np.zeros(shape, np.uint8)
            if random.random() < 0.7:  # a scan shows a part of the body
                radius = random.uniform(0.02, 0.12, 3) * shape
                center = random.uniform(0.15, 0.85, 3) * shape
                low = np.maximum(0, center - radius).astype(int)
                high = np.minimum(shape, center + radius + 1).astype(int)
                grid = np.indices(high - low) + (low - center)[:, None, None, None]
                inside = ((grid / radius[:, None, None, None]) ** 2).sum(0) < 1
                mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = inside
            save(folder / "segmentations" / f"{structure}.nii.gz", mask)
    (source / "meta.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return source


def generate_amos22(args: argparse.Namespace) -> Path:
    """Write CTs with noise and label maps of boxes."""
    source, shape = args.folder / "amos22", tuple(args.amos_shape)
    training = []
    for number in range(1, args.amos_subjects + 1):
        name = f"amos_{number:04d}.nii.gz"
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
        if (source / "labelsTr" / name).exists():
            continue
        if number > args.distinct:
            for kind in ("imagesTr", "labelsTr"):
                shutil.copyfile(
                    source / kind / f"amos_{(number - 1) % args.distinct + 1:04d}.nii.gz", source / kind / name
                )
            continue
        random = np.random.default_rng(number)
        save(source / "imagesTr" / name, random.normal(0, 60, shape).astype(np.int16))
        label = np.zeros(shape, np.uint16)
        for value in range(1, 16):
            low = random.integers(0, np.array(shape) // 2)
            high = low + np.array(shape) // 8
            label[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = value
        save(source / "labelsTr" / name, label)
    labels = {str(index): name for index, name in enumerate(("background", *AMOS_CLASSES))}
    content = {"labels": labels, "training": training, "validation": [], "test": []}
    (source / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return source


def save(path: Path, values: np.ndarray) -> None:
    """Write a volume with nibabel, as the published files were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([SPACING_MM] * 3 + [1.0])), path)


def plain_loop(source: str, target: str, *subjects: str) -> None:
    """The baseline: copy the image, load each mask as float64, write its id where it is above zero, save."""
    for subject in subjects:
        folder = Path(source) / subject
        output = Path(target) / subject
        output.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "ct.nii.gz", output / "image.nii.gz")
        reference = nibabel.load(folder / "ct.nii.gz")
        label = np.zeros(reference.shape, np.uint8)
        present = [name for name in CT_V1 if (folder / "segmentations" / f"{name}.nii.gz").exists()]
        for value, structure in enumerate(present, start=1):
            mask = nibabel.load(folder / "segmentations" / f"{structure}.nii.gz")
            label[mask.get_fdata() > 0] = value
        nibabel.save(nibabel.Nifti1Image(label, reference.affine), output / "label.nii.gz")


def plain_copy(source: str, target: str, *names: str, flush: bool = False) -> None:
    """The limit: the bytes of all files in the named folders, from one place to another."""
    for name in names:
        for path in (Path(source) / name).rglob("*.nii.gz"):
            copy = Path(target) / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            if flush:
                with copy.open("rb") as stream:
                    os.fsync(stream.fileno())


def flushed_copy(source: str, target: str, *names: str) -> None:
    """The limit for files that are to survive a power cut, as those of the conversion do."""
    plain_copy(source, target, *names, flush=True)


def convert(args: argparse.Namespace, dataset: str, source: Path, processes: int, *options: str) -> dict[str, float]:
    """Run `hypersort convert` and return seconds of check and conversion, and peak memory."""
    raw = args.folder / "nnUNet_raw"
    raw.mkdir()
    command = [sys.executable, "-m", "nnunetv2_hypersort.cli.main", "convert", dataset, str(source), "-d", "991"]
    command += ["--name", "Benchmark", "-np", str(processes), *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("nnUNet_")}
    _, peak = watch(command, {**environment, "nnUNet_raw": str(raw)})
    seconds = json.loads((raw / "Dataset991_Benchmark" / "conversion.json").read_text())["seconds"]
    return {**seconds, "peak_megabytes": peak}


def run(args: argparse.Namespace, contender: str, source: Path, target: Path, *names: str) -> dict[str, float]:
    """Run a contender in a process of its own; return its seconds, without the start of Python, and peak memory."""
    command = [
        sys.executable,
        __file__,
        "--folder",
        str(args.folder),
        "--contender",
        contender,
        str(source),
        str(target),
    ]
    output, peak = watch([*command, *names], dict(os.environ))
    if contender != "plain_loop":
        shutil.rmtree(target)
    return {"seconds": float(output.split()[-1]), "peak_megabytes": peak}


def watch(command: list[str], environment: dict[str, str]) -> tuple[str, float]:
    """Run a command; return what it printed and the largest sum of resident memory, in MB, of it and its children."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    peak = 0

    def sample() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, sum(resident(pid) for pid in family(process.pid)))
            time.sleep(0.05)

    thread = threading.Thread(target=sample)
    thread.start()
    output, _ = process.communicate()
    thread.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output, round(peak / MEGABYTE)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def compare(dataset: Path, loop: Path, subjects: list[str]) -> int:
    """Return how many of the plain loop's label maps equal those of the conversion, and fail on a difference."""
    for subject in subjects:
        ours = np.asanyarray(nibabel.load(dataset / "labelsTr" / f"{subject}.nii.gz").dataobj)
        theirs = np.asanyarray(nibabel.load(loop / subject / "label.nii.gz").dataobj)
        np.testing.assert_array_equal(ours, theirs)
    return len(subjects)


def folder_size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def per_minute(seconds_per_case: float) -> float:
    """Turn seconds per case into cases per minute."""
    return round(60 / seconds_per_case, 1)


PARTS = {"totalsegmentator": benchmark_totalsegmentator, "amos22": benchmark_amos22}
CONTENDERS = {"plain_loop": plain_loop, "plain_copy": plain_copy, "flushed_copy": flushed_copy}

if __name__ == "__main__":
    main()
