"""The turnstile: one lock, many commands, one commit.

Commands that arrive while a transaction is running wait in one queue per process, across all events; the next
transaction takes them all. Nothing is decided from memory: state is read under the lock, so that any number of
processes stay correct.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..domain.booking import Booking
from ..domain.inventory import Decision, Inventory, LiveBooking
from ..domain.refusals import IdempotencyKeyReused, NotFound
from ..domain.settle import STEP, Asks, Settle, asks, settle, step_asks
from .allowances import ANSWER_OVERHEAD, Allowance
from .failures import Conflict, Locked, OutcomeUnknown, Retryable, StorageFailure, Unavailable
from .idempotency import Key, Keyed, Remembered, Replayed
from .observing import Observer, Overload, Passage, Trouble, Unobserved
from .ports import Clock, Ids, Inventories, Needs, Storage
from .throughput import Throughput

Command = TypeVar("Command")
Outcome = TypeVar("Outcome")
Decide = Callable[[Any, datetime], Decision[Any]]
"""Is given the inventory, None where there is none; for a new event, how many live ones its organizer has."""

MOST_WAITING = 10_000
"""Commands that may wait in a queue, however many it serves."""

LEAST_WAITING = 256
"""Commands that may wait however slow the queue is, so that a cold start or a lone command is never refused."""

LONGEST_WAIT = 1.0
"""Seconds that a command may expect to wait; more commands than the queue serves in that time are refused."""

MOST_TOGETHER = 256
"""Commands that share one transaction."""

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

ATTEMPTS = 30
"""How often a transaction that the database undid is run again.

