"""Ratios have the direction of their targets, and the chart shows which targets are reached."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from bench import results
from bench.cpu import family, seconds
from bench.plot import Bar, draw
from bench.rows import ROWS, Better, Figure, Measured, Row


def figure(ours: float, baseline: float) -> Figure:
    return Figure(Measured(ours, {"service": ours}), Measured(baseline))


def row(better: Better, bound: float | None, aim: float | None) -> Row:
    return Row("a < b", bound, aim, "/s", lambda _: Measured(1), lambda _: Measured(1), better)


@pytest.mark.parametrize(
    ("better", "bound", "aim", "good", "bad"),
    [
        (Better.MORE, 10, 20, figure(1_000, 100), figure(999, 100)),
        (Better.FASTER, 6, 12, figure(5, 30), figure(5, 29)),
        (Better.ALIKE, 1.2, 1.0, figure(12, 10), figure(13, 10)),
    ],
)
def test_a_target_is_reached_or_missed(better: Better, bound: float, aim: float, good: Figure, bad: Figure) -> None:
    assert results.is_good(row(better, bound, aim), [bad, good, good])
    assert not results.is_good(row(better, bound, aim), [bad, good, bad])
    for each, is_good in ((good, True), (bad, False)):
        assert Bar("", each.ratio(better), bound, aim).is_good == is_good
        assert (Bar("", each.ratio(better), bound, aim).of_bound >= 1) == is_good


def test_a_row_without_a_target_is_always_good() -> None:
    alone = row(Better.MORE, None, None)
    assert results.is_good(alone, [figure(1, 100)])
    assert "| - | - |" in results.line(alone, [figure(1, 100)])


def test_a_line_has_medians_and_processor_time() -> None:
    line = results.line(row(Better.MORE, 10, 20), [figure(1_000, 100), figure(3_000, 100), figure(2_000, 50)])
    assert line == "| a < b | 2,000 /s | 100 /s | **30** (10 to 40) | ≥ 10 | 20 | service 2,000 | - |"


def test_figures_of_each_database_are_saved_as_json_text_and_chart(tmp_path: Path) -> None:
    rows = [row(Better.MORE, 10, 20), row(Better.MORE, None, None)]
    for kind, ours in (("mariadb", 5.0), ("mysql", 4.0)):
        results.keep(
            rows,
            {"a < b": [figure(ours, 1)]},
            tmp_path,
            datetime(2026, 1, 2, tzinfo=UTC),
            seconds=600,
            database_kind=kind,
            database_version=f"{kind} 1.2",
        )
    assert {path.name for path in tmp_path.iterdir()} == {
        f"2026-01-02-{kind}.{suffix}" for kind in ("mariadb", "mysql") for suffix in ("json", "md", "svg")
    }
    for kind, title, ours in (("mariadb", "MariaDB", 5.0), ("mysql", "MySQL", 4.0)):
        kept = msgspec.json.decode((tmp_path / f"2026-01-02-{kind}.json").read_bytes())
        assert kept["figures"]["a < b"][0]["ours"] == {"value": ours, "microseconds": {"service": ours}}
        assert {"cores", "commit", "python", "litestar"} < set(kept["machine"])
        assert kept["machine"][kind] == f"{kind} 1.2"
        text = (tmp_path / f"2026-01-02-{kind}.md").read_text()
        assert text.startswith(f"# 2026-01-02, {title}\n")
        assert "a < b" in text
        assert f"(2026-01-02-{kind}.svg)" in text


def test_the_chart_has_a_bar_for_each_row() -> None:
    bars = [Bar("far < below", 0.01, 10, 20), Bar("reached", 15, 10, 20), Bar("less is better", 1.0, 1.2, 1.0)]
    picture = ET.fromstring(draw(bars))
    names = {each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"far < below", "reached", "less is better", "15"} <= names
    widths = [float(each.get("width", "")) for each in picture.iter("{http://www.w3.org/2000/svg}rect")]
    background, below, reached, less = widths
    assert 0 < below < less < reached < background


def test_names_of_rows_are_unique() -> None:
    assert len({each.name for each in ROWS}) == len(ROWS)


def test_processor_time_includes_child_processes() -> None:
    # Processes of its own, because others may end between the two looks.
    with subprocess.Popen(["/bin/sh", "-c", "cat; true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"ready\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"ready\n"
        pids = family(shell.pid)
        assert pids[0] == shell.pid
        assert len(set(pids)) == len(pids) > 1
        assert seconds(pids) >= seconds(pids[:1]) >= 0


def test_a_duration_of_zero_reaches_the_aim() -> None:
    """The time to a 503 is 0 if there was none."""
    assert Bar("503", ratio=0.0, bound=1.0, aim=0.5).of_bound == 2
    draw([Bar("503", ratio=0.0, bound=1.0, aim=0.5)])
