"""Check the promises over the whole database, in bounded memory."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.balance import broken_balances
from ...domain.booking import Booking
from ...domain.explanations.chance_record import NO_BANDS, Band, ChanceRecord, added
from ...domain.facts import Fact
from ...domain.replay.booking_replay import replay_booking
from ...domain.replay.event_replay import Breach, EventReplay
from ...domain.replay.ticket_replay import replay_tickets, stored_tickets
from ...domain.tickets.ticket_type import EventState, TicketType
from ..ports.errors import Retryable, Unavailable
from ..ports.loading import WaitingListQuery
from ..ports.observability import Verified
from ..ports.queries import Snapshot
from ..ports.storage import Storage
from ..ports.system import Clock

PROMISES = {
    1: "Taken tickets of a type never exceed its number; its counters always equal its bookings.",
    3: "An idempotency key has one effect; a customer has one live booking per ticket type.",
    4: "Freed tickets come back exactly once.",
    5: (
        "The waiting list is served in order, and no booking is overtaken more often than allowed; no newcomer takes a "
        "ticket that a waiting customer could have had, except by a grant that tells how many it passed over."
    ),
    6: "No ticket stays free while a waiting booking fits that may be next and the waiting list is served.",
    7: "Replaying an event's facts gives its bookings and counters.",
    8: "Refunds never exceed payments; nobody pays and gets neither tickets nor a refund.",
    10: "Of an erased account nothing is left but ids.",
}
"""The promises that rows can prove: lost outcomes (2) and forbidden actions (9) leave no rows."""

_STRAYS_BREAK = {"erased accounts": 10, "live bookings": 3, "suspension": 5, "stored responses": 3, "payments": 8}
"""The promise that stray rows break, by words of their description; all others break the seventh."""

EVENTS_AT_ONCE = 200
ROWS_AT_ONCE = 2_000


class Verdict(Struct, frozen=True):
    """The numbers of checked rows, and every breach."""

    events: int
    bookings: int
    facts: int
    breaches: list[Breach]
    chances: tuple[Band, ...] = NO_BANDS
    """How often the chances of waiting bookings were right, of those that have been decided."""

    def of(self, promise: int) -> list[Breach]:
        """Return the breaches of one promise."""
        return [breach for breach in self.breaches if breach.promise == promise]


class VerifyPromises:
    """Check the promises over one consistent snapshot, beside live traffic.

    Memory is bounded by the breaches found and the waiting lists of one event, not by the size of the database.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, progress: Callable[[Verdict], None] | None = None) -> Verdict:
        """Return the verdict; call `progress` regularly with the one so far. Raises: Unavailable."""
        for _ in range(2):
            try:
                return await self._check(progress)
            except Retryable:
                # The connection had been lost unnoticed. The second attempt takes a new one and a new snapshot.
                continue
        raise Unavailable("The connection to the database was lost repeatedly; try again in a moment.")

    async def _check(self, progress: Callable[[Verdict], None] | None) -> Verdict:
        async with self._storage.snapshot() as snapshot:
            check = _Check(snapshot, self._clock.now(), progress)
            await check.events()
            await check.bookings()
            await check.strays()
        return check.verdict()


