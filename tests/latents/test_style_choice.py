"""Styles and clusters as the latent of a prediction."""

import hashlib
import struct

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, Style, StyleBook, StyleInFold, choose_latents

CASES = ("a", "b", "c", "d")


def record(fold: str, shift: float = 0.0) -> FoldRecord:
    # The densest of these latents, and so the mode, is that of case b.
    latents = np.array([[0.0, 0.0], [0.1, 0.0], [0.2, 0.0], [5.0, 5.0]]) + shift
    return FoldRecord(fold, CASES, latents, np.ones(4, int), {"0": [], "1": []})


FOLDS = [record("0"), record("1", 10.0)]


def style(name: str, size: int, coordinates: dict[str, tuple[float, ...]], clusters: dict[str, int]) -> Style:
    records = {fold.fold: fold for fold in FOLDS}
    return Style(
        name,
        {
            fold: StyleInFold(there, f"medoid_{name}", records[fold].fingerprint, clusters[fold])
            for fold, there in coordinates.items()
        },
        tuple(f"case_{number}" for number in range(size)),
    )


SMALL = style("small", 2, {"0": (5.0, 5.0), "1": (10.0, 10.0)}, {"0": 0, "1": 1})
LARGE = style("large", 7, {"0": (0.5, 0.25), "1": (15.0, 15.0)}, {"0": 1, "1": 0})
LONE = style("lone", 9, {"0": (3.0, 3.0)}, {"0": 2})
BOOK = StyleBook((SMALL, LARGE))


def choose(text: str, records: list[FoldRecord], book: StyleBook | None = BOOK):
    return choose_latents(LatentChoice.parse(text), records, book)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("style:A", LatentChoice(style="A")),
        (" style: A-1_b ", LatentChoice(style="A-1_b")),
        ("cluster:0", LatentChoice(cluster=0)),
        ("cluster: 12", LatentChoice(cluster=12)),
    ],
)
def test_choices_are_read_and_written(text, choice):
    assert LatentChoice.parse(text) == choice
    assert LatentChoice.parse(str(choice)) == choice


@pytest.mark.parametrize("text", ["style:", "cluster:", "cluster:-1", "cluster:one", "cluster:1.5", "cluster:²"])
def test_other_texts_are_refused(text):
    with pytest.raises(HyperSORTError, match=r"^The latent '(style|cluster):.*; write `(style|cluster):"):
        LatentChoice.parse(text)


def test_a_style_has_its_own_latent_in_each_fold():
    first, second = choose("style:small", FOLDS)
    assert (first.fold, first.coordinates.tolist()) == ("0", [5, 5])
    assert (second.fold, second.coordinates.tolist()) == ("1", [10, 10])
    assert str(first) == "fold 0: latent (5.0000, 5.0000), style small (case medoid_small)"
    assert first.style == second.style == "small"


def test_a_style_beyond_its_medoid_says_so():
    there = FOLDS[0]
    beyond = Style("beyond", {"0": StyleInFold((6.0, 6.0), CASES[3], there.fingerprint, 0)})
    at_it = Style("at_it", {"0": StyleInFold((5.0, 5.0), CASES[3], there.fingerprint, 0)})
    book = StyleBook((beyond, at_it))
    assert str(choose("style:beyond", [there], book)[0]).endswith(f"(near case {CASES[3]})")
    assert str(choose("style:at_it", [there], book)[0]).endswith(f"(case {CASES[3]})")


def test_an_unknown_style_gets_the_names_there_are():
    with pytest.raises(HyperSORTError, match=r"no style x; the styles of this model are large, small\."):
        choose("style:x", FOLDS)
    with pytest.raises(HyperSORTError, match=r"has no styles .* run `hypersort styles MODEL` again"):
        choose("style:small", FOLDS, None)


def test_a_style_that_a_fold_lacks_is_refused():
    with pytest.raises(HyperSORTError, match=r"style lone is not known in fold 1, only in 0; .*lone, large, small"):
        choose("style:lone", FOLDS, StyleBook((SMALL, LARGE, LONE)))
    assert choose("style:lone", FOLDS[:1], StyleBook((LONE,)))[0].coordinates.tolist() == [3, 3]


def test_a_style_of_another_checkpoint_is_refused():
    trained_on = record("1", 10.5)
    for text in ("style:small", "cluster:1"):
        with pytest.raises(
            HyperSORTError,
            match=r"style small was found in another checkpoint of fold 1 .*`hypersort styles MODEL` .*large, small",
        ):
            choose(text, [trained_on])
    choose("style:small", FOLDS[1:])


def test_a_cluster_is_that_of_the_one_fold():
    assert choose("cluster:1", FOLDS[:1])[0].coordinates.tolist() == [0.5, 0.25]
    assert choose("cluster:1", FOLDS[1:])[0].coordinates.tolist() == [10, 10]
    assert str(choose("cluster:1", FOLDS[1:])[0]).endswith("cluster 1, style small (case medoid_small)")


