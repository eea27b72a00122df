"""The README's curl block works as it stands there, against the service as a newcomer starts it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.packaging.readme import first_example

pytestmark = pytest.mark.slow

_WHERE: Final = "http://127.0.0.1:8000"
_PRINTED: Final = re.compile(r"  # (.+)$", re.MULTILINE)


def _environment() -> dict[str, str]:
    """Ours without any setting."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}


@contextmanager
def _serving(directory: Path) -> Iterator[str]:
    """The service with its data in a directory; yields its URL once it listens."""
    boxoffice = Path(sys.executable).with_name("boxoffice")
    log = directory / "log"
    with (
        log.open("w", encoding="utf-8") as written,
        subprocess.Popen(
            [boxoffice, "serve", "--port", "0"], cwd=directory, env=_environment(), stderr=written
        ) as service,
    ):
        try:
            yield _address(service, log)
        finally:
            service.terminate()
    assert service.returncode == 0, log.read_text(encoding="utf-8")


def _address(service: "subprocess.Popen[bytes]", log: Path) -> str:
    while True:
        ended = service.poll() is not None
        said = log.read_text(encoding="utf-8")
        if found := re.search(r"serves on (http://[\d.:]+\d)", said):
            return found[1]
        assert not ended, said
        time.sleep(0.05)


def _run(script: str, directory: Path) -> list[str]:
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=directory,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return ran.stdout.splitlines()


def test_the_curl_block_prints_what_it_says(tmp_path: Path) -> None:
    example = first_example("bash")
    expected = _PRINTED.findall(example)
    assert example.count(_WHERE) == 1
    assert len(expected) >= 6

    with _serving(tmp_path) as url:
        printed = _run(example.replace(_WHERE, url), tmp_path)
        again = _run(example.replace(_WHERE, url), tmp_path)

    assert printed == expected
    assert again == ["email-taken email-taken"] * 2 + expected[2:]
    assert (tmp_path / "data" / "boxoffice.db").exists()
