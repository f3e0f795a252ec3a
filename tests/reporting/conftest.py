"""A small report, and a browser to look at it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skips import need_program

from nnunetv2_hypersort.latents.plane import LatentPlane
from nnunetv2_hypersort.ranking.ranking_table import RankedCase
from nnunetv2_hypersort.report.content import (
    Column,
    LineStep,
    Note,
    ReportContent,
    ShownFold,
    ShownStyle,
    SlicePicture,
    StyleLine,
    StylePoint,
)
from nnunetv2_hypersort.report.html_page import render_page
from nnunetv2_hypersort.report.slices import CutOut, label_fields

MakeContent = Callable[..., ReportContent]


@pytest.fixture
def make_content() -> MakeContent:
    """Build the content of a report of two folds with twelve cases, of which the last is of no style."""
    return _content


def _content(prefix: str = "case_", *, style_names: tuple[str, str] = ("A", "B"), **replaced: Any) -> ReportContent:
    cases = tuple(f"{prefix}{number:02d}" for number in range(12))
    grid = _disc(20)[0]
    cut = CutOut((0, 64), (0, 64), (1.0, 1.0))
    outlines = [cut.path(label_fields(_disc(radius)[1], [1])) for radius in (20, 14)]
    picture = SlicePicture(cut.encode(grid), 1000, 1000, outlines[0], outlines[1], 7, 0.8)
    folds = tuple(_fold(str(name), cases[name : name + 11]) for name in (0, 1))
    shown = tuple(
        ShownStyle(
            style,
            tuple(case for row, case in enumerate(cases[:-1]) if row % 2 == number),
            f"description of {style}",
            {fold.name: StylePoint(fold.latents[2 + number], fold.cases[2 + number], 5) for fold in folds},
        )
        for number, style in enumerate(style_names)
    )
    steps = tuple(
        LineStep(cut.path(label_fields(_disc(radius)[1], [1])), float(radius), np.array([radius / 10, 0.0]))
        for radius in range(10, 21)
    )
    content = {
        "dataset": "Dataset900_Small",
        "training": "3d_fullres, HyperSORTTrainer",
        "cases": cases,
        "folds": folds,
        "styles": shown,
        "ranking": {
            case: RankedCase(case, row / 11, "", ("0", "1"), f"reason {row}") for row, case in enumerate(cases)
        },
        "columns": (Column("scanner", {case: "old" if row < 4 else "new" for row, case in enumerate(cases[:-1])}),),
        "pictures": dict.fromkeys(cases[:-1], picture),
        "prediction_fold": "0",
        "lines": (StyleLine(style_names[0], style_names[1], "0", cases[-1], True, picture, steps),),
        "notes": (Note("Something is missing.", "hypersort rank MODEL"),),
    }
    return ReportContent(**{**content, **replaced})


def _disc(radius: float) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:64, :64] - 31.5
    return np.hypot(rows, columns), (np.hypot(rows, columns) < radius).astype(int)


def _fold(name: str, cases: tuple[str, ...]) -> ShownFold:
    # Alternately left and right, two units apart, one above the other: no two points overlap on the map.
    latents = np.array([[2.0 * (row % 2), 0.4 * row] for row in range(len(cases))])
    history = np.linspace(0, 1, 5)[:, None, None] * latents
    losses = np.linspace(0.1, 1.1, len(cases))
    return ShownFold(name, 40, cases, latents, losses, history, np.arange(5) * 10, LatentPlane.through(latents))


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    file = os.environ.get("HYPERSORT_CHROMIUM") or need_program(
        "chromium", "chromium-browser", "google-chrome", package="chromium"
    )
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=file, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(_chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a report in headless Chromium; the page keeps what went wrong in `page.faults`, which must stay empty."""
    contexts = []

    def open_report(report: ReportContent | Path, *, width: int = 1280, scheme: str = "light") -> Any:
        file = report if isinstance(report, Path) else tmp_path / "report.html"
        if isinstance(report, ReportContent):
            file.write_text(render_page(report), encoding="utf-8")
        context = _chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("console", lambda message: message.type == "error" and page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("dialog", lambda dialog: (page.faults.append(dialog.message), dialog.dismiss()))
        inside = ("data:", "blob:", file.as_uri())
        page.on("request", lambda request: request.url.startswith(inside) or page.faults.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn=true]", state="attached")
        return page

    yield open_report
    for context in contexts:
        context.close()
