"""The container makes everything once, by the settings; `running` makes it ready and clears up behind."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from dependency_injector.providers import Object
from uuid_utils.compat import uuid7

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.accounts.log_in import Credentials
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.security import Claims
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.container import Container, make_container, migrate
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Payments, Settings, SettingsError

IN_MEMORY: Final = Settings(database_url="memory://")
PROMISED: Final = (
    *("settings", "storage", "clock", "ids", "password_hasher", "known_passwords", "tokens", "turnstile", "draining"),
    *("book_ticket", "cancel_booking", "promote_from_waitlist", "resume_unsettled", "initialize_event", "change_event"),
    *("create_user", "log_in", "authenticate", "read_profile", "change_profile", "grant_role", "verify_promises"),
    *("refresh_tokens", "refresh_session", "log_out", "disable_user", "enable_user", "list_users"),
    *("read_event", "list_events", "read_booking", "list_bookings", "list_event_bookings", "read_waiting_list"),
    *("read_changes", "payment_gateway", "pay_booking", "list_payments", "expire_holds", "complete_payments", "sweep"),
)


def on_sqlite(directory: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{directory}/new/data/b.db")


async def test_everything_is_made_once_and_two_containers_share_nothing() -> None:
    one, other = make_container(IN_MEMORY), make_container(IN_MEMORY)
    for name in PROMISED:
        made = getattr(one, name)()
        assert getattr(one, name)() is made, name
        assert name == "settings" or getattr(other, name)() is not made, name


async def register(container: Container) -> UUID:
    registration = Registration(name="Ann", email="ann@example.org", password="correct horse battery")
    return (await container.create_user()(registration)).id


async def test_what_is_on_sqlite_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(make_container(on_sqlite(tmp_path))) as container:
        user_id = await register(container)
        signed_in = await container.log_in()(Credentials(email="ann@example.org", password="correct horse battery"))
    async with running(make_container(on_sqlite(tmp_path))) as container:
        assert (await container.read_profile()(user_id)).email == "ann@example.org"
        assert (await container.authenticate()(signed_in.access.text)).actor.user_id == user_id, (
            "signed by the kept secret"
        )
        assert (await container.verify_promises()()).breaches == []


def test_tokens_of_an_older_secret_are_read() -> None:
    now, claims = datetime.now(UTC), Claims(uuid7(), uuid7(), Role.ADMIN)
    before, after = "the secret of before " * 2, "the secret of today " * 2
    old = make_container(Settings(database_url="memory://", jwt_secret=before)).tokens().issue(claims, now)
    tokens = make_container(Settings(database_url="memory://", jwt_secret=after, jwt_older_secrets=(before,))).tokens()
    assert tokens.read(old.text, now) == claims


def initialize() -> Initialize:
    """A new event with one ticket."""
    return Initialize(
        event_id=uuid7(),
        actor=Actor(uuid7()),
        details=EventDetails(name="Jazz night"),
        ticket_types=((uuid7(), TicketTypeSpec(name="General admission", total_tickets=1)),),
        currency="EUR",
    )


async def test_sqlite_is_migrated_at_the_start_and_by_several_at_once(tmp_path: Path) -> None:
    settings = on_sqlite(tmp_path)
    await asyncio.gather(*(migrate(settings) for _ in range(3)), migrate(IN_MEMORY))
    assert (tmp_path / "new/data/b.db.sandbox.db").exists()
    async with running(make_container(settings)) as one, running(make_container(settings)) as other:
        await one.storage().check_ready()
        await other.storage().check_ready()


async def test_a_server_that_is_away_is_reported_without_its_password() -> None:
    settings = Settings(database_url="mysql+asyncmy://owner:hush@127.0.0.1:1/b")
    with pytest.raises(Unavailable) as failure:
        await migrate(settings)
    assert "mysql+asyncmy://127.0.0.1:1/b" in str(failure.value)
    assert "hush" not in str(failure.value)
    with pytest.raises(SettingsError, match="BOXOFFICE_JWT_SECRET must be set"):
        async with running(make_container(settings)):
            pass


async def test_stripe_takes_the_money_where_the_settings_say_so() -> None:
    stripe = Settings(database_url="memory://", payments=Payments.STRIPE, stripe_key="sk_test_x")
    async with running(make_container(stripe)) as container:
        assert type(container.payment_gateway()).__name__ == "StripeGateway"
    async with running(make_container(IN_MEMORY)) as container:
        assert type(container.payment_gateway()).__name__ == "SandboxGateway"
    with pytest.raises(SettingsError, match="BOXOFFICE_STRIPE_KEY must be set"):
        async with running(make_container(Settings(database_url="memory://", payments=Payments.STRIPE))):
            pass


@pytest.mark.mysql
async def test_a_server_is_migrated_by_its_operator_alone(mysql_url: str) -> None:
    settings = Settings(database_url=mysql_url, jwt_secret="0123456789" * 4)
    with pytest.raises(Unavailable, match="boxoffice migrate"):
        async with running(make_container(settings)):
            pass
    await migrate(settings)
    await migrate(settings)
    async with running(make_container(settings)) as container:
        await register(container)


class Watched(MemoryStorage):
    """A storage that says what was asked of it, in order."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    async def check_ready(self) -> None:
        self._said.append("checked")

    async def close(self) -> None:
        self._said.append("closed")


