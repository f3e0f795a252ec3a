"""`styles.json`, the one file of the styles, and what is derived from it."""

import json
import shutil

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold
from nnunetv2_hypersort.latents.styles_file import (
    STYLES_BEFORE_FILE,
    STYLES_FILE,
    read_styles,
    set_styles_aside,
    styles_to_keep,
    with_fitted_styles,
    write_book,
)
from nnunetv2_hypersort.nnunet.plans import read_plans

LARGE = Style("large", {"0": StyleInFold((0.5, -1.0), "case_1", "f0", 1, "w0", "s0")}, ("case_1", "case_2", "case_3"))
SMALL = Style("small", {"0": StyleInFold((2.0, 0.1), "case_4", "f0", 0, "w0", "s0")}, ("case_4",))
FITTED = Style("mine", {"0": StyleInFold((0.0, 0.0), None, "f0", None, "w0", "s0")}, (), "fitted")
BOOK = StyleBook((LARGE, SMALL, FITTED))


@pytest.fixture
def model(tmp_path):
    """A model folder with its plans and three styles."""
    (tmp_path / "plans.json").write_text(json.dumps({"plans_name": "p", "hypersort": {"settings": {"a": 1}}}))
    write_book(tmp_path, BOOK)
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_both_files_hold_all_styles_and_the_rest_of_the_plans_stays(model):
    plans = json.loads((model / "plans.json").read_text())
    assert (plans["plans_name"], plans["hypersort"]["settings"]) == ("p", {"a": 1})
    assert StyleBook.from_plans(plans) == BOOK
    assert read_styles(model).book == BOOK
    content = json.loads((model / STYLES_FILE).read_text())
    assert content["version"] == 2
    assert [(entry["name"], entry["origin"]) for entry in content["styles"]] == [
        ("large", "clusters"),
        ("small", "clusters"),
        ("mine", "fitted"),
    ]


@pytest.mark.parametrize("gone", [STYLES_FILE, "the section of the plans"])
def test_one_of_the_two_is_enough(model, gone):
    if gone == STYLES_FILE:  # as in a model from nnU-Net's zip
        (model / STYLES_FILE).unlink()
    else:
        (model / "plans.json").write_text(json.dumps({"plans_name": "p", "hypersort": {"settings": {"a": 1}}}))
    assert read_styles(model).book == BOOK
    write_book(model, read_styles(model).book)
    assert read_styles(model).book == BOOK
    assert (model / STYLES_FILE).exists()
    assert StyleBook.from_plans(read_plans(model / "plans.json")) == BOOK


def test_a_name_changed_by_hand_counts_and_nothing_else_may_differ(model):
    change(model / STYLES_FILE, '"large"', '"surgeon"')
    change(model / STYLES_FILE, '"mine"', '"ours"')
    assert read_styles(model).book.names == ("surgeon", "small", "ours")
    assert read_styles(model).book.find("surgeon").cases == LARGE.cases
    change(model / STYLES_FILE, "case_3", "case_9")
    with pytest.raises(HyperSORTError, match=r"styles\.json and .* plans\.json .* differ .*run `hypersort styles"):
        read_styles(model)
    # The command itself takes the names from the file and goes on.
    assert styles_to_keep(model)[0].book.find("surgeon").cases == ("case_1", "case_2", "case_9")


