"""The contracts of import-linter in pyproject.toml hold, and each of them bites."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from .sources import ROOT, SRC

_LINT_IMPORTS: Final = Path(sys.executable).with_name("lint-imports")


def _lint(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [_LINT_IMPORTS, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_contracts_hold() -> None:
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "code", "contract"),
    [
        ("domain/wrong.py", "from .. import application", "Dependencies point inward"),
        ("application/wrong.py", "from ..adapters import memory", "Dependencies point inward"),
        ("adapters/wrong.py", "from .. import entrypoints", "Dependencies point inward"),
        ("elsewhere/__init__.py", "", "Dependencies point inward"),
        ("entrypoints/wrong.py", "from ..adapters import memory", "Only the container names an adapter"),
        (
            "entrypoints/checkers/wrong.py",
            "from ...domain import decisions",
            "Checkers need formats and signatures, and nothing of what they check",
        ),
        ("adapters/memory/wrong.py", "from .. import sql", "Adapters do not know each other"),
        ("adapters/sql/wrong.py", "from .. import memory", "Adapters do not know each other"),
        ("domain/wrong.py", "import sqlalchemy", "No framework inside the hexagon"),
        ("application/wrong.py", "import litestar", "No framework inside the hexagon"),
        ("domain/values/wrong.py", "from .. import booking", "Inside the domain imports point inward"),
        ("application/ports/wrong.py", "from .. import turnstile", "Inside the application imports point inward"),
        ("adapters/sql/bulk/wrong.py", "from .. import engine", "Inside the SQL adapter imports point inward"),
        (
            "entrypoints/http/problems/wrong.py",
            "from .. import request",
            "Inside the HTTP entrypoint imports point inward",
        ),
    ],
)
def test_a_wrong_import_breaks_its_contract(tmp_path: Path, file: str, code: str, contract: str) -> None:
    shutil.copytree(SRC, tmp_path / "boxoffice", ignore=shutil.ignore_patterns("__pycache__"))
    wrong = tmp_path / "boxoffice" / file
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text(code)

    result = _lint(tmp_path)

    assert result.returncode == 1, result.stdout
    assert f"{contract} BROKEN" in result.stdout
