"""Clients that public generators create from the service's OpenAPI document type-check strictly and can book.

The generators are in `.venv/clients` (`make clients`). Each program in `programs` uses one client. It is type-checked
together with the client and then run against a service.
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

ROOT: Final = Path(__file__).parents[3]
PROGRAMS: Final = Path(__file__).with_name("programs")
INSTALLED: Final = ROOT / ".venv" / "clients"
BIN: Final = INSTALLED / "bin"
MODULES: Final = INSTALLED / "npm" / "node_modules"
PACKAGE: Final = "boxoffice_client"

# openapi-python-client writes this module for every API alike, so it says nothing about the document.
UNCHECKED: Final = f"[mypy]\n[mypy-{PACKAGE}.client]\nfollow_imports = silent\n"

# openapi-python-client knows no images. Without this it warns, and its call for the picture returns nothing.
PICTURES: Final = '{"content_type_overrides": {"image/svg+xml": "application/octet-stream"}}'

# A third of the processor time of openapi-generator, which runs in Java, is compiling what ends soon.
FOR_A_SHORT_RUN: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program, which must succeed, and return its output."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "JAVA_TOOL_OPTIONS": FOR_A_SHORT_RUN},
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
    """Save the document that the service returns."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{service.url}/openapi.json", timeout=60).raise_for_status().content)
    return path


def program(name: str, directory: Path) -> Path:
    return Path(shutil.copy(PROGRAMS / name, directory))


def test_the_document_is_valid(document: Path) -> None:
    assert ": OK" in run(BIN / "openapi-spec-validator", "--schema", "3.1", document, cwd=document.parent)


def test_openapi_python_client(service: Server, document: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(PICTURES, encoding="utf-8")
    output = run(
        *(BIN / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none", "--config", "config.json"),
        *("--path", document, "--output-path", tmp_path / PACKAGE),
        cwd=tmp_path,
    )
    assert "skipp" not in output.lower(), output
    (tmp_path / "mypy.ini").write_text(UNCHECKED, encoding="utf-8")
    book = program("with_openapi_python_client.py", tmp_path)
    parts = [tmp_path / PACKAGE / name for name in ("models", "api")]
    run(BIN / "python", "-m", "mypy", "--strict", "--config-file", "mypy.ini", book, *parts, cwd=tmp_path)
    run(BIN / "python", book, service.url, cwd=tmp_path)


def test_openapi_generator(service: Server, document: Path, tmp_path: Path) -> None:
    output = run(
        *(BIN / "openapi-generator-cli", "generate", "--generator-name", "python", "--package-name", PACKAGE),
        *("--input-spec", document, "--output", tmp_path),
        cwd=tmp_path,
    )
    assert "COLLISION" not in output, output
    # With the settings that the generator writes beside the client, which are the strictest it passes.
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
