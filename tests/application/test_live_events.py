"""How many live events one organizer has, counted in the transaction that makes one more."""

import asyncio
from typing import Any

import pytest

from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.domain.decisions.organize import Edit, Initialize, general_admission
from boxoffice.domain.event import EventChanges, EventDetails, EventStatus
from boxoffice.domain.refusals import TooManyEvents
from boxoffice.domain.user import Actor

from .world import ANA, ORGANIZER, World

DRAFT, ON_SALE, PAUSED, COMPLETED, CANCELLED = EventStatus


@pytest.fixture
def world() -> World:
    """One process in which an organizer has three live events at most."""
    world = World()
    world.initialize_event = InitializeEvent(world.turnstile, most_live_events=3)
    return world


def command(world: World, actor: Actor = ORGANIZER, status: EventStatus = ON_SALE) -> Initialize:
    """One more event."""
    return Initialize(
        event_id=world.ids.new(),
        actor=actor,
        details=EventDetails(name="Jazz night"),
        ticket_types=((world.ids.new(), general_admission(2)),),
        currency="EUR",
        status=status,
    )


def change(event_id: Any, status: EventStatus) -> Edit:
    """Another status."""
    return Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(status=status))


async def test_drafts_and_what_is_on_sale_or_paused_count(world: World) -> None:
    paused = (await world.initialize_event(command(world))).event.id
    await world.change_event(change(paused, PAUSED))
    await world.initialize_event(command(world, status=DRAFT))
    await world.initialize_event(command(world))
    with pytest.raises(TooManyEvents):
        await world.initialize_event(command(world))
    await world.initialize_event(command(world, actor=ANA))


@pytest.mark.parametrize("status", [COMPLETED, CANCELLED])
async def test_what_is_over_makes_room(world: World, status: EventStatus) -> None:
    events = [(await world.initialize_event(command(world))).event.id for _ in range(3)]
    await world.change_event(change(events[0], status))
    await world.initialize_event(command(world))
    with pytest.raises(TooManyEvents):
        await world.initialize_event(command(world))


async def test_of_many_at_once_no_more_come_to_be(world: World) -> None:
    commands = [command(world) for _ in range(9)]
    results = await asyncio.gather(*map(world.initialize_event, commands), return_exceptions=True)
    assert [isinstance(each, TooManyEvents) for each in results] == [False] * 3 + [True] * 6


async def test_what_is_cancelled_in_the_same_transaction_makes_room(world: World) -> None:
    events = [(await world.initialize_event(command(world))).event.id for _ in range(3)]
    results = await asyncio.gather(
        world.initialize_event(command(world)),
        world.change_event(change(events[0], CANCELLED)),
        world.initialize_event(command(world)),
        world.initialize_event(command(world)),
        return_exceptions=True,
    )
    assert [isinstance(each, TooManyEvents) for each in results] == [True, False, False, True]


async def test_an_answer_from_before_is_given_again_at_the_bound(world: World) -> None:
    def once(text: str) -> IdempotentRequest[Any]:
        return IdempotentRequest(key=Key(ORGANIZER.user_id, text), fingerprint=b"", render=lambda _: Response(b""))

    first = command(world)
    await world.initialize_event(first, once("first"))
    for _ in range(2):
        await world.initialize_event(command(world))
    with pytest.raises(Replayed):
        await world.initialize_event(first, once("first"))
    refused = command(world)
    with pytest.raises(TooManyEvents):
        await world.initialize_event(refused, once("later"))
    await world.change_event(change(first.event_id, CANCELLED))
    assert (await world.initialize_event(refused, once("later"))).event.id == refused.event_id
