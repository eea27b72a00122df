"""Stripe through its own library: each charge is one PaymentIntent, created and confirmed by one request.

A charge is found by listing the PaymentIntents created since its reference (the time is part of a version 7 UUID) and
comparing their metadata. Repeating the request with its idempotency key needs the card's token, which is not stored,
and Stripe deletes such keys after a day. Stripe's search by metadata lags behind, so "not found" would not be certain.

The errors of refunds are those of Stripe's pages "Error codes" and "Refund and cancel payments"; the statuses of a
PaymentIntent those of "How PaymentIntents work".
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

import stripe

from ...application.ports.payments import ChargeReply, GatewaySilent
from ...domain.decisions.payments.pay import Answer
from ...domain.values.money import Money
from . import stripe_units

if TYPE_CHECKING:
    from stripe.params import (
        PaymentIntentCreateParams,
        PaymentIntentListParamsCreated,
    )

SECONDS: Final = 10.0
"""Timeout of one call of the port."""

SKEW: Final = 300
"""Seconds by which Stripe's clock may be behind the service's."""

NEAR: Final = 900
"""Seconds after its reference within which nearly every charge is created, so this range is searched first."""

PAGE: Final = 100
MOST_PAGES: Final = 50
"""Maximum pages of one search. A longer search raises GatewaySilent, because "not found" must be certain."""

REFERENCE: Final = "reference"
"""The key of our reference in Stripe's metadata."""

_ANSWERS: Final = {
    "succeeded": Answer.DONE,
    "requires_payment_method": Answer.DECLINED,
    "canceled": Answer.DECLINED,
    "requires_action": Answer.ACTION_REQUIRED,
}
"""By the status of a PaymentIntent; another is not known yet."""

_NEVER_REFUNDED: Final = frozenset({"charge_disputed", "refund_disputed_payment", "charge_not_refundable"})
"""The error codes of refunds that cannot succeed."""

Found = TypeVar("Found", stripe.PaymentIntent, stripe.Refund)

_log = logging.getLogger(__name__)


