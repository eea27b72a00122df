"""Logs are JSON or readable, complete, and hold no secret whoever writes what."""

import io
import json
import logging
import re
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import structlog

from boxoffice.entrypoints import logs
from boxoffice.entrypoints.logs import RequestLine, log_request, set_up_logs
from boxoffice.entrypoints.settings import LogLevel, Settings, SettingsError

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
    quiet = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in quiet.items():
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


def test_times_are_in_utc(console: io.StringIO) -> None:
    set_up_logs(Settings(), console)
    logging.getLogger("x").info("x")
    (line,) = lines(console)
    assert line["timestamp"].endswith("Z")
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None


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


def test_the_line_of_a_request_is_json_like_any_other(console: io.StringIO) -> None:
    set_up_logs(Settings(), console)

    log_request(REQUEST)

    (line,) = lines(console)
    assert line == {**msgspec.to_builtins(REQUEST), "timestamp": "2027-05-01T19:00:00Z"}


def test_the_line_of_a_request_can_be_read_in_a_terminal() -> None:
    terminal = Terminal()
    set_up_logs(Settings(), terminal)

    log_request(REQUEST)

    assert terminal.getvalue().count("\n") == 1
    assert "request" in terminal.getvalue()
    assert "/events" in terminal.getvalue()


def test_requests_are_not_written_where_the_level_is_higher(console: io.StringIO) -> None:
    set_up_logs(Settings(log_level=LogLevel.WARNING), console)

    log_request(REQUEST)

    assert console.getvalue() == ""


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


@pytest.mark.parametrize("name", ["sqlalchemy.engine", "aiosqlite", "asyncmy", "alembic.runtime.migration"])
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


def test_warnings_are_logged(console: io.StringIO) -> None:
    set_up_logs(Settings(), console)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in console.getvalue()


class Account:
    def __repr__(self) -> str:
        return "Account(email='hush@example.org')"


_SECRETS: Final[dict[str, Any]] = {
    "password": "hush",
    "newPassword": "hush",
    "current_password": "hush",
    "PASSWD": "hush",
    "jwt_secret": "hush",
    "token": "hush",
    "accessToken": "hush",
    "Authorization": "hush",
    "authorisation": "hush",
    "cookie": "hush",
    "set-cookie": "hush",
    "email": "hush",
    "e-mail": "hush",
    "Email": ["hush"],
    "api_key": "hush",
    "credentials": {"a": "hush"},
    "password_bytes": b"hush",
    "secret_number": 424_242_424_242_424,
    "headers": {"authorization": "hush", "cookie": ["hush"]},
    "body": {"users": [{"name": "Ann", "password": "hush"}]},
    "pair": ("a", {"token": "hush"}),
    "account": Account(),
    "accounts": [Account(), {Account()}],
    "text": "write to hush@example.org today",
    "quoted": "{'email': 'hush@example.org'}",
    "short": "hush@host",
    "umlaut": "hüsh-hush@exämple.org",
    "bearer": "Bearer hush",
    "header": "authorization: bearer   hush",
    "jwt": TOKEN,
    "in_text": f"sent {TOKEN}, refused",
    "url": "mysql+asyncmy://owner:hush@database/b",
    "odd_url": "mysql+asyncmy://owner:hu(sh,hush@database/b",
    "hash": "$argon2id$v=19$m=8,t=1,p=1$hush$hush",
    "bytes": b"hush@example.org",
    "hush@example.org": "a key",
    "deep": {"hush@example.org": 1},
    "path": Path("/home/hush@example.org"),
}


@pytest.mark.parametrize("key", sorted(_SECRETS))
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_secret_is_not_written_whatever_says_it(tmp_path: Path, key: str, stream: type[io.StringIO]) -> None:
    console = stream()
    set_up_logs(Settings(log_file=tmp_path / "a.log"), console)
    value = _SECRETS[key]
    structlog.get_logger("one").info("said", **{key: value})
    structlog.get_logger("one").bind(**{key: value}).warning("said")
    logging.getLogger("two").info("said", extra={key: value})
    for text in (console.getvalue(), (tmp_path / "a.log").read_text()):
        assert len(re.findall("said", text)) == 3
        assert "hush" not in text
        assert "424242424242" not in text
        assert TOKEN not in text
        assert text.count("[redacted]") >= 3


@pytest.mark.parametrize(
    "key", ["text", "quoted", "short", "umlaut", "bearer", "header", "jwt", "in_text", "url", "hash"]
)
def test_a_secret_in_a_message_or_an_exception_is_masked(console: io.StringIO, key: str) -> None:
    set_up_logs(Settings(), console)
    text = _SECRETS[key]
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


def test_older_files_of_the_log_are_closed_to_others(console: io.StringIO, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.log", "a.log.1", "a.log.5")]
    for file in files:
        file.touch()
        file.chmod(0o644)
    for _ in range(2):
        set_up_logs(Settings(log_file=tmp_path / "a.log"), console)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    (line,) = lines(console)
    assert line["event"].startswith("Others could read ")


def test_setting_up_twice_writes_once(console: io.StringIO, tmp_path: Path) -> None:
    for _ in range(3):
        set_up_logs(Settings(log_file=tmp_path / "a.log"), console)
    logging.getLogger("x").info("x")
    assert len(lines(console)) == 1
    assert len((tmp_path / "a.log").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^BOXOFFICE_LOG_FILE must name a file that can be written: "):
        set_up_logs(Settings(log_file=tmp_path / "file" / "a.log"))


def test_several_processes_share_one_file_and_turn_it_over_without_losing_a_line(tmp_path: Path) -> None:
    code = (
        "import io, logging, sys\nfrom pathlib import Path\nfrom boxoffice.entrypoints import logs\n"
        "from boxoffice.entrypoints.settings import Settings\n"
        "logs.FILE_BYTES = 20_000\n"
        "logs.set_up_logs(Settings(log_file=Path(sys.argv[1])), io.StringIO())\n"
        "for n in range(150): logging.getLogger('x').info('line', extra={'n': f'{sys.argv[2]}-{n}'})\n"
    )
    path = tmp_path / "a.log"
    processes = [subprocess.Popen([sys.executable, "-c", code, path, str(number)]) for number in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    files = sorted(tmp_path.glob("a.log*"))
    assert len(files) > 1
    written = [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]
    assert sorted(written) == sorted(f"{process}-{n}" for process in range(3) for n in range(150))
