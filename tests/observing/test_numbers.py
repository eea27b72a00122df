"""Numbers of several processes: all of them are seen, and none is lost or counted twice when a process ends."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from boxoffice.adapters.observability import Counters, SharedCounters
from boxoffice.adapters.observability.counters import MOST_NUMBERS


def seen(numbers: Counters) -> dict[tuple[str, ...], list[tuple[bool, list[float]]]]:
    """By metric and labels: what each process wrote, and whether it is alive."""
    found: dict[tuple[str, ...], list[tuple[bool, list[float]]]] = {}
    for process in numbers.everybodys():
        for series, values in process.series:
            found.setdefault((series.metric, *series.labels), []).append((process.is_alive, list(values)))
    return found


def count(directory: Path, by: float, pipe: Connection) -> None:
    """Another process: it counts, says so, and waits to be told to end."""
    numbers = SharedCounters(directory)
    numbers.values[numbers.place("tickets", ("a",), 1)] += by
    pipe.send("counted")
    pipe.recv()


class Process:
    """Another process of the service."""

    def __init__(self, directory: Path, by: float) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawning.Pipe()
        self.process = spawning.Process(target=count, args=[directory, by, theirs], daemon=True)
        self.process.start()
        assert self._pipe.poll(60)
        assert self._pipe.recv() == "counted"

    def end(self) -> None:
        self._pipe.send("end")
        self.process.join(60)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(60)


def test_a_process_of_its_own_sees_its_own() -> None:
    numbers = Counters()
    place = numbers.place("tickets", ("a", "b"), 3)
    numbers.values[place + 1] += 2
    assert numbers.place("tickets", ("a", "b"), 3) == place
    assert seen(numbers) == {("tickets", "a", "b"): [(True, [0.0, 2.0, 0.0])]}


def test_series_do_not_share_numbers() -> None:
    numbers = Counters()
    places = [numbers.place("tickets", (name,), 4) for name in "abc"]
    assert sorted(places) == [0, 4, 8]


def test_what_is_too_much_is_not_counted_and_harms_nobody() -> None:
    numbers = Counters()
    first = numbers.place("first", (), 1)
    numbers.values[first] = 7.0
    numbers.place("many", (), MOST_NUMBERS - 1)
    beyond = numbers.place("beyond", (), 15)
    for each in range(15):
        numbers.values[beyond + each] += 1.0
    assert seen(numbers)["first",] == [(True, [7.0])]
    assert ("beyond",) not in seen(numbers)


def test_each_sees_what_all_count(tmp_path: Path) -> None:
    first, second = SharedCounters(tmp_path), SharedCounters(tmp_path)
    for by, numbers in enumerate((first, second), 1):
        numbers.values[numbers.place("tickets", ("a",), 1)] += by
    for numbers in (first, second):
        assert seen(numbers) == {("tickets", "a"): [(True, [1.0]), (True, [2.0])]}
    first.close()
    assert seen(second) == {("tickets", "a"): [(False, [1.0]), (True, [2.0])]}
    second.close()


@pytest.mark.parametrize("way", ["end", "kill"])
def test_what_a_process_counted_stays_and_the_next_one_goes_on_with_it(tmp_path: Path, way: str) -> None:
    process = Process(tmp_path, 3.0)
    here = SharedCounters(tmp_path)
    assert seen(here) == {("tickets", "a"): [(True, [3.0])]}
    getattr(process, way)()
    assert seen(here) == {("tickets", "a"): [(False, [3.0])]}
    another = SharedCounters(tmp_path)
    another.values[another.place("tickets", ("a",), 1)] += 2.0
    assert seen(here) == {("tickets", "a"): [(True, [5.0])]}
    assert len(list(tmp_path.glob("*.numbers"))) == 2
    here.close()
    another.close()


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


def test_a_directory_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        SharedCounters(tmp_path / "file" / "below")