def test_styles_of_plans_alone_that_others_lack_are_a_difference(model):
    plans = json.loads((model / "plans.json").read_text())
    plans["hypersort"]["styles"].pop()
    (model / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(HyperSORTError, match="differ in more than names"):
        read_styles(model)


def test_files_of_the_first_version_are_read_as_they_were(tmp_path):
    """Without `origin`, identities and fitted styles, which stood in the plans and in a file of their own."""

    def first(name, cases, cluster, origin="clusters", *, case_key="case"):
        there = {"coordinates": [1.0, 2.0], case_key: None, "fingerprint": "f0", "cluster": cluster}
        return {"name": name, "origin": origin, "cases": cases, "folds": {"0": there}}

    fitted = first("mine", [], None, "fitted")
    plans = {"hypersort": {"settings": {}, "styles": [first("style_a", ["a", "b"], 0), fitted]}}
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    written = first("surgeon", ["a", "b"], 0, case_key="medoid")
    del written["origin"]
    written["folds"]["0"]["size"] = 2
    (tmp_path / STYLES_FILE).write_text(json.dumps({"folds": ["0"], "styles": [{**written, "description": "d"}]}))
    later = {"hypersort": {"styles": [fitted, first("later", [], None, "fitted")]}}
    (tmp_path / "fitted_styles.json").write_text(json.dumps(later))
    styles = read_styles(tmp_path)
    assert styles.book.names == ("surgeon", "mine")
    assert styles.book.find("surgeon").folds["0"].identity.version == 1
    assert (styles.descriptions, styles.sizes) == ({"surgeon": "d"}, {("surgeon", "0"): 2})
    assert with_fitted_styles(tmp_path, styles.book).names == ("surgeon", "mine", "later")


def test_a_training_start_sets_styles_aside_and_nothing_is_lost(model):
    set_styles_aside(model)
    (model / "plans.json").write_text(json.dumps({"hypersort": {"settings": {}}}))  # nnU-Net writes it anew
    assert not (model / STYLES_FILE).exists()
    assert read_styles(model).book == StyleBook()
    assert styles_to_keep(model)[0].book == BOOK
    # A style that is fitted before the others are found again keeps those that were fitted.
    assert with_fitted_styles(model, StyleBook()).names == ("mine",)
    write_book(model, with_fitted_styles(model, read_styles(model).book))
    set_styles_aside(model)
    assert styles_to_keep(model)[0].book.names == ("mine",)


def test_styles_that_stand_in_the_plans_alone_are_set_aside_too(model):
    (model / STYLES_FILE).unlink()
    set_styles_aside(model)
    (model / "plans.json").write_text("{}")
    assert styles_to_keep(model)[0].book == BOOK
    shutil.rmtree(model)
    model.mkdir()
    set_styles_aside(model)
    (model / "plans.json").write_text("{}")
    set_styles_aside(model)
    assert not (model / STYLES_BEFORE_FILE).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "is damaged"),
        ('{"styles": {"a": 1}}', "is damaged"),
        ('{"styles": [{"name": "a", "cases": "abc", "folds": {}}]}', "is damaged"),
        ('{"styles": [], "styles": []}', "stands twice"),
    ],
)
def test_a_damaged_file_is_named(model, text, said):
    (model / STYLES_FILE).write_text(text)
    with pytest.raises(HyperSORTError, match=rf"styles\.json.* {said}.*hypersort styles"):
        read_styles(model)
    kept, problems = styles_to_keep(model)
    assert kept.book == BOOK  # of the plans
    assert len(problems) == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1e400"])
@pytest.mark.parametrize("key", ["coordinates", "size", "cluster"])
def test_numbers_that_are_none_get_a_sentence(model, number, key):
    content = json.loads((model / STYLES_FILE).read_text())
    content["styles"][0]["folds"]["0"][key] = ["HERE", 1.0] if key == "coordinates" else "HERE"
    (model / STYLES_FILE).write_text(json.dumps(content).replace('"HERE"', number))
    with pytest.raises(HyperSORTError, match="is no number"):
        read_styles(model)


def test_a_file_that_is_no_utf8_gets_a_sentence_and_a_byte_order_mark_none(model):
    text = (model / STYLES_FILE).read_bytes()
    (model / STYLES_FILE).write_bytes(b"\xef\xbb\xbf" + text)
    assert read_styles(model).book == BOOK
    (model / STYLES_FILE).write_bytes(text.replace(b"case_1", b"case_\xff"))
    with pytest.raises(HyperSORTError, match="is not UTF-8"):
        read_styles(model)


def test_names_that_cannot_be_are_the_users_to_mend(model):
    change(model / STYLES_FILE, '"large"', '"our surgeon"')
    for read in (read_styles, styles_to_keep):
        with pytest.raises(HyperSORTError, match=r"styles\.json: 'our surgeon' cannot be the name"):
            read(model)
    change(model / STYLES_FILE, '"our surgeon"', '"small"')
    for read in (read_styles, styles_to_keep):
        with pytest.raises(HyperSORTError, match=r"styles\.json: Two styles are called small"):
            read(model)


@pytest.mark.parametrize(
    "case", ["a\u2028b", "a\u0085b", "a\rb", "a\nb", " a ", b"a\xff".decode(errors="surrogateescape")]
)
def test_awkward_names_of_cases_come_back(model, case):
    awkward = StyleBook((Style("s", {"0": StyleInFold((1.0,), case, "f")}, (case, "b")),))
    write_book(model, awkward)
    assert read_styles(model).book == awkward
