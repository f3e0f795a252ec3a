"""Draws every figure of an evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from matplotlib.figure import Figure

from nnunetv2_hypersort.evaluation.aggregation import Aggregate
from nnunetv2_hypersort.evaluation.box_plots import draw_box_plot
from nnunetv2_hypersort.evaluation.case_scores import METRICS
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.difference_plots import draw_differences
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.evaluation.worst_cases import draw_worst_cases
from nnunetv2_hypersort.files.figures import names_are_text, save_figure
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader


def draw_figures(
    folder: Path,
    table: ScoreTable,
    result: Aggregate,
    *,
    cases: Sequence[Case],
    labels: LabelTable,
    reader: ImageReader,
    images: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Draw box plots per metric, difference plots per pair of methods, and the worst cases of each method.

    Args:
        folder: Where the PNG files go.
        table: The scores.
        result: Means and differences.
        cases: The files of the cases, for the worst ones are read again.
        labels: The structures.
        reader: Reads the files as nnU-Net does.
        images: By case the image to lay below the contours.

    Returns:
        The files.
    """
    folder.mkdir(exist_ok=True)
    with names_are_text():
        return list(_draw(folder, table, result, cases, labels, reader, images))


def _draw(
    folder: Path,
    table: ScoreTable,
    result: Aggregate,
    cases: Sequence[Case],
    labels: LabelTable,
    reader: ImageReader,
    images: Mapping[str, Path] | None,
) -> Iterator[Path]:
    for metric in METRICS:
        figure = draw_box_plot(table, metric)
        if figure is not None:
            yield _save(figure, folder / f"box_plot_{metric}.png")
    for first, second in combinations(range(len(table.methods)), 2):
        names = [table.methods[index].replace("/", "__") for index in (second, first)]
        figure = draw_differences(table, result, first, second)
        yield _save(figure, folder / f"difference_{'_minus_'.join(names)}.png")
    for method, name in enumerate(table.methods):
        figure = draw_worst_cases(table, method, cases=cases, labels=labels, reader=reader, images=images)
        if figure is not None:
            yield _save(figure, folder / f"worst_cases_{name.replace('/', '__')}.png")


def _save(figure: Figure, path: Path) -> Path:
    save_figure(figure, path, dpi=120)
    return path
