"""Payments: charges for bookings and their refunds."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from .values.money import Money

UNDER_WAY = timedelta(seconds=15)
"""How long an attempt at the payment provider may take before another process asks for its outcome."""

GIVE_UP = timedelta(minutes=10)
"""How long after the last attempt a charge unknown to the provider is given up: none can still be in transit."""


class PaymentKind(StrEnum):
    """The direction of a payment."""

    CHARGE = "charge"
    REFUND = "refund"


class ChargeStatus(StrEnum):
    """The outcome of a charge or refund; `pending` while it is unknown."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PaymentMethod(StrEnum):
    """The means of payment: a card through the provider, or cash to the organizer."""

    CARD = "card"
    CASH = "cash"


class Payment(Struct, frozen=True, gc=False, kw_only=True):
    """One charge or refund. Its id is the reference at the provider, so it happens at most once (promise 8).

    `tried_at` is the time of the last attempt, `tried_by` the `payment_id` of the command that made it, and `key` the
    idempotency key of a charge. `ask_at` is the earliest time to ask the provider for the outcome, None once it is
    known; `attempts` counts the questions.
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


_REFUND = 0x5EF0_0D5E_F00D_5EF0
"""Bits that differ between a charge's id and its refund's: below the variant, so a version 7 id remains one."""


def refund_of(charge_id: UUID) -> UUID:
    """Return the id of a charge's refund, or of a refund's charge.

    A charge has at most one refund, so no money is given back twice (promise 8).
    """
    return UUID(int=charge_id.int ^ (_REFUND & ((1 << 62) - 1)))
