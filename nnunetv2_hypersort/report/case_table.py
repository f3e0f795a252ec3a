"""The cases of the report as a table for other programs."""

from typing import Any

import pandas as pd

from nnunetv2_hypersort.report.content import ReportContent


def case_table(content: ReportContent) -> pd.DataFrame:
    """One row per case, in the order of the report.

    Returns:
        The columns `case`, `quality`, `style`, `loss`, `dice` (of label and the prediction shown, any foreground),
        `reason`, `folds`, then the coordinates per fold (`fold_0_z_0`, ...), the columns to colour by, and where a
        training has not ended `provisional`, how far it has come. What is not known is empty.
    """
    cases = list(content.cases)
    styles, losses = content.style_of(), content.loss_of()
    ranked = [content.ranking.get(case) for case in cases]
    pictures = [content.pictures.get(case) for case in cases]
    columns: dict[str, Any] = {
        "case": cases,
        "quality": [None if one is None else one.quality for one in ranked],
        "style": [styles.get(case) for case in cases],
        "loss": [losses.get(case) for case in cases],
        "dice": [None if picture is None else picture.dice for picture in pictures],
        "reason": [None if one is None else one.reason for one in ranked],
        "folds": [
            " ".join([fold.name for fold in content.folds if case in fold.rows] if one is None else one.folds)
            for case, one in zip(cases, ranked, strict=True)
        ],
    }
    for fold in content.folds:
        row = fold.rows
        for axis in range(fold.latents.shape[1]):
            columns[f"fold_{fold.name}_z_{axis}"] = [
                float(fold.latents[row[case], axis]) if case in row else None for case in cases
            ]
    for column in content.columns:
        # A column of the user's that is called like one of ours must not replace it.
        name = column.name if column.name not in columns else f"metadata_{column.name}"
        columns[name] = [column.values.get(case) for case in cases]
    if content.provisional:
        said = "; ".join(f"fold {fold}: {words}" for fold, words in content.provisional.items())
        columns["provisional"] = [said] * len(cases)
    table: pd.DataFrame = pd.DataFrame(columns)
    return table
