"""The picture of the demo: latent map on the left, one held-out slice segmented with two latents on the right."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_hypersort.demo import phantom
from nnunetv2_hypersort.demo.tables import load, read_latents
from nnunetv2_hypersort.files.figures import names_are_text, save_figure

_COLOURS = dict(zip(phantom.STYLES, ("#3b75af", "#e08e28", "#4f9e4b"), strict=True))


def save_demo_picture(
    path: Path,
    fold_folder: Path,
    dataset: Path,
    styles: Mapping[str, tuple[str, str]],
    predictions: Mapping[str, Path],
) -> None:
    """Write the picture.

    Args:
        path: PNG file to write.
        fold_folder: Folder of the trained fold.
        dataset: The raw dataset, with the test images and their labels in each style.
        styles: Style and error of each training case.
        predictions: For each shown style the folder with its predictions.
    """
    with names_are_text(default_style=True):
        figure = Figure(figsize=(14, 5), layout="constrained")
        grid = figure.subplots(1, 1 + len(predictions), width_ratios=[1.25, *[1] * len(predictions)])
        _draw_latents(grid[0], read_latents(fold_folder), styles)
        for axes, (style, folder) in zip(grid[1:], predictions.items(), strict=True):
            _draw_slice(axes, style, folder, dataset)
        save_figure(figure, path, dpi=100)


def _draw_latents(axes: Any, latents: Mapping[str, np.ndarray], styles: Mapping[str, tuple[str, str]]) -> None:
    for style in phantom.STYLES:
        cases = [case for case in latents if styles[case] == (style, "none")]
        points = np.array([latents[case] for case in cases])
        axes.scatter(points[:, 0], points[:, 1], s=26, color=_COLOURS[style], label=f"drawn '{style}'")
    wrong = np.array([latents[case] for case in latents if styles[case][1] != "none"])
    if len(wrong):
        axes.scatter(wrong[:, 0], wrong[:, 1], s=60, marker="x", color="black", label="wrong label")
    axes.set(title="Latents of the training cases\n(styles and errors were not told)", xlabel="z_0", ylabel="z_1")
    # Below, where it hides no latent.
    axes.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)


def _draw_slice(axes: Any, style: str, folder: Path, dataset: Path) -> None:
    file = sorted(folder.glob("*.nii.gz"))[0]
    image = load(dataset / "imagesTs" / file.name.replace(".nii.gz", "_0000.nii.gz"))
    drawn = load(dataset / phantom.held_out_folder(phantom.STYLES[0]) / file.name)
    excluded = drawn.astype(bool) & ~load(dataset / phantom.held_out_folder(phantom.STYLES[2]) / file.name).astype(bool)
    level = int(excluded.sum(axis=(0, 1)).argmax())
    axes.imshow(image[:, :, level].T, cmap="gray", vmin=-150, vmax=250)
    reference = load(dataset / phantom.held_out_folder(style) / file.name)
    for volume, look in (
        (reference, {"colors": "white", "linestyles": "dotted"}),
        (load(folder / file.name), {"colors": _COLOURS[style]}),
    ):
        if volume[:, :, level].any():
            axes.contour(volume[:, :, level].T, [0.5], linewidths=2, **look)
    axes.set(title=f"A held-out scan, latent of a case drawn\n'{style}' (dotted: the label in that style)")
    axes.set_axis_off()
