"""Paying: the decisions before and after the provider is called.

The provider is called outside the event's lock. The attempt is recorded before and its outcome after, so a retry, also
after a crash, uses the same reference and does not charge twice (promise 8).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...booking import Booking, BookingStatus, PaymentStatus
from ...event import EventStatus
from ...facts import PaymentFailed, PaymentStarted, PaymentTaken
from ...inventory import Decision, Inventory
from ...payment import GIVE_UP, UNDER_WAY, ChargeStatus, Payment, PaymentKind, PaymentMethod, surplus_of
from ...policy import PersonalRight, Right
from ...refusals import NotAllowed, PaymentNotDue, PaymentUnderWay, PaymentWindowClosed
from ...user import Actor
from ...values.money import Money
from ..decision_builder import DecisionBuilder
from ..settle import lapse_hold
from .refunds import owe_refund, record_refund

SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = {PaymentKind.CHARGE: timedelta(seconds=5), PaymentKind.REFUND: timedelta(hours=1)}
"""Bounds of the pause between two questions about a payment, which doubles. A customer may be waiting for a charge."""

LONGEST_WAIT = timedelta(hours=1)
LONGEST_WAIT_WITH_HOLD = timedelta(seconds=30)
"""Upper bounds of the pause while a charge waits for its customer."""

LAST_MOMENT = timedelta(seconds=5)
"""How long before its hold ends the provider is asked for the last time whether the customer has paid."""


class Pay(Struct, frozen=True, gc=False, kw_only=True):
    """Pay for a booking. `payment_id` is a new id: of a new charge, or of another attempt at a pending one."""

    payment_id: UUID
    booking_id: UUID
    event_id: UUID
    actor: Actor
    method: PaymentMethod
    key: str | None = None


class Answer(StrEnum):
    """The provider's answer about a charge or refund.

    `ACTION_REQUIRED`: a charge waits for its customer to authenticate it. `DECLINED` refuses a refund for now, `FAILED`
    for good. `SILENT`: no answer that can be relied on.
    """

    DONE = "done"
    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    SILENT = "silent"


class CompletePayment(Struct, frozen=True, gc=False, kw_only=True):
    """Record the provider's answer about a charge or refund.

    `booking_id` and `customer_id` are those of its booking. `seen` is its `tried_at` when the provider was asked: the
    answers `NOT_FOUND` and `FAILED` count only if there was no other attempt since then. `provider_id` is the
    provider's own id of a charge, if it told one.
    """

    payment_id: UUID
    event_id: UUID
    booking_id: UUID
    customer_id: UUID
    answer: Answer
    seen: datetime
    provider_id: str | None = None


class Attempt(Struct, frozen=True, gc=False):
    """A charge and its booking. The provider must be called while it is pending. `is_new`: for the first time.

    `is_abandoned`: see the function.
    """

    payment: Payment
    booking: Booking
    is_new: bool
    is_abandoned: bool = False


def is_abandoned(charge: Payment, booking: Booking, now: datetime) -> bool:
    """Return whether a charge that waits for its customer shall end, because the booking has no tickets any more.

    If it goes through nevertheless, the money is owed back, like that of any late charge (promise 8). A customer who
    began to pay after the hold lapsed, while there are tickets, has `GIVE_UP` to authenticate it.
    """
    booking = booking.as_of(now)
    if booking.status.takes_tickets:
        return False
    lapsed_at = booking.expires_at if booking.status is BookingStatus.EXPIRED else None
    return lapsed_at is None or charge.created_at < lapsed_at or now >= charge.created_at + GIVE_UP


def start_payment(inventory: Inventory, command: Pay, now: datetime) -> Decision[Attempt]:
    """Start a charge, or resume one whose outcome is unknown. Cash succeeds at once.

    If a charge with the same key already succeeded, because the process crashed before it answered, return that one
    instead of refusing with PaymentNotDue (promise 3).

    Raises: NotFound, NotAllowed, PaymentWindowClosed, PaymentNotDue, PaymentUnderWay.
    """
    booking = inventory.booking(command.booking_id)
    _check_may_pay(inventory, booking, command)
    pending = pending_charge(inventory, booking)
    if pending is not None:
        return _resume_charge(inventory, booking, pending, command, now)
    builder = DecisionBuilder(inventory, now)
    earlier = _charge_of_key(inventory, booking, command)
    if earlier is not None:
        return builder.decision(Attempt(earlier, booking, False))
    _check_payable(inventory, booking, now)
    is_cash = command.method is PaymentMethod.CASH
    payment = Payment(
        id=command.payment_id,
        event_id=booking.event_id,
        booking_id=booking.id,
        kind=PaymentKind.CHARGE,
        status=ChargeStatus.SUCCEEDED if is_cash else ChargeStatus.PENDING,
        method=command.method,
        amount=booking.amount,
        created_at=now,
        tried_at=now,
        settled_at=now if is_cash else None,
        ask_at=None if is_cash else now + UNDER_WAY,
        key=command.key,
        tried_by=command.payment_id,
    )
    builder.add_payment(payment)
    if is_cash:
        booking = _take_money(builder, booking, payment)
    else:
        builder.add_fact(PaymentStarted(payment_id=payment.id, method=payment.method, amount=payment.amount), booking)
    return builder.decision(Attempt(payment, booking, True))


def complete_payment(inventory: Inventory, command: CompletePayment, now: datetime) -> Decision[Attempt]:
    """Record the provider's answer. Repeating it has no effect.

    Raises: NotFound.
    """
    payment = inventory.payment(command.payment_id)
    booking = inventory.booking(payment.booking_id)
    builder = DecisionBuilder(inventory, now)
    if payment.kind is PaymentKind.REFUND:
        payment, booking = _complete_refund(builder, booking, payment, command)
    else:
        payment = _with_provider_id(builder, payment, command)
        payment, booking = record_charge(builder, booking, payment, _answer_about_charge(payment, command, now))
    return builder.decision(Attempt(payment, booking, False))


def record_charge(
    builder: DecisionBuilder, booking: Booking, charge: Payment, answer: Answer
) -> tuple[Payment, Booking]:
    """Record an answer about a charge, and return the charge and its booking. A charge that was taken never changes."""
    # A charge that was given up as unknown to the provider may have succeeded after all.
    if charge.status is ChargeStatus.SUCCEEDED or (charge.status is ChargeStatus.FAILED and answer is not Answer.DONE):
        return charge, booking
    charge = replace(charge, awaits_customer=False)
    if answer is Answer.DONE:
        taken = replace(charge, status=ChargeStatus.SUCCEEDED, settled_at=builder.now, ask_at=None)
        builder.change_payment(taken)
        return taken, _take_money(builder, booking, taken)
    if answer is Answer.DECLINED:
        failed = replace(charge, status=ChargeStatus.FAILED, settled_at=builder.now, ask_at=None)
        builder.change_payment(failed)
        builder.add_fact(PaymentFailed(payment_id=failed.id), booking)
        return failed, booking
    if answer is Answer.ACTION_REQUIRED:
        asked = _to_ask_in_time(charge, booking, builder.now)
    else:
        asked = _to_ask_again(charge, builder.now)
    builder.change_payment(asked)
    return asked, booking


def _with_provider_id(builder: DecisionBuilder, charge: Payment, command: CompletePayment) -> Payment:
    """Return the charge with the provider's own id, which is kept however the charge ends."""
    if command.provider_id is None or charge.provider_id == command.provider_id:
        return charge
    charge = replace(charge, provider_id=command.provider_id)
    builder.change_payment(charge)
    return charge


