"""What the scripts of the page read: the content of the report in JSON types."""

import base64
import math
from typing import Any

import numpy as np

from nnunetv2_hypersort.report.content import Column, ReportContent, ShownFold, SlicePicture
from nnunetv2_hypersort.report.examples import examples_of

_DRAWN_POINTS = 40_000
"""Of all trajectories of a fold: more a browser draws too slowly."""
_MOST_ENTRIES = 60


def page_payload(content: ReportContent) -> dict[str, Any]:
    """The content in JSON types; cases, styles and folds are named by their row."""
    rows = {case: row for row, case in enumerate(content.cases)}
    styles = {style.name: row for row, style in enumerate(content.styles)}
    style_of, loss_of = content.style_of(), content.loss_of()
    return {
        "predictionFold": content.prediction_fold,
        "ranked": bool(content.ranking),
        "cases": [
            {
                "id": case,
                "style": styles.get(style_of.get(case, ""), -1),
                "loss": _number(loss_of.get(case)),
                **_ranked(content, case),
                "picture": _picture(content.pictures.get(case)),
            }
            for case in content.cases
        ],
        "styles": [
            {
                "name": style.name,
                "size": len(style.cases),
                "description": style.description,
                "fitted": style.fitted,
                "folds": [
                    {"fold": fold, "medoid": point.medoid, "size": point.size} for fold, point in style.folds.items()
                ],
                "examples": [rows[case] for case in examples_of(content, style)],
            }
            for style in content.styles
        ],
        "folds": [_fold(fold, content, rows) for fold in content.folds],
        "columns": [_column(column, content.cases) for column in content.columns],
        "lines": [
            {
                "start": styles[line.start],
                "end": styles[line.end],
                "fold": line.fold,
                "case": line.case,
                "heldOut": line.held_out,
                "picture": _picture(line.picture),
                "steps": [
                    {"contours": step.contours, "volume": round(step.volume, 3), "point": _rounded(step.point)}
                    for step in line.steps
                ],
            }
            for line in content.lines
        ],
    }


def _ranked(content: ReportContent, case: str) -> dict[str, Any]:
    ranked = content.ranking.get(case)
    if ranked is None:
        folds = [fold.name for fold in content.folds if case in fold.rows]
        return {"quality": None, "reason": "", "folds": " ".join(folds)}
    return {"quality": _number(ranked.quality), "reason": ranked.reason, "folds": " ".join(ranked.folds)}


def _fold(fold: ShownFold, content: ReportContent, rows: dict[str, int]) -> dict[str, Any]:
    allowed = max(8, min(_MOST_ENTRIES, _DRAWN_POINTS // max(len(fold.cases), 1)))
    count = len(fold.history)
    entries = np.unique(np.linspace(0, count - 1, min(allowed, count)).round().astype(int))
    history = fold.plane.project(fold.history[entries])
    return {
        "name": fold.name,
        "epoch": fold.epoch,
        "axes": list(fold.plane.names),
        "cases": [rows[case] for case in fold.cases],
        "points": [_rounded(point) for point in fold.plane.project(fold.latents)],
        "losses": [_number(loss) for loss in fold.losses],
        "historyEpochs": [int(epoch) for epoch in fold.history_epochs[entries]],
        # Little-endian 32-bit floats, entries by cases by two.
        "history": base64.b64encode(np.ascontiguousarray(history, "<f4").tobytes()).decode(),
        "styles": [
            {"style": row, "point": _rounded(fold.plane.project(style.folds[fold.name].coordinates))}
            for row, style in enumerate(content.styles)
            if fold.name in style.folds
        ],
    }


def _column(column: Column, cases: tuple[str, ...]) -> dict[str, Any]:
    numbers = column.numbers()
    if numbers is not None:
        return {
            "name": column.name,
            "inTable": column.in_table,
            "numbers": [_number(numbers.get(case)) for case in cases],
        }
    categories = sorted(set(column.values.values()), key=_natural)
    code = {category: row for row, category in enumerate(categories)}
    return {
        "name": column.name,
        "inTable": column.in_table,
        "categories": categories,
        "codes": [code[column.values[case]] if case in column.values else -1 for case in cases],
    }


def _natural(text: str) -> tuple[bool, float, str]:
    try:
        number = float(text)
    except ValueError:
        return (True, 0.0, text)
    return (False, number, text) if math.isfinite(number) else (True, 0.0, text)


def _picture(picture: SlicePicture | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    return {
        "image": "data:image/webp;base64," + base64.b64encode(picture.image).decode(),
        "width": picture.width,
        "height": picture.height,
        "label": picture.label,
        "prediction": picture.prediction,
        "slice": picture.slice_number,
        "dice": _number(picture.dice),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 5)


def _rounded(point: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in point]
