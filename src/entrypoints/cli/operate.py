"""What an operator does to a database: migrate it, grant roles, verify the promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...application.failures import Unavailable
from ...application.verify_promises import PROMISES, Verdict
from ...domain.user import Role
from ..container import Container, make_container
from ..container import migrate as migrate_database
from ..lifespan import check_ready
from ..settings import Settings, SettingsError


def migrate(settings: Settings) -> int:
    """Bring the schema up to date. Raises: Unavailable."""
    asyncio.run(migrate_database(settings))
    print(f"The schema of {settings.database_place} is up to date.")
    return 0


def grant(settings: Settings, email: str, role: Role) -> int:
    """Grant a role. Raises: InvalidRequest, NotFound, SettingsError, Unavailable."""

    async def run() -> str:
        async with _existing(settings) as container:
            return (await container.grant_role()(email, role)).email

    print(f"{asyncio.run(run())} has the role {role} now.")
    return 0


def verify(settings: Settings) -> int:
    """Check the promises and print what became of each. Raises: SettingsError, Unavailable."""

    async def run() -> Verdict:
        async with _existing(settings) as container:
            return await container.verify_promises()()

    verdict = asyncio.run(run())
    for promise, sentence in PROMISES.items():
        breaches = verdict.of(promise)
        print(f"{'BROKEN' if breaches else 'holds '} promise {promise}: {sentence}")
        for breach in breaches:
            print(f"         {breach.what}")
    print(f"Looked at {verdict.events} events, {verdict.bookings} bookings and {verdict.facts} facts.")
    return 1 if verdict.breaches else 0


@asynccontextmanager
async def _existing(settings: Settings) -> AsyncIterator[Container]:
    """A container on a database that must be there already: these commands neither make one nor change its schema."""
    if settings.is_in_memory:
        raise SettingsError(
            "BOXOFFICE_DATABASE_URL must name a database that others see too: memory:// ends right here"
        )
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        raise Unavailable(
            f"There is no database at {settings.sqlite_file} yet: run `boxoffice serve` or `boxoffice migrate` first, "
            "or start this command where your data/ is."
        )
    container = make_container(settings)
    storage = container.storage()
    try:
        await check_ready(container)
        yield container
    finally:
        await storage.close()
