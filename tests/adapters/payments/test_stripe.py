"""Stripe: what is sent, what its answers mean, and that silence is never taken for an answer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import pytest

from boxoffice.adapters.payments import stripe as adapter
from boxoffice.adapters.payments.stripe import StripeGateway
from boxoffice.adapters.system import Uuid7Ids
from boxoffice.application.ports.payments import GatewaySilent
from boxoffice.domain.payment import refund_of
from boxoffice.domain.values.money import Money
from tests.adapters.payments.fake_stripe import ASKS, DECLINED, KEY, PAYS, SLOW, Asked, FakeStripe, Fault

# Stripe's library gives httpx its body in a way that httpx would rather not have any more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PRICE: Final = Money(2500, "EUR")

new = Uuid7Ids().new


def made_at(seconds: int, number: int = 1) -> UUID:
    """A reference that was made then."""
    return UUID(int=(seconds * 1_000) << 80 | 7 << 76 | 0b10 << 62 | number)


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    async with FakeStripe.serving() as fake:
        yield fake


@pytest.fixture
async def gateway(fake: FakeStripe) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(KEY, url=fake.address)
    yield gateway
    await gateway.close()


async def test_a_charge_says_whose_it_is_and_what_it_asks_for(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    assert await gateway.charge(reference, PRICE, PAYS) is True
    assert fake.asked == [
        Asked(
            method="POST",
            path="/v1/payment_intents",
            key=str(reference),
            values={
                "amount": "2500",
                "currency": "eur",
                "payment_method": PAYS,
                "allowed_payment_method_types[0]": "card",
                "confirm": "true",
                "error_on_requires_action": "true",
                "metadata[reference]": str(reference),
            },
        )
    ]
    assert await gateway.find_charge(reference) is True
    assert fake.taken == 2500
    # A currency without cents is in minor units already.
    assert await gateway.charge(new(), Money(300, "JPY"), PAYS) is True
    assert (fake.asked[-1].values["amount"], fake.asked[-1].values["currency"]) == ("300", "jpy")


@pytest.mark.parametrize("token", [DECLINED, ASKS])
async def test_a_card_that_does_not_pay_is_declined(fake: FakeStripe, gateway: StripeGateway, token: str) -> None:
    reference = new()
    assert [await gateway.charge(reference, PRICE, token) for _ in range(2)] == [False, False]
    assert await gateway.find_charge(reference) is False
    assert len(fake.intents) == 1


@pytest.mark.parametrize(("amount", "token"), [(2500, "tok_ok"), (2500, "hush"), (49, PAYS)])
async def test_a_charge_that_stripe_refuses_to_begin_is_declined(
    fake: FakeStripe, gateway: StripeGateway, amount: int, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    reference = new()
    assert await gateway.charge(reference, Money(amount, "EUR"), token) is False
    assert await gateway.find_charge(reference) is None
    assert fake.intents == []
    assert "Stripe refuses a charge" in caplog.text


async def test_a_charge_that_is_not_settled_is_not_known(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    for _ in range(2):
        with pytest.raises(GatewaySilent):
            await gateway.charge(reference, PRICE, SLOW)
        with pytest.raises(GatewaySilent):
            await gateway.find_charge(reference)
    fake.intents[0]["status"] = "succeeded"
    assert await gateway.find_charge(reference) is True
    fake.intents[0]["status"] = "canceled"
    assert await gateway.find_charge(reference) is False


@pytest.mark.parametrize(("first", "outcome"), [(PAYS, True), (DECLINED, False)])
async def test_the_first_outcome_stands_whatever_card_comes_later(
    fake: FakeStripe, gateway: StripeGateway, first: str, outcome: bool
) -> None:
    reference = new()
    assert await asyncio.gather(*(gateway.charge(reference, PRICE, first) for _ in range(50))) == [outcome] * 50
    for token in (PAYS, DECLINED, "hush"):
        assert await gateway.charge(reference, PRICE, token) is outcome
    assert len(fake.intents) == 1


_DONE: Final = (Fault.LOST, Fault.BROKEN)
_NOT_DONE: Final = (Fault.NEVER_CAME, Fault.FAILS, Fault.TOO_MANY, Fault.AT_ONCE)


@pytest.mark.parametrize("fault", [*_DONE, *_NOT_DONE])
async def test_a_charge_without_an_outcome_is_silence_and_is_asked_again(
    fake: FakeStripe, gateway: StripeGateway, fault: Fault
) -> None:
    reference = new()
    fake.faults.append(fault)
    with pytest.raises(GatewaySilent):
        await gateway.charge(reference, PRICE, PAYS)
    assert len(fake.asked) == 1, "no client library tries again unseen"
    fake.faults.append(fault)
    with pytest.raises(GatewaySilent):
        await gateway.find_charge(reference)
    assert await gateway.find_charge(reference) is (True if fault in _DONE else None)
    assert await gateway.charge(reference, PRICE, PAYS) is True
    assert fake.taken == 2500


async def test_an_answer_that_never_comes_is_not_waited_for(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    fake.faults.append(Fault.HANGS)
    hasty = StripeGateway(KEY, url=fake.address, seconds=0.3)
    with pytest.raises(GatewaySilent):
        await hasty.charge(reference, PRICE, PAYS)
    await hasty.close()
    assert await gateway.find_charge(reference) is True


async def test_neither_tokens_nor_keys_are_logged_at_any_level(
    fake: FakeStripe, gateway: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await gateway.charge(new(), PRICE, PAYS)
    wrong = StripeGateway("sk_test_hush", url=fake.address)
    with pytest.raises(GatewaySilent):
        await wrong.charge(new(), PRICE, PAYS)
    await wrong.close()
    assert "AuthenticationError, status 401" in caplog.text
    for secret in (PAYS, KEY, "hush"):
        assert secret not in caplog.text


async def test_a_charge_is_found_among_many_of_its_time(
    gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 2)
    references = [new() for _ in range(7)]
    for reference in references[:6]:
        await gateway.charge(reference, PRICE, PAYS)
    assert [await gateway.find_charge(reference) for reference in references] == [True] * 6 + [None]
    # Where there are too many to look at, a charge that was not found may still exist.
    monkeypatch.setattr(adapter, "MOST_PAGES", 2)
    with pytest.raises(GatewaySilent):
        await gateway.find_charge(references[6])


@pytest.mark.parametrize("later", [-299, 0, 901, 100_000])
async def test_a_charge_is_found_however_much_later_it_was_made(
    fake: FakeStripe, gateway: StripeGateway, later: int
) -> None:
    """By a clock that is behind, or when another process took it up again."""
    made = 1_800_000_000
    fake.clock = made + later
    await gateway.charge(made_at(made), PRICE, PAYS)
    fake.clock = made + 200_000
    await gateway.charge(made_at(made + 200_000, 2), PRICE, PAYS)
    fake.forget_keys()
    assert await gateway.find_charge(made_at(made)) is True
    assert await gateway.find_charge(made_at(made, 3)) is None


async def test_a_charge_is_given_back_once(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    refund = refund_of(charge)
    assert await asyncio.gather(*(gateway.refund(refund, charge, PRICE) for _ in range(20))) == [True] * 20
    assert len(fake.refunds) == 1
    (sent, *_) = [each for each in fake.asked if each.path == "/v1/refunds" and each.method == "POST"]
    assert sent.key == f"{refund}-0"
    assert sent.values == {"payment_intent": "pi_0", "amount": "2500", "metadata[reference]": str(refund)}
    fake.forget_keys()
    assert await gateway.refund(refund, charge, PRICE) is True, "found a month later, too"
    assert (len(fake.refunds), fake.taken) == (1, 0)


@pytest.mark.parametrize("fault", [*_DONE, *_NOT_DONE])
@pytest.mark.parametrize("request_number", [0, 1, 2])
async def test_a_refund_that_is_left_open_is_asked_again(
    fake: FakeStripe, gateway: StripeGateway, fault: Fault, request_number: int
) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.faults.extend([None] * request_number + [fault])
    with pytest.raises(GatewaySilent):
        await gateway.refund(refund_of(charge), charge, PRICE)
    assert await gateway.refund(refund_of(charge), charge, PRICE) is True
    assert (len(fake.refunds), fake.taken) == (1, 0)


async def test_a_refund_that_fails_later_is_tried_anew(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge, refund = new(), new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.refund_status = "failed"
    assert await gateway.refund(refund, charge, PRICE) is False
    fake.refund_status = "pending"
    for _ in range(2):
        with pytest.raises(GatewaySilent):
            await gateway.refund(refund, charge, PRICE)
    assert [each["status"] for each in fake.refunds] == ["failed", "pending"]
    fake.refunds[1]["status"] = "succeeded"
    assert await gateway.refund(refund, charge, PRICE) is True
    assert (len(fake.refunds), fake.taken) == (2, 0)


async def test_what_was_given_back_by_hand_is_not_owed(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.refunds.append(
        {"id": "re_hand", "amount": 2500, "payment_intent": "pi_0", "metadata": {}, "status": "succeeded"}
    )
    fake.refunds[0]["created"] = fake.intents[0]["created"]
    assert await gateway.refund(refund_of(charge), charge, PRICE) is True
    assert len(fake.refunds) == 1


@pytest.mark.parametrize("token", [DECLINED, "hush"])
async def test_what_was_not_taken_is_not_given_back(fake: FakeStripe, gateway: StripeGateway, token: str) -> None:
    charge = new()
    assert await gateway.charge(charge, PRICE, token) is False
    assert await gateway.refund(refund_of(charge), charge, PRICE) is False
    assert fake.refunds == []


async def test_no_more_is_given_back_than_was_taken(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    assert await gateway.refund(new(), charge, Money(2501, "EUR")) is False
    assert await gateway.refund(new(), charge, Money(2000, "EUR")) is True
    assert await gateway.refund(new(), charge, Money(501, "EUR")) is False
    assert fake.taken == 500
