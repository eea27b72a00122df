"""The command line as an operator meets it: every test runs the program itself."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from dependency_injector.providers import Object

from boxoffice import __version__
from boxoffice.application.background.sweep import Swept
from boxoffice.application.bookings.pay_booking import Bill
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails, TicketTypeSpec
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.user import Actor, Role
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.cli import main
from boxoffice.entrypoints.cli.operate import Rounds, sweep_rounds
from boxoffice.entrypoints.container import make_container, migrate
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.constants import SECRET
from tests.settable_clock import SettableClock

pytestmark = pytest.mark.slow

BOXOFFICE: Final = Path(sys.executable).with_name("boxoffice")
ANN: Final = {"name": "Ann", "email": "ann@example.org", "password": "correct horse battery"}
AWAY: Final = "mysql+asyncmy://owner:hush@127.0.0.1:1/b"


def environment(**settings: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("BOXOFFICE_", "COV_"))}
    return kept | {f"BOXOFFICE_{name}": text for name, text in settings.items()}


def run(directory: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [BOXOFFICE, *arguments],
        cwd=directory,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fails(code: int, result: "subprocess.CompletedProcess[str]") -> str:
    """The one sentence that it failed with."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "hush" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("boxoffice: ")
    return line.removeprefix("boxoffice: ")