class NoteVerdict:
    """Store the verdict, for the metrics."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, verdict: Verdict) -> None:
        """Replace the stored verdict. Raises: the failures of `errors`."""
        now = self._clock.now()
        await self._storage.statistics.note_verified(
            [Verified(promise, len(verdict.of(promise)), now) for promise in PROMISES], verdict.chances
        )


class _Check:
    def __init__(self, snapshot: Snapshot, now: datetime, progress: Callable[[Verdict], None] | None) -> None:
        self._snapshot = snapshot
        self._now = now
        self._progress = progress
        self._events = 0
        self._bookings = 0
        self._facts = 0
        self._breaches: list[Breach] = []
        self._chances = NO_BANDS

    def verdict(self) -> Verdict:
        return Verdict(self._events, self._bookings, self._facts, self._breaches, self._chances)

    async def events(self) -> None:
        last: UUID | None = None
        while states := await self._snapshot.events(last, EVENTS_AT_ONCE):
            counts = await self._snapshot.counts([state.event.id for state in states])
            for state in states:
                self._events += 1
                self._check_counters(state, counts)
                await self._check_history(state)
                await self._check_served(state)
            last = states[-1].event.id
            self._report()

    async def bookings(self) -> None:
        last: UUID | None = None
        while rows := await self._snapshot.bookings(last, ROWS_AT_ONCE):
            for row in rows:
                self._bookings += 1
                self._check_booking(row.booking, row.facts)
                if replay_tickets(row.facts) != stored_tickets(row.booking, row.tickets):
                    self._breach(7, f"booking {row.booking.id}: its tickets are not as its facts say")
                for what in broken_balances(row.booking, row.payments, row.facts):
                    self._breach(8, what)
            last = rows[-1].booking.id
            self._report()

    async def strays(self) -> None:
        for what, count in (await self._snapshot.strays()).items():
            promise = next((number for word, number in _STRAYS_BREAK.items() if word in what), 7)
            self._breach(promise, f"{count} {what}")

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self.verdict())

    def _check_counters(self, state: EventState, counts: dict[UUID, tuple[int, int, int]]) -> None:
        for each in state.ticket_types:
            counted = counts.get(each.id, (0, 0, 0))
            if (each.taken, each.waiting, each.waiting_tickets) != counted:
                kept = (each.taken, each.waiting, each.waiting_tickets)
                self._breach(1, f"ticket type {each.id} counts {kept}, its bookings say {counted}")
            if each.taken > each.total_tickets:
                self._breach(1, f"ticket type {each.id} has {each.taken} of {each.total_tickets} tickets taken")

    async def _check_history(self, state: EventState) -> None:
        event = state.event
        replay, chances = EventReplay(event.id, event.numbered_to), ChanceRecord()
        stored = self._ticket_numbers_of(event.id)
        are_equal = True
        async for fact in self._facts_of(event.id):
            self._facts += 1
            number = replay.apply(fact)
            chances.follow(fact, replay.ticket_types)
            # After the first difference all others would differ too.
            if number is not None and are_equal:
                are_equal = (number, fact.booking_id) == await anext(stored, None)
                if not are_equal:
                    self._breach(7, f"event {event.id}: booking {fact.booking_id} has not its tickets from {number} on")
        if are_equal and (stray := await anext(stored, None)) is not None:
            self._breach(7, f"event {event.id}: booking {stray[1]} has tickets, its facts say otherwise")
        replay.compare(state)
        self._breaches.extend(replay.breaches)
        self._chances = added(self._chances, chances.bands(self._now))

    async def _ticket_numbers_of(self, event_id: UUID) -> AsyncIterator[tuple[int, UUID]]:
        last = 0
        while numbers := await self._snapshot.first_ticket_numbers(event_id, last, ROWS_AT_ONCE):
            for each in numbers:
                yield each
            last = numbers[-1][0]

    async def _facts_of(self, event_id: UUID) -> AsyncIterator[Fact]:
        last = 0
        while facts := await self._snapshot.facts(event_id, last, ROWS_AT_ONCE):
            for fact in facts:
                yield fact
            last = facts[-1].seq

    async def _check_served(self, state: EventState) -> None:
        if state.event.is_unsettled or not state.event.serves_waiting_list(self._now):
            return
        for each in state.ticket_types:
            if each.waiting and each.available > 0 and await self._fits_a_waiting_booking(state, each):
                self._breach(
                    6, f"ticket type {each.id}: {each.available} tickets are free while a waiting booking fits"
                )

    async def _fits_a_waiting_booking(self, state: EventState, ticket_type: TicketType) -> bool:
        may_overtake = ticket_type.allows_overtaking(state.event)
        query = WaitingListQuery(ticket_type.id, ticket_type.available if may_overtake else None, 1)
        head = (await self._snapshot.waiting_lists([query]))[ticket_type.id].head
        return any(booking.quantity <= ticket_type.available for booking in head)

    def _check_booking(self, booking: Booking, facts: list[Fact]) -> None:
        # Ticket numbers were compared with the facts of the whole event.
        if replay_booking(facts) != replace(booking, first_ticket_number=None):
            self._breach(7, f"booking {booking.id} is {booking.status}, its facts say otherwise")
        cancelled = sum(fact.kind == "BookingCancelled" for fact in facts)
        if cancelled > 1:
            self._breach(4, f"booking {booking.id} was cancelled {cancelled} times")

    def _breach(self, promise: int, what: str) -> None:
        self._breaches.append(Breach(promise, what))
