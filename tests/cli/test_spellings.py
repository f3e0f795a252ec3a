import argparse

import pytest

from nnunetv2_hypersort.cli.spellings import as_declared


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    verb = verbs.add_parser("verb")
    verb.add_argument("-device")
    verb.add_argument("-np", type=int)
    verb.add_argument("--seed")
    return parser


@pytest.mark.parametrize(
    ("written", "device", "processes"),
    [
        ("-device cpu -np 2", "cpu", 2),
        ("--device cpu --processes 2", "cpu", 2),
        ("--device=cpu --np=3", "cpu", 3),
        ("--processes=4", None, 4),
    ],
)
def test_both_spellings_are_one_option(parser, written, device, processes):
    args = parser.parse_args(as_declared(["verb", *written.split()], parser))
    assert (args.device, args.np) == (device, processes)


def test_other_options_and_what_follows_two_dashes_stay(parser):
    written = ["verb", "--seed", "3", "--unknown", "-o", "--", "--device"]
    assert as_declared(written, parser) == written


def test_an_option_that_a_parser_declares_with_two_dashes_stays():
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes")
    parser.add_argument("-np")
    assert as_declared(["--processes", "2"], parser) == ["--processes", "2"]


def test_the_help_shows_one_spelling(capsys):
    from nnunetv2_hypersort.cli.main import main

    with pytest.raises(SystemExit):
        main(["perturb", "--help"])
    shown = capsys.readouterr().out
    assert "-np N" in shown
    assert "--processes" not in shown
