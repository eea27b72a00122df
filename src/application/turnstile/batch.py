"""The commands of one transaction and their results."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ...domain.decisions.settle import STEP, Settle, settle
from ...domain.inventory import NOT_LOADED, Decision, Inventory
from ...domain.refusals import IdempotencyKeyReused
from ..limits.allowances import STORED_RESPONSE_OVERHEAD, Allowance
from ..ports.idempotency import Key, Replayed, StoredResponse
from ..ports.loading import LoadSpec
from ..ports.repositories import EventRepository
from ..ports.storage import UnitOfWork
from .event_view import EventView
from .load_plan import LoadPlan, load_plan, step_load_plan
from .pending_command import CommandResult, PendingCommand

SAVED_FIRST = 32
"""Decisions of a full transaction that are saved first, so the storage starts to write early."""

SAVED_TOGETHER = 75
"""Decisions of a full transaction that are saved together afterwards, so the storage writes while others are decided.

Only for a full transaction with an empty queue behind it: each save costs a turn of the event loop, and the time of the
storage is otherwise used for arriving requests.
"""


class Batch:
    """The commands of one transaction and their results."""

    def __init__(
        self,
        entries: Sequence[PendingCommand],
        now: Callable[[], datetime],
        batch_id: UUID,
        *,
        saves_in_pieces: bool,
        allowance: Allowance | None = None,
    ) -> None:
        self.batch_id: UUID = batch_id
        self.started_at: float = asyncio.get_running_loop().time()
        self.lock_seconds: float = 0.0
        self.recorded: list[Decision[Any]] = []
        self.results: list[tuple[PendingCommand, CommandResult[Any] | Exception]] = []
        self.postponed: list[PendingCommand] = []
        self._entries = entries
        self._saves_in_pieces = saves_in_pieces
        self._allowance = allowance
        self._now = now
        # Keyed by the integers of ids, which are faster to hash than UUIDs.
        self._views: dict[int, EventView] = {}
        self._live_events: dict[UUID, int] = {}
        self._stored: dict[Key, StoredResponse] = {}
        self._to_store: list[StoredResponse] = []
        self._unsaved: list[Decision[Any]] = []
        self._written: dict[UUID, None] = {}
        self._stuck: set[UUID] = set()
        self._changed = 0

    @property
    def locked(self) -> Collection[UUID]:
        """The events that were locked."""
        return [view.inventory.event.id for view in self._views.values()]

    @property
    def written(self) -> dict[UUID, int]:
        """The written events, each with the number of its last fact."""
        return {event_id: self._views[event_id.int].inventory.event.last_seq for event_id in self._written}

    @property
    def unsettled(self) -> list[UUID]:
        """The written events that need another step of settling."""
        return [
            event_id
            for event_id in self._written
            if self._views[event_id.int].inventory.event.is_unsettled and event_id not in self._stuck
        ]

    async def run(self, unit_of_work: UnitOfWork) -> None:
        """Lock, load, decide each command in arrival order, and save."""
        storage = unit_of_work.events
        specs = [entry.needs for entry in self._entries if entry.needs is not None]
        if specs:
            requested_at = asyncio.get_running_loop().time()
            locked = await storage.lock(specs)
            self.lock_seconds = asyncio.get_running_loop().time() - requested_at
            self._views = {event_id.int: EventView(inventory) for event_id, inventory in locked.items()}
            await self._load_scanned(storage, specs)
        await self._load_responses_and_counts(storage)
        now = self._now()
        await self._settle_lapsed(storage, now)
        await self._load_waiting_lists(storage, specs, now)
        piece = SAVED_FIRST
        for entry in self._entries:
            if self._saves_in_pieces and len(self._unsaved) >= piece:
                await self._flush(storage, more_follow=True)
                piece = SAVED_TOGETHER
            spec = entry.needs
            view = None if spec is None else self._views.get(spec.event_id.int)
            if self._changed >= STEP or (view is not None and view.has_lapsed_holds(now)):
                self.postponed.append(entry)
                continue
            result: CommandResult[Any] | Exception | None = self._stored_response(entry)
            if result is None:
                if spec is not None and view is not None and (spec.sizes or spec.door is not None):
                    await self._load_saved(storage, spec, view)
                result = self._decide(entry, view, now)
                if entry.record_also is not None and isinstance(result, CommandResult):
                    await entry.record_also(unit_of_work)
                if spec is not None and spec.settles and isinstance(result, CommandResult):
                    result = await self._settle_for(storage, spec, result, now)
                self._store(entry, result, now)
            self.results.append((entry, result))
        await self._flush(storage)
        if self._to_store:
            await storage.store_responses(self._to_store, now)

    async def _load_responses_and_counts(self, storage: EventRepository) -> None:
        """Load the stored responses of keys, and the live events of organizers who initialize one."""
        keys = [entry.request.key for entry in self._entries if entry.request is not None]
        if keys:
            self._stored = await storage.stored_responses(keys)
        organizers = {entry.organizer_id for entry in self._entries if entry.organizer_id is not None}
        if organizers:
            self._live_events = await storage.live_events(organizers)

    async def _settle_lapsed(self, storage: EventRepository, now: datetime) -> None:
        """Expire lapsed holds before anything else is decided."""
        for view in self._views.values():
            event = view.inventory.event
            if event.has_lapsed_holds(now) and self._changed < STEP:
                await self._settle_further(
                    storage, self._record(settle(view.inventory, Settle(event.id), now), view), now
                )
        # This step does not count towards the commands, which are decided now in any case.
        self._changed = 0

    async def _load_waiting_lists(self, storage: EventRepository, specs: Sequence[LoadSpec], now: datetime) -> None:
        """Load the head of every waiting list that may be served, as far as all commands together may need it."""
        freed: dict[UUID, dict[UUID, int]] = {}
        for spec in specs:
            if spec.settles and spec.event_id.int in self._views:
                of_event = freed.setdefault(spec.event_id, {})
                for booking in self._views[spec.event_id.int].concerned(spec):
                    of_event[booking.ticket_type_id] = of_event.get(booking.ticket_type_id, 0) + booking.quantity
        plans = {
            event_id: load_plan(self._views[event_id.int].inventory, types, now) for event_id, types in freed.items()
        }
        await self._load(storage, plans)

    async def _load(self, storage: EventRepository, plans: dict[UUID, LoadPlan]) -> None:
        # The storage reads saved state only, so decisions have to be saved first.
        await self._flush(storage)
        list_queries = [query for each in plans.values() for query in each.waiting_lists]
        closing_queries = [each.closing for each in plans.values() if each.closing]
        waiting_lists = await storage.waiting_lists(list_queries) if list_queries else {}
        front_queries = [query for each in plans.values() for query in each.fronts]
        fronts = await storage.waiting_lists(front_queries) if front_queries else {}
        hold_queries = [each.holds for each in plans.values() if each.holds]
        closing = await storage.closing(closing_queries) if closing_queries else {}
        due = await storage.expired_holds(hold_queries) if hold_queries else {}
        overlong_queries = [each.overlong for each in plans.values() if each.overlong]
        overlong = await storage.overlong_holds(overlong_queries) if overlong_queries else {}
        for event_id, each in plans.items():
            view = self._views[event_id.int]
            loaded = {query.ticket_type_id: waiting_lists[query.ticket_type_id] for query in each.waiting_lists}
            for query in each.fronts:
                head = loaded.get(query.ticket_type_id, NOT_LOADED)
                loaded[query.ticket_type_id] = replace(head, front=fronts[query.ticket_type_id])
            view.inventory = replace(
                view.inventory,
                waiting_lists={**view.inventory.waiting_lists, **loaded},
                closing=closing.get(event_id),
                due=due.get(event_id),
                overlong=overlong.get(event_id),
            )

    def _stored_response(self, entry: PendingCommand) -> Exception | None:
        """Return the result by the key's stored response; None if the command must be decided."""
        request = entry.request
        before = None if request is None else self._stored.get(request.key)
        if request is None or before is None:
            return None
        return Replayed(before.response) if before.fingerprint == request.fingerprint else IdempotencyKeyReused()

    async def _load_scanned(self, storage: EventRepository, specs: Sequence[LoadSpec]) -> None:
        """Load what commands of the door need. Most batches have none."""
        needs = [(spec.event_id, spec.door) for spec in specs if spec.door is not None]
        needs = [(event_id, door) for event_id, door in needs if event_id.int in self._views]
        if needs:
            for event_id, found in (await storage.scanned_tickets(needs)).items():
                self._views[event_id.int].add_scanned(found)

    async def _load_saved(self, storage: EventRepository, spec: LoadSpec, view: EventView) -> None:
        """Load what depends on the decisions before. The storage reads saved state only, so they are saved first."""
        if spec.sizes:
            await self._flush(storage)
            sizes = await storage.waiting_sizes([spec.event_id])
            view.inventory = replace(view.inventory, waiting_sizes=sizes.get(spec.event_id, {}))
        elif spec.door is not None and spec.door.undoes:
            await self._flush(storage)
            others = [await storage.other_check_in(each) for each in view.entries(spec.door)]
            view.check_ins.update({each.id: each for each in others if each is not None})

    def _decide(self, entry: PendingCommand, view: EventView | None, now: datetime) -> CommandResult[Any] | Exception:
        state: Inventory | int | None = None
        if entry.organizer_id is not None:
            state = self._live_events[entry.organizer_id]
        elif entry.needs is not None and view is not None:
            state = view.for_command(entry.needs)
        try:
            if self._allowance is not None and entry.request is not None:
                self._allowance.check(entry.request.key.user_id, now)
            decision = entry.decide(state, now)
        except Exception as refusal:  # noqa: BLE001 - a refusal or a bug: nothing happened, and the caller gets it
            return refusal
        return self._record(decision, view)

    def _store(self, entry: PendingCommand, result: CommandResult[Any] | Exception, now: datetime) -> None:
        stored = None if entry.request is None else entry.request.response_to(result)
        if stored is not None:
            self._stored[stored.key] = stored
            self._to_store.append(stored)
            if self._allowance is not None:
                size = STORED_RESPONSE_OVERHEAD + len(stored.response.payload)
                self._allowance.use(stored.key.user_id, size, now)

    async def _settle_for(
        self, storage: EventRepository, spec: LoadSpec, result: CommandResult[Any], now: datetime
    ) -> CommandResult[Any]:
        """Continue settling after a command, and add its booking as it then is where the command shows it."""
        first, result = result, await self._settle_further(storage, result, now)
        if spec.sizes and result is not first:
            # Another step starts without what was loaded for the command.
            await self._flush(storage)
            sizes = (await storage.waiting_sizes([spec.event_id])).get(spec.event_id, {})
            result = replace(result, inventory=replace(result.inventory, waiting_sizes=sizes))
        if not spec.shows or spec.booking_id is None:
            return result
        booking = self._views[spec.event_id.int].bookings[spec.booking_id.int]
        if booking.is_waiting and not result.inventory.event.awaits_draw:
            await self._flush(storage)
            booking = replace(booking, place=await storage.place(booking))
        return replace(result, booking=booking)

    async def _settle_further(
        self, storage: EventRepository, result: CommandResult[Any], now: datetime
    ) -> CommandResult[Any]:
        """Continue settling, up to one step, where too little was loaded before."""
        event_id = result.inventory.event.id
        while result.inventory.event.is_unsettled and result.moved < STEP:
            await self._load(storage, {event_id: step_load_plan(self._views[event_id.int].inventory, now)})
            decision = settle(self._views[event_id.int].inventory, Settle(event_id), now)
            self._record(decision, self._views[event_id.int])
            result = CommandResult(
                result.outcome,
                decision.inventory,
                result.moved + len(decision.changed),
                result.promoted + decision.promoted,
            )
            if not decision.changed:
                # No progress: leave the event to the next start or an operator instead of looping.
                if decision.inventory.event.is_unsettled:
                    self._stuck.add(event_id)
                break
        return result

    def _record(self, decision: Decision[Any], view: EventView | None) -> CommandResult[Any]:
        inventory = decision.inventory
        event = inventory.event
        if self._live_events and event.organizer_id in self._live_events:
            was_live = view is not None and not view.inventory.event.status.is_closed
            self._live_events[event.organizer_id] += (not event.status.is_closed) - was_live
        if view is None:
            view = self._views[event.id.int] = EventView(inventory)
            is_written = True
        else:
            is_written = view.inventory.event is not event
        if is_written or decision.has_rows:
            self._unsaved.append(decision)
            self.recorded.append(decision)
            if not view.is_written:
                view.is_written = True
                self._written[event.id] = None
        view.apply(decision)
        moved = len(decision.changed)
        self._changed += moved
        return CommandResult(decision.outcome, inventory, moved, decision.promoted)

    async def _flush(self, storage: EventRepository, *, more_follow: bool = False) -> None:
        if self._unsaved:
            unsaved, self._unsaved = self._unsaved, []
            await storage.save(unsaved, self.batch_id, more_follow=more_follow)
