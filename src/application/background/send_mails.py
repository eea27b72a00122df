"""Send e-mails to customers about their bookings: at least once each, while they are still true."""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ...domain.booking import Booking
from ...domain.facts import Fact
from ...domain.mails import Announcement, Mail, announcement_of, is_current, mails_of
from ..limits.recipients import count_mail, notices_to
from ..ports.errors import Conflict
from ..ports.notifications import Email, EmailSender, Refused, Undeliverable
from ..ports.security import AccountKey
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction
from .send_links import SendLinks

LEASE = timedelta(seconds=30)
"""The length of the lease: longer than anything that starts within `LONGEST_ROUND` may take."""

LONGEST_ROUND = timedelta(seconds=10)
"""After this a round starts no other mail and no other event's facts."""

WINDOW = 2_000
"""Events that one round searches for new facts; the next round continues there."""

PIECE = 500
"""Facts of an event in one read, and bookings in one step of an announcement."""

AT_ONCE = 100
"""Most mails of one round."""

ANNOUNCED_AT_ONCE = 10
"""Announcements of which one round makes a step."""

_log = logging.getLogger(__name__)


class Mailed(Struct, frozen=True):
    """The result of one round. `is_ours` False: another process has the lease, so nothing was done."""

    is_ours: bool
    queued: int = 0
    sent: int = 0


