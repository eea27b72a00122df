"""The domain decides from what it is given: no clock, no chance, no waiting, no output, nothing that changes."""

import ast
import importlib
import pkgutil
from typing import Final

import msgspec
import pytest

import boxoffice.domain

from .sources import SRC, imports, sources

_CLOCK_AND_CHANCE: Final = frozenset(
    {
        "now",
        "utcnow",
        "today",
        "uuid1",
        "uuid3",
        "uuid4",
        "uuid5",
        "uuid6",
        "uuid7",
        "uuid8",
        "monotonic",
        "perf_counter",
    }
)
_OUTSIDE: Final = frozenset({"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"})


def impurities(tree: ast.AST) -> list[str]:
    """What in this code depends on more than its arguments, or does more than answer."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                found.append(f"line {node.lineno}: async")
            case ast.Global() | ast.Nonlocal():
                found.append(f"line {node.lineno}: state outside the function")
            case ast.Call(func=ast.Attribute(attr=name)) if name in _CLOCK_AND_CHANCE:
                found.append(f"line {node.lineno}: {name}()")
            case ast.Call(func=ast.Name(id=name)) if name in _OUTSIDE | _CLOCK_AND_CHANCE - {"now"}:
                found.append(f"line {node.lineno}: {name}()")
            case _:
                pass
    found.extend(
        f"line {imported.line}: of uuid only UUID, ids come with the command"
        for imported in imports(tree)
        if imported.module == "uuid" and imported.names != ("UUID",)
    )
    return found


def test_the_domain_is_pure() -> None:
    assert {str(source): found for source in sources(SRC / "domain") if (found := impurities(source.tree))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "async def f(): ...",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "uuid.uuid4()",
        "from uuid import UUID, uuid4",
        "import uuid",
        "uuid7()",
        "print('sold')",
        "open('tickets')",
        "def f():\n    global sold",
    ],
)
def test_an_impurity_is_seen(code: str) -> None:
    assert impurities(ast.parse(code))


def test_what_comes_as_an_argument_is_pure() -> None:
    assert impurities(ast.parse("from uuid import UUID\ndef f(now: datetime, id: UUID): return now <= starts_at")) == []


def test_every_value_of_the_domain_is_frozen() -> None:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(boxoffice.domain.__path__, "boxoffice.domain.")
    ]
    structs = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    }
    assert structs, "the domain has no values"
    assert {struct.__qualname__ for struct in structs if not struct.__struct_config__.frozen} == set()
