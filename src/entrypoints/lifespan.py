"""The life of a running process, from its first look at the database to the last answer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ..application.failures import Unavailable
from ..application.promote_from_waitlist import ResumeUnsettled
from .container import Container, migrate

RESUME_EVERY = 2.0
"""Seconds between two looks for what was left undone: by a crash, or by a process that went away."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(container: Container, *, resume_every: float = RESUME_EVERY) -> AsyncIterator[Container]:
    """Make ready, and clear up behind: whoever drives the use cases does so inside.

    The embedded database is brought to today's schema; any other must be there already. Steps that a crash left undone
    are taken up by and by. At the end those who wait are let through before the connections go.

    Raises: SettingsError, Unavailable.
    """
    settings = container.settings()
    container.tokens()  # Says now, and not at the first login, that somebody has to set a secret.
    if settings.sqlite_file is not None:
        await migrate(settings)
    storage = container.storage()
    try:
        await check_ready(container)
        resuming = asyncio.create_task(_resume(container.resume_unsettled(), resume_every))
        try:
            yield container
        finally:
            container.draining().begin()
            resuming.cancel()
            with suppress(asyncio.CancelledError):
                await resuming
            await container.turnstile().close()
    finally:
        await storage.close()


async def check_ready(container: Container) -> None:
    """Whether the database can be worked on, for whoever starts something. Raises: Unavailable, saying what to do."""
    try:
        await container.storage().check_ready()
    except Unavailable as failure:
        place = container.settings().database_place
        raise Unavailable(f"The database at {place} is not ready: {failure}") from failure


async def _resume(resume_unsettled: ResumeUnsettled, every: float) -> None:
    while True:
        try:
            await resume_unsettled()
        except Unavailable as failure:
            _log.warning("What was left undone is looked for again in a moment: %s", failure)
        except Exception:  # noqa: BLE001 - the next look may well succeed, so this task ends with the process only
            _log.exception("Looking for what was left undone failed")
        await asyncio.sleep(every)
