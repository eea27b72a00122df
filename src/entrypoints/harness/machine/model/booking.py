"""The model's bookings, and the cards that pay them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from .....domain.values.money import Money
from ..box_office import START

LIVE: Final = ("waitlisted", "held", "confirmed")
TAKING: Final = ("held", "confirmed")

# Card tokens, by the reaction of the harness's provider.
TAKES: Final = "tok_ok"
DECLINES: Final = "tok_decline"
SILENT: Final = "tok_timeout"
ASKS: Final = "tok_action"

LONGEST_WAIT: Final = timedelta(hours=1)
LONGEST_WAIT_WITH_HOLD: Final = timedelta(seconds=30)
"""The longest pauses between two questions about a charge that waits for its customer."""

LATE: Final = timedelta(minutes=10)
"""How long a charge waits for its customer that was begun after the hold had lapsed."""


_ORDER: Final = ("open", "won", "lost", "succeeded", "failed", "pending")
"""Which of two notices of the same time counts: the later one here."""


@dataclass
class ModelRefund:
    """One refund. `ends`: that of a cancellation or a late payment; the others were granted and have a known id."""

    amount: int
    ends: bool = False
    id: UUID | None = None
    status: str = "pending"
    is_sent: bool = False
    is_parked: bool = False
    is_by_hand: bool = False
    was_lost: bool = False
    noticed_at: datetime | None = None


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
    fee: int = 0
    refunds: list[ModelRefund] = field(default_factory=list)
    dispute: str | None = None
    disputed_at: datetime | None = None
    was_moved: bool = False
    has_tickets: bool = False
    charged: int = 0
    returned: set[int] = field(default_factory=set)
    is_suspended: bool = False
    grace_until: datetime | None = None
    is_gift: bool = False
    ended_by: str | None = None
    """Who cancelled it."""
    since: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("served", "left", "overtookYou", "granted"), 0)
    )
    """What happened while it waited."""
    has_waited: bool = False

    @property
    def is_paid(self) -> bool:
        """Whether money was taken, whatever became of it."""
        return self.payment == "paid"

    @property
    def is_disputed(self) -> bool:
        """Whether the customer's bank has the money."""
        return self.dispute in ("open", "lost")

    @property
    def left(self) -> int:
        """What is left of the money after all refunds, owed ones included."""
        if not self.is_paid or self.dispute == "lost":
            return 0
        return self.charged - sum(each.amount for each in self.refunds)

    @property
    def balance(self) -> int:
        """What was taken and not refunded yet."""
        if not self.is_paid:
            return 0
        return self.charged - sum(each.amount for each in self.refunds if each.status == "succeeded")

    @property
    def kept_by_provider(self) -> int:
        """What the provider took and did not send back itself."""
        charged = self.charged if self.is_paid else self.amount
        taken = charged if self.is_unanswered or (self.is_paid and not self.in_cash) else 0
        return taken - sum(each.amount for each in self.refunds if each.is_sent)

    @property
    def payment_status(self) -> str:
        """The status of its payment."""
        statuses = {each.status for each in self.refunds}
        if not self.is_paid:
            return self.payment
        if self.is_disputed:
            return "disputed"
        if "failed" in statuses:
            return "refund_failed"
        if self.left and not any(each.ends for each in self.refunds):
            return "taken"
        return "refund_pending" if "pending" in statuses else "refunded"

    def end(self, fee: int) -> int | None:
        """End a paid booking: plan its refund, and return the amount; None: nothing."""
        due = min(self.amount - self.amount * fee // 100, self.left)
        if due:
            self.refunds.append(ModelRefund(due, ends=True, is_parked=self.is_disputed))
        return due or None

    def choice_is_refused(self, numbers: Sequence[int] | None, live: Sequence[int]) -> str | None:
        """Return the code that refuses to give these tickets back, if any; `live` are those that it has."""
        if numbers is None:
            return None
        if self.status in ("waitlisted", "held"):
            return "invalid-request"
        return "not-found" if self.status == "confirmed" and not set(numbers) <= set(live) else None

    def part_is_refused(self, quantity: int) -> str | None:
        """Return the code that refuses to give so many tickets back, whichever they are, if any."""
        refusals = {
            "already-cancelled": self.status not in LIVE,
            "payment-under-way": self.has_open_charge,
            "exceeds-booking": quantity >= self.quantity,
        }
        return next((code for code, applies in refusals.items() if applies), None)

    def give_back(self, quantity: int, fee: int) -> ModelRefund | None:
        """Make the booking smaller, and plan and return the refund of a paid one; None: nothing."""
        price = quantity * self.price.amount
        due = min(price - price * fee // 100, self.left)
        self.quantity -= quantity
        if not due:
            return None
        self.refunds.append(ModelRefund(due, is_parked=self.is_disputed))
        return self.refunds[-1]

    def grant(self, amount: int) -> ModelRefund | str:
        """Give a part of the money back."""
        if self.is_disputed or amount > self.left:
            return "exceeds-paid"
        self.refunds.append(ModelRefund(amount))
        return self.refunds[-1]

    def settle(self, refund: ModelRefund | None) -> ModelRefund | str:
        """Pay a refund by hand; None: a charge."""
        if refund is None or refund.status == "succeeded":
            return "already-settled"
        if self.is_disputed:
            return "payment-not-due"
        if refund.status == "pending" and not self.in_cash:
            return "payment-under-way"
        refund.status, refund.is_by_hand = "succeeded", True
        return refund

    def send_refunds(self, *, refused: bool) -> None:
        """Let the provider answer about every refund that it is asked for."""
        for each in self.refunds:
            if each.status == "pending" and not each.is_parked and not self.in_cash:
                each.is_sent = each.is_sent or not refused
                each.status = "succeeded" if each.is_sent else "failed"

    def hear_of_refund(self, refund: ModelRefund, status: str, at: datetime) -> None:
        """Apply a notice about a refund."""
        if not self.in_cash and not refund.is_by_hand and _is_newer(at, status, refund.noticed_at, refund.status):
            refund.noticed_at = at
            if refund.status != status:
                refund.status, refund.is_parked, refund.was_lost = status, False, False

    def hear_of_dispute(self, dispute: str, at: datetime) -> None:
        """Apply a notice about a dispute."""
        if self.in_cash or not _is_newer(at, dispute, self.disputed_at, self.dispute or dispute):
            return
        self.disputed_at, before, self.dispute = at, self.dispute, dispute
        for refund in self.refunds:
            if before == dispute or refund.status == "succeeded":
                continue
            if dispute == "lost":
                refund.status, refund.is_parked, refund.was_lost = "failed", False, True
            elif dispute == "won":
                refund.status, refund.is_parked, refund.was_lost, refund.noticed_at = "pending", False, False, at
            elif refund.status == "pending" or refund.was_lost:
                refund.status, refund.is_parked, refund.was_lost = "pending", True, False

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
        longest = LONGEST_WAIT_WITH_HOLD if self.expires_at else LONGEST_WAIT
        self.ask_at = now + min(timedelta(seconds=2**self.questions), longest)
        self.questions += 1
        for seconds in (5, 0):
            last = self.expires_at and self.expires_at - timedelta(seconds=seconds)
            if last and now < last < self.ask_at:
                self.ask_at = last
        return "payment-action-required"


def _is_newer(at: datetime, word: str, before: datetime | None, word_before: str) -> bool:
    return before is None or (at, _ORDER.index(word)) > (before, _ORDER.index(word_before))
