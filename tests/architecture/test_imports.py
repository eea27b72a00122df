"""What may be imported where: an allow-list for the hexagon, relative imports inside the package.

The direction of the layers is kept by import-linter (see test_contracts).
"""

import ast
from typing import Final

import pytest

from .sources import SRC, TESTS, imports, sources

_LANGUAGE: Final = (
    {
        "__future__",
        "abc",
        "array",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "functools",
    }
    | {"hashlib", "itertools", "math", "operator", "re", "string", "types", "typing", "unicodedata", "uuid"}
    | {"msgspec", "msgspec.structs"}
)
ALLOWED: Final = {
    # Which addresses are one mailbox and on which day a time lies are rules; the tables of IDNA 2008 and of time zones
    # are data.
    "domain": _LANGUAGE | {"heapq", "idna", "importlib.resources", "zoneinfo"},
    # Waiting, retrying after a random while and saying so in the log are part of getting a use case done.
    "application": _LANGUAGE
    | {"asyncio", "contextlib", "contextvars", "heapq", "ipaddress", "logging", "random", "time"},
}


def foreign_imports(tree: ast.AST, layer: str) -> list[str]:
    """Imports that are neither on the layer's list nor relative."""
    return [
        f"line {found.line}: {found.module}"
        for found in imports(tree)
        if not found.module.startswith(".") and found.module not in ALLOWED[layer]
    ]


def absolute_imports(tree: ast.AST) -> list[str]:
    """Imports of the package by its name, or by the name of its folder."""
    return [
        f"line {found.line}: {found.module}"
        for found in imports(tree)
        if found.module.split(".")[0]
        in {"boxoffice", "src", "domain", "application", "adapters", "entrypoints", "tests"}
    ]


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_the_hexagon_imports_the_language_and_no_framework(layer: str) -> None:
    assert {
        str(source): found for source in sources(SRC / layer) if (found := foreign_imports(source.tree, layer))
    } == {}


def test_inside_the_package_imports_are_relative() -> None:
    assert {str(source): found for source in sources(SRC) if (found := absolute_imports(source.tree))} == {}


def test_tests_name_the_package_as_users_do() -> None:
    wrong = {
        str(source): found.module
        for source in sources(TESTS)
        for found in imports(source.tree)
        if found.module.split(".")[0] in {"src", "domain", "application", "adapters", "entrypoints"}
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "code",
    [
        "import sqlalchemy",
        "import sqlalchemy.ext.asyncio as sa",
        "from litestar import get",
        "import os",
        "import msgspec.json",
        "import boxoffice.domain",
        "def f():\n    import structlog",
        "if TYPE_CHECKING:\n    from sqlalchemy import Table",
    ],
)
@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_foreign_import_is_seen_wherever_it_hides(layer: str, code: str) -> None:
    assert foreign_imports(ast.parse(code), layer)


@pytest.mark.parametrize("module", ["asyncio", "logging", "random", "time"])
def test_what_the_application_may_use_the_domain_may_not(module: str) -> None:
    code = ast.parse(f"import {module}")
    assert foreign_imports(code, "domain")
    assert not foreign_imports(code, "application")


@pytest.mark.parametrize("code", ["import boxoffice", "from boxoffice.domain import x", "from src import y"])
def test_an_absolute_import_is_seen(code: str) -> None:
    assert absolute_imports(ast.parse(code))


def test_what_is_allowed_passes() -> None:
    code = (
        "from datetime import datetime\nfrom msgspec import Struct\nfrom . import x\nfrom ..domain.money import Money"
    )
    assert foreign_imports(ast.parse(code), "application") == []
    assert absolute_imports(ast.parse(code)) == []
