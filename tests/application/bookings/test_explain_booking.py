"""Explanations of stored bookings, for those who may see them, from histories that are read once."""

import asyncio
from uuid import UUID

import pytest

from boxoffice.application.bookings import line_histories
from boxoffice.application.bookings.explain_booking import ExplainBooking
from boxoffice.application.bookings.line_histories import LineHistories
from boxoffice.domain.booking import Booking
from boxoffice.domain.explanations.explanation import Explained
from boxoffice.domain.explanations.line_history import LineMove, Since
from boxoffice.domain.refusals import NotFound
from boxoffice.domain.user import Actor
from tests.application.fake_app import FakeApp


class Asked:
    """Queries that note which facts were searched."""

    def __init__(self, app: FakeApp) -> None:
        self._queries = app.storage.explanation_queries
        self.searched: list[tuple[int, int]] = []

    async def explained(self, booking_id: UUID) -> Explained | None:
        return await self._queries.explained(booking_id)

    async def line_moves(self, event_id: UUID, after: int, until: int) -> list[LineMove]:
        self.searched.append((after, until))
        await asyncio.sleep(0)
        return await self._queries.line_moves(event_id, after, until)


@pytest.fixture
async def line() -> tuple[FakeApp, Asked, list[Booking]]:
    """One booking of the only ticket, and two that wait for it."""
    app = FakeApp()
    event_id = await app.event(1)
    return app, Asked(app), [await app.book(event_id, Actor(app.ids.new())) for _ in range(3)]


def explaining(app: FakeApp, asked: Asked, most_moves: int = 1_000) -> ExplainBooking:
    return ExplainBooking(asked, LineHistories(asked, most_moves), app.duties, app.clock)


async def test_a_history_is_read_once_and_continued(
    line: tuple[FakeApp, Asked, list[Booking]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_histories, "FACTS_AT_ONCE", 3)
    app, asked, (first, second, third) = line
    explain, actor = explaining(app, asked), Actor(third.customer_id)
    found = await asyncio.gather(explain(third.id, actor), explain(third.id, actor))
    assert [(each.code.value, each.position) for each in found] == [("waiting-behind-others", 2)] * 2
    assert asked.searched == [(0, 3), (3, 4)]
    await app.cancel(first)
    assert (await explain(third.id, actor)).since == Since(served=1)
    assert (await explain(second.id, Actor(second.customer_id))).code.value == "promoted"
    assert asked.searched[2:] == [(4, 6)]


async def test_the_history_that_was_not_used_for_longest_is_dropped(
    line: tuple[FakeApp, Asked, list[Booking]],
) -> None:
    app, asked, (first, *_) = line
    other = await app.book(await app.event(1), Actor(app.ids.new()))
    explain = explaining(app, asked, most_moves=1)
    for booking in (first, other, other, first):
        await explain(booking.id, Actor(booking.customer_id))
    assert asked.searched == [(0, 4), (0, 2), (0, 4)]


async def test_a_booking_is_not_explained_to_strangers(line: tuple[FakeApp, Asked, list[Booking]]) -> None:
    app, asked, (first, second, _) = line
    explain = explaining(app, asked)
    for booking_id, actor in ((first.id, Actor(second.customer_id)), (app.ids.new(), Actor(first.customer_id))):
        with pytest.raises(NotFound):
            await explain(booking_id, actor)
    assert asked.searched == []
