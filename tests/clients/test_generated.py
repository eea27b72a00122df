"""Clients that public generators make of the service's own document compile strictly, and book.

The generators lie in `.venv/clients` (`make clients`). Each program in `programs` uses one client. It is type-checked
together with the client, then it runs against a service of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.faults.service import Server

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(__file__).with_name("programs")
INSTALLED: Final = ROOT / ".venv" / "clients"
BIN: Final = INSTALLED / "bin"
MODULES: Final = INSTALLED / "npm" / "node_modules"
PACKAGE: Final = "boxoffice_client"

# What openapi-python-client writes for every API alike: these lines are the same whatever the document says.
UNCHECKED: Final = f"[mypy-{PACKAGE}.client]\nfollow_imports = silent\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a program printed; it must end well."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, f"{command[0]}: {(ended.stdout + ended.stderr)[-8_000:]}"
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not (INSTALLED / ".ready").exists():
        pytest.fail("needs the generators: make clients", pytrace=False)
    directory = tmp_path_factory.mktemp("clients")
    running = Server(f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}", directory).start()
    yield running
    assert running.terminate() == 0
    assert running.complaints() == []


@pytest.fixture(scope="module")
def document(service: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the service answers it."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{service.url}/openapi.json", timeout=60).raise_for_status().content)
    return path


def program(name: str, directory: Path) -> Path:
    return Path(shutil.copy(PROGRAMS / name, directory))


def test_the_document_is_valid(document: Path) -> None:
    assert ": OK" in run(BIN / "openapi-spec-validator", "--schema", "3.1", document, cwd=document.parent)


def test_openapi_python_client(service: Server, document: Path, tmp_path: Path) -> None:
    said = run(
        *(BIN / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none"),
        *("--path", document, "--output-path", tmp_path / PACKAGE),
        cwd=tmp_path,
    )
    assert "skipp" not in said.lower(), said
    (tmp_path / "mypy.ini").write_text(UNCHECKED, encoding="utf-8")
    book = program("with_openapi_python_client.py", tmp_path)
    parts = [tmp_path / PACKAGE / name for name in ("models", "api")]
    run(BIN / "python", "-m", "mypy", "--strict", "--config-file", "mypy.ini", book, *parts, cwd=tmp_path)
    run(BIN / "python", book, service.url, cwd=tmp_path)


def test_openapi_generator(service: Server, document: Path, tmp_path: Path) -> None:
    said = run(
        *(BIN / "openapi-generator-cli", "generate", "--generator-name", "python", "--package-name", PACKAGE),
        *("--input-spec", document, "--output", tmp_path),
        cwd=tmp_path,
    )
    assert "COLLISION" not in said, said
    # Its own settings, which it writes beside the client, are as strict as it can be held to.
    run(BIN / "python", "-m", "mypy", PACKAGE, cwd=tmp_path)
    book = program("with_openapi_generator.py", tmp_path)
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = pydantic.mypy\nfollow_imports = silent\n", encoding="utf-8")
    run(BIN / "python", "-m", "mypy", "--strict", "--config-file", "mypy.ini", book, cwd=tmp_path)
    run(BIN / "python", book, service.url, cwd=tmp_path)


def test_openapi_typescript(service: Server, document: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    run("node", MODULES / "openapi-typescript" / "bin" / "cli.js", document, "-o", "boxoffice.d.ts", cwd=tmp_path)
    book = program("with_openapi_typescript.ts", tmp_path)
    run(
        *("node", MODULES / "typescript" / "bin" / "tsc", "--strict", "--noUncheckedIndexedAccess"),
        *("--exactOptionalPropertyTypes", "--target", "es2022", "--lib", "es2022,dom,dom.iterable"),
        *("--module", "nodenext", book, "boxoffice.d.ts"),
        cwd=tmp_path,
    )
    run("node", book.with_suffix(".js"), service.url, cwd=tmp_path)
