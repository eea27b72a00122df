"""A log file that several processes share: nothing is lost or mixed, even when another program renames it."""

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxoffice.entrypoints.log_file import RotatingFile

BYTES = 1_000
LINE = "x" * 99
"""With its end a tenth of a file."""


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, text, None, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


@pytest.fixture
def handler(path: Path) -> Iterator[RotatingFile]:
    handler = RotatingFile(path, BYTES, 3)
    yield handler
    handler.close()


def contents(path: Path) -> dict[str, list[str]]:
    return {each.name: each.read_text().splitlines() for each in sorted(path.parent.iterdir())}


def test_a_file_is_never_larger_and_so_many_older_ones_are_kept(path: Path, handler: RotatingFile) -> None:
    for number in range(55):
        handler.handle(record(f"{number:02}{LINE[2:]}"))
    found = {name: [line[:2] for line in lines] for name, lines in contents(path).items()}
    assert found == {
        "a.log": ["50", "51", "52", "53", "54"],
        "a.log.1": [str(each) for each in range(40, 50)],
        "a.log.2": [str(each) for each in range(30, 40)],
        "a.log.3": [str(each) for each in range(20, 30)],
    }
    assert {stat.S_IMODE(each.stat().st_mode) & 0o007 for each in path.parent.iterdir()} == {0}


def test_what_is_larger_than_a_file_has_one_of_its_own(path: Path, handler: RotatingFile) -> None:
    for text in ("a", "b " * 2_500, "c"):
        handler.handle(record(text))
    assert contents(path) == {"a.log": ["c"], "a.log.1": ["b " * 2_500], "a.log.2": ["a"]}


def test_a_rotation_that_was_broken_off_costs_no_older_file(path: Path, handler: RotatingFile) -> None:
    """One process had renamed the second and died."""
    path.with_name("a.log.1").write_text("first\n")
    path.with_name("a.log.3").write_text("second\n")
    for _ in range(11):
        handler.handle(record(LINE))
    assert contents(path) == {
        "a.log": [LINE],
        "a.log.1": [LINE] * 10,
        "a.log.2": ["first"],
        "a.log.3": ["second"],
    }


def test_another_program_may_rename_or_remove_the_file(path: Path, handler: RotatingFile) -> None:
    handler.handle(record("one"))
    path.rename(path.with_name("a.log-20270101"))
    handler.handle(record("two"))
    path.unlink()
    handler.handle(record("three"))
    assert contents(path) == {"a.log": ["three"], "a.log-20270101": ["one"]}


def test_what_another_process_began_is_gone_on_with(path: Path, handler: RotatingFile) -> None:
    handler.handle(record("one"))
    path.rename(path.with_name("a.log.1"))
    other = RotatingFile(path, BYTES, 3)
    handler.handle(record("two"))
    other.close()
    assert contents(path) == {"a.log": ["two"], "a.log.1": ["one"]}


def test_a_file_that_another_process_rotated_is_not_rotated_again(
    path: Path, handler: RotatingFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found it full; the other one had the lock first."""
    other = RotatingFile(path, BYTES, 3)
    for _ in range(10):
        handler.handle(record(LINE))
    look = os.stat

    def look_and_lose(*args: object, **options: object) -> os.stat_result:
        monkeypatch.setattr(os, "stat", look)
        found = look(*args, **options)  # type: ignore[arg-type]
        other.handle(record("of the other"))
        return found

    monkeypatch.setattr(os, "stat", look_and_lose)
    handler.handle(record("own"))
    other.close()
    assert contents(path) == {"a.log": ["of the other", "own"], "a.log.1": [LINE] * 10}


def test_a_file_that_cannot_be_renamed_grows(path: Path, handler: RotatingFile) -> None:
    for number in (1, 2, 3):
        (path.with_name(f"a.log.{number}") / "folder").mkdir(parents=True)
    for _ in range(12):
        handler.handle(record(LINE))
    assert path.read_text().splitlines() == [LINE] * 12


def test_processes_mix_no_lines_however_long(path: Path) -> None:
    """Each record has many lines and is longer than what a pipe or a buffer takes at a time."""
    code = (
        "import json, logging, sys\nfrom pathlib import Path\nfrom boxoffice.entrypoints.log_file import RotatingFile\n"
        "handler = RotatingFile(Path(sys.argv[1]), 300_000, 100)\n"
        "for n in range(40):\n"
        "    lines = [json.dumps([sys.argv[2], n, each, 'x ' * 500]) for each in range(100)]\n"
        "    handler.handle(logging.LogRecord('x', 20, '', 0, '\\n'.join(lines), None, None))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "abc"]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    found = [json.loads(line)[:3] for lines in contents(path).values() for line in lines]
    assert sorted(found) == sorted([name, n, each] for name in "abc" for n in range(40) for each in range(100))
    assert len(list(path.parent.iterdir())) > 10
