"""Stripe: what is sent, what its answers mean, and that silence is never taken for an answer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import pytest

from boxoffice.adapters.payments import stripe as adapter
from boxoffice.adapters.payments.stripe import StripeGateway
from boxoffice.adapters.payments.stripe_units import in_stripe_units
from boxoffice.adapters.system import Uuid7Ids
from boxoffice.application.ports.payments import ChargeReply, GatewaySilent
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.payment import refund_of
from boxoffice.domain.values.money import CURRENCIES, Money
from tests.adapters.payments.fake_stripe import ASKS, DECLINED, KEY, PAYS, SLOW, Asked, FakeStripe, Fault
from tests.adapters.payments.fake_stripe import decimals as fake_decimals

# Stripe's library gives httpx its body in a way that httpx would rather not have any more.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PRICE: Final = Money(2500, "EUR")
RETURN_URL: Final = "https://tickets.example.org/"

new = Uuid7Ids().new


def made_at(seconds: int, number: int = 1) -> UUID:
    """A reference that was made then."""
    return UUID(int=(seconds * 1_000) << 80 | 7 << 76 | 0b10 << 62 | number)


async def pay(gateway: StripeGateway, reference: UUID, amount: Money, token: str) -> Answer:
    """What the provider answers."""
    return (await gateway.charge(reference, amount, token)).answer


async def ask(gateway: StripeGateway, reference: UUID) -> Answer:
    """What the provider answers."""
    return (await gateway.find_charge(reference)).answer


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    async with FakeStripe.serving() as fake:
        yield fake


@pytest.fixture
async def gateway(fake: FakeStripe) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(KEY, return_url=RETURN_URL, url=fake.address)
    yield gateway
    await gateway.close()


async def test_a_charge_says_whose_it_is_and_what_it_asks_for(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    assert await pay(gateway, reference, PRICE, PAYS) is Answer.DONE
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
                "return_url": RETURN_URL,
                "metadata[reference]": str(reference),
            },
        )
    ]
    assert await ask(gateway, reference) is Answer.DONE
    assert fake.taken == 2500


async def test_a_card_that_does_not_pay_is_declined(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    assert [await pay(gateway, reference, PRICE, DECLINED) for _ in range(2)] == [Answer.DECLINED] * 2
    assert await ask(gateway, reference) is Answer.DECLINED
    assert len(fake.intents) == 1


@pytest.mark.parametrize(("amount", "token"), [(2500, "tok_ok"), (2500, "hush"), (49, PAYS)])
async def test_a_charge_that_stripe_refuses_to_begin_is_declined(
    fake: FakeStripe, gateway: StripeGateway, amount: int, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    reference = new()
    assert await pay(gateway, reference, Money(amount, "EUR"), token) is Answer.DECLINED
    assert await ask(gateway, reference) is Answer.NOT_FOUND
    assert fake.intents == []
    assert "Stripe refuses a charge" in caplog.text


async def test_a_charge_that_is_not_settled_is_not_known(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    for _ in range(2):
        with pytest.raises(GatewaySilent):
            await pay(gateway, reference, PRICE, SLOW)
        with pytest.raises(GatewaySilent):
            await ask(gateway, reference)
    fake.intents[0]["status"] = "succeeded"
    assert await ask(gateway, reference) is Answer.DONE
    fake.intents[0]["status"] = "canceled"
    assert await ask(gateway, reference) is Answer.DECLINED


@pytest.mark.parametrize(("first", "outcome"), [(PAYS, Answer.DONE), (DECLINED, Answer.DECLINED)])
async def test_the_first_outcome_stands_whatever_card_comes_later(
    fake: FakeStripe, gateway: StripeGateway, first: str, outcome: Answer
) -> None:
    reference = new()
    assert await asyncio.gather(*(pay(gateway, reference, PRICE, first) for _ in range(50))) == [outcome] * 50
    for token in (PAYS, DECLINED, "hush"):
        assert await pay(gateway, reference, PRICE, token) is outcome
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
        await pay(gateway, reference, PRICE, PAYS)
    assert len(fake.asked) == 1, "no client library tries again unseen"
    fake.faults.append(fault)
    with pytest.raises(GatewaySilent):
        await ask(gateway, reference)
    assert await ask(gateway, reference) is (Answer.DONE if fault in _DONE else Answer.NOT_FOUND)
    assert await pay(gateway, reference, PRICE, PAYS) is Answer.DONE
    assert fake.taken == 2500


async def test_an_answer_that_never_comes_is_not_waited_for(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    fake.faults.append(Fault.HANGS)
    hasty = StripeGateway(KEY, return_url=RETURN_URL, url=fake.address, seconds=0.3)
    with pytest.raises(GatewaySilent):
        await pay(hasty, reference, PRICE, PAYS)
    await hasty.close()
    assert await ask(gateway, reference) is Answer.DONE


async def test_neither_tokens_nor_keys_are_logged_at_any_level(
    fake: FakeStripe, gateway: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await pay(gateway, new(), PRICE, PAYS)
    wrong = StripeGateway("sk_test_hush", return_url=RETURN_URL, url=fake.address)
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
        await pay(gateway, reference, PRICE, PAYS)
    assert [await ask(gateway, reference) for reference in references] == [Answer.DONE] * 6 + [Answer.NOT_FOUND]
    # Where there are too many to look at, a charge that was not found may still exist.
    monkeypatch.setattr(adapter, "MOST_PAGES", 2)
    with pytest.raises(GatewaySilent):
        await ask(gateway, references[6])


@pytest.mark.parametrize("later", [-299, 0, 901, 100_000])
async def test_a_charge_is_found_however_much_later_it_was_made(
    fake: FakeStripe, gateway: StripeGateway, later: int
) -> None:
    """By a clock that is behind, or when another process took it up again."""
    made = 1_800_000_000
    fake.clock = made + later
    await pay(gateway, made_at(made), PRICE, PAYS)
    fake.clock = made + 200_000
    await pay(gateway, made_at(made + 200_000, 2), PRICE, PAYS)
    fake.forget_keys()
    assert await ask(gateway, made_at(made)) is Answer.DONE
    assert await ask(gateway, made_at(made, 3)) is Answer.NOT_FOUND


async def test_a_charge_is_given_back_once(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await pay(gateway, charge, PRICE, PAYS)
    refund = refund_of(charge)
    assert await asyncio.gather(*(gateway.refund(refund, charge, PRICE) for _ in range(20))) == [Answer.DONE] * 20
    assert len(fake.refunds) == 1
    (sent, *_) = [each for each in fake.asked if each.path == "/v1/refunds" and each.method == "POST"]
    assert sent.key == f"{refund}-0"
    assert sent.values == {"payment_intent": "pi_0", "amount": "2500", "metadata[reference]": str(refund)}
    fake.forget_keys()
    assert await gateway.refund(refund, charge, PRICE) is Answer.DONE, "found a month later, too"
    assert (len(fake.refunds), fake.taken) == (1, 0)


@pytest.mark.parametrize("fault", [*_DONE, *_NOT_DONE])
@pytest.mark.parametrize("request_number", [0, 1, 2])
async def test_a_refund_that_is_left_open_is_asked_again(
    fake: FakeStripe, gateway: StripeGateway, fault: Fault, request_number: int
) -> None:
    charge = new()
    await pay(gateway, charge, PRICE, PAYS)
    fake.faults.extend([None] * request_number + [fault])
    with pytest.raises(GatewaySilent):
        await gateway.refund(refund_of(charge), charge, PRICE)
    assert await gateway.refund(refund_of(charge), charge, PRICE) is Answer.DONE
    assert (len(fake.refunds), fake.taken) == (1, 0)


async def test_a_refund_that_comes_back_has_failed_for_good(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge, refund = new(), new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.refund_status = "pending"
    for _ in range(2):
        with pytest.raises(GatewaySilent):
            await gateway.refund(refund, charge, PRICE)
    for status, answer in (("succeeded", Answer.DONE), ("failed", Answer.FAILED), ("canceled", Answer.FAILED)):
        fake.refund_becomes(0, status)
        assert await gateway.refund(refund, charge, PRICE) is answer
    assert len(fake.refunds) == 1


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        *[(each, Answer.FAILED) for each in ("charge_disputed", "refund_disputed_payment", "charge_not_refundable")],
        *[(each, Answer.DECLINED) for each in ("balance_insufficient", "lock_timeout", "amount_too_large")],
    ],
)
async def test_a_refused_refund_is_tried_again_or_given_up(
    fake: FakeStripe, gateway: StripeGateway, code: str, answer: Answer
) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.refund_error = code
    assert await gateway.refund(refund_of(charge), charge, PRICE) is answer
    fake.refund_error = None
    assert await gateway.refund(refund_of(charge), charge, PRICE) is Answer.DONE


async def test_a_disputed_charge_is_not_refunded(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await gateway.charge(charge, PRICE, PAYS)
    fake.dispute()
    assert await gateway.refund(refund_of(charge), charge, PRICE) is Answer.FAILED
    assert fake.taken == 2500


async def test_a_refund_is_found_among_many_of_its_charge(
    fake: FakeStripe, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE", 2)
    charge, refunds = new(), [new() for _ in range(5)]
    await gateway.charge(charge, PRICE, PAYS)
    for refund in refunds * 2:
        assert await gateway.refund(refund, charge, Money(100, "EUR")) is Answer.DONE
        fake.forget_keys()
    assert (len(fake.refunds), fake.taken) == (5, 2000)
    monkeypatch.setattr(adapter, "MOST_PAGES", 2)
    with pytest.raises(GatewaySilent):
        await gateway.refund(new(), charge, Money(100, "EUR"))
    assert len(fake.refunds) == 5


# Units and limits.

ISO_DECIMALS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""The decimals of minor units in ISO 4217; 2 for all other currencies."""


