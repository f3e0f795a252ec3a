"""What a run skipped is said at its end, with the line that installs it; where nothing may be skipped it fails."""

import os
import shutil
from collections.abc import Generator
from typing import Any

import pytest

STRICT = "HYPERSORT_SKIPS"
"""Environment variable: `fail` makes a failure of each skip that an installation could have prevented."""

# Nothing that could be installed would help. The data are said to be absent only where their folder is.
_UNAVOIDABLE = ("no GPU", "no real data")
_INSTALL = " (install it: "


def need_program(*names: str, package: str) -> str:
    """The path of the first program that is there; else the test is skipped.

    Args:
        names: What it may be called.
        package: The Debian package that has it.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        skip_for_want_of(names[0], f"apt-get install {package}")
    return found


def skip_for_want_of(what: str, command: str) -> Any:
    """Skip the test that is running; `command` installs what it wants."""
    pytest.skip(f"{what} is not installed{_INSTALL}{command})")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Turn a skip into a failure where HYPERSORT_SKIPS says so."""
    report = yield
    return _failed_if_strict(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """The same for a file that is skipped as a whole."""
    report = yield
    return _failed_if_strict(report)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was skipped and how to get it."""
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    if not reasons:
        return
    terminalreporter.section("skipped")
    for reason in sorted(set(reasons)):
        terminalreporter.write_line(f"{reasons.count(reason)} x {reason}")


def _reason(report: Any) -> str:
    _, _, reason = report.longrepr
    return str(reason).removeprefix("Skipped: ")


def _failed_if_strict(report: Any) -> Any:
    strict = os.environ.get(STRICT) == "fail"
    if strict and report.skipped and not hasattr(report, "wasxfail") and not _reason(report).startswith(_UNAVOIDABLE):
        report.longrepr = f"skipped, and {STRICT}=fail allows no skip: {_reason(report)}"
        report.outcome = "failed"
    return report
