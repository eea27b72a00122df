"""Bounds on what a user stores: live events, new events in a day, and stored responses."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.limits.allowances import STORED_RESPONSE_OVERHEAD, Allowance
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.event import EventStatus
from boxoffice.domain.refusals import NotAllowed, TooManyEvents, TooManyRequests
from boxoffice.domain.user import Organizers
from tests.application.fake_app import ANA, BEN, NOW, FakeApp

DRAFT, ON_SALE, PAUSED, COMPLETED, CANCELLED = EventStatus
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


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    allowance = Allowance(2)
    allowance.use("ana", 1, NOW)
    allowance.check("ana", NOW - DAY)
    allowance.use("ana", 1, NOW)
    with pytest.raises(TooManyRequests):
        allowance.check("ana", NOW - DAY)


def test_the_number_of_subjects_is_bounded() -> None:
    allowance = Allowance(1, most_subjects=2)
    for subject in ("ana", "ben", "ana", "cleo"):
        allowance.use(subject, 1, NOW)
    allowance.check("ben", NOW)
    for subject in ("ana", "cleo"):
        with pytest.raises(TooManyRequests):
            allowance.check(subject, NOW)


async def test_a_user_initializes_a_bounded_number_of_events_in_a_day_even_if_they_are_cancelled(app: FakeApp) -> None:
    allowance = Allowance(2)
    with pytest.raises(NotAllowed):
        await InitializeEvent(app.turnstile, app.commit_to_draw, Organizers.GRANTED, allowance=allowance)(
            app.initialization()
        )
    initialize_event = InitializeEvent(app.turnstile, app.commit_to_draw, allowance=allowance)
    for _ in range(2):
        event_id = (await initialize_event(app.initialization())).event.id
        await app.edit(event_id, status=CANCELLED)
    with pytest.raises(TooManyRequests):
        await initialize_event(app.initialization())
    app.clock.time += timedelta(hours=12)
    await initialize_event(app.initialization())


async def test_responses_are_stored_up_to_a_number_of_bytes_for_each_user() -> None:
    app = FakeApp(MemoryStorage(), response_allowance=Allowance(STORED_RESPONSE_OVERHEAD + 100))
    first, second, third = [await app.event() for _ in range(3)]

    async def book(event_id: UUID, text: str | None, actor: Any = ANA) -> Any:
        answer = Response(b"x" * 99)
        key: IdempotentRequest[Any] | None = None
        if text is not None:
            key = IdempotentRequest(key=Key(actor.user_id, text), fingerprint=b"", render=lambda _: answer)
        return await app.book_ticket(Book(booking_id=app.ids.new(), event_id=event_id, actor=actor), key)

    await book(first, "1")
    await book(second, "2")
    with pytest.raises(TooManyRequests):
        await book(third, "3")
    with pytest.raises(Replayed):
        await book(first, "1")
    await book(third, "3", BEN)
    assert (await book(third, None)).status == "confirmed"


@pytest.fixture
def three(app: FakeApp) -> InitializeEvent:
    """Initializes events for organizers who have three live ones at most."""
    return InitializeEvent(app.turnstile, app.commit_to_draw, most_live_events=3)


@pytest.mark.parametrize("over", [COMPLETED, CANCELLED])
async def test_drafts_and_events_on_sale_or_paused_count_as_live(
    app: FakeApp, three: InitializeEvent, over: EventStatus
) -> None:
    paused = (await three(app.initialization())).event.id
    await app.edit(paused, status=PAUSED)
    await three(app.initialization(status=DRAFT))
    await three(app.initialization())
    with pytest.raises(TooManyEvents):
        await three(app.initialization())
    await three(app.initialization(actor=ANA))
    await app.edit(paused, status=over)
    await three(app.initialization())
    with pytest.raises(TooManyEvents):
        await three(app.initialization())


async def test_live_events_of_the_same_transaction_count(app: FakeApp, three: InitializeEvent) -> None:
    calls = [three(app.initialization()) for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, TooManyEvents) for each in results] == [False] * 3 + [True] * 2
    (first, *_) = [each.event.id for each in results if not isinstance(each, BaseException)]
    results = await asyncio.gather(
        *(three(app.initialization()), app.edit(first, status=CANCELLED)),
        *(three(app.initialization()) for _ in range(2)),
        return_exceptions=True,
    )
    assert [isinstance(each, TooManyEvents) for each in results] == [True, False, False, True]
