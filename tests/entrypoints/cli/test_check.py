"""`boxoffice check-receipt` and `boxoffice replay-log` need nothing but what they are given."""

from pathlib import Path

import pytest

from boxoffice.entrypoints.cli import main
from tests.entrypoints.checkers.test_receipt import ENTRIES, RECEIPT
from tests.entrypoints.checkers.written_logs import (
    EVENT_ID,
    KEY,
    begun,
    booked,
    cancelled,
    files,
    receipt,
    said,
    texts,
    waits,
    write,
)


@pytest.fixture(autouse=True)
def invalid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXOFFICE_DATABASE_URL", "nonsense")


def test_a_receipt_that_holds_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my.tlog-proof"
    file.write_text(RECEIPT)
    assert main(["check-receipt", str(file), "--key", KEY]) == 0
    out = capsys.readouterr().out
    assert EVENT_ID in out
    assert "BookingPromoted" in out
    assert "bookingId: b" in out
    file.write_text(receipt(ENTRIES, 2))
    assert main(["check-receipt", str(file), "--key", KEY]) == 0
    assert "does not open" in capsys.readouterr().out


@pytest.mark.parametrize("content", [RECEIPT.replace("index 4", "index 3").encode(), b"\xff", b"", b"x" * 300_000])
def test_a_receipt_that_does_not_hold_is_1(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my.tlog-proof"
    file.write_bytes(content)
    assert main(["check-receipt", str(file), "--key", KEY]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_what_is_not_there_and_what_is_no_key_are_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-receipt", str(tmp_path / "missing"), "--key", KEY]) == 1
    assert main(["replay-log", str(tmp_path), "--key", KEY]) == 1
    assert main(["replay-log", str(tmp_path), "--key", "nonsense"]) == 1
    assert main(["replay-log", "http://127.0.0.1:1/events/x/log", "--key", KEY]) == 1
    assert all(line.startswith("boxoffice: ") for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [["check-receipt"], ["replay-log"], ["check-receipt", "x"], ["replay-log", "x"], ["replay-log", "--key", KEY]],
)
def test_no_argument_or_key_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    with pytest.raises(SystemExit, match="2"):
        main(["replay-log", "x", "--key", " "])


def test_a_log_whose_policy_was_kept_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, files(ENTRIES))
    (tmp_path / "my.tlog-proof").write_text(RECEIPT)
    assert main(["replay-log", str(tmp_path), "--key", KEY, "--receipt", str(tmp_path / "my.tlog-proof")]) == 0
    assert "The declared policy was kept." in capsys.readouterr().out


def test_a_log_that_breaks_its_policy_or_a_receipt_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = texts(said(begun(), booked(), waits(1), cancelled()))
    write(tmp_path, files(entries))
    assert main(["replay-log", str(tmp_path), "--key", KEY]) == 1
    assert "NOT KEPT (idle), entry 4" in capsys.readouterr().out
    (tmp_path / "my.tlog-proof").write_text(RECEIPT)
    assert main(["replay-log", str(tmp_path), "--key", KEY, "--receipt", str(tmp_path / "my.tlog-proof")]) == 1
    assert "shrunk" in capsys.readouterr().err


def test_what_may_be_right_is_said_and_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, files(texts(said(begun(), booked(), waits(1), cancelled(by="organizer")))))
    assert main(["replay-log", str(tmp_path), "--key", KEY]) == 0
    assert "Not proved: entry 4" in capsys.readouterr().out


def test_a_strangers_text_does_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evil.tlog-proof"
    file.write_text(receipt(texts(said({**begun(), "kind": "\x1b[2J"})), 1))
    assert main(["check-receipt", str(file), "--key", KEY]) == 0
    assert "\x1b" not in capsys.readouterr().out
