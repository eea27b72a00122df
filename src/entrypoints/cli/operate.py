"""Commands on a database: migrate, manage accounts, sweep, verify."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...application.background.sweep import Swept
from ...application.background.verify_promises import PROMISES, Verdict
from ...application.draws.hold_draw import DrawResult
from ...application.ports.errors import StorageFailure, Unavailable
from ...domain.explanations.chance_record import BAND, Band
from ...domain.payment import Need
from ...domain.user import Role, User
from ...domain.values.money import Money
from ..container import Container, make_container
from ..container import migrate as migrate_database
from ..lifespan import check_ready
from ..settings import Settings, SettingsError
from .progress import ProgressLine

MOST_ROUNDS = 1_000
"""The most rounds of one sweep command; the work of a round is bounded."""

NO_ADDRESS = "-"
"""Stands for the address of an account without one."""

_log = logging.getLogger(__name__)


def migrate(settings: Settings, dropped_addresses: Sequence[UUID] = ()) -> int:
    """Bring the schema up to date. Raises: Unavailable."""
    with ProgressLine() as line:
        line.show("Migrating")
        asyncio.run(migrate_database(settings, lambda version: line.show(f"Migrated to {version}"), dropped_addresses))
    print(f"The schema of {settings.database_place} is up to date.")
    return 0


def grant(settings: Settings, account: str, role: Role) -> int:
    """Grant a role. Raises: InvalidRequest, NotFound, SettingsError, Unavailable."""

    async def run() -> User:
        async with _existing(settings) as container:
            return await container.grant_role()(account, role)

    print(f"{_name(asyncio.run(run()))} has the role {role} now.")
    return 0


class ListedUser(Struct, frozen=True, rename="camel"):
    """An account as `--json` prints it."""

    id: UUID
    email: str | None
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    verified_at: datetime | None

    @classmethod
    def of(cls, user: User) -> "ListedUser":
        """Return an account as it is listed."""
        return cls(**{name: getattr(user, name) for name in cls.__struct_fields__})


def list_users(settings: Settings, *, as_json: bool = False) -> int:
    """Print every account, one a line. Raises: SettingsError, Unavailable."""

    async def run() -> None:
        async with _existing(settings) as container:
            async for user in container.list_users()():
                if as_json:
                    _print_json(ListedUser.of(user))
                    continue
                state = "enabled" if user.disabled_at is None else "disabled"
                print(user.email or NO_ADDRESS, user.role, state, f"{user.created_at:%Y-%m-%dT%H:%M:%SZ}", sep="\t")

    asyncio.run(run())
    return 0


def disable_user(settings: Settings, account: str) -> int:
    """Disable an account. Raises: InvalidRequest, NotFound, SettingsError, Unavailable."""

    async def run() -> User:
        async with _existing(settings) as container:
            try:
                return await container.disable_user()(account)
            finally:
                await container.turnstile().close()

    print(
        f"{_name(asyncio.run(run()))} is disabled: signing in is refused, every session ends within 5 seconds, and "
        "waiting bookings are passed over."
    )
    return 0


def enable_user(settings: Settings, account: str) -> int:
    """Enable a disabled account. Raises: InvalidRequest, NotFound, SettingsError, Unavailable."""

    async def run() -> User:
        async with _existing(settings) as container:
            try:
                return await container.enable_user()(account)
            finally:
                await container.turnstile().close()

    print(f"{_name(asyncio.run(run()))} is enabled and may sign in; waiting bookings take their places again.")
    return 0


def _name(user: User) -> str:
    return user.email or str(user.id)


def mark_verified(settings: Settings, email: str | None) -> int:
    """Mark the address of one account, or of all, as verified. Raises: as `disable_user`."""

    async def run() -> str:
        async with _existing(settings) as container:
            if email is not None:
                return f"{(await container.mark_verified()(email)).email} is verified."
            number = 0
            async for user in container.list_users()():
                if user.unverified_address is not None:
                    await container.mark_verified()(user.unverified_address)
                    number += 1
            return "1 address is verified now." if number == 1 else f"{number} addresses are verified now."

    print(asyncio.run(run()))
    return 0


def make_reset_link(settings: Settings, email: str) -> int:
    """Print a link that sets a new password. Raises: as `disable_user`, NotAllowed for a disabled account."""

    async def run() -> str:
        async with _existing(settings) as container:
            return await container.make_reset_link()(email)

    token = asyncio.run(run())
    if settings.public_url is None:
        print(f"BOXOFFICE_PUBLIC_URL is not set, so there is no link: for an hour, /reset-password takes token={token}")
    else:
        print(f"{settings.public_url}/reset-password?token={token}")
    return 0


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())


def hold_draw(settings: Settings, event_id: UUID, beacon: Path | None) -> int:
    """Hold an event's draw and print the result. Raises: Refusal, SettingsError, Unavailable."""
    try:
        text = None if beacon is None else beacon.read_bytes()
    except OSError as error:
        raise Unavailable(f"The beacon cannot be read from {beacon}: {error.strerror}") from error

    async def run() -> DrawResult:
        async with _existing(settings) as container:
            try:
                return await container.hold_draw()(event_id, text)
            finally:
                await container.turnstile().close()

    result = asyncio.run(run())
    entries = "1 entry" if result.entries == 1 else f"{result.entries} entries"
    print(f"The draw was held before: {entries}." if result.was_held else f"Drew the places of {entries}.")
    return 0