async def test_commands_that_wait_are_done_before_the_end_closes_the_storage() -> None:
    said: list[str] = []
    container = make_container(IN_MEMORY)
    container.storage.override(Object(Watched(said)))

    async def do() -> None:
        await container.initialize_event()(initialize())
        said.append("answered")

    async with running(container):
        assert not container.draining().has_begun
        waiting = asyncio.create_task(do())
        await asyncio.sleep(0)
    assert container.draining().has_begun
    await waiting
    assert said == ["checked", "answered", "closed"]
    with pytest.raises(Unavailable):
        await container.initialize_event()(initialize())


async def test_what_fails_inside_still_closes() -> None:
    said: list[str] = []
    container = make_container(IN_MEMORY)
    container.storage.override(Object(Watched(said)))
    with pytest.raises(ZeroDivisionError):
        async with running(container):
            raise ZeroDivisionError
    assert said == ["checked", "closed"]
    assert len(asyncio.all_tasks()) == 1, "no task is left behind"


@pytest.mark.parametrize("chore", ["resume_unsettled", "sweep"])
async def test_what_is_to_be_done_is_looked_for_again_and_again_whatever_fails(
    caplog: pytest.LogCaptureFixture, chore: str
) -> None:
    """At the start, then every so often; a failure is logged once and the next look comes all the same."""
    looks = asyncio.Queue[int]()
    failures = [Unavailable("away"), Unavailable("away"), ZeroDivisionError("broken")]

    class Looking:
        count = 0

        async def __call__(self) -> int:
            self.count += 1
            looks.put_nowait(self.count)
            if self.count <= len(failures):
                raise failures[self.count - 1]
            return 0

    container = make_container(IN_MEMORY)
    getattr(container, chore).override(Object(Looking()))
    async with running(container, resume_every=0, sweep_every=0):
        async with asyncio.timeout(30):
            assert [await looks.get() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("WARNING", False),
        ("ERROR", True),
    ]


async def test_the_gateway_is_closed_at_the_end_whatever_it_says() -> None:
    said: list[str] = []

    class Closing(SandboxGateway):
        async def close(self) -> None:
            said.append("gateway")
            raise ZeroDivisionError

    container = make_container(IN_MEMORY)
    container.payment_gateway.override(Object(Closing(MemoryLedger())))
    container.storage.override(Object(Watched(said)))
    with pytest.raises(ZeroDivisionError):
        async with running(container):
            pass
    assert said == ["checked", "gateway", "closed"]


class Stubborn:
    """A chore that answers its first cancellation with an error of its own."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self) -> None:
        is_first = not self.begun.is_set()
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not is_first:
                raise
            raise ConnectionError from None


async def test_a_chore_that_fails_when_it_is_cancelled_does_not_keep_the_process_alive() -> None:
    container = make_container(IN_MEMORY)
    stubborn = Stubborn()
    container.sweep.override(Object(stubborn))
    async with asyncio.timeout(15) as limit, running(container):
        await stubborn.begun.wait()
    assert not limit.expired()
