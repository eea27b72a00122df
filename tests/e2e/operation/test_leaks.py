"""The suite's search for secrets in logs finds secrets that these tests log."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import TESTS, leaks, leaks_in_files, passwords

LEAKS = [
    "ann@example.org",
    "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "Authorization: Bearer opaque-refresh-token",
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    "mysql+asyncmy://owner:hush@127.0.0.1/b",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjmr",
    "correct horse battery",
]
HARMLESS = ["Bearer [redacted]", "mysql+asyncmy://127.0.0.1:3306/b", "http://[redacted]@host", "GET /bookings/{id}",
            "a password"]  # fmt: skip


def test_secrets_are_found_and_other_text_is_not() -> None:
    assert all(leaks(f"before {text} behind") for text in LEAKS)
    assert not any(map(leaks, HARMLESS))
    assert {"correct horse battery", "another horse altogether"} <= passwords()


@pytest.mark.parametrize("name", ["a.log", "b/service.log.1", "c/stderr"])
def test_logs_in_all_directories_are_searched(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("nothing\n" + LEAKS[0])
    (found,) = leaks_in_files(tmp_path)
    path.unlink()
    assert f"{path}, line 2: an e-mail address" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "is_found"),
    [
        ("log.warning('%s', 'a@b.org')", True),
        ("(tmp_path / 'service.log').write_text('a@b.org')", True),
        ("log.warning('nothing'); (tmp_path / 'service.log').write_text('nothing')", False),
    ],
)
def test_a_suite_that_logs_a_secret_fails(tmp_path: Path, program: str, is_found: bool) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import no_secret_is_logged\n")
    (tmp_path / "test_it.py").write_text(
        f"import logging\nlog = logging.getLogger('boxoffice.x')\n\ndef test_it(tmp_path):\n    {program}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/of_its_own"]
    # pytest starts faster without plugins that it does not need.
    environment = {"PYTHONPATH": str(TESTS.parent), "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(
        [*command, "test_it.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    for log in tmp_path.rglob("*.log"):
        log.unlink()
    assert ran.returncode == int(is_found), ran.stdout + ran.stderr
    assert ("an e-mail address: a@b.org" in ran.stdout) == is_found
    assert logging.getLogRecordFactory() is not logging.LogRecord, "this suite must check its records, too"