Where three nodes of a cluster write to one event, one of three comes through each time: 8 attempts with short pauses
turned away 127 of 280 commands, 30 with these none.
"""

LONGEST_PAUSE = 0.1
"""Seconds between two attempts, at most; the first pauses are shorter, and all of them a matter of chance."""

DEADLINE = 4.0
"""Seconds that one batch may take with all its attempts, so that an absent database is said within five."""

DEADLINE_OF_BYSTANDERS = 1.0
"""Seconds for a batch with commands that have waited while another one waited for a lock in vain."""

_log = logging.getLogger(__name__)


class Admitted(Struct, Generic[Outcome], frozen=True, gc=False):
    """What came of a command: its outcome, the inventory right after it, how many bookings it changed and promoted."""

    outcome: Outcome
    inventory: Inventory
    moved: int
    promoted: int


def outcome(admitted: Admitted[Outcome]) -> Outcome:
    """The outcome alone."""
    return admitted.outcome


class Bounds(Struct, frozen=True):
    """How many commands may wait in a queue, at most and in any case, and how many share a transaction."""

    most_waiting: int = MOST_WAITING
    least_waiting: int = LEAST_WAITING
    most_together: int = MOST_TOGETHER


class _Entry:
    """One command in the queue. Without a future nobody waits for it."""

    __slots__ = ("decide", "future", "has_stood_by", "joined_at", "keyed", "mark", "needs", "organizer_id")

    def __init__(
        self,
        needs: Needs | None,
        decide: Decide,
        future: "asyncio.Future[Admitted[Any]] | None",
        keyed: Keyed | None = None,
        mark: object = None,
        organizer_id: UUID | None = None,
    ) -> None:
        self.needs = needs
        self.organizer_id = organizer_id
        self.decide = decide
        self.future = future
        self.keyed = keyed
        self.mark = mark
        self.has_stood_by = False
        self.joined_at = 0.0

    def concerns(self, event_ids: Collection[UUID]) -> bool:
        """Whether the command is about one of these events."""
        return self.needs is not None and self.needs.event_id in event_ids

    @property
    def is_abandoned(self) -> bool:
        return self.future is not None and self.future.done()

    def answer(self, result: "Admitted[Any] | Exception") -> None:
        if self.future is None:
            if isinstance(result, Exception) and not isinstance(result, StorageFailure | NotFound):
                _log.error("A step of an event failed.", exc_info=result)
        elif not self.future.done():
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)


class Turnstile:
    """Lets commands through to inventories, many at a time, in the order in which they arrived.

    Promise 2: an outcome is answered only after its transaction is durable. A refusal fails its own command only, and
    so does a command that the database refuses. An event that somebody else holds for too long holds up nobody but
    those who want it: until it is free again, they pass by a side entrance with a queue of its own.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        ids: Ids,
        *,
        bounds: Bounds | None = None,
        jitter: Callable[[], float] = random.random,
        observer: Observer | None = None,
        answers: Allowance | None = None,
    ) -> None:
        self._observer: Observer = observer or Unobserved()
        bounded = bounds or Bounds()
        bounded = replace(bounded, least_waiting=min(bounded.least_waiting, bounded.most_waiting))

        def batch(entries: list[_Entry], is_last: bool) -> _Batch:
            in_pieces = is_last and len(entries) >= bounded.most_together
            return _Batch(entries, clock.now, ids.new(), in_pieces=in_pieces, allowance=answers)

        def entrance() -> _Entrance:
            return _Entrance(
                storage,
                batch,
                bounds=bounded,
                jitter=jitter,
                observer=self._observer,
                found_held=self._send_aside,
                found_free=self._take_back,
                settle_soon=self.settle_soon,
            )

        self._front = entrance()
        self._side = entrance()
        self._held_elsewhere: set[UUID] = set()
        self._is_closed = False

    def admit(
        self,
        command: Command,
        needs: Needs,
        decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
        keyed: Keyed | None = None,
    ) -> "asyncio.Future[Admitted[Outcome]]":
        """Take the decision under the event's lock and record it, together with the answer that `keyed` makes of it.

        To be waited for.

        Raises: the refusals of `decide`, NotFound where there is no such event, Unavailable. Replayed where the key has
        its answer, IdempotencyKeyReused where it came with another request, TooManyRequests where the `answers` that
        may be kept for its user are used up.
        """

        return self._wait_for(needs, partial(_decide_if_found, decide, command), keyed)

    def admit_new(
        self,
        command: Command,
        organizer_id: UUID,
        decide: Callable[[Command, int, datetime], Decision[Outcome]],
        keyed: Keyed | None = None,
    ) -> "asyncio.Future[Admitted[Outcome]]":
        """Record the decision about an event that does not exist yet. Raises: as `admit`.

        `decide` is given how many live events the organizer has, those of this transaction included. No lock keeps
        another process from adding to them meanwhile, as many as it takes together.
        """
        return self._wait_for(None, lambda live_events, now: decide(command, live_events, now), keyed, organizer_id)

    def settle_soon(self, event_id: UUID) -> None:
        """Do what is still to be done for an event, step by step, behind the commands that wait by now."""
        if not self._is_closed:
            self._entrance(event_id).settle_soon(event_id)

    @property
    def waiting(self) -> int:
        """How many commands wait by now, those not counted whose transaction is running."""
        return len(self._front.queue) + len(self._side.queue)

    async def close(self) -> None:
        """Let everybody through who waits by now, and nobody after them."""
        self._is_closed = True
        while runners := [each.runner for each in (self._front, self._side) if each.runner is not None]:
            await asyncio.wait(runners)

    def _wait_for(
        self, needs: Needs | None, decide: Decide, keyed: Keyed | None, organizer_id: UUID | None = None
    ) -> "asyncio.Future[Admitted[Any]]":
        if self._is_closed:
            raise Unavailable("The service is shutting down; try again in a moment.")
        entrance = self._front if needs is None else self._entrance(needs.event_id)
        if entrance.is_overloaded:
            self._observer.overloaded(Overload.COMMANDS)
            raise Unavailable("Too many requests wait at the moment; try again in a moment.")
        future: asyncio.Future[Admitted[Any]] = entrance.loop.create_future()
        entrance.join(_Entry(needs, decide, future, keyed, self._observer.arriving(), organizer_id))
        return future

    def _entrance(self, event_id: UUID) -> "_Entrance":
        is_held = self._held_elsewhere and event_id in self._held_elsewhere
        return self._side if is_held else self._front

    def _send_aside(self, event_ids: Collection[UUID]) -> None:
        self._held_elsewhere.update(event_ids)

    def _take_back(self, event_ids: Collection[UUID]) -> None:
        """Whoever waits at the side for what is free again goes on in front, in the same order."""
        free = self._held_elsewhere.intersection(event_ids)
        if free:
            self._held_elsewhere.difference_update(free)
            for entry in self._side.leave(free):
                self._front.join(entry)


