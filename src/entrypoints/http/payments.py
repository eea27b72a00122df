"""Payments: what lies below a booking."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from ...application.authenticate import Caller
from ...application.idempotency import Answer
from ...application.pay_booking import Bill, PayBooking
from ...application.ports import Clock
from ...application.queries import ListPayments, Page
from ...domain.booking import Booking
from ...domain.fields import Rules
from ...domain.payment import Payment, PaymentMethod
from .body import Body
from .bookings import BOOKING
from .exchange import Request, Response
from .idempotency import answer_of, read_once, respond
from .operation import CURSOR, LIMIT, NO_SPACE, Operation
from .paths import id_in_path
from .problems import FieldProblem, pointer
from .query import Listed, limit, page_of, payment_cursors, query
from .routing import get, post
from .views import BookingView, PaymentView

_LONGEST_TOKEN: Final = 255
_TOKEN: Final = re.compile(NO_SPACE)


def _token(value: str) -> str:
    """A provider's word for a card, taken as it is."""
    if len(value) > _LONGEST_TOKEN or not _TOKEN.fullmatch(value):
        raise ValueError(f"must be 1 to {_LONGEST_TOKEN} characters, none of them a space or a control character")
    return value


_RULES: Final[Rules] = {"token": _token}


class PaymentBody(Body, frozen=True, kw_only=True):
    """How it is paid. A card comes with its `token`, cash with none."""

    rules = _RULES

    method: PaymentMethod
    token: str | UnsetType = UNSET

    @classmethod
    def contradictions(cls, given: Mapping[str, object]) -> Iterator[FieldProblem]:
        """A token for a card, and for nothing else."""
        method = given.get("method")
        if method == PaymentMethod.CARD and "token" not in given:
            yield FieldProblem(pointer("token"), "is required to pay by card")
        elif method == PaymentMethod.CASH and "token" in given:
            yield FieldProblem(pointer("token"), "must not stand beside cash")


@post(
    "/bookings/{booking_id}/payment",
    Operation(
        "PayBooking",
        "Pay for a booking",
        tag="Bookings",
        signed_in=True,
        takes_key=True,
        body=PaymentBody,
        example={"method": "card", "token": "tok_ok"},
        answer=BookingView,
        answer_example={**BOOKING, "paymentStatus": "taken"},
        problems=(
            "payment-declined",
            "not-allowed",
            "not-found",
            "request-in-progress",
            "hold-expired",
            "payment-not-due",
            "payment-under-way",
            "payment-unknown",
        ),
    ),
)
async def pay_booking(
    request: Request[Caller],
    booking_id: str,
    pay_booking: PayBooking,
    clock: Clock,
) -> Response:
    """Customers pay by card, the organizer and admins record cash. Whatever happens in between, it is paid once."""
    asked = await read_once(request, PaymentBody)
    now = clock.now()

    def answer(booking: Booking) -> Answer:
        return answer_of(BookingView.of(booking, now), booking.id)

    bill = Bill(
        booking_id=id_in_path(booking_id),
        actor=request.caller.actor,
        method=asked.body.method,
        token="" if asked.body.token is UNSET else asked.body.token,
    )
    return respond(answer(await pay_booking(bill, asked.once(answer, bill.booking_id))))


@get(
    "/bookings/{booking_id}/payments",
    Operation(
        "ListPayments",
        "A booking's charges and refunds, oldest first",
        tag="Bookings",
        signed_in=True,
        answer=Listed[PaymentView],
        answer_example={
            "items": [
                {
                    "id": "019a0000-0000-7000-8000-000000000005",
                    "kind": "charge",
                    "status": "succeeded",
                    "method": "card",
                    "amount": BOOKING["amount"],
                    "createdAt": "2027-01-01T12:00:00Z",
                    "settledAt": "2027-01-01T12:00:01Z",
                }
            ],
            "nextCursor": None,
        },
        parameters=(CURSOR, LIMIT),
        problems=("invalid-request", "not-found"),
    ),
)
async def list_payments(
    request: Request[Caller],
    booking_id: str,
    list_payments: ListPayments,
) -> Listed[PaymentView]:
    """For its customer, the organizer and admins; failed attempts too."""
    asked = query(request, limit=limit, cursor=str)
    cursors = payment_cursors("payments", booking_id.lower())
    after = cursors.read_from(asked)
    payments = await list_payments(id_in_path(booking_id), request.caller.actor)
    return page_of(_page(payments, after, asked.get("limit", 50)), PaymentView.of, cursors)


def _page(payments: list[Payment], after: UUID | None, limit: int) -> Page[Payment, UUID]:
    """A booking's payments are few, so they are read together and cut here."""
    ids = [payment.id for payment in payments]
    first = 0 if after is None else ids.index(after) + 1 if after in ids else len(ids)
    last = first + limit
    return Page(payments[first:last], ids[last - 1] if last < len(ids) else None)
