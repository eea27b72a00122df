"""The sandbox: a payment provider that moves no money, and keeps its books as if it did."""

from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...application.ports.payments import GatewaySilent
from ...domain.values.money import Money

TAKEN: Final = "tok_ok"
"""A card that pays."""

SILENT: Final = "tok_timeout"
"""A card that pays, without the provider ever saying so. Any other token is a card that is declined."""


class EntryKind(StrEnum):
    """Which way the money went."""

    CHARGE = "charge"
    REFUND = "refund"


class Entry(Struct, frozen=True, kw_only=True):
    """A line of the ledger: a charge, `taken` or declined, and how much of it was refunded; or a refund of one."""

    reference: UUID
    kind: EntryKind
    amount: Money
    taken: bool = True
    refunded: int = 0
    charge_reference: UUID | None = None


class Ledger(Protocol):
    """The provider's own books, which no crash of ours loses. All raise GatewaySilent when they cannot be reached."""

    async def prepare(self) -> None:
        """Make room for it, if there is none yet; safe to run twice and at once."""

    async def charge(self, reference: UUID, amount: Money, *, taken: bool) -> bool:
        """Write a charge down, unless its reference is there; whether the one that is there was taken."""

    async def charge_of(self, reference: UUID) -> bool | None:
        """Whether the charge was taken; None where there is none."""

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """Write a refund down, unless it is there; False when the charge was not taken, or has not that much left."""

    async def entries(self) -> list[Entry]:
        """Every line, by reference."""

    async def close(self) -> None:
        """Let go of what it holds."""


class SandboxGateway:
    """The payment gateway's port on a ledger. Per reference the first outcome stands, however often one asks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def prepare(self) -> None:
        """Make the ledger ready, for whoever may change a schema. Raises: GatewaySilent."""
        await self._ledger.prepare()

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        """See the port. `tok_timeout` is silent however often it is sent; `find_charge` tells that it was taken."""
        taken = await self._ledger.charge(reference, amount, taken=token in {TAKEN, SILENT})
        if token == SILENT:
            raise GatewaySilent
        return taken

    async def find_charge(self, reference: UUID) -> bool | None:
        """See the port."""
        return await self._ledger.charge_of(reference)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See the port. Never more than was charged goes back (promise 8)."""
        return await self._ledger.refund(reference, charge_reference, amount)

    async def entries(self) -> list[Entry]:
        """The whole ledger, to hold it against our own payments. Raises: GatewaySilent."""
        return await self._ledger.entries()

    async def balance(self) -> dict[str, int]:
        """What was taken and not given back, in minor units by currency. Raises: GatewaySilent."""
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
    """Books that end with the process, as everything else in memory does."""

    def __init__(self) -> None:
        self._entries: dict[UUID, Entry] = {}

    async def prepare(self) -> None:
        """There is always room."""

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
        """Nothing to let go of."""


def is_taken_charge(entry: Entry) -> bool:
    """Whether money was taken under this reference."""
    return entry.kind is EntryKind.CHARGE and entry.taken


def is_refund_of(entry: Entry, charge_reference: UUID) -> bool:
    """Whether this reference gave that charge's money back."""
    return entry.kind is EntryKind.REFUND and entry.charge_reference == charge_reference


def may_refund(charge: Entry, amount: Money) -> bool:
    """Whether that much of a charge is left to give back (promise 8)."""
    is_same_currency = charge.amount.currency == amount.currency
    return is_taken_charge(charge) and is_same_currency and 0 < amount.amount <= charge.amount.amount - charge.refunded
