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
        stripe_webhook_secret=(),
        stripe_url=None,
        log_level=LogLevel.INFO,
        log_file=None,
    )


GOOD: Final[dict[str, dict[str, Any]]] = {
    "database_url": {
        url: url
        for url in (
            *("memory://", MYSQL, MYSQL + "?charset=utf8mb4", "mysql+asyncmy://a:p%40ss@[::1]/b"),
            "sqlite+aiosqlite:////srv/b.db",
        )
    },
    "jwt_secret": {secret: secret for secret in (SECRET, f"ä{SECRET}", f" {SECRET} ")},
    "jwt_older_secrets": {SECRET: (SECRET,), f"{SECRET}, {SECRET[::-1]} ": (SECRET, SECRET[::-1])},
    "organizers": {"granted": Organizers.GRANTED, "Everyone": Organizers.EVERYONE},
    "rate_limits": {"off": False, "ON": True},
    "host": {"::": "::"},
    "port": {"0": 0, "65535": 65_535},
    "workers": {"4": 4},
    "trusted_proxies": {
        "192.0.2.1": (ip_network("192.0.2.1/32"),),
        "10.0.0.0/8, ::1,2001:db8::/32": tuple(map(ip_network, ("10.0.0.0/8", "::1/128", "2001:db8::/32"))),
    },
    "forwarded_header": {"Forwarded": ForwardedHeader.FORWARDED},
    "cors_origins": {
        "http://localhost:3000, https://[2001:db8::1]:8443": ("http://localhost:3000", "https://[2001:db8::1]:8443")
    },
    "currency": {"CHF": "CHF"},
    "payments": {"Sandbox": Payments.SANDBOX},
    "stripe_key": {key: key for key in ("sk_test_4eC39HqLy", "rk_live_4eC39HqLy")},
    "stripe_webhook_secret": {"whsec_a": ("whsec_a",), "whsec_a, whsec_B+/= ": ("whsec_a", "whsec_B+/=")},
    "stripe_url": {
        "http://127.0.0.1:8420": "http://127.0.0.1:8420",
        "https://proxy.example.org/": "https://proxy.example.org",
    },
    "drand_relays": {
        "https://drand.example.org/": ("https://drand.example.org",),
        "https://a.example:8443/x, http://127.0.0.1:80": ("https://a.example:8443/x", "http://127.0.0.1:80"),
    },
    "log_level": {"debug": LogLevel.DEBUG, "ERROR": LogLevel.ERROR},
    "log_file": {"logs/a.log": Path("logs/a.log")},
}


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [(field, text, value) for field, values in GOOD.items() for text, value in values.items()],
)
def test_a_setting_is_taken_from_the_environment_and_from_the_file(
    tmp_path: Path, field: str, text: str, value: Any
) -> None:
    assert getattr(load(tmp_path, **{field.upper(): text}), field) == value
    assert getattr(load(tmp_path, f"BOXOFFICE_{field.upper()}='{text}'\n"), field) == value


BAD: Final[dict[str, tuple[str, ...]]] = {
    "DATABASE_URL": (
        *(
            "",
            "hush",
            "hush://",
            "memory://hush",
            "sqlite:///hush.db",
            "sqlite+aiosqlite:///",
            "mysql://owner:hush@d/b",
        ),
        *(
            "sqlite+aiosqlite:///:memory:",
            "sqlite+aiosqlite:///file:hush?uri=true",
            "sqlite+aiosqlite:///hush.db?x=hush",
        ),
        *("sqlite+aiosqlite://hush/hush.db", "postgresql://owner:hush@d/b", "mysql+asyncmy://owner:hush@database/"),
        *("mysql+asyncmy://owner:hush@/hush", "mysql+asyncmy://owner:hush@database:hush/hush"),
        *("mysql+asyncmy://owner:h%FCsh@database/hush", "mysql+asyncmy://%F6wner:hush@database/hush"),
    ),
    "JWT_SECRET": (
        *("", "hush", "hush" * 7 + "hus", "ü" * 15 + "h", "ssh-rsa " + "hush" * 20, "hush" * 8, "hush" * 8 + "\ud800"),
        *("-----BEGIN PUBLIC KEY-----\nhush\n-----END PUBLIC KEY-----", "hush-changeme-hush-hush-please-now"),
    ),
    "JWT_OLDER_SECRETS": ("", "hush", f"{SECRET},hush", f"{SECRET},", f"{SECRET};{SECRET},{'hush' * 8}"),
    "ORGANIZERS": ("", "hush", "admin", " granted", "everyone,granted", "1"),
    "RATE_LIMITS": ("", "hush", "true", "1", "on "),
    "HOST": ("", "hush hush", "hüsh", "hush\n"),
    "PORT": ("", "hush", "-1", "65536", "1.5", "\u0663", "udp://hush"),
    "WORKERS": ("", "hush", "0", "65", "1 "),
    "TRUSTED_PROXIES": ("", "hush", "10.0.0.0/33", "10.0.0.1/8", "192.0.2.1,", "192.0.2.1 192.0.2.2", "*"),
    "CORS_ORIGINS": (
        *("", "hush", "*", "null", "https://hush/", "https://Hush", "https://a,", "ftp://hush", "https://user:hush@a"),
        *("https://a?hush", "https://*.hush.org"),
    ),
    "FORWARDED_HEADER": ("", "hush", "x-real-ip", "x-forwarded-for,forwarded"),
    "CURRENCY": ("", "hush", "eur", "EURO", "XXX", "€", "EUR "),
    "PAYMENTS": ("", "hush", "paypal", "sandbox,stripe", " stripe"),
    "STRIPE_KEY": ("", "hush", "pk_live_hush", "sk-hush", "sk_", "sk_live_hush ", "sk_live_hush\n"),
    "STRIPE_WEBHOOK_SECRET": ("", "hush", "sk_test_hush", "whsec_", "whsec_hush,", "whsec_hush hush", "whsec_huß"),
    "STRIPE_URL": (
        *("", "hush", "hush:8420", "ftp://hush", "http://", "http://:8420", "http://hush:hush", "http://hush:0"),
        *(
            "http://hush:99999",
            "http://owner:hush@proxy",
            "http://proxy/hush",
            "http://proxy?hush",
            "http://proxy#hush",
        ),
        *("http://hush hush", "http://hüsh", "http://[hush"),
    ),
    "DRAND_RELAYS": ("", "hush", "http://hush.example", "https://a,", "https://hush hush", "ftp://hush"),
    "LOG_LEVEL": ("", "hush", "10", "WARN", "INFO "),
    "LOG_FILE": ("", "/", ".", "/tmp"),
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts], ids=lambda x: ascii(x)[:40]
)
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


