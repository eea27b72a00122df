"""Stripe's webhooks: their signature, and what their events mean here.

From Stripe's pages "Receive Stripe events in your webhook endpoint" (signatures, retries, no order), "Types of events",
"Refund and cancel payments" and "How disputes work".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import stripe
from msgspec import Meta, Struct

from ...application.ports.payments import BadNotice, ProviderNotice
from ...domain.decisions.payments.notices import NoticeKind
from .stripe import reference_in

TOLERANCE: Final = 300
"""The greatest age of a signature in seconds, so that a message that was overheard cannot be sent much later."""

_PAYMENT_INTENTS: Final = {
    "payment_intent.succeeded": NoticeKind.CHARGE_TAKEN,
    "payment_intent.payment_failed": NoticeKind.CHARGE_DECLINED,
    "payment_intent.canceled": NoticeKind.CHARGE_DECLINED,
}
_REFUND_EVENTS: Final = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
_REFUNDS: Final = {
    "succeeded": NoticeKind.REFUND_DONE,
    "failed": NoticeKind.REFUND_FAILED,
    "canceled": NoticeKind.REFUND_FAILED,
}
_DISPUTE_EVENTS: Final = frozenset(
    f"charge.dispute.{each}" for each in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)
_DISPUTES: Final = {
    "needs_response": NoticeKind.DISPUTE_OPENED,
    "under_review": NoticeKind.DISPUTE_OPENED,
    "won": NoticeKind.DISPUTE_WON,
    "lost": NoticeKind.DISPUTE_LOST,
}
"""By a dispute's status. While the bank only inquires (`warning_…`), it has not taken the money, and a refund is the
answer that Stripe recommends."""


class _Data(Struct):
    object: dict[str, Any]


class _Event(Struct):
    type: str
    created: Annotated[int, Meta(ge=0, le=253_402_300_799)]
    data: _Data


class StripeEvents:
    """See the port. With several secrets, a message signed with any of them counts, so that one can be replaced."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def read(self, body: bytes, signature: str) -> ProviderNotice | None:
        """See the port. An event that is not formed as expected is of a kind that is not known here."""
        if not any(_is_signed(body, signature, secret) for secret in self._secrets):
            raise BadNotice(f"must have a Stripe-Signature of this body that is at most {TOLERANCE} seconds old")
        try:
            event = msgspec.json.decode(body, type=_Event)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError:
            raise BadNotice("must be JSON") from None
        kind = _kind(event)
        if kind is None:
            return None
        payment_id, provider_id = _payment(event)
        occurred_at = datetime.fromtimestamp(event.created, UTC)
        return ProviderNotice(kind=kind, occurred_at=occurred_at, payment_id=payment_id, provider_id=provider_id)


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE)
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # The library does not expect bytes that are not UTF-8, nor characters beyond ASCII.
        return False
    return True


def _kind(event: _Event) -> NoticeKind | None:
    status = event.data.object.get("status")
    if not isinstance(status, str):
        return None
    if event.type in _REFUND_EVENTS:
        return _REFUNDS.get(status)
    if event.type in _DISPUTE_EVENTS:
        return _DISPUTES.get(status)
    return _PAYMENT_INTENTS.get(event.type)


def _payment(event: _Event) -> tuple[UUID | None, str | None]:
    """Return our reference of the payment that an event is about, or Stripe's id of the disputed charge."""
    subject = event.data.object
    if event.type not in _DISPUTE_EVENTS:
        # What was refunded in the Stripe account by hand has no reference.
        return _reference(subject), None
    charge = subject.get("payment_intent")
    if isinstance(charge, Mapping):
        return _reference(charge), None
    return _reference(subject), charge if isinstance(charge, str) else None


def _reference(subject: Mapping[str, Any]) -> UUID | None:
    metadata = subject.get("metadata")
    return reference_in(metadata) if isinstance(metadata, Mapping) else None
