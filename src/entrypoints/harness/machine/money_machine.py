"""The rules of the state machine that are about money: payments, refunds, disputes."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ....application.bookings.pay_booking import Bill
from ....application.payments.grant_refund import Grant
from ....application.payments.settle_refund import Settlement
from ....domain.decisions.payments.notices import NoticeKind, PaymentNotice
from ....domain.payment import PaymentMethod
from ....domain.values.money import Money
from .box_office import Outcome, PaymentSeen
from .model.booking import ASKS, DECLINES, SILENT, TAKES, ModelBooking, ModelRefund
from .model.event import ModelEvent
from .staff_machine import StaffMachine
from .strategies import ADMIN, CUSTOMERS, HELPERS, picks

_REFUNDS: Final = {NoticeKind.REFUND_DONE: "succeeded", NoticeKind.REFUND_FAILED: "failed"}
_DISPUTES: Final = {
    NoticeKind.DISPUTE_OPENED: "open",
    NoticeKind.DISPUTE_WON: "won",
    NoticeKind.DISPUTE_LOST: "lost",
}


class MoneyMachine(StaffMachine):
    """The rules about money (promise 8)."""

    @rule(
        event=picks,
        which=picks,
        token=st.sampled_from([TAKES, TAKES, TAKES, DECLINES, SILENT, ASKS, ""]),
        who=picks,
    )
    @precondition(lambda self: self.has_bookings())
    def pay(self, event: int, which: int, token: str, who: int) -> None:
        """A user pays, in time or late, by card or in cash; the provider may not answer."""
        model_event = self.event(event)
        if not model_event.bookings:
            return
        booking = model_event.bookings[which % len(model_event.bookings)]
        if token in (SILENT, ASKS) and any(each.has_open_charge for each in model_event.bookings):
            # Which of two open charges is resolved first is not specified.
            token = TAKES
        customer_id = self.acting_customer(model_event, booking)
        likely = model_event.organizer_id if token == "" else customer_id
        others = [customer_id, model_event.organizer_id, CUSTOMERS[0], *HELPERS]
        actor_id = [likely, likely, likely, *others][who % 8]
        bill = Bill(
            booking_id=booking.id,
            actor=self.actor(actor_id),
            method=PaymentMethod.CARD if token else PaymentMethod.CASH,
            token=token,
        )
        found = self.execute(bill)
        expected = self.model.pay(model_event, booking, actor_id, token, self.clock.time)
        self.check_equal(found, expected)

    @rule()
    @precondition(
        lambda self: any(each.awaits_customer for event in self.model.events.values() for each in event.bookings)
    )
    def act(self) -> None:
        """Customers authenticate their charges at the bank, in time or late, and tell nobody (promise 8)."""
        self.run(self.box_office.act())
        self.model.act()

    @rule(which=picks, amount=st.integers(1, 3), who=picks)
    @precondition(lambda self: self.paid_bookings())
    def grant_refund(self, which: int, amount: int, who: int) -> None:
        """A user gives a part of a payment back, or more than there is."""
        event, booking = self.paid_booking(which)
        actor_id = self.manager_or_other(event, booking, who)
        minor_units = max(1, amount * booking.price.amount // 2)
        grant = Grant(
            booking_id=booking.id,
            actor=self.actor(actor_id),
            amount=Money(minor_units, booking.price.currency),
            reason="A pillar",
        )
        found = self.execute(grant)
        refused = self.model.refunding_is_refused(event, booking, actor_id, self.clock.time, role="manager")
        expected = refused or booking.grant(minor_units)
        self.check_refund(found, booking, expected)
        if isinstance(expected, ModelRefund) and isinstance(found, PaymentSeen):
            expected.id = found.id

    @rule(which=picks, payment=picks, who=picks)
    @precondition(lambda self: self.paid_bookings())
    def settle_refund(self, which: int, payment: int, who: int) -> None:
        """A user says that a refund was paid by hand; it may not be one, or not be due."""
        event, booking = self.paid_booking(which)
        seen, refund = self.payment(booking, payment)
        actor_id = self.manager_or_other(event, booking, who)
        found = self.execute(Settlement(booking_id=booking.id, payment_id=seen.id, actor=self.actor(actor_id)))
        refused = self.model.refunding_is_refused(event, booking, actor_id, self.clock.time, role="desk")
        self.check_refund(found, booking, refused or booking.settle(refund))

    @rule(which=picks, payment=picks, kind=st.sampled_from(NoticeKind), age=st.sampled_from([0, 0, 0, 1, 2]))
    @precondition(lambda self: self.paid_bookings())
    def notice(self, which: int, payment: int, kind: NoticeKind, age: int) -> None:
        """The provider tells of a refund or a dispute, late or in another order, or something that is known."""
        event, booking = self.paid_booking(which)
        seen, refund = self.payment(booking, payment)
        if seen.status == "failed" and seen.kind == "charge":
            return
        told_at = self.clock.time - timedelta(hours=age)
        self.run(self.box_office.notice(PaymentNotice(payment_id=seen.id, kind=kind, occurred_at=told_at)))
        event.expire_holds(self.clock.time)
        if refund is not None and kind in _REFUNDS:
            booking.hear_of_refund(refund, _REFUNDS[kind], told_at)
        elif refund is None and kind in _DISPUTES:
            booking.hear_of_dispute(_DISPUTES[kind], told_at)

    @rule(refuses=st.booleans())
    def refuse_refunds(self, refuses: bool) -> None:
        """The provider refuses refunds for good, or pays them again."""
        self.run(self.box_office.refuse_refunds(refuses))
        self.refuses_refunds = refuses

    def paid_bookings(self) -> list[tuple[ModelEvent, ModelBooking]]:
        """Return the bookings for which money was taken."""
        return [(event, each) for event in self.model.events.values() for each in event.bookings if each.is_paid]

    def paid_booking(self, number: int) -> tuple[ModelEvent, ModelBooking]:
        """Return the paid booking that a drawn number chooses."""
        found = self.paid_bookings()
        return found[number % len(found)]

    def manager_or_other(self, event: ModelEvent, booking: ModelBooking, who: int) -> UUID:
        """Return the user that a drawn number chooses, mostly one who manages the event."""
        likely = [event.organizer_id, event.organizer_id, ADMIN]
        return [*likely, self.acting_customer(event, booking), CUSTOMERS[0], *HELPERS][who % 7]

    def payment(self, booking: ModelBooking, number: int) -> tuple[PaymentSeen, ModelRefund | None]:
        """Return the charge or refund that a drawn number chooses, and what the model has of a refund."""
        look = self.run(self.box_office.booking(booking.id, self.actor(ADMIN)))
        assert not isinstance(look, str)
        refunds = [each for each in look.payments if each.kind == "refund"]
        known = {each.id: each for each in booking.refunds}
        assert len(refunds) == len(booking.refunds)
        seen = look.payments[number % len(look.payments)]
        # The id of the refund that ends a charge is not known before it is read.
        return seen, known.get(seen.id, known.get(None)) if seen.kind == "refund" else None

    def check_refund(self, found: Outcome, booking: ModelBooking, expected: ModelRefund | str) -> None:
        """Check the answer about a refund."""
        if isinstance(expected, str):
            self.check_equal(found, expected)
            return
        assert isinstance(found, PaymentSeen), f"expected {expected}, not {found}"
        told = (found.kind, found.status, found.method, found.amount)
        method = "cash" if booking.in_cash else "card"
        self.check_equal(told, ("refund", expected.status, method, Money(expected.amount, booking.price.currency)))
