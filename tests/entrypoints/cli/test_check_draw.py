"""`boxoffice check-draw` needs nothing but the document."""

from pathlib import Path

import pytest

from boxoffice.entrypoints.cli import main
from tests.entrypoints.checkers.drawn_documents import as_file, by_drand, by_operator


def test_a_right_draw_is_0_whatever_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOXOFFICE_DATABASE_URL", "nonsense")
    file = tmp_path / "draw.json"
    file.write_bytes(as_file(by_drand()))

    assert main(["check-draw", str(file)]) == 0
    assert "7 entries" in capsys.readouterr().out


def test_a_wrong_draw_is_1_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "draw.json"
    file.write_bytes(as_file(by_operator() | {"secret": None}))

    assert main(["check-draw", str(file)]) == 1
    assert main(["check-draw", str(tmp_path / "missing.json")]) == 1
    withheld, missing = capsys.readouterr().err.splitlines()
    assert "secret" in withheld
    assert "cannot be read" in missing


def test_no_document_is_2() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["check-draw"])
