"""Faults of the door: which entries count, what is answered, what a scanner is told, and who may do it."""

from typing import Final

from .trial import Change, Fault

_RULES: Final = ("tests/domain/test_check_ins.py",)
_USE_CASES: Final = ("tests/application/door/test_door.py",)
_STORED: Final = ("tests/contract/test_check_ins.py",)
_HTTP: Final = ("tests/entrypoints/http/test_door.py",)
_DECISION: Final = "domain/decisions/check_in.py"
_ENTRY: Final = "domain/tickets/check_in.py"


def _fault(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Fault:
    return Fault(name, (Change(file, old, new),), tests)


DOOR: Final = (
    _fault(
        "Every scan of a used ticket is admitted",
        _DECISION,
        "        elif ticket.checked_in_at is not None and ticket.checked_in_at <= scan.at:\n",
        "        elif False:\n",
        ("tests/properties/test_promises.py",),
    ),
    _fault(
        "Of the same time the last entry counts",
        _DECISION,
        "ticket.checked_in_at <= scan.at",
        "ticket.checked_in_at < scan.at",
        _RULES,
    ),
    _fault(
        "The first entry that is heard of counts, not the earliest",
        _DECISION,
        "            ticket = replace(ticket, checked_in_at=scan.at)\n",
        "            ticket = replace(ticket, checked_in_at=ticket.checked_in_at or scan.at)\n",
        _RULES,
    ),
    _fault(
        "An older code is admitted",
        _DECISION,
        "        if is_void or scanned.serial < ticket.serial:\n",
        "        if is_void:\n",
        _RULES,
    ),
    _fault(
        "Tickets of cancelled bookings are admitted",
        "domain/tickets/ticket.py",
        "    if booking is not BookingStatus.CONFIRMED or (ticket is not None and ticket.is_returned):\n",
        "    if ticket is not None and ticket.is_returned:\n",
        _RULES,
    ),
    _fault(
        "Tickets that were given back are admitted",
        "domain/tickets/ticket.py",
        "    if booking is not BookingStatus.CONFIRMED or (ticket is not None and ticket.is_returned):\n",
        "    if booking is not BookingStatus.CONFIRMED:\n",
        _RULES,
    ),
    _fault(
        "Tickets of a cancelled event are admitted until their bookings are cancelled",
        _DECISION,
        "        is_void = self._is_cancelled or ticket_status(booking.status, ticket) is TicketStatus.VOID\n",
        "        is_void = ticket_status(booking.status, ticket) is TicketStatus.VOID\n",
        _RULES,
    ),
    _fault(
        "A scan that is sent again counts again",
        _DECISION,
        "        entry = self._check_ins.get(scan.id)\n",
        "        entry = None\n",
        _RULES,
    ),
    _fault(
        "An undone entry still uses its ticket",
        _DECISION,
        "if each.is_beside(entry) and each.counts]\n",
        "if each.counts]\n",
        _RULES,
    ),
    _fault(
        "Undoing twice has two effects",
        _ENTRY,
        "        return not self.is_undone and (self.is_offline or self.result is ScanResult.ADMITTED)\n",
        "        return self.is_offline or self.result is ScanResult.ADMITTED\n",
        _RULES,
    ),
    _fault(
        "Who was let in without a network is forgotten if the ticket was used",
        _ENTRY,
        "(self.is_offline or self.result is ScanResult.ADMITTED)",
        "self.result is ScanResult.ADMITTED",
        _RULES,
    ),
    _fault(
        "A void code that was let in without a network keeps the ticket's holder out",
        _ENTRY,
        "        return self.stands and self.result is not ScanResult.VOID\n",
        "        return self.stands\n",
        _RULES,
    ),
    _fault(
        "Who sees the door may check in",
        _DECISION,
        "    inventory.event.check_may(command.actor, Right.CHECK_IN)\n    door = _Door(inventory, now)\n    answers",
        "    inventory.event.check_may(command.actor, Right.SEE_DOOR)\n    door = _Door(inventory, now)\n    answers",
        _RULES,
    ),
    _fault(
        "A code counts without its signature",
        "application/door/record_check_ins.py",
        "            if code.event_id in keys and self._codes.holds(code, keys[code.event_id]):\n",
        "            if True:\n",
        _HTTP,
    ),
    _fault(
        "A code of any ticket with the same number counts",
        "application/door/record_check_ins.py",
        "        if holder is not None and ticket_id(holder.booking_id, holder.number) == code.ticket_id:\n",
        "        if holder is not None:\n",
        _USE_CASES,
    ),
    _fault(
        "A scanner is not told of tickets that were given back",
        "application/door/queries.py",
        "                if ticket.is_returned:\n",
        "                if False:\n",
        _USE_CASES,
    ),
    _fault(
        "A scanner is not told of newer codes",
        "application/door/queries.py",
        "                    if ticket.serial > 1:\n",
        "                    if False:\n",
        _USE_CASES,
    ),
    _fault(
        "What a scanner reads never is the same",
        "entrypoints/http/routes/door.py",
        "        return tagged(request, view, compared=replace(view, as_of=_NO_TIME))\n",
        "        return tagged(request, view)\n",
        _HTTP,
    ),
    _fault(
        "An undone entry stays a conflict in the database",
        "adapters/sql/repositories/door.py",
        '{"is_undone": "{new}", "stands": "{new}"}',
        '{"is_undone": "{new}"}',
        _STORED,
    ),
    _fault(
        "Entries that are no fact are not saved",
        "domain/inventory.py",
        "self.new_payments or self.changed_payments or self.tickets or self.check_ins",
        "self.new_payments or self.changed_payments",
        _STORED,
    ),
    _fault(
        "An undo in a batch does not see the entries that are stored",
        "application/turnstile/batch.py",
        "        elif spec.door is not None and spec.door.undoes:\n            await self._flush(storage)\n",
        "        elif False:\n            await self._flush(storage)\n",
        _STORED,
    ),
    _fault(
        "The names of all tickets of an export are those of the customers",
        "application/bookings/attendees.py",
        "            name = None if ticket is None else ticket.holder_name\n",
        "            name = None\n",
        ("tests/application/bookings/test_attendees.py",),
    ),
)
