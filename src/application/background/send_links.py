"""Send the mails with links to accounts: at least once each, while the link works."""

import logging
import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ...domain.verification import LONGEST_LIFETIME, Link
from ..limits.recipients import WITHIN
from ..ports.notifications import EmailSender, LinkEmail, Refused, Undeliverable
from ..ports.security import LinkTokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction

AT_ONCE: Final = 100
"""Most mails of one round."""

_log = logging.getLogger(__name__)


class SendLinks:
    """Send the due mails with links. It runs in the rounds of `SendMails`, under their lease.

    A mail that was sent but not recorded as sent is sent again with the same link.
    """

    def __init__(
        self,
        storage: Storage,
        sender: EmailSender,
        tokens: LinkTokens,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._sender = sender
        self._tokens = tokens
        self._clock = clock
        self._jitter = jitter

    async def __call__(self, ends: datetime) -> int:
        """Return how many were sent; start none after `ends`. Raises: Unavailable."""
        sent = 0
        for link in await self._storage.notification_queries.due_links(self._clock.now(), AT_ONCE):
            if self._clock.now() >= ends:
                break
            sent += await self._send(link)
        return sent

    async def _send(self, link: Link) -> bool:
        """Send the mail of a link, and return whether the server took it; give up one that is too old.

        A link that does nothing afterwards is deleted.
        """
        now = self._clock.now()
        after = link.has_left()
        is_sent = False
        if link.has_account and link.works(now):
            email = LinkEmail(id=link.id, purpose=link.purpose, recipient=link.email, token=self._tokens.text(link.id))
            try:
                await self._sender.send(email, now)
                is_sent = True
            except Undeliverable as refused:
                _log.warning("Mail %s to account %s cannot be delivered: %s", link.id, link.user_id, refused.reason)
            except Refused as refused:
                after = link.has_failed(self._clock.now(), self._jitter())
                _log.warning(
                    "Mail %s to account %s was refused and is %s: %s",
                    *(link.id, link.user_id, "given up" if after.due_at is None else "retried", refused.reason),
                )

        async def record(unit_of_work: UnitOfWork) -> None:
            if after.is_over:
                await unit_of_work.links.remove(after.id)
            else:
                await unit_of_work.links.save(after)

        await in_transaction(self._storage, record, jitter=self._jitter)
        return is_sent


class ForgetLinks:
    """Delete links that no longer work, claims that can no longer become accounts, and counts of mails."""

    def __init__(self, storage: Storage, clock: Clock, *, jitter: Callable[[], float] = random.random) -> None:
        self._storage = storage
        self._clock = clock
        self._jitter = jitter

    async def __call__(self) -> None:
        """Raises: Unavailable."""
        now = self._clock.now()

        async def forget(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.links.forget(now - LONGEST_LIFETIME)
            await unit_of_work.limits.forget_mail_times(now - WITHIN)

        await in_transaction(self._storage, forget, jitter=self._jitter)
