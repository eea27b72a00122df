"""Writing histories down, reading them, and putting those of several processes together."""

from itertools import count
from uuid import UUID

import pytest

from boxoffice.entrypoints.harness.history import Call, Entry, History, Outcome

EVENT = UUID(int=8)
BOOK = Call(name="book", event_id=EVENT, customer_id=UUID(int=1), quantity=2, key="k")


def history_at(*moments: int) -> History:
    """One client, one booking after another; a moment for each beginning and end."""
    history = History(now=iter(moments).__next__)
    for _ in range(len(moments) // 2):
        history.ok(history.invoke(0, BOOK), Outcome(status="confirmed"))
    return history


def test_lines_bring_back_what_was_written() -> None:
    history = History()
    first, second, third = (history.invoke(number, BOOK) for number in range(3))
    history.ok(second, Outcome(status="waitlisted", position=3, booking_id=UUID(int=5)))
    history.fail(first, "already-booked")
    history.unknown(third)
    again = History.from_lines(history.to_lines())
    assert again.entries == history.entries
    assert again.invoke(7, BOOK) == 4


def test_a_line_that_a_crash_cut_off_is_left_out() -> None:
    written: list[bytes] = []
    history = History(write=written.append)
    history.ok(history.invoke(0, BOOK), Outcome())
    assert b"".join(written) == history.to_lines()
    cut = History.from_lines(b"".join(written)[:-5])
    assert [entry.kind for entry in cut.entries] == ["invoke"]
    assert [operation.is_unknown for operation in cut.operations()] == [True]


def test_an_operation_ends_once() -> None:
    history = History()
    operation = history.invoke(0, BOOK)
    history.unknown(operation)
    with pytest.raises(ValueError, match="not under way"):
        history.ok(operation, Outcome())
    with pytest.raises(ValueError, match="not the beginning"):
        History([Entry(operation=1, client=0, kind="invoke", at=0)])
    with pytest.raises(ValueError, match="not the end"):
        History([Entry(operation=1, client=0, kind="ok", at=0)])


def test_histories_of_several_processes_are_merged_by_their_clock() -> None:
    merged = History.merged([history_at(1, 4, 6, 9), history_at(2, 3, 5, 8)])
    assert [entry.at for entry in merged.entries] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert [each.client for each in merged.operations()] == [0, 1, 1, 0]
    assert len({each.number for each in merged.operations()}) == 4


def test_of_the_same_microsecond_nothing_is_claimed_but_what_a_client_did_in_order() -> None:
    merged = History.merged([history_at(1, 5, 5, 5), history_at(5, 5)])
    first, *others = merged.operations()
    second = next(each for each in others if each.client == first.client)
    foreign = next(each for each in others if each.client != first.client)
    assert first.is_before(second)
    assert not first.is_before(foreign)


def test_a_history_tells_what_concerns_one_event() -> None:
    history = History(now=count().__next__)
    history.invoke(0, BOOK)
    other = history.invoke(1, Call(name="status", event_id=UUID(int=9)))
    history.ok(other, Outcome(available=1))
    (operation,) = history.of_event(UUID(int=9)).operations()
    assert operation.number == other
