"""Hold the draw of an event, and give every entry its place."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.decisions import draw
from ...domain.decisions.draw import DrawnPlace, FinishDraw, HoldDraw, check_draw_due, check_randomness, last_entry_of
from ...domain.decisions.settle import STEP
from ...domain.draws.beacons import QUICKNET, Beacon
from ...domain.draws.draw import DrawSource
from ...domain.event import Event
from ...domain.refusals import IllegalStatusChange, NotFound
from ..bookings.promote_from_waitlist import PromoteFromWaitlist
from ..ports.draws.beacons import Beacons
from ..ports.loading import LoadSpec
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..ports.ticket_codes import CodeSigner
from ..retrying_transaction import in_transaction
from ..turnstile.turnstile import Turnstile
from .collected_draw import CollectDraw, CollectedDraw, LogLeaves


class Randomness(Struct, frozen=True):
    """What a draw is made from: a beacon's randomness, or the operator's secret alone."""

    value: bytes
    beacon: Beacon | None = None


class DrawResult(Struct, frozen=True):
    """How many entries a draw had. `was_held`: it had been held before."""

    entries: int
    was_held: bool


class PlaceEntries:
    """Give the entries of a draw that was held their places, in bounded steps, and serve the waiting lists.

    The places follow from the facts and the log, so any process may continue after a crash, and a step that is repeated
    changes nothing.
    """

    def __init__(
        self,
        storage: Storage,
        leaves: LogLeaves,
        turnstile: Turnstile,
        clock: Clock,
        ids: Ids,
        *,
        step: int = STEP,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._collect = CollectDraw(storage, leaves)
        self._turnstile = turnstile
        self._promote = PromoteFromWaitlist(turnstile)
        self._clock = clock
        self._ids = ids
        self._step = step
        self._jitter = jitter

    async def __call__(self, event: Event) -> int:
        """Return how many entries the draw had. Raises: NotFound if it was not held; NotSealed, Unavailable."""
        collected, held = await self._collect(event, last_entry_of(event))
        if held is None:
            raise NotFound
        numbered = zip(collected.entries, collected.places(bytes.fromhex(held.randomness)), strict=True)
        drawn = sorted(
            (DrawnPlace(entry.booking_id, entry.queue_number, place) for entry, place in numbered),
            key=lambda each: each.place,
        )
        for start in range(0, len(drawn), self._step) if event.is_drawing else ():
            work = partial(self._place, event.id, drawn[start : start + self._step])
            await in_transaction(self._storage, work, jitter=self._jitter)
        needs = LoadSpec(event_id=event.id, settles=True)
        await self._turnstile.admit(FinishDraw(event.id), needs, draw.finish_draw)
        await self._promote(event.id)
        await in_transaction(self._storage, partial(self._note, event.id), jitter=self._jitter)
        return len(drawn)

    async def _note(self, event_id: UUID, unit_of_work: UnitOfWork) -> None:
        """Let the process that seals logs know of the new facts, because this one may end before it says so."""
        inventory = (await unit_of_work.events.lock([LoadSpec(event_id=event_id)]))[event_id]
        await unit_of_work.logs.note({event_id: inventory.event.last_seq})

    async def _place(self, event_id: UUID, drawn: Sequence[DrawnPlace], unit_of_work: UnitOfWork) -> None:
        events = unit_of_work.events
        inventory = (await events.lock([LoadSpec(event_id=event_id)]))[event_id]
        bookings = await events.bookings([each.booking_id for each in drawn])
        decision = draw.place_entries(replace(inventory, bookings=bookings), drawn, self._clock.now())
        await events.save([decision], self._ids.new())


class HoldEventDraw:
    """Hold the draw of an event once its closing time is over, with the randomness that was fixed at the beginning."""

    def __init__(
        self,
        storage: Storage,
        leaves: LogLeaves,
        signer: CodeSigner,
        beacons: Beacons,
        place_entries: PlaceEntries,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._signer = signer
        self._beacons = beacons
        self._collect = CollectDraw(storage, leaves)
        self._place_entries = place_entries
        self._clock = clock
        self._ids = ids
        self._jitter = jitter

    async def __call__(self, event_id: UUID, beacon: bytes | None = None) -> DrawResult:
        """Return the result. `beacon` is a relay's answer for the draw's round; None: it is fetched.

        A draw that was held is only finished if it is not.

        Raises: NotFound, EventClosed; IllegalStatusChange before the closing and with other randomness; BeaconMissing,
        NotSealed, SecretMissing, Unavailable.
        """
        event = await self._event(event_id)
        check_draw_due(event, self._clock.now())
        was_held = event.was_drawn
        # A wrong beacon is refused also by a draw that was held.
        if not was_held or beacon is not None:
            randomness = await self._randomness(event, beacon)
            check_randomness(event, randomness.value, randomness.beacon)
            if not was_held:
                collected, _ = await self._collect(event, last_entry_of(event))
                command = _command(event, collected, randomness)
                await in_transaction(self._storage, partial(self._hold, command), jitter=self._jitter)
                event = await self._event(event_id)
        return DrawResult(await self._place_entries(event), was_held)

    async def _event(self, event_id: UUID) -> Event:
        state = (await self._storage.event_queries.events_by_id([event_id])).get(event_id)
        if state is None:
            raise NotFound
        return state.event

    async def _randomness(self, event: Event, text: bytes | None) -> Randomness:
        """Return what the event's source gives. Raises: as the call."""
        if text is not None:
            return self._authentic(self._beacons.read(text))
        if event.draw_source is DrawSource.OPERATOR or event.draw_closes_at is None:
            keys = await self._storage.code_key_queries.keys([event.id])
            return Randomness(self._signer.draw_secret(keys[event.id]))
        return self._authentic(await self._beacons.fetch(QUICKNET.round_after(event.draw_closes_at)))

    def _authentic(self, beacon: Beacon) -> Randomness:
        if not self._beacons.is_authentic(beacon):
            raise IllegalStatusChange("The beacon was not made by drand: its signature does not hold.")
        return Randomness(beacon.randomness, beacon)

    async def _hold(self, command: HoldDraw, unit_of_work: UnitOfWork) -> None:
        events = unit_of_work.events
        inventory = (await events.lock([LoadSpec(event_id=command.event_id)]))[command.event_id]
        # Another process may have held it, or this one whose commit had no answer.
        if not inventory.event.was_drawn:
            await events.save([draw.hold_draw(inventory, command, self._clock.now())], self._ids.new())


def _command(event: Event, collected: CollectedDraw, randomness: Randomness) -> HoldDraw:
    return HoldDraw(
        event_id=event.id,
        last_entry=last_entry_of(event),
        entries=len(collected.entries),
        root=collected.root,
        randomness=randomness.value,
        beacon=randomness.beacon,
    )
