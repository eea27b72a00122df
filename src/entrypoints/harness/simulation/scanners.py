"""Scanners at the doors of the events: they scan tickets, and send what they scanned late, in any order and again.

Beside them tickets are named and get new codes, and some people come with the code of before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from msgspec import Struct, field

from ....application.bookings.attendees import Attendee
from ....application.door.record_check_ins import CodeScan, ScanSeen
from ....application.ports.errors import Unavailable
from ....application.ports.storage import Storage
from ....application.ports.system import Clock
from ....application.ports.ticket_codes import TicketRef
from ....application.tickets.name_ticket import TicketChanges
from ....domain.decisions.check_in import UndoneCheckIn
from ....domain.refusals import TicketVoid
from ....domain.tickets.check_in import CheckIn, ScanResult
from ....domain.tickets.ticket import Ticket
from ...container import Container
from .processes import Gone, Work
from .requests import ORGANIZER, SimulatedEvent
from .scenario import Scenario, random_stream

LOST: Final = (Gone, Unavailable, TimeoutError)
"""After these it is not known whether a request was carried out."""

MOST_NUMBER: Final = 30
"""Tickets with higher numbers are scanned less often."""


class Ticketed(Struct):
    """What was asked for a ticket: its newest code that was answered, new codes, and names of its holder."""

    code: str
    serial: int = 1
    reissues: int = 0
    lost_reissues: int = 0
    names: set[str] = field(default_factory=set)
    is_named: bool = False

    def agrees(self, stored: Ticket) -> bool:
        """Return whether what is stored of the ticket follows from that."""
        is_serial = self.reissues <= stored.serial - 1 <= self.reissues + self.lost_reissues
        is_name = stored.holder_name in self.names if self.is_named else stored.holder_name in (None, *self.names)
        return is_serial and is_name


class Scanners:
    """All scanners of one simulation. None forgets a scan before it was answered."""

    def __init__(
        self, scenario: Scenario, events: Sequence[SimulatedEvent], clock: Clock, call: Callable[[Work], Awaitable[Any]]
    ) -> None:
        self.random: Random = random_stream(scenario.seed, "scanners")
        self.unexpected: list[str] = []
        self._scenario = scenario
        self._events = events
        self._clock = clock
        self._call = call
        self._scanned = 0
        self._unsent: dict[UUID, list[CodeScan]] = {event.event_id: [] for event in events}
        self._sent: dict[UUID, dict[UUID, CodeScan]] = {event.event_id: {} for event in events}
        self._answers: dict[UUID, tuple[ScanResult, object]] = {}
        self._undone: set[UUID] = set()
        self._tickets: dict[tuple[UUID, int], Ticketed] = {}
        self._serials: dict[UUID, tuple[int, int]] = {}
        self._replaced: set[UUID] = set()
        """Scans of codes that were replaced before they were sent."""

    async def scanner(self, is_open: Callable[[], bool]) -> None:
        """Scan, send and undo until all other clients are done."""
        pace = self._scenario.pace or 0.05
        while is_open():
            await asyncio.sleep(self.random.expovariate(1 / pace))
            event_id = self._events[int(self.random.random() * len(self._events))].event_id
            try:
                await self._act(event_id)
            except LOST:
                # What was not answered is sent again.
                continue

    async def _act(self, event_id: UUID) -> None:
        drawn = self.random.random()
        if drawn < 0.5:
            await self._scan(event_id)
        elif drawn < 0.8:
            await self._send(event_id)
        elif drawn < 0.9:
            await self._change(event_id)
        else:
            await self._undo(event_id)

    async def _pick(self, event_id: UUID) -> Attendee | None:
        """Return a ticket, and remember its first code; None: there is none with such a number."""
        after = int(self.random.random() ** 2 * MOST_NUMBER)
        page = await self._call(lambda container: container.list_attendees()(event_id, ORGANIZER, after=after, limit=1))
        ticket: Attendee | None = next(iter(page.attendees), None)
        if ticket is not None and (event_id, ticket.number) not in self._tickets:
            code = await self._call(_code_of(event_id, ticket))
            self._tickets.setdefault((event_id, ticket.number), Ticketed(code))
        return ticket

    async def _scan(self, event_id: UUID) -> None:
        ticket = await self._pick(event_id)
        if ticket is None:
            return
        known = self._tickets[event_id, ticket.number]
        is_first = self.random.random() < 0.2
        code = await self._call(_code_of(event_id, ticket)) if is_first else known.code
        self._add_scan(event_id, ticket.number, code, 1 if is_first else known.serial)

    def _add_scan(self, event_id: UUID, number: int, code: str, serial: int) -> None:
        self._scanned += 1
        scan = CodeScan(
            id=UUID(int=(1 << 127) + self._scanned),
            code=code,
            at=self._clock.now() + timedelta(seconds=self.random.choice((-60, -1, 0, 0, 1))),
            device="Gate",
            is_offline=self.random.random() < 0.4,
        )
        self._serials[scan.id] = number, serial
        self._unsent[event_id].append(scan)

    async def _change(self, event_id: UUID) -> None:
        """Give a ticket a new code, or name its holder. A void one has neither."""
        ticket = await self._pick(event_id)
        if ticket is None:
            return
        known, reissues = self._tickets[event_id, ticket.number], self.random.random() < 0.5
        name = None if reissues else f"Guest {int(self.random.random() * 5)}"
        if name is not None:
            known.names.add(name)
        changes = TicketChanges(
            booking_id=ticket.booking_id,
            ticket_id=ticket.ticket_id,
            actor=ORGANIZER,
            holder_name=name,
            reissue=reissues,
        )
        try:
            code, serial = await self._call(_changing(changes))
        except TicketVoid:
            return
        except LOST:
            known.lost_reissues += reissues
            raise
        known.reissues += reissues
        known.is_named = known.is_named or name is not None
        if serial > known.serial:
            # Somebody comes with the code of before.
            self._add_scan(event_id, ticket.number, known.code, known.serial)
            known.code, known.serial = code, serial

    async def _send(self, event_id: UUID) -> None:
        """Send some of what was not answered, and some of what was, in any order."""
        unsent, sent = self._unsent[event_id], list(self._sent[event_id].values())
        some = self.random.sample(unsent, int(self.random.random() * len(unsent)) + 1) if unsent else []
        some += self.random.sample(sent, min(len(sent), 2))
        self.random.shuffle(some)
        if some:
            await self._send_all(event_id, some, self._call)

    async def _send_all(
        self, event_id: UUID, scans: Sequence[CodeScan], call: Callable[[Work], Awaitable[Any]]
    ) -> None:
        for each in scans:
            number, serial = self._serials.pop(each.id, (0, 0))
            if number and serial < self._tickets[event_id, number].serial:
                self._replaced.add(each.id)
        self._note(event_id, scans, await call(_sending(event_id, scans)))

    def _note(self, event_id: UUID, scans: Sequence[CodeScan], answers: Sequence[ScanSeen]) -> None:
        for scan, answer in zip(scans, answers, strict=True):
            seen = (answer.result, answer.admitted_at)
            if self._answers.setdefault(scan.id, seen) != seen or answer.id != scan.id:
                self.unexpected.append(f"scan {scan.id} was answered {seen}, before {self._answers[scan.id]}")
            if scan.id in self._replaced and answer.result is not ScanResult.VOID:
                self.unexpected.append(f"scan {scan.id} of a replaced code was answered {answer.result}")
            self._sent[event_id][scan.id] = scan
        self._unsent[event_id] = [each for each in self._unsent[event_id] if each.id not in self._answers]

    async def _undo(self, event_id: UUID) -> None:
        sent = list(self._sent[event_id])
        if sent:
            check_in_id = sent[int(self.random.random() * len(sent))]
            undone: UndoneCheckIn = await self._call(
                lambda container: container.undo_check_in()(event_id, check_in_id, ORGANIZER)
            )
            self._undone.add(undone.check_in.id)

    async def finish(self, call: Callable[[Work], Awaitable[Any]]) -> None:
        """Send everything once more, where nothing fails any more."""
        for event_id in self._unsent:
            scans = [*self._unsent[event_id], *self._sent[event_id].values()]
            for start in range(0, len(scans), 500):
                await self._send_all(event_id, scans[start : start + 500], call)

    async def check(self, storage: Storage) -> list[str]:
        """Return what is wrong: lost entries, other answers or times than follow from the entries, hidden conflicts."""
        problems = list(self.unexpected)
        for event_id, sent in self._sent.items():
            entries = await storage.check_in_queries.check_ins(event_id, list(sent))
            problems += [f"scan {each} is lost" for each in sent if each not in entries]
            for each in entries.values():
                if (each.result, each.admitted_at) != self._answers[each.id]:
                    problems.append(f"scan {each.id} is stored as {each}, answered {self._answers[each.id]}")
                if each.id in self._undone and not each.is_undone:
                    problems.append(f"scan {each.id} was undone and is not")
            tickets = await storage.ticket_queries.of_event(event_id, 0, 10_000)
            used = {each.number: each.checked_in_at for each in tickets if each.checked_in_at is not None}
            first = {number: min(each.at for each in some) for number, some in _by_ticket(entries, "counts").items()}
            if used != first:
                problems.append(f"event {event_id}: the tickets are used at {used}, by their entries {first}")
            stored = {each.number: each for each in tickets}
            for (of_event, number), asked in self._tickets.items():
                # Without a row nothing has happened to it.
                ticket = stored.get(number, Ticket(booking_id=event_id, event_id=event_id, number=number))
                if of_event == event_id and not asked.agrees(ticket):
                    problems.append(f"ticket {number} is stored as {ticket}, asked for was {asked}")
            shown = await storage.check_in_queries.conflicts(event_id, 0, 10_000, 1_000_000)
            found = {each.number: {entry.id for entry in each.entries} for each in shown.conflicts}
            twice = {number: {each.id for each in some} for number, some in _by_ticket(entries, "stands").items()}
            if found != {number: some for number, some in twice.items() if len(some) > 1}:
                problems.append(f"event {event_id}: the conflicts are {found}, by the entries {twice}")
        return problems


def _by_ticket(entries: dict[UUID, CheckIn], what: str) -> dict[int, list[CheckIn]]:
    found: dict[int, list[CheckIn]] = {}
    for each in entries.values():
        if getattr(each, what):
            found.setdefault(each.number, []).append(each)
    return found


def _code_of(event_id: UUID, ticket: Attendee) -> Work:
    return lambda container: container.ticket_codes().code(TicketRef(event_id, ticket.ticket_id, 1))


def _changing(changes: TicketChanges) -> Work:
    async def change(container: Container) -> tuple[str, int]:
        shown = await container.name_ticket()(changes)
        read = container.ticket_codes().read(shown.code)
        assert read is not None
        return shown.code, read.serial

    return change


def _sending(event_id: UUID, scans: Sequence[CodeScan]) -> Work:
    def send(container: Container) -> Any:
        return container.record_check_ins()(event_id, scans, ORGANIZER)

    return send