class Service:
    """A service that runs in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address
        self.port = int(address.rsplit(":", 1)[1])

    def ask(self, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(self.address + path, None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer) if answer.status != 204 else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def serving(directory: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """The service on a free port, once it listens; ended hard if it still runs at the end."""
    log = directory / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [BOXOFFICE, "serve", "--port", "0", *arguments],
            cwd=directory,
            env=environment(LOG_FILE="service.log", **settings),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr
        # A service whose log nobody reads any more would stop at some line of it.
        reading = threading.Thread(target=shutil.copyfileobj, args=(process.stderr, stderr))
        try:
            for line in process.stderr:
                stderr.write(line)
                found = re.search(r"Boxoffice serves on (http://\S+:\d+)\"", line)
                if found:
                    reading.start()
                    yield Service(process, found[1])
                    break
            else:
                pytest.fail(f"it never served: {log.read_text()}")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=60)
            if reading.ident is not None:
                reading.join(timeout=60)
            process.stderr.close()


def test_alone_it_says_how_it_is_used(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: boxoffice ")


def test_it_says_its_version(tmp_path: Path) -> None:
    result = run(tmp_path, "--version")
    assert (result.returncode, result.stdout) == (0, f"boxoffice {__version__}\n")


def test_the_package_is_run_as_the_command_is(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "boxoffice", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, f"boxoffice {__version__}\n")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("serve", "--help"), ("grant", "--help"), ("user", "--help")], ids=" ".join
)
def test_it_helps(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: boxoffice")


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["nonsense"],
            ["--nonsense"],
            ["serve", "extra"],
            ["migrate", "extra"],
            ["verify", "--fast"],
            ["sweep", "all"],
        ),
        *(
            ["grant"],
            ["grant", "a@b.c"],
            ["grant", "a@b.c", "king"],
            ["grant", "a@b.c", ""],
            ["grant", "a@b.c", "admin", "x"],
        ),
        *(
            ["user"],
            ["user", "remove", "a@b.c"],
            ["user", "list", "a@b.c"],
            ["user", "disable"],
            ["user", "enable"],
            ["user", "disable", "a@b.c", "x"],
        ),
        *(["serve", "--port", port] for port in ("-1", "65536", "x", "", "1.5", "\u0663", "9" * 5_000)),
        *(["serve", "--workers", workers] for workers in ("0", "-1", "65", "x", "")),
    ],
    ids=lambda arguments: ascii(arguments)[:40],
)
def test_wrong_use_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: boxoffice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["serve", "--port", "0"], ["migrate"], ["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"]],
    ids=lambda c: c[0],
)
def test_a_bad_setting_stops_every_command(tmp_path: Path, command: list[str]) -> None:
    assert fails(2, run(tmp_path, *command, CURRENCY="hush")).startswith("BOXOFFICE_CURRENCY must be ")
    assert fails(2, run(tmp_path, *command, LOG_FILE="/proc/nowhere/x")).startswith("BOXOFFICE_LOG_FILE must ")
    assert list(tmp_path.iterdir()) == []


def test_several_bad_settings_have_a_line_each(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOXOFFICE_JWT_SECRET=hush\nBOXOFFICE_RATE_LIMITS=hush\n")
    result = run(tmp_path, "serve", "--port", "0")
    assert result.returncode == 2
    assert [line.split()[1] for line in result.stderr.splitlines()] == ["BOXOFFICE_JWT_SECRET", "BOXOFFICE_RATE_LIMITS"]
    assert "hush" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [["serve", "--port", "0"], ["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["migrate"]],
    ids=lambda c: c[0],
)
def test_a_database_that_is_away_is_1(tmp_path: Path, command: list[str]) -> None:
    sentence = fails(1, run(tmp_path, *command, DATABASE_URL=AWAY, JWT_SECRET=SECRET))
    assert "The database at mysql+asyncmy://127.0.0.1:1/b" in sentence


@pytest.mark.parametrize("secret", ["changeme-hush-changeme-hush-changeme", "h" * 64, "hush0" * 8])
def test_a_secret_that_others_guess_stops_the_start(tmp_path: Path, secret: str) -> None:
    for settings in ({"JWT_SECRET": secret}, {"JWT_SECRET": SECRET, "JWT_OLDER_SECRETS": secret}):
        sentence = fails(2, run(tmp_path, "serve", "--port", "0", **settings))
        assert sentence.startswith(f"BOXOFFICE_{list(settings)[-1]} must be ")
        assert secret not in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_a_secret_is_refused(tmp_path: Path) -> None:
    assert fails(2, run(tmp_path, "serve", "--port", "0", DATABASE_URL=AWAY)).startswith(
        "BOXOFFICE_JWT_SECRET must be set"
    )


def test_memory_is_for_one_process(tmp_path: Path) -> None:
    assert "--workers 1" in fails(2, run(tmp_path, "serve", "--port", "0", "--workers", "2", DATABASE_URL="memory://"))
    for command in (["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"], ["user", "disable", "a@b.c"]):
        assert "BOXOFFICE_DATABASE_URL" in fails(2, run(tmp_path, *command, DATABASE_URL="memory://"))


@pytest.mark.parametrize(
    "command", [["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"]], ids=lambda command: command[0]
)
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, command: list[str]) -> None:
    assert "There is no database at data/boxoffice.db yet" in fails(1, run(tmp_path, *command))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"]], ids=lambda command: command[0]
)
def test_a_database_without_tables_wants_to_be_migrated(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "boxoffice.db").touch(mode=0o600)
    assert "boxoffice migrate" in fails(1, run(tmp_path, *command))


def test_migrating_twice_is_no_matter(tmp_path: Path) -> None:
    for _ in range(2):
        result = run(tmp_path, "migrate")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == "The schema of sqlite+aiosqlite:///data/boxoffice.db is up to date.\n"
    assert run(tmp_path, "migrate", DATABASE_URL="memory://").returncode == 0


def test_a_name_that_is_no_setting_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, "migrate", SERVICE_HOST="10.0.0.1")
    assert result.returncode == 0
    assert (
        json.loads(result.stderr)["event"] == "BOXOFFICE_SERVICE_HOST is not a setting of Boxoffice and changes nothing"
    )


@pytest.mark.parametrize(
    ("email", "code", "sentence"),
    [
        ("nobody@example.org", 1, "No account has this e-mail address."),
        ("nobody", 2, "email must be an e-mail address"),
    ],
)
def test_whom_nobody_knows_gets_no_role(tmp_path: Path, email: str, code: int, sentence: str) -> None:
    run(tmp_path, "migrate")
    assert fails(code, run(tmp_path, "grant", email, "admin")).startswith(sentence)
    assert fails(code, run(tmp_path, "user", "disable", email)).startswith(sentence)
    assert fails(code, run(tmp_path, "user", "enable", email)).startswith(sentence)


def test_there_may_be_no_accounts_to_list(tmp_path: Path) -> None:
    run(tmp_path, "migrate")
    result = run(tmp_path, "user", "list")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_address_that_cannot_be_listened_on_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = fails(1, run(tmp_path, "serve", "--port", port))
        assert f"127.0.0.1 port {port}" in sentence
        assert "--port" in sentence
    for host in ("no such host", "256.256.256.256", "a..b"):
        assert "--host" in fails(1, run(tmp_path, "serve", "--port", "0", "--host", host))
    assert "192.0.2.1" in fails(1, run(tmp_path, "serve", "--port", "0", "--host", "192.0.2.1"))


def log_lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "service.log").read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as service:
        assert service.ask("/health/live")[0] == 200
        assert service.ask("/health/ready")[0] == 200
        assert service.end(number) == 0
    lines = log_lines(tmp_path)
    assert sum("Boxoffice serves on" in line["event"] for line in lines) == 1
    assert not [line for line in lines if line["level"] not in {"info", "debug"}]
    (kept,) = (tmp_path / "data").glob("*.jwt-secret")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    """The request's last byte is sent after the signal."""
    with serving(tmp_path, DATABASE_URL="memory://") as service:
        body = json.dumps(ANN).encode()
        head = "POST /create-user HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(head.encode() + body[:-1])
            assert service.ask("/health/live")[0] == 200  # So the half request has been read, too.
            service.process.send_signal(signal.SIGTERM)
            while _lets_in(service.port):
                pass
            connection.sendall(body[-1:])
            assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
        assert service.process.wait(timeout=60) == 0


