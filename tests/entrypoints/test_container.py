"""The container makes everything once, by the settings; `running` makes it ready and clears up behind."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from dependency_injector.errors import Error as InjectionError
from dependency_injector.providers import Object
from uuid_utils.compat import uuid7

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.payments import MemoryLedger, SandboxGateway
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.accounts.log_in import Credentials
from boxoffice.application.bookings.pay_booking import Bill, PaymentUnknown
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.queries import BookingOfEvent
from boxoffice.application.ports.security import Claims, Tokens
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails, EventState, TicketTypeSpec
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.refusals import InvalidToken, NotAllowed
from boxoffice.domain.user import Actor, Organizers, Role
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container, make_container, migrate
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Payments, Settings, SettingsError
from tests.settable_clock import SettableClock

IN_MEMORY: Final = Settings(database_url="memory://")
PROMISED: Final = (
    *("settings", "storage", "clock", "ids", "password_hasher", "known_passwords", "tokens", "turnstile", "draining"),
    *("book_ticket", "cancel_booking", "promote_from_waitlist", "resume_unsettled", "initialize_event", "change_event"),
    *("create_user", "log_in", "authenticate", "read_profile", "change_profile", "grant_role", "verify_promises"),
    *("refresh_tokens", "refresh_session", "log_out", "disable_user", "enable_user", "list_users"),
    *("read_event", "list_events", "read_booking", "list_bookings", "list_event_bookings", "read_waiting_list"),
    *("read_changes", "payment_gateway", "pay_booking", "list_payments", "expire_holds", "settle_payments", "sweep"),
)


def on_sqlite(directory: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{directory}/new/data/b.db")


@pytest.mark.parametrize("name", PROMISED)
async def test_everything_is_made_once(name: str) -> None:
    container = make_container(IN_MEMORY)
    provider = getattr(container, name)
    assert provider() is provider()


async def test_two_containers_share_nothing() -> None:
    one, other = make_container(IN_MEMORY), make_container(IN_MEMORY)
    shared = [name for name in PROMISED if name != "settings" and getattr(one, name)() is getattr(other, name)()]
    assert shared == []


def test_a_container_needs_settings() -> None:
    with pytest.raises(InjectionError):
        Container().settings()


async def register(container: Container) -> UUID:
    registration = Registration(name="Ann", email="ann@example.org", password="correct horse battery")
    return (await container.create_user()(registration)).id


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_the_container_makes_works_together(tmp_path: Path, kind: str) -> None:
    async with running(make_container(IN_MEMORY if kind == "memory" else on_sqlite(tmp_path))) as container:
        user_id = await register(container)
        signed_in = await container.log_in()(Credentials(email="ann@example.org", password="correct horse battery"))
        caller = await container.authenticate()(signed_in.access.text)
        assert caller.actor == Actor(user_id)
        assert (await container.verify_promises()()).breaches == []


async def test_what_is_on_sqlite_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(make_container(on_sqlite(tmp_path))) as container:
        user_id = await register(container)
        signed_in = await container.log_in()(Credentials(email="ann@example.org", password="correct horse battery"))
    async with running(make_container(on_sqlite(tmp_path))) as container:
        assert (await container.read_profile()(user_id)).email == "ann@example.org"
        assert (await container.authenticate()(signed_in.access.text)).actor.user_id == user_id, (
            "signed by the kept secret"
        )


def test_tokens_of_an_older_secret_are_read_and_the_newest_signs() -> None:
    def tokens(secret: str, *older: str) -> Tokens:
        settings = Settings(database_url="memory://", jwt_secret=secret, jwt_older_secrets=older)
        return make_container(settings).tokens()

    now, claims = datetime.now(UTC), Claims(uuid7(), uuid7(), Role.ADMIN)
    before, after, meanwhile = "the secret of before " * 2, "the secret of today " * 2, "another secret " * 3
    old = tokens(before).issue(claims, now).text
    assert tokens(after, meanwhile, before).read(old, now) == claims
    with pytest.raises(InvalidToken):
        tokens(after, meanwhile).read(old, now)
    new = tokens(after, meanwhile, before).issue(claims, now).text
    assert tokens(after).read(new, now) == claims


@pytest.mark.parametrize(
    ("organizers", "role", "may"),
    [
        (Organizers.EVERYONE, Role.CUSTOMER, True),
        (Organizers.GRANTED, Role.CUSTOMER, False),
        (Organizers.GRANTED, Role.ORGANIZER, True),
        (Organizers.GRANTED, Role.ADMIN, True),
    ],
)
async def test_the_settings_say_who_may_organize(organizers: Organizers, role: Role, may: bool) -> None:
    container = make_container(Settings(database_url="memory://", organizers=organizers))
    new = container.ids().new
    command = Initialize(
        event_id=new(),
        actor=Actor(new(), role),
        details=EventDetails(name="Jazz night"),
        ticket_types=((new(), TicketTypeSpec(name="General admission", total_tickets=3)),),
        currency="EUR",
    )
    if may:
        assert (await container.initialize_event()(command)).event.name == "Jazz night"
    else:
        with pytest.raises(NotAllowed):
            await container.initialize_event()(command)


async def test_sqlite_is_migrated_at_the_start_and_by_several_at_once(tmp_path: Path) -> None:
    settings = on_sqlite(tmp_path)
    await asyncio.gather(*(migrate(settings) for _ in range(3)))
    async with running(make_container(settings)) as one, running(make_container(settings)) as other:
        await one.storage().check_ready()
        await other.storage().check_ready()


async def test_memory_needs_no_migration() -> None:
    await migrate(IN_MEMORY)


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    with pytest.raises(Unavailable, match="cannot be made"):
        await migrate(on_sqlite(tmp_path))


async def test_a_server_that_is_away_is_said_without_the_password() -> None:
    settings = Settings(database_url="mysql+asyncmy://owner:hush@127.0.0.1:1/b")
    with pytest.raises(Unavailable) as failure:
        await migrate(settings)
    assert "mysql+asyncmy://127.0.0.1:1/b" in str(failure.value)
    assert "hush" not in str(failure.value)


async def test_a_server_without_a_secret_does_not_start() -> None:
    settings = Settings(database_url="mysql+asyncmy://owner:hush@127.0.0.1:1/b")
    with pytest.raises(SettingsError, match="BOXOFFICE_JWT_SECRET must be set"):
        async with running(make_container(settings)):
            pass


async def test_migrating_makes_room_for_the_sandboxs_ledger(tmp_path: Path) -> None:
    settings = on_sqlite(tmp_path)
    for _ in range(2):
        await migrate(settings)
    assert (tmp_path / "new/data/b.db.sandbox.db").exists()


async def test_the_sandboxs_ledger_is_one_for_all_processes_and_outlives_them(tmp_path: Path) -> None:
    reference = make_container(IN_MEMORY).ids().new()
    for token, taken in (("tok_ok", True), ("tok_decline", True)):
        one, other = make_container(on_sqlite(tmp_path)), make_container(on_sqlite(tmp_path))
        async with running(one), running(other):
            assert await one.payment_gateway().charge(reference, Money(100, "EUR"), token) is taken
            assert await other.payment_gateway().find_charge(reference) is taken


async def test_stripe_takes_the_money_where_the_settings_say_so() -> None:
    stripe = Settings(database_url="memory://", payments=Payments.STRIPE, stripe_key="sk_test_x")
    async with running(make_container(stripe)) as container:
        assert type(container.payment_gateway()).__name__ == "StripeGateway"
    async with running(make_container(IN_MEMORY)) as container:
        assert type(container.payment_gateway()).__name__ == "SandboxGateway"
    with pytest.raises(SettingsError, match="BOXOFFICE_STRIPE_KEY must be set"):
        async with running(make_container(Settings(database_url="memory://", payments=Payments.STRIPE))):
            pass


async def test_stripe_without_its_library_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "boxoffice.adapters.payments.stripe", raising=False)
    monkeypatch.setitem(sys.modules, "stripe", None)
    stripe = Settings(database_url="memory://", payments=Payments.STRIPE, stripe_key="sk_test_x")
    with pytest.raises(SettingsError, match=r"pip install 'boxoffice\[stripe\]'"):
        async with running(make_container(stripe)):
            pass


@pytest.mark.mysql
async def test_a_server_is_not_migrated_behind_its_operators_back(mysql_url: str) -> None:
    settings = Settings(database_url=mysql_url, jwt_secret="0123456789" * 4)
    with pytest.raises(Unavailable, match="boxoffice migrate"):
        async with running(make_container(settings)):
            pass
    await migrate(settings)
    await migrate(settings)
    async with running(make_container(settings)) as container:
        user_id = await register(container)
        assert (await container.read_profile()(user_id)).id == user_id


class Watched(MemoryStorage):
    """A storage that says what was asked of it, in order."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    async def check_ready(self) -> None:
        self._said.append("checked")

    async def close(self) -> None:
        self._said.append("closed")


