"""Names say what a thing is for: a drawer called `utils` collects what nobody wanted to name."""

import ast
from pathlib import PurePath
from typing import Final

import pytest

from .sources import SRC, TESTS, sources

_DRAWERS: Final = frozenset(
    {"util", "utils", "helper", "helpers", "common", "base", "misc", "shared", "manager", "impl"}
)
_SUFFIXES: Final = ("Manager", "Impl", "Helper", "Helpers", "Util", "Utils")


def drawers(path: PurePath) -> set[str]:
    """Parts of a path that say nothing; `_utils.py`, `db_helpers.py` and `helpers/` as much as `utils.py`."""
    return {part for part in path.with_suffix("").parts if _DRAWERS.intersection(part.strip("_").split("_"))}


def empty_names(tree: ast.AST) -> list[str]:
    """Classes named for what they are made of."""
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name.endswith(_SUFFIXES)]


@pytest.mark.parametrize("folder", [SRC, TESTS], ids=["src", "tests"])
def test_no_module_is_a_drawer(folder: PurePath) -> None:
    found = {
        str(source) for source in sources(SRC if folder == SRC else TESTS) if drawers(source.path.relative_to(folder))
    }
    assert found == set()


def test_no_class_is_a_manager_or_an_impl() -> None:
    assert {str(source): found for source in sources(SRC) if (found := empty_names(source.tree))} == {}


@pytest.mark.parametrize(
    "path", ["utils.py", "domain/_helpers.py", "adapters/db_utils.py", "common/money.py", "base.py"]
)
def test_a_drawer_is_seen(path: str) -> None:
    assert drawers(PurePath(path))


@pytest.mark.parametrize("path", ["database.py", "domain/booking.py", "baseline.py"])
def test_a_name_is_not_mistaken_for_a_drawer(path: str) -> None:
    assert not drawers(PurePath(path))


def test_an_empty_class_name_is_seen() -> None:
    assert empty_names(ast.parse("class BookingManager: ...")) == ["BookingManager"]
