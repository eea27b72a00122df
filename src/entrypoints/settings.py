"""Settings from the environment and from `.env` in the working directory."""

import difflib
import os
import re
import ssl
from collections.abc import Callable, Mapping
from enum import StrEnum
from io import StringIO
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from jwt.algorithms import HMACAlgorithm
from msgspec import Struct
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from ..domain.user import Organizers
from ..domain.values.addresses import email
from ..domain.values.money import currency
from .provider_settings import DRAND_RELAYS, drand_relays, stripe_key, stripe_webhook_secret
from .secret_strength import MADE_BY, RANDOM_BYTES, weakness_of

PREFIX: Final = "BOXOFFICE_"
MOST_PORT: Final = 65_535
MOST_WORKERS: Final = 64

TEST_PREFIX: Final = "BOXOFFICE_TEST_"
"""Settings of the tests, which are ignored."""

OWN_FOLDER: Final = Path("data")
"""The folder of the database unless a setting names another one. It is this program's alone."""

MEMORY_URL: Final = "memory://"
SQLITE_DRIVER: Final = "sqlite+aiosqlite"
MYSQL_DRIVER: Final = "mysql+asyncmy"

_UNDECODED: Final = "\N{REPLACEMENT CHARACTER}"
"""What the URL's parser puts in place of escaped bytes that are not UTF-8."""

_TLS_FILES: Final = frozenset({"ssl_ca", "ssl_cert", "ssl_key"})
_URL_OPTIONS: Final = _TLS_FILES | {"charset"}

Network = IPv4Network | IPv6Network
Choice = TypeVar("Choice", bound=StrEnum)


class SettingsError(Exception):
    """Invalid settings. Each problem states a name and what the value must be, never the value."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class LogLevel(StrEnum):
    """The least severity that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class Payments(StrEnum):
    """The payment provider: `sandbox` moves no money."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"


class ForwardedHeader(StrEnum):
    """The header in which trusted proxies state the client's address."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


class MailUrl(Struct, frozen=True, kw_only=True):
    """A mail server, parsed from its URL. `encryption` is `starttls`, `tls` or `none`."""

    host: str
    port: int
    user: str | None
    password: str | None
    encryption: str
    ca: str | None

    def __repr__(self) -> str:
        return f"MailUrl({self.host}:{self.port}, {self.encryption})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("host", self.host), ("port", self.port), ("encryption", self.encryption)]


