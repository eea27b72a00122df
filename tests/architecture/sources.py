"""The source files as syntax trees, so that rules can be put to them without importing anything."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
SRC: Final = ROOT / "src"
TESTS: Final = ROOT / "tests"


class Source(NamedTuple):
    """One file and what it says."""

    path: Path
    tree: ast.Module

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


class Import(NamedTuple):
    """`from module import names`, or `import module` without names; `module` starts with dots where it is relative."""

    line: int
    module: str
    names: tuple[str, ...]


def sources(folder: Path) -> list[Source]:
    """Every Python file below a folder; a rule that saw next to none has held nothing."""
    found = [Source(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(folder.rglob("*.py"))]
    assert len(found) > 1, f"nothing to look at in {folder}"
    return found


def imports(tree: ast.AST) -> Iterator[Import]:
    """Every import wherever it stands: at the top, in a function, behind TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, ())
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield Import(node.lineno, module, tuple(alias.name for alias in node.names))
