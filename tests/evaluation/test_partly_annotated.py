"""`hypersort evaluate` on references that are not annotated for every label."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_helpers import make_box

from nnunetv2_hypersort.evaluation import Presence, evaluate_folders

LABELS = {"background": 0, "liver": 1, "spleen": 2, "kidney": 3}
SHAPE = (12, 14, 16)
LIVER = make_box(SHAPE, (1, 7), (1, 7), (1, 7))
BOTH = LIVER + make_box(SHAPE, (8, 11), (9, 12), (9, 12), value=2)


def test_what_is_not_annotated_is_not_scored(
    folders: Callable[..., tuple[Path, Path, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The prediction has the spleen everywhere; only in b and c it is known whether that is right.
    reference, prediction, dataset_json = folders(
        {"a": LIVER, "b": BOTH, "c": LIVER}, {"a": BOTH, "b": BOTH, "c": BOTH}, LABELS
    )
    content = json.loads(dataset_json.read_text())
    content["annotated_labels"] = {"a": ["liver"], "b": "most", "c": "most", "of_the_training": ["kidney"]}
    content["annotated_label_sets"] = {"most": ["liver", "spleen"]}
    dataset_json.write_text(json.dumps(content))
    found = evaluate_folders(
        reference, [prediction], dataset_json, tmp_path / "out", figures=False, num_processes=1, progress=False
    )
    assert found.table.presence[0, 0].tolist() == [Presence.BOTH, *[Presence.NOT_ANNOTATED] * 2]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    by_case = {Path(entry["reference_file"]).name[0]: entry["metrics"] for entry in summary["metric_per_case"]}
    assert all(math.isnan(by_case["a"]["2"][name]) for name in ("Dice", "IoU", "TP", "FP", "n_ref", "n_pred"))
    assert by_case["a"]["2"]["presence"] == "not_annotated"
    assert by_case["c"]["2"]["Dice"] == 0
    # Spleen: b right, c wrong; nobody is annotated for the kidney, which therefore has no part in the mean.
    assert summary["mean"]["2"]["Dice"] == pytest.approx(0.5)
    assert math.isnan(summary["mean"]["3"]["Dice"])
    assert summary["foreground_mean"]["Dice"] == pytest.approx(0.75)
    statistics = summary["hypersort"]["results"]["pred"]["labels"]
    assert statistics["spleen"]["cases"] == {
        "both": 1, "missed": 0, "false_positive": 1, "absent": 0, "not_annotated": 1
    }  # fmt: skip
    assert statistics["spleen"]["DSC"] == {
        "mean": 0.5, "ci95": statistics["spleen"]["DSC"]["ci95"], "num_subjects": 2
    }  # fmt: skip
    assert "Not annotated in the reference: 4 of 9" in found.markdown


def test_ordinary_summaries_have_no_further_key(
    folders: Callable[..., tuple[Path, Path, Path]], tmp_path: Path
) -> None:
    reference, prediction, dataset_json = folders({"a": BOTH}, {"a": np.zeros_like(BOTH)}, LABELS)
    evaluate_folders(
        reference, [prediction], dataset_json, tmp_path / "out", figures=False, num_processes=1, progress=False
    )
    assert "not_annotated" not in (tmp_path / "out" / "summary.json").read_text()
