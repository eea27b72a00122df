"""Draws are held once, from the randomness that was fixed before, and finished by any process after a crash."""

import asyncio
from hashlib import sha256
from uuid import UUID

import pytest

from boxoffice.adapters.memory.steps import Step
from boxoffice.application.draws.collected_draw import NotSealed
from boxoffice.application.draws.hold_draw import DrawResult
from boxoffice.application.draws.read_draw import MOST_KNOWN
from boxoffice.application.ports.draws.beacons import BeaconMissing
from boxoffice.domain.booking import Booking
from boxoffice.domain.draws.beacons import QUICKNET
from boxoffice.domain.draws.draw import DrawSource, DrawState
from boxoffice.domain.draws.ranking import places, rank, root_of
from boxoffice.domain.facts import DrawHeld, PlaceDrawn
from boxoffice.domain.log.merkle import leaf_hash
from boxoffice.domain.log.tiles import Tile
from boxoffice.domain.refusals import IllegalStatusChange, NotFound
from tests.application.fake_app import ANA, BEN, CLEO, DAN

from .draw_process import Crash, DrawProcess


async def order_of(process: DrawProcess, event_id: UUID, bookings: list[Booking]) -> list[UUID]:
    """The bookings in the order that follows from the log by the contract alone."""
    entries = await process.entries(event_id)
    held = await held_of(process, event_id)
    facts = {
        fact.booking_id: fact.seq for fact in await process.app.facts(event_id) if fact.kind == "CustomerWaitlisted"
    }
    leaves = [leaf_hash(entries[facts[each.id] - 1]) for each in bookings]
    root = root_of(leaves)
    assert held.root == root.hex()
    ranks = [rank(bytes.fromhex(held.randomness), root, leaf) for leaf in leaves]
    return [each.id for _, each in sorted(zip(places(ranks), bookings, strict=True), key=lambda pair: pair[0])]


async def held_of(process: DrawProcess, event_id: UUID) -> DrawHeld:
    (held,) = [fact.what for fact in await process.app.facts(event_id) if isinstance(fact.what, DrawHeld)]
    return held


async def served(process: DrawProcess, bookings: list[Booking]) -> set[UUID]:
    stored = [await process.app.booking(each.id) for each in bookings]
    return {each.id for each in stored if each.status == "confirmed"}


async def test_the_operator_draws_by_the_secret_that_was_committed_to() -> None:
    process = DrawProcess()
    event_id = await process.event()
    bookings = await process.app.crowd(event_id, 5)
    await process.close()
    assert await process.hold_draw(event_id) == DrawResult(entries=5, was_held=False)

    held = await held_of(process, event_id)
    commitment = (await process.app.state(event_id)).event.draw_commitment
    assert sha256(bytes.fromhex(held.randomness)).hexdigest() == commitment
    order = await order_of(process, event_id, bookings)
    assert await served(process, bookings) == set(order[:2])
    waiting = await process.storage.booking_queries.waiting_list(event_id, None, None, 10)
    assert [each.id for each in waiting] == order[2:]
    assert [each.place and each.place.position for each in waiting] == [1, 2, 3]


async def test_who_comes_after_the_closing_waits_behind_and_who_left_before_is_no_entry() -> None:
    process = DrawProcess()
    event_id = await process.event()
    left, *bookings = await process.app.crowd(event_id, 4)
    await process.app.cancel(left)
    process.clock.travel(hours=1)
    late = await process.app.book(event_id, DAN)
    await process.app.cancel(bookings[0])
    await process.seal()
    assert (await process.hold_draw(event_id)).entries == 3
    order = [each for each in await order_of(process, event_id, bookings) if each != bookings[0].id]
    assert await served(process, [*bookings, late]) == set(order)
    waiting = await process.storage.booking_queries.waiting_list(event_id, None, None, 10)
    assert [each.id for each in waiting] == [late.id]


async def test_a_draw_is_held_after_its_closing_once_and_from_a_sealed_log() -> None:
    process = DrawProcess()
    event_id = await process.event()
    bookings = await process.app.crowd(event_id, 3)
    with pytest.raises(IllegalStatusChange, match="takes entries until"):
        await process.hold_draw(event_id)
    process.clock.travel(hours=1)
    with pytest.raises(NotSealed):
        await process.hold_draw(event_id)
    await process.seal()
    await process.hold_draw(event_id)
    facts = await process.app.facts(event_id)
    assert await process.hold_draw(event_id) == DrawResult(entries=3, was_held=True)
    assert await process.app.facts(event_id) == facts
    assert len(await served(process, bookings)) == 2
    with pytest.raises(NotFound):
        await process.hold_draw(await process.app.event())
    with pytest.raises(NotFound):
        await process.hold_draw(UUID(int=7))


async def test_the_log_learns_of_the_draw() -> None:
    process = DrawProcess()
    event_id = await process.event()
    await process.app.crowd(event_id, 3)
    await process.close()
    await process.hold_draw(event_id)
    beside = process.beside()
    assert (await beside.storage.log_queries.noted(10)) == [event_id]


async def test_a_beacon_is_fetched_for_the_round_of_the_closing() -> None:
    process = DrawProcess()
    event_id = await process.event(DrawSource.DRAND)
    bookings = await process.app.crowd(event_id, 3)
    await process.close()
    number = QUICKNET.round_after(process.clock.now())
    process.beacons.is_away = True
    with pytest.raises(BeaconMissing):
        await process.hold_draw(event_id)
    process.beacons.is_away = False
    await process.hold_draw(event_id)
    assert process.beacons.fetched == [number] * 2
    held = await held_of(process, event_id)
    assert (held.round, held.randomness) == (number, process.beacons.of(number).randomness.hex())
    assert await served(process, bookings) == set((await order_of(process, event_id, bookings))[:2])


