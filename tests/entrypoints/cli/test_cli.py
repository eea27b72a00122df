"""The command line as an operator meets it: almost every test runs the program in a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from boxoffice import __version__
from boxoffice.application.background.sweep import Swept
from boxoffice.entrypoints.cli import main
from boxoffice.entrypoints.cli.operate import sweep_rounds
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.command_line import run_command
from tests.constants import SECRET
from tests.faults.service import SERVE, Server, servers

pytestmark = pytest.mark.slow

BOXOFFICE: Final = Path(sys.executable).with_name("boxoffice")
ANN: Final = {"name": "Ann", "email": "ann@example.org", "password": "correct horse battery"}
AWAY: Final = "mysql+asyncmy://owner:hush@127.0.0.1:1/b"
HERE: Final = "sqlite+aiosqlite:///data/boxoffice.db"
TWO_WORKERS: Final = (*SERVE, "--workers", "2")
JAZZ: Final = {"name": "Jazz night", "totalTickets": 3}
HTTP: Final = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
"""A connection for each request, so that every process may get it."""

each_command = pytest.mark.parametrize(
    "command",
    [["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"], ["user", "disable", "a@b.c"]],
    ids=" ".join,
)


def run(directory: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("BOXOFFICE_", "COV_"))}
    return run_command(arguments, directory, kept | {f"BOXOFFICE_{name}": text for name, text in settings.items()})


def prints(result: "subprocess.CompletedProcess[str]") -> str:
    """What it printed when it worked."""
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def fails(code: int, result: "subprocess.CompletedProcess[str]") -> str:
    """The one sentence that it failed with."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "hush" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("boxoffice: ")
    return line.removeprefix("boxoffice: ")


def test_alone_it_says_how_it_is_used(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: boxoffice ")


def test_the_command_and_the_package_say_their_version(tmp_path: Path) -> None:
    for command in ([BOXOFFICE], [sys.executable, "-m", "boxoffice"]):
        result = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert prints(result) == f"boxoffice {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        *(
            "nonsense",
            "--nonsense",
            "serve extra",
            "migrate extra",
            "verify --fast",
            "sweep all",
            "grant",
            "grant a@b.c",
        ),
        *("grant a@b.c king", "grant a@b.c admin x", "user", "user remove a@b.c", "user list a@b.c", "user disable"),
        *(f"serve --port {port}" for port in ("-1", "65536", "x", "1.5", "\u0663", "9" * 5_000)),
        *(f"serve --workers {workers}" for workers in ("0", "-1", "65", "x")),
    ],
    ids=lambda command: ascii(command)[:40],
)
def test_wrong_use_is_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 2
    assert "usage: boxoffice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["serve", "--port", "0"], ["migrate"], ["sweep"], ["verify"], ["grant", "a@b.c", "admin"], ["user", "list"]],
    ids=lambda command: command[0],
)
def test_a_bad_setting_stops_every_command(tmp_path: Path, command: list[str]) -> None:
    assert fails(2, run(tmp_path, *command, CURRENCY="hush")).startswith("BOXOFFICE_CURRENCY must be ")
    assert fails(2, run(tmp_path, *command, LOG_FILE="/proc/nowhere/x")).startswith("BOXOFFICE_LOG_FILE must ")
    assert list(tmp_path.iterdir()) == []
    sentence = fails(1, run(tmp_path, *command, DATABASE_URL=AWAY, JWT_SECRET=SECRET))
    assert "The database at mysql+asyncmy://127.0.0.1:1/b" in sentence


def test_several_bad_settings_have_a_line_each(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOXOFFICE_JWT_SECRET=hush\nBOXOFFICE_RATE_LIMITS=hush\n")
    result = run(tmp_path, "serve", "--port", "0")
    assert result.returncode == 2
    assert [line.split()[1] for line in result.stderr.splitlines()] == ["BOXOFFICE_JWT_SECRET", "BOXOFFICE_RATE_LIMITS"]
    assert "hush" not in result.stderr


@each_command
def test_memory_is_for_one_process(tmp_path: Path, command: list[str]) -> None:
    assert "--workers 1" in fails(2, run(tmp_path, "serve", "--port", "0", "--workers", "2", DATABASE_URL="memory://"))
    assert "BOXOFFICE_DATABASE_URL" in fails(2, run(tmp_path, *command, DATABASE_URL="memory://"))


@each_command
def test_a_missing_database_is_not_made_and_an_empty_one_needs_migrating(tmp_path: Path, command: list[str]) -> None:
    assert "There is no database at data/boxoffice.db yet" in fails(1, run(tmp_path, *command))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "boxoffice.db").touch(mode=0o600)
    assert "boxoffice migrate" in fails(1, run(tmp_path, *command))


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert prints(run(tmp_path, "migrate")) == f"The schema of {HERE} is up to date.\n"
    assert run(tmp_path, "migrate", DATABASE_URL="memory://").returncode == 0


