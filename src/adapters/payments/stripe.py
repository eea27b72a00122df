"""Stripe through its own library: each charge is one PaymentIntent, created and confirmed by one request.

A charge is found by listing the PaymentIntents created since its reference (the time is part of a version 7 UUID) and
comparing their metadata. Repeating the request with its idempotency key needs the card's token, which is not stored,
and Stripe deletes such keys after a day. Stripe's search by metadata lags behind, so "not found" would not be certain.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

import stripe

from ...application.ports.payments import GatewaySilent
from ...domain.values.money import Money

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams, PaymentIntentListParamsCreated

SECONDS: Final = 10.0
"""Timeout of one call of the port."""

SKEW: Final = 300
"""Seconds by which Stripe's clock may be behind the service's."""

NEAR: Final = 900
"""Seconds after its reference within which nearly every charge is created, so this range is searched first."""

PAGE: Final = 100
MOST_PAGES: Final = 50
"""Maximum pages of one search. A longer search raises GatewaySilent, because "not found" must be certain."""

_TAKEN: Final = frozenset({"succeeded"})
_DECLINED: Final = frozenset({"requires_payment_method", "canceled"})

_log = logging.getLogger(__name__)


class StripeGateway:
    """See the port. Amounts are in minor units, as in Stripe's API, including zero-decimal currencies.

    A token is the id of a PaymentMethod (`pm_…`). A card that requires authentication (3-D Secure) is declined.
    """

    def __init__(self, key: str, *, url: str | None = None, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._http = stripe.HTTPXClient(timeout=seconds)
        self._client = stripe.StripeClient(
            key,
            http_client=self._http,
            base_addresses={"api": url} if url else None,
            # The service retries with a recorded payment; the library's own retries would only use up the timeout.
            max_network_retries=0,
        )
        # At lower levels the libraries log requests, including tokens.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        logging.getLogger("httpx").setLevel(logging.WARNING)

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """See the port."""
        async with self._within_timeout():
            try:
                intent = await self._client.v1.payment_intents.create_async(
                    _charge(reference, amount, token), {"idempotency_key": str(reference)}
                )
            except stripe.CardError:
                return False
            except stripe.InvalidRequestError as error:
                # Rejected without a charge: an invalid token, or an amount below Stripe's minimum.
                _log.warning("Stripe refuses a charge: code %s, parameter %s", error.code, error.param)
                return False
            except stripe.IdempotencyError:
                # The reference was used before with another token, or is in use right now: return its first outcome.
                first_intent = await self._find(reference)
                if first_intent is None:
                    raise
                intent = first_intent
            return _is_taken(intent)

    async def find_charge(self, reference: UUID) -> bool | None:
        """See the port."""
        async with self._within_timeout():
            intent = await self._find(reference)
            return None if intent is None else _is_taken(intent)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See the port. Stripe refuses refunds that exceed the charge (promise 8)."""
        async with self._within_timeout():
            intent = await self._find(charge_reference)
            if intent is None or not _is_taken(intent):
                _log.error("Stripe has no paid charge %s to refund", charge_reference)
                return False
            found = await self._client.v1.refunds.list_async({"payment_intent": intent.id, "limit": PAGE})
            earlier = [refund for refund in found.data if _has_reference(refund.metadata, reference)]
            for refund in earlier:
                if refund.status in {"succeeded", "pending", "requires_action"}:
                    return _is_refunded(refund)
            try:
                made = await self._client.v1.refunds.create_async(
                    {
                        "payment_intent": intent.id,
                        "amount": amount.amount,
                        "metadata": {"reference": str(reference)},
                    },
                    # A failed refund needs a new key; concurrent attempts see the same failures and share a key.
                    {"idempotency_key": f"{reference}-{len(earlier)}"},
                )
            except (stripe.CardError, stripe.InvalidRequestError) as error:
                if error.code == "charge_already_refunded":
                    # Refunded manually in the Stripe account.
                    return True
                _log.warning("Stripe refuses a refund for now: code %s, parameter %s", error.code, error.param)
                return False
            return _is_refunded(made)

    async def close(self) -> None:
        """See the port."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def _within_timeout(self) -> AsyncIterator[None]:
        """Limit the time of a call. Raises: GatewaySilent for every error that leaves the outcome unknown."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (stripe.StripeError, TimeoutError) as error:
            status = getattr(error, "http_status", None)
            # Without the error's text, which may contain parts of the key.
            _log.warning("Stripe gave no definite answer: %s, status %s", type(error).__name__, status)
            raise GatewaySilent from error

    async def _find(self, reference: UUID) -> stripe.PaymentIntent | None:
        created = (reference.int >> 80) // 1_000
        return await self._search(reference, {"gte": created - SKEW, "lte": created + NEAR}) or await self._search(
            reference, {"gt": created + NEAR}
        )

    async def _search(self, reference: UUID, created: "PaymentIntentListParamsCreated") -> stripe.PaymentIntent | None:
        params: PaymentIntentListParams = {"created": created, "limit": PAGE}
        for _ in range(MOST_PAGES):
            page = await self._client.v1.payment_intents.list_async(params)
            for intent in page.data:
                if _has_reference(intent.metadata, reference):
                    return intent
            if not page.has_more:
                return None
            params = {"created": created, "limit": PAGE, "starting_after": page.data[-1].id}
        _log.error("Stripe lists too many payments to search them for %s", reference)
        raise GatewaySilent


def _charge(reference: UUID, amount: Money, token: str) -> "PaymentIntentCreateParams":
    return {
        "amount": amount.amount,
        "currency": amount.currency.lower(),
        "payment_method": token,
        "allowed_payment_method_types": ["card"],
        "confirm": True,
        "error_on_requires_action": True,
        "metadata": {"reference": str(reference)},
    }


def _has_reference(metadata: stripe.StripeObject | dict[str, str] | None, reference: UUID) -> bool:
    return metadata is not None and "reference" in metadata and metadata["reference"] == str(reference)


def _is_taken(intent: stripe.PaymentIntent) -> bool:
    if intent.status in _TAKEN:
        return True
    if intent.status in _DECLINED:
        return False
    raise GatewaySilent


def _is_refunded(refund: stripe.Refund) -> bool:
    if refund.status == "succeeded":
        return True
    if refund.status in {"failed", "canceled"}:
        return False
    raise GatewaySilent
