"""`styles.json`: the one file of a model's styles, from which the styles in its `plans.json` are derived."""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import changing_json, write_json
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.latents.style_book import STYLES_KEY, Style, StyleBook, style_to_json
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION, read_plans

STYLES_FILE = "styles.json"
"""Name of the file in the trained-model folder."""
STYLES_BEFORE_FILE = "styles_before.json"
"""What a training start makes of it: names and fitted styles are taken from there when styles are found again."""
FILE_VERSION = 2
"""Version 1 had no fitted styles, and said neither this number nor what weights a style was found in."""
LOCK_SECONDS = 60.0
"""How long a writer of styles waits for another: what is done under the lock of `styles.json` takes moments."""

# Where version 1 kept fitted styles, as a part of plans.
_FITTED_OF_VERSION_1 = "fitted_styles.json"


@dataclass(frozen=True)
class StylesFile:
    """The styles of a model and what was written about them.

    Attributes:
        book: The styles.
        descriptions: By the name of the style; absent where there is none.
        sizes: By the names of style and fold the size of the cluster; absent where it is unknown.
        unmatched: Names of clusters of one fold that have no counterpart in another fold.
        without_style: Cases that are in no cluster, or on whose style the folds disagree.
        provisional: By the name of the fold how far its training had come, where that was not its end.
    """

    book: StyleBook = field(default_factory=StyleBook)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    without_style: frozenset[str] = frozenset()
    provisional: Mapping[str, str] = field(default_factory=dict)


def read_styles(model_folder: str | os.PathLike[str]) -> StylesFile:
    """The styles of a model: those of `styles.json`, or where it is absent those in the plans.

    A model from nnU-Net's zip has its plans alone. Where both are there they must be the same but for the names of the
    styles, which people may change in `styles.json`.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.

    Raises:
        HyperSORTError: One of the files is damaged, or the two state different styles.
    """
    folder = Path(model_folder)
    plans = read_plans(folder / "plans.json")
    derived = StyleBook.from_plans(plans, source=str(folder / "plans.json"))
    content = _content(folder / STYLES_FILE)
    if content is None:
        return StylesFile(derived)
    written = _parsed(content, folder / STYLES_FILE)
    if content.get("version") is None:
        written = replace(written, book=_with_fitted(written.book, [StylesFile(derived)]))
    has_derived = STYLES_KEY in (plans.get(PLANS_SECTION) or {})
    if has_derived and _nameless(derived) != _nameless(written.book):
        raise HyperSORTError(
            f"{folder / STYLES_FILE} and the styles in plans.json beside it differ in more than names; run "
            f"`hypersort styles {shlex.quote(str(folder))}` to find them anew (names that are still true are kept)."
        )
    return written


def styles_to_keep(model_folder: str | os.PathLike[str]) -> tuple[StylesFile, list[str]]:
    """The styles whose names are to be kept, and fitted styles, before new ones are written.

    Args:
        model_folder: The trained-model folder.

    Returns:
        The styles of `styles.json`, or where it is absent or damaged those in the plans, or those of before the last
        training; with all fitted styles that any of these files has. And what is wrong with files that were left out.

    Raises:
        HyperSORTError: A name in `styles.json` cannot be the name of a style, or stands there twice.
    """
    found, damaged = _all_files(Path(model_folder))
    kept = next((one for one in found if any(s.origin == "clusters" for s in one.book.styles)), StylesFile())
    return replace(kept, book=_with_fitted(kept.book, found)), damaged


def with_fitted_styles(model_folder: str | os.PathLike[str], book: StyleBook) -> StyleBook:
    """A book with the fitted styles that it lacks and any file of the model has, as after a training start.

    Raises:
        HyperSORTError: A name in `styles.json` cannot be the name of a style, or stands there twice.
    """
    return _with_fitted(book, _all_files(Path(model_folder))[0])


def write_styles(model_folder: str | os.PathLike[str], content: Mapping[str, Any], book: StyleBook) -> None:
    """Write `styles.json`, and derive the styles in `plans.json` from it; all else in the plans stays as it is.

    Args:
        model_folder: The trained-model folder.
        content: What stands in `styles.json` beside the version; its `styles` are those of the book.
        book: The styles.

    Raises:
        HyperSORTError: The plans cannot be read any more.
        OSError: A file cannot be written.
    """
    folder = Path(model_folder)
    with changing_json(folder / "plans.json") as plans:
        write_json(folder / STYLES_FILE, {"version": FILE_VERSION, **content})
        plans.setdefault(PLANS_SECTION, {})[STYLES_KEY] = book.to_plans_section()


