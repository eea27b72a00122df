"""Change an event: its fields, its status, its ticket types."""

from ...domain.decisions.organize import (
    AddTicketType,
    Edit,
    EditTicketType,
    add_ticket_type,
    edit,
    edit_ticket_type,
    state,
)
from ...domain.event import EventState
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..turnstile.pending_command import CommandResult
from ..turnstile.turnstile import Turnstile


class ChangeEvent:
    """Change an event, and do in the same transaction what follows for those in line."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(
        self, command: Edit | EditTicketType | AddTicketType, once: IdempotentRequest[EventState] | None = None
    ) -> EventState:
        """The event as it is now.

        Raises: what the decision refuses, Unavailable; with `once` also Replayed, IdempotencyKeyReused.
        """
        keyed = once.bind(_state) if once else None
        needs = LoadSpec(event_id=command.event_id, settles=True, sizes=True)
        match command:
            case Edit():
                return _state(await self._turnstile.admit(command, needs, edit, keyed))
            case EditTicketType():
                return _state(await self._turnstile.admit(command, needs, edit_ticket_type, keyed))
            case _:
                return _state(await self._turnstile.admit(command, needs, add_ticket_type, keyed))


def _state(admitted: CommandResult[EventState]) -> EventState:
    """After all that the change led to."""
    return state(admitted.inventory)