def sweep(settings: Settings, *, as_json: bool = False) -> int:
    """Sweep until nothing is due, and print the result. Raises: SettingsError, Unavailable."""

    async def run() -> Rounds:
        async with _existing(settings) as container:
            try:
                return await sweep_rounds(container.sweep(), MOST_ROUNDS)
            finally:
                await container.turnstile().close()
                await container.payment_gateway().close()

    rounds = asyncio.run(run())
    if as_json:
        _print_json(rounds)
    else:
        print(rounds.sentence)
    return 0 if rounds.is_done else 1


class Rounds(Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of several rounds. `has_turn` False: another process has the lease and does the rest."""

    has_turn: bool = True
    is_done: bool = True
    events: int = 0
    payments: int = 0
    accounts: int = 0
    answers: int = 0
    erasures: int = 0
    code_keys: int = 0

    @property
    def sentence(self) -> str:
        """The result in words."""
        done = (
            f"Settled {self.events} events with lapsed holds, checked {self.payments} payments, "
            f"reviewed {self.accounts} accounts, deleted {self.answers} stored responses, "
            f"continued {self.erasures} erasures, encrypted {self.code_keys} keys anew."
        )
        if not self.has_turn:
            has_done = self != Rounds(has_turn=False, is_done=self.is_done)
            done = done if has_done else "Nothing was done here."
            return f"{done} Another process has the lease and does the rest."
        return done if self.is_done else f"{done} More is due: run it again."


async def sweep_rounds(sweep: Callable[[], Awaitable[Swept]], most: int) -> Rounds:
    """Run rounds until one finds nothing due, another process has the lease, or `most` rounds were run."""
    rounds = Rounds(is_done=False)
    for _ in range(most):
        swept = await sweep()
        rounds = replace(
            rounds,
            events=rounds.events + swept.events,
            payments=rounds.payments + swept.payments,
            accounts=rounds.accounts + swept.accounts,
            answers=rounds.answers + swept.stored_responses,
            erasures=rounds.erasures + swept.erasures,
            code_keys=rounds.code_keys + swept.code_keys,
        )
        if not (swept.is_ours and swept.was_due):
            return replace(rounds, has_turn=swept.is_ours, is_done=True)
    return rounds


class ListedPayment(Struct, frozen=True, rename="camel"):
    """A payment that needs a person, as `--json` prints it."""

    need: Need
    booking_id: UUID
    payment_id: UUID
    amount: Money
    since: datetime


def list_due_payments(settings: Settings, *, as_json: bool = False) -> int:
    """Print every payment that needs a person, one a line. Raises: SettingsError, Unavailable."""

    async def run() -> None:
        async with _existing(settings) as container:
            async for due in container.list_due_payments()():
                payment = due.payment
                if as_json:
                    _print_json(ListedPayment(due.need, payment.booking_id, payment.id, payment.amount, due.since))
                    continue
                amount = f"{payment.amount.amount} {payment.amount.currency}"
                since = f"{due.since:%Y-%m-%dT%H:%M:%SZ}"
                print(due.need, payment.booking_id, payment.id, amount, since, sep="\t")

    asyncio.run(run())
    return 0


class CheckedPromise(Struct, frozen=True):
    """The result for one promise, as `--json` prints it."""

    number: int
    promise: str
    holds: bool
    breaches: list[str]


class Report(Struct, frozen=True):
    """The output of `verify --json`."""

    holds: bool
    events: int
    bookings: int
    facts: int
    promises: list[CheckedPromise]
    chances: list[Band]

    @classmethod
    def of(cls, verdict: Verdict) -> "Report":
        """Return a verdict as its report."""
        found = {number: [breach.what for breach in verdict.of(number)] for number in PROMISES}
        promises = [
            CheckedPromise(number, PROMISES[number], not breaches, breaches) for number, breaches in found.items()
        ]
        return cls(
            not verdict.breaches, verdict.events, verdict.bookings, verdict.facts, promises, list(verdict.chances)
        )


def verify(settings: Settings, *, as_json: bool = False, shows_chances: bool = False) -> int:
    """Check the promises and print the result of each; with `shows_chances` also how often chances were right.

    Raises: SettingsError, Unavailable.
    """

    async def run() -> Verdict:
        async with _existing(settings) as container:
            with ProgressLine() as line:
                verdict = await container.verify_promises()(lambda so_far: line.show(_checked(so_far)))
            try:
                await container.note_verdict()(verdict)
            except StorageFailure as failure:
                _log.warning("The result could not be stored for the metrics: %s", failure)
            return verdict

    verdict = asyncio.run(run())
    if as_json:
        _print_json(Report.of(verdict))
        return 1 if verdict.breaches else 0
    for promise, sentence in PROMISES.items():
        breaches = verdict.of(promise)
        print(f"{'BROKEN' if breaches else 'holds '} promise {promise}: {sentence}")
        for breach in breaches:
            print(f"         {breach.what}")
    for band in verdict.chances if shows_chances else ():
        print(of_band(band))
    print(_checked(verdict))
    return 1 if verdict.breaches else 0


def of_band(band: Band) -> str:
    """Return in words how often the chances of a band were right."""
    share = f"{100 * band.served / band.told:3.0f} % of {band.told} bookings were served" if band.told else "nobody yet"
    return f"chances of {band.percent:2} to {band.percent + BAND - 1:2} %: {share}"


def _checked(verdict: Verdict) -> str:
    return f"Checked {verdict.events} events, {verdict.bookings} bookings and {verdict.facts} facts."


@asynccontextmanager
async def _existing(settings: Settings) -> AsyncIterator[Container]:
    """Open a container on an existing database, without migrating it. Raises: SettingsError, Unavailable."""
    if settings.is_in_memory:
        raise SettingsError(
            "BOXOFFICE_DATABASE_URL must name a stored database: the data of memory:// ends with its process"
        )
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        raise Unavailable(
            f"There is no database at {settings.sqlite_file} yet: run `boxoffice serve` or `boxoffice migrate` first, "
            "or run this command in the directory that contains data/."
        )
    container = make_container(settings)
    storage = container.storage()
    try:
        await check_ready(container)
        yield container
    finally:
        await storage.close()