def test_a_name_that_is_no_setting_is_reported(tmp_path: Path) -> None:
    result = run(tmp_path, "migrate", SERVICE_HOST="10.0.0.1")
    assert result.returncode == 0
    sentence = "BOXOFFICE_SERVICE_HOST is not a setting of Boxoffice and is ignored"
    assert json.loads(result.stderr)["event"] == sentence


@pytest.mark.parametrize(
    ("email", "code", "sentence"),
    [
        ("unknown@example.org", 1, "No account has this e-mail address."),
        ("unknown", 2, "email must be an e-mail address"),
    ],
)
def test_an_unknown_account_is_reported(tmp_path: Path, email: str, code: int, sentence: str) -> None:
    run(tmp_path, "migrate")
    for command in (["grant", email, "admin"], ["user", "disable", email], ["user", "enable", email]):
        assert fails(code, run(tmp_path, *command)).startswith(sentence)


def _listed(directory: Path) -> list[str]:
    """What `user list` prints, without the time."""
    return [line.rpartition("\t")[0] for line in prints(run(directory, "user", "list")).splitlines()]


def test_an_address_that_cannot_be_listened_on_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = fails(1, run(tmp_path, "serve", "--port", port))
        assert f"127.0.0.1 port {port}" in sentence
        assert "--port" in sentence
    for host in ("no such host", "256.256.256.256", "a..b"):
        assert "--host" in fails(1, run(tmp_path, "serve", "--port", "0", "--host", host))
    assert "192.0.2.1" in fails(1, run(tmp_path, "serve", "--port", "0", "--host", "192.0.2.1"))


