"""The sandbox: a payment provider that moves no money but keeps a ledger."""

from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...application.ports.payments import GatewaySilent
from ...domain.values.money import Money

TAKEN: Final = "tok_ok"
"""The token of a card that is charged."""

SILENT: Final = "tok_timeout"
"""The token of a card that is charged without an answer. Any other token is declined."""


class EntryKind(StrEnum):
    """The direction of a payment."""

    CHARGE = "charge"
    REFUND = "refund"


class Entry(Struct, frozen=True, kw_only=True):
    """A charge (`taken` or declined) with the amount already refunded, or the refund of a charge."""

    reference: UUID
    kind: EntryKind
    amount: Money
    taken: bool = True
    refunded: int = 0
    charge_reference: UUID | None = None


class Ledger(Protocol):
    """The provider's books, which survive crashes of the service. Every method raises GatewaySilent on failure."""

    async def prepare(self) -> None:
        """Create the ledger if it does not exist; safe to run twice and at once."""

    async def charge(self, reference: UUID, amount: Money, *, taken: bool) -> bool:
        """Record a charge unless its reference exists. Return whether the recorded charge was taken."""

    async def charge_of(self, reference: UUID) -> bool | None:
        """Return whether the charge was taken, or None if it does not exist."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Record a refund unless its reference exists; False if the charge was not taken or has less than that left."""

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

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """See the port. `tok_timeout` never gets an answer, but `find_charge` finds the charge taken."""
        taken = await self._ledger.charge(reference, amount, taken=token in {TAKEN, SILENT})
        if token == SILENT:
            raise GatewaySilent
        return taken

    async def find_charge(self, reference: UUID) -> bool | None:
        """See the port."""
        return await self._ledger.charge_of(reference)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See the port. Refunds never exceed the charge (promise 8)."""
        return await self._ledger.refund(reference, charge_reference, amount)

    async def entries(self) -> list[Entry]:
        """Return all entries, for comparison with the stored payments. Raises: GatewaySilent."""
        return await self._ledger.entries()

    async def balance(self) -> dict[str, int]:
        """Return what was charged and not refunded, in minor units by currency. Raises: GatewaySilent."""
        balance: dict[str, int] = {}
        for entry in await self.entries():
            if entry.taken:
                sign = 1 if entry.kind is EntryKind.CHARGE else -1
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

    async def charge(self, reference: UUID, amount: Money, *, taken: bool) -> bool:
        """See `Ledger`."""
        entry = Entry(reference=reference, kind=EntryKind.CHARGE, amount=amount, taken=taken)
        return is_taken_charge(self._entries.setdefault(reference, entry))

    async def charge_of(self, reference: UUID) -> bool | None:
        """See `Ledger`."""
        entry = self._entries.get(reference)
        return None if entry is None else is_taken_charge(entry)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See `Ledger`."""
        before = self._entries.get(reference)
        if before is not None:
            return is_refund_of(before, charge_reference)
        charge = self._entries.get(charge_reference)
        if charge is None or not may_refund(charge, amount):
            return False
        self._entries[charge_reference] = replace(charge, refunded=charge.refunded + amount.amount)
        self._entries[reference] = Entry(
            reference=reference, kind=EntryKind.REFUND, amount=amount, charge_reference=charge_reference
        )
        return True

    async def entries(self) -> list[Entry]:
        """See `Ledger`."""
        return [self._entries[reference] for reference in sorted(self._entries)]

    async def close(self) -> None:
        """Do nothing."""


def is_taken_charge(entry: Entry) -> bool:
    """Return whether the entry is a charge that was taken."""
    return entry.kind is EntryKind.CHARGE and entry.taken


def is_refund_of(entry: Entry, charge_reference: UUID) -> bool:
    """Return whether the entry is a refund of this charge."""
    return entry.kind is EntryKind.REFUND and entry.charge_reference == charge_reference


def may_refund(charge: Entry, amount: Money) -> bool:
    """Return whether this amount of a charge is left to refund (promise 8)."""
    is_same_currency = charge.amount.currency == amount.currency
    return is_taken_charge(charge) and is_same_currency and 0 < amount.amount <= charge.amount.amount - charge.refunded
