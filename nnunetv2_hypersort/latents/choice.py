"""The user's choice of a latent, read from text and resolved for each fold."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.chosen_latent import ChosenLatent
from nnunetv2_hypersort.latents.fold_record import FoldRecord, fold_order
from nnunetv2_hypersort.latents.from_styles import latents_of_cluster, latents_of_largest_style, latents_of_style
from nnunetv2_hypersort.latents.style_book import StyleBook

LATENT_VARIABLE = "HYPERSORT_LATENT"
"""Environment variable that chooses the latent of a prediction, in one of the forms that `LatentChoice.parse` reads."""

_FORMS = (
    "`mode`, `style:NAME`, `case:ID` (the latent of a training case), `cluster:K` (one fold only) or coordinates such "
    "as `0.31,-0.12` (one fold only)"
)


@dataclass(frozen=True)
class LatentChoice:
    """A chosen latent before it is known for which fold.

    Attributes:
        case_id: The training case whose latent is meant, or None.
        coordinates: The coordinates that were given, or None.
        style: The name of the annotation style that is meant, or None.
        cluster: The number of the cluster that is meant, as one fold counts them, or None. With none of all these, the
            mode is meant.
    """

    case_id: str | None = None
    coordinates: tuple[float, ...] | None = None
    style: str | None = None
    cluster: int | None = None

    @classmethod
    def parse(cls, text: str) -> "LatentChoice":
        """Read `mode`, `style:NAME`, `case:ID`, `cluster:K` or `x,y,...`.

        Raises:
            HyperSORTError: The text has none of these forms.
        """
        text = text.strip()
        if text in ("", "mode"):
            return cls()
        if text.startswith("case:"):
            case_id = text.removeprefix("case:").strip()
            if not case_id:
                raise HyperSORTError(f"The latent {text!r} names no case; write `case:` and the id of a training case.")
            return cls(case_id=case_id)
        if text.startswith("style:"):
            name = text.removeprefix("style:").strip()
            if not name:
                raise HyperSORTError(f"The latent {text!r} names no style; write `style:` and the name of a style.")
            return cls(style=name)
        if text.startswith("cluster:"):
            number = text.removeprefix("cluster:").strip()
            if not (number.isascii() and number.isdigit()):
                raise HyperSORTError(
                    f"The latent {text!r} gives no cluster; write `cluster:` and its number (0, 1, ...)."
                )
            return cls(cluster=int(number))
        try:
            coordinates = tuple(float(part) for part in text.split(","))
        except ValueError:
            raise HyperSORTError(f"The latent {text!r} cannot be read; give {_FORMS}.") from None
        if not all(math.isfinite(coordinate) for coordinate in coordinates):
            raise HyperSORTError(f"The latent {text!r} has a coordinate that is not a finite number; give {_FORMS}.")
        return cls(coordinates=coordinates)

    def __str__(self) -> str:
        if self.case_id is not None:
            return f"case:{self.case_id}"
        if self.style is not None:
            return f"style:{self.style}"
        if self.cluster is not None:
            return f"cluster:{self.cluster}"
        if self.coordinates is not None:
            return ",".join(repr(coordinate) for coordinate in self.coordinates)
        return "mode"


def choose_latents(
    choice: LatentChoice, records: Sequence[FoldRecord], book: StyleBook | None = None
) -> list[ChosenLatent]:
    """Find the chosen latent in each of the folds that predict together.

    The mode is the largest style that all folds of the book share, if it has one, for a single fold, too. Without
    such a style it is the densest latent of each fold, and these may be different styles.

    Args:
        choice: What the user asked for.
        records: The folds.
        book: The styles of the model; without one it has none.

    Returns:
        One latent per fold, in the same order.

    Raises:
        HyperSORTError: The case is unknown, or was not trained or never visited in one of the folds; the coordinates
            have the wrong dimension, or were given for more than one fold; the style or cluster is unknown, is missing
            in one of the folds or was found in another checkpoint (the largest style, too, where it is the mode); a
            cluster was given for more than one fold.
    """
    book = StyleBook() if book is None else book
    if choice.coordinates is not None:
        return _from_coordinates(choice.coordinates, records)
    if choice.case_id is not None:
        return _from_case(choice.case_id, records)
    if choice.style is not None:
        return latents_of_style(choice.style, records, book)
    if choice.cluster is not None:
        return latents_of_cluster(choice.cluster, records, book)
    return latents_of_largest_style(records, book) or _from_modes(records)


def _from_modes(records: Sequence[FoldRecord]) -> list[ChosenLatent]:
    chosen = []
    for record in records:
        if not record.case_ids:
            raise HyperSORTError(f"Fold {record.fold or '?'} has no training latents; finish its training first.")
        case_id, latent = record.mode()
        chosen.append(ChosenLatent(record.fold, latent, f"mode (case {case_id})"))
    return chosen


def _from_coordinates(coordinates: tuple[float, ...], records: Sequence[FoldRecord]) -> list[ChosenLatent]:
    for record in records:
        dim = record.latents.shape[1]
        if len(coordinates) != dim:
            raise HyperSORTError(
                f"The latent {LatentChoice(coordinates=coordinates)} has {len(coordinates)} coordinates, but the "
                f"latents of this model have {dim}; give {dim} numbers separated by commas."
            )
    if len(records) > 1:
        folds = ", ".join(record.fold for record in records)
        raise HyperSORTError(
            f"One latent given by coordinates cannot serve folds {folds}: latent coordinates of different folds are "
            f"unrelated. Name the style by a case (`case:ID`), or predict with a single fold; each of these can serve "
            f"alone: {folds}."
        )
    return [ChosenLatent(record.fold, np.array(coordinates), "coordinates as given") for record in records]


def _from_case(case_id: str, records: Sequence[FoldRecord]) -> list[ChosenLatent]:
    able = [record for record in records if case_id in record.case_ids]
    for record in able:
        if not record.was_drawn(case_id):
            raise HyperSORTError(
                f"The case {case_id} was never visited in the training of fold {record.fold}, so its latent means "
                f"nothing; choose another case or train longer."
            )
    if len(able) == len(records):
        return [ChosenLatent(record.fold, record.latent_of(case_id), f"case {case_id}") for record in records]
    serving = sorted({fold for record in records for fold in record.folds_that_train(case_id)}, key=fold_order)
    if not serving:
        known = sorted({case for record in records for case in (*record.case_ids, *chain(*record.held_out.values()))})
        if case_id in known:
            raise HyperSORTError(
                f"The case {case_id} is held out in every fold of the split, so it has no latent; name a training "
                f"case, or fit a latent to its label with `hypersort fit`."
            )
        nearest = difflib.get_close_matches(case_id, known, n=3)
        hint = (
            f"the nearest ids are {', '.join(nearest)}" if nearest else f"an id looks like {known[0]}" if known else ""
        )
        raise HyperSORTError(f"The latent case:{case_id} names no training case of this model; {hint}.")
    unable = ", ".join(record.fold for record in records if case_id not in record.case_ids)
    raise HyperSORTError(
        f"The case {case_id} is not training data of fold {unable}, so it has no latent there; "
        f"folds that can serve: {', '.join(serving)}. Choose with `-f`."
    )
