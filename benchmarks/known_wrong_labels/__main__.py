"""Where the cases whose labels were reported as wrong stand in a `case_ranking.csv`.

    python -m benchmarks.known_wrong_labels MODEL/case_ranking.csv --classes heart

Reads the list of reports beside this file (TotalSegmentator 2.0.1: four threads of its issue tracker) or another one
with the columns `case,class,reported`. Labels that nobody has reported count as right: every figure is a lower bound.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.style_recovery.ranking import METRICS, precision_at_k
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import read_table, read_users_table

REPORTS = Path(__file__).with_name("totalsegmentator_v201.csv")


def compare(ranking: Path, reports: Path, classes: Sequence[str]) -> str:
    """What to print.

    Args:
        ranking: A `case_ranking.csv`.
        reports: A table with the columns `case`, `class` and `reported`.
        classes: Count only reports on these; empty counts all.

    Raises:
        HyperSORTError: A file has other columns, or no reported case is in the ranking.
    """
    ranked = read_table(ranking, ("case", "quality", "outlyingness")).rows
    known = read_users_table(reports, ("case", "class", "reported")).rows
    listed = [row for row in known if not classes or row["class"] in classes]
    wanted = {row["case"]: row for row in listed}
    scores = np.asarray([float(row["outlyingness"] or "-inf") for row in ranked])
    wrong = np.asarray([row["case"] in wanted for row in ranked])
    if not wrong.any():
        raise HyperSORTError(
            f"None of the {len(wanted)} cases of {reports} is in {ranking}; check that the model was trained on them "
            f"and that --classes names classes of the list."
        )
    places = (scores[:, None] < scores).sum(1) + 1
    lines = [f"{len(ranked)} cases, {wrong.sum()} of {len(wanted)} reported ones among them"]
    once = np.ones((1, len(wrong)))
    lines += [f"{name.replace('_', ' ')}: {of(scores, wrong, once)[0]:.3f}" for name, of in METRICS.items()]
    lines.append(f"precision at {wrong.sum()}: {precision_at_k(scores, wrong):.3f}")
    for index in np.flatnonzero(wrong):
        row, report = ranked[index], wanted[ranked[index]["case"]]
        what = f"quality {float(row['quality']):.3f}  {report['class']}  {report['reported']}"
        lines.append(f"{places[index]:5d}. {row['case']}  {what}")
    return "\n".join(lines)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ranking", type=Path, help="case_ranking.csv of a model")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="table with the columns case, class, reported")
    parser.add_argument("--classes", nargs="+", default=[], help="count only reports on these classes")
    args = parser.parse_args()
    try:
        print(compare(args.ranking, args.reports, args.classes))
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
