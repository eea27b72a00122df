"""The payment provider."""

from typing import Protocol
from uuid import UUID

from ...domain.values.money import Money


class GatewaySilent(Exception):
    """The provider did not answer, so the outcome is unknown. Ask again with the same reference."""


class PaymentGateway(Protocol):
    """The payment provider. Every call has a reference, and the money moves at most once per reference."""

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """Take the money; return False if it was declined. A repeated reference gives its first outcome.

        Raises: GatewaySilent.
        """

    async def find_charge(self, reference: UUID) -> bool | None:
        """Return whether a charge was taken; None: the provider does not know it. Raises: GatewaySilent."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Refund a charge; return False if it was refused for now. Raises: GatewaySilent."""

    async def close(self) -> None:
        """Close its connections."""
