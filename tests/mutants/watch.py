"""A plugin of pytest that looks at which package is tested and tells what failed, and how."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

NEVER_RAN = (ImportError, NameError, SyntaxError)
"""What says that the fault is not the one that was meant: the code could not even be run."""


class Failed(Struct, frozen=True, kw_only=True):
    """The first thing that failed: where, in which phase (`collect`, `setup`, `call`, `teardown`), and why."""

    test: str
    phase: str
    why: str
    has_hung: bool = False
    never_ran: bool = False


class _Watch:
    def __init__(self, told: Path) -> None:
        self._told = told

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            errors = list(_chain(call.excinfo.value))
            self._tell(
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
            self._tell(Failed(test=report.nodeid, phase="collect", why=report.longreprtext))

    def _tell(self, failed: Failed) -> None:
        if not self._told.exists():
            self._told.write_bytes(msgspec.json.encode(failed))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from."""
    while error is not None:
        yield error
        error = error.__context__ if error.__cause__ is None else error.__cause__


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to tell what failed first."""
    parser.addoption("--told", type=Path, required=True)


def pytest_configure(config: Any) -> None:
    """Raises: pytest.UsageError where another package would be tested than the one that PYTHONPATH names first."""
    import boxoffice

    expected = os.environ["PYTHONPATH"].split(os.pathsep)[0]
    if not Path(boxoffice.__file__).is_relative_to(expected):
        raise pytest.UsageError(f"{boxoffice.__file__} is tested, which is not below {expected}")
    config.pluginmanager.register(_Watch(config.getoption("--told")))
