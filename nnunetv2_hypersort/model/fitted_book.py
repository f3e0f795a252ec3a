"""Fitted styles in a file of our own: a training start rewrites `plans.json`, and they cannot be found again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.latents import StyleBook
from nnunetv2_hypersort.latents.style_book import STYLES_KEY
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION

FITTED_FILE = "fitted_styles.json"


@contextmanager
def changing_styles(model: ModelFolder) -> Iterator[None]:
    """Keep other commands from changing the styles of a model between their being read and being written.

    Raises:
        HyperSORTError: Another command has been changing them for a minute.
    """
    with locked(model.path / "styles.json", wait=60):
        yield


def keep_fitted(model: ModelFolder, book: StyleBook) -> None:
    """Write the fitted styles of a book beside the plans.

    Raises:
        OSError: The file cannot be written.
    """
    fitted = StyleBook(tuple(style for style in book.styles if style.origin == "fitted"))
    write_json(model.path / FITTED_FILE, {PLANS_SECTION: {STYLES_KEY: fitted.to_plans_section()}})


def with_fitted(model: ModelFolder, book: StyleBook) -> StyleBook:
    """A book with the fitted styles that were kept and that it lacks.

    Raises:
        HyperSORTError: The file is damaged.
    """
    path = model.path / FITTED_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return book
    except (OSError, ValueError, RecursionError):
        content = {PLANS_SECTION: {STYLES_KEY: None}}
    kept = StyleBook.from_plans(content, source=str(path))
    return StyleBook((*book.styles, *(style for style in kept.styles if style.name not in book.names)))