async def test_a_beacon_may_be_given_and_a_wrong_one_is_refused_also_after_the_draw() -> None:
    process = DrawProcess()
    event_id = await process.event(DrawSource.DRAND)
    await process.app.crowd(event_id, 3)
    await process.close()
    number = QUICKNET.round_after(process.clock.now())
    right = b"%d:signature of round %d" % (number, number)
    forged = b"%d:signature of round %d" % (number, number + 1)
    other = b"%d:signature of round %d" % (number + 1, number + 1)
    for was_held in (False, True):
        with pytest.raises(IllegalStatusChange, match="signature does not hold"):
            await process.hold_draw(event_id, forged)
        with pytest.raises(IllegalStatusChange, match=f"round {number}"):
            await process.hold_draw(event_id, other)
        assert (await process.hold_draw(event_id, right)).was_held is was_held
    assert process.beacons.fetched == []


async def test_an_operators_draw_takes_no_beacon() -> None:
    process = DrawProcess()
    event_id = await process.event()
    await process.close()
    with pytest.raises(IllegalStatusChange, match="committed"):
        await process.hold_draw(event_id, b"1:signature of round 1")


@pytest.mark.parametrize("step", [2, 3, 4])
async def test_a_draw_is_finished_after_a_crash_at_every_step(step: int) -> None:
    process = DrawProcess(crashes_at=step)
    event_id = await process.event()
    bookings = await process.app.crowd(event_id, 5)
    await process.close()
    with pytest.raises(Crash):
        await process.hold_draw(event_id)
    assert await served(process, bookings) == set()
    assert (await process.app.book(event_id, CLEO)).place is None

    another = DrawProcess(process.storage, process.app.ids)
    another.clock.time = process.clock.time
    assert await another.finish_draws() == 1
    assert await another.finish_draws() == 0
    await process.seal()
    order = await order_of(process, event_id, bookings)
    assert await served(process, bookings) == set(order[:2])
    placed = [fact.what for fact in await process.app.facts(event_id) if isinstance(fact.what, PlaceDrawn)]
    assert sorted(each.queue_number for each in placed) == [6, 7, 8, 9, 10]


async def test_a_crash_before_the_draw_leaves_nothing() -> None:
    process = DrawProcess(crashes_at=1)
    event_id = await process.event()
    await process.app.crowd(event_id, 3)
    await process.close()
    with pytest.raises(Crash):
        await process.hold_draw(event_id)
    assert not (await process.app.state(event_id)).event.was_drawn
    assert await process.finish_draws() == 0
    assert (await process.hold_draw(event_id)).was_held is False


async def test_two_processes_hold_it_once() -> None:
    process = DrawProcess()
    event_id = await process.event()
    bookings = await process.app.crowd(event_id, 5)
    await process.close()
    reached, opened = process.app.faults.gate(Step.LOCK)
    first = asyncio.ensure_future(process.hold_draw(event_id))
    await reached.wait()
    another = DrawProcess(process.storage.another(), process.app.ids)
    another.clock.time = process.clock.time
    await another.hold_draw(event_id)
    opened.set()
    assert (await first).entries == 5
    assert await served(process, bookings) == set((await order_of(process, event_id, bookings))[:2])


async def test_everything_is_read_that_recomputing_needs() -> None:
    process = DrawProcess()
    event_id = await process.event()
    bookings = await process.app.crowd(event_id, 3)
    opened = await process.read_draw(event_id, None)
    assert (opened.state, opened.collected, opened.held, opened.round) == (DrawState.OPEN, None, None, None)
    assert any("operator" in each for each in opened.caveats)
    process.clock.travel(hours=1)
    with pytest.raises(NotSealed):
        await process.read_draw(event_id, BEN)
    await process.seal()
    closed = await process.read_draw(event_id, ANA)
    assert (closed.state, closed.held) == (DrawState.CLOSED, None)
    assert closed.collected is not None
    assert [each.booking_id for each in closed.collected.entries] == [each.id for each in bookings]
    await process.hold_draw(event_id)
    drawn = await process.read_draw(event_id, None)
    assert (drawn.state, drawn.collected) == (DrawState.DRAWN, closed.collected)
    assert drawn.held == await held_of(process, event_id)
    assert await process.read_draw(event_id, None) == drawn


async def test_an_event_without_a_draw_has_none_to_read() -> None:
    process = DrawProcess()
    with pytest.raises(NotFound):
        await process.read_draw(await process.app.event(), None)


async def test_a_process_remembers_some_draws() -> None:
    process = DrawProcess()
    events = [await process.event(DrawSource.DRAND) for _ in range(MOST_KNOWN + 1)]
    await process.close()
    for event_id in (*events, events[0]):
        document = await process.read_draw(event_id, None)
        assert document.round == QUICKNET.round_after(document.closes_at)
        assert document.collected is not None
        assert document.collected.places(bytes(32)) == []


async def test_a_draw_that_was_not_held_has_no_places() -> None:
    process = DrawProcess()
    for event_id in (await process.event(), await process.app.event()):
        with pytest.raises(NotFound):
            await process.place_entries((await process.app.state(event_id)).event)


async def test_a_log_whose_tiles_lack_is_not_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    process = DrawProcess()
    event_id = await process.event()
    await process.app.crowd(event_id, 300)
    await process.close()
    assert len(await process.leaves(event_id, range(1, 301))) == 300

    async def nothing(*_: object) -> dict[Tile, bytes]:
        return {}

    monkeypatch.setattr(process.storage.log_queries, "tiles", nothing)
    with pytest.raises(NotSealed):
        await process.leaves(event_id, [1])
