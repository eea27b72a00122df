"""The payment provider."""

from typing import Protocol
from uuid import UUID

from ...domain.values.money import Money


class GatewaySilent(Exception):
    """The provider did not answer, so it is not known whether the money moved. Ask again with the same reference."""


class PaymentGateway(Protocol):
    """The payment provider. Every call names our reference, and per reference the money moves once at most."""

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """Take the money; False when it was declined. A reference that was used before gives its first outcome.

        Raises: GatewaySilent.
        """

    async def find_charge(self, reference: UUID) -> bool | None:
        """What became of a charge: True taken, False declined, None never heard of. Raises: GatewaySilent."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Give the money of a charge back; False when it was refused for now. Raises: GatewaySilent."""

    async def close(self) -> None:
        """Let go of what it holds."""
