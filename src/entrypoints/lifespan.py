"""The life of a process: start, background tasks, shutdown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ..application.ports.errors import Unavailable
from .container import Container, migrate

RESUME_EVERY = 2.0
"""Seconds between two rounds that resume the unfinished steps of a process that ended or crashed."""

SWEEP_EVERY = 1.0
"""Seconds between two sweeps of lapsed holds, open payments and old stored responses."""

SEAL_EVERY = 0.5
"""Seconds between two rounds that seal the logs of events."""

SAMPLE_EVERY = 1.0
"""Seconds between two samples of this process's gauges."""

NOTIFY_EVERY = 1.0
"""Seconds between two searches for facts to send to webhooks or mail to customers."""

SHARE_EVERY = 1.0
"""Seconds between two exchanges of request counts with other processes."""

EXPIRE_EVERY = 60.0
"""Seconds between two deletions of failed sign-ins that no longer count, and of links that no longer work."""

STORE_USES_EVERY = 5.0
"""Seconds between two rounds that store when API keys were used."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(
    container: Container,
    *,
    resume_every: float = RESUME_EVERY,
    sweep_every: float = SWEEP_EVERY,
    share_every: float = SHARE_EVERY,
    seal_every: float = SEAL_EVERY,
    notify_every: float | None = NOTIFY_EVERY,
) -> AsyncIterator[Container]:
    """Prepare the container, run the background tasks, and close everything at the end.

    An SQLite database is migrated; any other must have the current schema. The tasks resume unfinished steps, sweep
    holds and payments, seal logs, and notify webhooks and customers (unless `notify_every` is None). Leases let one
    process at a time sweep, seal and notify. At the end, queued commands are completed before the connections are
    closed.

    Raises: SettingsError, Unavailable.
    """
    settings = container.settings()
    container.tokens()  # Reports a missing secret now and not at the first login.
    if settings.sqlite_file is not None:
        await migrate(settings)
    gateway = container.payment_gateway()
    storage = container.storage()
    metrics, tracing, reports = container.metrics(), container.tracing(), container.reports()
    unhandled_errors = container.unhandled_errors()
    logging.getLogger().addHandler(unhandled_errors)

    async def sample() -> None:
        await metrics.sample(container.turnstile().waiting, SAMPLE_EVERY)

    try:
        await check_ready(container)
        tasks = [
            asyncio.create_task(_repeat(container.resume_unsettled(), resume_every, "Resuming unfinished steps")),
            asyncio.create_task(_repeat(container.finish_draws(), resume_every, "Finishing draws")),
            asyncio.create_task(_repeat(container.sweep(), sweep_every, "Sweeping holds and payments")),
            asyncio.create_task(_repeat(container.seal_logs(), seal_every, "Sealing logs")),
            asyncio.create_task(_repeat(container.forget_links(), EXPIRE_EVERY, "Deleting old links")),
            asyncio.create_task(_repeat(container.key_uses().store, STORE_USES_EVERY, "Storing the use of API keys")),
            asyncio.create_task(_repeat(sample, SAMPLE_EVERY, "Sampling gauges")),
        ]
        if settings.rate_limits:
            counts, failures = container.share_counts(), container.failed_logins().forget
            tasks.append(asyncio.create_task(_repeat(counts, share_every, "Sharing request counts")))
            tasks.append(asyncio.create_task(_repeat(failures, EXPIRE_EVERY, "Deleting old failed sign-ins")))
        if notify_every is not None:
            tasks += _notifiers(container, notify_every)
        try:
            yield container
        finally:
            container.draining().begin()
            await _cancel(tasks)
            if notify_every is not None:
                await container.deliver_webhooks().close()
            await container.turnstile().close()
    finally:
        metrics.close()
        logging.getLogger().removeHandler(unhandled_errors)
        for exporter in (tracing, reports):
            if exporter is not None:
                await exporter.close()
        try:
            await gateway.close()
        finally:
            await storage.close()


def _notifiers(container: Container, every: float) -> "list[asyncio.Task[None]]":
    tasks = [asyncio.create_task(_repeat(container.deliver_webhooks(), every, "Delivering to webhooks"))]
    settings = container.settings()
    if settings.smtp_url is not None:
        if settings.public_url is None:
            _log.warning(
                "BOXOFFICE_PUBLIC_URL is not set, so mails that verify an address contain a code instead of a link"
            )
        tasks.append(asyncio.create_task(_repeat(container.send_mails(), every, "Sending mails")))
    return tasks


async def check_ready(container: Container) -> None:
    """Check that the database can be used. Raises: Unavailable, with what to do."""
    try:
        await container.storage().check_ready()
    except Unavailable as failure:
        place = container.settings().database_place
        raise Unavailable(f"The database at {place} is not ready: {failure}") from failure


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


async def _repeat(run: Callable[[], Awaitable[object]], every: float, what: str) -> None:
    """Run a background task every `every` seconds, whatever fails. Log a lasting failure once."""
    logged: str | None = None
    while True:
        try:
            await run()
        except Unavailable as failure:
            if str(failure) != logged:
                logged = str(failure)
                _log.warning("%s failed and is retried every %s seconds: %s", what, every, failure)
        except Exception:  # noqa: BLE001 - the next round may succeed
            _log.exception("%s failed", what)
        else:
            if logged is not None:
                logged = None
                _log.info("%s works again", what)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The task raised another error when it was cancelled; it is not cancelled a second time.
            return
        await asyncio.sleep(every)
