"""The styles found in a model, as JSON and as text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunetv2_hypersort.files.text_tables import plain_columns
from nnunetv2_hypersort.latents import Style, StyleBook
from nnunetv2_hypersort.latents.styles_file import style_entry
from nnunetv2_hypersort.styles.alignment import Agreement, Alignment
from nnunetv2_hypersort.styles.certainty import Certainty
from nnunetv2_hypersort.styles.style_contrast import StyleContrast


@dataclass(frozen=True)
class FoundStyle:
    """One style.

    Attributes:
        style: Name, latents and cases.
        sizes: For each fold the size of the cluster.
        description: In words, relative to the other styles.
        contrasts: The measured differences from each other style that a fold has as well.
        contrast_folds: For each of these the fold that segmented.
    """

    style: Style
    sizes: Mapping[str, int]
    description: str
    contrasts: Mapping[str, StyleContrast]
    contrast_folds: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The style in JSON types."""
        return {
            **style_entry(self.style, self.sizes),
            "description": self.description,
            "compared_with": {
                other: {"fold": self.contrast_folds[other], **contrast.to_json()}
                for other, contrast in self.contrasts.items()
            },
        }


@dataclass(frozen=True)
class FoundStyles:
    """All styles of a model, and how sure they are.

    Attributes:
        folds: The folds that were looked at.
        styles: Styles of all folds first, the largest before the smaller ones, then clusters that are no style of
            several folds.
        alignment: How the clusters of the folds were matched.
        outliers: Cases that most of their folds put into no cluster.
        undecided: Cases whose folds disagree on their style.
        described_from: Where the descriptions come from, in words.
        provisional: By the name of the fold how far its training had come, where that was not its end.
        certainty: For each fold how sure the number of its clusters is.
    """

    folds: tuple[str, ...]
    styles: tuple[FoundStyle, ...]
    alignment: Alignment
    outliers: tuple[str, ...]
    undecided: tuple[str, ...]
    described_from: str
    provisional: Mapping[str, str] = field(default_factory=dict)
    certainty: tuple[Certainty, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all styles."""
        return tuple(found.style.name for found in self.styles)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Names of clusters of one fold that have no counterpart in another fold."""
        clusters = set(self.alignment.unmatched)
        return tuple(
            found.style.name
            for found in self.styles
            if any((fold, there.cluster) in clusters for fold, there in found.style.folds.items())
        )

    def in_book(self, book: StyleBook) -> StyleBook:
        """A book with these styles instead of those found in clusters before; fitted styles stay."""
        fitted = (style for style in book.styles if style.origin == "fitted")
        return StyleBook((*(found.style for found in self.styles), *fitted))

    def to_json(self, book: StyleBook) -> dict[str, Any]:
        """All in JSON types, as it stands in `styles.json`.

        Args:
            book: What `in_book` gave; its fitted styles stand behind those found.
        """
        alignment = self.alignment
        agreement = None
        if alignment.agreement is not None:
            pairs = {f"{one},{two}": _agreement_json(pair) for (one, two), pair in alignment.pairs.items()}
            agreement = {**_agreement_json(alignment.agreement), "pairs": pairs}
        return {
            "folds": list(self.folds),
            "consistent": alignment.consistent,
            "provisional": dict(self.provisional),
            "styles": [
                *(found.to_json() for found in self.styles),
                *(style_entry(style) for style in book.styles if style.origin == "fitted"),
            ],
            "agreement": agreement,
            "unmatched": list(self.unmatched),
            "outliers": list(self.outliers),
            "undecided": list(self.undecided),
            "described_from": self.described_from,
            "certainty": {one.fold: one.to_json() for one in self.certainty},
        }

    def to_text(self) -> str:
        """A table of the styles, their descriptions, and what to know about them."""
        marks = [f"PROVISIONAL: fold {fold} is at {words}." for fold, words in self.provisional.items()]
        rows = [("style", "cases", "folds", "medoid in each fold")]
        for found in self.styles:
            folds = found.style.folds
            # Ids are long, and the medoids of three folds show what is meant.
            medoids = [str(there.case_id) for there in folds.values()]
            shown = ", ".join(medoids[:3]) + (", ..." if len(medoids) > 3 else "")
            rows.append((found.style.name, str(len(found.style.cases)), " ".join(folds), shown))
        lines = [plain_columns(rows), "", *(f"{found.style.name}: {found.description}" for found in self.styles)]
        lines += ["", *self._remarks()]
        return "\n".join([*marks, *lines])

    def _names_in(self, fold: str, clusters: int) -> list[str]:
        there = {found.style.folds[fold].cluster: found for found in self.styles if fold in found.style.folds}
        return [there[number].style.name if number in there else f"cluster {number}" for number in range(clusters)]

    def _remarks(self) -> list[str]:
        remarks = [self.described_from] if len(self.styles) > 1 else []
        alignment = self.alignment
        if not self.styles:
            remarks.append("The latents form no cluster, so there are no styles.")
        elif alignment.agreement is None:
            remarks.append(f"Only fold {self.folds[0]} was looked at, so nothing had to be matched over folds.")
        elif not alignment.consistent:
            remarks.append(
                f"NO CONSISTENT MATCHING: {_agreement_text(alignment.agreement)}. The clusters of each fold are listed "
                f"as they are and serve that fold only; there is no style over folds. Train longer, or look at the "
                f"latent maps of the folds."
            )
        else:
            remarks.append(f"Agreement over folds: {_agreement_text(alignment.agreement)}.")
            worst = min(alignment.pairs.items(), key=lambda pair: (math.isnan(pair[1].share), pair[1].share))
            if len(alignment.pairs) > 1:
                remarks.append(f"Lowest between folds {' and '.join(worst[0])}: {_agreement_text(worst[1])}.")
        if alignment.consistent and self.unmatched:
            remarks.append(
                f"Without a counterpart in other folds: {', '.join(self.unmatched)}; each serves its own fold only."
            )
        remarks += [one.to_text(self._names_in(one.fold, len(one.stability))) for one in self.certainty]
        if self.outliers:
            remarks.append(f"In no cluster ({len(self.outliers)}): {_some(self.outliers)}.")
        if self.undecided:
            remarks.append(f"Folds disagree on the style of {len(self.undecided)}: {_some(self.undecided)}.")
        return remarks


def _agreement_json(agreement: Agreement) -> dict[str, float | int | None]:
    return {
        "cases": agreement.cases,
        "share": None if math.isnan(agreement.share) else round(agreement.share, 4),
        "kappa": None if math.isnan(agreement.kappa) else round(agreement.kappa, 4),
    }


def _agreement_text(agreement: Agreement) -> str:
    if not agreement.cases:
        return "the folds share no case that both put into a cluster"
    kappa = "" if math.isnan(agreement.kappa) else f" (Cohen's kappa {agreement.kappa:.2f})"
    return f"the same style in {100 * agreement.share:.1f} % of {agreement.cases} comparisons of shared cases{kappa}"


def _some(cases: tuple[str, ...]) -> str:
    return ", ".join(cases[:8]) + (", ..." if len(cases) > 8 else "")
