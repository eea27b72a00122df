"""The sandbox: what each token does, that a reference is charged once, and that no crash loses a line of its ledger."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import asyncmy
import pytest

from boxoffice.adapters.payments import Entry, EntryKind, MemoryLedger, SandboxGateway
from boxoffice.adapters.payments.ledger import SqlLedger
from boxoffice.adapters.payments.sandbox import ACTION_URL
from boxoffice.application.ports.payments import GatewaySilent, PaymentGateway
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.payment import refund_of
from boxoffice.domain.values.money import Money
from tests import mariadb

PRICE: Final = Money(2500, "EUR")
FAKES: Final = Path(__file__).with_name("payment_fakes.py")


def start(url: str, *order: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, FAKES, url, *map(str, order)], stdout=subprocess.PIPE, text=True)


async def pay(gateway: PaymentGateway, reference: UUID, amount: Money, token: str) -> Answer:
    """What the provider answers."""
    return (await gateway.charge(reference, amount, token)).answer


async def ask(gateway: PaymentGateway, reference: UUID) -> Answer:
    """What the provider answers."""
    return (await gateway.find_charge(reference)).answer


def said(processes: "list[subprocess.Popen[str]]") -> list[str]:
    words = [word for process in processes for word in process.communicate(timeout=120)[0].split()]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return words


@pytest.mark.parametrize(
    ("token", "taken"),
    [("tok_ok", True), ("tok_decline", False), ("hush", False), ("", False), ("TOK_OK", False), ("tok_ok ", False)],
)
async def test_a_token_decides(sandbox: SandboxGateway, token: str, taken: bool) -> None:
    reference = uuid4()
    answer = Answer.DONE if taken else Answer.DECLINED
    assert await ask(sandbox, reference) is Answer.NOT_FOUND
    assert await pay(sandbox, reference, PRICE, token) is answer
    assert await ask(sandbox, reference) is answer
    assert await sandbox.entries() == [Entry(reference=reference, kind=EntryKind.CHARGE, amount=PRICE, taken=taken)]
    assert await sandbox.balance() == ({"EUR": 2500} if taken else {})


@pytest.mark.parametrize(
    ("first", "second"), [("tok_ok", "tok_decline"), ("tok_decline", "tok_ok"), ("tok_timeout", "tok_decline")]
)
async def test_the_first_outcome_stands(sandbox: SandboxGateway, first: str, second: str) -> None:
    """An answer that never comes takes the money."""
    reference, outcome = uuid4(), Answer.DECLINED if first == "tok_decline" else Answer.DONE
    for _ in range(2):
        if first == "tok_timeout":
            with pytest.raises(GatewaySilent):
                await pay(sandbox, reference, PRICE, first)
        else:
            assert await pay(sandbox, reference, PRICE, first) is outcome
        assert await ask(sandbox, reference) is outcome
    assert await pay(sandbox, reference, Money(9, "CHF"), second) is outcome
    assert [entry.amount for entry in await sandbox.entries()] == [PRICE]
    assert await sandbox.balance() == ({} if outcome is Answer.DECLINED else {"EUR": 2500})


async def test_a_charge_is_given_back_once(sandbox: SandboxGateway) -> None:
    charge, refund = uuid4(), uuid4()
    await pay(sandbox, charge, PRICE, "tok_ok")
    assert [await sandbox.refund(refund, charge, PRICE) for _ in range(3)] == [Answer.DONE] * 3
    assert await sandbox.refund(uuid4(), charge, PRICE) is Answer.DECLINED
    assert await sandbox.balance() == {"EUR": 0}
    given = Entry(reference=refund, kind=EntryKind.REFUND, amount=PRICE, charge_reference=charge)
    taken = Entry(reference=charge, kind=EntryKind.CHARGE, amount=PRICE, refunded=2500)
    assert await sandbox.entries() == sorted([given, taken], key=lambda entry: entry.reference)


async def test_parts_are_given_back_as_far_as_they_go(sandbox: SandboxGateway) -> None:
    charge = uuid4()
    await pay(sandbox, charge, PRICE, "tok_ok")
    parts = [Money(amount, "EUR") for amount in (1000, 1501, 500)]
    assert [await sandbox.refund(uuid4(), charge, part) for part in parts] == [
        Answer.DONE,
        Answer.DECLINED,
        Answer.DONE,
    ]
    outcomes = await asyncio.gather(*(sandbox.refund(uuid4(), charge, Money(300, "EUR")) for _ in range(20)))
    assert outcomes.count(Answer.DONE) == 3
    assert await sandbox.balance() == {"EUR": 100}


@pytest.mark.parametrize(
    ("token", "afterwards"),
    [("tok_action", Answer.DONE), ("tok_action_fails", Answer.DECLINED), ("tok_action_ignored", None)],
)
async def test_a_card_may_ask_for_its_customer(sandbox: SandboxGateway, token: str, afterwards: Answer | None) -> None:
    """Who acts, or fails to, until the next question; and who can no longer once the charge was ended."""
    acts, ended = uuid4(), uuid4()
    for reference in (acts, ended):
        for _ in range(2):
            reply = await sandbox.charge(reference, PRICE, token)
            assert (reply.answer, reply.action_url) == (Answer.ACTION_REQUIRED, f"{ACTION_URL}{reference}")
    assert await sandbox.balance() == {}
    assert await sandbox.refund(uuid4(), acts, PRICE) is Answer.DECLINED
    for _ in range(2):
        reply = await sandbox.find_charge(acts)
        assert reply.answer is (afterwards or Answer.ACTION_REQUIRED)
        assert (reply.action_url is None) == (afterwards is not None)
    for reference, answer in ((ended, Answer.DECLINED), (acts, afterwards or Answer.DECLINED)):
        for _ in range(2):
            assert (await sandbox.cancel_charge(reference)).answer is answer
            assert await ask(sandbox, reference) is answer
    assert (await sandbox.cancel_charge(uuid4())).answer is Answer.NOT_FOUND
    assert await sandbox.balance() == ({"EUR": 2500} if afterwards is Answer.DONE else {})


async def test_one_card_is_never_refunded(sandbox: SandboxGateway) -> None:
    charge = uuid4()
    assert await pay(sandbox, charge, PRICE, "tok_refund_fails") is Answer.DONE
    for _ in range(2):
        assert await sandbox.refund(refund_of(charge), charge, PRICE) is Answer.FAILED
    assert await sandbox.balance() == {"EUR": 2500}
    assert sandbox.objection(Money(1, "IRR")) is None
    assert await sandbox.reference_of("pi_0") is None


async def test_what_was_not_taken_is_not_given_back(sandbox: SandboxGateway) -> None:
    declined, taken, refund = uuid4(), uuid4(), uuid4()
    await pay(sandbox, declined, PRICE, "tok_decline")
    await pay(sandbox, taken, PRICE, "tok_ok")
    for reference, charge, amount in (
        *((refund, charge, PRICE) for charge in (declined, uuid4(), refund)),
        *((refund, taken, amount) for amount in (Money(2500, "CHF"), Money(0, "EUR"), Money(-1, "EUR"))),
        (taken, taken, PRICE),  # A charge's own reference is no refund's.
    ):
        assert await sandbox.refund(reference, charge, amount) is Answer.DECLINED
    assert await sandbox.balance() == {"EUR": 2500}
    assert await sandbox.refund(refund, taken, PRICE) is Answer.DONE
    assert await sandbox.refund(refund, declined, PRICE) is Answer.DECLINED, "it gave another charge back"
    assert await pay(sandbox, refund, PRICE, "tok_ok") is Answer.DECLINED, "a refund's reference is no charge's"
    assert await sandbox.balance() == {"EUR": 0}


async def test_currencies_are_kept_apart_and_large_amounts_whole(sandbox: SandboxGateway) -> None:
    for amount in (PRICE, Money(300, "JPY"), Money(100_000_000_000, "EUR")):
        await pay(sandbox, uuid4(), amount, "tok_ok")
    assert await sandbox.balance() == {"EUR": 100_000_002_500, "JPY": 300}


async def test_fifty_at_once_in_two_processes_charge_and_give_back_once(
    shared: SandboxGateway, shared_url: str
) -> None:
    """Half of them charge a card that is declined: the first decides for all."""
    reference = uuid4()
    words = said([start(shared_url, "charge", reference, 50) for _ in range(2)])
    assert len(words) == 100
    (entry,) = await shared.entries()
    assert set(words) == {entry.answer.value}
    charge = uuid4()
    assert await pay(shared, charge, PRICE, "tok_ok") is Answer.DONE
    before = (await shared.balance())["EUR"]
    assert said([start(shared_url, "refund", charge, 50) for _ in range(2)]) == ["done"] * 100
    refunded = {entry.reference: entry.refunded for entry in await shared.entries()}
    assert (refunded[charge], refunded[refund_of(charge)]) == (2500, 0)
    assert (await shared.balance())["EUR"] == before - 2500


async def test_an_acknowledged_charge_survives_a_kill(shared: SandboxGateway, shared_url: str) -> None:
    with start(shared_url, "spend") as process:
        assert process.stdout
        acknowledged = {UUID(process.stdout.readline().strip()) for _ in range(20)}
        process.kill()
        # Not `communicate`, which passes over the lines that readline() has read ahead.
        acknowledged |= {UUID(line) for line in process.stdout.read().split() if len(line) == 36}
    assert [await ask(shared, reference) for reference in acknowledged] == [Answer.DONE] * len(acknowledged)
    entries = {entry.reference for entry in await shared.entries()}
    assert entries >= acknowledged
    assert len(entries) <= len(acknowledged) + 1, "one may have been taken and not acknowledged"


async def test_it_is_made_ready_twice_and_by_several_at_once(ledger_url: str | None) -> None:
    gateways = [SandboxGateway(MemoryLedger() if ledger_url is None else SqlLedger(ledger_url)) for _ in range(4)]
    await asyncio.gather(*(gateway.prepare() for gateway in gateways * 2))
    assert [await gateway.entries() for gateway in gateways] == [[]] * 4
    for gateway in gateways:
        await gateway.close()


@pytest.mark.mysql
async def test_a_prepared_ledger_needs_no_right_to_change_the_schema(mysql_url: str) -> None:
    owner = SandboxGateway(SqlLedger(mysql_url))
    mariadb.execute(mysql_url, "CREATE USER IF NOT EXISTS limited@'127.0.0.1' IDENTIFIED BY 'limited'")
    base, _, name = mysql_url.rpartition("/")
    name = name.partition("?")[0]
    mariadb.execute(mysql_url, f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{name}`.* TO limited@'127.0.0.1'")
    place = base.rpartition("@")[2]
    limited = SandboxGateway(SqlLedger(f"mysql+asyncmy://limited:limited@{place}/{name}"))
    with pytest.raises(GatewaySilent):
        await pay(limited, uuid4(), PRICE, "tok_ok")
    await owner.prepare()
    assert await pay(limited, uuid4(), PRICE, "tok_ok") is Answer.DONE
    await limited.prepare()
    for gateway in (owner, limited):
        await gateway.close()


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:////nowhere/at/all.db", "mysql+asyncmy://a:hush@127.0.0.1:1/b"])
async def test_a_ledger_that_is_away_is_silence(url: str, caplog: pytest.LogCaptureFixture) -> None:
    gateway = SandboxGateway(SqlLedger(url))
    with pytest.raises(GatewaySilent):
        await pay(gateway, uuid4(), PRICE, "tok_ok")
    with pytest.raises(GatewaySilent):
        await ask(gateway, uuid4())
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "hush" not in caplog.text
    await gateway.close()


async def test_a_server_that_hangs_up_as_it_answers_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in some hundred times, on uvloop, the driver finds a connection without a socket then."""

    async def hung_up(*_: object, **__: object) -> None:
        raise RuntimeError("Transport does not expose socket instance")

    monkeypatch.setattr(asyncmy, "connect", hung_up)
    sandbox = SandboxGateway(SqlLedger("mysql+asyncmy://user@127.0.0.1:1/x"))
    with pytest.raises(GatewaySilent):
        await pay(sandbox, uuid4(), PRICE, "tok_ok")
    await sandbox.close()
