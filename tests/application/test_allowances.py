"""Allowances: what a user may use in a day of what is kept for long."""

from datetime import timedelta
from typing import Any

import pytest

from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.limits.allowances import ANSWER_OVERHEAD, Allowance
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Edit, Initialize, general_admission
from boxoffice.domain.event import EventChanges, EventDetails, EventStatus
from boxoffice.domain.refusals import NotAllowed, TooManyRequests
from boxoffice.domain.user import Organizers

from .world import ANA, BEN, NOW, ORGANIZER, World

DAY = timedelta(days=1)


def test_what_is_used_up_comes_back_evenly() -> None:
    allowance = Allowance(24)
    allowance.use("ana", 23, NOW)
    allowance.check("ana", NOW)
    allowance.use("ana", 1, NOW)
    with pytest.raises(TooManyRequests) as refused:
        allowance.check("ana", NOW)
    assert refused.value.retry_after == 3_600
    allowance.check("ben", NOW)
    allowance.check("ana", NOW + timedelta(hours=1))
    allowance.use("ana", 100, NOW + 2 * DAY)
    with pytest.raises(TooManyRequests):
        allowance.check("ana", NOW + 5 * DAY)
    allowance.check("ana", NOW + 7 * DAY)


def test_a_clock_that_is_set_back_gives_nothing_back_and_takes_nothing() -> None:
    allowance = Allowance(2)
    allowance.use("ana", 1, NOW)
    allowance.check("ana", NOW - DAY)
    allowance.use("ana", 1, NOW)
    with pytest.raises(TooManyRequests):
        allowance.check("ana", NOW - DAY)


def test_what_is_remembered_is_bounded() -> None:
    allowance = Allowance(1, most_subjects=2)
    for subject in ("ana", "ben", "ana", "cleo"):
        allowance.use(subject, 1, NOW)
    allowance.check("ben", NOW)
    for subject in ("ana", "cleo"):
        with pytest.raises(TooManyRequests):
            allowance.check(subject, NOW)


def initialization(world: World) -> Initialize:
    """One more event."""
    return Initialize(
        event_id=world.ids.new(),
        actor=ORGANIZER,
        details=EventDetails(name="Jazz night"),
        ticket_types=((world.ids.new(), general_admission(2)),),
        currency="EUR",
        status=EventStatus.DRAFT,
    )


async def test_a_user_initializes_so_many_events_in_a_day_even_if_they_are_cancelled() -> None:
    world = World()
    initialize_event = InitializeEvent(world.turnstile, allowance=Allowance(2))
    for _ in range(2):
        event_id = (await initialize_event(initialization(world))).event.id
        cancelled = EventChanges(status=EventStatus.CANCELLED)
        await world.change_event(Edit(event_id=event_id, actor=ORGANIZER, changes=cancelled))
    with pytest.raises(TooManyRequests):
        await initialize_event(initialization(world))
    world.clock.time += timedelta(hours=12)
    await initialize_event(initialization(world))


async def test_an_event_that_is_refused_uses_nothing() -> None:
    world = World()
    allowance = Allowance(1)
    with pytest.raises(NotAllowed):
        await InitializeEvent(world.turnstile, Organizers.GRANTED, allowance=allowance)(initialization(world))
    await InitializeEvent(world.turnstile, allowance=allowance)(initialization(world))


async def test_answers_are_kept_up_to_so_many_bytes_for_each_user() -> None:
    world = World(answers=Allowance(ANSWER_OVERHEAD + 100))
    first, second, third = [await world.event() for _ in range(3)]

    def once(text: str, actor: Any = ANA) -> IdempotentRequest[Any]:
        def render(_: Any) -> Response:
            return Response(b"x" * 99)

        return IdempotentRequest(key=Key(actor.user_id, text), fingerprint=b"", render=render)

    async def book(event_id: Any, key: IdempotentRequest[Any] | None, actor: Any = ANA) -> Any:
        return await world.book_ticket(Book(booking_id=world.ids.new(), event_id=event_id, actor=actor), key)

    await book(first, once("1"))
    await book(second, once("2"))
    with pytest.raises(TooManyRequests):
        await book(third, once("3"))
    with pytest.raises(Replayed):
        await book(first, once("1"))
    await book(third, once("3", BEN), BEN)
    assert (await book(third, None)).status == "confirmed"
