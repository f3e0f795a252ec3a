"""One option, one name in the help, and the other spelling that people try first.

nnU-Net writes `-device` and `-np`, most other programs `--device` and `--processes`.
"""

import argparse
from collections.abc import Sequence

_OTHER_NAMES = {"--processes": "-np"}


def as_declared(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Spell the options of a command line as its parser declares them.

    `--device` becomes `-device` where a parser knows that alone, and `--processes` becomes `-np`. Nothing behind `--`
    is touched.

    Args:
        arguments: What the user wrote.
        parser: The parser, with those of its subcommands.
    """
    known = _options(parser)
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [*(_as_declared(argument, known) for argument in arguments[:end]), *arguments[end:]]


def _as_declared(argument: str, known: set[str]) -> str:
    option, equals, value = argument.partition("=")
    if not option.startswith("--") or option in known:
        return argument
    candidates = (_OTHER_NAMES.get(option, option), option[1:])
    return next((f"{name}{equals}{value}" for name in candidates if name in known), argument)


def _options(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                found |= _options(subparser)
    return found
