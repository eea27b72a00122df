"""Webhooks and e-mails: their senders and the stored deliveries.

Facts are the outbox of both. The transactions that write facts do nothing for them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.event import Event
from ...domain.facts import Fact
from ...domain.mails import Announcement, Mail
from ...domain.user import User
from ...domain.verification import Link, LinkPurpose
from ...domain.webhooks import Cursor, Delivery, DeliveryStatus, Webhook


class PendingDelivery(Struct, frozen=True):
    """An event with facts to deliver to a webhook: those after `last_seq`. `tried_at` None: none was tried before."""

    webhook: Webhook
    event_id: UUID
    last_seq: int
    tried_at: datetime | None = None


class PendingDeliveries(Struct, frozen=True):
    """Pending deliveries of some events; `next` is the event to continue after, None at the end."""

    items: Sequence[PendingDelivery]
    next: UUID | None


class Resend(Struct, frozen=True):
    """A delivery that was dead and is to be sent once more."""

    webhook: Webhook
    delivery: Delivery


class PendingEvents(Struct, frozen=True):
    """Events with facts that were not searched for mails, each with the number of the last one searched.

    `next` is the event to continue after; None at the end.
    """

    events: Sequence[tuple[UUID, int]]
    next: UUID | None


class WebhookRepository(Protocol):
    """Webhooks and their progress, inside a unit of work."""

    async def add(self, webhook: Webhook, now: datetime) -> None:
        """Add a webhook for facts from now on. Raises: Conflict when the id exists (maybe only at commit)."""

    async def count(self, organizer_id: UUID) -> int:
        """Return how many webhooks an organizer has."""

    async def lock(self, webhook_id: UUID) -> Webhook | None:
        """Return the webhook, locked until the unit of work ends. All its data changes under this lock only."""

    async def put(self, webhook: Webhook) -> None:
        """Replace a locked webhook's URL, kinds and whether it is active."""

    async def give_up_retries(self, webhook_id: UUID) -> None:
        """Mark all deliveries of a locked webhook that wait for a retry as dead."""

    async def skip_facts(self, webhook: Webhook, now: datetime) -> None:
        """Move the progress of a locked webhook to the newest fact of each event of its organizer."""

    async def remove(self, webhook_id: UUID) -> None:
        """Delete a locked webhook with all its data."""

    async def cursor(self, webhook_id: UUID, event_id: UUID) -> Cursor | None:
        """Return the progress of a locked webhook in an event; None: nothing was delivered."""

    async def put_cursor(self, cursor: Cursor) -> None:
        """Store the progress of a locked webhook."""

    async def delivery(self, webhook_id: UUID, event_id: UUID, seq: int) -> Delivery | None:
        """Return the failed delivery of a fact to a locked webhook, if any."""

    async def put_delivery(self, delivery: Delivery) -> None:
        """Store a failed delivery."""

    async def remove_delivery(self, delivery_id: UUID) -> None:
        """Delete a failed delivery that has succeeded."""

    async def remove_retried(self, webhook_id: UUID, event_id: UUID, last_seq: int) -> None:
        """Delete retried deliveries that have succeeded, up to that fact of an event. Dead deliveries stay."""


class MailRepository(Protocol):
    """Mails to send, and how far facts were searched for them, inside a unit of work."""

    async def begin(self, now: datetime) -> None:
        """Make mails of facts from now on, unless they are made already."""

    async def queue(
        self,
        event_id: UUID,
        after: int,
        last_seq: int,
        mails: Sequence[Mail],
        announcements: Sequence[Announcement] = (),
    ) -> bool:
        """Store the mails and announcements of the facts after `after` up to `last_seq`; existing ones stay.

        Return False, and store nothing, if another process has continued from `after`. Raises: Conflict (maybe only at
        commit) if another process does so concurrently.
        """

    async def announce(self, step: Announcement, mails: Sequence[Mail], below: UUID | None) -> None:
        """Store the mails of one step of an announcement, which goes on below `below`; None: it is finished.

        Existing mails stay as they are. Store nothing if another process has made this step.
        """

    async def put(self, mail: Mail) -> None:
        """Replace a mail."""

    async def remove(self, mail_id: UUID) -> None:
        """Delete a mail, if it exists."""


