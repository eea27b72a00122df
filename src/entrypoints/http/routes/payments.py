"""Refunds below /bookings, and the payments of an event."""

from typing import Annotated, Final

from litestar import Router
from litestar.params import FromPath, JSONBody, QueryParameter

from ....application.payments.grant_refund import Grant, GrantPartialRefund
from ....application.payments.queries import ListEventPayments
from ....application.payments.settle_refund import Settlement, SettleRefundByHand
from ....domain.payment import ChargeStatus, Payment
from ..idempotency import RepeatableResponse, idempotent_request, reply_of, response_of
from ..paging import Cursor, Limit, check_parameters, id_cursors
from ..reference.operations import Subject
from ..reply import Reply
from ..request import SignedInRequest, id_in_path
from ..schemas.bookings import PaymentView
from ..schemas.payments import EventPaymentPage, EventPaymentView, RefundRequest, SettlementRequest

_Status = Annotated[ChargeStatus | None, QueryParameter(description="Only payments with this status.")]
_SETTLING: Final = ("not-allowed", "already-settled", "payment-not-due", "payment-under-way")


def router(
    grant_refund: GrantPartialRefund, settle_refund: SettleRefundByHand, list_event_payments: ListEventPayments
) -> Router:
    """Return the routes of refunds and of an event's payments."""
    payments = Subject("Bookings")

    @payments.post(
        "/bookings/{booking_id:str}/refunds",
        PaymentView,
        ("not-allowed", "exceeds-paid"),
        ("Idempotency-Key",),
        status=201,
    )
    async def handle_grant_refund(
        booking_id: FromPath[str], data: JSONBody[RefundRequest], request: SignedInRequest
    ) -> Reply:
        """Give a part of a payment back, or all that is left of it. For managers and up.

        The booking stays as it is. A refund by card goes out in the background; one in cash waits until it is settled.
        """

        def respond(refund: Payment) -> RepeatableResponse:
            location = f"/bookings/{refund.booking_id}/payments"
            return response_of(PaymentView.of(refund), refund.booking_id, status=201, location=location)

        grant = Grant(
            booking_id=id_in_path(booking_id), actor=request.user.actor, amount=data.money, reason=data.reason
        )
        return reply_of(
            respond(await grant_refund(grant, await idempotent_request(request, respond, grant.booking_id)))
        )

    @payments.post(
        "/bookings/{booking_id:str}/payments/{payment_id:str}/settle", PaymentView, _SETTLING, ("Idempotency-Key",)
    )
    async def handle_settle_refund(
        booking_id: FromPath[str],
        payment_id: FromPath[str],
        data: JSONBody[SettlementRequest],
        request: SignedInRequest,
    ) -> Reply:
        """Say that a refund was paid by hand: cash, or one that failed for good. For the desk and up."""

        def respond(refund: Payment) -> RepeatableResponse:
            return response_of(PaymentView.of(refund), refund.booking_id)

        settlement = data.to(
            Settlement,
            booking_id=id_in_path(booking_id),
            payment_id=id_in_path(payment_id),
            actor=request.user.actor,
        )
        idempotent = await idempotent_request(request, respond, settlement.booking_id)
        return reply_of(respond(await settle_refund(settlement, idempotent)))

    @payments.get("/events/{event_id:str}/payments", EventPaymentPage, ("not-allowed",))
    async def handle_list_event_payments(
        event_id: FromPath[str],
        request: SignedInRequest,
        status: _Status = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Reply:
        """List every charge and refund of an event, the newest charge first. For the desk and up."""
        check_parameters(request, "status", "cursor", "limit")
        cursors = id_cursors("event payments", event_id.lower(), status)
        page = await list_event_payments(
            id_in_path(event_id), request.user.actor, status=status, before=cursors.read(cursor), limit=limit
        )
        views = [EventPaymentView.of(payment) for payment in page.items]
        return Reply(EventPaymentPage(items=views, next_cursor=cursors.write(page.next)))

    return payments.router