@pytest.mark.parametrize("currency", ["EUR", "ISK", "UGX", "MGA", "JPY", "KWD", "BHD", "HUF", "TWD", "XOF", "LAK"])
async def test_what_is_charged_and_refunded_is_the_price(
    fake: FakeStripe, gateway: StripeGateway, currency: str
) -> None:
    """In whole and in part, whatever the decimals."""
    charge = new()
    of_a_unit = 10 ** ISO_DECIMALS.get(currency, 2)
    assert await pay(gateway, charge, Money(400 * of_a_unit, currency), PAYS) is Answer.DONE
    unit = 10 ** fake_decimals(currency.lower())
    assert (fake.intents[0]["amount"], fake.intents[0]["currency"]) == (400 * unit, currency.lower())
    assert await gateway.refund(new(), charge, Money(150 * of_a_unit, currency)) is Answer.DONE
    assert fake.taken == 250 * unit


def test_every_currency_is_in_stripes_units() -> None:
    for currency in CURRENCIES:
        amount = Money(7 * 10 ** ISO_DECIMALS.get(currency, 2), currency)
        if currency not in {"IQD", "LYD"}:  # Stripe has neither.
            assert in_stripe_units(amount) == 7 * 10 ** fake_decimals(currency.lower())


@pytest.mark.parametrize(
    ("price", "word"),
    [
        *[(Money(amount, "EUR"), None) for amount in (0, 50, 2500, 99_999_999)],
        *[(Money(amount, "EUR"), "at least 50") for amount in (1, 10, 49)],
        (Money(100_000_000, "EUR"), "at most 99999999"),
        *[(Money(100_000_000, code), None) for code in ("JPY", "IDR", "HUF", "COP", "LBP", "INR")],
        (Money(12_345, "KWD"), "a multiple of 10"),
        (Money(12_340, "KWD"), None),
        (Money(150, "MGA"), "a multiple of 100"),
        (Money(200, "MGA"), None),
        *[(Money(999_999, code), None) for code in ("ISK", "UGX")],
        *[(Money(1_000_000, code), "at most 999999") for code in ("ISK", "UGX")],
        (Money(29, "GBP"), "at least 30"),
        (Money(17_499, "HUF"), "at least 17500"),
        *[(Money(5_000, code), "another currency") for code in ("IRR", "KPW", "IQD")],
        (Money(0, "IRR"), None),
    ],
)
async def test_a_price_that_stripe_could_never_charge_is_known(
    fake: FakeStripe, gateway: StripeGateway, price: Money, word: str | None
) -> None:
    """As Stripe itself would refuse it."""
    found = gateway.objection(price)
    assert (found is None) == (word is None)
    if word is not None:
        assert word in str(found)
        assert await pay(gateway, new(), price, PAYS) is Answer.DECLINED
    elif price.amount:
        assert await pay(gateway, new(), price, PAYS) is Answer.DONE