class Settings(Struct, frozen=True, kw_only=True):
    """The settings. Their `repr` shows neither secrets nor the database's password."""

    database_url: str = f"sqlite+aiosqlite:///{OWN_FOLDER}/boxoffice.db"
    jwt_secret: str | None = None
    jwt_older_secrets: tuple[str, ...] = ()
    """Secrets that sign no tokens, but whose tokens are still accepted."""
    organizers: Organizers = Organizers.EVERYONE
    rate_limits: bool = True
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR
    cors_origins: tuple[str, ...] = ()
    currency: str = "EUR"
    payments: Payments = Payments.SANDBOX
    stripe_key: str | None = None
    stripe_webhook_secret: tuple[str, ...] = ()
    """The signing secret of Stripe's webhook; several while it is replaced."""
    stripe_url: str | None = None
    otel_endpoint: str | None = None
    sentry_dsn: str | None = None
    metrics_directory: Path | None = None
    """Where several processes of one service add up their metrics; None: each has its own."""
    webhooks_private: bool = False
    smtp_url: MailUrl | None = None
    mail_from: str | None = None
    public_url: str | None = None
    drand_relays: tuple[str, ...] = DRAND_RELAYS
    log_level: LogLevel = LogLevel.INFO
    log_file: Path | None = None
    unknown: tuple[str, ...] = ()
    """Names that begin like a setting but are none; a command logs a warning for each."""

    @property
    def is_in_memory(self) -> bool:
        """Whether all data is lost when the process ends."""
        return self.database_url == MEMORY_URL

    @property
    def sqlite_file(self) -> Path | None:
        """The path of the SQLite database; None for another one."""
        url = None if self.is_in_memory else make_url(self.database_url)
        return Path(url.database) if url and url.drivername == SQLITE_DRIVER and url.database else None

    @property
    def database_place(self) -> str:
        """The database's URL without user, password and parameters."""
        if self.is_in_memory:
            return MEMORY_URL
        url = make_url(self.database_url)
        return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown |= {name: None if shown[name] is None else "***" for name in ("jwt_secret", "stripe_key", "sentry_dsn")}
        for name in ("jwt_older_secrets", "stripe_webhook_secret"):
            shown[name] = ("***",) * len(shown[name])
        shown["database_url"] = self.database_place
        return list(shown.items())

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, directory: Path | None = None) -> "Settings":
        """Return the settings of `.env` in a directory (by default the working one), overridden by the environment.

        Raises: SettingsError.
        """
        given: dict[str, str | None] = {**_dotenv((directory or Path()) / ".env")}
        given |= os.environ if environment is None else environment
        ours = {name: text for name, text in given.items() if name.startswith(PREFIX)}
        values: dict[str, Any] = {}
        problems, unknown = [], []
        for name, text in sorted(ours.items()):
            if name in _RULES and not (name == _PORT and (text or "").startswith("tcp://")):
                field, rule = _RULES[name]
                try:
                    values[field] = rule(_present(text))
                except ValueError as error:
                    problems.append(f"{name} {error}")
            elif name not in _RULES and (
                near := difflib.get_close_matches(name.removeprefix(PREFIX), _SUFFIXES, 1, 0.75)
            ):
                problems.append(f"{name} is not a setting; did you mean {PREFIX}{near[0]}?")
            elif not name.startswith(TEST_PREFIX):
                # A platform may set such names: for a service called "boxoffice", Kubernetes sets
                # BOXOFFICE_SERVICE_HOST, and BOXOFFICE_PORT to a URL.
                unknown.append(name)
        if values.get("payments") is Payments.STRIPE and f"{PREFIX}STRIPE_KEY" not in ours:
            problems.append(f"{PREFIX}STRIPE_KEY must be set with {PREFIX}PAYMENTS=stripe")
        if values.get("smtp_url") and f"{PREFIX}MAIL_FROM" not in ours:
            problems.append(f"{PREFIX}MAIL_FROM must be set with {PREFIX}SMTP_URL")
        if problems:
            # The cause of an exception may quote the value.
            raise SettingsError(*problems) from None
        return cls(**values, unknown=tuple(unknown))


def _dotenv(path: Path) -> dict[str, str | None]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path.name} in the working directory cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise SettingsError(f"{path.name} in the working directory must be text in UTF-8") from None
    _check_lines(path, text)
    # Values are literal: a password may contain ${NAME}.
    return dotenv_values(stream=StringIO(text), interpolate=False)


def _check_lines(path: Path, text: str) -> None:
    """Raise SettingsError for each line that is neither blank, a comment nor NAME=value.

    The library skips such lines, so a forgotten quote would silently restore a default.
    """
    problems: list[str] = []
    for binding in parse_stream(StringIO(text)):
        is_line = binding.key is None or (binding.value is not None and _NAME.fullmatch(binding.key))
        # A quote that is closed lines below would hide the settings in between.
        hides_setting = _HIDDEN.search(binding.value or "")
        if binding.error or not is_line or hides_setting:
            string, number = binding.original
            number += string[: len(string) - len(string.lstrip())].count("\n")
            problems.append(
                f"{path.name} in the working directory: line {number} must be NAME=value, a comment or blank, and a "
                "quote that it opens must be closed"
            )
    if problems:
        raise SettingsError(*problems) from None


_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*")
_HIDDEN: Final = re.compile(rf"^\s*(?:export\s+)?{PREFIX}\w*\s*=", re.MULTILINE)


def _present(text: str | None) -> str:
    if not text:
        raise ValueError("must not be empty; remove it to get its default")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text in UTF-8") from None
    return text


def _database_url(text: str) -> str:
    if text == MEMORY_URL:
        return text
    invalid = ValueError(
        "must be sqlite+aiosqlite:///data/boxoffice.db, mysql+asyncmy://user:password@host:3306/name or memory:// "
        "(in user and password, write : / @ % as %3A %2F %40 %25)"
    )
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):
        raise invalid from None
    if url.drivername == SQLITE_DRIVER and not (url.host or url.username or url.port or url.query):
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ValueError("must name a file after sqlite+aiosqlite:///; for a database in memory use memory://")
        if Path(url.database).is_dir():
            raise ValueError("must name a file after sqlite+aiosqlite:///, not a directory")
    elif url.drivername != MYSQL_DRIVER or not (url.host and url.database):
        raise invalid
    if _UNDECODED in f"{url.username}{url.password}":
        raise ValueError("must escape the bytes of UTF-8 in user and password: ü is %C3%BC, not %FC")
    # The parser drops a parameter without a value: the connection would be without TLS.
    if not all(value for _, value in parse_qsl(text.partition("?")[2], keep_blank_values=True)):
        raise invalid
    _check_options(url)
    return text


