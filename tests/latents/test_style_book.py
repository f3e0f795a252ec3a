"""The styles of a model, as they stand in its plans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, Style, StyleBook, StyleInFold
from nnunetv2_hypersort.nnunet.plans import read_plans

LARGE = Style("large", {"0": StyleInFold((0.5, -1.0), "case_1", "f0", 1)}, ("case_1", "case_2", "case_3"))
SMALL = Style(
    "small",
    {"0": StyleInFold((2.0, 0.1), "case_4", "f0", 0), "1": StyleInFold((1.0, 1.0), "case_5", "f1", 2)},
    ("case_4",),
)
FITTED = Style("fitted", {"1": StyleInFold((0.0, 0.0), None, "f1")}, tuple("abcdef"), "fitted")


def test_a_book_comes_back_from_the_plans_file_as_it_was(tmp_path):
    book = StyleBook((LARGE, SMALL, FITTED))
    plans = {"plans_name": "p", "hypersort": {"settings": {}, "styles": book.to_plans_section()}}
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    assert StyleBook.from_plans(read_plans(tmp_path / "plans.json")) == book
    assert plans["hypersort"]["styles"][1] == {
        "name": "small",
        "origin": "clusters",
        "cases": ["case_4"],
        "folds": {
            "0": {"coordinates": [2.0, 0.1], "case": "case_4", "fingerprint": "f0", "cluster": 0},
            "1": {"coordinates": [1.0, 1.0], "case": "case_5", "fingerprint": "f1", "cluster": 2},
        },
    }


def test_coordinates_survive_to_the_last_bit():
    value = float(np.float32(0.1)) + 1e-17
    style = Style("s", {"0": StyleInFold((value, np.float64(1) / 3), "c", "f", 0)})
    text = json.dumps({"hypersort": {"styles": StyleBook((style,)).to_plans_section()}})
    assert StyleBook.from_plans(json.loads(text)).find("s").folds["0"].coordinates == (value, 1 / 3)


@pytest.mark.parametrize("plans", [{}, {"hypersort": {"settings": {}}}, {"hypersort": None}])
def test_plans_without_styles_give_an_empty_book(plans):
    assert StyleBook.from_plans(plans).styles == ()


def test_the_largest_comes_first_and_fitted_styles_last():
    assert StyleBook((FITTED, SMALL, LARGE)).names == ("large", "small", "fitted")


def test_names_are_unique_and_plain():
    with pytest.raises(HyperSORTError, match="Two styles are called large"):
        StyleBook((LARGE, SMALL, LARGE))
    for name in ("", "a b", "a/b", "é", "..", "a:b"):
        with pytest.raises(HyperSORTError, match="cannot be the name of a style"):
            Style(name, {})


def test_a_fitted_style_is_replaced_and_a_found_one_is_not():
    again = Style("fitted", {"0": StyleInFold((9.0,), None, "f0")}, (), "fitted")
    book = StyleBook((LARGE, FITTED)).with_style(again)
    assert book.names == ("large", "fitted")
    assert book.find("fitted") == again
    with pytest.raises(HyperSORTError, match="Two styles are called large"):
        book.with_style(Style("large", {}, (), "fitted"))


def test_looking_up_a_style_that_is_gone_says_what_to_run():
    with pytest.raises(HyperSORTError, match=r"no style x; the styles .* are large, small\..*`hypersort styles MODEL`"):
        StyleBook((SMALL, LARGE)).find("x")
    with pytest.raises(HyperSORTError, match=r"this model has no styles .* run `hypersort styles MODEL` again"):
        StyleBook().find("x")


def test_clusters_are_numbered_by_fold():
    book = StyleBook((LARGE, SMALL, FITTED))
    assert {number: style.name for number, style in book.clusters_of("0").items()} == {0: "small", 1: "large"}
    assert {number: style.name for number, style in book.clusters_of("1").items()} == {2: "small"}
    assert book.clusters_of("4") == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda style: style.pop("folds"),
        lambda style: style.update(origin="elsewhere"),
        lambda style: style.update(name="a b"),
        lambda style: style.update(folds=["0"]),
        lambda style: style["folds"]["0"].update(coordinates=[]),
        lambda style: style["folds"]["0"].update(coordinates=[float("nan"), 0]),
        lambda style: style["folds"]["0"].update(coordinates="ab"),
        lambda style: style["folds"]["0"].pop("fingerprint"),
    ],
)
def test_damaged_styles_are_found(damage):
    (entry,) = StyleBook((LARGE,)).to_plans_section()
    damage(entry)
    with pytest.raises(HyperSORTError, match=r"styles in here\.json are damaged .* run `hypersort styles MODEL` again"):
        StyleBook.from_plans({"hypersort": {"styles": [entry]}}, source="here.json")


def test_a_missing_or_broken_plans_file_is_named(tmp_path):
    with pytest.raises(HyperSORTError, match=r"There is no .*plans\.json"):
        read_plans(tmp_path / "plans.json")
    for text, said in (("{", "cannot be read"), ("[]", "is not a JSON object")):
        (tmp_path / "plans.json").write_text(text)
        with pytest.raises(HyperSORTError, match=said):
            read_plans(tmp_path / "plans.json")


def test_a_style_serves_the_checkpoint_it_was_found_in_only():
    record = FoldRecord("0", ("a", "b"), np.array([[0.0, 1.0], [2.0, 3.0]]), np.ones(2, int), {})
    style = Style("s", {"0": StyleInFold((0.0, 1.0), "a", record.fingerprint, 0)})
    assert style.serves(record)
    trained_on = FoldRecord("0", ("a", "b"), record.latents + 1e-7, np.ones(2, int), {})
    other_fold = FoldRecord("1", record.case_ids, record.latents, record.visits, {})
    assert not style.serves(trained_on)
    assert not style.serves(other_fold)


def test_a_style_is_tied_to_weights_and_settings_as_far_as_both_sides_state_them():
    """Latents settle, and the weights are trained on: the same latents, and another network."""
    found_in = FoldRecord("0", ("a", "b"), np.array([[0.0, 1.0], [2.0, 3.0]]), np.ones(2, int), {}, "w", "s")
    style = Style("s", {"0": StyleInFold.of(found_in, (0.0, 1.0), "a", 0)})
    assert style.serves(found_in)
    assert not style.serves(replace(found_in, weights="trained on"))
    assert not style.serves(replace(found_in, settings="others"))
    # A checkpoint without a checksum, and a book of the first version.
    assert style.serves(replace(found_in, weights="", settings=""))
    first = Style("s", {"0": StyleInFold((0.0, 1.0), "a", found_in.fingerprint, 0)})
    assert first.serves(found_in)
    assert (first.folds["0"].identity.version, style.folds["0"].identity.version) == (1, 2)
    assert StyleBook.from_plans({"hypersort": {"styles": StyleBook((style,)).to_plans_section()}}).styles == (style,)


def test_a_case_that_several_styles_list_is_of_the_one_with_most_folds():
    there = StyleInFold((0.0,), None, "f", 0)
    over_folds = Style("b", {"0": there, "1": there}, ("x", "y"))
    alone = Style("a", {"1": there}, ("x", "p", "q"))
    book = StyleBook((alone, over_folds, FITTED))
    assert book.style_of_cases() == {"x": "b", "y": "b", "p": "a", "q": "a"}
    assert book.style_of_cases("0") == {"x": "b", "y": "b"}


def test_a_case_that_a_fold_held_out_is_served_by_others_alone():
    record = FoldRecord("0", ("a", "b"), np.zeros((2, 1)), np.ones(2, int), {"0": ["c"]})
    assert record.folds_that_train("c") == []
    assert record.folds_that_train("a") == ["0"]
    assert record.folds_that_train("unknown") == []
    of_more = replace(record, held_out={"0": ["c"], "1": ["a"]})
    assert of_more.folds_that_train("c") == ["1"]
    assert of_more.folds_that_train("a") == ["0"]
    assert FoldRecord("all", ("a",), np.zeros((1, 1)), np.ones(1, int), {"all": []}).folds_that_train("a") == ["all"]
