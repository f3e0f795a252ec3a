"""Tables that this package wrote, read by Python's own means."""

import csv
from pathlib import Path


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, column by text of the cell."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
