"""What the report shows, as plain data: gathered by `gather`, shown by `html_page` and `figures`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nnunetv2_hypersort.latents.plane import LatentPlane
from nnunetv2_hypersort.ranking.ranking_table import RankedCase


@dataclass(frozen=True)
class Note:
    """A part of the report that cannot be shown, or only in part.

    Attributes:
        text: What is missing, and why.
        command: The command that gives it; may be empty.
    """

    text: str
    command: str = ""


@dataclass(frozen=True)
class StylePoint:
    """A style in one fold.

    Attributes:
        coordinates: Shape (dim,): the latent of the style.
        medoid: The training case whose latent that is, or None.
        size: Number of training cases of this fold in the style, or None if unknown.
    """

    coordinates: np.ndarray
    medoid: str | None
    size: int | None


@dataclass(frozen=True)
class ShownStyle:
    """An annotation style.

    Attributes:
        name: Its name over all folds.
        cases: The training cases annotated in it.
        description: In words, compared with the other styles; may be empty.
        folds: Where it is in each fold, by the name of the fold; without folds whose checkpoint it does not fit.
        fitted: Whether it was fitted to new cases instead of found among the training cases.
    """

    name: str
    cases: tuple[str, ...]
    description: str
    folds: Mapping[str, StylePoint]
    fitted: bool = False


@dataclass(frozen=True)
class ShownFold:
    """The latents of one fold.

    Attributes:
        name: Such as `0`.
        epoch: Number of epochs trained.
        cases: Its training cases.
        latents: Shape (cases, dim).
        losses: Shape (cases,): running mean of the loss; not-a-number for a case that was never visited.
        history: Shape (entries, cases, dim): the latents during training; not-a-number before a case joined.
        history_epochs: Shape (entries,): number of epochs finished at each entry.
        plane: Where the latents are shown.
    """

    name: str
    epoch: int
    cases: tuple[str, ...]
    latents: np.ndarray
    losses: np.ndarray
    history: np.ndarray
    history_epochs: np.ndarray
    plane: LatentPlane

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each of its cases."""
        return {case: row for row, case in enumerate(self.cases)}


@dataclass(frozen=True)
class Column:
    """A column of a table with one row per case, by which the map can be coloured.

    Attributes:
        name: Its heading.
        values: Text by case; a case without a value is absent.
        in_table: Whether the table of the cases has it too.
    """

    name: str
    values: Mapping[str, str]
    in_table: bool = True

    def numbers(self) -> dict[str, float] | None:
        """The values as numbers if all are numbers and there are more than a few, as on a scale; else None."""
        if len(set(self.values.values())) <= _FEW:
            return None
        try:
            numbers = {case: float(value) for case, value in self.values.items()}
        except ValueError:
            return None
        return numbers if np.isfinite(list(numbers.values())).all() else None


_FEW = 6
"""So many different values or fewer are shown as categories, numbers too (1.5 and 3 tesla)."""


@dataclass(frozen=True)
class SlicePicture:
    """One slice of a case with contours.

    Attributes:
        image: WebP.
        width: Of the picture, in units of the contours; proportional to millimetres.
        height: In the same units.
        label: Contours of the label: the `d` of an SVG path, empty where nothing is labelled.
        prediction: Contours of the prediction; None without a prediction.
        slice_number: Along the first axis of the preprocessed image, from 0.
        dice: Of label and prediction over the whole case, any foreground label; None without a prediction.
    """

    image: bytes
    width: int
    height: int
    label: str
    prediction: str | None
    slice_number: int
    dice: float | None = None


@dataclass(frozen=True)
class LineStep:
    """The segmentation at one place between two styles.

    Attributes:
        contours: The `d` of an SVG path.
        volume: Of all foreground in the whole case, in ml.
        point: Shape (2,): the place on the latent map.
    """

    contours: str
    volume: float
    point: np.ndarray


@dataclass(frozen=True)
class StyleLine:
    """How a slice that was held out is segmented along the line from one style to another.

    Attributes:
        start: Name of the style at the first step.
        end: Name of the style at the last step.
        fold: The fold.
        case: The case, which this fold did not train on, unless it is the fold `all`.
        held_out: Whether the fold did not train on the case.
        picture: The slice with the case's own label.
        steps: At equal distances.
    """

    start: str
    end: str
    fold: str
    case: str
    held_out: bool
    picture: SlicePicture
    steps: tuple[LineStep, ...]


@dataclass(frozen=True)
class ReportContent:
    """All that the report shows.

    Attributes:
        dataset: Name of the dataset.
        training: Configuration and trainer, in words.
        cases: The training cases of the folds, and what else the ranking lists (cases that the opened folds held out);
            worst first if there is a ranking, else by their loss.
        folds: The folds.
        styles: The styles, largest first.
        ranking: By case; empty without a ranking.
        columns: Columns to colour by, of the user and of the ranking.
        pictures: The worst slice of each case that could be shown.
        prediction_fold: The fold that the predictions in the pictures are of; empty without predictions.
        lines: Between pairs of styles.
        notes: What could not be shown.
        provisional: By the name of the fold how far its training has come, where that is not its end.
    """

    dataset: str
    training: str
    cases: tuple[str, ...]
    folds: tuple[ShownFold, ...]
    styles: tuple[ShownStyle, ...] = ()
    ranking: Mapping[str, RankedCase] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    pictures: Mapping[str, SlicePicture] = field(default_factory=dict)
    prediction_fold: str = ""
    lines: tuple[StyleLine, ...] = ()
    notes: tuple[Note, ...] = ()
    provisional: Mapping[str, str] = field(default_factory=dict)

    def loss_of(self) -> dict[str, float]:
        """The loss of each case, mean over the folds that trained it; cases that were never visited are absent."""
        found: dict[str, list[float]] = {}
        for fold in self.folds:
            for case, loss in zip(fold.cases, fold.losses, strict=True):
                if np.isfinite(loss):
                    found.setdefault(case, []).append(float(loss))
        return {case: float(np.mean(losses)) for case, losses in found.items()}

    def style_of(self) -> dict[str, str]:
        """The style of each case; cases of no style are absent.

        It is what the styles list. A case that none of the folds trained on may have one by the ranking.
        """
        names = {style.name for style in self.styles}
        trained = {case for fold in self.folds for case in fold.cases}
        by_ranking = {
            case: ranked.style for case, ranked in self.ranking.items() if ranked.style in names and case not in trained
        }
        # As `StyleBook.style_of_cases`: of several the one with most folds, then the largest.
        found: dict[str, str] = {}
        for style in sorted(self.styles, key=lambda style: -len(style.folds)):
            for case in style.cases:
                found.setdefault(case, style.name)
        return {**by_ranking, **found}
