"""What the README shows works as it stands there."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.packaging.readme import first_example


def test_ten_lines_book_a_ticket_without_http(tmp_path: Path) -> None:
    example = first_example("python")

    ran = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    assert "confirmed" in ran.stdout
    assert list(tmp_path.iterdir()) == [], "the in-memory adapter writes no files"


def test_the_example_is_short_and_needs_no_web_framework() -> None:
    lines = [line for line in first_example("python").splitlines() if line.strip()]

    assert len([line for line in lines if not line.startswith(("import ", "from "))]) <= 10
    assert not any("litestar" in line or "http" in line for line in lines)
