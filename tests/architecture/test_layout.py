"""The tree stays easy to find one's way in: short files, small folders, no circles, and a sentence for each folder."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from .sources import SRC, imports, sources

MOST_LINES: Final = 500
MOST_FILES: Final = 15


def long_files(folder: Path) -> dict[str, int]:
    """Return the files with more lines than a file may have."""
    lines = {str(path.relative_to(folder)): len(path.read_text().splitlines()) for path in folder.rglob("*.py")}
    return {path: count for path, count in lines.items() if count > MOST_LINES}


def full_folders(folder: Path) -> dict[str, int]:
    """Return the folders with more files than a folder may have."""
    files = {str(each): len(list(each.glob("*.py"))) for each in [folder, *folder.rglob("*")] if each.is_dir()}
    return {path: count for path, count in files.items() if count > MOST_FILES}


def silent_folders(folder: Path) -> list[str]:
    """Return the folders of modules whose `__init__.py` does not say what lives there."""
    return [
        str(each.relative_to(folder))
        for each in sorted({path.parent for path in folder.rglob("*.py")})
        if not (each / "__init__.py").is_file() or not ast.get_docstring(ast.parse((each / "__init__.py").read_text()))
    ]


def import_graph(folder: Path) -> dict[str, set[str]]:
    """Return which module below a folder imports which others there, relatively."""
    trees = {
        ".".join(source.path.relative_to(folder).with_suffix("").parts).removesuffix("__init__").rstrip("."): source
        for source in sources(folder)
    }
    graph: dict[str, set[str]] = {}
    for name, source in trees.items():
        package = list(filter(None, name.split(".")))
        if source.path.name != "__init__.py":
            package.pop()
        graph[name] = {
            target
            for each in imports(source.tree)
            if each.module.startswith(".")
            for target in _targets(package, each.module, each.names, trees)
        }
    return graph


def _targets(package: list[str], module: str, names: tuple[str, ...], known: Mapping[str, object]) -> Iterator[str]:
    level = len(module) - len(module.lstrip("."))
    base = package[: len(package) - level + 1]
    path = ".".join([*base, *filter(None, module.lstrip(".").split("."))])
    for name in names:
        yield next(each for each in (f"{path}.{name}".lstrip("."), path) if each in known)


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules from which imports lead back to themselves."""

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        todo = list(graph[start])
        while todo:
            module = todo.pop()
            if module not in found:
                found.add(module)
                todo += graph[module]
        return found

    return [module for module in graph if module in reachable(module)]


def test_no_file_is_long() -> None:
    assert long_files(SRC) == {}


def test_no_folder_is_full() -> None:
    assert full_folders(SRC) == {}


def test_every_folder_says_what_lives_there() -> None:
    assert silent_folders(SRC) == []


def test_no_imports_run_in_a_circle() -> None:
    graph = import_graph(SRC)
    assert "domain.decisions.book" in graph["application.bookings.book_ticket"], "the graph is not the package's"
    assert circles(graph) == []


def test_a_long_file_a_full_folder_and_a_silent_one_are_seen(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("\n" * (MOST_LINES + 1))
    (tmp_path / "full").mkdir()
    for number in range(MOST_FILES + 1):
        (tmp_path / "full" / f"module_{number}.py").touch()

    assert long_files(tmp_path) == {"long.py": MOST_LINES + 1}
    assert full_folders(tmp_path) == {str(tmp_path / "full"): MOST_FILES + 1}
    assert silent_folders(tmp_path) == [".", "full"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from . import second", "from .first import x"),
        ("from .second import y", "def f():\n    from . import first"),
        ("from .second import y", "if TYPE_CHECKING:\n    from .first import x"),
    ],
)
def test_a_circle_is_seen_wherever_it_hides(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "first.py").write_text(first)
    (tmp_path / "second.py").write_text(second)

    assert circles(import_graph(tmp_path)) == ["first", "second"]