async def test_a_part_that_stripe_does_not_move_is_paid_back_by_hand(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await gateway.charge(charge, Money(10_000, "KWD"), PAYS)
    assert await gateway.refund(new(), charge, Money(6_667, "KWD")) is Answer.FAILED
    assert fake.refunds == []


# 3-D Secure.


async def test_a_bank_may_ask_for_the_customer(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    for reply in (await gateway.charge(reference, PRICE, ASKS), await gateway.find_charge(reference)):
        assert reply == ChargeReply(
            answer=Answer.ACTION_REQUIRED, action_url="https://hooks.stripe.com/3d_secure_2/pi_0", provider_id="pi_0"
        )
    fake.authenticate(str(reference))
    assert await gateway.find_charge(reference) == ChargeReply(answer=Answer.DONE, provider_id="pi_0")
    assert await gateway.cancel_charge(reference) == ChargeReply(answer=Answer.DONE, provider_id="pi_0")
    assert fake.taken == 2500
    failing = new()
    await gateway.charge(failing, PRICE, ASKS)
    fake.authenticate(str(failing), succeeds=False)
    assert await ask(gateway, failing) is Answer.DECLINED


async def test_a_charge_that_waits_for_its_customer_can_be_ended(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    await gateway.charge(reference, PRICE, ASKS)
    for _ in range(2):
        assert (await gateway.cancel_charge(reference)).answer is Answer.DECLINED
    assert fake.intents[0]["status"] == "canceled"
    assert (await gateway.cancel_charge(new())).answer is Answer.NOT_FOUND


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.NEVER_CAME, Fault.FAILS])
async def test_an_end_without_an_answer_is_silence(fake: FakeStripe, gateway: StripeGateway, fault: Fault) -> None:
    reference = new()
    await gateway.charge(reference, PRICE, ASKS)
    fake.faults.extend([None, fault])
    with pytest.raises(GatewaySilent):
        await gateway.cancel_charge(reference)
    assert (await gateway.cancel_charge(reference)).answer is Answer.DECLINED


async def test_a_customer_who_acts_as_the_charge_is_ended_has_paid(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    await gateway.charge(reference, PRICE, ASKS)
    fake.before_cancel = lambda: fake.authenticate(str(reference))
    assert (await gateway.cancel_charge(reference)).answer is Answer.DONE
    assert fake.taken == 2500


async def test_a_charge_is_known_by_stripes_own_id(fake: FakeStripe, gateway: StripeGateway) -> None:
    reference = new()
    await gateway.charge(reference, PRICE, PAYS)
    assert await gateway.reference_of("pi_0") == reference
    assert await gateway.reference_of("pi_9") is None
    others: list[dict[str, str]] = [{}, {"reference": "theirs"}]
    for metadata in others:
        fake.intents[0]["metadata"] = metadata
        assert await gateway.reference_of("pi_0") is None
    fake.faults.append(Fault.FAILS)
    with pytest.raises(GatewaySilent):
        await gateway.reference_of("pi_0")


async def test_what_was_given_back_by_hand_is_not_owed(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await pay(gateway, charge, PRICE, PAYS)
    fake.refunds.append(
        {"id": "re_hand", "amount": 2500, "payment_intent": "pi_0", "metadata": {}, "status": "succeeded"}
    )
    fake.refunds[0]["created"] = fake.intents[0]["created"]
    assert await gateway.refund(refund_of(charge), charge, PRICE) is Answer.DONE
    assert len(fake.refunds) == 1


@pytest.mark.parametrize("token", [DECLINED, "hush"])
async def test_what_was_not_taken_is_not_given_back(fake: FakeStripe, gateway: StripeGateway, token: str) -> None:
    charge = new()
    assert await pay(gateway, charge, PRICE, token) is Answer.DECLINED
    assert await gateway.refund(refund_of(charge), charge, PRICE) is Answer.DECLINED
    assert fake.refunds == []


async def test_no_more_is_given_back_than_was_taken(fake: FakeStripe, gateway: StripeGateway) -> None:
    charge = new()
    await pay(gateway, charge, PRICE, PAYS)
    assert await gateway.refund(new(), charge, Money(2501, "EUR")) is Answer.DECLINED
    assert await gateway.refund(new(), charge, Money(2000, "EUR")) is Answer.DONE
    assert await gateway.refund(new(), charge, Money(501, "EUR")) is Answer.DECLINED
    assert fake.taken == 500
