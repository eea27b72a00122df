"""The model's bookings, and the cards that pay them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ....domain.values.money import Money
from .box_office import START

LIVE: Final = ("waitlisted", "held", "confirmed")
TAKING: Final = ("held", "confirmed")

# Card tokens, by the reaction of the harness's provider.
TAKES: Final = "tok_ok"
DECLINES: Final = "tok_decline"
SILENT: Final = "tok_timeout"
ASKS: Final = "tok_action"

LONGEST_WAIT: Final = timedelta(hours=1)
"""The longest pause between two questions about a charge that waits for its customer."""

LATE: Final = timedelta(minutes=10)
"""How long a charge waits for its customer that was begun after the hold had lapsed."""


@dataclass
class ModelBooking:
    """One booking."""

    id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    deadline_hours: int
    price: Money
    created_at: datetime
    payment: str = "none"
    expires_at: datetime | None = None
    is_unanswered: bool = False
    awaits_customer: bool = False
    questions: int = 0
    charged_at: datetime = START
    ask_at: datetime | None = None
    in_cash: bool = False
    was_moved: bool = False
    grace_until: datetime | None = None

    @property
    def is_paid(self) -> bool:
        """Whether money was taken and not refunded."""
        return self.payment in ("taken", "refund_pending")

    @property
    def has_price(self) -> bool:
        """Whether it costs anything."""
        return self.price.amount > 0

    @property
    def amount(self) -> int:
        """Its amount in minor units."""
        return self.quantity * self.price.amount

    @property
    def has_open_charge(self) -> bool:
        """Whether a charge has no known outcome."""
        return self.is_unanswered or self.awaits_customer

    def answer_question(self, now: datetime) -> str:
        """Ask about the charge that waits for its customer. It ends if the booking has no tickets any more."""
        if self.questions == 0:
            self.charged_at = now
        is_late = self.status == "expired" and self.expires_at and self.charged_at >= self.expires_at
        self.awaits_customer = self.status in TAKING or bool(is_late and now < self.charged_at + LATE)
        if not self.awaits_customer:
            self.questions, self.ask_at = 0, None
            return "payment-declined"
        self.ask_at = now + min(timedelta(seconds=2**self.questions), LONGEST_WAIT)
        self.questions += 1
        if self.expires_at and now < self.expires_at < self.ask_at:
            self.ask_at = self.expires_at
        return "payment-action-required"
