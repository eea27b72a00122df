"""The sandbox: a payment provider that moves no money but keeps a ledger."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...application.ports.payments import ChargeReply, GatewaySilent
from ...domain.decisions.payments.pay import Answer
from ...domain.values.money import Money

TAKEN: Final = "tok_ok"
"""The token of a card that is charged."""

SILENT: Final = "tok_timeout"
"""The token of a card that is charged without an answer."""

NOT_REFUNDABLE: Final = "tok_refund_fails"
"""The token of a card that is charged and to which no refund ever succeeds."""

ACTS: Final = "tok_action"
"""The token of a card whose customer must authenticate the charge, and does so until the next question about it."""

FAILS_TO_ACT: Final = "tok_action_fails"
"""The token of a card whose customer must authenticate the charge, and fails to until the next question about it."""

NEVER_ACTS: Final = "tok_action_ignored"
"""The token of a card whose customer must authenticate the charge and never does. Any other token is declined."""

ACTION_URL: Final = "https://sandbox.invalid/actions/"
"""The beginning of the address of a customer's action. Nothing is there, and no visit is needed."""


class EntryKind(StrEnum):
    """What an entry of the ledger is. The last three are charges that wait for their customer."""

    CHARGE = "charge"
    REFUND = "refund"
    KEPT = "kept"
    """A charge that cannot be refunded."""
    ACTS = "acts"
    FAILS = "fails"
    IGNORES = "ignores"

    @property
    def is_charge(self) -> bool:
        """Whether it is not a refund."""
        return self is not EntryKind.REFUND


_WAITING: Final = frozenset({EntryKind.ACTS, EntryKind.FAILS, EntryKind.IGNORES})
_KINDS: Final = {
    NOT_REFUNDABLE: EntryKind.KEPT,
    ACTS: EntryKind.ACTS,
    FAILS_TO_ACT: EntryKind.FAILS,
    NEVER_ACTS: EntryKind.IGNORES,
}
_TAKING: Final = frozenset({TAKEN, SILENT, NOT_REFUNDABLE})


class Entry(Struct, frozen=True, kw_only=True):
    """A charge (`taken` or not, or not yet) with the amount already refunded, or the refund of a charge."""

    reference: UUID
    kind: EntryKind
    amount: Money
    taken: bool = True
    refunded: int = 0
    charge_reference: UUID | None = None

    @property
    def answer(self) -> Answer:
        """What the provider says about this charge."""
        if not self.kind.is_charge:
            return Answer.DECLINED
        if self.kind in _WAITING:
            return Answer.ACTION_REQUIRED
        return Answer.DONE if self.taken else Answer.DECLINED

    def after_question(self) -> "Entry":
        """Return the charge as its next question finds it: its customer has acted meanwhile."""
        if self.kind is EntryKind.ACTS:
            return replace(self, kind=EntryKind.CHARGE, taken=True)
        return self.cancelled() if self.kind is EntryKind.FAILS else self

    def cancelled(self) -> "Entry":
        """Return the charge without waiting for its customer."""
        return replace(self, kind=EntryKind.CHARGE, taken=False) if self.kind in _WAITING else self


def charge_entry(reference: UUID, amount: Money, token: str) -> Entry:
    """Return the entry of a new charge of a card."""
    return Entry(reference=reference, kind=_KINDS.get(token, EntryKind.CHARGE), amount=amount, taken=token in _TAKING)


