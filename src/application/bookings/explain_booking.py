"""Explain why a booking stands where it stands."""

from uuid import UUID

from ...domain.explanations.explanation import Explanation, explain
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..duties import Duties, check_shows_booking
from ..ports.queries import BookingOfEvent, ExplanationQueries
from ..ports.system import Clock
from .line_histories import LineHistories


class ExplainBooking:
    """Explain a booking to its customer and to those who may see the bookings of its event."""

    def __init__(self, queries: ExplanationQueries, histories: LineHistories, duties: Duties, clock: Clock) -> None:
        self._queries = queries
        self._histories = histories
        self._duties = duties
        self._clock = clock

    async def __call__(self, booking_id: UUID, actor: Actor) -> Explanation:
        """Return the explanation. Raises: NotFound, NotAllowed, Unavailable."""
        found = await self._queries.explained(booking_id)
        if found is None:
            raise NotFound
        await check_shows_booking(BookingOfEvent(found.booking, found.event), self._duties, actor)
        history = await self._histories.up_to(found.event.id, found.event.last_seq)
        return explain(found, history, self._clock.now())
