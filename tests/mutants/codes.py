"""Faults of tickets' codes and of the keys that sign them, of holders' names, and of calendar entries."""

from typing import Final

from .trial import Change, Fault

_FORMAT: Final = ("tests/adapters/security/test_ticket_codes.py",)
_KEYS: Final = ("tests/application/tickets/test_ticket_codes.py",)
_STORED: Final = ("tests/contract/test_code_keys.py",)
_RULES: Final = ("tests/domain/test_changing_tickets.py",)
_LISTED: Final = ("tests/application/tickets/test_list_tickets.py",)
_HTTP: Final = ("tests/entrypoints/http/test_tickets.py",)
_SIGNER: Final = "adapters/security/ticket_codes.py"
_CODES: Final = "application/tickets/ticket_codes.py"
_CHANGE: Final = "domain/decisions/change_ticket.py"


def _fault(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Fault:
    return Fault(name, (Change(file, old, new),), tests)


CODES: Final = (
    _fault(
        "The signature of a code is not checked",
        _SIGNER,
        "        except InvalidSignature:\n            return False\n",
        "        except InvalidSignature:\n            return True\n",
        _FORMAT,
    ),
    _fault("Codes are signed without their context", _SIGNER, 'b"boxoffice-ticket-v1\\0"', 'b""', _FORMAT),
    _fault(
        "Codes in lower case are read",
        _SIGNER,
        "        if not _TEXT.fullmatch(code):\n",
        "        code = code.upper()\n        if not _TEXT.fullmatch(code):\n",
        _FORMAT,
    ),
    _fault(
        "A key opens for another event",
        _SIGNER,
        'info=b"boxoffice/code-keys/1" + event_id.bytes)',
        'info=b"boxoffice/code-keys/1" + event_id.bytes[:0])',
        _FORMAT,
    ),
    Fault(
        "A key opens beside another public one",
        (
            Change(_SIGNER, "private.private_bytes_raw(), public)", "private.private_bytes_raw(), None)"),
            Change(_SIGNER, "decrypt(nonce, sealed, key.public)", "decrypt(nonce, sealed, None)"),
        ),
        _FORMAT,
    ),
    _fault(
        "A new key replaces one that cannot be opened",
        _CODES,
        "            raise\n",
        "            return self._signer.codes(self._signer.new_key(key.event_id), tickets)\n",
        _KEYS,
    ),
    _fault(
        "Asking whether events have keys makes some",
        _CODES,
        "for event_id, key in (await self._keys(event_ids)).items()}",
        "for event_id in event_ids for key in [await self._key(event_id)]}",
        _KEYS,
    ),
    _fault(
        "A process remembers keys without a bound",
        _CODES,
        "        while len(known) > self._most_known:\n            known.popitem(last=False)\n",
        "",
        _KEYS,
    ),
    _fault(
        "A process keeps its own key although another one was stored",
        _CODES,
        "            found = await self._keys([event_id])\n        if not found:\n            raise",
        "            found = {event_id: key}\n        if not found:\n            raise",
        (*_KEYS, *_STORED),
    ),
    _fault(
        "Of two keys of an event the last one stays",
        "adapters/sql/repositories/code_keys.py",
        '_ADD = BulkInsert(code_keys, on_existing={"public": "{old}"})',
        '_ADD = BulkInsert(code_keys, on_existing={"public": "{new}", "sealed": "{new}", "sealed_by": "{new}"})',
        _STORED,
    ),
    _fault(
        "Keys of older secrets stay as they are",
        "application/background/seal_code_keys.py",
        "            sealed = [self._signer.sealed_anew(key) for key in",
        "            sealed = [key for key in",
        _KEYS,
    ),
    _fault(
        "A new name makes a new code",
        _CHANGE,
        "ticket = replace(ticket, holder_name=command.holder_name)",
        "ticket = replace(ticket, holder_name=command.holder_name, serial=ticket.serial + 1)",
        _RULES,
    ),
    _fault(
        "A new code is no fact",
        _CHANGE,
        "        builder.add_fact(TicketReissued(ticket_id=command.ticket_id, serial=ticket.serial), booking)\n",
        "",
        _LISTED,
    ),
    _fault(
        "A customer names tickets after the start",
        _CHANGE,
        "    if event.has_started(now):\n",
        "    if False:\n",
        _RULES,
    ),
    _fault(
        "A void ticket gets a new code",
        _CHANGE,
        "    if ticket_status(booking.status, ticket) is TicketStatus.VOID or",
        "    if",
        _RULES,
    ),
    _fault(
        "A ticket is found by its number alone",
        "domain/tickets/ticket.py",
        "    is_its = number in booking.ticket_numbers and ticket_id(booking.id, number) == ticket_id_\n",
        "    is_its = number in booking.ticket_numbers\n",
        _RULES,
    ),
    _fault(
        "A decision about a ticket alone is not saved",
        "domain/inventory.py",
        "self.changed_payments or self.tickets or self.check_ins)",
        "self.changed_payments or self.check_ins)",
        _LISTED,
    ),
    _fault(
        "Holders' names stay when an account is erased",
        "application/personal_data/finish_erasure.py",
        "        is_done = await self._forget_holders(erasure) and is_done\n",
        "",
        ("tests/application/personal_data/test_erase_account.py",),
    ),
    _fault(
        "A used ticket does not bind its customer",
        "domain/decisions/cancel.py",
        "    if booking.used:\n        return False\n",
        "",
        ("tests/domain/test_erasing.py",),
    ),
    _fault(
        "Tickets without numbers are said to be none",
        "application/tickets/list_tickets.py",
        "        if booking.status is BookingStatus.CONFIRMED and booking.first_ticket_number is None:\n",
        "        if False:\n",
        _LISTED,
    ),
    _fault(
        "A newer calendar file does not replace an older one",
        "entrypoints/http/schemas/tickets/calendar_files.py",
        'entry.add("sequence", event.version)',
        'entry.add("sequence", 1)',
        _HTTP,
    ),
    _fault(
        "QR codes have no quiet zone",
        "entrypoints/http/schemas/tickets/qr_codes.py",
        "_QUIET_ZONE: Final = 4",
        "_QUIET_ZONE: Final = 0",
        _HTTP,
    ),
)
