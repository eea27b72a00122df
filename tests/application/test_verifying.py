"""Checking the promises: an honest history passes, and whatever is tampered with is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from boxoffice.application.background.verify_promises import PROMISES, Verdict, VerifyPromises
from boxoffice.application.ports.errors import Retryable, Unavailable
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.queries import Snapshot
from boxoffice.application.ports.storage import Storage
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.event import EventStatus, TicketTypeSpec
from boxoffice.domain.payment import ChargeStatus, Payment, PaymentKind
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money

from .world import ANA, BEN, CLEO, World

TYPES = (TicketTypeSpec(name="Stalls", total_tickets=3), TicketTypeSpec(name="Balcony", total_tickets=5))


async def verdict(world: World) -> Verdict:
    """What checking everything says."""
    return await VerifyPromises(world.storage, world.clock)()


async def busy_world(policy: str = "strict") -> World:
    """Three have the stalls, one waits for two tickets, somebody cancelled."""
    world = World()
    event_id = await world.event(types=TYPES, waiting_list_policy=policy)
    stalls = (await world.state(event_id)).ticket_types[0].id
    first = await world.book(event_id, ANA, 2, stalls)
    await world.book(event_id, BEN, 2, stalls)
    await world.cancel(first)
    await world.book(event_id, CLEO, 2, stalls)
    return world


async def test_an_honest_history_breaks_no_promise() -> None:
    world = await busy_world()
    found = await verdict(world)
    assert found.breaches == []
    assert (found.events, found.bookings, found.facts) == (1, 3, 6)
    assert all(found.of(promise) == [] for promise in PROMISES)


async def test_progress_tells_what_was_looked_at_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.application.background.verify_promises.ROWS_AT_ONCE", 2)
    world = await busy_world()
    told: list[Verdict] = []
    await VerifyPromises(world.storage, world.clock)(told.append)
    assert [(each.events, each.bookings, each.facts) for each in told] == [(1, 0, 6), (1, 2, 6), (1, 3, 6)]


async def test_an_empty_box_office_breaks_no_promise() -> None:
    assert await verdict(World()) == Verdict(0, 0, 0, [])


async def test_more_than_one_look_reads_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.application.background.verify_promises.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("boxoffice.application.background.verify_promises.EVENTS_AT_ONCE", 1)
    world = await busy_world()
    await world.event(2)
    found = await verdict(world)
    assert (found.events, found.bookings, found.facts, found.breaches) == (2, 3, 7, [])


def a_booking(world: World, status: BookingStatus) -> Booking:
    """One that stands so."""
    return next(booking for booking in world.storage._tables.bookings.values() if booking.status is status)


def put_booking(world: World, stands: BookingStatus, **changes: Any) -> None:
    """Change a stored booking behind everybody's back."""
    booking = a_booking(world, stands)
    world.storage._tables.bookings[booking.id] = replace(booking, **changes)


def put_ticket_type(world: World, **changes: Any) -> None:
    """Change the stored stalls behind everybody's back."""
    (types,) = world.storage._tables.ticket_types.values()
    stalls = next(iter(types.values()))
    types[stalls.id] = replace(stalls, **changes)


def put_event(world: World, **changes: Any) -> None:
    """Change the stored event behind everybody's back."""
    ((event_id, event),) = world.storage._tables.events.items()
    world.storage._tables.events[event_id] = replace(event, **changes)


def put_facts(world: World, change: Callable[[list[Any]], None]) -> None:
    """Change the history."""
    (facts,) = world.storage._tables.facts.values()
    change(facts)


def forget_place(world: World) -> None:
    """Take somebody out of the line."""
    for line in world.storage._tables.lines.values():
        line.clear()


def book_twice(world: World) -> None:
    """Somebody has two live bookings."""
    booking = a_booking(world, BookingStatus.CONFIRMED)
    other = world.ids.new()
    world.storage._tables.bookings[other] = replace(booking, id=other)


@pytest.mark.parametrize(
    ("promise", "tamper"),
    [
        (1, lambda world: put_ticket_type(world, taken=1)),
        (1, lambda world: put_ticket_type(world, total_tickets=1)),
        (1, lambda world: put_ticket_type(world, waiting=0)),
        (1, lambda world: put_ticket_type(world, waiting_tickets=9)),
        (1, lambda world: put_booking(world, BookingStatus.WAITLISTED, quantity=3)),
        (3, book_twice),
        (4, lambda world: put_facts(world, lambda facts: facts.append(replace(facts[3], seq=7)))),
        (6, lambda world: put_ticket_type(world, total_tickets=4)),
        (7, lambda world: put_booking(world, BookingStatus.WAITLISTED, status=BookingStatus.CONFIRMED)),
        (7, lambda world: put_booking(world, BookingStatus.CONFIRMED, updated_at=world.clock.time + timedelta(1))),
        (7, lambda world: put_facts(world, lambda facts: facts.pop(1))),
        (7, lambda world: put_facts(world, lambda facts: facts.pop())),
        (7, lambda world: put_event(world, status=EventStatus.PAUSED)),
        (7, forget_place),
    ],
)
async def test_what_is_tampered_with_is_told(promise: int, tamper: Callable[[World], None]) -> None:
    world = await busy_world()
    tamper(world)
    assert (await verdict(world)).of(promise)