def _check_options(url: URL) -> None:
    """Check the parameters of a database URL: a mistake in them may disable TLS. Raises: ValueError."""
    if not set(url.query) <= _URL_OPTIONS or url.query.get("charset", "utf8mb4") != "utf8mb4":
        raise ValueError("may have no parameters except ssl_ca=, ssl_cert=, ssl_key= and charset=utf8mb4")
    if not url.query.keys().isdisjoint(_TLS_FILES):
        try:
            # The driver reads the files again; this reports a wrong one at the start.
            context = ssl.create_default_context(cafile=str(url.query["ssl_ca"]))
            if "ssl_cert" in url.query or "ssl_key" in url.query:
                context.load_cert_chain(str(url.query["ssl_cert"]), str(url.query["ssl_key"]))
        except (KeyError, OSError):
            raise ValueError(
                "must name readable PEM files: ssl_ca= with the authorities that sign the server's certificate, and "
                "for a client certificate both ssl_cert= and ssl_key="
            ) from None


def _jwt_secret(text: str) -> str:
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(text)
    except jwt.InvalidKeyError:
        raise ValueError("must be a random text, not a PEM or SSH key") from None
    weakness = weakness_of(text)
    if weakness is not None:
        raise ValueError(f"must be {RANDOM_BYTES} random bytes, and this one {weakness}; make one with: {MADE_BY}")
    return text


def _jwt_older_secrets(text: str) -> tuple[str, ...]:
    try:
        return tuple(_jwt_secret(each.strip()) for each in text.split(","))
    except ValueError as error:
        raise ValueError(f"must be earlier secrets separated by commas, each of which {error}") from None


def _currency(text: str) -> str:
    return currency(text)


def _base_url(text: str) -> str:
    invalid = ValueError("must be http://host:port or https://host:port, without user, path or parameters")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise invalid from None
    is_bare = not (url.path.strip("/") or url.query or url.fragment or "@" in url.netloc)
    is_visible = text.isascii() and text.isprintable() and " " not in text
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0 or not is_bare or not is_visible:
        raise invalid
    return text.rstrip("/")


_MAIL_PORTS: Final = {"smtp": 587, "smtps": 465}


def _smtp_url(text: str) -> MailUrl:
    invalid = ValueError(
        "must be smtp://user:password@host:587 (with STARTTLS) or smtps://user:password@host:465, optionally with "
        "?ca=/path/of/certificates.pem, or for a server on the same machine with ?starttls=off "
        "(in user and password, write : / @ % as %3A %2F %40 %25)"
    )
    try:
        url = urlsplit(text)
        port = url.port
        options = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
    except ValueError:
        raise invalid from None
    is_known = url.scheme in _MAIL_PORTS and set(options) <= {"ca", "starttls"}
    is_off = options.get("starttls") == "off"
    is_bare = not (url.path.strip("/") or url.fragment) and options.get("starttls", "on") in {"on", "off"}
    if not (is_known and is_bare and url.hostname) or port == 0 or (url.password is not None and not url.username):
        raise invalid
    ca = options.get("ca")
    if ca is not None and not Path(ca).is_file():
        raise ValueError("must name an existing file of certificates with ca=")
    return MailUrl(
        host=url.hostname,
        port=port or _MAIL_PORTS[url.scheme],
        user=None if url.username is None else unquote(url.username),
        password=None if url.password is None else unquote(url.password),
        encryption="tls" if url.scheme == "smtps" else "none" if is_off else "starttls",
        ca=ca,
    )


def _mail_from(text: str) -> str:
    if not text.isascii():
        raise ValueError("must be an e-mail address in ASCII, such as tickets@example.org")
    return email(text)


def _public_url(text: str) -> str:
    invalid = ValueError("must be http://host or https://host, optionally with a port and a path, without parameters")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise invalid from None
    is_visible = text.isascii() and text.isprintable() and " " not in text
    is_plain = not (url.query or url.fragment or "@" in url.netloc or port == 0)
    if url.scheme not in {"http", "https"} or not url.hostname or not is_plain or not is_visible:
        raise invalid
    return text.rstrip("/")


def _choice(choices: type[Choice], *, upper: bool = False) -> Callable[[str], Choice]:
    def rule(text: str) -> Choice:
        try:
            return choices(text.upper() if upper else text.lower())
        except ValueError:
            *others, last = choices
            raise ValueError(f"must be {', '.join(others)} or {last}") from None

    return rule


def _switch(text: str) -> bool:
    if text.lower() not in {"on", "off"}:
        raise ValueError("must be on or off")
    return text.lower() == "on"


def _host(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be an address or host name to listen on: 127.0.0.1, ::, localhost")
    return text


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return a rule for whole numbers in decimal digits; the rule raises ValueError."""

    def rule(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return rule


def _networks(text: str) -> tuple[Network, ...]:
    invalid = ValueError("must be addresses or networks, separated by commas: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32")
    try:
        return tuple(ip_network(each.strip()) for each in text.split(","))
    except ValueError:
        raise invalid from None


_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(each.strip() for each in text.split(","))
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError(
            "must be exact origins as browsers send them, separated by commas: https://tickets.example.org, no path"
        )
    return origins


def _log_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise ValueError("must name a file, not a directory")
    return path


def _sentry_dsn(text: str) -> str:
    invalid = ValueError("must be a DSN of Sentry: https://key@host/project")
    try:
        url = urlsplit(text)
        is_dsn = url.scheme in {"http", "https"} and url.username and url.hostname and url.path.strip("/")
    except ValueError:
        raise invalid from None
    if not is_dsn:
        raise invalid
    return text


def _metrics_directory(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ValueError("must name a directory")
    return path


_RULES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    f"{PREFIX}DATABASE_URL": ("database_url", _database_url),
    f"{PREFIX}JWT_SECRET": ("jwt_secret", _jwt_secret),
    f"{PREFIX}JWT_OLDER_SECRETS": ("jwt_older_secrets", _jwt_older_secrets),
    f"{PREFIX}ORGANIZERS": ("organizers", _choice(Organizers)),
    f"{PREFIX}RATE_LIMITS": ("rate_limits", _switch),
    f"{PREFIX}HOST": ("host", _host),
    f"{PREFIX}PORT": ("port", integer(0, MOST_PORT)),
    f"{PREFIX}WORKERS": ("workers", integer(1, MOST_WORKERS)),
    f"{PREFIX}TRUSTED_PROXIES": ("trusted_proxies", _networks),
    f"{PREFIX}FORWARDED_HEADER": ("forwarded_header", _choice(ForwardedHeader)),
    f"{PREFIX}CORS_ORIGINS": ("cors_origins", _origins),
    f"{PREFIX}CURRENCY": ("currency", _currency),
    f"{PREFIX}PAYMENTS": ("payments", _choice(Payments)),
    f"{PREFIX}STRIPE_KEY": ("stripe_key", stripe_key),
    f"{PREFIX}STRIPE_WEBHOOK_SECRET": ("stripe_webhook_secret", stripe_webhook_secret),
    f"{PREFIX}STRIPE_URL": ("stripe_url", _base_url),
    f"{PREFIX}OTEL_ENDPOINT": ("otel_endpoint", _base_url),
    f"{PREFIX}SENTRY_DSN": ("sentry_dsn", _sentry_dsn),
    f"{PREFIX}METRICS_DIRECTORY": ("metrics_directory", _metrics_directory),
    f"{PREFIX}WEBHOOKS_PRIVATE": ("webhooks_private", _switch),
    f"{PREFIX}SMTP_URL": ("smtp_url", _smtp_url),
    f"{PREFIX}MAIL_FROM": ("mail_from", _mail_from),
    f"{PREFIX}PUBLIC_URL": ("public_url", _public_url),
    f"{PREFIX}DRAND_RELAYS": ("drand_relays", drand_relays),
    f"{PREFIX}LOG_LEVEL": ("log_level", _choice(LogLevel, upper=True)),
    f"{PREFIX}LOG_FILE": ("log_file", _log_file),
}
_PORT: Final = f"{PREFIX}PORT"
_SUFFIXES: Final = tuple(name.removeprefix(PREFIX) for name in _RULES)
