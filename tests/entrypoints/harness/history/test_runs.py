"""Runs of the real use cases are accepted; the same runs with one thing made wrong are not."""

import random
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.command_queue import Bounds
from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import (
    Call,
    Entry,
    History,
    Outcome,
    Stored,
    check_linearizable,
    check_promises,
)
from tests.entrypoints.harness.history.history_fixtures import RecordingClients, plans


async def run(seed: int, clients: int = 16) -> tuple[RecordingClients, Stored]:
    """Many clients on one event at once, through the turnstile."""
    chance = random.Random(seed)
    recorded = RecordingClients(bounds=Bounds(most_together=chance.choice([1, 3, 500])))
    totals = [chance.randint(3, 20) for _ in range(chance.choice([1, 1, 2]))]
    await recorded.open(*totals, policy=chance.choice(["strict", "fill"]), limit=chance.choice([4, 10]))
    return recorded, await recorded.run(plans(chance, clients, 12, chance.choice([8, 30, 100])))


def assert_right(recorded: RecordingClients, final: Stored) -> None:
    assert check_promises(recorded.history, final) == []
    verdict = check_linearizable(recorded.history, recorded.sale, final=final)
    assert verdict.is_linearizable, str(verdict)


async def test_many_callers_at_once_are_accepted(times: Callable[[int, int], int]) -> None:
    """By what clients saw alone, too; there the search may give up now and then, but never says no."""
    undecided = 0
    for seed in range(times(12, 1_000)):
        recorded, final = await run(seed)
        assert len(recorded.history.operations()) == 192
        assert_right(recorded, final)
        alone = check_linearizable(recorded.history, recorded.sale)
        assert alone.answer != "not linearizable", str(alone)
        undecided += not alone.is_linearizable
    assert undecided <= times(0, 10)


async def test_each_storage_is_accepted(storage: Storage) -> None:
    recorded = RecordingClients(storage)
    await recorded.open(5)
    final = await recorded.run(plans(random.Random(1), 8, 10, 20))
    assert final.responses
    assert_right(recorded, final)


# One thing made wrong.

Wrong = Iterator[tuple[str, History, Stored]]


def with_end(history: History, operation: int, end: Entry) -> History:
    return History(
        end if (each.operation, each.kind != "invoke") == (operation, True) else each for each in history.entries
    )


def acknowledged(history: History, name: str, **wanted: object) -> list[tuple[Entry, Call, Outcome]]:
    """What was acknowledged to calls of that name, without those with a key, which may be answered again."""
    calls = {each.operation: each.call for each in history.entries if each.call is not None}
    return [
        (each, call, each.outcome)
        for each in history.entries
        if each.outcome is not None
        and (call := calls[each.operation]).name == name
        and call.key is None
        and all(getattr(each.outcome, field) == value for field, value in wanted.items())
    ]


def other_outcomes(history: History, final: Stored, by: int = 1) -> Wrong:
    """An answer that was not given, with numbers that are wrong by so much."""
    for entry, _, outcome in acknowledged(history, "book", status="waitlisted"):
        yield "promoted at once", with_end(history, entry.operation, saying(entry, status="confirmed")), final
        moved = saying(entry, position=(outcome.position or 0) + by)
        yield "another position", with_end(history, entry.operation, moved), final
    for entry, _, _ in acknowledged(history, "book", status="confirmed"):
        yield "had to wait", with_end(history, entry.operation, saying(entry, status="waitlisted", position=1)), final
    for entry, _, outcome in acknowledged(history, "cancel", status="cancelled"):
        moved = saying(entry, promoted=(outcome.promoted or 0) + by)
        yield "promoted more", with_end(history, entry.operation, moved), final
    for entry, _, outcome in acknowledged(history, "give_back"):
        moved = saying(entry, promoted=(outcome.promoted or 0) + by)
        yield "promoted more", with_end(history, entry.operation, moved), final
        moved = saying(entry, quantity=(outcome.quantity or 0) + by)
        yield "another rest", with_end(history, entry.operation, moved), final
    for name in ("book", "cancel", "give_back"):
        for entry, _, _ in acknowledged(history, name):
            refused = replace(entry, kind="fail", outcome=None, code="limit-exceeded")
            yield f"{name} refused", with_end(history, entry.operation, refused), final
    for entry, _, outcome in acknowledged(history, "status"):
        moved = saying(entry, available=(outcome.available or 0) + 1_000)
        yield "never so many", with_end(history, entry.operation, moved), final


def saying(entry: Entry, **changes: object) -> Entry:
    assert entry.outcome is not None
    return replace(entry, outcome=replace(entry.outcome, **changes))


def other_ends(history: History, final: Stored) -> Wrong:
    """A stored end that is not the one that was reached."""
    for _, _, outcome in acknowledged(history, "book"):
        booking_id = outcome.booking_id
        assert booking_id is not None
        kept = {key: booking for key, booking in final.bookings.items() if key != booking_id}
        yield "dropped", history, replace(final, bookings=kept)
        booking = final.bookings[booking_id]
        swapped = replace(booking, customer_id=UUID(int=99_999))
        yield "given to another", history, replace(final, bookings={**final.bookings, booking_id: swapped})
        if booking.status is BookingStatus.CONFIRMED:
            ended = replace(booking, status=BookingStatus.CANCELLED)
            yield "ended", history, replace(final, bookings={**final.bookings, booking_id: ended})
    for event_id, facts in final.facts.items():
        for place in range(1, len(facts)):
            yield "a fact dropped", history, replace(final, facts={event_id: [*facts[:place], *facts[place + 1 :]]})


def other_askers(history: History, final: Stored) -> Wrong:
    """A booking that is stored with all its traces, without a call that asked for it."""
    for entry, _, _ in acknowledged(history, "book", status="confirmed"):
        entries = [each for each in history.entries if each.operation != entry.operation]
        yield "never asked for", History(entries), final


@pytest.mark.parametrize("corrupt", [other_outcomes, other_ends, other_askers])
async def test_one_thing_made_wrong_is_seen(
    corrupt: Callable[[History, Stored], Wrong], times: Callable[[int, int], int]
) -> None:
    tried = 0
    for seed in range(times(4, 100)):
        recorded, final = await run(seed, clients=8)
        wrong = list(corrupt(recorded.history, final))
        for what, history, stored in random.Random(seed).sample(wrong, min(len(wrong), 40)):
            assert check_promises(history, stored) != [], (seed, what)
            tried += 1
    assert tried > 10


async def test_an_answer_that_cannot_be_has_no_order(times: Callable[[int, int], int]) -> None:
    """Other answers may be right in another order, where calls overlapped; these are right in none."""
    tried = 0
    for seed in range(times(4, 100)):
        recorded, final = await run(seed, clients=8)
        never = (
            *("another position", "promoted more", "another rest", "never so many"),
            *("book refused", "cancel refused", "give_back refused"),
        )
        wrong = [each for each in other_outcomes(recorded.history, final, by=1_000) if each[0] in never]
        for what, history, _ in random.Random(seed).sample(wrong, min(len(wrong), 10)):
            verdict = check_linearizable(history, recorded.sale, final=final, most_states=2_000)
            assert not verdict.is_linearizable, (seed, what)
            tried += verdict.answer == "not linearizable"
    assert tried > 10