async def test_a_newcomer_who_jumped_the_line_is_told() -> None:
    world = await busy_world()
    # The one who waits is made to have come before the one who got the last tickets.
    put_facts(world, lambda facts: facts.insert(1, replace(facts.pop(), seq=2)))
    assert (await verdict(world)).of(5)


async def test_under_fill_a_ticket_idles_only_beside_those_whom_it_does_not_fit() -> None:
    world = await busy_world("fill")
    assert (await verdict(world)).breaches == []
    put_ticket_type(world, total_tickets=5)
    assert (await verdict(world)).of(6)


@pytest.mark.parametrize("changes", [{"is_unsettled": True}, {"status": EventStatus.PAUSED}])
async def test_where_the_line_is_not_served_tickets_may_idle(changes: dict[str, Any]) -> None:
    world = await busy_world()
    put_ticket_type(world, total_tickets=9)
    assert (await verdict(world)).of(6)
    put_event(world, **changes)
    assert not (await verdict(world)).of(6)


class Dying:
    """A storage whose connection had died unnoticed, the next so many times that it is looked at."""

    def __init__(self, world: World, times: int) -> None:
        self._storage = world.storage
        self._times = times

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Fail, or look."""
        if self._times:
            self._times -= 1
            raise Retryable
        async with self._storage.snapshot() as snapshot:
            yield snapshot


async def test_a_look_through_a_dead_connection_is_repeated_once() -> None:
    world = await busy_world()
    assert (await VerifyPromises(cast("Storage", Dying(world, 1)), world.clock)()).bookings == 3
    with pytest.raises(Unavailable):
        await VerifyPromises(cast("Storage", Dying(world, 2)), world.clock)()


# Money.


async def paid_world() -> World:
    """Ana paid, Ben paid and cancelled and has his money back, Cleo cancelled and waits for hers."""
    world = World()
    event_id = await world.event(3, price=Money(2_500, "EUR"))
    for actor in (ANA, BEN, CLEO):
        await world.pay(await world.book(event_id, actor))
    for actor in (BEN, CLEO):
        await world.cancel_booking(Cancel(event_id=event_id, actor=actor))
        if actor is BEN:
            await world.sweep()
    return world


def money_of(world: World, customer: Actor) -> tuple[Booking, dict[PaymentKind, Payment]]:
    """A customer's booking and its payments."""
    booking = next(each for each in world.storage._tables.bookings.values() if each.customer_id == customer.user_id)
    return booking, {each.kind: each for each in world.storage._tables.payments[booking.id].values()}


def put_payment(world: World, customer: Actor, kind: PaymentKind, **changes: Any) -> None:
    """Change a stored payment behind everybody's back."""
    booking, payments = money_of(world, customer)
    payment = replace(payments[kind], **changes)
    world.storage._tables.payments[booking.id][payment.id] = payment


def forget_payment(world: World, customer: Actor, kind: PaymentKind) -> None:
    """Take a stored payment away."""
    booking, payments = money_of(world, customer)
    del world.storage._tables.payments[booking.id][payments[kind].id]


def put_payment_status(world: World, customer: Actor, **changes: Any) -> None:
    """Change what a booking says of its money."""
    booking, _ = money_of(world, customer)
    world.storage._tables.bookings[booking.id] = replace(booking, **changes)


async def test_money_that_was_taken_and_given_back_breaks_no_promise() -> None:
    assert (await verdict(await paid_world())).breaches == []


@pytest.mark.parametrize(
    "tamper",
    [
        lambda world: put_payment(world, BEN, PaymentKind.REFUND, amount=Money(2_501, "EUR")),
        lambda world: put_payment(world, BEN, PaymentKind.REFUND, status=ChargeStatus.PENDING),
        lambda world: put_payment(world, CLEO, PaymentKind.REFUND, status=ChargeStatus.SUCCEEDED),
        lambda world: forget_payment(world, BEN, PaymentKind.REFUND),
        lambda world: forget_payment(world, BEN, PaymentKind.CHARGE),
        lambda world: forget_payment(world, ANA, PaymentKind.CHARGE),
        lambda world: put_payment(world, ANA, PaymentKind.CHARGE, status=ChargeStatus.FAILED),
        lambda world: put_payment_status(world, ANA, payment_status=PaymentStatus.DUE),
        lambda world: put_payment_status(world, ANA, status=BookingStatus.CANCELLED),
        lambda world: put_payment_status(world, CLEO, payment_status=PaymentStatus.NONE),
    ],
)
async def test_money_that_is_tampered_with_is_told(tamper: Callable[[World], None]) -> None:
    world = await paid_world()
    tamper(world)
    assert (await verdict(world)).of(8)


async def test_an_answer_about_nothing_is_told() -> None:
    world = World()
    answer = Response(b"{}", world.ids.new())
    kept = StoredResponse(key=Key(ANA.user_id, "k"), fingerprint=b"f", answer=answer)
    world.storage._tables.remembered[kept.key] = (world.clock.time, kept)
    assert (await verdict(world)).of(3)
