"""Logs: one line per entry, readable text in a terminal, JSON otherwise."""

import asyncio
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TextIO
from uuid import UUID

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from .log_file import RotatingFile
from .private_files import close_to_others, make_private_folder
from .settings import Settings, SettingsError

FILE_BYTES: Final = 10 * 1024 * 1024
FILES_KEPT: Final = 5

REDACTED: Final = "[redacted]"

_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines

# At DEBUG these log statements with their parameters, and at INFO nothing that an operator needs.
_QUIET: Final = ("aiosqlite", "alembic", "asyncio", "asyncmy", "sqlalchemy")

_SECRET_KEY: Final = re.compile(
    r"passw|secret|token|authori[sz]ation|credential|cookie|e[-_]?mail|api[-_]?key", re.IGNORECASE
)
_IN_TEXT: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"\bbearer\s+[^\s\"']+", re.IGNORECASE), f"Bearer {REDACTED}"),
    (re.compile(r"\beyJ[\w-]*\.[\w-]*(?:\.[\w-]*)*"), REDACTED),
    (re.compile(r"://[^\s\"']*@"), f"://{REDACTED}@"),
    (re.compile(r"\$argon2[^\s\"']+"), REDACTED),
    (re.compile(r"\bbxo_[\w-]*"), REDACTED),
)
_SUSPICIOUS: Final = re.compile(
    r"bearer\s|eyJ|://|\$argon2|bxo_|[@\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", re.IGNORECASE
)
"""Found in every text that the masking changes. Most texts do not match, so they are searched only once."""

_WORD: Final = re.compile(r"[^\s,;<>(){}\[\]\"]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and lone surrogates, which UTF-8 cannot encode."""


def set_up_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all log records of this process to stderr and to the configured file, which several processes may share.

    Raises: SettingsError.
    """
    console = logging.StreamHandler(stream or sys.stderr)
    console.setFormatter(_Formatter(_readable() if console.stream.isatty() else _json()))
    handlers: list[logging.Handler] = [console]
    files: list[Path] = []
    if settings.log_file is not None:
        handlers.append(_file(settings.log_file))
        older = (Path(f"{settings.log_file}.{number + 1}") for number in range(FILES_KEPT))
        files = [settings.log_file, *older]
    root = logging.getLogger()
    for handler in (*root.handlers,):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(settings.log_level.value)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(True)
    # No line contains them, and looking them up is slow.
    logging.logProcesses = logging.logMultiprocessing = logging.logThreads = False
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_ALWAYS, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    close_to_others(files)


class RequestLine(Struct, frozen=True, kw_only=True):
    """The log line of a request. It bypasses redaction, because none of its values is free text."""

    request_id: str
    user_id: UUID | None
    key_id: UUID | UnsetType = UNSET
    method: str | None
    route: str | None
    status: int | None
    duration_ms: float
    event: str = "request"
    level: str = "info"
    logger: str = "boxoffice.requests"
    timestamp: datetime


class RequestLines(Struct):
    """The log lines of the requests that were answered in one iteration of the event loop."""

    lines: list[RequestLine]
    text: str = ""

    def __str__(self) -> str:
        if not self.text:
            # Encoded once for the console and the file.
            self.text = _encode_lines(self.lines)[:-1].decode()
        return self.text


class _RequestLog:
    """Collects the lines of the requests that are answered in one iteration of the event loop.

    It writes them with one system call, because a call for each would take longer than the rest of logging.
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("boxoffice.requests")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: list[RequestLine] = []

    def __call__(self, line: RequestLine) -> None:
        """Write a line at INFO at the end of this iteration, or immediately if no event loop is running."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        self._lines.append(line)
        if len(self._lines) > 1 and self._loop is not None and self._loop.is_running():
            # The scheduled call writes all lines. get_running_loop() costs a system call, so it is avoided here.
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
        else:
            self._loop.call_soon(self.write)

    def write(self) -> None:
        """Write all pending lines."""
        if self._lines:
            lines, self._lines = RequestLines(self._lines), []
            self._log.handle(logging.LogRecord(self._log.name, logging.INFO, "", 0, lines, None, None))


log_request: Final = _RequestLog()


class _Formatter(ProcessorFormatter):
    """Structlog's formatter. The JSON of request lines bypasses its processors."""

    def __init__(self, renderer: Processor) -> None:
        super().__init__(
            foreign_pre_chain=[*_ALWAYS, structlog.stdlib.ExtraAdder(), _without_colors],
            processors=[ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
        self._renderer = renderer

    def format(self, record: logging.LogRecord) -> str:
        message: object = record.msg
        if not isinstance(message, RequestLines):
            return super().format(record)
        if isinstance(self._renderer, structlog.processors.JSONRenderer):
            return str(message)
        return "\n".join(str(self._renderer(None, line.level, {**msgspec.to_builtins(line)})) for line in message.lines)


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Remove passwords, tokens and e-mail addresses, which no code should log, from a record.

    Drop the values of keys that name a secret, and mask text that looks like one.
    """
    return {_masked(key): _redacted(key, value) for key, value in event.items()}


def _redacted(key: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(key, str) and _is_secret(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {_masked(str(inner)): _redacted(inner, each) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, each) for each in value]
    return value if isinstance(value, int | float) else _masked(str(value))


@lru_cache(maxsize=1_024)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _masked(text: str) -> str:
    if not _SUSPICIOUS.search(text):
        return text
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    if "@" in text:
        text = _WORD.sub(_mask_address, text)
    # Text of a request must not break the line or control the reader's terminal.
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _mask_address(word: re.Match[str]) -> str:
    before, _, after = word[0].rpartition("@")
    return REDACTED if before and after else word[0]


_ALWAYS: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
)


def _without_colors(_logger: Any, _method: str, event: EventDict) -> EventDict:
    # Uvicorn adds a copy of its message with escape sequences.
    event.pop("color_message", None)
    return event


def _json() -> Processor:
    return structlog.processors.JSONRenderer(serializer=_as_json)


def _as_json(event: Any, **_: Any) -> str:
    """Encode an event, which contains only plain values after `redact`."""
    return _encode(event).decode()


def _readable() -> Processor:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _file(path: Path) -> RotatingFile:
    try:
        make_private_folder(path.parent)
        handler = RotatingFile(path, FILE_BYTES, FILES_KEPT)
    except OSError as error:
        raise SettingsError(f"BOXOFFICE_LOG_FILE must name a writable file: {error.strerror}") from None
    handler.setFormatter(_Formatter(_json()))
    return handler