class Ledger(Protocol):
    """The provider's books, which survive crashes of the service. Every method raises GatewaySilent on failure."""

    async def prepare(self) -> None:
        """Create the ledger if it does not exist; safe to run twice and at once."""

    async def charge(self, entry: Entry) -> Entry:
        """Record a charge unless its reference exists. Return what is recorded."""

    async def change(self, reference: UUID, change: Callable[[Entry], Entry]) -> Entry | None:
        """Change an entry and return it; None if it does not exist."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """Record a refund unless its reference exists; see `refund_answer`."""

    async def entries(self) -> list[Entry]:
        """Return all entries, by reference."""

    async def close(self) -> None:
        """Close the connections."""


class SandboxGateway:
    """See the port. Repeated calls with a reference return its first outcome."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def prepare(self) -> None:
        """Create the ledger if it does not exist, which may need the right to create tables. Raises: GatewaySilent."""
        await self._ledger.prepare()

    def objection(self, price: Money) -> str | None:  # noqa: ARG002
        """See the port. The sandbox takes every price."""
        return None

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        """See the port. `tok_timeout` never gets an answer, but `find_charge` finds the charge taken."""
        entry = await self._ledger.charge(charge_entry(reference, amount, token))
        if token == SILENT:
            raise GatewaySilent
        return _reply(entry)

    async def find_charge(self, reference: UUID) -> ChargeReply:
        """See the port."""
        entry = await self._ledger.change(reference, Entry.after_question)
        return ChargeReply(answer=Answer.NOT_FOUND) if entry is None else _reply(entry)

    async def cancel_charge(self, reference: UUID) -> ChargeReply:
        """See the port."""
        entry = await self._ledger.change(reference, Entry.cancelled)
        return ChargeReply(answer=Answer.NOT_FOUND) if entry is None else _reply(entry)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """See the port. Refunds never exceed the charge (promise 8)."""
        return await self._ledger.refund(reference, charge_reference, amount)

    async def reference_of(self, provider_id: str) -> UUID | None:  # noqa: ARG002
        """See the port. The sandbox has no ids of its own."""
        return None

    async def entries(self) -> list[Entry]:
        """Return all entries, for comparison with the stored payments. Raises: GatewaySilent."""
        return await self._ledger.entries()

    async def balance(self) -> dict[str, int]:
        """Return what was charged and not refunded, in minor units by currency. Raises: GatewaySilent."""
        balance: dict[str, int] = {}
        for entry in await self.entries():
            if entry.taken:
                sign = 1 if entry.kind.is_charge else -1
                balance[entry.amount.currency] = balance.get(entry.amount.currency, 0) + sign * entry.amount.amount
        return balance

    async def close(self) -> None:
        """See the port."""
        await self._ledger.close()


class MemoryLedger:
    """A ledger that is lost when the process ends."""

    def __init__(self) -> None:
        self._entries: dict[UUID, Entry] = {}

    async def prepare(self) -> None:
        """Do nothing."""

    async def charge(self, entry: Entry) -> Entry:
        """See `Ledger`."""
        return self._entries.setdefault(entry.reference, entry)

    async def change(self, reference: UUID, change: Callable[[Entry], Entry]) -> Entry | None:
        """See `Ledger`."""
        entry = self._entries.get(reference)
        if entry is not None:
            entry = self._entries[reference] = change(entry)
        return entry

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """See `Ledger`."""
        charge = self._entries.get(charge_reference)
        answer = refund_answer(self._entries.get(reference), charge, charge_reference, amount)
        if answer is None and charge is not None:
            self._entries[charge_reference] = replace(charge, refunded=charge.refunded + amount.amount)
            self._entries[reference] = refund_entry(reference, charge_reference, amount)
        return answer or Answer.DONE

    async def entries(self) -> list[Entry]:
        """See `Ledger`."""
        return [self._entries[reference] for reference in sorted(self._entries)]

    async def close(self) -> None:
        """Do nothing."""


def refund_entry(reference: UUID, charge_reference: UUID, amount: Money) -> Entry:
    """Return the entry of a refund."""
    return Entry(reference=reference, kind=EntryKind.REFUND, amount=amount, charge_reference=charge_reference)


def refund_answer(before: Entry | None, charge: Entry | None, charge_reference: UUID, amount: Money) -> Answer | None:
    """Return the answer to a refund with this charge and the entry of its own reference; None: it is to be recorded.

    No more is refunded than was taken (promise 8).
    """
    if before is not None:
        is_same = before.kind is EntryKind.REFUND and before.charge_reference == charge_reference
        return Answer.DONE if is_same else Answer.DECLINED
    if charge is None or not charge.kind.is_charge or charge.answer is not Answer.DONE:
        return Answer.DECLINED
    if charge.kind is EntryKind.KEPT:
        return Answer.FAILED
    has_enough = 0 < amount.amount <= charge.amount.amount - charge.refunded
    return None if has_enough and charge.amount.currency == amount.currency else Answer.DECLINED


def _reply(entry: Entry) -> ChargeReply:
    is_waiting = entry.answer is Answer.ACTION_REQUIRED
    return ChargeReply(answer=entry.answer, action_url=f"{ACTION_URL}{entry.reference}" if is_waiting else None)