def test_names_of_other_programs_are_ignored(tmp_path: Path) -> None:
    assert Settings.load({"HOME": "/", "BOXOFFICE": "x", "boxoffice_currency": "x"}, tmp_path) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = "# a comment\nexport BOXOFFICE_CURRENCY=CHF\nBOXOFFICE_ORGANIZERS=granted\nOTHER=x\n"
    assert load(tmp_path, dotenv).currency == "CHF"
    found = load(tmp_path, dotenv, CURRENCY="USD")
    assert (found.currency, found.organizers) == ("USD", Organizers.GRANTED)
    assert load(tmp_path, "BOXOFFICE_CURRENCY=hush", CURRENCY="USD").currency == "USD"
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


def test_no_variable_in_the_file_is_replaced_and_a_byte_order_mark_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "somewhere")
    found = load(tmp_path, "\ufeffBOXOFFICE_CURRENCY=CHF\nBOXOFFICE_JWT_SECRET='${HOME}" + SECRET + "'")
    assert (found.currency, found.jwt_secret) == ("CHF", "${HOME}" + SECRET)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, b"BOXOFFICE_JWT_SECRET=hush\xff\n")
    assert problem == ".env in the working directory must be text in UTF-8"
    (tmp_path / ".env").unlink()
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
    assert Settings.load().currency == "EUR", "a folder further up is not looked at"


def test_secrets_are_not_shown_by_any_way_of_showing_settings(tmp_path: Path) -> None:
    url = "mysql+asyncmy://hushowner:hush@database:3306/b?charset=utf8mb4"
    secrets = {"JWT_SECRET": f"hush-{SECRET}", "JWT_OLDER_SECRETS": f"hush+{SECRET},{SECRET}hush"}
    stripe = {"STRIPE_KEY": "sk_live_hush", "STRIPE_WEBHOOK_SECRET": "whsec_hush"}
    found = load(tmp_path, DATABASE_URL=url, **stripe, **secrets)
    shown = [repr(found), str(found), f"{found}", f"{found!r}", ascii(found), str([found]), str(found.__rich_repr__())]
    for each in shown:
        assert "hush" not in each
        assert "database:3306/b" in each
    assert "jwt_secret='***', jwt_older_secrets=('***', '***')" in repr(found)
    assert "stripe_key='***', stripe_webhook_secret=('***',)" in repr(found)
    assert "jwt_secret=None" in repr(load(tmp_path))
    assert "stripe_key=None" in repr(load(tmp_path))
    assert found.database_place == "mysql+asyncmy://database:3306/b"
    assert pickle.loads(pickle.dumps(found)) == copy.copy(found) == found


def test_the_example_names_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert load(tmp_path, text) == Settings()
    offered = dict(re.findall(r"^#(BOXOFFICE_\w+)=(.*)$", text, re.MULTILINE))
    fields = {name for name in Settings.__struct_fields__ if name != "unknown"}
    assert set(offered) == {f"BOXOFFICE_{name.upper()}" for name in fields}
    without_default = {
        *("CORS_ORIGINS", "TRUSTED_PROXIES", "JWT_SECRET", "JWT_OLDER_SECRETS", "LOG_FILE", "METRICS_DIRECTORY"),
        *("OTEL_ENDPOINT", "SENTRY_DSN", "SMTP_URL", "MAIL_FROM", "PUBLIC_URL", "STRIPE_KEY", "STRIPE_URL"),
        "STRIPE_WEBHOOK_SECRET",
    }
    chosen = {name: value for name, value in offered.items() if name.removeprefix("BOXOFFICE_") not in without_default}
    assert Settings.load(chosen, tmp_path / "elsewhere") == Settings()
