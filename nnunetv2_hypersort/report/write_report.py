"""Writes the report of a model: the page, a static picture and a table."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_text
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.files.writable import require_writable
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.report.case_table import case_table
from nnunetv2_hypersort.report.content import Note
from nnunetv2_hypersort.report.figures import save_map_figure
from nnunetv2_hypersort.report.gather import gather
from nnunetv2_hypersort.report.html_page import GENERATOR, render_page

REPORT_FILE = "report.html"


def write_report(
    model: str | os.PathLike[str] | ModelFolder,
    output: str | os.PathLike[str] | None = None,
    *,
    metadata: str | os.PathLike[str] | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    minutes: float = 10.0,
    device: str = "cpu",
) -> tuple[tuple[Path, ...], tuple[Note, ...]]:
    """Write one HTML file that shows the latents, styles and cases of a model, and loads nothing.

    Styles are those that `hypersort styles` found, the order of the cases is that of `hypersort rank`; neither is run
    here. Without styles the latents are grouped as `hypersort styles` would do it. What cannot be shown is named on the
    page, and the rest is shown.

    Args:
        model: The trained-model folder, or the opened model (then `folds` and `checkpoint_name` do not count).
        output: The HTML file, its folder there already; None writes `report.html` into the model's folder. Beside it
            stand a picture (`..._latents.png`) and a table (`..._cases.csv`). An earlier report is replaced.
        metadata: A CSV with a column `case`, and columns by which the cases can be coloured.
        folds: See `ModelFolder.open`.
        checkpoint_name: See `ModelFolder.open`.
        minutes: Time for predictions; when it is over, cases are shown with their label alone. 0 makes no
            slices.
        device: `cpu`, `cuda` or another device of PyTorch.

    Returns:
        The files, the page first, and notes on what could not be shown.

    Raises:
        HyperSORTError: The minutes are negative or no number, the model cannot be opened, a table is damaged, or the
            output is a file of something else or cannot be written.
    """
    if not 0 <= minutes < math.inf:
        raise HyperSORTError(f"{minutes:g} minutes for pictures cannot be; give 0 or more.")
    folder = model.path if isinstance(model, ModelFolder) else Path(model)
    files = _output_files(folder / REPORT_FILE if output is None else Path(output))
    opened = (
        model
        if isinstance(model, ModelFolder)
        else ModelFolder.open(folder, folds=folds, checkpoint_name=checkpoint_name, unfinished=True)
    )
    columns_file = None if metadata is None else Path(metadata)
    require_writable(*files)
    content = gather(opened, columns_file=columns_file, minutes=minutes, device=device)
    page, picture, table = files
    # The page first: by it what stands beside it is known as ours, whenever this is interrupted.
    write_text(page, render_page(content))
    save_map_figure(picture, content)
    cases = case_table(content)
    write_table(table, list(cases.columns), cases.itertuples(index=False, name=None))
    marks = [Note(f"PROVISIONAL: fold {fold} is at {words}.") for fold, words in content.provisional.items()]
    return files, (*marks, *content.notes)


def _output_files(page: Path) -> tuple[Path, Path, Path]:
    if page.suffix.lower() not in (".html", ".htm"):
        raise HyperSORTError(f"The report {page} would be an HTML file; give it the ending .html.")
    if not page.parent.is_dir():
        raise HyperSORTError(f"There is no folder {page.parent} for the report; make it first.")
    files = (page, page.with_name(f"{page.stem}_latents.png"), page.with_name(f"{page.stem}_cases.csv"))
    if not _is_report(page):
        for file in files:
            if file.exists():
                raise HyperSORTError(f"{file} exists and is not of an earlier report; choose another name with `-o`.")
    return files


def _is_report(page: Path) -> bool:
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            return f'<meta name="generator" content="{GENERATOR}">' in file.read(4000)
    except OSError:
        return False
