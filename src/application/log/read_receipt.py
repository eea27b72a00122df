"""Read a receipt: the proof that a booking's latest fact is in its event's log."""

from uuid import UUID

from ...domain.event import LogMode
from ...domain.log.tiles import TILE_WIDTH, inclusion_proof, inclusion_tiles
from ...domain.policy import PersonalRight
from ...domain.refusals import NotAllowed, NotFound
from ...domain.user import Actor
from ..duties import Duties, check_shows_booking
from ..ports.errors import Unavailable
from ..ports.log.formats import LogFormats, Receipt
from ..ports.log.storage import LogQueries
from ..ports.queries import BookingQueries
from .read_log import SEALED_WITHIN


class ReadReceipt:
    """Prove a booking's latest fact to its customer, and open what its entry commits to."""

    def __init__(self, bookings: BookingQueries, logs: LogQueries, duties: Duties, formats: LogFormats) -> None:
        self._bookings = bookings
        self._logs = logs
        self._duties = duties
        self._formats = formats

    async def __call__(self, booking_id: UUID, actor: Actor) -> str:
        """Return the receipt as text.

        Raises: NotFound, also where the event has no log; NotAllowed: the actor is not the customer; Unavailable, also
        until the fact is sealed.
        """
        event_id = await self._event_of(booking_id, actor)
        fact = await self._logs.latest_fact(booking_id)
        checkpoint = await self._logs.checkpoint(event_id)
        size = 0 if checkpoint is None else self._formats.size(checkpoint)
        if fact is None or checkpoint is None or size < fact.seq:
            raise Unavailable("The log does not have it yet; try again in a moment.", retry_after=SEALED_WITHIN)
        index = fact.seq - 1
        tiles = await self._logs.tiles(event_id, inclusion_tiles(index, size))
        bundle = await self._logs.bundle(event_id, index // TILE_WIDTH)
        entry = self._formats.entries(bundle)[index % TILE_WIDTH]
        opening = self._formats.opening(event_id, fact)
        # Facts that were sealed for an erased account open for nobody.
        opens = opening is not None and self._formats.opens(entry, opening)
        return self._formats.receipt(
            Receipt(index, inclusion_proof(index, size, tiles), checkpoint, entry, opening if opens else None)
        )

    async def _event_of(self, booking_id: UUID, actor: Actor) -> UUID:
        found = await self._bookings.booking(booking_id)
        if found is None:
            raise NotFound
        await check_shows_booking(found, self._duties, actor)
        if found.event.log is LogMode.OFF:
            raise NotFound("The event has no log.")
        if not actor.is_customer(found.booking.customer_id):
            raise NotAllowed("You may see the booking, but only its customer gets its receipt.")
        actor.check_may_personally(PersonalRight.SEE_OWN_BOOKINGS, found.event.id)
        return found.event.id