async def test_the_end_lets_through_who_waits_and_then_closes() -> None:
    said: list[str] = []
    container = make_container(IN_MEMORY)
    container.storage.override(Object(Watched(said)))
    new = container.ids().new
    command = Initialize(
        event_id=new(),
        actor=Actor(new()),
        details=EventDetails(name="Jazz night"),
        ticket_types=((new(), TicketTypeSpec(name="General admission", total_tickets=3)),),
        currency="EUR",
    )

    async def initialize() -> None:
        await container.initialize_event()(command)
        said.append("answered")

    async with running(container):
        assert not container.draining().has_begun
        waiting = asyncio.create_task(initialize())
        await asyncio.sleep(0)
    assert container.draining().has_begun
    await waiting
    assert said == ["checked", "answered", "closed"]
    with pytest.raises(Unavailable):
        await container.initialize_event()(command)


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


async def sold_out(container: Container) -> tuple[EventState, list[Booking]]:
    """An event with one ticket that must be paid for within a minute, held by Ann, and Ben in line."""
    new = container.ids().new
    state = await container.initialize_event()(
        Initialize(
            event_id=new(),
            actor=Actor(new()),
            details=EventDetails(name="Jazz night", payment_window_minutes=1),
            ticket_types=(
                (new(), TicketTypeSpec(name="General admission", total_tickets=1, price=Money(2500, "EUR"))),
            ),
            currency="EUR",
        )
    )
    booked = [
        await container.book_ticket()(Book(booking_id=new(), event_id=state.event.id, actor=Actor(new()), quantity=1))
        for _ in "12"
    ]
    assert [booking.status for booking in booked] == [BookingStatus.HELD, BookingStatus.WAITLISTED]
    return state, booked


