"""Change an event: its fields, its status, its ticket types."""

from ..domain.event import EventState
from ..domain.organize import AddTicketType, Edit, EditTicketType, add_ticket_type, edit, edit_ticket_type, state
from .idempotency import Once
from .ports import Needs
from .turnstile import Admitted, Turnstile


class ChangeEvent:
    """Change an event, and do in the same transaction what follows for those in line."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(
        self, command: Edit | EditTicketType | AddTicketType, once: Once[EventState] | None = None
    ) -> EventState:
        """The event as it is now.

        Raises: what the decision refuses, Unavailable; with `once` also Replayed, IdempotencyKeyReused.
        """
        keyed = once.of(_state) if once else None
        needs = Needs(event_id=command.event_id, settles=True, sizes=True)
        match command:
            case Edit():
                return _state(await self._turnstile.admit(command, needs, edit, keyed))
            case EditTicketType():
                return _state(await self._turnstile.admit(command, needs, edit_ticket_type, keyed))
            case _:
                return _state(await self._turnstile.admit(command, needs, add_ticket_type, keyed))


def _state(admitted: Admitted[EventState]) -> EventState:
    """After all that the change led to."""
    return state(admitted.inventory)
