"""The rule of the state machine that is about parts of bookings."""

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .commands import GiveBack
from .door_machine import DoorMachine
from .model.booking import ModelBooking
from .strategies import ADMIN, CUSTOMERS, HELPERS, picks


class ReturningMachine(DoorMachine):
    """The rule about parts of bookings that are given back (promises 4, 5, 6 and 8)."""

    @rule(event=picks, which=picks, quantity=st.sampled_from([1, 1, 1, 2, 3]), chooses=st.booleans(), who=picks)
    @precondition(lambda self: self.has_bookings())
    def give_back(self, event: int, which: int, quantity: int, chooses: bool, who: int) -> None:
        """A user gives a part of a booking back, tickets of their choice or those with the highest numbers."""
        model_event = self.event(event)
        several = [each for each in model_event.bookings if each.quantity > 1] or model_event.bookings
        if not several:
            return
        paid = [each for each in several if each.is_paid and each.status == "confirmed"]
        several = paid if paid and which % 2 else several
        booking = several[which // 2 % len(several)]
        others = [model_event.organizer_id, ADMIN, CUSTOMERS[0], *HELPERS]
        actor_id = ([self.acting_customer(model_event, booking)] * 3 + others)[who % 8]
        known = self.ticket_numbers.get(booking.id, [])
        numbers = tuple(known[who % len(known) :][:quantity]) if chooses and known else None
        if numbers is not None and len(numbers) < quantity:
            numbers = None
        command = GiveBack(
            event_id=model_event.id,
            booking_id=booking.id,
            actor=self.actor(actor_id),
            quantity=quantity,
            numbers=numbers,
        )
        before = len(booking.refunds)
        found = self.execute(command)
        expected = self.model.give_back(model_event, booking, actor_id, quantity, numbers, known, self.clock.time)
        self.check_equal(found, expected)
        if len(booking.refunds) > before:
            booking.refunds[-1].id = self._new_refund(booking)
        self.check_door(model_event, model_event.organizer_id)

    def _new_refund(self, booking: ModelBooking) -> UUID:
        """Return the id of the refund that the model does not know yet, which is the newest."""
        look = self.run(self.box_office.booking(booking.id, self.actor(ADMIN)))
        assert not isinstance(look, str)
        known = {each.id for each in booking.refunds}
        unknown = [each for each in look.payments if each.kind == "refund" and each.id not in known]
        (refund,) = [each for each in unknown if each.amount.amount == booking.refunds[-1].amount]
        return refund.id
