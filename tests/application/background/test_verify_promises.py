"""Checking the promises: a correct history passes, and every tampering is found."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from boxoffice.application.background.verify_promises import PROMISES, NoteVerdict, Verdict, VerifyPromises
from boxoffice.application.ports.errors import Retryable, Unavailable
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.queries import Snapshot
from boxoffice.application.ports.storage import Storage
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import EventStatus
from boxoffice.domain.explanations.chance import LEAST_BASIS
from boxoffice.domain.explanations.chance_record import NO_BANDS, Band
from boxoffice.domain.payment import ChargeStatus, PaymentKind
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor, User
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, CLEO, NOW, FakeApp

TYPES = (TicketTypeSpec(name="Stalls", total_tickets=3), TicketTypeSpec(name="Balcony", total_tickets=5))
AT_ONCE = (
    "boxoffice.application.background.verify_promises.ROWS_AT_ONCE",
    "boxoffice.application.background.verify_promises.EVENTS_AT_ONCE",
)
CONFIRMED, WAITLISTED = BookingStatus.CONFIRMED, BookingStatus.WAITLISTED


async def verdict(app: FakeApp, progress: Callable[[Verdict], None] | None = None) -> Verdict:
    return await VerifyPromises(app.storage, app.clock)(progress)


async def busy_app(policy: str = "strict") -> FakeApp:
    """Ana cancelled, Ben has two of the three stalls, and Cleo waits for two tickets."""
    app = FakeApp()
    event_id = await app.event(types=TYPES, waiting_list_policy=policy)
    stalls, _ = await app.type_ids(event_id)
    first = await app.book(event_id, ANA, 2, stalls)
    await app.book(event_id, BEN, 2, stalls)
    await app.cancel(first)
    await app.book(event_id, CLEO, 2, stalls)
    return app


async def test_it_is_told_how_often_chances_were_right() -> None:
    app = FakeApp()
    event_id = await app.event(1, starts_at=NOW + timedelta(days=30))
    for _ in range(LEAST_BASIS):
        await app.cancel(await app.book(event_id, Actor(app.ids.new())))
    holder = await app.book(event_id, ANA)
    app.clock.time += timedelta(days=1)
    await app.book(event_id, BEN)
    assert (await verdict(app)).chances == NO_BANDS
    await app.cancel(holder)
    assert (await verdict(app)).chances[-1] == Band(90, 1, 1)
    await NoteVerdict(app.storage, app.clock)(await verdict(app))
    assert list(await app.storage.statistics.chances()) == [*NO_BANDS[:-1], Band(90, 1, 1)]


async def test_a_correct_history_breaks_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await verdict(FakeApp()) == Verdict(0, 0, 0, [])
    app = await busy_app()
    found = await verdict(app)
    assert (found.events, found.bookings, found.facts, found.breaches) == (1, 3, 6, [])
    assert all(found.of(promise) == [] for promise in PROMISES)
    monkeypatch.setattr(AT_ONCE[0], 2)
    monkeypatch.setattr(AT_ONCE[1], 1)
    progress: list[Verdict] = []
    await verdict(app, progress.append)
    assert [(each.events, each.bookings, each.facts) for each in progress] == [(1, 0, 6), (1, 2, 6), (1, 3, 6)]
    await app.event(2)
    found = await verdict(app)
    assert (found.events, found.bookings, found.facts, found.breaches) == (2, 3, 7, [])


def put_booking(app: FakeApp, is_meant: BookingStatus | Actor, **changes: Any) -> Booking:
    """Change the stored booking with this status, or of this customer."""
    bookings = app.tables.bookings
    booking = next(each for each in bookings.values() if is_meant in (each.status, Actor(each.customer_id)))
    bookings[booking.id] = replace(booking, **changes)
    return booking


def put_ticket_type(app: FakeApp, **changes: Any) -> None:
    """Change the stored stalls."""
    (types,) = app.tables.ticket_types.values()
    stalls = next(iter(types.values()))
    types[stalls.id] = replace(stalls, **changes)


def put_event(app: FakeApp, **changes: Any) -> None:
    """Change the stored event."""
    ((event_id, event),) = app.tables.events.items()
    app.tables.events[event_id] = replace(event, **changes)


def put_facts(app: FakeApp, change: Callable[[list[Any]], object]) -> None:
    """Change the stored facts."""
    (facts,) = app.tables.facts.values()
    change(facts)


def clear_waiting_lists(app: FakeApp) -> None:
    """Remove all places."""
    for line in app.tables.waiting_lists.values():
        line.clear()


def book_twice(app: FakeApp) -> None:
    """Give a customer two live bookings."""
    booking = put_booking(app, CONFIRMED)
    other = app.ids.new()
    app.tables.bookings[other] = replace(booking, id=other)


@pytest.mark.parametrize(
    ("promise", "tamper"),
    [
        (1, lambda app: put_ticket_type(app, taken=1)),
        (1, lambda app: put_ticket_type(app, total_tickets=1)),
        (1, lambda app: put_ticket_type(app, waiting=0)),
        (1, lambda app: put_ticket_type(app, waiting_tickets=9)),
        (1, lambda app: put_booking(app, WAITLISTED, quantity=3)),
        (3, book_twice),
        (4, lambda app: put_facts(app, lambda facts: facts.append(replace(facts[3], seq=7)))),
        # The waiting booking is made to have come before the one that got the last tickets.
        (5, lambda app: put_facts(app, lambda facts: facts.insert(1, replace(facts.pop(), seq=2)))),
        (6, lambda app: put_ticket_type(app, total_tickets=4)),
        (7, lambda app: put_booking(app, WAITLISTED, status=CONFIRMED)),
        (7, lambda app: put_booking(app, CONFIRMED, updated_at=app.clock.time + timedelta(1))),
        (7, lambda app: put_facts(app, lambda facts: facts.pop(1))),
        (7, lambda app: put_facts(app, lambda facts: facts.pop())),
        (7, lambda app: put_event(app, status=EventStatus.PAUSED)),
        (7, clear_waiting_lists),
        (7, lambda app: put_event(app, last_ticket_number=3)),
        (7, lambda app: put_event(app, numbered_to=3)),
        (7, lambda app: put_booking(app, CONFIRMED, first_ticket_number=4)),
        (7, lambda app: put_booking(app, CONFIRMED, first_ticket_number=None)),
        (7, lambda app: put_booking(app, WAITLISTED, first_ticket_number=5)),
    ],
)
async def test_tampered_rows_are_found(promise: int, tamper: Callable[[FakeApp], object]) -> None:
    app = await busy_app()
    tamper(app)
    assert (await verdict(app)).of(promise)


async def test_under_fill_a_ticket_is_idle_only_if_it_fits_a_waiting_booking() -> None:
    app = await busy_app("fill")
    assert (await verdict(app)).breaches == []
    put_ticket_type(app, total_tickets=5)
    assert (await verdict(app)).of(6)


async def test_who_may_not_overtake_leaves_tickets_idle() -> None:
    app = await busy_app("fill")
    event_id = next(iter(app.tables.events))
    stalls, _ = await app.type_ids(event_id)
    for _ in range(2):
        await app.book(event_id, Actor(app.ids.new()), 1, stalls)
    put_ticket_type(app, total_tickets=4)
    for bound, is_idle in ((None, True), (0, False), (1, True)):
        put_event(app, max_overtakes=bound)
        assert bool((await verdict(app)).of(6)) is is_idle
    put_event(app, max_overtakes=0)
    put_ticket_type(app, total_tickets=5)
    assert (await verdict(app)).of(6), "the first one fits"


@pytest.mark.parametrize("changes", [{"is_unsettled": True}, {"status": EventStatus.PAUSED}])
async def test_where_the_waiting_list_stands_still_tickets_may_be_idle(changes: dict[str, Any]) -> None:
    app = await busy_app()
    put_ticket_type(app, total_tickets=9)
    assert (await verdict(app)).of(6)
    put_event(app, **changes)
    assert not (await verdict(app)).of(6)


class DeadConnection:
    """A storage whose connection is dead for so many snapshots."""

    def __init__(self, app: FakeApp, times: int) -> None:
        self._storage = app.storage
        self._times = times

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        if self._times:
            self._times -= 1
            raise Retryable
        async with self._storage.snapshot() as snapshot:
            yield snapshot


async def test_after_a_dead_connection_the_check_is_repeated_once() -> None:
    app = await busy_app()
    assert (await VerifyPromises(cast("Storage", DeadConnection(app, 1)), app.clock)()).bookings == 3
    with pytest.raises(Unavailable):
        await VerifyPromises(cast("Storage", DeadConnection(app, 2)), app.clock)()


# Money.


async def paid_app() -> FakeApp:
    """Ana paid, Ben paid, cancelled and got the refund, Cleo cancelled and waits for hers."""
    app = FakeApp()
    event_id = await app.event(3, price=Money(2_500, "EUR"))
    bookings = [await app.pay(await app.book(event_id, actor)) for actor in (ANA, BEN, CLEO)]
    await app.cancel(bookings[1])
    await app.sweep()
    await app.cancel(bookings[2])
    return app


def put_payment(app: FakeApp, customer: Actor, kind: PaymentKind, **changes: Any) -> None:
    """Change the stored payment of a customer, or remove it."""
    payments = app.tables.payments[put_booking(app, customer).id]
    payment = next(each for each in payments.values() if each.kind is kind)
    del payments[payment.id]
    if changes:
        payments[payment.id] = replace(payment, **changes)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda app: put_payment(app, BEN, PaymentKind.REFUND, amount=Money(2_501, "EUR")),
        lambda app: put_payment(app, BEN, PaymentKind.REFUND, status=ChargeStatus.PENDING),
        lambda app: put_payment(app, CLEO, PaymentKind.REFUND, status=ChargeStatus.SUCCEEDED),
        lambda app: put_payment(app, BEN, PaymentKind.REFUND),
        lambda app: put_payment(app, BEN, PaymentKind.CHARGE),
        lambda app: put_payment(app, ANA, PaymentKind.CHARGE),
        lambda app: put_payment(app, ANA, PaymentKind.CHARGE, status=ChargeStatus.FAILED),
        lambda app: put_booking(app, ANA, payment_status=PaymentStatus.DUE),
        lambda app: put_booking(app, ANA, status=BookingStatus.CANCELLED),
        lambda app: put_booking(app, CLEO, payment_status=PaymentStatus.NONE),
    ],
)
async def test_tampered_payments_are_found(tamper: Callable[[FakeApp], object]) -> None:
    app = await paid_app()
    assert (await verdict(app)).breaches == []
    tamper(app)
    assert (await verdict(app)).of(8)


async def test_a_stored_response_about_nothing_is_found() -> None:
    app = FakeApp()
    answer = Response(b"{}", app.ids.new())
    kept = StoredResponse(key=Key(ANA.user_id, "k"), fingerprint=b"f", response=answer)
    app.tables.responses[kept.key] = (app.clock.time, kept)
    assert (await verdict(app)).of(3)


async def test_what_is_left_of_an_erased_account_is_found() -> None:
    app = FakeApp()
    gone = User(id=ANA.user_id, name="", email=None, password_hash=None, created_at=NOW, erased_at=NOW)
    app.tables.users[gone.id] = gone
    assert (await verdict(app)).breaches == []
    for kept in ({"name": "Ana"}, {"email": "ana@example.org"}, {"password_hash": "hash"}):
        app.tables.users[gone.id] = replace(gone, **kept)
        (breach,) = (await verdict(app)).breaches
        assert breach.promise == 10
