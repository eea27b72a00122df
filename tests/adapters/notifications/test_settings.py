"""Settings of telling others: what they may be, and what of them is never shown."""

from pathlib import Path

import pytest

from boxoffice.adapters.notifications.smtp_sender import SmtpSender
from boxoffice.adapters.notifications.webhook_sender import HttpWebhookSender
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import MailUrl, Settings, SettingsError


def load(**settings: str) -> Settings:
    given = {f"BOXOFFICE_{name}": value for name, value in settings.items()}
    return Settings.load({"BOXOFFICE_DATABASE_URL": "memory://", **given}, Path("/nowhere"))


def mail(url: str) -> MailUrl | None:
    return load(SMTP_URL=url, MAIL_FROM="Tickets@Example.org").smtp_url


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "encryption"),
    [
        ("smtp://mail.example.org", "mail.example.org", 587, None, None, "starttls"),
        ("smtps://mail.example.org", "mail.example.org", 465, None, None, "tls"),
        ("smtp://a%40b:c%2Fd%3A@mail.example.org:2525", "mail.example.org", 2525, "a@b", "c/d:", "starttls"),
        ("smtp://127.0.0.1:25?starttls=off", "127.0.0.1", 25, None, None, "none"),
        ("smtp://127.0.0.1?starttls=on", "127.0.0.1", 587, None, None, "starttls"),
    ],
)
def test_where_mails_go(
    url: str, host: str, port: int, user: str | None, password: str | None, encryption: str
) -> None:
    assert mail(url) == MailUrl(host=host, port=port, user=user, password=password, encryption=encryption, ca=None)


def test_certificates_come_from_a_file_that_exists(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(SettingsError, match="existing file of certificates"):
        mail(f"smtp://mail.example.org?ca={file}")
    file.touch()
    found = mail(f"smtp://mail.example.org?ca={file}")
    assert found is not None
    assert found.ca == str(file)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://:password@mail.example.org",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:99999",
        "smtp://mail.example.org/inbox",
        "smtp://mail.example.org?starttls=maybe",
        "smtp://mail.example.org?verify=off",
        "smtp://mail.example.org?ca",
        "smtp://[mail.example.org",
    ],
)
def test_what_is_no_mail_server_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="BOXOFFICE_SMTP_URL must be smtp://"):
        mail(url)


def test_a_mail_server_needs_a_sender() -> None:
    with pytest.raises(SettingsError, match="BOXOFFICE_MAIL_FROM must be set with BOXOFFICE_SMTP_URL"):
        load(SMTP_URL="smtp://mail.example.org")
    for sender in ("nobody", "a@b@c", "tïckets@example.org", "Tickets <tickets@example.org>"):
        with pytest.raises(SettingsError, match="BOXOFFICE_MAIL_FROM"):
            load(SMTP_URL="smtp://mail.example.org", MAIL_FROM=sender)
    assert load(MAIL_FROM="Tickets@Example.org").mail_from == "tickets@example.org"


def test_where_customers_reach_the_service() -> None:
    assert load(PUBLIC_URL="https://tickets.example.org/box/").public_url == "https://tickets.example.org/box"
    for url in ("tickets.example.org", "https://", "https://a b", "https://a?b", "https://u@a", "https://a#b"):
        with pytest.raises(SettingsError, match="BOXOFFICE_PUBLIC_URL"):
            load(PUBLIC_URL=url)


def test_no_password_is_shown() -> None:
    settings = load(SMTP_URL="smtp://owner:hush@mail.example.org", MAIL_FROM="tickets@example.org")
    shown = f"{settings!r} {settings.smtp_url!r} {settings.__rich_repr__()} "
    assert settings.smtp_url is not None
    shown += str(settings.smtp_url.__rich_repr__())
    assert "mail.example.org" in shown
    assert "hush" not in shown
    assert "owner" not in shown
    with pytest.raises(SettingsError) as error:
        load(SMTP_URL="smtp://owner:hush@mail.example.org/x", MAIL_FROM="tickets@example.org")
    assert "hush" not in str(error.value)


async def test_the_container_makes_what_the_settings_say() -> None:
    for private, objection in (("on", None), ("off", "must be an https:// address")):
        sender = make_container(load(WEBHOOKS_PRIVATE=private)).webhook_sender()
        assert isinstance(sender, HttpWebhookSender)
        assert sender.objection("http://127.0.0.1/") == objection
    settings = load(SMTP_URL="smtps://mail.example.org", MAIL_FROM="tickets@example.org")
    assert isinstance(make_container(settings).email_sender(), SmtpSender)
    with pytest.raises(SettingsError, match="BOXOFFICE_SMTP_URL"):
        make_container(load()).email_sender()
