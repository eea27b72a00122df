"""The wheel holds one package, `boxoffice`, and works where nothing else of ours is."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.e2e.packaging.readme import ROOT, first_example

pytestmark = pytest.mark.slow

_WHAT_A_BUILD_NEEDS = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def _run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree, since a build writes beside its sources."""
    tree = tmp_path_factory.mktemp("tree")
    for name in _WHAT_A_BUILD_NEEDS:
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=tree)
    (built,) = (tree / "dist").iterdir()
    return built


def test_everything_in_the_wheel_is_below_boxoffice(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}

    assert wheel.name.endswith("-py3-none-any.whl")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"boxoffice"}


def test_every_file_of_src_is_in_the_wheel(wheel: Path) -> None:
    sources = {
        f"boxoffice/{path.relative_to(ROOT / 'src')}"
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("boxoffice/")}

    assert packed == sources
    assert "boxoffice/py.typed" in packed
    assert any(name.startswith("boxoffice/adapters/sql/migrations/versions/") for name in packed)


def test_the_wheel_books_a_ticket_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile")
    _run(*pip, "--no-deps", "--require-hashes", "-r", ROOT / "requirements.txt", cwd=tmp_path)
    _run(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    _run(python, "-m", "pip", "check", cwd=tmp_path)

    assert "confirmed" in _run(python, "-I", "-c", first_example("python"), cwd=tmp_path)
    assert "serve" in _run(environment / "bin" / "boxoffice", "--help", cwd=tmp_path)
    where = _run(python, "-I", "-c", "import boxoffice; print(boxoffice.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
