"""Payments: charges for bookings and their refunds."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from .values.fields import Rule, Rules, text, whole_number
from .values.money import Money

UNDER_WAY = timedelta(seconds=15)
"""How long an attempt at the payment provider may take before another process asks for its outcome."""

GIVE_UP = timedelta(minutes=10)
"""How long after the last attempt a charge unknown to the provider is given up: none can still be in transit."""


OVERDUE = timedelta(hours=1)
"""How long the provider may take for a charge or refund before a person should look at it."""


class PaymentKind(StrEnum):
    """The direction of a payment."""

    CHARGE = "charge"
    REFUND = "refund"


class ChargeStatus(StrEnum):
    """The outcome of a charge or refund; `pending` while it is unknown."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DisputeStatus(StrEnum):
    """What became of a customer's dispute of a charge with their bank."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


class PaymentMethod(StrEnum):
    """The means of payment: a card through the provider, or cash to the organizer."""

    CARD = "card"
    CASH = "cash"


class Payment(Struct, frozen=True, gc=False, kw_only=True):
    """One charge or refund. Its id is the reference at the provider, so it happens at most once (promise 8).

    `tried_at` is the time of the last attempt, `tried_by` the `payment_id` of the command that made it, and `key` the
    idempotency key of a charge. `ask_at` is the earliest time to ask the provider for the outcome; None: it is known,
    or the refund waits for a person (cash) or for the end of a dispute. `attempts` counts the questions.
    `awaits_customer`: the provider waits for the customer to authenticate a pending charge. `provider_id` is the
    provider's own id of a charge, None until it is known.

    `charge_id` is the charge of a refund, `reason` why the organizer gave it. `dispute` is the dispute of a charge; a
    refund whose charge was lost has that too, because the bank has given the money back. `noticed_at` is the provider's
    time of the newest notice about the dispute or the refund. `settled_by` is who gave the money back by hand, with
    their `note`.
    """

    id: UUID
    event_id: UUID
    booking_id: UUID
    kind: PaymentKind
    status: ChargeStatus
    method: PaymentMethod
    amount: Money
    created_at: datetime
    tried_at: datetime
    settled_at: datetime | None = None
    ask_at: datetime | None = None
    attempts: int = 0
    key: str | None = None
    tried_by: UUID | None = None
    awaits_customer: bool = False
    provider_id: str | None = None
    charge_id: UUID | None = None
    reason: str | None = None
    dispute: DisputeStatus | None = None
    noticed_at: datetime | None = None
    settled_by: UUID | None = None
    note: str | None = None

    @property
    def is_disputed(self) -> bool:
        """Whether the customer's bank has the money, for now or for good."""
        return self.dispute in (DisputeStatus.OPEN, DisputeStatus.LOST)


class Need(StrEnum):
    """Why a payment needs a person."""

    CASH = "cash"
    """Cash is owed back, and somebody has to say that it was handed over."""
    REFUND_FAILED = "refund_failed"
    """A refund cannot succeed by itself."""
    DISPUTED = "disputed"
    """A customer disputes a charge with their bank."""
    PENDING = "pending"
    """The provider has not completed a charge or refund for long."""


def need_of(payment: Payment, now: datetime) -> Need | None:
    """Return why the payment needs a person; None: it does not."""
    if payment.kind is PaymentKind.CHARGE and payment.dispute is DisputeStatus.OPEN:
        return Need.DISPUTED
    if payment.kind is PaymentKind.REFUND and payment.status is ChargeStatus.FAILED and payment.dispute is None:
        return Need.REFUND_FAILED
    if payment.status is not ChargeStatus.PENDING:
        return None
    if payment.method is PaymentMethod.CASH:
        return Need.CASH
    # A refund that waits for the end of a dispute is not asked about.
    return Need.PENDING if payment.ask_at is not None and payment.created_at <= now - OVERDUE else None


def needed_since(payment: Payment) -> datetime:
    """Return since when a payment that needs a person has needed one."""
    if payment.dispute is DisputeStatus.OPEN and payment.noticed_at is not None:
        return payment.noticed_at
    return payment.settled_at or payment.created_at


MOST: Final = 100_000_000_000
"""The greatest amount of a refund, in minor units: more than any booking costs."""

amount_of_refund: Rule = whole_number(1, MOST)

REFUND_RULES: Rules = {
    "reason": text(1, 200),
    "note": text(1, 200),
}


_REFUND: Final = 0x1EF0_0D5E_F00D_5EF0
_SURPLUS: Final = 0x00DD_C0DE_00DD_C0DE
"""Bits that differ between a charge's id and its refunds': below the variant, so a version 7 id remains one."""


def refund_of(charge_id: UUID) -> UUID:
    """Return the id of the refund that ends a charge, or of the charge that such a refund ends.

    A cancellation or a late payment ends its charge, once, so no money is given back twice (promise 8). Refunds that
    the organizer grants, and those of tickets given back, have ids of their own.
    """
    return UUID(int=charge_id.int ^ _REFUND)


def surplus_of(charge_id: UUID) -> UUID:
    """Return the id of the refund of what a charge took too much, because tickets were given back meanwhile."""
    return UUID(int=charge_id.int ^ _SURPLUS)
