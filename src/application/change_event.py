"""Change an event: its fields, its status, its ticket types."""

from ..domain.event import EventState
from ..domain.organize import AddTicketType, Edit, EditTicketType, add_ticket_type, edit, edit_ticket_type, state
from .ports import Needs
from .turnstile import Turnstile


class ChangeEvent:
    """Change an event, and do in the same transaction what follows for those in line."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, command: Edit | EditTicketType | AddTicketType) -> EventState:
        """The event as it is now. Raises: what the decision refuses, Unavailable."""
        needs = Needs(event_id=command.event_id, settles=True, sizes=True)
        match command:
            case Edit():
                return state((await self._turnstile.admit(command, needs, edit)).inventory)
            case EditTicketType():
                return state((await self._turnstile.admit(command, needs, edit_ticket_type)).inventory)
            case _:
                return state((await self._turnstile.admit(command, needs, add_ticket_type)).inventory)
