"""The life of a running process, from its first look at the database to the last answer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ..application.ports.errors import Unavailable
from .container import Container, migrate

RESUME_EVERY = 2.0
"""Seconds between two looks for what was left undone: by a crash, or by a process that went away."""

SWEEP_EVERY = 1.0
"""Seconds between two rounds of lapsed holds, open payments and answers that need no longer be remembered."""

SAMPLE_EVERY = 1.0
"""Seconds between two looks at how this process is."""

TELL_EVERY = 1.0
"""Seconds between two looks for what others are to be told: webhooks, and customers by mail."""

SHARE_EVERY = 1.0
"""Seconds between two rounds in which processes tell each other how much was asked of them."""

FORGET_EVERY = 60.0
"""Seconds between two rounds of failures to sign in that count no longer."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(
    container: Container,
    *,
    resume_every: float = RESUME_EVERY,
    sweep_every: float = SWEEP_EVERY,
    share_every: float = SHARE_EVERY,
    tell_every: float | None = TELL_EVERY,
) -> AsyncIterator[Container]:
    """Make ready, and clear up behind: whoever drives the use cases does so inside.

    The embedded database is brought to today's schema; any other must be there already. Steps that a crash left undone
    are taken up by and by, holds and payments are swept, and webhooks and customers are told what happened (unless
    `tell_every` is None): every process tries, one at a time has the turn. At the end those who wait are let through
    before the connections go.

    Raises: SettingsError, Unavailable.
    """
    settings = container.settings()
    container.tokens()  # Says now, and not at the first login, that somebody has to set a secret.
    if settings.sqlite_file is not None:
        await migrate(settings)
    gateway = container.payment_gateway()
    storage = container.storage()
    metrics, tracing, reports = container.metrics(), container.tracing(), container.reports()
    unforeseen = container.unforeseen()
    logging.getLogger().addHandler(unforeseen)

    async def sample() -> None:
        await metrics.sample(container.turnstile().waiting, SAMPLE_EVERY)

    try:
        await check_ready(container)
        chores = [
            asyncio.create_task(_again(container.resume_unsettled(), resume_every, "what was left undone")),
            asyncio.create_task(_again(container.sweep(), sweep_every, "what is due")),
            asyncio.create_task(_again(sample, SAMPLE_EVERY, "how this process is")),
        ]
        if settings.rate_limits:
            counts, failures = container.share_counts(), container.failed_logins().forget
            chores.append(asyncio.create_task(_again(counts, share_every, "what other processes counted")))
            chores.append(asyncio.create_task(_again(failures, FORGET_EVERY, "old failures to sign in")))
        if tell_every is not None:
            chores += _tellers(container, tell_every)
        try:
            yield container
        finally:
            container.draining().begin()
            await _end(chores)
            if tell_every is not None:
                await container.deliver_webhooks().close()
            await container.turnstile().close()
    finally:
        metrics.close()
        logging.getLogger().removeHandler(unforeseen)
        for outside in (tracing, reports):
            if outside is not None:
                await outside.close()
        try:
            await gateway.close()
        finally:
            await storage.close()


def _tellers(container: Container, every: float) -> "list[asyncio.Task[None]]":
    tellers = [asyncio.create_task(_again(container.deliver_webhooks(), every, "what webhooks are to be told"))]
    if container.settings().smtp_url is not None:
        tellers.append(asyncio.create_task(_again(container.send_mails(), every, "mails to be sent")))
    return tellers


async def check_ready(container: Container) -> None:
    """Whether the database can be worked on, for whoever starts something. Raises: Unavailable, saying what to do."""
    try:
        await container.storage().check_ready()
    except Unavailable as failure:
        place = container.settings().database_place
        raise Unavailable(f"The database at {place} is not ready: {failure}") from failure


async def _end(chores: "list[asyncio.Task[None]]") -> None:
    for chore in chores:
        chore.cancel()
    for chore in chores:
        with suppress(asyncio.CancelledError):
            await chore


async def _again(chore: Callable[[], Awaitable[object]], every: float, what: str) -> None:
    """Do a chore again and again, whatever fails. A failure that stays is logged once."""
    said: str | None = None
    while True:
        try:
            await chore()
        except Unavailable as failure:
            if str(failure) != said:
                said = str(failure)
                _log.warning("Looking for %s did not work and is done again every moment: %s", what, failure)
        except Exception:  # noqa: BLE001 - the next look may well succeed, so this task ends with the process only
            _log.exception("Looking for %s failed", what)
        else:
            if said is not None:
                said = None
                _log.info("Looking for %s works again", what)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The chore answered its cancellation with a failure. It is cancelled once only.
            return
        await asyncio.sleep(every)
