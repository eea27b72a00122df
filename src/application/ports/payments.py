"""The payment provider."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.payments.notices import NoticeKind
from ...domain.decisions.payments.pay import Answer
from ...domain.values.money import Money


class GatewaySilent(Exception):
    """The provider did not answer, so the outcome is unknown. Ask again with the same reference."""


class ChargeReply(Struct, frozen=True, kw_only=True):
    """What the provider says about a charge.

    `answer` is DONE, DECLINED, NOT_FOUND, or ACTION_REQUIRED: then the customer must visit `action_url`, and the charge
    waits. `provider_id` is the provider's own id of the charge.
    """

    answer: Answer
    action_url: str | None = None
    provider_id: str | None = None


class PaymentGateway(Protocol):
    """The payment provider. Every call has a reference, and the money moves at most once per reference.

    Amounts are in minor units of ISO 4217, whatever units the provider has.
    """

    def objection(self, price: Money) -> str | None:
        """Return what a ticket's price must be instead if it could never be charged; None if it can. 0 is free."""

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        """Take the money, or begin to. A repeated reference gives its first outcome. Raises: GatewaySilent."""

    async def find_charge(self, reference: UUID) -> ChargeReply:
        """Return what became of a charge. Raises: GatewaySilent."""

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        """End a charge that waits for its customer, unless it went through meanwhile; return what became of it.

        Raises: GatewaySilent.
        """

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """Refund a charge, or a part of it.

        Return DONE, DECLINED if it was refused for now, or FAILED if it can never succeed. Raises: GatewaySilent, also
        while the refund is on its way.
        """

    async def reference_of(self, provider_id: str) -> UUID | None:
        """Return our reference of a charge; None if it has none. Raises: GatewaySilent."""

    async def close(self) -> None:
        """Close its connections."""


class ProviderNotice(Struct, frozen=True, kw_only=True):
    """What the provider tells by itself of a charge, a refund or a dispute.

    `payment_id` is our reference; where the notice has none, `provider_id` is the provider's own id of the charge.
    """

    kind: NoticeKind
    occurred_at: datetime
    payment_id: UUID | None = None
    provider_id: str | None = None


class BadNotice(Exception):
    """The notice is not the provider's, or too old; the message says what it must be."""


class NoticeReader(Protocol):
    """Reads what the provider sends."""

    def read(self, body: bytes, signature: str) -> ProviderNotice | None:
        """Return the notice; None if it is about nothing that matters here. Raises: BadNotice."""
