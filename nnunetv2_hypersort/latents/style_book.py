"""The annotation styles of a model, each with its latent in every fold."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.fold_record import FoldRecord
from nnunetv2_hypersort.latents.identity import FoldIdentity
from nnunetv2_hypersort.nnunet.names import is_fold_name, is_path_part
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION

STYLES_KEY = "styles"
"""Key of the styles in our section of nnU-Net's plans."""

StyleOrigin = Literal["clusters", "fitted"]
"""Where a style comes from: clusters of training latents, or a latent fitted to new labels."""


@dataclass(frozen=True)
class StyleInFold:
    """A style in one fold, tied to the checkpoint it was found in.

    Attributes:
        coordinates: The latent that shows the style, (dim,) values.
        case_id: The training case in the middle of the style (the medoid), whose latent that is unless the style leaves
            out what that one still shows; or None.
        fingerprint: `FoldRecord.fingerprint` of the checkpoint.
        cluster: The number of the cluster in this fold, counted from 0, or None for a fitted style.
        weights: `FoldRecord.weights` of the checkpoint; empty in a book of version 1.
        settings: `FoldRecord.settings` of the checkpoint; empty in a book of version 1.
    """

    coordinates: tuple[float, ...]
    case_id: str | None
    fingerprint: str
    cluster: int | None = None
    weights: str = ""
    settings: str = ""

    @classmethod
    def of(
        cls, record: FoldRecord, coordinates: Sequence[float], case_id: str | None = None, cluster: int | None = None
    ) -> "StyleInFold":
        """A style at some coordinates of a fold, tied to the checkpoint that the record was read from."""
        place = tuple(float(value) for value in coordinates)
        return cls(place, case_id, record.fingerprint, cluster, record.weights, record.settings)

    @property
    def identity(self) -> FoldIdentity:
        """The checkpoint it was found in."""
        return FoldIdentity(self.fingerprint, self.weights, self.settings)


@dataclass(frozen=True)
class Style:
    """One annotation style under one name over all folds.

    Attributes:
        name: Letters, digits, `_` and `-`, since it also names files and datasets.
        folds: By the name of the fold (`0`, `all`); a style need not be in every fold.
        cases: The training cases that are annotated in this style, over all folds.
        origin: `clusters` or `fitted`.
    """

    name: str
    folds: Mapping[str, StyleInFold]
    cases: tuple[str, ...] = ()
    origin: StyleOrigin = "clusters"

    def __post_init__(self) -> None:
        check_style_name(self.name)

    def serves(self, record: FoldRecord) -> bool:
        """Whether the style was found in this very checkpoint."""
        there = self.folds.get(record.fold)
        return there is not None and there.identity.agrees_with(record.identity)


