"""Reported wrong labels in a ranking small enough to count."""

from pathlib import Path

import pytest

from benchmarks.known_wrong_labels.__main__ import REPORTS, compare
from nnunetv2_hypersort.errors import HyperSORTError

RANKING = """case,quality,outlyingness
s0201,0.001,10
s0500,0.4,4
s0143,0.9,1
s0501,0.95,0.5
"""


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    (tmp_path / "case_ranking.csv").write_text(RANKING)
    return tmp_path / "case_ranking.csv"


def test_reported_cases_are_found_with_their_places(ranking: Path) -> None:
    text = compare(ranking, REPORTS, ["heart"])
    # Two of three reported hearts are there: at the places 1 and 3 of 4. Precision (1/1 + 2/3) / 2; of the four pairs
    # of a reported and another case three are in the right order.
    assert text.startswith("4 cases, 2 of 3 reported ones among them")
    assert "average precision: 0.833" in text
    assert "auroc: 0.750" in text
    assert "precision at 2: 0.500" in text
    assert "    1. s0201" in text
    assert "    3. s0143" in text


def test_a_list_without_any_of_the_cases_is_refused(ranking: Path) -> None:
    with pytest.raises(HyperSORTError, match=r"None of the 1 cases .* check that the model was trained on them"):
        compare(ranking, REPORTS, ["humerus_right"])


def test_another_table_is_refused(ranking: Path) -> None:
    with pytest.raises(HyperSORTError, match="no column `class` and `reported`"):
        compare(ranking, ranking, [])
