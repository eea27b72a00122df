"""Payments: what was charged for a booking and what was given back."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from .values.money import Money

UNDER_WAY = timedelta(seconds=15)
"""How long an attempt at a payment provider is left alone before somebody else asks what became of it."""


GIVE_UP = timedelta(minutes=10)
"""How long after the last try a charge that the provider never heard of is given up: by then none is on its way."""


class PaymentKind(StrEnum):
    """Which way the money goes."""

    CHARGE = "charge"
    REFUND = "refund"


class ChargeStatus(StrEnum):
    """Whether the money has gone. While it is not known, it is `pending`."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PaymentMethod(StrEnum):
    """How it is paid: a card through the provider, or cash into the organizer's hand."""

    CARD = "card"
    CASH = "cash"


class Payment(Struct, frozen=True, gc=False, kw_only=True):
    """One charge or refund. Its id is the reference by which the provider knows it: it happens once (promise 8).

    `tried_at` is when the provider was last told to do it, `tried_by` the id with which whoever pays asked
    for that, and `key` the idempotency key that a charge came with.
    `ask_at` is when somebody may next ask the provider about it, None once it is settled; `attempts` counts the asking.
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
"""Flipped in a charge's id, it makes the id of its refund: below the variant, so a version 7 id remains one."""


def refund_of(charge_id: UUID) -> UUID:
    """The id of a charge's refund, and the other way round.

    A charge has one refund at most, so that no money can be given back twice (promise 8).
    """
    return UUID(int=charge_id.int ^ (_REFUND & ((1 << 62) - 1)))
