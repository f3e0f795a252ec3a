"""`hypersort predict` takes nnU-Net's flags as nnU-Net's own commands do."""

import argparse
import sys

import pytest
from nnunetv2.inference import predict_from_raw_data

from nnunetv2_hypersort.cli import predict
from nnunetv2_hypersort.cli.main import main

ENTRY_POINTS = ["predict_entry_point", "predict_entry_point_modelfolder"]
# The trainer is ours, and one of -d and -m names the model.
OUR_DEFAULTS = {"-tr": "HyperSORTTrainer"}
ONE_OF = {"-d", "-m", "-c"}


def nnunets_flags(monkeypatch, entry_point):
    """What an entry point of nnU-Net declares: it is called for its help, and stops there."""
    declared = []
    add = argparse.ArgumentParser.add_argument

    def adding(self, *names, **options):
        declared.append(add(self, *names, **options))
        return declared[-1]

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "add_argument", adding)
        patch.setattr(sys, "argv", ["nnUNetv2_predict", "--help"])
        with pytest.raises(SystemExit) as stop:
            getattr(predict_from_raw_data, entry_point)()
    assert stop.value.code == 0
    return [action for action in declared if "--help" not in action.option_strings]


def ours():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    predict.add_arguments(parser)
    return parser._option_string_actions


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_flag_of_nnunet_is_ours_with_its_kind_and_default(monkeypatch, entry_point, capsys):
    flags = nnunets_flags(monkeypatch, entry_point)
    assert len(flags) > 15
    for theirs in flags:
        for name in theirs.option_strings:
            mine = ours()[name]
            assert type(mine) is type(theirs), name
            assert (mine.type or str) is (theirs.type or str), name
            assert (mine.nargs, mine.const) == (theirs.nargs, theirs.const), name
            assert mine.required == (theirs.required and name not in ONE_OF), name
            # nnU-Net's folds are numbers by default and text as arguments.
            default = [str(value) for value in theirs.default] if theirs.nargs == "+" else theirs.default
            assert mine.default == OUR_DEFAULTS.get(name, default), name


def test_numbers_of_processes_come_from_nnunets_variables(monkeypatch):
    for value, expected in (("5", 5), ("", 3), ("many", 3)):
        monkeypatch.setenv("nnUNet_npp", value)
        (npp,) = (flag for flag in nnunets_flags(monkeypatch, ENTRY_POINTS[0]) if "-npp" in flag.option_strings)
        assert ours()["-npp"].default == npp.default == expected


def test_flags_that_nnunet_has_not_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "-m", "x", "-i", "x", "-o", "x", "--not_a_flag"])
    assert "unrecognized arguments: --not_a_flag" in capsys.readouterr().err
    for flags, said in (
        (["-d", "1"], "also give the configuration"),
        (["-m", "x", "-num_parts", "2"], "only with -d"),
        (["-d", "1", "-c", "2d", "-num_parts", "2", "-part_id", "2"], "-part_id 2 is none of 2 parts"),
    ):
        assert main(["predict", *flags, "-i", "x", "-o", "x"]) == 1
        assert said in capsys.readouterr().err