def _answer_about_charge(charge: Payment, command: CompletePayment, now: datetime) -> Answer:
    """Return the answer; a charge that the provider still does not know after a while is given up."""
    is_current = command.seen == charge.tried_at
    is_given_up = command.answer is Answer.NOT_FOUND and is_current and now >= charge.tried_at + GIVE_UP
    return Answer.DECLINED if is_given_up else command.answer


def _complete_refund(
    builder: DecisionBuilder, booking: Booking, refund: Payment, command: CompletePayment
) -> tuple[Payment, Booking]:
    if refund.status is not ChargeStatus.PENDING:
        return refund, booking
    is_failed = command.answer is Answer.FAILED and command.seen == refund.tried_at
    if command.answer is Answer.DONE or is_failed:
        status = ChargeStatus.FAILED if is_failed else ChargeStatus.SUCCEEDED
        ended = replace(refund, status=status, settled_at=builder.now, ask_at=None)
        return ended, record_refund(builder, booking, ended)
    # It is owed whatever the provider answers, so it is tried until the answer is final. If nothing asks any more, it
    # waits for the end of a dispute.
    if refund.ask_at is None:
        return refund, booking
    refund = _to_ask_again(refund, builder.now)
    builder.change_payment(refund)
    return refund, booking


def _to_ask_again(payment: Payment, now: datetime) -> Payment:
    pause = min(SHORTEST_PAUSE * 2 ** min(payment.attempts, 20), LONGEST_PAUSE[payment.kind])
    is_fresh_charge = payment.kind is PaymentKind.CHARGE and payment.attempts == 0
    return replace(payment, attempts=payment.attempts + 1, ask_at=now if is_fresh_charge else now + pause)


