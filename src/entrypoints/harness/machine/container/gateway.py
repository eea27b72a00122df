"""The payment provider of a run."""

from typing import Final
from uuid import UUID

from .....application.ports.payments import ChargeReply, GatewaySilent
from .....domain.decisions.payments.pay import Answer
from .....domain.values.money import Money
from ..model.booking import ASKS, SILENT, TAKES

ACTION_URL: Final = "https://bank.example/"
"""Where it sends customers to."""


class HarnessGateway:
    """A provider with a ledger, for the tokens of the model.

    `tok_timeout` succeeds without an answer. `tok_action` asks for the customer, who acts when the machine says so.
    """

    def __init__(self) -> None:
        self._charges: dict[UUID, tuple[Answer, Money]] = {}
        self._refunds: dict[UUID, tuple[UUID, int]] = {}
        self.refuses_refunds: bool = False

    @property
    def kept(self) -> int:
        """What was taken and not refunded, in minor units."""
        taken = sum(amount.amount for answer, amount in self._charges.values() if answer is Answer.DONE)
        return taken - sum(amount for _, amount in self._refunds.values())

    def act(self) -> None:
        """Let every customer authenticate the charge that waits for it."""
        for reference, (answer, amount) in self._charges.items():
            if answer is Answer.ACTION_REQUIRED:
                self._charges[reference] = (Answer.DONE, amount)

    def objection(self, price: Money) -> str | None:  # noqa: ARG002
        """Return None: every price can be charged."""
        return None

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        """Charge once per reference. Raises: GatewaySilent."""
        answers = {TAKES: Answer.DONE, SILENT: Answer.DONE, ASKS: Answer.ACTION_REQUIRED}
        self._charges.setdefault(reference, (answers.get(token, Answer.DECLINED), amount))
        if token == SILENT:
            raise GatewaySilent
        return self._reply(reference)

    async def find_charge(self, reference: UUID) -> ChargeReply:
        """Return what became of a charge."""
        return self._reply(reference)

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        """Decline a charge that waits for its customer."""
        answer, amount = self._charges[reference]
        if answer is Answer.ACTION_REQUIRED:
            self._charges[reference] = (Answer.DECLINED, amount)
        return self._reply(reference)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """Refund once per reference, and never more than was taken; while refunds are refused, refuse for good."""
        answer, taken = self._charges[charge_reference]
        assert answer is Answer.DONE
        if self.refuses_refunds and reference not in self._refunds:
            return Answer.FAILED
        assert self._refunds.setdefault(reference, (charge_reference, amount.amount))[0] == charge_reference
        assert sum(given for charge, given in self._refunds.values() if charge == charge_reference) <= taken.amount
        return Answer.DONE

    async def reference_of(self, provider_id: str) -> UUID | None:  # noqa: ARG002
        """Return None: there are no other ids."""
        return None

    async def close(self) -> None:
        """See the port."""

    def _reply(self, reference: UUID) -> ChargeReply:
        if reference not in self._charges:
            return ChargeReply(answer=Answer.NOT_FOUND)
        answer, _ = self._charges[reference]
        return ChargeReply(answer=answer, action_url=ACTION_URL if answer is Answer.ACTION_REQUIRED else None)
