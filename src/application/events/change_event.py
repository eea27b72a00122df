"""Change an event: its fields, its status, its ticket types."""

from msgspec.structs import replace

from ...domain.decisions.organize import (
    AddTicketType,
    Edit,
    EditTicketType,
    add_ticket_type,
    check_new_price,
    edit,
    edit_ticket_type,
    state,
)
from ...domain.decisions.payments.prices import Objection, any_price
from ...domain.tickets.ticket_type import EventState
from ..duties import Duties
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile


class ChangeEvent:
    """Change an event and settle it in the same transaction; `objection` says which prices can be charged."""

    def __init__(self, turnstile: Turnstile, duties: Duties, objection: Objection = any_price) -> None:
        self._turnstile = turnstile
        self._duties = duties
        self._objection = objection

    async def __call__(
        self, command: Edit | EditTicketType | AddTicketType, idempotent: IdempotentRequest[EventState] | None = None
    ) -> EventState:
        """Return the changed event.

        Raises: what the decision refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        check_new_price(command, self._objection)
        request = idempotent.bind(_state) if idempotent else None
        needs = LoadSpec(event_id=command.event_id, settles=True, sizes=True)
        known = replace(command, actor=await self._duties(command.actor, command.event_id))
        match known:
            case Edit():
                return _state(await self._turnstile.admit(known, needs, edit, request))
            case EditTicketType():
                return _state(await self._turnstile.admit(known, needs, edit_ticket_type, request))
            case _:
                return _state(await self._turnstile.admit(known, needs, add_ticket_type, request))


def _state(result: CommandResult[EventState]) -> EventState:
    """Return the event after the change and its settling."""
    return state(result.inventory)
