"""Book tickets of one type, or join its waiting list."""

from msgspec.structs import replace

from ...domain.booking import Booking
from ...domain.decisions.book import Book, book
from ...domain.refusals import NotFound
from ..duties import Duties
from ..ports.idempotency import IdempotentRequest
from ..ports.loading import LoadSpec
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class BookTicket:
    """Book tickets of one type, or join its waiting list."""

    def __init__(self, turnstile: Turnstile, duties: Duties) -> None:
        self._turnstile = turnstile
        self._duties = duties

    async def __call__(self, command: Book, idempotent: IdempotentRequest[Booking] | None = None) -> Booking:
        """Return the booking: held, confirmed or with its place in the waiting list.

        Raises: what `book` refuses, Unavailable; with `idempotent` also Replayed, IdempotencyKeyReused.
        """
        needs = LoadSpec(event_id=command.event_id, customer_id=command.actor.user_id)
        request = idempotent.bind(outcome) if idempotent else None
        try:
            return outcome(await self._turnstile.admit(command, needs, book, request))
        except NotFound:
            # Only a draft is hidden from customers, and its staff sees it. For other bookings no duty is read.
            known = await self._duties(command.actor, command.event_id)
            if known is command.actor:
                raise
        return outcome(await self._turnstile.admit(replace(command, actor=known), needs, book, request))
