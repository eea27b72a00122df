"""Payments: what was charged for a booking and what was given back."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from .money import Money

UNDER_WAY = timedelta(seconds=15)
"""How long an attempt at a payment provider is left alone before somebody else asks what became of it."""


class PaymentKind(StrEnum):
    """Which way the money goes."""

    CHARGE = "charge"
    REFUND = "refund"


class PaymentState(StrEnum):
    """Whether the money has gone. While it is not known, it is `pending`."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PaymentMethod(StrEnum):
    """How it is paid: a card through the provider, or cash into the organizer's hand."""

    CARD = "card"
    CASH = "cash"


class Payment(Struct, frozen=True, kw_only=True):
    """One charge or refund. Its id is the reference by which the provider knows it: it happens once (promise 8).

    `ask_at` is when somebody may next ask the provider about it, None once it is settled; `attempts` counts the asking.
    """

    id: UUID
    event_id: UUID
    booking_id: UUID
    kind: PaymentKind
    status: PaymentState
    method: PaymentMethod
    amount: Money
    created_at: datetime
    settled_at: datetime | None = None
    ask_at: datetime | None = None
    attempts: int = 0


_REFUND = 0x5EF0_0D5E_F00D_5EF0
"""Turned on in a booking's id, it makes the id of its refund: below the variant, so a version 7 id remains one."""


def refund_id(booking_id: UUID) -> UUID:
    """The id of a booking's refund. A booking has one at most, so it can never be given back twice (promise 8)."""
    return UUID(int=booking_id.int ^ (_REFUND & ((1 << 62) - 1)))