def _decide_if_found(
    decide: Callable[[Inventory, Command, datetime], Decision[Outcome]],
    command: Command,
    inventory: Inventory | None,
    now: datetime,
) -> Decision[Outcome]:
    """Raises: NotFound, the refusals of `decide`."""
    if inventory is None:
        raise NotFound
    return decide(inventory, command, now)


class _Entrance:
    """A queue, and the task that lets through who waits in it, for as long as anybody does.

    `found_held` is told of events that somebody else has held for too long, `found_free` of those whose locks were had,
    `settle_soon` of those for which another step is to be done.
    """

    def __init__(
        self,
        storage: Storage,
        batch: "Callable[[list[_Entry], bool], _Batch]",
        *,
        bounds: Bounds,
        jitter: Callable[[], float],
        observer: Observer,
        found_held: Callable[[Collection[UUID]], None],
        found_free: Callable[[Collection[UUID]], None],
        settle_soon: Callable[[UUID], None],
    ) -> None:
        self._storage = storage
        self._batch = batch
        self._bounds = bounds
        self._jitter = jitter
        self._observer = observer
        self._found_held = found_held
        self._found_free = found_free
        self._settle_soon = settle_soon
        self._settling: set[UUID] = set()
        self._throughput = Throughput(bounds.most_together)
        self._served = 0
        self.queue: deque[_Entry] = deque()
        self.runner: asyncio.Task[None] | None = None

    def settle_soon(self, event_id: UUID) -> None:
        """One step of an event, behind whoever waits by now, unless one waits already."""
        if event_id not in self._settling:
            needs = Needs(event_id=event_id, settles=True)
            self.join(_Entry(needs, partial(_decide_if_found, settle, Settle(event_id)), None))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of whoever calls. The runner knows it too, and asking asyncio takes a call of the system."""
        return asyncio.get_running_loop() if self.runner is None else self.runner.get_loop()

    @property
    def is_overloaded(self) -> bool:
        """Whether one more command would wait for longer than a second or so, or more wait than may at all."""
        waiting = len(self.queue)
        if waiting < self._bounds.least_waiting:
            return False
        if waiting >= min(self._bounds.most_waiting, self._throughput.per_second * LONGEST_WAIT):
            return True
        # A transaction that takes long has told nothing of it yet.
        return self.loop.time() - self.queue[0].joined_at > LONGEST_WAIT

    def join(self, entry: _Entry) -> None:
        """Stand at the end of the queue."""
        entry.joined_at = self.loop.time()
        if entry.future is None and entry.needs is not None:
            self._settling.add(entry.needs.event_id)
        self.queue.append(entry)
        if self.runner is None:
            self.runner = self.loop.create_task(self._run())

    def leave(self, event_ids: Collection[UUID]) -> list[_Entry]:
        """Whoever waits for these events, who now does so no more."""
        waiting, self.queue = self.queue, deque()
        leaving: list[_Entry] = []
        for entry in waiting:
            (leaving if entry.concerns(event_ids) else self.queue).append(entry)
        self._settling.difference_update(event_ids)
        return leaving

    async def _run(self) -> None:
        try:
            while self.queue:
                entries = self._next()
                if entries:
                    begun, self._served = self.loop.time(), 0
                    with self._observer.batch([entry.mark for entry in entries]):
                        await self._let_through(entries)
                    if self._served:
                        self._throughput.note(self._served, self.loop.time() - begun)
        finally:
            self.runner = None

    def _next(self) -> list[_Entry]:
        entries: list[_Entry] = []
        while self.queue and len(entries) < self._bounds.most_together:
            entry = self.queue.popleft()
            if entry.future is None and entry.needs is not None:
                self._settling.discard(entry.needs.event_id)
            if not entry.is_abandoned:
                entries.append(entry)
        return entries

    async def _let_through(self, entries: list[_Entry]) -> None:
        """Run one transaction for all of them, or answer why not."""
        have_stood_by = any(entry.has_stood_by for entry in entries)
        try:
            async with asyncio.timeout(DEADLINE_OF_BYSTANDERS if have_stood_by else DEADLINE):
                try:
                    await self._together_or_alone(entries)
                except Locked as failure:
                    entries = self._without_held(entries, failure)
                    if entries:
                        await self._together_or_alone(entries)
        except (Unavailable, TimeoutError) as failure:
            away = failure if isinstance(failure, Unavailable) else Unavailable("The database does not answer.")
            self._observer.failed(Trouble.AWAY, len(entries))
            self._turn_away(entries, away)
        except asyncio.CancelledError:
            self._turn_away(entries, Unavailable("The service is shutting down; try again in a moment."))
            raise

    def _turn_away(self, entries: list[_Entry], why: Unavailable) -> None:
        """Whoever waits behind them would wait for the same, so it is said to all at once."""
        waiting, self.queue = self.queue, deque()
        self._settling.clear()
        for entry in (*entries, *waiting):
            entry.answer(why)

    def _without_held(self, entries: list[_Entry], failure: Locked) -> list[_Entry]:
        """Who of these may go on; whoever wants what somebody else holds is told so, in the queue too."""
        held = failure.event_ids
        if not held:
            raise failure
        self._observer.failed(Trouble.LOCKED, len(entries))
        for entry in (*entries, *self.leave(held)):
            if entry.concerns(held):
                entry.answer(failure)
        for entry in self.queue:
            entry.has_stood_by = True
        self._found_held(held)
        return [entry for entry in entries if not entry.concerns(held) and not entry.is_abandoned]

    async def _together_or_alone(self, entries: list[_Entry], *, is_repeated: bool = False) -> None:
        """A batch that the database refuses is redone one by one, so that whoever is to blame fails alone."""
        try:
            await self._until_done(entries)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - answered to whom it concerns, never swallowed
            self._observer.failed(Trouble.CONFLICT if isinstance(error, Conflict) else Trouble.ERROR, len(entries))
            if len(entries) > 1 or (isinstance(error, Conflict) and not is_repeated):
                # Alone as well: another process may have been faster, and what it wrote decides now.
                for entry in entries:
                    await self._together_or_alone([entry], is_repeated=True)
            else:
                entries[0].answer(error)

    async def _until_done(self, entries: list[_Entry]) -> None:
        lost: list[_Batch] = []
        for attempt in range(1, ATTEMPTS + 1):
            batch = self._batch(entries, not self.queue)
            try:
                async with self._storage.begin() as unit_of_work:
                    happened = await _first_that_happened(lost, unit_of_work.inventories)
                    if happened is not None:
                        return self._finish(happened)
                    await batch.run(unit_of_work.inventories)
                    await unit_of_work.commit()
            except Retryable:
                self._observer.failed(Trouble.UNDONE, len(entries))
            except OutcomeUnknown:
                self._observer.failed(Trouble.UNKNOWN, len(entries))
                if await self._happened(batch):
                    return self._finish(batch)
                lost.append(batch)
            else:
                return self._finish(batch)
            await asyncio.sleep(min(0.002 * 2**attempt, LONGEST_PAUSE) * self._jitter())
        raise Unavailable("The database undid the transaction again and again; try again in a moment.")

    async def _happened(self, batch: "_Batch") -> bool:
        """Whether a batch whose COMMIT was never answered is there, looked up under the events' locks.

        The locks wait for the lost transaction to end, so the answer is final. Without one nothing is done again.
        """
        while True:
            try:
                async with self._storage.begin() as unit_of_work:
                    return await unit_of_work.inventories.holds(batch.written, batch.mark)
            except StorageFailure:
                await asyncio.sleep(0.05 * self._jitter())
            except Exception as error:
                _log.exception("Whether a lost commit happened could not be looked up.")
                raise Unavailable("The database does not answer.") from error

    def _finish(self, batch: "_Batch") -> None:
        self.queue.extendleft(reversed(batch.postponed))
        self._served += len(batch.results)
        self._observer.passed(
            Passage(
                batch.recorded,
                [result for _, result in batch.results if isinstance(result, Exception)],
                len(batch.results),
                batch.lock_seconds,
                asyncio.get_running_loop().time() - batch.begun,
            )
        )
        for entry, result in batch.results:
            entry.answer(result)
        self._found_free(batch.locked)
        for event_id in batch.unsettled:
            self._settle_soon(event_id)


async def _first_that_happened(lost: Sequence["_Batch"], inventories: Inventories) -> "_Batch | None":
    """Which batch whose COMMIT was never answered is there after all, under the locks of whoever does it again.

    In a cluster the lost transaction may still be on its way from another node, where no lock waits for it. Then the
    one that does it again writes the same events and is undone by it; this look, the next time, finds it.
    """
    for batch in lost:
        if await inventories.holds(batch.written, batch.mark):
            return batch
    return None


class _Seen:
    """One event as the commands of a batch see it, each after all that was decided before it."""

    __slots__ = ("bookings", "inventory", "is_written", "of_customer", "payments")

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = _without_concerned(inventory)
        self.is_written = False
        self.bookings = {booking.id.int: booking for booking in inventory.bookings}
        self.of_customer: dict[int, list[LiveBooking]] = {}
        self.payments = {payment.id: payment for payment in inventory.payments}
        for live in inventory.of_customers:
            self._begin(live)

    def has_lapsed_holds(self, now: datetime) -> bool:
        """Whether a step is to be done first that did not go into this transaction."""
        event = self.inventory.event
        return event.earliest_expiry is not None and not event.is_unsettled and event.has_lapsed_holds(now)

    def by(self, need: Needs) -> Inventory:
        """The inventory with what concerns the command."""
        of_customer = self.of_customer.get(need.customer_id.int) if need.customer_id is not None else None
        bookings = self.concerned(need) if need.booking_id is not None or need.whole else ()
        payments = (
            [each for each in self.payments.values() if each.booking_id == need.booking_id] if self.payments else None
        )
        if not of_customer and not bookings and not payments:
            return self.inventory
        return replace(
            self.inventory, bookings=bookings, of_customers=tuple(of_customer or ()), payments=tuple(payments or ())
        )

    def concerned(self, need: Needs) -> tuple[Booking, ...]:
        """The bookings that a command may change."""
        ids = [] if need.booking_id is None else [need.booking_id.int]
        if need.whole and need.customer_id is not None:
            ids += [each.id.int for each in self.of_customer.get(need.customer_id.int, ())]
        return tuple([self.bookings[each] for each in dict.fromkeys(ids) if each in self.bookings])

    def note(self, decision: Decision[Any]) -> None:
        """What was decided is what the next command finds."""
        self.inventory = _without_concerned(decision.inventory)
        if decision.new_payments or decision.changed_payments:
            for payment in (*decision.new_payments, *decision.changed_payments):
                self.payments[payment.id] = payment
        for booking in decision.booked:
            self.bookings[booking.id.int] = booking
            self._begin(booking)
        for change in decision.changed:
            before, after = change.before, change.after
            if after.id.int in self.bookings:
                self.bookings[after.id.int] = after
            if before.status.is_live and not after.status.is_live:
                self._end(after)
            elif after.status.is_live and not before.status.is_live:
                self._begin(after)

    def _begin(self, booking: LiveBooking) -> None:
        of_customer = self.of_customer.get(booking.customer_id.int)
        if of_customer is None:
            self.of_customer[booking.customer_id.int] = [booking]
        else:
            of_customer.append(booking)

    def _end(self, booking: LiveBooking) -> None:
        # Of a customer whom no command is about nothing is known, and nothing asked.
        of_customer = self.of_customer.get(booking.customer_id.int, [])
        of_customer[:] = [each for each in of_customer if each.id != booking.id]


def _without_concerned(inventory: Inventory) -> Inventory:
    """What one command asked for is not the next one's."""
    if inventory.bookings or inventory.of_customers or inventory.payments or inventory.waiting_sizes:
        return replace(inventory, bookings=(), of_customers=(), payments=(), waiting_sizes={})
    return inventory


