"""Tickets of bookings from before there were numbers get theirs while the service runs."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory.steps import Step
from boxoffice.application.ports.errors import OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.retrying_transaction import ATTEMPTS
from tests.application.fake_app import ANA, BEN, CLEO, FakeApp, customer

COMMITS_BEFORE = 2
"""The other transactions of a round of the sweep: its lease, and deleting old responses."""


async def older_app() -> tuple[FakeApp, UUID]:
    """Five bookings, of which one was cancelled and another waits, without the numbers that they would have got."""
    app = FakeApp()
    event_id = await app.event(7)
    first = await app.book(event_id, ANA, 2)
    for actor in (BEN, CLEO, customer(1)):
        await app.book(event_id, actor, 2)
    await app.cancel(first)
    await app.check_promises()
    tables = app.tables
    for booking in list(tables.bookings.values()):
        tables.bookings[booking.id] = replace(booking, first_ticket_number=None)
    tables.numbered.clear()
    tables.events[event_id] = replace(tables.events[event_id], last_ticket_number=0, numbered_to=0)
    await app.check_promises()
    return app, event_id


async def numbers(app: FakeApp, event_id: UUID) -> list[int | None]:
    """The first ticket number of each booking, in the order of booking."""
    return [app.tables.bookings[each].first_ticket_number for each in app.tables.of_event[event_id]]


async def test_the_sweep_numbers_them_and_later_ones_in_the_order_of_confirmation() -> None:
    app, event_id = await older_app()
    await app.book(event_id, customer(2))
    assert await numbers(app, event_id) == [None] * 5
    swept = await app.sweep()
    assert (swept.numbering_steps, swept.was_due) == (4, True), "seven facts in steps of two"
    assert await numbers(app, event_id) == [1, 3, 5, 7, 9]
    await app.check_promises()
    swept = await app.sweep()
    assert (swept.numbering_steps, swept.was_due) == (0, False)
    await app.book(event_id, customer(3))
    assert await app.storage.event_queries.unnumbered_events(9) == []


async def test_a_crash_between_two_steps_or_in_the_commit_loses_no_number() -> None:
    app, event_id = await older_app()
    app.faults.plan(Step.COMMIT, *[None] * (1 + COMMITS_BEFORE), *[Retryable()] * ATTEMPTS)
    with pytest.raises(Unavailable):
        await app.sweep()
    assert (await app.state(event_id)).event.numbered_to == 2
    await app.check_promises()
    # The first and the last of the three steps that are left. The second one is the first one's repetition.
    app.faults.plan(Step.COMMITTED, *[None] * COMMITS_BEFORE, OutcomeUnknown(), None, OutcomeUnknown())
    assert (await app.sweep()).numbering_steps == 2
    assert (await app.state(event_id)).event.numbered_to is None
    await app.check_promises()
