"""The package's types are complete for those who use it: pyright knows the type of everything public."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.packaging.readme import ROOT

PYRIGHT: Final = ROOT / ".venv/clients/npm/node_modules/.bin/pyright"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def incomplete(package: str, path: Sequence[Path]) -> list[str]:
    """Return what pyright finds incomplete in a package on this path."""
    if not PYRIGHT.exists():
        pytest.fail("needs pyright: make clients", pytrace=False)
    ran = subprocess.run(
        [PYRIGHT, "--pythonpath", sys.executable, "--verifytypes", package, "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    found = json.loads(ran.stdout)["typeCompleteness"]
    assert found["symbols"], "pyright saw nothing"
    return [
        f"{symbol['name']}: {diagnostic['message']}"
        for symbol in found["symbols"]
        for diagnostic in symbol.get("diagnostics", ())
        if diagnostic["severity"] == "error"
    ]


def test_the_types_are_complete() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    assert incomplete("boxoffice", [ROOT / ".venv/package", packages]) == []


def test_an_incomplete_type_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "incomplete"
    package.mkdir()
    (package / "py.typed").touch()
    (package / "__init__.py").write_text("def book(event):\n    return event\n")

    assert any(each.startswith("incomplete.book") for each in incomplete("incomplete", [tmp_path]))
