"""What explanations follow from, on every storage."""

import asyncio

from boxoffice.application.bookings.line_histories import LineHistories
from boxoffice.domain.booking import Booking
from boxoffice.domain.explanations.explanation import Explanation, explain
from boxoffice.domain.explanations.line_history import LineHistory, LineMove, MoveKind, Since

from .storage_driver import NOW, StorageDriver, new_id
from .test_passing import Line


async def explained(driver: StorageDriver, booking: Booking) -> Explanation:
    found = await driver.storage.explanation_queries.explained(booking.id)
    assert found is not None
    assert [fact.booking_id for fact in found.facts] == [booking.id] * len(found.facts)
    histories = LineHistories(driver.storage.explanation_queries)
    return explain(found, await histories.up_to(found.event.id, found.event.last_seq), NOW)


async def test_bookings_are_explained_from_what_is_stored(driver: StorageDriver) -> None:
    line = Line(driver)
    taken, (first, large, last) = await line.begin(4, [1, 3, 2])
    found = await explained(driver, last)
    assert (found.code.value, found.position, found.tickets_ahead) == ("waiting-behind-others", 3, 4)
    await line.cancel(taken[0])
    await line.cancel(large)
    found = await explained(driver, last)
    assert (found.code.value, found.position, found.since) == ("waiting-for-its-size", 1, Since(served=1, left=1))
    assert (await explained(driver, first)).code.value == "promoted"
    assert (await explained(driver, large)).code.value == "cancelled-by-customer"
    assert (await explained(driver, taken[1])).code.value == "confirmed-at-once"
    assert await driver.storage.explanation_queries.explained(new_id()) is None


async def test_moves_are_found_by_the_numbers_of_their_facts(driver: StorageDriver) -> None:
    line = Line(driver)
    (taken, other), (waiting, _) = await line.begin(2, [2, 1])
    await line.cancel(taken)
    await line.cancel(other)
    await line.cancel(waiting)
    queries, ticket_type_id = driver.storage.explanation_queries, taken.ticket_type_id
    moves = await queries.line_moves(line.event_id, 5, 100)
    found = [(each.seq, each.kind, each.queue_number) for each in moves]
    assert found == [
        (6, MoveKind.RETURNED, None),
        (7, MoveKind.SERVED, 2),
        (8, MoveKind.RETURNED, None),
        (9, MoveKind.LEFT, 1),
    ]
    assert {each.ticket_type_id for each in moves} == {ticket_type_id}
    assert await queries.line_moves(line.event_id, 6, 8) == moves[1:3]
    assert await queries.line_moves(new_id(), 0, 100) == []


async def test_newcomers_who_pass_others_are_moves(driver: StorageDriver) -> None:
    line = Line(driver)
    taken, (waiting,) = await line.begin(2, [2])
    await asyncio.gather(line.cancel(taken[0]), line.book(1))
    moves: list[LineMove] = await driver.storage.explanation_queries.line_moves(line.event_id, 0, 100)
    history = LineHistory()
    history.extend(moves, 100)
    assert history.since(waiting.ticket_type_id, waiting.queue_number or 0, 4, 100) == Since(overtook=1)
