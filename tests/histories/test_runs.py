"""Runs of the real use cases are accepted; the same runs with one thing made wrong are not."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.turnstile.command_queue import Bounds
from boxoffice.domain.booking import BookingStatus
from boxoffice.entrypoints.harness.history import (
    Call,
    Entry,
    History,
    Outcome,
    Sale,
    Stored,
    check_linearizable,
    check_promises,
)
from tests.databases import emptied
from tests.histories.scene import NAMES, Plan, Scene

WEIGHTS = {
    "book": 40,
    "cancel": 14,
    "leave": 6,
    "booking": 8,
    "status": 8,
    "statuses": 4,
    "total": 4,
    "strict": 1,
    "fill": 1,
    "pause": 1,
    "resume": 2,
    "promote": 1,
}

PLANS = st.lists(
    st.builds(
        Plan,
        name=st.sampled_from(sorted(NAMES)) | st.just("book"),
        customer=st.integers(0, 5),
        kind=st.integers(0, 1),
        quantity=st.integers(1, 4),
        booking=st.integers(0, 30),
        key=st.none() | st.integers(0, 2),
    ),
    max_size=25,
)


def dealt(chance: random.Random, clients: int, each: int, customers: int) -> list[list[Plan]]:
    """What many clients do, most of it booking and cancelling."""
    return [
        [
            Plan(
                name=name,
                customer=chance.randrange(customers),
                kind=chance.randrange(2),
                quantity=chance.randint(1, 14 if name == "total" else 4),
                booking=chance.randrange(1_000),
                key=chance.randrange(30) if chance.random() < 0.2 else None,
            )
            for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=each)
        ]
        for _ in range(clients)
    ]


async def run(seed: int, clients: int = 16, each: int = 12) -> tuple[Scene, Stored]:
    """Many clients on one event at once, through the turnstile."""
    chance = random.Random(seed)
    scene = Scene(bounds=Bounds(most_together=chance.choice([1, 3, 500])))
    totals = [chance.randint(3, 20) for _ in range(chance.choice([1, 1, 2]))]
    await scene.open(*totals, policy=chance.choice(["strict", "fill"]), limit=chance.choice([4, 10]))
    return scene, await scene.run(*dealt(chance, clients, each, chance.choice([8, 30, 100])))


def assert_right(history: History, sale: Sale, final: Stored) -> None:
    assert check_promises(history, final) == []
    verdict = check_linearizable(history, sale, final=final)
    assert verdict.is_linearizable, str(verdict)


@given(PLANS, st.lists(st.integers(1, 6), min_size=1, max_size=2), st.sampled_from(["strict", "fill"]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_caller_after_another_is_accepted(plans: Sequence[Plan], totals: Sequence[int], policy: str) -> None:
    async def one() -> tuple[Scene, Stored]:
        scene = Scene()
        await scene.open(*totals, policy=policy, limit=5)
        return scene, await scene.run(plans)

    scene, final = asyncio.run(one())
    assert_right(scene.history, scene.sale, final)
    assert check_linearizable(scene.history, scene.sale).is_linearizable


async def test_many_callers_at_once_are_accepted(times: Callable[[int, int], int]) -> None:
    """By what clients saw alone, too; there the search may give up now and then, but never says no."""
    undecided = 0
    for seed in range(times(12, 1_000)):
        scene, final = await run(seed)
        assert len(scene.history.operations()) == 192
        assert_right(scene.history, scene.sale, final)
        alone = check_linearizable(scene.history, scene.sale)
        assert alone.answer != "not linearizable", str(alone)
        undecided += not alone.is_linearizable
    assert undecided <= times(0, 10)


def blurred(history: History, chance: random.Random, *, are_ids_made_there: bool) -> History:
    """The same history where some answers were lost; with ids that the server makes those of lost bookings too."""
    entries: list[Entry] = []
    for entry in history.entries:
        if entry.kind != "invoke" and chance.random() < 0.07:
            if chance.random() < 0.5:
                entries.append(replace(entry, kind="unknown", outcome=None, code=None))
        elif entry.call is not None and entry.call.name == "book" and are_ids_made_there:
            entries.append(replace(entry, call=replace(entry.call, booking_id=None)))
        else:
            entries.append(entry)
    return History(entries)


async def test_lost_answers_leave_it_right(times: Callable[[int, int], int]) -> None:
    undecided = 0
    for seed in range(times(8, 500)):
        scene, final = await run(seed)
        history = blurred(scene.history, random.Random(seed), are_ids_made_there=bool(seed % 2))
        assert check_promises(history, final) == []
        verdict = check_linearizable(history, scene.sale, final=final)
        assert verdict.answer != "not linearizable", str(verdict)
        undecided += not verdict.is_linearizable
        alone = check_linearizable(history, scene.sale, most_states=300)
        assert alone.answer != "not linearizable", str(alone)
    assert undecided <= times(8, 500) // 8


async def told_by(url: str) -> None:
    storage = SqlStorage.from_url(url)
    try:
        scene = Scene(storage)
        await scene.open(5)
        final = await scene.run(*dealt(random.Random(1), 8, 10, 20))
    finally:
        await storage.close()
    assert final.remembered
    assert_right(scene.history, scene.sale, final)


async def test_sqlite_tells_the_same(sqlite_url: str) -> None:
    await told_by(sqlite_url)


async def test_mariadb_tells_the_same(migrated_mysql_url: str) -> None:
    await told_by(emptied(migrated_mysql_url))


# One thing made wrong.

Wrong = Iterator[tuple[str, History, Stored]]


def with_end(history: History, operation: int, end: Entry) -> History:
    return History(
        end if (each.operation, each.kind != "invoke") == (operation, True) else each for each in history.entries
    )


def told(history: History, name: str, **wanted: object) -> list[tuple[Entry, Call, Outcome]]:
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
    for entry, _, outcome in told(history, "book", status="waitlisted"):
        yield "promoted at once", with_end(history, entry.operation, saying(entry, status="confirmed")), final
        moved = saying(entry, position=(outcome.position or 0) + by)
        yield "another position", with_end(history, entry.operation, moved), final
    for entry, _, _ in told(history, "book", status="confirmed"):
        yield "had to wait", with_end(history, entry.operation, saying(entry, status="waitlisted", position=1)), final
    for entry, _, outcome in told(history, "cancel", status="cancelled"):
        moved = saying(entry, promoted=(outcome.promoted or 0) + by)
        yield "promoted more", with_end(history, entry.operation, moved), final
    for name in ("book", "cancel"):
        for entry, _, _ in told(history, name):
            refused = replace(entry, kind="fail", outcome=None, code="limit-exceeded")
            yield f"{name} refused", with_end(history, entry.operation, refused), final
    for entry, _, outcome in told(history, "status"):
        moved = saying(entry, available=(outcome.available or 0) + 1_000)
        yield "never so many", with_end(history, entry.operation, moved), final


def saying(entry: Entry, **changes: object) -> Entry:
    assert entry.outcome is not None
    return replace(entry, outcome=replace(entry.outcome, **changes))


def other_ends(history: History, final: Stored) -> Wrong:
    """A stored end that is not the one that was reached."""
    for _, _, outcome in told(history, "book"):
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
    """A booking that is stored with all its traces, and nobody asked for it."""
    for entry, _, _ in told(history, "book", status="confirmed"):
        entries = [each for each in history.entries if each.operation != entry.operation]
        yield "never asked for", History(entries), final


@pytest.mark.parametrize("corrupt", [other_outcomes, other_ends, other_askers])
async def test_one_thing_made_wrong_is_seen(
    corrupt: Callable[[History, Stored], Wrong], times: Callable[[int, int], int]
) -> None:
    tried = 0
    for seed in range(times(3, 100)):
        scene, final = await run(seed, clients=8, each=12)
        wrong = list(corrupt(scene.history, final))
        for what, history, stored in random.Random(seed).sample(wrong, min(len(wrong), 40)):
            assert check_promises(history, stored) != [], (seed, what)
            tried += 1
    assert tried > 10


async def test_an_answer_that_cannot_be_has_no_order(times: Callable[[int, int], int]) -> None:
    """Other answers may be right in another order, where calls overlapped; these are right in none."""
    tried = 0
    for seed in range(times(3, 100)):
        scene, final = await run(seed, clients=8, each=12)
        never = ("another position", "promoted more", "book refused", "cancel refused", "never so many")
        wrong = [each for each in other_outcomes(scene.history, final, by=1_000) if each[0] in never]
        for what, history, _ in random.Random(seed).sample(wrong, min(len(wrong), 10)):
            verdict = check_linearizable(history, scene.sale, final=final, most_states=2_000)
            assert not verdict.is_linearizable, (seed, what)
            tried += verdict.answer == "not linearizable"
    assert tried > 10