def sandbox_of(container: Container) -> SandboxGateway:
    gateway = container.payment_gateway()
    assert isinstance(gateway, SandboxGateway)
    return gateway


async def until(container: Container, booking: Booking, reached: Callable[[Booking], bool]) -> Booking:
    """The booking as soon as it is so."""
    async with asyncio.timeout(30):
        while True:
            found: BookingOfEvent | None = await container.storage().booking_queries.booking(booking.id)
            assert found
            if reached(found.booking):
                return found.booking
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_in_the_background_holds_lapse_and_money_goes_back(tmp_path: Path, kind: str) -> None:
    """Nobody asks for anything: Ann's hold lapses and Ben is offered her ticket; he pays, cancels, and is paid back."""
    container = make_container(IN_MEMORY if kind == "memory" else on_sqlite(tmp_path))
    clock = SettableClock(datetime.now(UTC))
    container.clock.override(Object(clock))
    async with running(container, resume_every=0, sweep_every=0):
        _, (ann, ben) = await sold_out(container)
        clock.time += timedelta(minutes=1)
        await until(container, ann, lambda booking: booking.status is BookingStatus.EXPIRED)
        await until(container, ben, lambda booking: booking.status is BookingStatus.HELD)
        bill = Bill(booking_id=ben.id, actor=Actor(ben.customer_id), method=PaymentMethod.CARD, token="tok_ok")
        assert (await container.pay_booking()(bill)).status is BookingStatus.CONFIRMED
        sandbox = sandbox_of(container)
        assert await sandbox.balance() == {"EUR": 2500}
        await container.cancel_booking().by_id(ben.id, Actor(ben.customer_id))
        await until(container, ben, lambda booking: booking.payment_status is PaymentStatus.REFUNDED)
        assert await sandbox.balance() == {"EUR": 0}
        assert (await container.verify_promises()()).breaches == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_silent_provider_is_asked_in_the_background(tmp_path: Path, kind: str) -> None:
    container = make_container(IN_MEMORY if kind == "memory" else on_sqlite(tmp_path))
    async with running(container, resume_every=0, sweep_every=0):
        _, (ann, _) = await sold_out(container)
        bill = Bill(booking_id=ann.id, actor=Actor(ann.customer_id), method=PaymentMethod.CARD, token="tok_timeout")
        with pytest.raises(PaymentUnknown):
            await container.pay_booking()(bill)
        await until(container, ann, lambda booking: booking.status is BookingStatus.CONFIRMED)
        assert await sandbox_of(container).balance() == {"EUR": 2500}


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
    """A chore that answers its being cancelled with an error of its own."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None


async def test_a_chore_that_fails_when_it_is_cancelled_does_not_keep_the_process_from_ending() -> None:
    container = make_container(IN_MEMORY)
    stubborn = Stubborn()
    container.sweep.override(Object(stubborn))
    async with asyncio.timeout(60), running(container):
        await stubborn.begun.wait()
