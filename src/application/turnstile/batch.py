"""One transaction: the commands in it and what becomes of them."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ...domain.decisions.settle import STEP, Settle, settle
from ...domain.inventory import Decision, Inventory
from ...domain.refusals import IdempotencyKeyReused
from ..limits.allowances import ANSWER_OVERHEAD, Allowance
from ..ports.idempotency import Key, Replayed, StoredResponse
from ..ports.loading import LoadSpec
from ..ports.repositories import EventRepository
from .event_view import EventView
from .load_plan import LoadPlan, load_plan, step_load_plan
from .pending_command import CommandResult, PendingCommand

SAVED_FIRST = 32
"""Decisions of a full transaction that are saved as soon as they are there, so that the storage begins to write early.

With 64 in each piece, as many trips and a later beginning, one of fifty bookings fewer came through without HTTP.
"""


SAVED_TOGETHER = 75
"""Decisions of a full transaction that are saved together, so that the storage writes them while others are decided.

Of a full one only, and where nobody waits behind it: each time takes another turn of the event loop, and where requests
arrive meanwhile they are what the storage's time is used for. Over HTTP with 256 connections a tenth to a quarter more
bookings came through so, with five times as many a tenth; without HTTP 256 callers fill every transaction, and a tenth
more of theirs come through in pieces.
"""


class Batch:
    """The commands of one transaction and what becomes of them."""

    def __init__(
        self,
        entries: Sequence[PendingCommand],
        now: Callable[[], datetime],
        batch_id: UUID,
        *,
        in_pieces: bool,
        allowance: Allowance | None = None,
    ) -> None:
        self.batch_id = batch_id
        self.begun = asyncio.get_running_loop().time()
        self.lock_seconds = 0.0
        self.recorded: list[Decision[Any]] = []
        self.results: list[tuple[PendingCommand, CommandResult[Any] | Exception]] = []
        self.postponed: list[PendingCommand] = []
        self._entries = entries
        self._in_pieces = in_pieces
        self._allowance = allowance
        self._now = now
        # By the numbers of their ids, which have their hashes at hand; so are bookings and customers.
        self._seen: dict[int, EventView] = {}
        self._live_events: dict[UUID, int] = {}
        self._stored: dict[Key, StoredResponse] = {}
        self._to_store: list[StoredResponse] = []
        self._pending: list[Decision[Any]] = []
        self._written: dict[UUID, None] = {}
        self._stuck: set[UUID] = set()
        self._moved = 0

    @property
    def locked(self) -> Collection[UUID]:
        """The events whose locks were had."""
        return [seen.inventory.event.id for seen in self._seen.values()]

    @property
    def written(self) -> dict[UUID, int]:
        """The events that were written, each with the number of its last fact."""
        return {event_id: self._seen[event_id.int].inventory.event.last_seq for event_id in self._written}

    @property
    def unsettled(self) -> list[UUID]:
        """The events that were written and for which another step is to be done."""
        return [
            event_id
            for event_id in self._written
            if self._seen[event_id.int].inventory.event.is_unsettled and event_id not in self._stuck
        ]

    async def run(self, storage: EventRepository) -> None:
        """Lock, load, decide each in arrival order, save."""
        needs = [entry.needs for entry in self._entries if entry.needs is not None]
        if needs:
            asked = asyncio.get_running_loop().time()
            locked = await storage.lock(needs)
            self.lock_seconds = asyncio.get_running_loop().time() - asked
            self._seen = {event_id.int: EventView(inventory) for event_id, inventory in locked.items()}
        await self._load_known(storage)
        now = self._now()
        await self._settle_lapsed(storage, now)
        await self._load_lines(storage, needs, now)
        together = SAVED_FIRST
        for entry in self._entries:
            if self._in_pieces and len(self._pending) >= together:
                await self._flush(storage, more_follow=True)
                together = SAVED_TOGETHER
            need = entry.needs
            seen = None if need is None else self._seen.get(need.event_id.int)
            if self._moved >= STEP or (seen is not None and seen.has_lapsed_holds(now)):
                self.postponed.append(entry)
                continue
            result: CommandResult[Any] | Exception | None = self._stored_response(entry)
            if result is None:
                if need is not None and seen is not None and need.sizes:
                    await self._load_sizes(storage, need.event_id, seen)
                result = self._decide(entry, seen, now)
                if need is not None and need.settles and isinstance(result, CommandResult):
                    result = await self._settle_on(storage, result, now)
                self._store(entry, result, now)
            self.results.append((entry, result))
        await self._flush(storage)
        if self._to_store:
            await storage.store_responses(self._to_store, now)

    async def _load_known(self, storage: EventRepository) -> None:
        """What keys were answered before, and what organizers of new events have."""
        keys = [entry.keyed.key for entry in self._entries if entry.keyed is not None]
        if keys:
            self._stored = await storage.stored_responses(keys)
        organizers = {entry.organizer_id for entry in self._entries if entry.organizer_id is not None}
        if organizers:
            self._live_events = await storage.live_events(organizers)

    async def _settle_lapsed(self, storage: EventRepository, now: datetime) -> None:
        """A hold whose time is over counts as expired from that moment: it is settled before anything else."""
        for seen in self._seen.values():
            event = seen.inventory.event
            if event.has_lapsed_holds(now) and self._moved < STEP:
                await self._settle_on(storage, self._record(settle(seen.inventory, Settle(event.id), now), seen), now)
        # This step is not the commands' own: however much had lapsed, they are decided now.
        self._moved = 0

    async def _load_lines(self, storage: EventRepository, needs: Sequence[LoadSpec], now: datetime) -> None:
        """Load the head of every line that may be served, as far as all the commands together may need it."""
        freed: dict[UUID, dict[UUID, int]] = {}
        for need in needs:
            if need.settles and need.event_id.int in self._seen:
                of_event = freed.setdefault(need.event_id, {})
                for booking in self._seen[need.event_id.int].concerned(need):
                    of_event[booking.ticket_type_id] = of_event.get(booking.ticket_type_id, 0) + booking.quantity
        wanted = {
            event_id: load_plan(self._seen[event_id.int].inventory, types, now) for event_id, types in freed.items()
        }
        await self._load(storage, wanted)

    async def _load(self, storage: EventRepository, wanted: dict[UUID, LoadPlan]) -> None:
        # What is loaded is as saved by now, so what was decided has to be saved first.
        await self._flush(storage)
        line_asks = [ask for each in wanted.values() for ask in each.lines]
        closing_asks = [each.closing for each in wanted.values() if each.closing]
        lines = await storage.lines(line_asks) if line_asks else {}
        hold_asks = [each.holds for each in wanted.values() if each.holds]
        closing = await storage.closing(closing_asks) if closing_asks else {}
        due = await storage.expired_holds(hold_asks) if hold_asks else {}
        overlong_asks = [each.overlong for each in wanted.values() if each.overlong]
        overlong = await storage.overlong_holds(overlong_asks) if overlong_asks else {}
        for event_id, each in wanted.items():
            seen = self._seen[event_id.int]
            shown = {ask.ticket_type_id: lines[ask.ticket_type_id] for ask in each.lines}
            seen.inventory = replace(
                seen.inventory,
                lines={**seen.inventory.lines, **shown},
                closing=closing.get(event_id, ()),
                due=due.get(event_id),
                overlong=overlong.get(event_id),
            )

    def _stored_response(self, entry: PendingCommand) -> Exception | None:
        """The answer that the command's key got before; None where it is to be decided."""
        keyed = entry.keyed
        before = None if keyed is None else self._stored.get(keyed.key)
        if keyed is None or before is None:
            return None
        return Replayed(before.response) if before.fingerprint == keyed.fingerprint else IdempotencyKeyReused()

    async def _load_sizes(self, storage: EventRepository, event_id: UUID, seen: EventView) -> None:
        # As saved by now, so what was decided has to be saved first.
        await self._flush(storage)
        sizes = await storage.waiting_sizes([event_id])
        seen.inventory = replace(seen.inventory, waiting_sizes=sizes.get(event_id, {}))

    def _decide(self, entry: PendingCommand, seen: EventView | None, now: datetime) -> CommandResult[Any] | Exception:
        given: Inventory | int | None = None
        if entry.organizer_id is not None:
            given = self._live_events[entry.organizer_id]
        elif entry.needs is not None and seen is not None:
            given = seen.by(entry.needs)
        try:
            if self._allowance is not None and entry.keyed is not None:
                self._allowance.check(entry.keyed.key.user_id, now)
            decision = entry.decide(given, now)
        except Exception as refusal:  # noqa: BLE001 - a rule said no, or is broken: nothing happened, and the caller is told
            return refusal
        return self._record(decision, seen)

    def _store(self, entry: PendingCommand, result: CommandResult[Any] | Exception, now: datetime) -> None:
        stored = None if entry.keyed is None else entry.keyed.response_to(result)
        if stored is not None:
            self._stored[stored.key] = stored
            self._to_store.append(stored)
            if self._allowance is not None:
                kept = ANSWER_OVERHEAD + len(stored.response.payload)
                self._allowance.use(stored.key.user_id, kept, now)

    async def _settle_on(
        self, storage: EventRepository, admitted: CommandResult[Any], now: datetime
    ) -> CommandResult[Any]:
        """Where the lines that were loaded did not reach, load more and go on, as far as one step goes."""
        event_id = admitted.inventory.event.id
        while admitted.inventory.event.is_unsettled and admitted.moved < STEP:
            await self._load(storage, {event_id: step_load_plan(self._seen[event_id.int].inventory, now)})
            decision = settle(self._seen[event_id.int].inventory, Settle(event_id), now)
            self._record(decision, self._seen[event_id.int])
            admitted = CommandResult(
                admitted.outcome,
                decision.inventory,
                admitted.moved + len(decision.changed),
                admitted.promoted + decision.promoted,
            )
            if not decision.changed:
                # Nothing moved although something should: leave it to the next start or operator, never spin on it.
                if decision.inventory.event.is_unsettled:
                    self._stuck.add(event_id)
                break
        return admitted

    def _record(self, decision: Decision[Any], seen: EventView | None) -> CommandResult[Any]:
        inventory = decision.inventory
        event = inventory.event
        if event.organizer_id in self._live_events:
            was_live = seen is not None and not seen.inventory.event.status.is_closed
            self._live_events[event.organizer_id] += (not event.status.is_closed) - was_live
        if seen is None:
            seen = self._seen[event.id.int] = EventView(inventory)
            is_written = True
        else:
            is_written = seen.inventory.event is not event
        if is_written or decision.new_payments or decision.changed_payments:
            self._pending.append(decision)
            self.recorded.append(decision)
            if not seen.is_written:
                seen.is_written = True
                self._written[event.id] = None
        seen.note(decision)
        moved = len(decision.changed)
        self._moved += moved
        return CommandResult(decision.outcome, inventory, moved, decision.promoted)

    async def _flush(self, storage: EventRepository, *, more_follow: bool = False) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            await storage.save(pending, self.batch_id, more_follow=more_follow)