class SendMails:
    """Run one round, if this process gets the lease: send links, queue the mails of new facts, then send due mails.

    Mails about bookings go to verified addresses only. One beyond the recipient's limits is delayed.

    A change that concerns all customers of an event becomes an announcement, whose mails are queued in steps, and only
    while the queue is short: they wait for the others.

    A mail that was sent but not recorded as sent is sent again with the same id. Facts from before mails were first
    switched on cause none.
    """

    def __init__(
        self,
        storage: Storage,
        sender: EmailSender,
        send_links: SendLinks,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._sender = sender
        self._send_links = send_links
        self._clock = clock
        self._jitter = jitter
        self._process_id: UUID = ids.new()
        self._after: UUID | None = None
        self._has_begun = False

    async def __call__(self) -> Mailed:
        """Return the result of the round. Raises: Unavailable."""
        if not await in_transaction(self._storage, self._acquire_lease, jitter=self._jitter):
            return Mailed(is_ours=False)
        ends = self._clock.now() + LONGEST_ROUND
        if not self._has_begun:
            if not await self._storage.notification_queries.have_mails_begun():
                await in_transaction(self._storage, self._begin, jitter=self._jitter)
            self._has_begun = True
        try:
            # First, because somebody waits for them.
            sent = await self._send_links(ends)
            queued = await self._queue(ends)
            queued += await self._announce()
            sent += await self._send(ends)
        finally:
            await self._sender.close_idle()
        return Mailed(is_ours=True, queued=queued, sent=sent)

    async def _acquire_lease(self, unit_of_work: UnitOfWork) -> bool:
        now = self._clock.now()
        return await unit_of_work.leases.acquire_lease("mails", self._process_id, now, now + LEASE)

    async def _begin(self, unit_of_work: UnitOfWork) -> None:
        await unit_of_work.mails.begin(self._clock.now())

    async def _queue(self, ends: datetime) -> int:
        pending = await self._storage.notification_queries.pending_events(self._after, WINDOW)
        queued = 0
        for event_id, last_seq in pending.events:
            if self._clock.now() >= ends:
                # The next round searches these events again.
                return queued
            queued += await self._queue_of(event_id, last_seq, ends)
        self._after = pending.next
        return queued

    async def _queue_of(self, event_id: UUID, last_seq: int, ends: datetime) -> int:
        queued = 0
        while self._clock.now() < ends:
            facts = await self._storage.event_queries.facts(event_id, last_seq, PIECE)
            if not facts:
                break
            mails = [mail for fact in facts for mail in mails_of(fact)]
            announcements = [found for fact in facts if (found := announcement_of(fact)) is not None]
            if not await self._keep(event_id, last_seq, facts[-1].seq, mails, announcements):
                break
            queued += len(mails)
            last_seq = facts[-1].seq
        return queued

    async def _keep(
        self, event_id: UUID, after: int, last_seq: int, mails: list[Mail], announcements: list[Announcement]
    ) -> bool:
        async def keep(unit_of_work: UnitOfWork) -> bool:
            return await unit_of_work.mails.queue(event_id, after, last_seq, mails, announcements)

        try:
            return await in_transaction(self._storage, keep, jitter=self._jitter)
        except Conflict:
            return False

    async def _announce(self) -> int:
        """Make one step of each of the oldest announcements."""
        queries = self._storage.notification_queries
        if len(await queries.due_mails(self._clock.now(), AT_ONCE)) == AT_ONCE:
            return 0
        return sum([await self._announce_step(each) for each in await queries.announcements(ANNOUNCED_AT_ONCE)])

    async def _announce_step(self, step: Announcement) -> int:
        """Queue the mails to the next bookings, and return their number. An outdated announcement is finished."""
        mails: list[Mail] = []
        below = None
        state = (await self._storage.event_queries.events_by_id([step.event_id]))[step.event_id]
        now = self._clock.now()
        if is_current(state.event, await self._fact(step.event_id, step.seq), now):
            bookings = await self._storage.booking_queries.bookings_of_event(step.event_id, None, step.below, PIECE)
            mails = [mail for booking in bookings if (mail := step.mail_to(booking, now)) is not None]
            below = bookings[-1].id if len(bookings) == PIECE else None

        async def announce(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.mails.announce(step, mails, below)

        await in_transaction(self._storage, announce, jitter=self._jitter)
        return len(mails)

    async def _send(self, ends: datetime) -> int:
        sent = 0
        for mail in await self._storage.notification_queries.due_mails(self._clock.now(), AT_ONCE):
            if self._clock.now() >= ends:
                break
            sent += await self._send_one(mail)
        return sent

    async def _send_one(self, mail: Mail) -> bool:
        """Send a mail and return whether the server took it; remove one that is no longer true or has no recipient."""
        email = await self._email(mail)
        retry: Mail | None = None
        is_sent = False
        if email is not None:
            delayed_until = await self._count(email)
            if delayed_until is not None:
                await self._note(mail, replace(mail, due_at=delayed_until))
                return False
            try:
                await self._sender.send(email, self._clock.now())
                is_sent = True
            except Undeliverable as refused:
                _log.warning(
                    "Mail %s about booking %s cannot be delivered: %s", mail.id, mail.booking_id, refused.reason
                )
            except Refused as refused:
                retry = mail.has_failed(self._clock.now(), self._jitter())
                _log.warning(
                    "Mail %s about booking %s was refused and is %s: %s",
                    *(mail.id, mail.booking_id, "given up" if retry is None else "retried", refused.reason),
                )

        await self._note(mail, retry)
        return is_sent

    async def _count(self, email: Email) -> datetime | None:
        """Count a mail for its recipient; return None, or when there is room for it."""
        subjects = notices_to(email.recipient, email.event.organizer_id)
        now = self._clock.now()
        return await in_transaction(
            self._storage, lambda unit_of_work: count_mail(unit_of_work, subjects, now), jitter=self._jitter
        )

    async def _note(self, mail: Mail, retry: Mail | None) -> None:
        """Store the mail for another attempt, or remove it."""

        async def note(unit_of_work: UnitOfWork) -> None:
            if retry is None:
                await unit_of_work.mails.remove(mail.id)
            else:
                await unit_of_work.mails.put(retry)

        await in_transaction(self._storage, note, jitter=self._jitter)

    async def _email(self, mail: Mail) -> Email | None:
        found = await self._storage.booking_queries.booking(mail.booking_id)
        fact = await self._fact(mail.event_id, mail.seq)
        if found is None or not mail.is_true(found.booking, found.event, fact, self._clock.now()):
            return None
        booking, event = found.booking, found.event
        key = AccountKey(booking.customer_id)
        account = (await self._storage.account_queries.accounts([key])).get(key)
        recipient = None if account is None else account.user.email
        if account is None or recipient is None or not account.user.is_verified:
            return None
        return Email(mail, account.user, booking, event, recipient, await self._type_name(booking), fact)

    async def _fact(self, event_id: UUID, seq: int) -> Fact | None:
        found = await self._storage.event_queries.facts(event_id, seq - 1, 1)
        return found[0] if found and found[0].seq == seq else None

    async def _type_name(self, booking: Booking) -> str | None:
        """Return the name of the booking's ticket type; None where the event has no other."""
        states = await self._storage.event_queries.events_by_id([booking.event_id])
        types = states[booking.event_id].ticket_types
        return next(each.name for each in types if each.id == booking.ticket_type_id) if len(types) > 1 else None