def _to_ask_in_time(charge: Payment, booking: Booking, now: datetime) -> Payment:
    """Return a charge that waits for its customer, to be asked about just before its hold ends and when it ends.

    A customer who pays in time must not lose the tickets because it is learned too late.
    """
    ends_at = booking.expires_at
    longest = LONGEST_WAIT if ends_at is None else LONGEST_WAIT_WITH_HOLD
    moments = [now + min(SHORTEST_PAUSE * 2 ** min(charge.attempts, 20), longest)]
    if ends_at is not None:
        moments += [moment for moment in (ends_at - LAST_MOMENT, ends_at) if now < moment]
    return replace(charge, attempts=charge.attempts + 1, ask_at=min(moments), awaits_customer=True)


def _take_money(builder: DecisionBuilder, booking: Booking, payment: Payment) -> Booking:
    """Give the tickets if they are available, otherwise owe a refund; exactly one of the two (promise 8)."""
    if booking.has_lapsed(builder.now):
        booking = lapse_hold(builder, booking)
    if booking.payment_status not in (PaymentStatus.NONE, PaymentStatus.DUE):
        # A second charge succeeded late: the booking is already paid, so this one is refunded.
        gets_tickets, paid = False, replace(booking, updated_at=builder.now)
    else:
        gets_tickets = booking.status.takes_tickets or _may_take_again(builder.current, booking, builder.now)
        paid = replace(
            booking,
            status=BookingStatus.CONFIRMED if gets_tickets else booking.status,
            payment_status=PaymentStatus.TAKEN if gets_tickets else PaymentStatus.REFUND_PENDING,
            expires_at=None if gets_tickets else booking.expires_at,
            paid_by=payment.id,
            paid_with=payment.method,
            kept=payment.amount.amount if gets_tickets else 0,
            updated_at=builder.now,
        )
    surplus = _surplus(booking, payment) if gets_tickets else None
    if surplus is not None:
        paid = replace(paid, kept=paid.kept - surplus.amount)
    paid = builder.change(booking, paid)
    if gets_tickets and booking.status is BookingStatus.EXPIRED and builder.ticket_type(booking.ticket_type_id).waiting:
        builder.count_overtake(booking.ticket_type_id)
    builder.add_fact(
        PaymentTaken(
            payment_id=payment.id,
            method=payment.method,
            amount=payment.amount,
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            was=booking.status,
            status=paid.status,
            payment_status=paid.payment_status,
            paid_by=paid.paid_by,
            refund=surplus,
        ),
        booking,
    )
    if surplus is not None:
        refund_id = surplus_of(payment.id)
        owe_refund(builder, paid, surplus, charge_id=payment.id, method=payment.method, refund_id=refund_id)
    if not gets_tickets:
        owe_refund(builder, paid, payment.amount, charge_id=payment.id, method=payment.method)
    return paid


