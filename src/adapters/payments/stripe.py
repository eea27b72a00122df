"""Stripe, through its own library: one PaymentIntent for a charge, made and confirmed by one request.

How a charge is found again. Sending its request again with the same idempotency key would give its first answer, but
that needs the card's token, which nobody keeps, and Stripe forgets such keys after a day. The search by metadata lags
behind by seconds, and by an hour on a bad day, so "not found" would not mean "never happened". The list of
PaymentIntents does not lag: it is asked for those made since our reference was (a UUID of version 7 tells when), and
ours is the one whose metadata names it.
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
"""The most that one call of the port may take."""

SKEW: Final = 300
"""Seconds by which Stripe's clock may be behind ours."""

NEAR: Final = 900
"""Seconds after its reference within which a charge is nearly always made, so that is looked through first."""

PAGE: Final = 100
MOST_PAGES: Final = 50
"""Pages that one look goes through. Beyond it nothing is said: "never heard of" must be certain."""

_TAKEN: Final = frozenset({"succeeded"})
_DECLINED: Final = frozenset({"requires_payment_method", "canceled"})

_log = logging.getLogger(__name__)


class StripeGateway:
    """The payment gateway's port on Stripe. Amounts are in minor units there as here, zero-decimal currencies too.

    A token is the id of a PaymentMethod (`pm_…`). A card whose owner would have to confirm something (3-D Secure) is
    declined: nobody is there to be asked.
    """

    def __init__(self, key: str, *, url: str | None = None, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._http = stripe.HTTPXClient(timeout=seconds)
        self._client = stripe.StripeClient(
            key,
            http_client=self._http,
            base_addresses={"api": url} if url else None,
            # Whoever asks again is recorded first; retries that nobody knows of would only take time.
            max_network_retries=0,
        )
        # Below that the library writes down what it sends, tokens and all.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        logging.getLogger("httpx").setLevel(logging.WARNING)

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """See the port."""
        async with self._patiently():
            try:
                intent = await self._client.v1.payment_intents.create_async(
                    _charge(reference, amount, token), {"idempotency_key": str(reference)}
                )
            except stripe.CardError:
                return False
            except stripe.InvalidRequestError as error:
                # Refused before anything happened: a token that is none, an amount below Stripe's least.
                _log.warning("Stripe refuses a charge: code %s, parameter %s", error.code, error.param)
                return False
            except stripe.IdempotencyError:
                # The reference came before, with another token or at this very moment: its first outcome stands.
                intent_before = await self._find(reference)
                if intent_before is None:
                    raise
                intent = intent_before
            return _is_taken(intent)

    async def find_charge(self, reference: UUID) -> bool | None:
        """See the port."""
        async with self._patiently():
            intent = await self._find(reference)
            return None if intent is None else _is_taken(intent)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See the port. Stripe itself gives back no more than was charged (promise 8)."""
        async with self._patiently():
            intent = await self._find(charge_reference)
            if intent is None or not _is_taken(intent):
                _log.error("Stripe knows of no charge %s that could be given back", charge_reference)
                return False
            found = await self._client.v1.refunds.list_async({"payment_intent": intent.id, "limit": PAGE})
            ours = [refund for refund in found.data if _names(refund.metadata, reference)]
            for refund in ours:
                if refund.status in {"succeeded", "pending", "requires_action"}:
                    return _is_given(refund)
            try:
                made = await self._client.v1.refunds.create_async(
                    {
                        "payment_intent": intent.id,
                        "amount": amount.amount,
                        "metadata": {"reference": str(reference)},
                    },
                    # One that failed later is tried anew; all who try at once count the same failures.
                    {"idempotency_key": f"{reference}-{len(ours)}"},
                )
            except (stripe.CardError, stripe.InvalidRequestError) as error:
                if error.code == "charge_already_refunded":
                    # By hand, by somebody with access to the account: nothing is owed any more.
                    return True
                _log.warning("Stripe refuses a refund for now: code %s, parameter %s", error.code, error.param)
                return False
            return _is_given(made)

    async def close(self) -> None:
        """See the port."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        """Whatever leaves open what happened is silence."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (stripe.StripeError, TimeoutError) as error:
            status = getattr(error, "http_status", None)
            # Its text may name parts of the key.
            _log.warning("Stripe gave no answer that can be relied on: %s, status %s", type(error).__name__, status)
            raise GatewaySilent from error

    async def _find(self, reference: UUID) -> stripe.PaymentIntent | None:
        made = (reference.int >> 80) // 1_000
        return await self._look(reference, {"gte": made - SKEW, "lte": made + NEAR}) or await self._look(
            reference, {"gt": made + NEAR}
        )

    async def _look(self, reference: UUID, created: "PaymentIntentListParamsCreated") -> stripe.PaymentIntent | None:
        asked: PaymentIntentListParams = {"created": created, "limit": PAGE}
        for _ in range(MOST_PAGES):
            page = await self._client.v1.payment_intents.list_async(asked)
            for intent in page.data:
                if _names(intent.metadata, reference):
                    return intent
            if not page.has_more:
                return None
            asked = {"created": created, "limit": PAGE, "starting_after": page.data[-1].id}
        _log.error("Stripe has too many payments since %s to find it among them", reference)
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


def _names(metadata: stripe.StripeObject | dict[str, str] | None, reference: UUID) -> bool:
    return metadata is not None and "reference" in metadata and metadata["reference"] == str(reference)


def _is_taken(intent: stripe.PaymentIntent) -> bool:
    if intent.status in _TAKEN:
        return True
    if intent.status in _DECLINED:
        return False
    raise GatewaySilent


def _is_given(refund: stripe.Refund) -> bool:
    if refund.status == "succeeded":
        return True
    if refund.status in {"failed", "canceled"}:
        return False
    raise GatewaySilent
