"""Search for secrets in all log records of the suite, and in all log files of the service's processes."""

import ast
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).parent

ABOUT_THEM: Final = ("tests/entrypoints/test_logs.py", "tests/e2e/operation/test_leaks.py")
"""Tests that log secrets on purpose. Their log files are checked, their records are not."""

LOGS: Final = ("*.log", "*.log.*", "stderr")
"""File names of the logs of the service's processes."""

SHORTEST: Final = 8
"""Minimum length of a password to search for. Shorter texts occur by chance."""

_SECRET_NAME: Final = re.compile(r"password|secret", re.IGNORECASE)
_PATTERNS: Final = {
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE),
    "a token": re.compile(r"\beyJ[\w-]{5,}\.[\w-]+"),
    "a credential": re.compile(r"\bbearer\s+(?!\[redacted\])[\w~+/.-]{8,}", re.IGNORECASE),
    "a hash of a password": re.compile(r"\$argon2\w*\$"),
    "a password in a URL": re.compile(r"://[^\s/:@]*:[^\s/@]+@"),
    "a key": re.compile(r"\b(?:whsec|[sr]k_live|[sr]k_test)_\w{8,}"),
}


@cache
def passwords() -> frozenset[str]:
    """Return all passwords and secrets in the tests' source: texts assigned to, or sent under, such a name."""
    found: set[str] = set()
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found.update(value for name, value in _named(tree) if _SECRET_NAME.search(name) and len(value) >= SHORTEST)
    return frozenset(each for each in found if not re.fullmatch(r"[\w-]+", each) or re.search(r"\d", each))


def _named(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each string constant with the name of its variable, argument or key."""
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr | None]] = []
        match node:
            case ast.Dict():
                pairs = list(zip(node.keys, node.values, strict=True))
            case ast.Assign():
                pairs = [(target, node.value) for target in node.targets]
            case ast.AnnAssign():
                pairs = [(node.target, node.value)]
            case ast.keyword(arg=str(name), value=ast.Constant(value=str(text))):
                yield name, text
        for key, value in pairs:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                if isinstance(key, ast.Name):
                    yield key.id, value.value
                elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value.value


def leaks(text: str) -> list[str]:
    """Return the secrets and personal data in a text."""
    found = [f"{what}: {match[0]}" for what, pattern in _PATTERNS.items() for match in pattern.finditer(text)]
    return found + [f"a password: {each}" for each in passwords() if each in text]


def leaks_in_files(directory: Path) -> list[str]:
    """Return the secrets and personal data in the logs below a directory."""
    found = []
    for path in sorted({path for pattern in LOGS for path in directory.rglob(pattern) if path.is_file()}):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            found += [f"{path}, line {number}: {leak}" for leak in leaks(line)]
    return found


class Watch:
    """Check each log record when it is created, even if no handler emits it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.seen = 0
        self._make: Callable[..., logging.LogRecord] = logging.getLogRecordFactory()

    def begin(self) -> None:
        """Start checking."""
        logging.setLogRecordFactory(self)

    def end(self) -> None:
        """Stop checking."""
        logging.setLogRecordFactory(self._make)

    def __call__(self, *arguments: Any, **options: Any) -> logging.LogRecord:
        """Return a checked record."""
        record = self._make(*arguments, **options)
        test = os.environ.get("PYTEST_CURRENT_TEST", "")
        if not test.startswith(ABOUT_THEM):
            self.look(record, test)
        return record

    def look(self, record: logging.LogRecord, test: str) -> None:
        """Check one record."""
        self.seen += 1
        text = str(record.msg) if not record.args else f"{record.msg} {record.args}"
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            text += "".join(traceback.format_exception(record.exc_info[1]))
        self.found += [f"{test}, {record.name}: {leak}" for leak in leaks(text)]
