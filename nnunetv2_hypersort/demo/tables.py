"""What the demo compares: the latent of one style against labels drawn in each style."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel
import numpy as np

from nnunetv2_hypersort.demo import phantom
from nnunetv2_hypersort.files.tables import read_table
from nnunetv2_hypersort.files.text_tables import markdown_table


def read_latents(fold_folder: Path) -> dict[str, np.ndarray]:
    """Read `latents.csv` of a fold: the latent of each training case, shape (dim,)."""
    return {
        row["case"]: np.array([float(value) for key, value in row.items() if key.startswith("z_")])
        for row in read_table(fold_folder / "latents.csv", ("case",)).rows
    }


def representative_cases(
    fold_folder: Path, styles: Mapping[str, tuple[str, str]], wanted: Iterable[str]
) -> dict[str, str]:
    """For each wanted style the training case whose latent is nearest to all others of that style (the medoid)."""
    latents = read_latents(fold_folder)
    chosen = {}
    for style in wanted:
        cases = [case for case in latents if styles[case] == (style, "none")]
        points = np.array([latents[case] for case in cases])
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1).sum(1)
        chosen[style] = cases[int(np.argmin(distances))]
    return chosen


def dice_by_style(predictions: Path, dataset: Path) -> dict[str, dict[str, float]]:
    """Dice of predictions against the labels of each style: `{case: {style: Dice}}`."""
    scores: dict[str, dict[str, float]] = {}
    for file in sorted(predictions.glob("*.nii.gz")):
        predicted = load(file) > 0
        scores[file.name.removesuffix(".nii.gz")] = {
            style: _dice(predicted, load(dataset / phantom.held_out_folder(style) / file.name) > 0)
            for style in phantom.STYLES
        }
    return scores


def dice_table(title: str, scores: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table of `dice_by_style`, with the mean over cases in the last row."""
    rows = [(case, [by_style[style] for style in phantom.STYLES]) for case, by_style in scores.items()]
    rows.append(
        ("mean", [float(np.mean([by_style[style] for by_style in scores.values()])) for style in phantom.STYLES])
    )
    cells = [[case, *(f"{value:.3f}" for value in values)] for case, values in rows]
    return f"{title}\n\n{markdown_table(['held-out scan', *phantom.STYLES], cells, aligned=False)}\n"


def load(path: Path) -> np.ndarray:
    """Read a volume as nibabel orders it."""
    return np.asanyarray(nibabel.load(path).dataobj)


def _dice(predicted: np.ndarray, reference: np.ndarray) -> float:
    return float(2 * (predicted & reference).sum() / (predicted.sum() + reference.sum()))
