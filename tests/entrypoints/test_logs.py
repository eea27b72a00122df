"""Logs are JSON or readable, complete, and hold no secret."""

import io
import json
import logging
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import structlog

from boxoffice.entrypoints.logs import RequestLine, log_request, set_up_logs
from boxoffice.entrypoints.settings import LogLevel, Settings, SettingsError

DRIVERS: Final = ("aiosqlite", "alembic", "asyncio", "asyncmy", "sqlalchemy")
TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodXNoIn0.aHVzaGh1c2g"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def console() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers = []
    levels = {name: logging.getLogger(name).level for name in DRIVERS}
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def failure(text: str) -> ValueError:
    """An exception that was raised, so that it has a traceback."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - it is ours
        raise ValueError(text)
    return raised.value


def lines(console: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in console.getvalue().splitlines()]


def test_both_kinds_of_logger_write_the_same_json(console: io.StringIO) -> None:
    set_up_logs(Settings(), console)
    structlog.get_logger("one").info("A thing happened", number=1, nothing=None, yes=True)
    logging.getLogger("two").info("A thing %s", "happened", extra={"number": 1, "nothing": None, "yes": True})
    first, second = lines(console)
    expected = {"event": "A thing happened", "level": "info", "number": 1, "nothing": None, "yes": True}
    assert first == expected | {"logger": "one", "timestamp": first["timestamp"]}
    assert second == expected | {"logger": "two", "timestamp": second["timestamp"]}
    assert first["timestamp"].endswith("Z")


def test_in_a_terminal_lines_are_for_people() -> None:
    console = Terminal()
    set_up_logs(Settings(), console)
    structlog.get_logger("one").info("A thing happened", number=1, password="hush")
    plain = re.sub(r"\x1b\[\d*m", "", console.getvalue())
    assert re.search(r"A thing happened .*number=1", plain)
    assert "{" not in plain
    assert "hush" not in plain


REQUEST: Final = RequestLine(
    request_id="one",
    user_id=None,
    method="GET",
    route="/events",
    status=200,
    duration_ms=1.25,
    timestamp=datetime(2027, 5, 1, 19, tzinfo=UTC),
)


def test_the_line_of_a_request_is_json_or_readable_at_its_level(console: io.StringIO) -> None:
    terminal = Terminal()
    set_up_logs(Settings(), terminal)
    log_request(REQUEST)
    assert re.fullmatch(r".*request.*/events.*\n", terminal.getvalue())
    set_up_logs(Settings(), console)
    log_request(REQUEST)
    (line,) = lines(console)
    assert line == {**msgspec.to_builtins(REQUEST), "timestamp": "2027-05-01T19:00:00Z"}
    set_up_logs(Settings(log_level=LogLevel.WARNING), console)
    log_request(REQUEST)
    assert len(lines(console)) == 1


def test_the_context_is_part_of_every_line(console: io.StringIO) -> None:
    set_up_logs(Settings(), console)
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger("x").info("x")
        logging.getLogger("x").info("x")
    assert [line["request_id"] for line in lines(console)] == ["abc", "abc"]


@pytest.mark.parametrize("level", list(LogLevel))
def test_the_level_decides_for_both_kinds_of_logger(console: io.StringIO, level: LogLevel) -> None:
    set_up_logs(Settings(log_level=level), console)
    for each in LogLevel:
        structlog.get_logger("one").log(logging.getLevelName(each), each)
        logging.getLogger("two").log(logging.getLevelName(each), each)
    expected = [each for each in LogLevel if logging.getLevelName(each) >= logging.getLevelName(level) for _ in "12"]
    assert [line["event"] for line in lines(console)] == expected


@pytest.mark.parametrize("name", [*DRIVERS, "sqlalchemy.engine", "alembic.runtime.migration"])
def test_statements_and_their_parameters_are_not_logged_at_any_level(console: io.StringIO, name: str) -> None:
    set_up_logs(Settings(log_level=LogLevel.DEBUG), console)
    logging.getLogger(name).debug("INSERT … %r", "hush")
    logging.getLogger(name).info("INSERT … %r", "hush")
    logging.getLogger(name).warning("gone")
    assert [line["event"] for line in lines(console)] == ["gone"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_an_exception_has_its_traceback(stream: type[io.StringIO]) -> None:
    console = stream()
    set_up_logs(Settings(), console)
    error = failure("broken")
    logging.getLogger("one").error("failed", exc_info=error)
    structlog.get_logger("two").error("failed", exc_info=error)
    assert console.getvalue().count("Traceback (most recent call last)") == 2
    assert console.getvalue().count("ValueError: broken") == 2


class Account:
    def __repr__(self) -> str:
        return "Account(email='hush@example.org')"


SECRET_TEXTS: Final = (
    *("write to hush@example.org today", "{'email': 'hush@example.org'}", "hush@host", "hüsh-hush@exämple.org"),
    *("Bearer hush", "authorization: bearer   hush", TOKEN, f"sent {TOKEN}, refused", "$argon2id$v=19$m=8$hush$hush"),
    *("mysql+asyncmy://owner:hush@database/b", "mysql+asyncmy://owner:hu(sh,hush@database/b"),
)
SECRETS: Final[list[dict[str, Any]]] = [
    *(
        {key: "hush"}
        for key in (
            *("password", "newPassword", "current_password", "PASSWD", "jwt_secret", "token", "accessToken", "api_key"),
            *("Authorization", "authorisation", "cookie", "set-cookie", "email", "e-mail"),
        )
    ),
    *({"text": text} for text in SECRET_TEXTS),
    {"Email": ["hush"]},
    {"credentials": {"a": "hush"}},
    {"password_bytes": b"hush"},
    {"secret_number": 424_242_424_242_424},
    {"headers": {"authorization": "hush", "cookie": ["hush"]}},
    {"body": {"users": [{"name": "Ann", "password": "hush"}]}},
    {"pair": ("a", {"token": "hush"})},
    {"account": Account()},
    {"accounts": [Account(), {Account()}]},
    {"bytes": b"hush@example.org"},
    {"hush@example.org": "a key"},
    {"deep": {"hush@example.org": 1}},
    {"path": Path("/home/hush@example.org")},
]


@pytest.mark.parametrize("said", SECRETS, ids=lambda said: ascii(said)[:40])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_secret_is_not_written(tmp_path: Path, said: dict[str, Any], stream: type[io.StringIO]) -> None:
    console = stream()
    set_up_logs(Settings(log_file=tmp_path / "a.log"), console)
    structlog.get_logger("one").info("said", **said)
    structlog.get_logger("one").bind(**said).warning("said")
    logging.getLogger("two").info("said", extra=said)
    for text in (console.getvalue(), (tmp_path / "a.log").read_text()):
        assert len(re.findall("said", text)) == 3
        assert "hush" not in text
        assert "424242424242" not in text
        assert TOKEN not in text
        assert text.count("[redacted]") >= 3


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_secret_in_a_message_or_an_exception_is_masked(console: io.StringIO, text: str) -> None:
    set_up_logs(Settings(), console)
    structlog.get_logger("one").info(text)
    structlog.get_logger("one").info("said %s", text)
    logging.getLogger("two").info("said %s", text)
    logging.getLogger("two").error("failed", exc_info=failure(text))
    structlog.get_logger("one").error("failed", exc_info=failure(text))
    assert len(lines(console)) == 5
    assert "hush" not in console.getvalue()
    assert TOKEN not in console.getvalue()


@pytest.mark.parametrize(
    "text",
    ["GET /book 201", "@", "a @ b", "@pytest.fixture", "price@", "Bear er", "10:00", "eyJ", "ticket type 5", "ü"],
)
def test_what_is_no_secret_is_written(console: io.StringIO, text: str) -> None:
    set_up_logs(Settings(), console)
    logging.getLogger("x").info(text, extra={"ticket": text, "user": text})
    (line,) = lines(console)
    assert line["event"] == line["ticket"] == line["user"] == text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_a_request_brought_neither_ends_the_line_nor_steers_the_terminal(stream: type[io.StringIO]) -> None:
    console = stream()
    set_up_logs(Settings(), console)
    logging.getLogger("x").info("a\x1b[31mb\x07c\x9bd\re\x00f\ud800")
    text = console.getvalue()
    assert "a\x1b[31mb" not in text
    assert not re.search(r"[\x00\x07\r\x9b]", text)
    assert len(text.splitlines()) == 1


def test_a_very_long_line_is_masked_in_one_pass(console: io.StringIO) -> None:
    """Half a megabyte without a blank: looking for addresses must not start anew at each character."""
    set_up_logs(Settings(), console)
    logging.getLogger("x").info("%s", "x" * 500_000 + "@")
    assert len(lines(console)[0]["event"]) == 500_001


def test_the_file_holds_json_beside_the_console(tmp_path: Path) -> None:
    console = Terminal()
    path = tmp_path / "new" / "a.log"
    set_up_logs(Settings(log_file=path), console)
    structlog.get_logger("x").info("A thing häppened", number=1)
    (line,) = (json.loads(line) for line in path.read_text().splitlines())
    assert (line["event"], line["number"]) == ("A thing häppened", 1)
    assert "häppened" in console.getvalue()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^BOXOFFICE_LOG_FILE must name a writable file: "):
        set_up_logs(Settings(log_file=tmp_path / "file" / "a.log"))