class StripeGateway:
    """See the port. A token is the id of a PaymentMethod (`pm_…`).

    `return_url` is where a bank sends customers back to after they have authenticated a payment (3-D Secure).
    """

    def __init__(self, key: str, *, return_url: str, url: str | None = None, seconds: float = SECONDS) -> None:
        self._return_url = return_url
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

    def objection(self, price: Money) -> str | None:
        """See the port."""
        return stripe_units.objection(price)

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        """See the port."""
        units = stripe_units.in_stripe_units(amount)
        if units is None:
            # A price from before the provider was chosen; new ones are refused.
            _log.warning("Stripe cannot charge parts of %s", amount.currency)
            return ChargeReply(answer=Answer.DECLINED)
        async with self._within_timeout():
            try:
                intent = await self._client.v1.payment_intents.create_async(
                    self._charge(reference, units, amount.currency, token), {"idempotency_key": str(reference)}
                )
            except stripe.CardError:
                return ChargeReply(answer=Answer.DECLINED)
            except stripe.InvalidRequestError as error:
                # Rejected without a charge: an invalid token, or an amount below Stripe's minimum.
                _log.warning("Stripe refuses a charge: code %s, parameter %s", error.code, error.param)
                return ChargeReply(answer=Answer.DECLINED)
            except stripe.IdempotencyError:
                # The reference was used before with another token, or is in use right now: return its first outcome.
                first_intent = await self._find(reference)
                if first_intent is None:
                    raise
                intent = first_intent
            return _reply(intent)

    async def find_charge(self, reference: UUID) -> ChargeReply:
        """See the port."""
        async with self._within_timeout():
            intent = await self._find(reference)
            return ChargeReply(answer=Answer.NOT_FOUND) if intent is None else _reply(intent)

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        """See the port. Stripe refuses to cancel a PaymentIntent that has succeeded."""
        async with self._within_timeout():
            intent = await self._find(reference)
            if intent is None:
                return ChargeReply(answer=Answer.NOT_FOUND)
            if intent.status == "requires_action":
                try:
                    intent = await self._client.v1.payment_intents.cancel_async(
                        intent.id, {"cancellation_reason": "abandoned"}
                    )
                except stripe.InvalidRequestError:
                    # It went through, or was cancelled, between the two requests.
                    intent = await self._find(reference) or intent
            return _reply(intent)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """See the port. Stripe refuses refunds that exceed the charge (promise 8)."""
        units = stripe_units.in_stripe_units(amount)
        if units is None:
            _log.error(
                "Stripe cannot refund parts of %s, so refund %s is to be paid by hand", amount.currency, reference
            )
            return Answer.FAILED
        async with self._within_timeout():
            intent = await self._find(charge_reference)
            if intent is None or _ANSWERS.get(intent.status) is not Answer.DONE:
                _log.error("Stripe has no paid charge %s to refund", charge_reference)
                return Answer.DECLINED
            earlier = await self._find_refund(intent.id, reference)
            if earlier is not None:
                return _refund_answer(earlier)
            try:
                made = await self._client.v1.refunds.create_async(
                    {"payment_intent": intent.id, "amount": units, "metadata": {REFERENCE: str(reference)}},
                    {"idempotency_key": f"{reference}-0"},
                )
            except (stripe.CardError, stripe.InvalidRequestError) as error:
                if error.code == "charge_already_refunded":
                    # More than was asked for was refunded in the Stripe account by hand: the customer has it all back.
                    return Answer.DONE
                _log.warning("Stripe refuses a refund: code %s, parameter %s", error.code, error.param)
                return Answer.FAILED if error.code in _NEVER_REFUNDED else Answer.DECLINED
            return _refund_answer(made)

    async def reference_of(self, provider_id: str) -> UUID | None:
        """See the port."""
        async with self._within_timeout():
            try:
                intent = await self._client.v1.payment_intents.retrieve_async(provider_id)
            except stripe.InvalidRequestError:
                return None
            return reference_in(intent.metadata)

    async def close(self) -> None:
        """See the port."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def _charge(self, reference: UUID, units: int, currency: str, token: str) -> "PaymentIntentCreateParams":
        return {
            "amount": units,
            "currency": currency.lower(),
            "payment_method": token,
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            "return_url": self._return_url,
            "metadata": {REFERENCE: str(reference)},
        }

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
        intents = await self._client.v1.payment_intents.list_async({"created": created, "limit": PAGE})
        return await _with_reference(intents, reference)

    async def _find_refund(self, intent_id: str, reference: UUID) -> stripe.Refund | None:
        refunds = await self._client.v1.refunds.list_async({"payment_intent": intent_id, "limit": PAGE})
        return await _with_reference(refunds, reference)


async def _with_reference(found: stripe.ListObject[Found], reference: UUID) -> Found | None:
    """Return the object with our reference from a list, which is read page by page. Raises: GatewaySilent."""
    read = 0
    async for each in found.auto_paging_iter():
        if read == MOST_PAGES * PAGE:
            _log.error("Stripe lists too much to search it for %s", reference)
            raise GatewaySilent
        if reference_in(each.metadata) == reference:
            return each
        read += 1
    return None


def reference_in(metadata: Mapping[str, object] | stripe.StripeObject | None) -> UUID | None:
    """Return our reference in the metadata of an object of Stripe's; None: it is not ours."""
    text = None if metadata is None or REFERENCE not in metadata else metadata[REFERENCE]
    if not isinstance(text, str):
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def _reply(intent: stripe.PaymentIntent) -> ChargeReply:
    answer = _ANSWERS.get(intent.status)
    if answer is None:
        raise GatewaySilent
    action_url = None
    if answer is Answer.ACTION_REQUIRED:
        # Stripe leaves out what does not apply.
        redirect = getattr(getattr(intent, "next_action", None), "redirect_to_url", None)
        action_url = getattr(redirect, "url", None)
        if action_url is None:
            _log.warning("Stripe requires an action of a customer and gives no address for it")
    return ChargeReply(answer=answer, action_url=action_url, provider_id=intent.id)


def _refund_answer(refund: stripe.Refund) -> Answer:
    if refund.status == "succeeded":
        return Answer.DONE
    if refund.status in {"failed", "canceled"}:
        return Answer.FAILED
    raise GatewaySilent