def _surplus(booking: Booking, charge: Payment) -> Money | None:
    """Return what a charge took too much: tickets were given back after it was started."""
    too_much = charge.amount.amount - booking.amount.amount
    return Money(too_much, booking.amount.currency) if too_much > 0 else None


def _may_take_again(inventory: Inventory, booking: Booking, now: datetime) -> bool:
    """Return whether an expired hold may get its tickets back, as for a newcomer but at any time before the start."""
    if booking.status is not BookingStatus.EXPIRED or not inventory.event.serves_waiting_list(now):
        return False
    live = [
        each for each in inventory.of_customers if each.customer_id == booking.customer_id and each.id != booking.id
    ]
    if any(each.ticket_type_id == booking.ticket_type_id for each in live):
        return False
    if sum(each.quantity for each in live) + booking.quantity > inventory.event.max_tickets_per_customer:
        return False
    return not inventory.ticket_type(booking.ticket_type_id).must_wait(booking.quantity, inventory.event, now)


def _check_may_pay(inventory: Inventory, booking: Booking, command: Pay) -> None:
    """Raise a refusal unless the customer pays by card or someone with the right records cash (promise 9)."""
    if command.method is PaymentMethod.CASH:
        inventory.event.check_may_with_booking(booking.customer_id, command.actor, Right.TAKE_CASH)
        return
    inventory.event.check_shows_booking(booking.customer_id, command.actor)
    if not command.actor.is_customer(booking.customer_id):
        raise NotAllowed("Only the customer may pay by card; you may record cash.")
    command.actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, inventory.event.id)


def pending_charge(inventory: Inventory, booking: Booking) -> Payment | None:
    """Return the charge of a booking that has no outcome yet."""
    for payment in inventory.payments:
        is_charge = payment.booking_id == booking.id and payment.kind is PaymentKind.CHARGE
        if is_charge and payment.status is ChargeStatus.PENDING:
            return payment
    return None


def _charge_of_key(inventory: Inventory, booking: Booking, command: Pay) -> Payment | None:
    """Return the successful charge of the command's key and method. Card and cash are paid by different users."""
    for payment in inventory.payments:
        has_key = command.key is not None and (payment.key, payment.method) == (command.key, command.method)
        is_taken = payment.kind is PaymentKind.CHARGE and payment.status is ChargeStatus.SUCCEEDED
        if payment.booking_id == booking.id and has_key and is_taken:
            return payment
    return None


def _resume_charge(
    inventory: Inventory, booking: Booking, pending: Payment, command: Pay, now: datetime
) -> Decision[Attempt]:
    # When the outcome of a COMMIT is unknown, the command is run again and may find its own attempt.
    is_own = pending.tried_by == command.payment_id
    # A pending card charge may have succeeded, so cash is not accepted beside it.
    if pending.method is not command.method or (_is_being_asked(pending, now) and not is_own):
        raise PaymentUnderWay
    builder = DecisionBuilder(inventory, now)
    resumed = replace(pending, tried_at=now, ask_at=now + UNDER_WAY, tried_by=command.payment_id, awaits_customer=False)
    builder.change_payment(resumed)
    return builder.decision(Attempt(resumed, booking, False, is_abandoned(pending, booking, now)))


def _is_being_asked(pending: Payment, now: datetime) -> bool:
    """Return whether an attempt may be in progress. A time further in the future was set by a clock that was ahead.

    While a charge waits for its customer, none is: the customer comes back at any time.
    """
    return pending.ask_at is not None and now < pending.ask_at <= now + UNDER_WAY and not pending.awaits_customer


def _check_payable(inventory: Inventory, booking: Booking, now: datetime) -> None:
    if booking.has_lapsed(now):
        raise PaymentWindowClosed
    if booking.status is BookingStatus.EXPIRED and booking.payment_status is PaymentStatus.NONE:
        if not _may_take_again(inventory, booking, now):
            raise PaymentWindowClosed
        return
    is_closing = inventory.event.status is EventStatus.CANCELLED
    if booking.payment_status is not PaymentStatus.DUE or is_closing:
        raise PaymentNotDue
