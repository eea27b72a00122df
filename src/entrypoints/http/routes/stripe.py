"""What Stripe sends: /stripe/webhook."""

from litestar import Router

from ....application.payments.receive_notice import ReceiveNotice
from ....application.ports.payments import BadNotice
from ....domain.refusals import NotFound
from ..problems.problem import FieldProblem, Malformed
from ..reference.operations import RAW_BODY, Subject
from ..reply import Reply
from ..request import AnyoneRequest
from ..schemas.operations import NoticeView


def router(receive_notice: ReceiveNotice | None) -> Router:
    """Return the route of Stripe's webhook. Without `receive_notice` it does not exist (404)."""
    stripe = Subject("Operations")

    @stripe.post("/stripe/webhook", NoticeView, ("not-found",), ("Stripe-Signature",), opt=RAW_BODY)
    async def handle_receive_stripe_event(request: AnyoneRequest) -> Reply:
        """Receive an event from Stripe: what became of a charge, a refund or a dispute.

        It may come twice, late and in any order. Events about nothing of this service change nothing. Without
        `BOXOFFICE_STRIPE_WEBHOOK_SECRET` the path does not exist.
        """
        if receive_notice is None:
            raise NotFound("This service does not listen to Stripe.")
        signature = ",".join(value.decode("latin-1") for value in request.values(b"stripe-signature"))
        try:
            await receive_notice(await request.body(), signature)
        except BadNotice as bad:
            raise Malformed(FieldProblem("", str(bad))) from None
        return Reply(NoticeView(received=True))

    return stripe.router
