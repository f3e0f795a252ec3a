"""The latents of an annotation style or of a cluster, looked up in the style book."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.chosen_latent import ChosenLatent, show_coordinates
from nnunetv2_hypersort.latents.fold_record import FoldRecord
from nnunetv2_hypersort.latents.style_book import Style, StyleBook


def latents_of_style(name: str, records: Sequence[FoldRecord], book: StyleBook) -> list[ChosenLatent]:
    """The latent of a style in each fold.

    Raises:
        HyperSORTError: There is no such style, it is not in one of the folds, or was found in another checkpoint.
    """
    style = book.find(name)
    without = [record.fold for record in records if record.fold not in style.folds]
    if without:
        raise HyperSORTError(
            f"The style {name} is not known in fold {', '.join(without)}, only in {', '.join(style.folds)}; choose "
            f"folds with `-f` or another style (all: {', '.join(book.names)}), or run `hypersort styles MODEL` again "
            f"if more folds were trained since."
        )
    for record in records:
        _refuse_other_checkpoint(style, record, book)
    return [_latent(style, record, f"style {name}") for record in records]


def latents_of_cluster(number: int, records: Sequence[FoldRecord], book: StyleBook) -> list[ChosenLatent]:
    """The latent of a cluster of one fold.

    Raises:
        HyperSORTError: There are several folds, the fold has no such cluster, or it was found in another checkpoint.
    """
    clusters = [book.clusters_of(record.fold) for record in records]
    if len(records) > 1:
        known = [
            f"{number} of fold {record.fold} is style {there[number].name}"
            for record, there in zip(records, clusters, strict=True)
            if number in there
        ]
        raise HyperSORTError(
            f"cluster:{number} cannot serve folds {', '.join(record.fold for record in records)}: each fold numbers "
            f"its clusters by itself{' (' + '; '.join(known) + ')' if known else ''}. Give the style as `style:NAME` "
            f"(styles of this model: {', '.join(book.names) or 'none; run `hypersort styles MODEL`'}), or predict with "
            f"one fold."
        )
    (record,), (there,) = records, clusters
    if number not in there:
        listed = ", ".join(f"{other} (style {style.name})" for other, style in there.items())
        raise HyperSORTError(
            f"Fold {record.fold} has no cluster {number}; it has {listed or 'none'}. If it was there before a "
            f"training, run `hypersort styles MODEL` again."
        )
    _refuse_other_checkpoint(there[number], record, book)
    return [_latent(there[number], record, f"cluster {number}, style {there[number].name}")]


def latents_of_largest_style(records: Sequence[FoldRecord], book: StyleBook) -> list[ChosenLatent] | None:
    """The latents of the largest style that all folds of the book share; None without such a style.

    It depends on the fold and the book alone, not on which folds predict together.

    Raises:
        HyperSORTError: There is such a style, but the book does not know one of these folds, or found the style in
            another checkpoint of it.
    """
    style = book.largest_shared()
    if style is None:
        return None
    unknown = [record.fold for record in records if record.fold not in style.folds]
    if unknown:
        raise HyperSORTError(
            f"The mode of this model is its largest style, {style.name}, which is known in fold "
            f"{', '.join(style.folds)} and not in fold {', '.join(unknown)}; run `hypersort styles MODEL` again, "
            f"choose folds with `-f`, or give a latent as `case:ID`."
        )
    for record in records:
        _refuse_other_checkpoint(style, record, book)
    return [_with_note(_latent(style, record, f"mode: style {style.name}"), record) for record in records]


def _latent(style: Style, record: FoldRecord, origin: str) -> ChosenLatent:
    there = style.folds[record.fold]
    dim = record.latents.shape[1]
    if len(there.coordinates) != dim:
        raise HyperSORTError(
            f"The style {style.name} has {len(there.coordinates)} coordinates in fold {record.fold}, but the latents "
            f"of this model have {dim}: plans.json is damaged; run `hypersort styles MODEL` again."
        )
    medoid = ""
    if there.case_id is not None:
        # A style that leaves out what its medoid still shows lies beyond it.
        is_moved = there.case_id in record.case_ids and not np.allclose(
            record.latent_of(there.case_id), there.coordinates, rtol=1e-4, atol=1e-6
        )
        medoid = f" ({'near ' if is_moved else ''}case {there.case_id})"
    return ChosenLatent(record.fold, np.array(there.coordinates), origin + medoid, style=style.name)


def _with_note(latent: ChosenLatent, record: FoldRecord) -> ChosenLatent:
    case_id, densest = record.mode()
    return replace(latent, note=f"before styles were found: {show_coordinates(densest)}, case {case_id}")


def _refuse_other_checkpoint(style: Style, record: FoldRecord, book: StyleBook) -> None:
    if style.serves(record):
        return
    raise HyperSORTError(
        f"The style {style.name} was found in another checkpoint of fold {record.fold} than this one, so its "
        f"coordinates mean nothing here; choose that checkpoint with `-chk`, or run `hypersort styles MODEL` again "
        f"(styles known: {', '.join(book.names)})."
    )
