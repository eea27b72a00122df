"""Webhooks: deliver an event's facts to organizers' URLs, in order, with retries."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import get_args
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from .facts import AnyFactPayload, Fact
from .refusals import TooManyWebhooks
from .values.fields import Rules, check_characters, checked, given

MOST_WEBHOOKS = 20
"""Most webhooks of one organizer."""

FACT_KINDS = tuple(payload.__name__ for payload in get_args(AnyFactPayload))
"""All kinds of facts."""

LONGEST_URL = 2_048

RETRY_AFTER = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""The pause after each failure; after one more failure a delivery is given up (Standard Webhooks)."""

LONGEST_WAIT = max(RETRY_AFTER)
"""The longest pause that a receiver may ask for."""

HOST_AND_PATH = (
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
    r"(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
"""A host, an optional port and an optional path: ASCII, without user and fragment, so all parsers agree on it."""

_URL = re.compile(rf"https?://{HOST_AND_PATH}")


class DeliveryStatus(StrEnum):
    """The status of a delivery whose first attempt failed."""

    RETRYING = "retrying"
    """It is retried; later facts of its event wait for it."""
    DEAD = "dead"
    """It is given up, and later facts are delivered; it may be sent again on request."""
    RESENDING = "resending"
    """It was dead and is to be sent once more."""


class Webhook(Struct, frozen=True, gc=False, kw_only=True):
    """A URL that receives the facts of an organizer's events.

    `event_id`: only of this event. `kinds`: only these kinds of facts; empty: all. `secret` signs the messages. While
    it is not `active` it receives nothing, and never the facts of that time.
    """

    id: UUID
    organizer_id: UUID
    url: str
    secret: str
    event_id: UUID | None = None
    kinds: tuple[str, ...] = ()
    active: bool = True
    created_at: datetime

    def wants(self, fact: Fact) -> bool:
        """Return whether it receives this kind of fact."""
        return not self.kinds or fact.kind in self.kinds


class WebhookChanges(Struct, frozen=True, gc=False, kw_only=True):
    """Changes of a webhook; UNSET fields stay as they are. Raises: InvalidRequest when a value breaks a rule."""

    url: str | UnsetType = UNSET
    kinds: Sequence[str] | UnsetType = UNSET
    active: bool | UnsetType = UNSET

    def applied_to(self, webhook: Webhook) -> Webhook:
        """Return the changed webhook."""
        return replace(webhook, **checked(given(self), WEBHOOK_RULES))


class Failure(Struct, frozen=True, gc=False, kw_only=True):
    """Why a receiver did not accept a fact. `pause`: how long it asks to wait. `is_final`: it wants no facts at all."""

    reason: str
    pause: timedelta | None = None
    is_final: bool = False


class Cursor(Struct, frozen=True, gc=False, kw_only=True):
    """How far an event was delivered to a webhook: up to `last_seq`, and nothing more before `due_at`."""

    webhook_id: UUID
    event_id: UUID
    last_seq: int
    due_at: datetime | None = None
    tried_at: datetime


class Delivery(Struct, frozen=True, gc=False, kw_only=True):
    """The delivery of a fact whose first attempt failed. `error` describes the last failure.

    `due_at` is the time of the next attempt; None once it is dead.
    """

    id: UUID
    webhook_id: UUID
    event_id: UUID
    seq: int
    kind: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    tried_at: datetime
    due_at: datetime | None
    error: str


def message_id(fact: Fact) -> str:
    """Return the id by which a receiver recognizes a fact that is delivered twice."""
    return f"{fact.event_id}.{fact.seq}"


def has_failed(
    delivery_id: UUID,
    webhook_id: UUID,
    fact: Fact,
    before: Delivery | None,
    failure: Failure,
    now: datetime,
    jitter: float,
) -> Delivery:
    """Return the delivery of a fact after one more failure: to be retried, or dead.

    `jitter`, from 0 to 1, spreads the retries, so a receiver that was down does not get all of them at once. A pause
    that the receiver asks for replaces that of the schedule, as long as it does not end the retries sooner.
    """
    attempts = 1 if before is None else before.attempts + 1
    created_at = now if before is None else before.created_at
    pause = _pause(attempts, now - created_at, failure.pause, 0.9 + 0.2 * jitter)
    is_dead = pause is None or failure.is_final
    return Delivery(
        id=delivery_id if before is None else before.id,
        webhook_id=webhook_id,
        event_id=fact.event_id,
        seq=fact.seq,
        kind=fact.kind,
        status=DeliveryStatus.DEAD if is_dead else DeliveryStatus.RETRYING,
        attempts=attempts,
        created_at=created_at,
        tried_at=now,
        due_at=None if is_dead or pause is None else now + pause,
        error=failure.reason,
    )


def _pause(attempts: int, age: timedelta, asked: timedelta | None, factor: float) -> timedelta | None:
    """Return the pause before the next attempt; None: there is none."""
    if attempts <= len(RETRY_AFTER):
        return RETRY_AFTER[attempts - 1] * factor if asked is None else min(asked, LONGEST_WAIT)
    # Shorter pauses have used up the attempts, so the rest follows the schedule by the delivery's age.
    left = [each for each in accumulate(RETRY_AFTER) if each * 0.9 > age]
    return max(left[0] - age, asked or timedelta(0)) if left else None


def send_again(delivery: Delivery, now: datetime) -> Delivery:
    """Return the delivery due now: a dead one is sent once more, one that waits for a retry at once."""
    if delivery.status is DeliveryStatus.DEAD:
        return replace(delivery, status=DeliveryStatus.RESENDING, due_at=now)
    return replace(delivery, due_at=now)


def has_failed_again(delivery: Delivery, failure: Failure, now: datetime) -> Delivery:
    """Return the delivery dead again, after a requested attempt failed."""
    return replace(
        delivery,
        status=DeliveryStatus.DEAD,
        attempts=delivery.attempts + 1,
        tried_at=now,
        due_at=None,
        error=failure.reason,
    )


def check_room_for_a_webhook(webhooks: int) -> None:
    """Raise TooManyWebhooks if the organizer has the most allowed."""
    if webhooks >= MOST_WEBHOOKS:
        raise TooManyWebhooks(f"You have {MOST_WEBHOOKS} webhooks, which is the most; delete one first.")


def _url(value: str) -> str:
    check_characters(value)
    if len(value) > LONGEST_URL:
        raise ValueError(f"must have at most {LONGEST_URL} characters")
    if not _URL.fullmatch(value):
        raise ValueError("must be an https:// address with a host, in plain ASCII, without user and fragment")
    return value


def _kinds(value: Sequence[str]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must name at least one kind of fact; leave it out for all of them")
    if len(value) > len(FACT_KINDS):
        raise ValueError(f"must name at most {len(FACT_KINDS)} kinds of facts")
    for kind in value:
        if kind not in FACT_KINDS:
            raise ValueError(f"must be kinds of facts: {', '.join(FACT_KINDS)}")
    return tuple(kind for kind in FACT_KINDS if kind in value)


WEBHOOK_RULES: Rules = {"url": _url, "kinds": _kinds}