def _lets_in(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except OSError:
        return False
    return True


def test_a_second_service_on_the_same_port_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, DATABASE_URL="memory://") as service:
        sentence = fails(1, run(tmp_path, "serve", "--port", str(service.port), DATABASE_URL="memory://"))
        assert "Address already in use" in sentence
        assert service.ask("/health/live")[0] == 200
        assert service.end() == 0


def signed_up(service: Service, person: dict[str, str] = ANN) -> str:
    assert service.ask("/create-user", person)[0] == 201
    status, answer = service.ask("/login", {"email": person["email"], "password": person["password"]})
    assert status == 200
    token: str = answer["accessToken"]
    return token


@pytest.mark.slow
def test_what_was_written_is_there_after_a_restart_and_no_secret_is_in_the_logs(tmp_path: Path) -> None:
    with serving(tmp_path, LOG_LEVEL="DEBUG") as service:
        token = signed_up(service)
        assert service.end() == 0
    with serving(tmp_path, LOG_LEVEL="DEBUG") as service:
        assert service.ask("/me", token=token)[1]["email"] == ANN["email"], "signed by the secret that was kept"
        assert service.end() == 0
    written = (tmp_path / "service.log").read_text() + (tmp_path / "stderr").read_text()
    for secret in (ANN["email"], ANN["password"], token, token.rsplit(".", 1)[1], "$argon2"):
        assert secret not in written
    assert "/create-user" in written


@pytest.mark.slow
def test_a_role_that_was_granted_bites(tmp_path: Path) -> None:
    event = {"name": "Jazz night", "totalTickets": 3}
    with serving(tmp_path, ORGANIZERS="granted") as service:
        token = signed_up(service)
        assert service.ask("/initialize", event, token)[0] == 403
        for role in (Role.ORGANIZER, Role.ADMIN, Role.CUSTOMER):
            result = run(tmp_path, "grant", " Ann@Example.org ", role.value.upper())
            assert (result.returncode, result.stderr) == (0, "")
            assert result.stdout == f"ann@example.org has the role {role} now.\n"
            assert _role_of(service) == role
        assert service.end() == 0


def _role_of(service: Service) -> str:
    """The role as a new session sees it at once (one already out has it within five seconds)."""
    token = service.ask("/login", {"email": ANN["email"], "password": ANN["password"]})[1]["accessToken"]
    role: str = service.ask("/me", token=token)[1]["role"]
    status = service.ask("/initialize", {"name": "Jazz night", "totalTickets": 3}, token)[0]
    assert status == (403 if role == "customer" else 201)
    return role


@pytest.mark.slow
def test_whoever_is_shut_out_or_left_is_out_within_five_seconds_in_every_process(tmp_path: Path) -> None:
    """A disabled user may come back when enabled, with a new session. A new role holds by then, too."""
    event = {"name": "Jazz night", "totalTickets": 3}
    credentials = {"email": ANN["email"], "password": ANN["password"]}
    with serving(tmp_path, "--workers", "2", ORGANIZERS="granted", RATE_LIMITS="off") as service:
        assert service.ask("/create-user", ANN)[0] == 201
        tokens, leaving = service.ask("/login", credentials)[1], service.ask("/login", credentials)[1]
        ben = signed_up(service, ANN | {"email": "ben@example.org"})
        for token in (tokens["accessToken"], leaving["accessToken"]):
            assert {service.ask("/me", token=token)[0] for _ in range(20)} == {200}
        assert service.ask("/logout", {"refreshToken": leaving["refreshToken"]}) == (204, None)
        assert {service.ask("/initialize", event, ben)[0] for _ in range(20)} == {403}
        assert run(tmp_path, "grant", "ben@example.org", "organizer").returncode == 0
        assert _listed(tmp_path) == ["ann@example.org\tcustomer\tenabled", "ben@example.org\torganizer\tenabled"]
        result = run(tmp_path, "user", "disable", " Ann@Example.org ")
        since = time.monotonic()
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("ann@example.org is disabled: ")
        assert service.ask("/login", credentials)[1]["code"] == "wrong-credentials"
        assert service.ask("/refresh", {"refreshToken": tokens["refreshToken"]})[1]["code"] == "invalid-token"
        while time.monotonic() < since + 5:
            assert _listed(tmp_path)[0] == "ann@example.org\tcustomer\tdisabled"
        for token in (tokens["accessToken"], leaving["accessToken"]):
            assert {service.ask("/me", token=token)[0] for _ in range(20)} == {401}
        assert {service.ask("/initialize", event, ben)[0] for _ in range(20)} == {201}
        assert run(tmp_path, "user", "enable", ANN["email"]).stdout == "ann@example.org is enabled and may sign in.\n"
        assert service.ask("/me", token=tokens["accessToken"])[0] == 401
        token = service.ask("/login", credentials)[1]["accessToken"]
        assert service.ask("/me", token=token)[0] == 200
        assert service.end() == 0


