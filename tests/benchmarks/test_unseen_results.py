"""The numbers of a mixture from made-up records: latents that hold the styles, or baselines that do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles import results
from benchmarks.unseen_styles.datasets import Truth
from benchmarks.unseen_styles.evidence import LATENTS, MASKS, RESIDUALS, Evidence
from benchmarks.unseen_styles.mixtures import MIXTURES
from benchmarks.unseen_styles.protocol import FULL, Method, Run
from benchmarks.unseen_styles.results import JOINED, STYLES
from benchmarks.unseen_styles.tables import markdown

CASES = 60
GAP = 8.0


def evidence(name: str, holds: str, tmp_path: Path) -> Evidence:
    """A run whose cases differ by style in one table alone; of planted mixtures every tenth label is wrong."""
    (mixture,) = (one for one in MIXTURES if one.name == name)
    rng = np.random.default_rng(0)
    styles = np.arange(CASES) % len(mixture.styles)
    wrong = (np.arange(CASES) % 10 == 5) & ("errors" in getattr(mixture, "content", {}))
    tables = {source: rng.normal(size=(CASES, 4)) for source in (LATENTS, RESIDUALS, MASKS)}
    tables[LATENTS] = tables[LATENTS][:, :2]
    tables[holds][:, 0] += GAP * styles
    cases = tuple(f"case{number:02d}" for number in range(CASES))
    truth = tuple(
        Truth(mixture.styles[style], case, case, bool(bad), "shift" if bad else "none", 0.5 if bad else 1.0)
        for case, style, bad in zip(cases, styles, wrong, strict=True)
    )
    held_out = {style: {"x": {"dice": 0.9, "voxels": 100 + 10 * k}} for k, style in enumerate(mixture.styles)}
    clusters = styles if holds == LATENTS else np.zeros(CASES, int)
    record: dict[str, Any] = {
        "minutes": 2.0,
        "seen": {"cases": cases, "latents": tables[LATENTS], "features": tables[LATENTS], "clusters": clusters},
        "record": {"cases": cases, "losses": (0.1 + wrong).tolist()},
        "ranking": [{"case": case, "outlyingness": 5.0 * bad} for case, bad in zip(cases, wrong, strict=True)],
        "flagged": ["case00", *[case for case, bad in zip(cases, wrong, strict=True) if bad][1:]],
        "held_out": held_out,
    }
    cross_fit = {case: {"dice": 0.8 - 0.3 * bad, "softmin": 0.5} for case, bad in zip(cases, wrong, strict=True)}
    run = Run(mixture, Method.HYPERSORT, 0, "", FULL.epochs, 60, {})
    return Evidence(run, record, cases, truth, tables, cross_fit)


def collected(name: str, holds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = evidence(name, holds, tmp_path)
    mixture = found.run.mixture
    oracle = Run(mixture, Method.ORACLE, 0, mixture.styles[0], FULL.epochs, 60, {})
    theirs = {"held_out": {mixture.styles[0]: {"x": {"dice": 0.92, "voxels": 100}}}}
    amounts = {
        case: 0.1 * mixture.styles.index(entry.style) for case, entry in zip(found.cases, found.truth, strict=True)
    }
    monkeypatch.setattr(results, "gather", lambda *_: found)
    monkeypatch.setattr(results, "read_record", lambda _, run: theirs if run == oracle else None)
    monkeypatch.setattr(results, "log_area_ratios", lambda *_: amounts)
    return results.collect(Workplace(tmp_path), [found.run, oracle])[name]


def test_latents_that_hold_the_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = collected("cells_once", LATENTS, tmp_path, monkeypatch)
    (seed,) = entry["seeds"]
    assert seed["clusters"] == 2
    assert seed["ari"][STYLES][STYLES] == 1
    assert seed["told"][LATENTS] == {"accuracy": 1, "p": 0.005, "ari": 1}
    assert seed["ceiling"] == 1
    assert max(seed["ari"][MASKS].values()) < 0.2
    assert entry["hidden"]
    for name, metric in ((STYLES, "ari"), (LATENTS, "ari"), (LATENTS, "accuracy"), (JOINED, "accuracy")):
        assert entry["minus_baseline"][name][metric]["low"] > 0.2
    (degree,) = entry["degree"]
    # The styles are two amounts, so ranks agree but for the order within them.
    assert degree["spearman"] > 0.8
    assert degree["threshold_ari"] == 1
    assert degree["ratio_own"] == pytest.approx(np.exp(0.1), abs=1e-3)
    assert degree["ratio_predicted"] == pytest.approx(1.1)
    assert entry["own_style"]["person1_imagej"]["minus_oracle"]["mean"] == pytest.approx(-0.02)
    assert entry["wrong_labels"] is None
    text = markdown({"half": "choosing", "openings": 0, "settings": {}, "mixtures": {"cells_once": entry}})
    assert text.startswith("On none of 1 mixtures")
    assert "opened 0 times" in text


def test_residuals_that_hold_the_styles_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = collected("hippocampus_shape", RESIDUALS, tmp_path, monkeypatch)
    (seed,) = entry["seeds"]
    assert seed["ari"][STYLES][STYLES] == 0
    assert seed["told"][RESIDUALS]["accuracy"] > 0.95
    assert entry["minus_baseline"][STYLES]["ari"]["high"] < 0
    found = entry["wrong_labels"]
    assert found["all"]["wrong_labels"] == [6]
    # Of Dice 0.5 all are gross, and there are none of the other kind.
    assert found["Dice up to 0.7"]["wrong_labels"] == [6]
    assert "Dice 0.7 to 0.9" not in found
    assert found["all"]["scores"]["rank"]["average_precision"] == [1]
    assert found["all"]["scores"]["cross_fit_disagreement"]["auroc"] == [1]
    assert found["flagged"] == [{"flagged": 6, "wrong": 5, "of": 6}]
    text = markdown({"half": "testing", "openings": 3, "settings": {}, "mixtures": {"hippocampus_shape": entry}})
    assert text.startswith("**A baseline of an afternoon finds the styles better")
    assert "opened 3 times" in text
