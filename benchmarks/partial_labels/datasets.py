"""The datasets of the benchmark: annotated in part, in the ways that the methods read them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.datasets import SPLITS, copy_plans, preprocess, read_split
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, Workplace
from benchmarks.partial_labels.protocol import LABELS, Method, Protocol, Regime, Run
from benchmarks.style_recovery import datasets as source
from benchmarks.style_recovery.protocol import MIXTURES, SOURCE_DATASET
from benchmarks.style_recovery.protocol import Protocol as SourceProtocol
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.nnunet.annotated_labels import annotated_entries
from nnunetv2_hypersort.nnunet.linked_files import link_images
from nnunetv2_hypersort.nnunet.raw_dataset import RawDataset, open_dataset


def prepare(workplace: Workplace, task: Path, run: Run, protocol: Protocol) -> None:
    """Make the dataset of a run, unless it is there.

    Args:
        workplace: Where.
        task: The Decathlon's Task04_Hippocampus.
        run: The run.
        protocol: Says how many cases.

    Raises:
        HyperSORTError: The task folder is not the Decathlon's, or one of nnU-Net's commands failed.
    """
    clean = next(mixture for mixture in MIXTURES if mixture.spec is None)
    source.prepare(workplace, task, clean, 0, SourceProtocol(cases=protocol.cases))
    folder = workplace.preprocessed / run.dataset
    if run.regime is None or (folder / "complete.json").exists():
        return
    annotated = annotate(read_split(workplace, SOURCE_DATASET)[0], run.regime, run.seed)
    _write_raw(workplace, run, annotated)
    copy_plans(workplace, SOURCE_DATASET, run.dataset, labels_of=run.dataset)
    preprocess(workplace, run.dataset, CONFIGURATION_3D)
    splits = _splits(workplace, annotated)
    write_json(folder / SPLITS, splits)
    write_json(folder / "complete.json", {"cases": len(annotated)})


def annotate(cases: list[str], regime: Regime, seed: int) -> dict[str, tuple[str, ...]]:
    """Draw which training case is annotated for what, in the regime's shares.

    Args:
        cases: The training cases.
        regime: The shares.
        seed: Seed of the draw.
    """
    shuffled = np.random.default_rng([181, seed]).permutation(sorted(cases)).tolist()
    ends = np.rint(np.cumsum([share for _, share in regime.shares]) * len(cases)).astype(int)
    starts = [0, *ends[:-1]]
    return {
        case: names
        for (names, _), start, end in zip(regime.shares, starts, ends, strict=True)
        for case in shuffled[start:end]
    }


def _write_raw(workplace: Workplace, run: Run, annotated: Mapping[str, tuple[str, ...]]) -> None:
    original = open_dataset(workplace.raw / SOURCE_DATASET)
    folder = workplace.raw / run.dataset
    shutil.rmtree(folder, ignore_errors=True)
    labels = folder / "labelsTr"
    labels.mkdir(parents=True)
    link_images(original, folder)
    for case in original.cases:
        # Validation cases are whole: they are what is measured.
        known = set(run.labels) & set(annotated.get(case, tuple(LABELS)))
        file = original.labels_of(case)
        values = {LABELS[name]: 1 if run.label else LABELS[name] for name in known}
        drawn = np.zeros_like(file.labels)
        for value, new in values.items():
            drawn[file.labels == value] = new
        file.write(drawn, labels / f"{case}{original.file_ending}")
    write_json(folder / "dataset.json", _content(run, original, annotated))


def _content(run: Run, original: RawDataset, annotated: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    content = {**original.content, "name": run.dataset[11:]}
    if run.label:
        return {**content, "labels": {"background": 0, run.label: 1}}
    if run.method is not Method.PARTIAL:
        return content
    return {**content, **annotated_entries(original.table, annotated)}


def _splits(workplace: Workplace, annotated: Mapping[str, tuple[str, ...]]) -> list[dict[str, list[str]]]:
    training, held_out = read_split(workplace, SOURCE_DATASET)
    full = [case for case in training if set(annotated[case]) == set(LABELS)]
    with_label = [[case for case in training if label in annotated[case]] for label in LABELS]
    return [{"train": cases, "val": held_out} for cases in (training, full, *with_label)]
