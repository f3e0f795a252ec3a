"""The user's choice of a latent, read from text and resolved for each fold."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.fold_record import FoldRecord

LATENT_VARIABLE = "HYPERSORT_LATENT"
"""Environment variable that chooses the latent of a prediction: `mode`, `case:ID` or coordinates `x,y`."""

_FORMS = "`mode`, `case:ID` (the latent of a training case) or coordinates such as `0.31,-0.12`"


@dataclass(frozen=True)
class LatentChoice:
    """A chosen latent before it is known for which fold.

    Attributes:
        case_id: The training case whose latent is meant, or None.
        coordinates: The coordinates that were given, or None. With neither, the mode is meant.
    """

    case_id: str | None = None
    coordinates: tuple[float, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> "LatentChoice":
        """Read `mode`, `case:ID` or `x,y,...`.

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
        if self.coordinates is not None:
            return ",".join(repr(coordinate) for coordinate in self.coordinates)
        return "mode"


@dataclass(frozen=True)
class ChosenLatent:
    """A latent of one fold, and in words where it comes from.

    Attributes:
        fold: The fold.
        coordinates: Shape (dim,).
        origin: What it is, such as `mode (case liver_12)`.
    """

    fold: str
    coordinates: np.ndarray
    origin: str

    def __str__(self) -> str:
        shown = ", ".join(f"{coordinate:.4f}" for coordinate in self.coordinates)
        return f"fold {self.fold}: latent ({shown}), {self.origin}"


def choose_latents(choice: LatentChoice, records: Sequence[FoldRecord]) -> list[ChosenLatent]:
    """Find the chosen latent in each of the folds that predict together.

    Args:
        choice: What the user asked for.
        records: The folds.

    Returns:
        One latent per fold, in the same order.

    Raises:
        HyperSORTError: The case is unknown, or was not trained or never drawn in one of the folds; the coordinates have
            the wrong dimension, or were given for more than one fold.
    """
    if choice.coordinates is not None:
        return _from_coordinates(choice.coordinates, records)
    if choice.case_id is not None:
        return _from_case(choice.case_id, records)
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
                f"The case {case_id} was never drawn in the training of fold {record.fold}, so its latent means "
                f"nothing; choose another case or train longer."
            )
    if len(able) == len(records):
        return [ChosenLatent(record.fold, record.latent_of(case_id), f"case {case_id}") for record in records]
    serving = sorted({fold for record in records for fold in record.folds_that_train(case_id)}, key=_fold_order)
    if not serving:
        known = sorted({case for record in records for case in (*record.case_ids, *chain(*record.held_out.values()))})
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


def _fold_order(fold: str) -> tuple[bool, int, str]:
    return (not fold.isdigit(), int(fold) if fold.isdigit() else 0, fold)
