"""Exactly once: the same key again changes nothing and is answered the same."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from boxoffice.adapters.memory import Step
from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.bookings.pay_booking import PaymentUnknown
from boxoffice.application.ports.errors import OutcomeUnknown, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response, is_kept
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import AddTicketType, Initialize, general_admission
from boxoffice.domain.event import EventDetails, TicketTypeSpec
from boxoffice.domain.refusals import (
    AlreadyBooked,
    EventStarted,
    IdempotencyKeyReused,
    NotFound,
    NotOnSale,
    PaymentDeclined,
    PaymentUnderWay,
    RequestInProgress,
    TooManyEvents,
)
from boxoffice.domain.values.money import Money

from .world import ANA, BEN, ORGANIZER, World


def once(text: str = "k", request: str = "book", actor: Any = ANA) -> IdempotentRequest[Any]:
    """A request with a key."""

    def render(result: Any) -> Response:
        if isinstance(result, Exception):
            return Response(b"!" + repr(result).encode())
        return Response(str(result).encode())

    return IdempotentRequest(key=Key(actor.user_id, text), fingerprint=request.encode(), render=render)


def book(world: World, event_id: Any, key: IdempotentRequest[Any], actor: Any = ANA) -> Any:
    """Book with a key."""
    return world.book_ticket(Book(booking_id=world.ids.new(), event_id=event_id, actor=actor), key)


async def count(world: World, event_id: Any) -> int:
    """How many bookings there are."""
    return len(await world.storage.booking_queries.bookings_of_event(event_id, None, None, 1_000))


async def test_the_same_key_again_is_answered_as_before() -> None:
    world = World()
    event_id = await world.event(3)
    booking = await book(world, event_id, once())
    with pytest.raises(Replayed) as again:
        await book(world, event_id, once())
    assert again.value.answer == Response(str(booking).encode())
    assert await count(world, event_id) == 1


async def test_the_same_key_many_times_at_once_has_one_effect_and_equal_answers() -> None:
    world = World()
    event_id = await world.event(100)
    results = await asyncio.gather(*(book(world, event_id, once()) for _ in range(50)), return_exceptions=True)
    answers = {each.response.payload if isinstance(each, Replayed) else str(each).encode() for each in results}
    assert len(answers) == 1
    assert await count(world, event_id) == 1


async def test_another_process_answers_the_same() -> None:
    world = World()
    event_id = await world.event(3)
    await book(world, event_id, once())
    with pytest.raises(Replayed):
        await book(World(world.storage, world.ids), event_id, once())


async def test_a_key_belongs_to_its_user() -> None:
    world = World()
    event_id = await world.event(3)
    await book(world, event_id, once())
    await book(world, event_id, once(actor=BEN), BEN)
    assert await count(world, event_id) == 2


async def test_the_same_key_with_another_request_is_refused() -> None:
    world = World()
    event_id = await world.event(3)
    booking = await book(world, event_id, once())
    command = Cancel(event_id=event_id, actor=ANA, booking_id=booking.id)
    with pytest.raises(IdempotencyKeyReused):
        await world.cancel_booking(command, once(request="cancel"))
    assert await world.statuses([booking]) == ["confirmed"]


async def test_a_refusal_of_the_state_is_kept() -> None:
    world = World()
    event_id = await world.event(3)
    booking = await book(world, event_id, once())
    with pytest.raises(AlreadyBooked):
        await book(world, event_id, once("other"))
    await world.cancel(booking)
    with pytest.raises(Replayed) as again:
        await book(world, event_id, once("other"))
    assert again.value.answer.status == 409


async def test_after_anything_else_the_key_is_free_again() -> None:
    world = World()
    event_id = await world.event(3)
    with pytest.raises(NotFound):
        await book(world, world.ids.new(), once())
    world.faults.plan(Step.COMMIT, Unavailable())
    with pytest.raises(Unavailable):
        await book(world, event_id, once())
    await book(world, event_id, once())
    assert await count(world, event_id) == 1


@pytest.mark.parametrize("step", [Step.COMMIT, Step.COMMITTED])
async def test_a_commit_that_was_never_answered_has_one_effect(step: Step) -> None:
    world = World()
    event_id = await world.event(3)
    world.faults.plan(step, OutcomeUnknown())
    await book(world, event_id, once())
    with pytest.raises(Replayed):
        await book(world, event_id, once())
    assert await count(world, event_id) == 1
    assert (await VerifyPromises(world.storage, world.clock)()).breaches == []


async def test_the_same_key_on_two_events_from_two_processes_has_one_effect() -> None:
    world = World()
    other = World(world.storage, world.ids)
    first, second = await world.event(3), await world.event(3)
    world.storage.fault = world.faults
    reached, opened = world.faults.gate(Step.COMMIT)
    slow = asyncio.ensure_future(book(world, first, once(request="first")))
    await reached.wait()
    await book(other, second, once(request="second"))
    opened.set()
    with pytest.raises(IdempotencyKeyReused):
        await slow
    assert [await count(world, first), await count(world, second)] == [0, 1]


async def test_every_command_may_have_a_key() -> None:
    world = World()
    command = Initialize(
        event_id=world.ids.new(),
        actor=ORGANIZER,
        details=EventDetails(name="Jazz night"),
        ticket_types=((world.ids.new(), general_admission(2)),),
        currency="EUR",
    )
    event_id = (await world.initialize_event(command, once("new", actor=ORGANIZER))).event.id
    with pytest.raises(Replayed):
        await world.initialize_event(command, once("new", actor=ORGANIZER))
    spec = TicketTypeSpec(name="Balcony", total_tickets=4)
    add = AddTicketType(event_id=event_id, actor=ORGANIZER, ticket_type_id=world.ids.new(), spec=spec)
    await world.change_event(add, once("add", actor=ORGANIZER))
    with pytest.raises(Replayed):
        await world.change_event(add, once("add", actor=ORGANIZER))
    booking = await world.book(event_id, ANA, 1, command.ticket_types[0][0])
    await world.cancel_booking.by_id(booking.id, ANA, once("cancel"))
    with pytest.raises(Replayed):
        await world.cancel_booking.by_id(booking.id, ANA, once("cancel"))


async def test_a_refusal_that_waiting_changes_is_not_remembered() -> None:
    world = World()
    event_id = await world.event(3, sales_open_at=world.clock.now() + timedelta(hours=1))
    with pytest.raises(NotOnSale):
        await book(world, event_id, once())
    world.clock.time += timedelta(hours=1)
    booking = await book(world, event_id, once())
    assert booking.status == "confirmed"
    with pytest.raises(AlreadyBooked):
        await book(world, event_id, once("other"))
    with pytest.raises(Replayed):
        await book(world, event_id, once("other"))


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        (NotOnSale(), False),
        (PaymentUnderWay(), False),
        (RequestInProgress(), False),
        (TooManyEvents(), False),
        (AlreadyBooked(), True),
        (EventStarted(), True),
        (NotFound(), False),
        (PaymentDeclined(), False),
        (ValueError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_waiting_does_not_change_is_an_answer_for_good(refusal: Exception, kept: bool) -> None:
    assert is_kept(refusal) is kept


async def test_a_payment_is_remembered_with_its_last_word() -> None:
    world = World()
    event_id = await world.event(3, price=Money(2_500, "EUR"), payment_window_minutes=30)
    booking = await world.book(event_id, ANA)
    world.gateway.is_silent = True
    with pytest.raises(PaymentUnknown):
        await world.pay(booking, once=once())
    world.gateway.is_silent = False
    assert (await world.pay(booking, once=once())).payment_status == "taken"
    with pytest.raises(Replayed):
        await world.pay(booking, once=once())
    assert world.gateway.asked == ["charge", "find"]


async def test_a_declined_payment_is_remembered() -> None:
    world = World()
    event_id = await world.event(3, price=Money(2_500, "EUR"))
    booking = await world.book(event_id, ANA)
    with pytest.raises(PaymentDeclined):
        await world.pay(booking, "tok_decline", once=once())
    with pytest.raises(Replayed):
        await world.pay(booking, "tok_decline", once=once())
    assert world.gateway.asked == ["charge"]


async def test_an_answer_is_remembered_for_a_day() -> None:
    world = World()
    event_id = await world.event(3)
    booking = await book(world, event_id, once())
    world.clock.time += timedelta(hours=24)
    assert (await world.sweep()).answers == 0
    world.clock.time += timedelta(seconds=1)
    assert (await world.sweep()).answers == 1
    await world.cancel(booking)
    await book(world, event_id, once())
    assert await count(world, event_id) == 2
