"""Fitted latents and their agreement with the labels, as a table and as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.files.text_tables import markdown_table
from nnunetv2_hypersort.images.label_comparison import mean_dice

LATENTS = ("mode", "best_style", "fitted")
"""The latents that are compared."""


@dataclass(frozen=True)
class FittedLatent:
    """The latent of one fold that was fitted to one case, or to several that share it.

    Attributes:
        fold: The fold.
        cases: The cases it was fitted to.
        coordinates: Shape (dim,).
        typicality: In [0, 1]: the share of training latents in places no denser; 0 is outside all of them.
        nearest_style: The name of the style whose latent is nearest, or None without styles.
        distance: To that latent, in units of the latent space, or None.
        best_style: The name of the style whose latent has the lowest loss, or None without styles.
        loss: nnU-Net's loss at the latents of `LATENTS`; without styles `best_style` is missing.
        dice: For each case, at each of these latents, Dice by label: on the grid of the file, with the sliding window
            and mirroring of a prediction.
    """

    fold: str
    cases: tuple[str, ...]
    coordinates: tuple[float, ...]
    typicality: float
    nearest_style: str | None
    distance: float | None
    best_style: str | None
    loss: Mapping[str, float]
    dice: Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Fit:
    """All that `fit_latents` found.

    Attributes:
        latents: Of each fold, and in it of each case, or one of all cases.
        shared: Whether all cases share one latent in each fold.
    """

    latents: tuple[FittedLatent, ...]
    shared: bool

    def table(self) -> pd.DataFrame:
        """One row per fold and case; Dice is the mean over labels, `dice_KIND_LABEL` that of a label."""
        table: pd.DataFrame = pd.DataFrame([row for latent in self.latents for row in _rows(latent)])
        return table

    def means(self) -> pd.DataFrame:
        """Dice at the compared latents, one row per case, the mean over folds."""
        dice = self.table().groupby("case", sort=False)[[f"dice_{kind}" for kind in LATENTS]]
        means: pd.DataFrame = dice.mean().set_axis(list(LATENTS), axis=1)
        return means

    def markdown(self) -> str:
        """What the command prints: the table, and how much of the error is style."""
        header = ["case", "fold", "latent", "typical", "nearest style", "Dice at mode", "at its best style", "fitted"]
        lines = [
            [
                row["case"],
                row["fold"],
                f"({', '.join(f'{value:.3f}' for value in latent.coordinates)})",
                f"{row['typicality']:.2f}",
                latent.nearest_style or "-",
                _number(row["dice_mode"]),
                _number(row["dice_best_style"]) + (f" ({latent.best_style})" if latent.best_style else ""),
                _number(row["dice_fitted"]),
            ]
            for latent in self.latents
            for row in _rows(latent)
        ]
        means = self.means()
        summaries = list(means.iterrows()) if len(lines) > len(means) else []
        summaries += [("all", means.mean())] if len(means) > 1 else []
        lines += [[case, "mean", "", "", "", *(_number(row[kind]) for kind in LATENTS)] for case, row in summaries]
        text = f"{markdown_table(header, lines)}\n\n{self._summary()}"
        if not any(latent.best_style for latent in self.latents):
            text += "\nThese checkpoints have no styles to compare with; `hypersort styles MODEL` finds them."
        return text

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `fit.json` and `fit.csv` into a folder that exists, and return their paths."""
        json_file, csv_file = folder / "fit.json", folder / "fit.csv"
        table = self.table()
        write_table(csv_file, list(table.columns), table.itertuples(index=False, name=None))
        write_json(json_file, self.to_json())
        return json_file, csv_file

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types; a Dice or loss that is not a number is null."""
        means = self.means()
        content = {
            "shared": self.shared,
            "fits": [
                {
                    "fold": latent.fold,
                    "cases": list(latent.cases),
                    "coordinates": list(latent.coordinates),
                    "typicality": latent.typicality,
                    "nearest_style": latent.nearest_style,
                    "distance": latent.distance,
                    "best_style": latent.best_style,
                    "loss": latent.loss,
                    "dice": {
                        case: {kind: {"mean": mean_dice(dice), **dice} for kind, dice in kinds.items()}
                        for case, kinds in latent.dice.items()
                    },
                }
                for latent in self.latents
            ],
            "mean_dice": {"cases": means.to_dict("index"), "all": means.mean().to_dict()},
        }
        return dict(_without_nan(content))

    def _summary(self) -> str:
        means = self.means().mean()
        mode, fitted = means["mode"], means["fitted"]
        if math.isnan(mode) or math.isnan(fitted):
            return "Dice is not defined: neither labels nor segmentations have foreground."
        if fitted < mode:
            return (
                f"The fitted latent has the lower loss, but no higher Dice ({fitted:.3f}) than the mode ({mode:.3f}): "
                f"the mode's style is as good for these cases, or the network is not trained well enough to tell."
            )
        return (
            f"Of the error at the mode (1 - Dice = {1 - mode:.3f}) {fitted - mode:.3f} is style, which the fitted "
            f"latent takes away, and {1 - fitted:.3f} remains."
        )


def _rows(latent: FittedLatent) -> list[dict[str, Any]]:
    rows = []
    for case, kinds in latent.dice.items():
        row: dict[str, Any] = {"case": case, "fold": latent.fold}
        row |= {f"z_{axis}": value for axis, value in enumerate(latent.coordinates)}
        row |= {
            "typicality": latent.typicality,
            "nearest_style": latent.nearest_style,
            "distance": latent.distance,
            "best_style": latent.best_style,
        }
        row |= {f"dice_{kind}": mean_dice(kinds.get(kind, {})) for kind in LATENTS}
        row |= {f"loss_{kind}": latent.loss.get(kind, math.nan) for kind in LATENTS}
        row |= {f"dice_{kind}_{label}": value for kind, dice in kinds.items() for label, value in dice.items()}
        rows.append(row)
    return rows


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    if isinstance(content, float | np.floating):
        return float(content) if math.isfinite(content) else None
    return content