def _listed(directory: Path) -> list[str]:
    """What `user list` says, without the time."""
    result = run(directory, "user", "list")
    assert (result.returncode, result.stderr) == (0, "")
    return [line.rpartition("\t")[0] for line in result.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
def test_one_refresh_token_serves_once_whichever_process_is_asked(
    request: pytest.FixtureRequest, tmp_path: Path, times: Callable[[int, int], int], kind: str
) -> None:
    settings = {"JWT_SECRET": SECRET, "RATE_LIMITS": "off"}
    if kind == "mariadb":
        settings["DATABASE_URL"] = request.getfixturevalue("mysql_url")
        assert run(tmp_path, "migrate", **settings).returncode == 0
    with serving(tmp_path, "--workers", "2", **settings) as service, ThreadPoolExecutor(8) as callers:
        signed_up(service)
        for _ in range(times(4, 25)):
            tokens = service.ask("/login", {"email": ANN["email"], "password": ANN["password"]})[1]
            body = {"refreshToken": tokens["refreshToken"]}
            answers = list(callers.map(lambda _, body=body: service.ask("/refresh", body), range(8)))
            assert sorted(status for status, _ in answers) == [200] + [401] * 7
            (served,) = [answer for status, answer in answers if status == 200]
            assert service.ask("/refresh", {"refreshToken": served["refreshToken"]})[0] == 401
        assert service.end() == 0


@pytest.mark.slow
def test_several_workers_share_the_work_and_one_secret(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as service:
        token = signed_up(service)
        while len(_workers(tmp_path)) < 2:
            assert service.ask("/health/live")[0] == 200
        assert [service.ask("/me", token=token)[0] for _ in range(20)] == [200] * 20
        assert service.end() == 0
    assert len(_workers(tmp_path)) == 2
    assert not [line for line in log_lines(tmp_path) if line["level"] not in {"info", "debug"}]


def _workers(directory: Path) -> set[str]:
    return {line["event"] for line in log_lines(directory) if line["event"].startswith("Worker ")}


@pytest.mark.slow
def test_verify_says_that_the_promises_hold_beside_live_traffic(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        token = signed_up(service)
        status, event = service.ask("/initialize", {"name": "Jazz night", "totalTickets": 3}, token)
        assert status == 201
        assert service.ask("/book", {"eventId": event["id"], "quantity": 2}, token)[0] == 201
        result = run(tmp_path, "verify")
        assert (result.returncode, result.stderr) == (0, "")
        *promises, last = result.stdout.splitlines()
        assert len(promises) >= 6
        assert all(line.startswith("holds  promise ") for line in promises)
        assert last.startswith("Looked at 1 events, 1 bookings and ")
        assert service.end() == 0
    _break(tmp_path)
    result = run(tmp_path, "verify")
    assert result.returncode == 1
    assert re.search(r"^BROKEN promise 1: ", result.stdout, re.MULTILINE)


def _break(directory: Path) -> None:
    """Let a counter lie, as no command ever would."""

    async def run() -> None:
        import aiosqlite

        async with aiosqlite.connect(directory / "data" / "boxoffice.db") as connection:
            await connection.execute("UPDATE ticket_types SET taken = taken + 1")
            await connection.commit()

    asyncio.run(run())


def test_a_sweep_with_nothing_to_do_says_so(tmp_path: Path) -> None:
    run(tmp_path, "migrate")
    result = run(tmp_path, "sweep")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Settled lapsed holds of 0 events, asked about 0 payments, forgot 0 old answers.\n"


def test_a_sweep_does_all_that_is_due(tmp_path: Path) -> None:
    """More events and payments than one round looks at, left behind by a process that went away."""
    asyncio.run(_leave_behind(tmp_path, lapsed=120, unpaid_back=3))
    result = run(tmp_path, "sweep")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Settled lapsed holds of 120 events, asked about 3 payments, forgot 0 old answers.\n"
    assert run(tmp_path, "verify").returncode == 0
    assert asyncio.run(_balance(tmp_path)) == {"EUR": 0}


async def _leave_behind(directory: Path, lapsed: int, unpaid_back: int) -> None:
    """Holds of long ago that nobody paid, and money that is owed."""
    container = make_container(_settings(directory))
    new = container.ids().new
    await migrate(_settings(directory))
    past = datetime.now(UTC) - timedelta(hours=1)
    container.clock.override(Object(SettableClock(past)))
    for number in range(lapsed + unpaid_back):
        state = await container.initialize_event()(
            Initialize(
                event_id=new(),
                actor=Actor(new()),
                details=EventDetails(name="Jazz night", payment_window_minutes=1),
                ticket_types=((new(), TicketTypeSpec(name="Hall", total_tickets=1, price=Money(2500, "EUR"))),),
                currency="EUR",
            )
        )
        customer = Actor(new())
        booking = await container.book_ticket()(Book(booking_id=new(), event_id=state.event.id, actor=customer))
        if number >= lapsed:
            bill = Bill(booking_id=booking.id, actor=customer, method=PaymentMethod.CARD, token="tok_ok")
            await container.pay_booking()(bill)
            await container.cancel_booking().by_id(booking.id, customer)
    await container.turnstile().close()
    await container.payment_gateway().close()
    await container.storage().close()


async def _balance(directory: Path) -> dict[str, int]:
    sandbox: Any = make_container(_settings(directory)).payment_gateway()
    balance: dict[str, int] = await sandbox.balance()
    await sandbox.close()
    return balance


def _settings(directory: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{directory}/data/boxoffice.db")


async def test_a_sweep_leaves_the_work_to_whoever_has_the_turn(tmp_path: Path) -> None:
    async with running(make_container(_settings(tmp_path)), sweep_every=0.2) as container:
        assert (await container.sweep()()).is_ours
        result = await asyncio.to_thread(run, tmp_path, "sweep")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Nothing was done here. Another process has the turn and does the rest.\n"


@pytest.mark.parametrize(
    ("rounds", "most", "expected"),
    [
        ([Swept(is_ours=True)], 9, Rounds()),
        ([Swept(is_ours=False)], 9, Rounds(has_turn=False)),
        (
            [
                *(Swept(is_ours=True, events=2), Swept(is_ours=True, payments=3), Swept(is_ours=True, answers=4)),
                Swept(is_ours=True),
            ],
            9,
            Rounds(events=2, payments=3, answers=4),
        ),
        ([Swept(is_ours=True, events=2), Swept(is_ours=False)], 9, Rounds(has_turn=False, events=2)),
        ([Swept(is_ours=True, payments=1)] * 2, 2, Rounds(is_done=False, payments=2)),
    ],
)
def test_rounds_go_on_until_nothing_is_due(rounds: list[Swept], most: int, expected: Rounds) -> None:
    left = iter(rounds)

    async def sweep() -> Swept:
        return next(left)

    assert asyncio.run(sweep_rounds(sweep, most)) == expected
    assert list(left) == []


def test_what_is_left_and_who_does_it_is_said() -> None:
    did = "Settled lapsed holds of 2 events, asked about 0 payments, forgot 0 old answers."
    assert Rounds(events=2).sentence == did
    assert Rounds(events=2, has_turn=False).sentence == f"{did} Another process has the turn and does the rest."
    assert Rounds(events=2, is_done=False).sentence == f"{did} More is left: run it again."


def test_what_nobody_foresaw_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> int:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("boxoffice.entrypoints.cli._run", fail)
    assert main(["migrate"]) == 1
    (record,) = caplog.records
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_who_interrupts_a_command_sees_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("boxoffice.entrypoints.cli._run", interrupt)
    assert main(["migrate"]) == 1
    assert capsys.readouterr().err == "boxoffice: interrupted\n"


def test_a_new_secret_is_printed_and_serves(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOXOFFICE_JWT_SECRET=\n")
    results = [run(tmp_path, "secret", CURRENCY="hush") for _ in range(2)]
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    first, second = (result.stdout.strip() for result in results)
    assert first != second
    assert Settings.load({"BOXOFFICE_JWT_SECRET": first}, tmp_path / "elsewhere").jwt_secret == first