def test_a_cluster_over_folds_is_refused_and_its_styles_named():
    with pytest.raises(
        HyperSORTError,
        match=r"cluster:1 cannot serve folds 0, 1: .*1 of fold 0 is style large; 1 of fold 1 is style small",
    ):
        choose("cluster:1", FOLDS)


def test_an_unknown_cluster_gets_those_of_the_fold():
    with pytest.raises(HyperSORTError, match=r"Fold 0 has no cluster 7; it has 0 \(style small\), 1 \(style large\)\."):
        choose("cluster:7", FOLDS[:1])
    with pytest.raises(HyperSORTError, match="Fold 0 has no cluster 0; it has none"):
        choose("cluster:0", FOLDS[:1], StyleBook())


@pytest.mark.parametrize("folds", [FOLDS, FOLDS[:1], FOLDS[1:], FOLDS[::-1]])
def test_the_mode_is_the_largest_style_that_all_folds_of_the_book_have_whichever_predict(folds):
    chosen = choose("mode", folds, StyleBook((SMALL, LARGE, LONE)))
    expected = {"0": [0.5, 0.25], "1": [15, 15]}
    assert [latent.coordinates.tolist() for latent in chosen] == [expected[fold.fold] for fold in folds]
    assert {latent.style for latent in chosen} == {"large"}
    assert {latent.origin for latent in chosen} == {"mode: style large (case medoid_large)"}


def test_the_latent_before_styles_were_found_is_shown_with_the_mode():
    # The densest of the four latents, by hand: that of case b lies 0.1 from two others.
    assert str(choose("mode", FOLDS[:1])[0]).endswith("; before styles were found: (0.1000, 0.0000), case b")


@pytest.mark.parametrize("book", [None, StyleBook(), StyleBook((LONE, style("other", 3, {"1": (1.0, 1.0)}, {"1": 2})))])
def test_without_a_shared_style_each_fold_has_its_own_densest_latent(book):
    chosen = choose("mode", FOLDS, book)
    assert [latent.coordinates.tolist() for latent in chosen] == [[0.1, 0.0], [10.1, 10.0]]
    assert {latent.style for latent in chosen} == {None}


def test_a_fold_that_the_book_does_not_serve_has_no_mode():
    with pytest.raises(HyperSORTError, match=r"its largest style, lone, which is known in fold 0 and not in fold 1;"):
        choose("mode", FOLDS, StyleBook((LONE,)))
    assert choose("mode", FOLDS[:1], StyleBook((LONE,)))[0].style == "lone"
    trained_on = record("1", 10.5)
    with pytest.raises(HyperSORTError, match="style large was found in another checkpoint of fold 1"):
        choose("mode", [FOLDS[0], trained_on])
    assert choose("case:b", [FOLDS[0], trained_on])[1].coordinates.tolist() == [10.6, 10.5]


def test_a_fitted_style_is_no_mode():
    fitted = Style("fitted", SMALL.folds, ("x",) * 30, "fitted")
    assert {latent.style for latent in choose("mode", FOLDS, StyleBook((fitted,)))} == {None}
    # Nor does it take part in which folds the book has.
    only_in_0 = Style("fitted", {"9": SMALL.folds["0"]}, (), "fitted")
    assert {latent.style for latent in choose("mode", FOLDS, StyleBook((SMALL, only_in_0)))} == {"small"}


def test_coordinates_of_another_dimension_are_damage():
    wrong = style("wrong", 3, {"0": (1.0, 2.0, 3.0)}, {"0": 0})
    with pytest.raises(HyperSORTError, match="has 3 coordinates in fold 0, but the latents of this model have 2"):
        choose("style:wrong", FOLDS[:1], StyleBook((wrong,)))


def test_the_fingerprint_is_that_of_cases_and_latents():
    fold = FoldRecord("0", ("a", "b"), np.array([[0.5, -1.0], [2.0, 3.0]]), np.array([1, 2]), {})
    by_hand = hashlib.sha256(b'[["a", "b"], [2, 2]]' + struct.pack("<4d", 0.5, -1.0, 2.0, 3.0)).hexdigest()
    assert fold.fingerprint == by_hand
    same_latents = FoldRecord("3", fold.case_ids, np.asfortranarray(fold.latents), np.array([7, 8]), {"0": ["x"]})
    assert same_latents.fingerprint == by_hand
    nearly = fold.latents.copy()
    nearly[1, 1] = np.nextafter(3.0, 4.0)
    others = [
        FoldRecord("0", ("b", "a"), fold.latents, fold.visits, {}),
        FoldRecord("0", ("a", "b"), nearly, fold.visits, {}),
        FoldRecord("0", ("a", "b"), fold.latents.reshape(2, 2)[::-1], fold.visits, {}),
    ]
    assert by_hand not in {other.fingerprint for other in others}