class Person:
    """A client who calls a server, signed in after `sign_in`."""

    def __init__(self, server: Server, email: str = ANN["email"]) -> None:
        self._server = server
        self._url = server.url
        self._account = ANN | {"email": email}
        self.tokens: dict[str, str] = {}

    def ask(self, path: str, body: Any = None, method: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.tokens['accessToken']}"} if self.tokens else {}
        method = method or ("GET" if body is None else "POST")
        answer = HTTP.request(method, self._url + path, json=body, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    def sign_up(self) -> None:
        assert self.ask("/create-user", self._account)[0] == 201
        self.sign_in()

    def sign_in(self) -> None:
        self.tokens = {}
        status, self.tokens = self.ask("/login", {name: self._account[name] for name in ("email", "password")})
        assert status == 200

    def program(self) -> tuple[str, "Person"]:
        """A new API key's path, and the client that calls with it."""
        status, key = self.ask("/api-keys", {"name": "A program", "role": "organizer"})
        assert status == 201
        client = Person(self._server)
        client.tokens = {"accessToken": key["key"]}
        return f"/api-keys/{key['id']}", client

    def statuses(self, path: str, body: Any = None) -> set[int]:
        """Those of many calls, so that every process is asked."""
        return {self.ask(path, body)[0] for _ in range(20)}


def test_it_serves_until_a_signal_and_keeps_its_secret(tmp_path: Path) -> None:
    settings = {"JWT_SECRET": None, "LOG_LEVEL": "DEBUG"}
    server = Server(HERE, tmp_path, settings=settings).start()
    ann = Person(server)
    ann.sign_up()
    os.kill(server.pid, signal.SIGINT)
    assert server.wait() == 0
    with servers(HERE, tmp_path, 1, settings=settings) as (again,):
        own = HTTP.get(f"{again.url}/me", headers={"Authorization": f"Bearer {ann.tokens['accessToken']}"})
        assert own.json()["email"] == ANN["email"], "signed by the secret that was kept"
        assert again.terminate() == 0
    lines = server.logged()
    assert sum("Boxoffice serves on" in line["event"] for line in lines) == 1
    assert {line["level"] for line in lines} <= {"info", "debug"}
    (kept,) = (tmp_path / "data").glob("*.jwt-secret")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    written = server.log.read_text() + again.log.read_text()
    for secret in (ANN["email"], ANN["password"], ann.tokens["accessToken"], ann.tokens["refreshToken"], "$argon2"):
        assert secret not in written
    assert "/create-user" in written


def test_a_disabled_or_signed_out_user_is_shut_out_within_five_seconds_in_every_process(tmp_path: Path) -> None:
    """A disabled user may come back when enabled, with a new session. A new role holds by then. API keys, too."""
    with servers(HERE, tmp_path, 1, command=TWO_WORKERS, settings={"ORGANIZERS": "granted"}) as (server,):
        ann, leaving, ben = Person(server), Person(server), Person(server, "ben@example.org")
        ann.sign_up()
        leaving.sign_in()
        ben.sign_up()
        (_, anns), (path, revoked), (_, bens) = ann.program(), ben.program(), ben.program()
        keys = (anns, revoked, bens)
        assert ann.statuses("/me") | leaving.statuses("/me") | set().union(
            *(each.statuses("/me") for each in keys)
        ) == {200}
        assert leaving.ask("/logout", {"refreshToken": leaving.tokens["refreshToken"]}) == (204, None)
        assert ben.statuses("/initialize", JAZZ) | bens.statuses("/initialize", JAZZ) == {403}
        assert ben.ask(path, method="DELETE") == (204, None)
        prints(run(tmp_path, "grant", "ben@example.org", "organizer"))
        said = prints(run(tmp_path, "user", "disable", " Ann@Example.org "))
        since = time.monotonic()
        assert said.startswith("ann@example.org is disabled: ")
        credentials = {"email": ANN["email"], "password": ANN["password"]}
        assert Person(server).ask("/login", credentials)[1]["code"] == "wrong-credentials"
        refresh = {"refreshToken": ann.tokens["refreshToken"]}
        assert Person(server).ask("/refresh", refresh)[1]["code"] == "invalid-token"
        disabled = ["ann@example.org\tcustomer\tdisabled", "ben@example.org\torganizer\tenabled"]
        assert _listed(tmp_path) == disabled
        out = (ann, leaving, anns, revoked)
        while time.monotonic() < since + 5 and set().union(*(each.statuses("/me") for each in out)) != {401}:
            time.sleep(0.1)
        assert set().union(*(each.statuses("/me") for each in out)) == {401}
        assert ben.statuses("/initialize", JAZZ) | bens.statuses("/initialize", JAZZ) == {201}
        assert prints(run(tmp_path, "user", "enable", ANN["email"])).startswith("ann@example.org is enabled")
        assert ann.ask("/me")[0] == 401
        ann.sign_in()
        assert ann.ask("/me")[0] == 200
        assert server.terminate() == 0


def test_verify_says_that_the_promises_hold_beside_live_traffic(tmp_path: Path) -> None:
    with servers(HERE, tmp_path, 1) as (server,):
        ann = Person(server)
        ann.sign_up()
        status, event = ann.ask("/initialize", JAZZ)
        assert status == 201
        assert ann.ask("/book", {"eventId": event["id"], "quantity": 2})[0] == 201
        *promises, last = prints(run(tmp_path, "verify")).splitlines()
        assert len(promises) >= 6
        assert all(line.startswith("holds  promise ") for line in promises)
        assert last.startswith("Checked 1 events, 1 bookings and ")
        assert server.terminate() == 0
    with sqlite3.connect(tmp_path / "data" / "boxoffice.db") as connection:
        connection.execute("UPDATE ticket_types SET taken = taken + 1")
    connection.close()
    result = run(tmp_path, "verify")
    assert result.returncode == 1
    assert re.search(r"^BROKEN promise 1: ", result.stdout, re.MULTILINE)


def _settings(directory: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{directory}/data/boxoffice.db")


async def test_a_sweep_leaves_the_work_to_the_process_that_holds_the_lease(tmp_path: Path) -> None:
    async with running(make_container(_settings(tmp_path)), sweep_every=0.2) as container:
        assert (await container.sweep()()).is_ours
        result = await asyncio.to_thread(run, tmp_path, "sweep")
    assert prints(result) == "Nothing was done here. Another process has the lease and does the rest.\n"


DID: Final = (
    "Settled 2 events with lapsed holds, checked 3 payments, reviewed 2 accounts, deleted 4 stored responses, "
    "continued 1 erasures, encrypted 2 keys anew."
)
SOME: Final = Swept(is_ours=True, events=2, payments=3, accounts=1, stored_responses=4, erasures=1, code_keys=2)
MORE: Final = Swept(is_ours=True, accounts=1)


@pytest.mark.parametrize(
    ("rounds", "most", "sentence"),
    [
        ([SOME, MORE, Swept(is_ours=True)], 9, DID),
        ([SOME, MORE, Swept(is_ours=False)], 9, f"{DID} Another process has the lease and does the rest."),
        ([SOME, MORE], 2, f"{DID} More is due: run it again."),
    ],
)
def test_rounds_go_on_until_nothing_is_due(rounds: list[Swept], most: int, sentence: str) -> None:
    async def sweep() -> Swept:
        return rounds.pop(0)

    rounds = list(rounds)
    assert asyncio.run(sweep_rounds(sweep, most)).sentence == sentence
    assert rounds == []


@pytest.mark.parametrize(
    ("error", "expected"), [(ZeroDivisionError("broken"), "ZeroDivisionError: broken"), (KeyboardInterrupt(), None)]
)
def test_only_an_unexpected_error_shows_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, expected: str | None
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr("boxoffice.entrypoints.cli.new_secret", fail)
    assert main(["secret"]) == 1
    printed = capsys.readouterr().err
    assert printed == "boxoffice: interrupted\n" if expected is None else expected in printed


def test_a_new_secret_is_printed_and_serves(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BOXOFFICE_JWT_SECRET=\n")
    first, second = (prints(run(tmp_path, "secret", CURRENCY="hush")).strip() for _ in range(2))
    assert first != second
    assert Settings.load({"BOXOFFICE_JWT_SECRET": first}, tmp_path / "elsewhere").jwt_secret == first
