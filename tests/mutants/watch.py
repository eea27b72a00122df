"""A pytest plugin that checks which package is tested, and records the first failure."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

NEVER_RAN = (ImportError, NameError, SyntaxError)
"""Errors that mean that the changed code does not run at all, which proves nothing."""


class Failed(Struct, frozen=True, kw_only=True):
    """The first failure: the test, its phase (`collect`, `setup`, `call`, `teardown`), and the reason."""

    test: str
    phase: str
    why: str
    has_hung: bool = False
    never_ran: bool = False


class _Watch:
    def __init__(self, report: Path) -> None:
        self._report = report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            errors = list(_chain(call.excinfo.value))
            self._record(
                Failed(
                    test=item.nodeid,
                    phase=call.when,
                    why=call.excinfo.exconly(tryshort=True),
                    has_hung=any("Timeout (>" in str(error) for error in errors),
                    never_ran=any(isinstance(error, NEVER_RAN) for error in errors),
                )
            )
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._record(Failed(test=report.nodeid, phase="collect", why=report.longreprtext))

    def _record(self, failed: Failed) -> None:
        if not self._report.exists():
            self._report.write_bytes(msgspec.json.encode(failed))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__context__ if error.__cause__ is None else error.__cause__


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the file of the first failure."""
    parser.addoption("--failure-report", type=Path, required=True)


def pytest_configure(config: Any) -> None:
    """Register the plugin. Raises: pytest.UsageError if the package is not from the first directory of PYTHONPATH."""
    import boxoffice

    expected = os.environ["PYTHONPATH"].split(os.pathsep)[0]
    if not Path(boxoffice.__file__).is_relative_to(expected):
        raise pytest.UsageError(f"{boxoffice.__file__} is tested, which is not below {expected}")
    config.pluginmanager.register(_Watch(config.getoption("--failure-report")))
