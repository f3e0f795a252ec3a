"""What was found of known groups, as text and as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunetv2_hypersort.files.text_tables import printable
from nnunetv2_hypersort.styles.groups.comparison import SIGNIFICANT, TOLD_APART, Comparison, Verdict, holm
from nnunetv2_hypersort.styles.groups.cross_fit import Predictability
from nnunetv2_hypersort.styles.groups.design import Level
from nnunetv2_hypersort.styles.style_contrast import StyleContrast

_PERMUTED = {
    Level.IMAGES: "Groups were permuted within {blocks} images that have several.",
    Level.WITHIN_SUBJECTS: "Groups were permuted within {blocks} subjects that have several, over their {rows} images.",
    Level.SUBJECTS: "Groups were permuted over {rows} subjects.",
}


@dataclass(frozen=True)
class ComparedColumn:
    """The answer for one column.

    Attributes:
        names: Its name, and those of columns that group the cases in the same way.
        comparison: What was measured.
        p: That of its test, corrected for the number of columns.
        words: By the name of the group how its labels differ from those of the most common group.
        contrasts: By the name of the group the measured difference.
        without_value: How many cases have no value.
    """

    names: tuple[str, ...]
    comparison: Comparison
    p: float
    words: Mapping[str, str]
    contrasts: Mapping[str, StyleContrast]
    without_value: int = 0

    @property
    def verdict(self) -> Verdict:
        """The answer in short."""
        return self.comparison.verdict(self.p)

    def pair_values(self) -> dict[str, float]:
        """By the name of the group p of its difference from the first, corrected for the number of groups."""
        pairs = self.comparison.pairs
        names = self.comparison.design.names
        if len(pairs) == 1:
            return {names[1]: self.p}
        values = holm([pair.test.p for pair in pairs])
        # No pair differs more surely than all groups together.
        return {names[pair.group]: max(value, self.p) for pair, value in zip(pairs, values, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        compared, design = self.comparison, self.comparison.design
        values = self.pair_values()
        pairs = {design.names[pair.group]: pair for pair in compared.pairs}
        return {
            "column": self.names[0],
            "same_as": list(self.names[1:]),
            "verdict": self.verdict.value,
            "p": compared.test.p,
            "p_corrected": self.p,
            "share_of_variance": round(compared.test.share, 4),
            "p_with_nothing_taken_out": compared.plain.p,
            "permuted": design.level.value,
            "rows": len(design.rows),
            "blocks": len(set(design.blocks.tolist())),
            "balanced_accuracy_of_images": _accuracy(compared.predictability),
            "chance": round(1 / len(design.names), 4),
            "groups": [
                {
                    "name": name,
                    "cases": design.cases_of(number),
                    **(
                        {"most_common": True}
                        if not number
                        else {
                            "p": values[name],
                            "verdict": compared.verdict_of(pairs[name], values[name]).value,
                            "balanced_accuracy_of_images": _accuracy(pairs[name].predictability),
                            "words": self.words.get(name, ""),
                            "compared": self.contrasts[name].to_json() if name in self.contrasts else None,
                        }
                    ),
                }
                for number, name in enumerate(design.names)
            ],
            "without_value": self.without_value,
            "left_out": list(design.left_out),
        }

    def to_text(self, columns: int) -> str:
        """The answer for people.

        Args:
            columns: How many columns were compared in all.
        """
        compared, design, verdict = self.comparison, self.comparison.design, self.verdict
        twins = f" (and {', '.join(self.names[1:])}, which groups the cases in the same way)" if self.names[1:] else ""
        lines = [f"{self.names[0]}{twins}: {_headline(verdict, compared, self.p, columns)}"]
        values = self.pair_values()
        for number, name in enumerate(design.names):
            said = f"  {name} ({len(design.cases_of(number))} cases)"
            if not number:
                lines.append(f"{said}: the most common.")
                continue
            of_pair = compared.verdict_of(compared.pairs[number - 1], values[name])
            differs = of_pair is not Verdict.NO_DIFFERENCE and verdict is not Verdict.NO_DIFFERENCE
            words = self.words.get(name) if differs else None
            also = "; the images differ, too" if differs and of_pair is Verdict.IMAGES_DIFFER else ""
            how = words or ("a difference" if differs else "no difference found")
            lines.append(f"{said}: compared with {design.names[0]}, {how}{also} (p = {_p(values[name])}).")
        blocks = len(set(design.blocks.tolist()))
        lines.append("  " + _PERMUTED[design.level].format(rows=len(design.rows), blocks=blocks) + _images(compared))
        if self.without_value:
            lines.append(f"  {self.without_value} cases have no value.")
        lines += [f"  Left out: {one}." for one in design.left_out]
        return "\n".join(printable(line) for line in lines)


@dataclass(frozen=True)
class FoundGroups:
    """All columns that were asked for.

    Attributes:
        folds: The folds that were looked at.
        table: The table they stand in.
        columns: The answers, in the order of the question.
        notes: What is not as it should be.
        described_from: Where the words come from.
        provisional: By the name of the fold how far its training had come, where that was not its end.
    """

    folds: tuple[str, ...]
    table: str
    columns: tuple[ComparedColumn, ...]
    notes: tuple[str, ...] = ()
    described_from: str = ""
    provisional: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """In JSON types, as it stands in `groups.json`."""
        return {
            "version": 1,
            "folds": list(self.folds),
            "provisional": dict(self.provisional),
            "table": self.table,
            "columns": [column.to_json() for column in self.columns],
            "described_from": self.described_from,
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """All answers for people."""
        marks = [f"PROVISIONAL: fold {fold} is at {words}." for fold, words in self.provisional.items()]
        told = "\n\n".join(column.to_text(len(self.columns)) for column in self.columns)
        rest = [*filter(None, [self.described_from]), *(f"Note: {note}" for note in self.notes)]
        return "\n".join([*marks, told, *([""] if rest else []), *rest])


def _headline(verdict: Verdict, compared: Comparison, p: float, columns: int) -> str:
    corrected = f"p = {_p(compared.test.p)}" + (f", {_p(p)} corrected for {columns} columns" if columns > 1 else "")
    if verdict is Verdict.DIFFERENT:
        return f"ANNOTATED DIFFERENTLY ({corrected})."
    if verdict is Verdict.IMAGES_UNKNOWN:
        return (
            f"LABELS OR IMAGES DIFFER ({corrected}): no image is there any more, so what they explain could not be "
            f"taken out; set nnUNet_preprocessed or nnUNet_raw."
        )
    if verdict is Verdict.NO_DIFFERENCE:
        return f"no difference of annotation found ({corrected})."
    if compared.plain.p >= SIGNIFICANT:
        return f"no difference of annotation found (p = {_p(compared.plain.p)}), though the images differ."
    return (
        f"THE IMAGES DIFFER, TOO: they alone tell the groups apart, so whether people drew differently, or the images "
        f"are different, cannot be told (together p = {_p(compared.plain.p)})."
    )


def _images(compared: Comparison) -> str:
    told = compared.predictability
    if compared.design.level is Level.IMAGES:
        return " They have the same images, which so explain nothing."
    if told is None:
        return ""
    said = (
        f" The images alone tell the groups with a balanced accuracy of {told.balanced_accuracy:.2f} "
        f"(chance: {told.chance:.2f})"
    )
    if told.rescaled > TOLD_APART:
        return f"{said}."
    return f"{said}; what they explain was taken out."


def _accuracy(told: Predictability | None) -> float | None:
    return None if told is None or math.isnan(told.balanced_accuracy) else round(told.balanced_accuracy, 4)


def _p(value: float) -> str:
    return f"{value:.1g}" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
