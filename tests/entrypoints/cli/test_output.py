"""What commands print for programs, for shells and for a terminal."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.background.verify_promises import Verdict
from boxoffice.application.bookings.pay_booking import Bill
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import Initialize, general_admission
from boxoffice.domain.event import EventDetails
from boxoffice.domain.explanations.chance_record import Band
from boxoffice.domain.payment import Payment, PaymentMethod
from boxoffice.domain.replay.event_replay import Breach
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.cli import main
from boxoffice.entrypoints.cli.operate import Report, of_band
from boxoffice.entrypoints.cli.progress import ProgressLine
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.settings import Settings


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BOXOFFICE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


Run = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command, and returns what it printed."""

    def run(*command: str, code: int = 0) -> str:
        assert main(command) == code
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return run


def test_verify_says_in_json_what_it_found(printed: Run) -> None:
    printed("migrate")
    report = json.loads(printed("verify", "--json"))
    assert report | {"holds": True, "events": 0, "bookings": 0, "facts": 0} == report
    assert [each["number"] for each in report["promises"]] == [1, 3, 4, 5, 6, 7, 8, 10]
    assert all(each["holds"] and each["promise"] and each["breaches"] == [] for each in report["promises"])


def test_verify_says_how_often_chances_were_right(printed: Run) -> None:
    printed("migrate")
    assert "chances" not in printed("verify")
    lines = printed("verify", "--chances").splitlines()
    assert lines[-11:-9] == ["chances of  0 to  9 %: nobody yet", "chances of 10 to 19 %: nobody yet"]
    band = Band(90, 3, 2)
    (told,) = Report.of(Verdict(1, 2, 3, [], (band,))).chances
    assert told == band
    assert of_band(band) == "chances of 90 to 99 %:  67 % of 3 bookings were served"


def test_a_broken_promise_is_reported_in_json() -> None:
    report = Report.of(Verdict(1, 2, 3, [Breach(4, "booking x was cancelled 2 times")]))
    (broken,) = (each for each in report.promises if not each.holds)
    assert (broken.number, broken.breaches) == (4, ["booking x was cancelled 2 times"])
    assert not report.holds


def test_sweep_says_in_json_what_it_did(printed: Run) -> None:
    printed("migrate")
    nothing = {"events": 0, "payments": 0, "accounts": 0, "answers": 0, "erasures": 0, "codeKeys": 0}
    assert json.loads(printed("sweep", "--json")) == {"hasTurn": True, "isDone": True, **nothing}


async def _sign_up(*emails: str) -> None:
    container = make_container(Settings())
    for email in emails:
        await container.create_user()(Registration(name="Ann", email=email, password="correct horse battery"))
    await container.storage().close()


def test_accounts_are_listed_in_json_one_a_line(printed: Run) -> None:
    printed("migrate")
    asyncio.run(_sign_up("ann@example.org", "ben@example.org"))
    printed("user", "disable", "ben@example.org")
    assert printed("user", "verify", "BEN@example.org") == "ben@example.org is verified.\n"
    assert printed("user", "verify", "--all") == "1 address is verified now.\n"
    assert printed("user", "verify", "--all") == "0 addresses are verified now.\n"
    ann, ben = (json.loads(line) for line in printed("user", "list", "--json").splitlines())
    assert set(ann) == {"id", "email", "role", "createdAt", "disabledAt", "verifiedAt"}
    assert (ann["email"], ann["role"], ann["disabledAt"]) == ("ann@example.org", "customer", None)
    assert None not in (ben["disabledAt"], ann["verifiedAt"], ben["verifiedAt"])


def test_a_link_that_sets_a_password_is_printed(
    printed: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed("migrate")
    asyncio.run(_sign_up("ann@example.org", "ben@example.org"))
    assert " takes token=" in printed("user", "reset-link", "ann@example.org")
    monkeypatch.setenv("BOXOFFICE_PUBLIC_URL", "https://tickets.example.org/shop")
    link = printed("user", "reset-link", "ANN@example.org")
    token = re.fullmatch(r"https://tickets\.example\.org/shop/reset-password\?token=([\w~.-]{22,})\n", link)
    assert token

    async def use() -> str | None:
        container = make_container(Settings.load())
        user = await container.reset_password()(token[1], "another horse")
        await container.storage().close()
        return user.email

    assert asyncio.run(use()) == "ann@example.org"
    printed("user", "disable", "ben@example.org")
    for refused in ("nobody@example.org", "ben@example.org"):
        assert main(["user", "reset-link", refused]) == 1
        assert "token=" not in capsys.readouterr().out


async def _owe_cash() -> Payment:
    """Cancel a booking that was paid in cash, and return its refund."""
    container = make_container(Settings())
    organizer, customer = Actor(container.ids().new()), Actor(container.ids().new())
    event = (
        await container.initialize_event()(
            Initialize(
                event_id=container.ids().new(),
                actor=organizer,
                details=EventDetails(name="Jazz night"),
                ticket_types=((container.ids().new(), general_admission(1, Money(2_500, "EUR"))),),
                currency="EUR",
            )
        )
    ).event
    command = Book(booking_id=container.ids().new(), event_id=event.id, actor=customer)
    booking = await container.book_ticket()(command)
    await container.pay_booking()(Bill(booking_id=booking.id, actor=organizer, method=PaymentMethod.CASH))
    await container.cancel_booking()(Cancel(event_id=event.id, actor=organizer, booking_id=booking.id))
    refund: Payment = (await container.payment_queries().payments(booking.id))[1]
    await container.turnstile().close()
    await container.storage().close()
    return refund


def test_payments_that_need_a_person_are_listed_one_a_line(printed: Run) -> None:
    printed("migrate")
    assert printed("payments", "due") == printed("payments", "due", "--json") == ""
    refund = asyncio.run(_owe_cash())
    expected = ["cash", str(refund.booking_id), str(refund.id), "2500 EUR"]
    assert printed("payments", "due").rstrip("\n").split("\t")[:4] == expected
    (listed,) = (json.loads(line) for line in printed("payments", "due", "--json").splitlines())
    assert set(listed) == {"need", "bookingId", "paymentId", "amount", "since"}
    assert (listed["need"], listed["bookingId"], listed["paymentId"]) == tuple(expected[:3])
    assert listed["amount"] == {"amount": 2_500, "currency": "EUR"}


def test_an_address_is_dropped_by_the_migration_alone(printed: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does before is tested with the migrations."""
    printed("migrate")
    assert main(["migrate", "--drop-address", "018f6e3a-0000-7000-8000-000000000001"]) == 1
    assert "The addresses were migrated before" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["migrate", "--drop-address", "ann@example.org"])
    assert stopped.value.code == 2
    assert "must be an id" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command(shell: str, printed: Run) -> None:
    script = printed("completion", shell)
    for command in (
        "serve",
        "migrate",
        "grant",
        "user",
        "payments",
        "sweep",
        "verify",
        "secret",
        "completion",
        "simulate",
    ):
        assert command in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=60)


def test_a_terminal_sees_how_far_it_is_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["migrate"]) == 0
    assert "\rMigrating\x1b[K\rMigrated to 0001\x1b[K" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert capsys.readouterr().out.startswith("The schema of ")
    elsewhere = io.StringIO()
    with ProgressLine(elsewhere) as line:
        line.show("Migrating")
    assert elsewhere.getvalue() == ""
