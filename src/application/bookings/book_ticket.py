"""Book tickets of one type, or join its waiting list."""

from ...domain.booking import Booking
from ...domain.decisions.book import Book, book
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class BookTicket:
    """Book tickets of one type, or join its waiting list."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, command: Book, idempotent: IdempotentRequest[Booking] | None = None) -> Booking:
        """Return the booking: held, confirmed or with its place in the waiting list.

        Raises: what `book` refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        needs = LoadSpec(event_id=command.event_id, customer_id=command.actor.user_id)
        request = idempotent.bind(outcome) if idempotent else None
        return outcome(await self._turnstile.admit(command, needs, book, request))
