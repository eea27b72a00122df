"""Book tickets of one type, or join its waiting list."""

from ..domain.book import Book, book
from ..domain.booking import Booking
from .idempotency import Once
from .ports import Needs
from .turnstile import Turnstile, outcome


class BookTicket:
    """Book tickets of one type, or join its waiting list."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, command: Book, once: Once[Booking] | None = None) -> Booking:
        """The booking, held, confirmed or with its place in line.

        Raises: what `book` refuses, Unavailable; with `once` also Replayed, IdempotencyKeyReused.
        """
        needs = Needs(event_id=command.event_id, customer_id=command.actor.user_id)
        keyed = once.of(outcome) if once else None
        return outcome(await self._turnstile.admit(command, needs, book, keyed))