class _Batch:
    """The commands of one transaction and what becomes of them."""

    def __init__(
        self,
        entries: Sequence[_Entry],
        now: Callable[[], datetime],
        mark: UUID,
        *,
        in_pieces: bool,
        allowance: Allowance | None = None,
    ) -> None:
        self.mark = mark
        self.begun = asyncio.get_running_loop().time()
        self.lock_seconds = 0.0
        self.recorded: list[Decision[Any]] = []
        self.results: list[tuple[_Entry, Admitted[Any] | Exception]] = []
        self.postponed: list[_Entry] = []
        self._entries = entries
        self._in_pieces = in_pieces
        self._allowance = allowance
        self._now = now
        # By the numbers of their ids, which have their hashes at hand; so are bookings and customers.
        self._seen: dict[int, _Seen] = {}
        self._live_events: dict[UUID, int] = {}
        self._remembered: dict[Key, Remembered] = {}
        self._to_remember: list[Remembered] = []
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

    async def run(self, storage: Inventories) -> None:
        """Lock, load, decide each in arrival order, save."""
        needs = [entry.needs for entry in self._entries if entry.needs is not None]
        if needs:
            asked = asyncio.get_running_loop().time()
            locked = await storage.lock(needs)
            self.lock_seconds = asyncio.get_running_loop().time() - asked
            self._seen = {event_id.int: _Seen(inventory) for event_id, inventory in locked.items()}
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
            result: Admitted[Any] | Exception | None = self._known_answer(entry)
            if result is None:
                if need is not None and seen is not None and need.sizes:
                    await self._load_sizes(storage, need.event_id, seen)
                result = self._decide(entry, seen, now)
                if need is not None and need.settles and isinstance(result, Admitted):
                    result = await self._settle_on(storage, result, now)
                self._remember(entry, result, now)
            self.results.append((entry, result))
        await self._flush(storage)
        if self._to_remember:
            await storage.remember(self._to_remember, now)

    async def _load_known(self, storage: Inventories) -> None:
        """What keys were answered before, and what organizers of new events have."""
        keys = [entry.keyed.key for entry in self._entries if entry.keyed is not None]
        if keys:
            self._remembered = await storage.remembered(keys)
        organizers = {entry.organizer_id for entry in self._entries if entry.organizer_id is not None}
        if organizers:
            self._live_events = await storage.live_events(organizers)

    async def _settle_lapsed(self, storage: Inventories, now: datetime) -> None:
        """A hold whose time is over counts as expired from that moment: it is settled before anything else."""
        for seen in self._seen.values():
            event = seen.inventory.event
            if event.has_lapsed_holds(now) and self._moved < STEP:
                await self._settle_on(storage, self._record(settle(seen.inventory, Settle(event.id), now), seen), now)
        # This step is not the commands' own: however much had lapsed, they are decided now.
        self._moved = 0

    async def _load_lines(self, storage: Inventories, needs: Sequence[Needs], now: datetime) -> None:
        """Load the head of every line that may be served, as far as all the commands together may need it."""
        freed: dict[UUID, dict[UUID, int]] = {}
        for need in needs:
            if need.settles and need.event_id.int in self._seen:
                of_event = freed.setdefault(need.event_id, {})
                for booking in self._seen[need.event_id.int].concerned(need):
                    of_event[booking.ticket_type_id] = of_event.get(booking.ticket_type_id, 0) + booking.quantity
        wanted = {event_id: asks(self._seen[event_id.int].inventory, types, now) for event_id, types in freed.items()}
        await self._load(storage, wanted)

    async def _load(self, storage: Inventories, wanted: dict[UUID, Asks]) -> None:
        # What is loaded is as saved by now, so what was decided has to be saved first.
        await self._flush(storage)
        line_asks = [ask for each in wanted.values() for ask in each.lines]
        closing_asks = [each.closing for each in wanted.values() if each.closing]
        lines = await storage.lines(line_asks) if line_asks else {}
        hold_asks = [each.holds for each in wanted.values() if each.holds]
        closing = await storage.closing(closing_asks) if closing_asks else {}
        due = await storage.due_holds(hold_asks) if hold_asks else {}
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

    def _known_answer(self, entry: _Entry) -> Exception | None:
        """The answer that the command's key got before; None where it is to be decided."""
        keyed = entry.keyed
        before = None if keyed is None else self._remembered.get(keyed.key)
        if keyed is None or before is None:
            return None
        return Replayed(before.answer) if before.fingerprint == keyed.fingerprint else IdempotencyKeyReused()

    async def _load_sizes(self, storage: Inventories, event_id: UUID, seen: _Seen) -> None:
        # As saved by now, so what was decided has to be saved first.
        await self._flush(storage)
        sizes = await storage.waiting_sizes([event_id])
        seen.inventory = replace(seen.inventory, waiting_sizes=sizes.get(event_id, {}))

    def _decide(self, entry: _Entry, seen: _Seen | None, now: datetime) -> Admitted[Any] | Exception:
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

    def _remember(self, entry: _Entry, result: Admitted[Any] | Exception, now: datetime) -> None:
        remembered = None if entry.keyed is None else entry.keyed.remember(result)
        if remembered is not None:
            self._remembered[remembered.key] = remembered
            self._to_remember.append(remembered)
            if self._allowance is not None:
                kept = ANSWER_OVERHEAD + len(remembered.answer.body)
                self._allowance.use(remembered.key.user_id, kept, now)

    async def _settle_on(self, storage: Inventories, admitted: Admitted[Any], now: datetime) -> Admitted[Any]:
        """Where the lines that were loaded did not reach, load more and go on, as far as one step goes."""
        event_id = admitted.inventory.event.id
        while admitted.inventory.event.is_unsettled and admitted.moved < STEP:
            await self._load(storage, {event_id: step_asks(self._seen[event_id.int].inventory, now)})
            decision = settle(self._seen[event_id.int].inventory, Settle(event_id), now)
            self._record(decision, self._seen[event_id.int])
            admitted = Admitted(
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

    def _record(self, decision: Decision[Any], seen: _Seen | None) -> Admitted[Any]:
        inventory = decision.inventory
        event = inventory.event
        if event.organizer_id in self._live_events:
            was_live = seen is not None and not seen.inventory.event.status.is_closed
            self._live_events[event.organizer_id] += (not event.status.is_closed) - was_live
        if seen is None:
            seen = self._seen[event.id.int] = _Seen(inventory)
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
        return Admitted(decision.outcome, inventory, moved, decision.promoted)

    async def _flush(self, storage: Inventories, *, more_follow: bool = False) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            await storage.save(pending, self.mark, more_follow=more_follow)
