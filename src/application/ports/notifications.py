"""Webhooks and e-mails: their senders, and what is kept of deliveries.

Both are made of facts, which are their outbox. Nothing of it happens in the transactions that write facts.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.event import Event
from ...domain.facts import Fact
from ...domain.mails import Mail
from ...domain.user import User
from ...domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook


class PendingDelivery(Struct, frozen=True):
    """An event with facts that a webhook was not told yet: those after `last_seq`. `tried_at` None: it never was."""

    webhook: Webhook
    event_id: UUID
    last_seq: int
    tried_at: datetime | None = None


class PendingDeliveries(Struct, frozen=True):
    """Streams among some of the events; `next` is where to go on, None: all events were looked at."""

    items: Sequence[PendingDelivery]
    next: UUID | None


class Resend(Struct, frozen=True):
    """A delivery that was given up and is to be sent once more."""

    webhook: Webhook
    delivery: Delivery


class PendingEvents(Struct, frozen=True):
    """Events with facts that were not looked through for mails yet, each with how far they were.

    `next` is where to go on; None: all events were looked at.
    """

    events: Sequence[tuple[UUID, int]]
    next: UUID | None


class WebhookRepository(Protocol):
    """Webhooks and how far each was told, inside a unit of work."""

    async def add(self, webhook: Webhook, now: datetime) -> None:
        """A new webhook, told what happens from now on. Raises: Conflict when the id exists (maybe at commit only)."""

    async def count(self, organizer_id: UUID) -> int:
        """How many webhooks an organizer has."""

    async def lock(self, webhook_id: UUID) -> Webhook | None:
        """The webhook, locked until the unit of work ends: what is kept of it changes under this lock only."""

    async def remove(self, webhook_id: UUID) -> None:
        """A webhook that was locked goes, with all that is kept of it."""

    async def cursor(self, webhook_id: UUID, event_id: UUID) -> Cursor | None:
        """How far a locked webhook was told of an event; None: not at all."""

    async def put_cursor(self, cursor: Cursor) -> None:
        """Keep how far a locked webhook was told."""

    async def delivery(self, webhook_id: UUID, event_id: UUID, seq: int) -> Delivery | None:
        """What became of a fact that a locked webhook could not be told at once."""

    async def put_delivery(self, delivery: Delivery) -> None:
        """Keep what became of it."""

    async def remove_delivery(self, delivery_id: UUID) -> None:
        """It was told."""

    async def remove_retried(self, webhook_id: UUID, event_id: UUID, last_seq: int) -> None:
        """What was being tried again was told, up to that fact of an event. Dead deliveries stay."""


class MailRepository(Protocol):
    """Mails that are to be sent, and how far facts were looked through for them, inside a unit of work."""

    async def begin(self, now: datetime) -> None:
        """Mails are made of facts from now on, if they were not before."""

    async def queue(self, event_id: UUID, after: int, last_seq: int, mails: Sequence[Mail]) -> bool:
        """Keep the mails that the facts after `after`, up to `last_seq`, led to; those that are there stay as they are.

        False: somebody else has gone on from there, and nothing was kept. Raises: Conflict (maybe at commit only) when
        somebody does so at the same moment.
        """

    async def put(self, mail: Mail) -> None:
        """Put a mail that is there."""

    async def remove(self, mail_id: UUID) -> None:
        """A mail goes, if it is there."""


class NotificationQueries(Protocol):
    """What is committed of all that, read without locks. Each call sees one consistent state."""

    async def has_webhooks(self) -> bool:
        """Whether there is any webhook."""

    async def webhooks(self, organizer_id: UUID) -> list[Webhook]:
        """An organizer's webhooks, oldest first."""

    async def webhook(self, webhook_id: UUID) -> Webhook | None:
        """One webhook."""

    async def deliveries(
        self, webhook_id: UUID, status: DeliveryStatus | None, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """Deliveries that did not go through at once, newest (highest id) first, from below that id."""

    async def delivery(self, delivery_id: UUID) -> Delivery | None:
        """One of them."""

    async def streams(
        self, now: datetime, but: Collection[UUID], each: int, after: UUID | None, window: int, limit: int
    ) -> PendingDeliveries:
        """Of the next `window` events by id, those with facts that a webhook is to be told by now.

        `each` of a webhook at most, those first that it was told of least lately, and none of the webhooks of `but`.
        Only events that the webhook's organizer organizes, and nothing while that account is shut. `limit` of all, in
        rotation: the first one of each organizer, then the second one of each.
        """

    async def resends(self, but: Collection[UUID], limit: int) -> list[Resend]:
        """What is to be sent once more, not of the webhooks of `but`.

        Of each organizer the oldest request first, and organizers in rotation.
        """

    async def have_mails_begun(self) -> bool:
        """Whether mails were ever made of facts."""

    async def news(self, after: UUID | None, window: int) -> PendingEvents:
        """Of the next so many events by id, those with facts that were not looked through for mails."""

    async def due_mails(self, now: datetime, limit: int) -> list[Mail]:
        """Mails to be sent by now, those that waited longest first."""


class Refused(Exception):
    """The receiver did not take it, or was not there. What is said of it holds nothing secret and nobody's address."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said[:200]


class Undeliverable(Refused):
    """It will never be taken."""


class WebhookSender(Protocol):
    """Carries facts to webhooks."""

    def new_secret(self) -> str:
        """A secret to sign with, which cannot be guessed."""

    def objection(self, url: str) -> str | None:
        """Why nothing would ever be sent there, as far as the address itself shows; None: nothing is wrong with it."""

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        """Send a signed fact; within five seconds it was taken (2xx) or not. Raises: Refused."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Email(Struct, frozen=True):
    """A mail with all that it speaks of."""

    mail: Mail
    customer: User
    booking: Booking
    event: Event


class EmailSender(Protocol):
    """Carries mails to customers."""

    async def send(self, letter: Email, now: datetime) -> None:
        """Hand a letter to the mail server. Raises: Refused, to be tried again; Undeliverable, which never helps."""

    async def close_idle(self) -> None:
        """Close the connection; the next mail opens another one."""
