"""Faults of parts of bookings that are given back."""

from typing import Final

from .trial import Change, Fault

_RETURNING: Final = ("tests/domain/test_returning.py",)
_APPLICATION: Final = ("tests/application/bookings/test_give_back_tickets.py",)
_DECISION: Final = "domain/decisions/return_tickets.py"

RETURNING: Final = (
    Fault(
        "A customer gives a used ticket back",
        (Change(_DECISION, '    if terms.by == "customer" and any(', "    if False and any("),),
        _RETURNING,
    ),
    Fault(
        "A customer cancels a booking with a used ticket",
        (Change("domain/decisions/cancel.py", '    if terms.by == "customer" and booking.used:\n', "    if False:\n"),),
        _RETURNING,
    ),
    Fault(
        "The tickets with the lowest numbers go",
        (Change(_DECISION, "for each in reversed(booking.ticket_numbers)", "for each in booking.ticket_numbers"),),
        _RETURNING,
    ),
    Fault(
        "A ticket that was given back can be chosen again",
        (
            Change(
                _DECISION,
                "            if number is None or builder.ticket(booking, number).is_returned:\n",
                "            if number is None:\n",
            ),
        ),
        _RETURNING,
    ),
    Fault(
        "A part is given back while a charge for the whole booking is under way",
        (Change(_DECISION, "    if pending_charge(inventory, booking) is not None:\n", "    if False:\n"),),
        _RETURNING,
    ),
    Fault(
        "A late charge for more tickets than are left is kept as a whole",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "    return Money(too_much, booking.amount.currency) if too_much > 0 else None\n",
                "    return None\n",
            ),
        ),
        _RETURNING,
    ),
    Fault(
        "What a part leaves free goes to the waiting list in a later decision",
        (Change(_DECISION, "    settle_freed(builder, inventory, booking.ticket_type_id)\n", ""),),
        _RETURNING,
    ),
    Fault(
        "The organizer's refund of a part costs the fee",
        (
            Change(
                _DECISION,
                "refund_due(price, terms.fee_percent, booking.kept)",
                "refund_due(price, booking.refund_fee_percent, booking.kept)",
            ),
        ),
        _RETURNING,
    ),
    Fault(
        "Money for a part that is not refunded is not noticed",
        (
            Change(
                "domain/balance.py",
                "due = booking.amount.amount if booking.status is BookingStatus.CONFIRMED else 0",
                "due = paid.amount.amount if booking.status is BookingStatus.CONFIRMED else 0",
            ),
        ),
        _RETURNING,
    ),
    Fault(
        "A waiting booking of another quantity keeps its old row",
        (
            Change(
                "adapters/sql/repositories/combined_decisions.py",
                "(before.quantity, before.queue_number) == (after.quantity, after.queue_number)",
                "before.queue_number == after.queue_number",
            ),
        ),
        ("tests/contract/test_tickets.py",),
    ),
    Fault(
        "Who still waits after a part sees no place",
        (
            Change(
                "application/turnstile/batch.py",
                "if booking.is_waiting and not result.inventory.event.awaits_draw:",
                "if False:",
            ),
        ),
        _APPLICATION,
    ),
    Fault(
        "The place after a part is that of before the transaction",
        (
            Change(
                "application/turnstile/batch.py",
                "            await self._flush(storage)\n            booking = replace(booking, place",
                "            booking = replace(booking, place",
            ),
        ),
        _APPLICATION,
    ),
    Fault(
        "The answer to a part shows the booking as it was after the first step of settling",
        (
            Change(
                "application/bookings/cancel_booking.py",
                "result.booking or result.outcome.booking",
                "result.outcome.booking",
            ),
        ),
        _APPLICATION,
    ),
    Fault(
        "Customers get mails about the parts that they gave back",
        (
            Change(
                "domain/mails.py",
                '        case TicketsReturned(by="organizer"):\n',
                "        case TicketsReturned():\n",
            ),
        ),
        ("tests/domain/test_mails.py",),
    ),
    Fault(
        "A part that was acknowledged twice is not noticed",
        (
            Change(
                "entrypoints/harness/history/promises.py",
                "            if (call.booking_id, left) in known:\n",
                "            if False:\n",
            ),
        ),
        ("tests/entrypoints/harness/history/test_promises.py",),
    ),
    Fault(
        "A part for which nobody asked is not noticed",
        (
            Change(
                "entrypoints/harness/history/promises.py",
                "                if unknown[booking_id, part.quantity] < 0:\n",
                "                if False:\n",
            ),
        ),
        ("tests/entrypoints/harness/history/test_promises.py",),
    ),
)
