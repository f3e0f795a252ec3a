"""What is mixed: the mixtures of both halves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from benchmarks.unseen_styles.sources import AS_DRAWN, SOURCES, Source
from nnunetv2_hypersort.perturbation.spec import PerturbationSpec, parse_spec

ONCE_SEEDS = 10
"""How often it is drawn anew who annotated which image."""


_FIRST_PARTS = 860


class Half(str, Enum):
    """On one half methods are chosen, on the other they are tested, and every look at it is written down."""

    CHOOSING = "choosing"
    TESTING = "testing"


@dataclass(frozen=True)
class Mixture(ABC):
    """A training set of several annotation styles.

    Attributes:
        name: Its name in files and tables.
        number: Of its dataset; with several draws the first of them.
        half: Where it belongs.
        images: How many images; None takes all.
    """

    name: str
    number: int
    half: Half
    source_name: str
    images: int | None

    @property
    def source(self) -> Source:
        """Its images."""
        return SOURCES[self.source_name]

    @property
    @abstractmethod
    def styles(self) -> tuple[str, ...]:
        """The names of its styles."""

    @property
    def draws(self) -> int:
        """How often it is drawn anew who annotated what."""
        return 1

    def draw(self, seed: int) -> int:
        """The draw that a run with this seed takes."""
        return seed % self.draws

    def dataset(self, seed: int) -> str:
        """The dataset of a run with this seed, `DatasetXXX_Name`."""
        return f"Dataset{self.number + self.draw(seed)}_{self.name.title().replace('_', '')}"

    @property
    def parts(self) -> str:
        """The dataset with the data of the first draw and the splits of cross-fit and oracles."""
        return f"Dataset{_FIRST_PARTS + MIXTURES.index(self)}_{self.name.title().replace('_', '')}Parts"


@dataclass(frozen=True)
class Planted(Mixture):
    """Styles planted into the labels of one annotator.

    Attributes:
        content: The perturbation spec, as `parse_spec` takes it.
    """

    content: Mapping[str, Any] = field(hash=False)

    @property
    def spec(self) -> PerturbationSpec:
        """The perturbation spec."""
        return parse_spec(dict(self.content), f"The mixture {self.name}")

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of its styles."""
        return tuple(self.content["styles"])


@dataclass(frozen=True)
class Annotated(Mixture):
    """The labels of several annotators of the same images.

    Attributes:
        shares: For each annotator the share of the images.
        once: Whether each image is there once, with the labels of one annotator, else once per annotator.
    """

    shares: Mapping[str, float] = field(hash=False)
    once: bool = True

    @property
    def styles(self) -> tuple[str, ...]:
        """The annotators."""
        return tuple(self.shares)

    @property
    def draws(self) -> int:
        """Several where each image is there once."""
        return ONCE_SEEDS if self.once else 1


