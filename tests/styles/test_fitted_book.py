"""Fitted styles outlive a training start, which rewrites the plans."""

import json

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import Style, StyleInFold
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.model.fitted_book import FITTED_FILE, keep_fitted, with_fitted
from nnunetv2_hypersort.styles import find_styles


def test_a_fitted_style_comes_back_after_a_training_start(trained_model):
    model = ModelFolder.open(trained_model)
    fitted = Style("mine", {"0": StyleInFold((0.5, 0.25), None, model.fold(0).record.fingerprint)}, (), "fitted")
    book = model.book.with_style(fitted)
    keep_fitted(model, book)
    model.write_book(book)
    plans = json.loads((trained_model / "plans.json").read_text())
    del plans["hypersort"]["styles"]
    (trained_model / "plans.json").write_text(json.dumps(plans))
    assert "mine" not in ModelFolder.open(trained_model).book.names
    find_styles(trained_model, cases=0)
    assert ModelFolder.open(trained_model).book.find("mine").folds["0"].coordinates == (0.5, 0.25)


def test_a_damaged_file_is_named(trained_model):
    (trained_model / FITTED_FILE).write_text("{")
    model = ModelFolder.open(trained_model)
    with pytest.raises(HyperSORTError, match=FITTED_FILE):
        with_fitted(model, model.book)