class NotificationQueries(Protocol):
    """Committed webhooks, deliveries and mails, read without locks. Each call sees one consistent state."""

    async def has_webhooks(self) -> bool:
        """Return whether there is any webhook."""

    async def webhooks(self, organizer_id: UUID) -> list[Webhook]:
        """Return an organizer's webhooks, oldest first."""

    async def webhook(self, webhook_id: UUID) -> Webhook | None:
        """Return one webhook."""

    async def deliveries(
        self, webhook_id: UUID, status: DeliveryStatus | None, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """Return failed deliveries, newest (highest id) first, below the id `before`."""

    async def delivery(self, delivery_id: UUID) -> Delivery | None:
        """Return one failed delivery."""

    async def pending_deliveries(
        self, now: datetime, but: Collection[UUID], each: int, after: UUID | None, window: int, limit: int
    ) -> PendingDeliveries:
        """Return the due deliveries of the next `window` events by id.

        At most `each` of a webhook, least recently tried first, and none of the webhooks in `but`. Only events that the
        webhook's organizer organizes, and none of a disabled account or of a webhook that is not active. At most
        `limit`, in rotation: the first one of each organizer, then the second one of each.
        """

    async def resends(self, but: Collection[UUID], limit: int) -> list[Resend]:
        """Return deliveries of active webhooks to send once more, without those of the webhooks in `but`.

        Organizers in rotation, and of each the oldest request first.
        """

    async def have_mails_begun(self) -> bool:
        """Return whether mails have ever been switched on."""

    async def pending_events(self, after: UUID | None, window: int) -> PendingEvents:
        """Return which of the next `window` events by id have facts that were not searched for mails."""

    async def due_mails(self, now: datetime, limit: int) -> list[Mail]:
        """Return mails that are due, longest due first."""

    async def link(self, link_id: UUID) -> Link | None:
        """Return one link."""

    async def links_of(self, user_id: UUID) -> list[Link]:
        """Return an account's links by id."""

    async def due_links(self, now: datetime, limit: int) -> list[Link]:
        """Return links whose mail is due, longest due first."""

    async def announcements(self, limit: int) -> list[Announcement]:
        """Return announcements that are not finished, the oldest first."""


class Refused(Exception):
    """The receiver refused or was unreachable. `reason` contains no secret and no e-mail address.

    `pause` is how long the receiver asks to wait before another attempt; None: it does not say.
    """

    def __init__(self, reason: str, *, pause: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason: str = reason[:200]
        self.pause: timedelta | None = pause


class Undeliverable(Refused):
    """The refusal is permanent."""


class WebhookSender(Protocol):
    """Sends facts to webhooks."""

    def new_secret(self) -> str:
        """Return a random signing secret."""

    def objection(self, url: str) -> str | None:
        """Return why the URL can never be used, as far as it shows by itself; None: it can."""

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        """Send a signed fact, within five seconds.

        Raises: Refused unless the receiver accepts it; Undeliverable if it wants no facts any more.
        """

    async def close(self) -> None:
        """Close its connections."""


class Email(Struct, frozen=True):
    """A mail to a customer's verified address, with the objects that its text names.

    `ticket_type` is the name of the booking's type where the event has several. `fact` is the mail's occasion.
    """

    mail: Mail
    customer: User
    booking: Booking
    event: Event
    recipient: str
    ticket_type: str | None = None
    fact: Fact | None = None


class LinkEmail(Struct, frozen=True, kw_only=True):
    """A mail with a link to an account, and nothing that a user wrote. The same link always gives the same `id`."""

    id: UUID
    purpose: LinkPurpose
    recipient: str
    token: str


class EmailSender(Protocol):
    """Sends mails to customers."""

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        """Hand a mail to the mail server. Raises: Refused if it may be retried; Undeliverable if not."""

    async def close_idle(self) -> None:
        """Close the connection; the next mail opens a new one."""
