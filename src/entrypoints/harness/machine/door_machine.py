"""The rules of the state machine that are about the door: scans in any order, and their undoing."""

from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .box_office import HOLDERS, EventLook, ScanSent
from .comparing_machine import ComparingMachine
from .model.booking import ModelBooking
from .model.door import is_void
from .model.event import ModelEvent
from .strategies import ADMIN, CUSTOMERS, HELPERS, picks

_scans = st.lists(
    st.tuples(
        picks,
        st.sampled_from([-1, 0, 0, 1, 2]),
        st.booleans(),
        st.sampled_from(["new"] * 6 + ["again", "other", "old"]),
    ),
    min_size=1,
    max_size=6,
)
"""Of each scan: which ticket, when in minutes from now, whether offline, and what it is."""


class DoorMachine(ComparingMachine):
    """The rules about the door: of a ticket's entries the earliest counts, and no second one is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[ScanSent] = []

    @rule(event=picks, scans=_scans, who=picks)
    @precondition(lambda self: self.ticket_numbers)
    def scan(self, event: int, scans: list[tuple[int, int, bool, str]], who: int) -> None:
        """A scanner sends what it scanned, some of it again, of another event, or no code at all."""
        model_event = self.event(event)
        sent = [scan for drawn in scans if (scan := self._scan(model_event, *drawn)) is not None]
        if sent:
            self._check_in(model_event, sent, self._at_the_door(model_event, who))

    @rule(event=picks, scans=_scans)
    @precondition(lambda self: self.ticket_numbers)
    def two_scanners_without_a_network(self, event: int, scans: list[tuple[int, int, bool, str]]) -> None:
        """Two scanners let people in without a network; later they send everything, in two orders, some of it twice."""
        model_event = self.event(event)
        sent = [
            scan for which, at, _, _ in scans if (scan := self._scan(model_event, which, at, True, "new")) is not None
        ]
        for some in (sent[::2], list(reversed(sent)), sent):
            if some:
                self._check_in(model_event, some, model_event.organizer_id)

    @rule(event=picks, which=picks, who=picks)
    @precondition(lambda self: self.sent)
    def undo_check_in(self, event: int, which: int, who: int) -> None:
        """Somebody undoes an entry, perhaps again, of another event, or one that was never recorded."""
        model_event = self.event(event)
        check_in_id = self.sent[which % len(self.sent)].id
        actor_id = self._at_the_door(model_event, who)
        found = self.run(self.box_office.undo_check_in(model_event.id, check_in_id, self.actor(actor_id)))
        entry = next((each for each in self.model.door.of(model_event) if each.id == check_in_id), None)
        refused = self.model.role_refuses(model_event, actor_id, "door") or ("not-found" if entry is None else None)
        if refused is None:
            model_event.expire_holds(self.clock.time)
        self.check_equal(found, refused or (entry and self.model.door.undo(model_event, entry)))
        self.check_door(model_event, model_event.organizer_id)

    @rule(event=picks, which=picks, who=picks, holder=st.sampled_from([None, *HOLDERS]), reissue=st.booleans())
    @precondition(lambda self: self.ticket_numbers)
    def change_ticket(self, event: int, which: int, who: int, holder: str | None, reissue: bool) -> None:
        """Somebody names the holder of a ticket, or gives it a new code, which makes the earlier ones void."""
        model_event = self.event(event)
        tickets = list(self._tickets(model_event).items())
        if not tickets or (holder is None and not reissue):
            return
        number, booking = tickets[which % len(tickets)]
        if not self.can_sign_in(booking.customer_id):
            return
        customer_id = self.acting_customer(model_event, booking)
        actor_id = [customer_id, customer_id, self._at_the_door(model_event, who)][who % 3]
        found = self.run(
            self.box_office.change_ticket(booking.id, number, self.actor(actor_id), holder, reissue=reissue)
        )
        model_event.expire_holds(self.clock.time)
        refused = self._changing_is_refused(model_event, booking, number, actor_id)
        self.check_equal(
            found, refused or self.model.door.change(model_event, booking, number, holder, reissue=reissue)
        )
        self.check_tickets(model_event, booking, customer_id)
        self.check_door(model_event, model_event.organizer_id)

    @rule(event=picks, which=picks, who=picks)
    @precondition(lambda self: self.ticket_numbers)
    def read_tickets(self, event: int, which: int, who: int) -> None:
        """Somebody reads the tickets of a booking."""
        model_event = self.event(event)
        known = [each for each in model_event.bookings if each.id in self.ticket_numbers]
        if known:
            booking = known[which % len(known)]
            self.check_tickets(model_event, booking, self._at_the_door(model_event, who))

    @rule(event=picks, who=picks)
    def read_door(self, event: int, who: int) -> None:
        """Somebody reads what a scanner needs."""
        model_event = self.event(event)
        self.check_door(model_event, self._at_the_door(model_event, who))

    def check_door(self, event: ModelEvent, actor_id: UUID) -> None:
        """Check what a scanner is told: void and used tickets, and all that were let in more than once."""
        found = self.run(self.box_office.door(event.id, self.actor(actor_id)))
        refused = self.model.role_refuses(event, actor_id, "door")
        self.check_equal(found, refused or self.model.door.seen(event, self._tickets(event)))

    def check_tickets(self, event: ModelEvent, booking: ModelBooking, actor_id: UUID) -> None:
        """Check the tickets of a booking, with the serials of their codes."""
        found = self.run(self.box_office.tickets(booking.id, self.actor(actor_id)))
        may_see = booking.customer_id == actor_id or self.model.may(event, actor_id, "door")
        numbers = self.ticket_numbers[booking.id]
        shown = [self.model.door.ticket(event, booking, number) for number in numbers]
        self.check_equal(found, shown if may_see else "not-found")

    def _changing_is_refused(self, event: ModelEvent, booking: ModelBooking, number: int, actor_id: UUID) -> str | None:
        if not self.model.may_with(event, booking, actor_id, "desk"):
            if booking.customer_id != actor_id:
                return "not-allowed" if self.model.may(event, actor_id, "door") else "not-found"
            if event.has_started(self.clock.time):
                return "event-started"
            if event.status == "completed":
                return "event-closed"
        return "ticket-void" if is_void(event, booking, number) else None

    def check_uses(self, event: ModelEvent, look: EventLook) -> None:
        """Check when each ticket was used, and that there is a ticket that is not void for each confirmed place."""
        door = self.model.door
        for each in look.attendees:
            self.check_equal(each.checked_in_at, door.used_at(event, each.number))
            self.check_equal(each.status == "used", each.status != "void" and each.checked_in_at is not None)
        places = sum(booking.quantity for booking in event.bookings if booking.status == "confirmed")
        self.check_equal(sum(each.status != "void" for each in look.attendees), places)

    def _check_in(self, event: ModelEvent, sent: list[ScanSent], actor_id: UUID) -> None:
        found = self.run(self.box_office.scan(event.id, self.actor(actor_id), sent))
        refused = self.model.role_refuses(event, actor_id, "door")
        if refused is None:
            event.expire_holds(self.clock.time)
        bookings = {booking.id: booking for each in self.model.events.values() for booking in each.bookings}
        self.check_equal(found, refused or self.model.door.scan(event, sent, bookings))
        self.check_door(event, event.organizer_id)

    def _scan(self, event: ModelEvent, which: int, minutes: int, is_offline: bool, kind: str) -> ScanSent | None:
        """Return what is scanned; None if no ticket is known of the event."""
        if kind == "again" and self.sent:
            return self.sent[which % len(self.sent)]
        event = self.event(which) if kind == "other" else event
        tickets = list(self._tickets(event).items())
        if not tickets:
            return None
        number, booking = tickets[which % len(tickets)]
        scan = ScanSent(
            id=self.ids.new(),
            event_id=event.id,
            booking_id=None if kind == "again" else booking.id,
            number=number,
            serial=max(1, self.model.door.serial(event, number) - (kind == "old")),
            at=self.clock.time + timedelta(minutes=minutes),
            is_offline=is_offline,
        )
        self.sent.append(scan)
        return scan

    def _tickets(self, event: ModelEvent) -> dict[int, ModelBooking]:
        """Return the tickets of an event with their bookings, as far as they were seen."""
        known = self.ticket_numbers
        return {number: booking for booking in event.bookings for number in known.get(booking.id, ())}

    def _at_the_door(self, event: ModelEvent, who: int) -> UUID:
        return [event.organizer_id, event.organizer_id, ADMIN, *HELPERS, CUSTOMERS[0]][who % 6]