@dataclass(frozen=True)
class StyleBook:
    """All styles of a model.

    Attributes:
        styles: Those of clusters first, the largest (by its cases) before the smaller ones; whatever order they are
            given in.

    Raises:
        HyperSORTError: Two styles have the same name.
    """

    styles: tuple[Style, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [style.name for style in self.styles]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise HyperSORTError(f"Two styles are called {', '.join(twice)}; give each style a name of its own.")
        ordered = sorted(self.styles, key=lambda style: (style.origin != "clusters", -len(style.cases)))
        object.__setattr__(self, "styles", tuple(ordered))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the styles, in their order."""
        return tuple(style.name for style in self.styles)

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any], *, source: str = "the plans") -> "StyleBook":
        """Read the book from nnU-Net's plans; without styles there it is empty.

        Args:
            plans: The content of a `plans.json`.
            source: Where the plans come from; named in errors.

        Raises:
            HyperSORTError: The styles are damaged.
        """
        section = plans.get(PLANS_SECTION)
        try:
            return cls.from_entries(section.get(STYLES_KEY, []) if isinstance(section, Mapping) else [])
        except (ValueError, HyperSORTError) as error:
            raise HyperSORTError(
                f"The styles in {source} are damaged ({error}); run `hypersort styles MODEL` again."
            ) from error

    @classmethod
    def from_entries(cls, entries: Any) -> "StyleBook":
        """Read the book from its entries in the plans or in `styles.json`.

        Raises:
            ValueError: They are damaged.
            HyperSORTError: A name cannot be that of a style, or stands there twice.
        """
        try:
            return cls(tuple(_style_from_json(entry) for entry in entries))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def to_plans_section(self) -> list[dict[str, Any]]:
        """The book in JSON types, as it stands in the plans under `hypersort`, `styles`."""
        return [style_to_json(style) for style in self.styles]

    def find(self, name: str) -> Style:
        """The style of a name.

        Raises:
            HyperSORTError: There is none; the message lists those there are.
        """
        for style in self.styles:
            if style.name == name:
                return style
        if not self.styles:
            raise HyperSORTError(
                f"There is no style {name}: this model has no styles (a training that starts or goes on drops them); "
                f"run `hypersort styles MODEL` again."
            )
        raise HyperSORTError(
            f"There is no style {name}; the styles of this model are {', '.join(self.names)}. If it was there before "
            f"a training, run `hypersort styles MODEL` again."
        )

    def with_style(self, style: Style) -> "StyleBook":
        """This book with one more style; a fitted style of the same name is replaced.

        Raises:
            HyperSORTError: A style found in clusters has that name.
        """
        others = tuple(there for there in self.styles if (there.name, there.origin) != (style.name, "fitted"))
        return StyleBook((*others, style))

    def largest_shared(self) -> Style | None:
        """The largest style of clusters that all folds have in which styles were found, or None."""
        clustered = [style for style in self.styles if style.origin == "clusters"]
        folds = {fold for style in clustered for fold in style.folds}
        return next((style for style in clustered if style.folds.keys() == folds), None)

    def clusters_of(self, fold: str) -> dict[int, Style]:
        """The clusters of a fold by their number, each as the style that it is part of."""
        found = {style.folds[fold].cluster: style for style in self.styles if fold in style.folds}
        return {number: found[number] for number in sorted(number for number in found if number is not None)}

    def style_of_cases(self, fold: str | None = None) -> dict[str, str]:
        """The name of the style that each case is annotated in; cases of no style are absent.

        A case that several styles list, as clusters of single folds do, is of the one with most folds, then of the
        largest.

        Args:
            fold: Only styles of this fold; None takes all.
        """
        styles = [style for style in self.styles if style.origin == "clusters" and fold in (None, *style.folds)]
        found: dict[str, str] = {}
        for style in sorted(styles, key=lambda style: -len(style.folds)):
            for case in style.cases:
                found.setdefault(case, style.name)
        return found


def check_style_name(name: str) -> None:
    """Refuse what cannot be the name of a style.

    Raises:
        HyperSORTError: The name is empty, or has other characters than letters, digits, `_` and `-`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise HyperSORTError(
            f"{name!r} cannot be the name of a style; use letters (without accents), digits, `_` and `-` only."
        )


def style_to_json(style: Style, *, case_key: str = "case") -> dict[str, Any]:
    """A style in JSON types.

    Args:
        style: The style.
        case_key: Under what name the medoid stands in each fold.
    """
    return {
        "name": style.name,
        "origin": style.origin,
        "cases": list(style.cases),
        "folds": {
            fold: {
                "coordinates": list(there.coordinates),
                case_key: there.case_id,
                "cluster": there.cluster,
                **_identity_to_json(there.identity),
            }
            for fold, there in style.folds.items()
        },
    }


def _identity_to_json(identity: FoldIdentity) -> dict[str, Any]:
    if identity.version == 1:
        return {"fingerprint": identity.latents}
    return {
        "identity_version": identity.version,
        "fingerprint": identity.latents,
        "weights": identity.weights,
        "settings": identity.settings,
    }


def _style_from_json(entry: Mapping[str, Any]) -> Style:
    # The first version of styles.json held styles of clusters alone.
    origin = entry.get("origin", "clusters")
    if origin not in get_args(StyleOrigin):
        raise ValueError(f"unknown origin {origin!r}")
    folds = {str(fold): _style_in_fold_from_json(there) for fold, there in entry["folds"].items()}
    cases = entry["cases"]
    if not isinstance(cases, list) or not all(is_path_part(case) for case in cases):
        raise ValueError(f"the cases of {entry['name']} are no list of names")
    if unknown := [fold for fold in folds if not is_fold_name(fold)]:
        raise ValueError(f"{unknown[0]!r} is no fold")
    return Style(_text(entry["name"]), folds, tuple(cases), cast(StyleOrigin, origin))


def _style_in_fold_from_json(entry: Mapping[str, Any]) -> StyleInFold:
    coordinates = tuple(float(value) for value in entry["coordinates"])
    if not coordinates or not all(math.isfinite(value) for value in coordinates):
        raise ValueError(f"coordinates {coordinates} are not finite numbers")
    medoid = entry["medoid"] if "medoid" in entry else entry["case"]
    if medoid is not None and not is_path_part(medoid):
        raise ValueError(f"{medoid!r} is no case")
    cluster = entry["cluster"]
    if cluster is not None and (isinstance(cluster, bool) or not isinstance(cluster, int) or cluster < 0):
        raise ValueError(f"{cluster!r} is no number of a cluster")
    return StyleInFold(
        coordinates,
        medoid,
        _text(entry["fingerprint"]),
        cluster,
        _text(entry.get("weights", "")),
        _text(entry.get("settings", "")),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