def _styles(**styles: tuple[float, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    return {name: {"proportion": share, "operations": list(steps)} for name, (share, steps) in styles.items()}


def _wrong(rate: float, *kinds: Any) -> dict[str, Any]:
    return {"rate": rate, "kinds": list(kinds)}


# Gross ones and ones that leave a Dice of 0.7 to 0.9, which are harder to see.
_WRONG_HIPPOCAMPUS = (
    {"shift": {"mm": 8}},
    {"shift": {"mm": 2.5}},
    "other_case",
    "empty",
    {"missing_slices": {"axis": "posterior-anterior", "fraction": 0.5}},
    {"missing_slices": {"axis": "posterior-anterior", "fraction": 0.25}},
    {"spill": {"mm": 3}},
)
_WRONG_PHANTOM = (
    {"shift": {"mm": 30}},
    {"shift": {"mm": 10}},
    "other_case",
    "empty",
    {"missing_slices": {"axis": "inferior-superior", "fraction": 0.3}},
    {"spill": {"mm": 5}},
)
# Of a picture the axes are those of its rows and columns.
_WRONG_CHEST = (
    {"shift": {"mm": 25}},
    {"shift": {"mm": 8}},
    "other_case",
    "empty",
    {"missing_slices": {"axis": "posterior-anterior", "fraction": 0.5}},
    {"missing_slices": {"axis": "posterior-anterior", "fraction": 0.2}},
    {"spill": {"mm": 5}},
)
_BACKWARDS = "posterior-anterior"

_CHOOSING: tuple[Mixture, ...] = (
    Planted(
        "hippocampus_shape",
        400,
        Half.CHOOSING,
        "hippocampus",
        100,
        {
            "styles": _styles(
                as_drawn=(0.5, ()),
                clefts_filled=(0.3, [{"fill_clefts": {"mm": 8}}]),
                thin_left_out=(0.2, [{"leave_out_thin": {"mm": 3}}]),
            ),
            "errors": _wrong(0.08, *_WRONG_HIPPOCAMPUS),
        },
    ),
    Planted(
        "hippocampus_ends",
        410,
        Half.CHOOSING,
        "hippocampus",
        100,
        {
            "styles": _styles(
                as_drawn=(0.34, ()),
                slices_copied=(0.33, [{"copy_slices": {"axis": _BACKWARDS, "every": 6}}]),
                end_trimmed=(0.33, [{"cut": {"end": "posterior", "fraction": 0.15}}]),
            ),
            "errors": _wrong(0.08, *_WRONG_HIPPOCAMPUS),
        },
    ),
    Planted(
        "hippocampus_border",
        420,
        Half.CHOOSING,
        "hippocampus",
        60,
        {"styles": _styles(dilated=(0.5, [{"dilate": {"mm": 1}}]), eroded=(0.5, [{"erode": {"mm": 1}}]))},
    ),
    Planted(
        "hippocampus_four",
        430,
        Half.CHOOSING,
        "hippocampus",
        160,
        {
            "styles": _styles(
                as_drawn=(0.4, ()),
                smooth=(0.25, [{"smooth": {"mm": 2.5}}]),
                end_trimmed=(0.2, [{"cut": {"end": "anterior", "fraction": 0.12}}]),
                slices_copied=(0.15, [{"copy_slices": {"axis": "inferior-superior", "every": 5}}]),
            ),
            "errors": _wrong(0.05, *_WRONG_HIPPOCAMPUS),
        },
    ),
    Planted(
        "hippocampus_balanced",
        440,
        Half.CHOOSING,
        "hippocampus",
        80,
        {
            "styles": _styles(
                as_drawn=(0.6, ()),
                dilated_and_trimmed=(0.4, [{"dilate": {"mm": 1}}, {"cut": {"end": "posterior", "fraction": 0.3}}]),
            ),
        },
    ),
    Annotated(
        "phantom_styles", 450, Half.CHOOSING, "phantom", 60, {AS_DRAWN: 0.45, "generous": 0.3, "no_left_lobe": 0.25}
    ),
    Planted(
        "phantom_trimmed",
        460,
        Half.CHOOSING,
        "phantom",
        80,
        {
            "styles": _styles(as_drawn=(0.65, ()), end_trimmed=(0.35, [{"cut": {"end": "inferior", "fraction": 0.2}}])),
            "errors": _wrong(0.08, *_WRONG_PHANTOM),
        },
    ),
    Annotated("retina_once", 470, Half.CHOOSING, "retina", None, {"observer_1": 0.5, "observer_2": 0.5}),
    Annotated("retina_twice", 480, Half.CHOOSING, "retina", None, {"observer_1": 0.5, "observer_2": 0.5}, once=False),
    Annotated(
        "cells_once_of_three",
        490,
        Half.CHOOSING,
        "cells",
        None,
        {"person1_imagej": 0.34, "person2": 0.33, "person3_amira": 0.33},
    ),
    Annotated("cells_once", 500, Half.CHOOSING, "cells", None, {"person1_imagej": 0.5, "person3_amira": 0.5}),
    Annotated("cells_twice", 510, Half.CHOOSING, "cells", None, {"person1_imagej": 0.5, "person2": 0.5}, once=False),
    Annotated(
        "cells_thrice",
        520,
        Half.CHOOSING,
        "cells",
        None,
        {"person1_imagej": 0.34, "person2": 0.33, "person3_amira": 0.33},
        once=False,
    ),
)

_TESTING: tuple[Mixture, ...] = (
    Planted(
        "chest_shape",
        600,
        Half.TESTING,
        "chest",
        160,
        {
            "styles": _styles(
                as_drawn=(0.5, ()),
                clefts_filled=(0.3, [{"fill_clefts": {"mm": 5}}]),
                thin_left_out=(0.2, [{"leave_out_thin": {"mm": 7}}]),
            ),
            "errors": _wrong(0.08, *_WRONG_CHEST),
        },
    ),
    Planted(
        "chest_ends",
        610,
        Half.TESTING,
        "chest",
        120,
        {
            "styles": _styles(
                as_drawn=(0.34, ()),
                slices_copied=(0.33, [{"copy_slices": {"axis": _BACKWARDS, "every": 12}}]),
                end_trimmed=(0.33, [{"cut": {"end": "posterior", "fraction": 0.15}}]),
            ),
            "errors": _wrong(0.08, *_WRONG_CHEST),
        },
    ),
    Planted(
        "chest_border",
        620,
        Half.TESTING,
        "chest",
        80,
        {"styles": _styles(as_drawn=(0.5, ()), eroded=(0.5, [{"erode": {"mm": 2}}]))},
    ),
    Planted(
        "chest_omission",
        630,
        Half.TESTING,
        "chest",
        100,
        {
            "styles": _styles(as_drawn=(0.7, ()), one_lung=(0.3, [{"keep_largest": {}}])),
            "errors": _wrong(0.08, *_WRONG_CHEST),
        },
    ),
    Planted(
        "chest_four",
        640,
        Half.TESTING,
        "chest",
        160,
        {
            "styles": _styles(
                as_drawn=(0.4, ()),
                smooth=(0.25, [{"smooth": {"mm": 6}}]),
                end_trimmed=(0.2, [{"cut": {"end": "anterior", "fraction": 0.12}}]),
                slices_copied=(0.15, [{"copy_slices": {"axis": "left-right", "every": 10}}]),
            ),
            "errors": _wrong(0.05, *_WRONG_CHEST),
        },
    ),
    Planted(
        "chest_balanced",
        650,
        Half.TESTING,
        "chest",
        40,
        {
            "styles": _styles(
                as_drawn=(0.6, ()),
                dilated_and_trimmed=(0.4, [{"dilate": {"mm": 2}}, {"cut": {"end": "posterior", "fraction": 0.2}}]),
            ),
        },
    ),
    *(
        Annotated(f"cells_once_{name}", number, Half.TESTING, "cells", None, dict.fromkeys(pair, 0.5))
        for number, name, pair in (
            (700, "1_5", ("person1_imagej", "person5_amira")),
            (710, "1_4", ("person1_imagej", "person4_imagej")),
            (720, "4_5", ("person4_amira", "person5_imagej")),
        )
    ),
    *(
        Annotated(f"cells_twice_{name}", number, Half.TESTING, "cells", None, dict.fromkeys(pair, 0.5), once=False)
        for number, name, pair in (
            (800, "1_5", ("person1_imagej", "person5_amira")),
            (801, "1_4", ("person1_imagej", "person4_imagej")),
            (802, "1_4_same_tool", ("person1_amira", "person4_amira")),
            (803, "2_4", ("person2", "person4_imagej")),
            (804, "2_5", ("person2", "person5_amira")),
            (805, "3_4", ("person3_imagej", "person4_amira")),
            (806, "3_5", ("person3_amira", "person5_imagej")),
            (807, "4_5", ("person4_imagej", "person5_amira")),
        )
    ),
)

MIXTURES = _CHOOSING + _TESTING


def mixtures_of(half: Half) -> list[Mixture]:
    """The mixtures of a half."""
    return [mixture for mixture in MIXTURES if mixture.half is half]
