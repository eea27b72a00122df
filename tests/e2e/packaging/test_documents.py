"""What the documents name is there, and what is there is named."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.problems.catalog import CATALOG
from boxoffice.entrypoints.http.reference.document import document as written
from boxoffice.entrypoints.settings import PREFIX, TEST_PREFIX, Settings
from tests.e2e.packaging.readme import ROOT

DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SETTINGS: Final = {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__ if name != "unknown"}
MISSPELT: Final = "BOXOFFICE_CURENCY"
"""Shown as what the service would ask back for."""

_PROGRAMS: Final = re.compile(r"^```python\n(.*?)^```$(?:\s+prints\s+^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


def _text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _settings_in(path: str | Path) -> set[str]:
    """The settings that a document names, without those of the tests."""
    named = re.findall(rf"\b{PREFIX}[A-Z_]+\b", _text(path))
    return {name for name in named if not name.startswith((TEST_PREFIX, f"{PREFIX}REQUIRE_"))} - {MISSPELT}


def _anchors(path: Path) -> set[str]:
    """The names that headings are linked by."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("document", [".env.example", "docs/settings.md"])
def test_every_setting_is_named_and_no_other(document: str) -> None:
    assert _settings_in(document) == SETTINGS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_names_an_unknown_setting(document: Path) -> None:
    assert _settings_in(document) <= SETTINGS


def test_the_tables_of_settings_have_every_one() -> None:
    for title in ("All settings", "Settings that need care"):
        rows = re.findall(r"^\| `(\w+)` \|", _section(_text("docs/settings.md"), title), re.MULTILINE)
        assert sorted(rows) == sorted(SETTINGS)


def test_the_table_of_settings_tells_the_defaults() -> None:
    table = _section(_text("docs/settings.md"), "All settings")
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, re.MULTILINE))

    assert len(rows) == 12
    assert Settings.load(rows, Path("/nowhere")) == Settings()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = (document.parent / name).resolve() if name else document
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_tests_that_are_named_exist(document: Path) -> None:
    for name, test in re.findall(
        r"`((?:src|tests|docs|tools)/[\w./]+)(?:::(\w+))?`", document.read_text(encoding="utf-8")
    ):
        assert (ROOT / name).exists(), name
        assert not test or re.search(rf"\bdef {test}\(", _text(name)), f"{name} has no {test}"


def test_every_promise_names_the_tests_that_hold_it() -> None:
    table = _section(_text("docs/proof.md"), "Promises and their tests")
    rows = re.findall(r"^\| (\d) \| .+ \| (.+) \|$", table, re.MULTILINE)

    assert [number for number, _ in rows] == list("123456789")
    assert all(re.search(r"`tests/\S+::test_\w+`", tests) for _, tests in rows)


def test_every_call_is_in_the_contract_and_no_other() -> None:
    reference = json.loads(written(create_app(make_container(Settings(database_url="memory://")))))
    served = {f"{method.upper()} {path}" for path, item in reference["paths"].items() for method in item}
    named = re.findall(r"`((?:GET|POST|PATCH|PUT|DELETE) /[^`?\s]*)", _text("docs/api.md"))

    # A page for people, which the document for programs does not list.
    assert set(named) == served | {"GET /docs"}


def test_every_problem_is_in_the_contract_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([\w-]+)` \|", _text("docs/api.md"), re.MULTILINE)

    assert sorted((code, int(status)) for status, code in rows) == sorted(
        (code, entry.status) for code, entry in CATALOG.items()
    )


def test_programs_of_the_embedding_page_print_what_it_says(tmp_path: Path) -> None:
    told = [(program, printed) for program, printed in _PROGRAMS.findall(_text("docs/embedding.md")) if printed]
    assert len(told) == 2

    for program, printed in told:
        ran = _run("-W", "error", "-c", program, directory=tmp_path)
        assert ran.stdout == printed


@pytest.mark.slow
def test_the_programs_of_the_documents_pass_strict_mypy(tmp_path: Path) -> None:
    files = []
    for document in DOCUMENTS:
        for number, (program, _) in enumerate(_PROGRAMS.findall(document.read_text(encoding="utf-8"))):
            file = tmp_path / f"{document.stem.lower()}_{number}.py"
            file.write_text(program, encoding="utf-8")
            files.append(str(file))
    assert len(files) >= 4

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *files],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout


@pytest.mark.slow
def test_the_program_of_the_harness_page_runs(tmp_path: Path) -> None:
    ((harness, _),) = _PROGRAMS.findall(_text("docs/harness.md"))
    (tmp_path / "test_mine.py").write_text(harness, encoding="utf-8")

    ran = _run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py", directory=tmp_path)

    assert "1 passed" in ran.stdout


def _run(*arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran
