"""Settings come from the environment and `.env`; a bad one is named, and its content is never shown."""

import copy
import pickle
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest

from boxoffice.domain.user import Organizers
from boxoffice.entrypoints.settings import ForwardedHeader, LogLevel, Payments, Settings, SettingsError
from tests.constants import SECRET

ROOT: Final = Path(__file__).parents[2]
MYSQL: Final = "mysql+asyncmy://owner:pass@database:3306/event-ticket-booking-service"


def load(directory: Path, dotenv: str | bytes | None = None, **environment: str) -> Settings:
    if dotenv is not None:
        content = dotenv if isinstance(dotenv, bytes) else dotenv.encode()
        (directory / ".env").write_bytes(content)
    return Settings.load({f"BOXOFFICE_{name}": text for name, text in environment.items()}, directory)


def problems(directory: Path, dotenv: str | bytes | None = None, **environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as error:
        load(directory, dotenv, **environment)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__, "what broke the rule would show in a traceback"
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings(
        database_url="sqlite+aiosqlite:///data/boxoffice.db",
        jwt_secret=None,
        jwt_older_secrets=(),
        organizers=Organizers.EVERYONE,
        rate_limits=True,
        currency="EUR",
        payments=Payments.SANDBOX,
        stripe_key=None,
        stripe_url=None,
        log_level=LogLevel.INFO,
        log_file=None,
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("DATABASE_URL", "memory://", "database_url", "memory://"),
        ("DATABASE_URL", MYSQL, "database_url", MYSQL),
        ("DATABASE_URL", MYSQL + "?charset=utf8mb4", "database_url", MYSQL + "?charset=utf8mb4"),
        ("DATABASE_URL", "mysql+asyncmy://a:p%40ss@[::1]/b", "database_url", "mysql+asyncmy://a:p%40ss@[::1]/b"),
        ("DATABASE_URL", "sqlite+aiosqlite:////srv/b.db", "database_url", "sqlite+aiosqlite:////srv/b.db"),
        ("JWT_SECRET", SECRET, "jwt_secret", SECRET),
        ("JWT_SECRET", f"ä{SECRET}", "jwt_secret", f"ä{SECRET}"),
        ("JWT_SECRET", f" {SECRET} ", "jwt_secret", f" {SECRET} "),
        ("JWT_OLDER_SECRETS", SECRET, "jwt_older_secrets", (SECRET,)),
        ("JWT_OLDER_SECRETS", f"{SECRET}, {SECRET[::-1]} ", "jwt_older_secrets", (SECRET, SECRET[::-1])),
        ("ORGANIZERS", "granted", "organizers", Organizers.GRANTED),
        ("ORGANIZERS", "Everyone", "organizers", Organizers.EVERYONE),
        ("RATE_LIMITS", "off", "rate_limits", False),
        ("RATE_LIMITS", "ON", "rate_limits", True),
        ("HOST", "::", "host", "::"),
        ("PORT", "0", "port", 0),
        ("PORT", "65535", "port", 65_535),
        ("WORKERS", "4", "workers", 4),
        ("TRUSTED_PROXIES", "192.0.2.1", "trusted_proxies", (ip_network("192.0.2.1/32"),)),
        (
            "TRUSTED_PROXIES",
            "10.0.0.0/8, ::1,2001:db8::/32",
            "trusted_proxies",
            (ip_network("10.0.0.0/8"), ip_network("::1/128"), ip_network("2001:db8::/32")),
        ),
        ("FORWARDED_HEADER", "Forwarded", "forwarded_header", ForwardedHeader.FORWARDED),
        ("CORS_ORIGINS", "https://a.example.org", "cors_origins", ("https://a.example.org",)),
        (
            "CORS_ORIGINS",
            "http://localhost:3000, https://[2001:db8::1]:8443",
            "cors_origins",
            ("http://localhost:3000", "https://[2001:db8::1]:8443"),
        ),
        ("CURRENCY", "CHF", "currency", "CHF"),
        ("PAYMENTS", "Sandbox", "payments", Payments.SANDBOX),
        ("STRIPE_KEY", "sk_test_4eC39HqLy", "stripe_key", "sk_test_4eC39HqLy"),
        ("STRIPE_KEY", "rk_live_4eC39HqLy", "stripe_key", "rk_live_4eC39HqLy"),
        ("STRIPE_URL", "http://127.0.0.1:8420", "stripe_url", "http://127.0.0.1:8420"),
        ("STRIPE_URL", "https://proxy.example.org/", "stripe_url", "https://proxy.example.org"),
        ("STRIPE_URL", "http://[::1]:8420", "stripe_url", "http://[::1]:8420"),
        ("LOG_LEVEL", "debug", "log_level", LogLevel.DEBUG),
        ("LOG_LEVEL", "ERROR", "log_level", LogLevel.ERROR),
        ("LOG_FILE", "logs/a.log", "log_file", Path("logs/a.log")),
    ],
)
def test_a_setting_is_taken_from_the_environment_and_from_the_file(
    tmp_path: Path, name: str, text: str, field: str, value: Any
) -> None:
    assert getattr(load(tmp_path, **{name: text}), field) == value
    assert getattr(load(tmp_path, f"BOXOFFICE_{name}='{text}'\n"), field) == value


_BAD: Final = [
    *(
        ("DATABASE_URL", text)
        for text in (
            "hush",
            "hush://",
            "memory",
            "memory://hush",
            "sqlite:///hush.db",
            "sqlite+aiosqlite://",
            "sqlite+aiosqlite:///",
            "sqlite+aiosqlite:///:memory:",
            "sqlite+aiosqlite:///file:hush?uri=true",
            "sqlite+aiosqlite:///hush.db?mode=hush",
            "sqlite+aiosqlite://hush/hush.db",
            "mysql://owner:hush@database/hush",
            "mysql+pymysql://owner:hush@database/hush",
            "postgresql://owner:hush@database/hush",
            "mysql+asyncmy://owner:hush@database",
            "mysql+asyncmy://owner:hush@database/",
            "mysql+asyncmy://owner:hush@/hush",
            "mysql+asyncmy://owner:hush@database:hush/hush",
            "mysql+asyncmy://owner:h%C3%BCsh@database/hush",
            "mysql+asyncmy://öwner:hush@database/hush",
        )
    ),
    *(
        ("JWT_SECRET", text)
        for text in (
            "hush",
            "hush" * 7 + "hus",
            "ü" * 15 + "h",
            "-----BEGIN PUBLIC KEY-----\nhush\n-----END PUBLIC KEY-----",
        )
    ),
    *(("JWT_SECRET", text) for text in ("ssh-rsa " + "hush" * 20, "hush" * 8 + "\ud800", "hush" * 8)),
    *(("JWT_SECRET", text) for text in ("hush-changeme-hush-hush-please-now", "hush-hush-hush-hush-hush-hush-hush")),
    *(
        ("JWT_OLDER_SECRETS", text)
        for text in ("hush", f"{SECRET},hush", f"{SECRET},", f"{SECRET};{SECRET},{'hush' * 8}")
    ),
    *(("ORGANIZERS", text) for text in ("hush", "every one", "admin", " granted", "everyone,granted", "1")),
    *(("RATE_LIMITS", text) for text in ("hush", "true", "1", "yes", "on ", "0")),
    *(("HOST", text) for text in ("", "hush hush", "hüsh", "hush\n")),
    *(("PORT", text) for text in ("", "hush", "-1", "65536", "1.5", "\u0663", "udp://hush")),
    *(("WORKERS", text) for text in ("", "hush", "0", "65", "1 ")),
    *(
        ("TRUSTED_PROXIES", text)
        for text in ("hush", "10.0.0.0/33", "10.0.0.1/8", "192.0.2.1,", "192.0.2.1 192.0.2.2", "*", "proxy.hush.org")
    ),
    *(
        ("CORS_ORIGINS", text)
        for text in ("hush", "*", "null", "https://hush/", "https://hush/a", "https://Hush", "hush.org", "https://a,")
    ),
    *(("CORS_ORIGINS", text) for text in ("ftp://hush", "https://user:hush@a", "https://a?hush", "https://*.hush.org")),
    *(("FORWARDED_HEADER", text) for text in ("hush", "", "x-real-ip", "x-forwarded-for,forwarded")),
    *(("CURRENCY", text) for text in ("hush", "eur", "EURO", "XXX", "€", "E R", "EUR ")),
    *(("PAYMENTS", text) for text in ("hush", "paypal", "sandbox,stripe", " stripe", "1")),
    *(("STRIPE_KEY", text) for text in ("hush", "pk_live_hush", "sk-hush", "sk_", "sk_live_hush ", "sk_live_hush\n")),
    *(
        ("STRIPE_URL", text)
        for text in (
            "hush",
            "hush:8420",
            "ftp://hush",
            "http://",
            "http://:8420",
            "http://hush:hush",
            "http://hush:0",
            "http://hush:99999",
            "http://owner:hush@proxy",
            "http://proxy/hush",
            "http://proxy?hush",
            "http://proxy#hush",
            "http://hush hush",
            "http://hüsh",
            "http://[hush",
        )
    ),
    *(("LOG_LEVEL", text) for text in ("hush", "10", "WARN", "all", "INFO ")),
    *(("LOG_FILE", text) for text in ("/", ".", "/tmp")),
    *(
        (name, "")
        for name in (
            "DATABASE_URL",
            "JWT_SECRET",
            "JWT_OLDER_SECRETS",
            "ORGANIZERS",
            "RATE_LIMITS",
            "CURRENCY",
            "LOG_LEVEL",
            "LOG_FILE",
        )
    ),
    *((name, "") for name in ("TRUSTED_PROXIES", "CORS_ORIGINS", "PAYMENTS", "STRIPE_KEY", "STRIPE_URL")),
]


@pytest.mark.parametrize(("name", "text"), _BAD, ids=lambda x: ascii(x)[:40])
def test_a_bad_value_is_named_and_not_shown(tmp_path: Path, name: str, text: str) -> None:
    (problem,) = problems(tmp_path, **{name: text})
    assert re.match(rf"BOXOFFICE_{name} must ", problem)
    assert "hush" not in problem
    assert "\n" not in problem


def test_stripe_needs_a_key(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, PAYMENTS="stripe")
    assert problem == "BOXOFFICE_STRIPE_KEY must be set with BOXOFFICE_PAYMENTS=stripe"
    (problem,) = problems(tmp_path, PAYMENTS="stripe", STRIPE_KEY="hush")
    assert problem.startswith("BOXOFFICE_STRIPE_KEY must be a secret or restricted key")
    assert "hush" not in problem
    found = load(tmp_path, "BOXOFFICE_STRIPE_KEY=sk_test_4eC39HqLy", PAYMENTS="stripe")
    assert (found.payments, found.stripe_key) == (Payments.STRIPE, "sk_test_4eC39HqLy")


def test_every_bad_value_is_named_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, CURRENCY="hush", ORGANIZERS="hush", JWT_SECRET="hush", RATE_LIMITS="on")
    assert [problem.split()[0] for problem in found] == [
        "BOXOFFICE_CURRENCY",
        "BOXOFFICE_JWT_SECRET",
        "BOXOFFICE_ORGANIZERS",
    ]


def test_a_name_that_is_nearly_right_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, JWT_SECRT="hush")
    assert problem == "BOXOFFICE_JWT_SECRT is not a setting; did you mean BOXOFFICE_JWT_SECRET?"
    for name in ("DATABASE_URI", "ORGANISERS", "RATE_LIMIT", "CURENCY", "LOGLEVEL", "LOG_FILES"):
        (problem,) = problems(tmp_path, **{name: "hush"})
        assert problem.startswith(f"BOXOFFICE_{name} is not a setting; did you mean BOXOFFICE_")
        assert "hush" not in problem


def test_names_that_a_platform_or_the_tests_set_stop_nothing(tmp_path: Path) -> None:
    """Kubernetes puts these into every container beside a service called boxoffice."""
    found = load(
        tmp_path,
        PORT="tcp://10.0.0.1:80",
        PORT_80_TCP="tcp://10.0.0.1:80",
        SERVICE_HOST="10.0.0.1",
        TEST_MYSQL_URL="mysql://hush",
    )
    assert found.unknown == ("BOXOFFICE_PORT", "BOXOFFICE_PORT_80_TCP", "BOXOFFICE_SERVICE_HOST")
    assert found.port == 8000


def test_names_of_others_are_nobodys_business(tmp_path: Path) -> None:
    assert Settings.load({"HOME": "/", "BOXOFFICE": "x", "boxoffice_currency": "x"}, tmp_path) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = "# a comment\nexport BOXOFFICE_CURRENCY=CHF\nBOXOFFICE_ORGANIZERS=granted\nOTHER=x\n"
    assert load(tmp_path, dotenv).currency == "CHF"
    found = load(tmp_path, dotenv, CURRENCY="USD")
    assert (found.currency, found.organizers) == ("USD", Organizers.GRANTED)
    assert load(tmp_path, "BOXOFFICE_CURRENCY=hush", CURRENCY="USD").currency == "USD"


def test_a_bad_value_in_the_file_is_named_and_not_shown(tmp_path: Path) -> None:
    assert problems(tmp_path, "BOXOFFICE_CURRENCY=hush\n")[0].startswith("BOXOFFICE_CURRENCY must be")
    assert problems(tmp_path, "BOXOFFICE_CURRENCY=\n")[0].startswith("BOXOFFICE_CURRENCY must not be empty")


@pytest.mark.parametrize(
    ("dotenv", "lines"),
    [
        ('# x\n\nBOXOFFICE_DATABASE_URL="mysql+asyncmy://hush@h/b\nBOXOFFICE_CURRENCY=CHF\n', [3]),
        ("BOXOFFICE_DATABASE_URL='mysql+asyncmy://hush@h/b\n", [1]),
        ('BOXOFFICE_DATABASE_URL="hush" hush\n', [1]),
        ('BOXOFFICE_DATABASE_URL="hu"sh"\n\n\nhush hush\n', [1, 4]),
        ("BOXOFFICE_CURRENCY\n", [1]),
        ("BOXOFFICE_CURRENCY CHF\n", [1]),
        ("A=1\n=hush\n", [2]),
        ("\n\nmysql+asyncmy://owner:hush@h/b\n", [3]),
        ("mysql+asyncmy://owner:hush@h/b?ssl_ca=/hush\n", [1]),
        # The quote ends, but only below a setting that would be hidden.
        ('OTHER="hush\nBOXOFFICE_CURRENCY=CHF\nANOTHER="\n', [1]),
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_its_number(tmp_path: Path, dotenv: str, lines: list[int]) -> None:
    found = problems(tmp_path, dotenv)
    assert [int(re.findall(r"line (\d+) must be NAME=value", problem)[0]) for problem in found] == lines
    assert "hush" not in "".join(found)


def test_lines_that_can_be_read_start(tmp_path: Path) -> None:
    dotenv = (
        "\n# BOXOFFICE_CURRENCY CHF\n  \nexport A='b c' # d\nB=\"x\ny\"\nmy-own.name=1\nC=\nBOXOFFICE_CURRENCY = CHF\n"
    )
    assert load(tmp_path, dotenv).currency == "CHF"


def test_what_is_written_in_the_file_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "somewhere")
    assert load(tmp_path, "BOXOFFICE_JWT_SECRET='${HOME}" + SECRET + "'").jwt_secret == "${HOME}" + SECRET


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffBOXOFFICE_CURRENCY=CHF\n").currency == "CHF"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, b"BOXOFFICE_JWT_SECRET=hush\xff\n")
    assert problem == ".env in the working directory must be text in UTF-8"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (problem,) = problems(tmp_path)
    assert problem.startswith(".env in the working directory cannot be read")


def test_the_working_directory_is_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / ".env").write_text("BOXOFFICE_CURRENCY=CHF\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOXOFFICE_LOG_LEVEL", "ERROR")
    assert Settings.load().currency == "CHF"
    assert Settings.load().log_level is LogLevel.ERROR
    monkeypatch.chdir(tmp_path / "inner")
    assert Settings.load().currency == "EUR", "a folder further up is somebody else's"


def test_secrets_are_not_shown_by_any_way_of_showing_settings(tmp_path: Path) -> None:
    url = "mysql+asyncmy://hushowner:hush@database:3306/b?charset=utf8mb4"
    secrets = {"JWT_SECRET": f"hush-{SECRET}", "JWT_OLDER_SECRETS": f"hush+{SECRET},{SECRET}hush"}
    found = load(tmp_path, DATABASE_URL=url, STRIPE_KEY="sk_live_hush", **secrets)
    shown = [repr(found), str(found), f"{found}", f"{found!r}", ascii(found), str([found]), str(found.__rich_repr__())]
    for each in shown:
        assert "hush" not in each
        assert "database:3306/b" in each
    assert "jwt_secret='***', jwt_older_secrets=('***', '***')" in repr(found)
    assert "stripe_key='***'" in repr(found)
    assert "jwt_secret=None" in repr(load(tmp_path))
    assert "stripe_key=None" in repr(load(tmp_path))
    assert found.database_place == "mysql+asyncmy://database:3306/b"
    assert pickle.loads(pickle.dumps(found)) == copy.copy(found) == found


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        load(tmp_path).currency = "CHF"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite+aiosqlite:///data/boxoffice.db", Path("data/boxoffice.db")),
        ("sqlite+aiosqlite:////srv/b.db", Path("/srv/b.db")),
        ("memory://", None),
        (MYSQL, None),
    ],
)
def test_where_the_embedded_database_is(url: str, file: Path | None) -> None:
    settings = Settings(database_url=url)
    assert settings.sqlite_file == file
    assert settings.is_in_memory is (url == "memory://")


def test_the_example_names_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert load(tmp_path, text) == Settings()
    offered = dict(re.findall(r"^#(BOXOFFICE_\w+)=(.*)$", text, re.MULTILINE))
    fields = {name for name in Settings.__struct_fields__ if name != "unknown"}
    assert set(offered) == {f"BOXOFFICE_{name.upper()}" for name in fields}
    without_default = {
        f"BOXOFFICE_{name}"
        for name in (
            "CORS_ORIGINS",
            "TRUSTED_PROXIES",
            "JWT_SECRET",
            "JWT_OLDER_SECRETS",
            "LOG_FILE",
            "METRICS_DIRECTORY",
            "OTEL_ENDPOINT",
            "SENTRY_DSN",
            "SMTP_URL",
            "MAIL_FROM",
            "PUBLIC_URL",
            "STRIPE_KEY",
            "STRIPE_URL",
        )
    }
    chosen = {name: value for name, value in offered.items() if name not in without_default}
    assert Settings.load(chosen, tmp_path / "elsewhere") == Settings()
