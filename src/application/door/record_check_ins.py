"""Record scans of codes, also those that were made without a network."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.check_in import CheckInTickets, ScanAnswer, check_in
from ...domain.policy import Right
from ...domain.tickets.check_in import Scan, ScannedTicket, ScanResult
from ...domain.tickets.ticket import number_of, ticket_id
from ...domain.user import Actor
from ..duties import Duties, known_for
from ..ports.check_ins import CheckInQueries, TicketHolder
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import DoorSpec, LoadSpec
from ..ports.queries import EventQueries
from ..ports.ticket_codes import TicketRef
from ..tickets.ticket_codes import TicketCodes
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile

AT_ONCE: Final = 32
"""Codes whose signatures are checked before other requests get their turn: about 4 ms."""


class CodeScan(Struct, frozen=True, gc=False, kw_only=True):
    """A scan of a text that may be the code of a ticket. The other values as in `Scan`."""

    id: UUID
    code: str
    at: datetime
    device: str
    is_offline: bool = False


class ScanSeen(Struct, frozen=True, gc=False, kw_only=True):
    """The answer to a scan, as the door sees it."""

    id: UUID
    result: ScanResult
    ticket_id: UUID | None
    holder_name: str | None
    admitted_at: datetime | None


class RecordCheckIns:
    """Record up to `MOST_SCANS` scans in one transaction."""

    def __init__(
        self,
        turnstile: Turnstile,
        events: EventQueries,
        check_ins: CheckInQueries,
        duties: Duties,
        codes: TicketCodes,
    ) -> None:
        self._turnstile = turnstile
        self._events = events
        self._check_ins = check_ins
        self._duties = duties
        self._codes = codes

    async def __call__(
        self,
        event_id: UUID,
        scans: Sequence[CodeScan],
        actor: Actor,
        idempotent: IdempotentRequest[list[ScanSeen]] | None = None,
    ) -> list[ScanSeen]:
        """Return the answers in the order of the scans.

        Raises: NotFound, NotAllowed, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        _, known = await known_for(self._events, self._duties, event_id, actor, Right.CHECK_IN)
        codes = await self._genuine([each.code for each in scans])
        before = await self._check_ins.check_ins(event_id, [each.id for each in scans])
        numbers = {number_of(each.ticket_id) for each in codes.values() if each.event_id == event_id}
        numbers.update(each.number for each in before.values())
        # Which booking a number belongs to never changes, so it need not be read under the event's lock.
        holders = await self._check_ins.holders(event_id, numbers)
        command = CheckInTickets(
            event_id=event_id,
            actor=known,
            scans=tuple([_scan(each, event_id, codes.get(each.code), holders) for each in scans]),
        )
        needs = LoadSpec(
            event_id=event_id,
            door=DoorSpec(
                tickets=tuple([(each.booking_id, each.number) for each in holders.values()]),
                check_in_ids=tuple({each.id: None for each in scans}),
            ),
        )

        def seen(result: CommandResult[tuple[ScanAnswer, ...]]) -> list[ScanSeen]:
            return [_seen(each, holders) for each in result.outcome]

        request = idempotent.bind(seen) if idempotent else None
        return seen(await self._turnstile.admit(command, needs, check_in, request))

    async def _genuine(self, codes: Collection[str]) -> dict[str, TicketRef]:
        """Return what those texts say that are codes with a signature that holds, of any event."""
        read = {text: code for text in codes if (code := self._codes.read(text)) is not None}
        keys = await self._codes.public_keys({code.event_id for code in read.values()})
        genuine: dict[str, TicketRef] = {}
        for number, (text, code) in enumerate(read.items(), start=1):
            if code.event_id in keys and self._codes.holds(code, keys[code.event_id]):
                genuine[text] = code
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return genuine


def _scan(scan: CodeScan, event_id: UUID, code: TicketRef | None, holders: dict[int, TicketHolder]) -> Scan:
    """Return the scan with what its code says."""
    ticket = None
    if code is not None and code.event_id == event_id:
        holder = holders.get(number_of(code.ticket_id))
        if holder is not None and ticket_id(holder.booking_id, holder.number) == code.ticket_id:
            ticket = ScannedTicket(holder.booking_id, holder.number, code.serial)
    return Scan(
        id=scan.id,
        at=scan.at,
        device=scan.device,
        is_offline=scan.is_offline,
        ticket=ticket,
        is_of_other_event=code is not None and code.event_id != event_id,
    )


def _seen(answer: ScanAnswer, holders: dict[int, TicketHolder]) -> ScanSeen:
    is_known = answer.booking_id is not None
    # An entry that was recorded since the holders were read may be of another ticket.
    holder = holders.get(answer.number)
    return ScanSeen(
        id=answer.id,
        result=answer.result,
        ticket_id=ticket_id(answer.booking_id, answer.number) if answer.booking_id is not None else None,
        holder_name=holder.name if is_known and holder is not None else None,
        admitted_at=answer.admitted_at,
    )
