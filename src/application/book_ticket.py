"""Book tickets of one type, or join its waiting list."""

from ..domain.book import Book, book
from ..domain.booking import Booking
from .ports import Needs
from .turnstile import Turnstile


class BookTicket:
    """Book tickets of one type, or join its waiting list."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, command: Book) -> Booking:
        """The booking, confirmed or with its place in line. Raises: what `book` refuses, Unavailable."""
        needs = Needs(event_id=command.event_id, customer_id=command.actor.user_id)
        return (await self._turnstile.admit(command, needs, book)).outcome