def write_book(model_folder: str | os.PathLike[str], book: StyleBook) -> None:
    """Write other styles; what `styles.json` says about styles of the same name, and of all of them, is kept.

    Raises:
        HyperSORTError: `styles.json` is damaged, or the plans cannot be read any more.
        OSError: A file cannot be written.
    """
    path = Path(model_folder) / STYLES_FILE
    before = _content(path) or {"styles": []}
    sizes = _parsed(before, path).sizes
    entries = {entry["name"]: entry for entry in before["styles"]}
    styles = []
    for style in book.styles:
        known = {fold: sizes[style.name, fold] for fold in style.folds if (style.name, fold) in sizes}
        styles.append({**entries.get(style.name, {}), **style_entry(style, known)})
    write_styles(model_folder, {**before, "version": FILE_VERSION, "styles": styles}, book)


def style_entry(style: Style, sizes: Mapping[str, int] | None = None) -> dict[str, Any]:
    """How a style stands in `styles.json`, without its description.

    Args:
        style: The style.
        sizes: By the name of the fold the size of its cluster.
    """
    entry = style_to_json(style, case_key="medoid")
    for fold, size in (sizes or {}).items():
        entry["folds"][fold]["size"] = size
    return {**entry, "size": len(style.cases)}


def set_styles_aside(model_folder: str | os.PathLike[str]) -> None:
    """Make `styles_before.json` of the styles, as a training that starts rewrites the plans and other checkpoints.

    Args:
        model_folder: The trained-model folder; nothing happens where it has no styles.

    Raises:
        OSError: The folder cannot be written to.
    """
    folder = Path(model_folder)
    if (folder / STYLES_FILE).exists():
        os.replace(folder / STYLES_FILE, folder / STYLES_BEFORE_FILE)
        return
    try:
        book = StyleBook.from_plans(_content(folder / "plans.json") or {})
    except HyperSORTError:
        return  # nnU-Net is about to write it anew
    if book.styles:
        content = {"version": FILE_VERSION, "styles": [style_entry(style) for style in book.styles]}
        write_json(folder / STYLES_BEFORE_FILE, content)


def _all_files(folder: Path) -> tuple[list[StylesFile], list[str]]:
    """What all files of a model say of its styles, the one that counts first, and what is wrong with damaged ones."""
    found: list[StylesFile] = []
    damaged: list[str] = []
    for name in (STYLES_FILE, "plans.json", STYLES_BEFORE_FILE, _FITTED_OF_VERSION_1):
        path = folder / name
        is_part_of_plans = name in ("plans.json", _FITTED_OF_VERSION_1)
        try:
            content = _content(path)
            if content is not None and is_part_of_plans:
                found.append(StylesFile(StyleBook.from_plans(content, source=str(path))))
            elif content is not None:
                found.append(_parsed(content, path))
        except HyperSORTError as error:
            if name == STYLES_FILE and isinstance(error.__cause__, HyperSORTError):
                raise  # a name that was meant is not thrown away
            damaged.append(str(error))
    return found, damaged


def _content(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    what = f"the one that `hypersort styles {shlex.quote(str(path.parent))}` writes"
    content = read_json(path, what=what, allow_undecodable=True)
    if not isinstance(content, dict):
        raise HyperSORTError(f"{path} is not a JSON object; give {what}.")
    return content


def _parsed(content: Mapping[str, Any], path: Path) -> StylesFile:
    try:
        return StylesFile(
            StyleBook.from_entries(content.get("styles")),
            {entry["name"]: entry["description"] for entry in content["styles"] if entry.get("description")},
            {
                (entry["name"], fold): int(there["size"])
                for entry in content["styles"]
                for fold, there in entry["folds"].items()
                if there.get("size") is not None
            },
            tuple(str(name) for name in content.get("unmatched") or ()),
            frozenset(str(case) for key in ("outliers", "undecided") for case in content.get(key) or ()),
            {str(fold): str(words) for fold, words in (content.get("provisional") or {}).items()},
        )
    except HyperSORTError as error:
        raise HyperSORTError(f"{path}: {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise HyperSORTError(
            f"{path} is damaged ({error}); mend it, or run `hypersort styles {shlex.quote(str(path.parent))}` again."
        ) from error


def _with_fitted(book: StyleBook, others: Iterable[StylesFile]) -> StyleBook:
    for other in others:
        lacking = (s for s in other.book.styles if s.origin == "fitted" and s.name not in book.names)
        book = StyleBook((*book.styles, *lacking))
    return book


def _nameless(book: StyleBook) -> Counter[str]:
    return Counter(repr(replace(style, name="any")) for style in book.styles)
