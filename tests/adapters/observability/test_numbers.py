"""Counters of several processes: every process reads all, and none is lost or counted twice when a process ends."""

from pathlib import Path

from boxoffice.adapters.observability import Counters, SharedCounters
from boxoffice.adapters.observability.counters import MOST_VALUES


def seen(counters: Counters) -> dict[tuple[str, ...], list[tuple[bool, list[float]]]]:
    """Return the values of each process, and whether it is alive, by metric and labels."""
    found: dict[tuple[str, ...], list[tuple[bool, list[float]]]] = {}
    for process in counters.read_all():
        for series, values in process.series:
            found.setdefault((series.metric, *series.labels), []).append((process.is_alive, list(values)))
    return found


def test_a_series_without_room_is_not_counted_and_changes_no_other() -> None:
    counters = Counters()
    first = counters.place("first", (), 1)
    counters.values[first] = 7.0
    counters.place("many", (), MOST_VALUES - 1)
    beyond = counters.place("beyond", (), 15)
    for each in range(15):
        counters.values[beyond + each] += 1.0
    assert seen(counters)["first",] == [(True, [7.0])]
    assert ("beyond",) not in seen(counters)


def test_each_sees_what_all_count(tmp_path: Path) -> None:
    first, second = SharedCounters(tmp_path), SharedCounters(tmp_path)
    for by, counters in enumerate((first, second), 1):
        counters.values[counters.place("tickets", ("a",), 1)] += by
    for counters in (first, second):
        assert seen(counters) == {("tickets", "a"): [(True, [1.0]), (True, [2.0])]}
    first.close()
    assert seen(second) == {("tickets", "a"): [(False, [1.0]), (True, [2.0])]}
    second.close()


def test_a_name_that_was_written_by_half_is_forgotten(tmp_path: Path) -> None:
    first = SharedCounters(tmp_path)
    first.values[first.place("tickets", ("a",), 1)] = 4.0
    first.close()
    (names,) = tmp_path.glob("*.names")
    with names.open("ab") as file:
        file.write(b'["events", ["b"')
    reader = SharedCounters(tmp_path / "elsewhere")
    reader.close()
    second = SharedCounters(tmp_path)
    second.values[second.place("events", ("c",), 1)] = 1.0
    assert seen(second) == {("tickets", "a"): [(True, [4.0])], ("events", "c"): [(True, [1.0])]}
    second.close()


def test_after_the_end_nothing_is_written(tmp_path: Path) -> None:
    first = SharedCounters(tmp_path)
    place = first.place("tickets", (), 1)
    first.values[place] = 1.0
    first.close()
    first.values[place] += 1.0
    first.values[first.place("events", (), 1)] += 1.0
    first.close()
    second = SharedCounters(tmp_path)
    assert seen(second) == {("tickets",): [(True, [1.0])]}
    second.close()
