"""Refunds: the fee, parts, money that is given back by hand, and what an event is owed and owes."""

from typing import Any
from uuid import UUID

import pytest

from boxoffice.domain.decisions.payments.notices import NoticeKind, PaymentNotice
from tests.entrypoints.http.service_under_test import Client, Service, ok, pointers, problem

EUR_25 = {"amount": 2_500, "currency": "EUR"}


def euros(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


async def paid(organizer: Client, customer: Client, *, in_cash: bool = False, **fields: Any) -> dict[str, Any]:
    """The customer's paid booking of a new event of the organizer's."""
    booking = await customer.book(await organizer.event(price=EUR_25, **fields))
    return ok(await (organizer.pay(booking, None) if in_cash else customer.pay(booking)))


async def grant(client: Client, booking: dict[str, Any], amount: int, **options: Any) -> Any:
    body = {"amount": euros(amount), "reason": "A pillar in the view"}
    return await client.post(f"/bookings/{booking['id']}/refunds", body, **options)


async def status(client: Client, booking: dict[str, Any]) -> str:
    return str(ok(await client.get(f"/bookings/{booking['id']}"))["paymentStatus"])


async def settle(client: Client, booking: dict[str, Any], payment: dict[str, Any], **body: Any) -> Any:
    return await client.post(f"/bookings/{booking['id']}/payments/{payment['id']}/settle", body)


async def notice(service: Service, payment: dict[str, Any], kind: NoticeKind) -> None:
    """The provider tells something of a payment."""
    told = PaymentNotice(payment_id=UUID(payment["id"]), kind=kind, occurred_at=service.clock.now())
    await service.container.record_payment_notice()(told)


@pytest.mark.parametrize(
    ("percent", "by_organizer", "refund"),
    [(0, False, euros(2_500)), (33, False, euros(1_675)), (100, False, None), (33, True, euros(2_500))],
)
async def test_a_cancellation_says_what_is_refunded(
    organizer: Client, customer: Client, percent: int, by_organizer: bool, refund: dict[str, Any] | None
) -> None:
    booking = await paid(organizer, customer, refundFeePercent=percent)
    client = organizer if by_organizer else customer
    cancellation = ok(await client.post("/cancel", {"bookingId": booking["id"]}))
    assert cancellation["refund"] == refund
    assert cancellation["booking"]["paymentStatus"] == ("refund_pending" if refund else "taken")


async def test_parts_are_refunded_and_the_cancellation_gives_the_rest(
    service: Service, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    answer = await grant(organizer, booking, 1_000, headers={"Idempotency-Key": "once"})
    refund = ok(answer, 201)
    assert answer.headers["location"] == f"/bookings/{booking['id']}/payments"
    assert (refund["kind"], refund["status"], refund["amount"]) == ("refund", "pending", euros(1_000))
    again = await grant(organizer, booking, 1_000, headers={"Idempotency-Key": "once"})
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    await service.container.sweep()()
    assert await status(customer, booking) == "taken"
    problem(await grant(organizer, booking, 1_501), 409, "exceeds-paid")
    cancellation = ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    assert cancellation["refund"] == euros(1_500)
    await service.container.sweep()()
    assert await status(customer, booking) == "refunded"
    assert [each["amount"]["amount"] for each in await customer.payments(booking)] == [2_500, 1_000, 1_500]
    problem(await grant(organizer, booking, 1), 409, "exceeds-paid")


async def test_who_may_refund_and_settle(service: Service, organizer: Client, customer: Client, admin: Client) -> None:
    booking = await paid(organizer, customer, in_cash=True)
    refund = ok(await grant(admin, booking, 1), 201)
    stranger = await service.user()
    for client, code in ((customer, 403), (stranger, 404)):
        kind = "not-allowed" if code == 403 else "not-found"
        problem(await grant(client, booking, 1), code, kind)
        problem(await settle(client, booking, refund), code, kind)
        problem(await client.get(f"/events/{booking['eventId']}/payments"), 403, "not-allowed")
    unknown = {"id": booking["eventId"]}
    problem(await grant(organizer, unknown, 1), 404, "not-found")
    problem(await settle(organizer, booking, unknown), 404, "not-found")
    problem(await settle(organizer, unknown, refund), 404, "not-found")
    ok(await settle(admin, booking, refund))


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ({}, ["/amount", "/reason"]),
        ({"amount": 5, "reason": ""}, ["/amount", "/reason"]),
        ({"amount": euros(0), "reason": "x" * 201}, ["/amount/amount", "/reason"]),
        ({"amount": {"amount": 1, "currency": "XXX"}, "reason": "why"}, ["/amount/currency"]),
        ({"amount": {"amount": 1, "currency": "USD"}, "reason": "why"}, ["/amount/currency"]),
        ({"amount": euros(1), "reason": "why", "more": 1}, ["/more"]),
    ],
)
async def test_a_refund_needs_an_amount_and_a_reason(
    organizer: Client, customer: Client, body: dict[str, Any], broken: list[str]
) -> None:
    booking = await paid(organizer, customer)
    assert pointers(await organizer.post(f"/bookings/{booking['id']}/refunds", body)) == broken


async def test_cash_is_settled_by_hand_after_the_event(service: Service, organizer: Client, customer: Client) -> None:
    booking = await paid(organizer, customer, in_cash=True)
    ok(await organizer.patch(f"/events/{booking['eventId']}", {"status": "completed"}))
    problem(await customer.post("/cancel", {"bookingId": booking["id"]}), 409, "cancellation-closed")
    assert ok(await organizer.post("/cancel", {"bookingId": booking["id"]}))["refund"] == EUR_25
    await service.container.sweep()()
    assert await status(customer, booking) == "refund_pending"
    charge, refund = await customer.payments(booking)
    assert pointers(await settle(organizer, booking, refund, note="")) == ["/note"]
    settled = ok(await settle(organizer, booking, refund, note="Handed over at the door"))
    assert (settled["id"], settled["status"], settled["settledAt"]) == (
        refund["id"],
        "succeeded",
        ok(await customer.get(f"/bookings/{booking['id']}"))["updatedAt"],
    )
    assert await status(customer, booking) == "refunded"
    for payment in (charge, refund):
        problem(await settle(organizer, booking, payment), 409, "already-settled")
    facts = ok(await organizer.get(f"/events/{booking['eventId']}/changes"))["items"]
    assert facts[-1]["data"]["note"] == "Handed over at the door"
    assert facts[-1]["data"]["settledBy"] == organizer.id


async def test_a_refund_that_failed_later_and_a_dispute_show(
    service: Service, organizer: Client, customer: Client
) -> None:
    booking = await paid(organizer, customer)
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    charge, refund = await customer.payments(booking)
    problem(await settle(organizer, booking, refund), 409, "payment-under-way")
    await service.container.sweep()()
    await notice(service, refund, NoticeKind.REFUND_FAILED)
    assert await status(customer, booking) == "refund_failed"
    await notice(service, charge, NoticeKind.DISPUTE_OPENED)
    assert await status(customer, booking) == "disputed"
    problem(await settle(organizer, booking, refund), 409, "payment-not-due")
    problem(await grant(organizer, booking, 1), 409, "exceeds-paid")
    service.clock.travel(minutes=1)
    await notice(service, charge, NoticeKind.DISPUTE_WON)
    assert await status(customer, booking) == "refund_pending"


async def test_the_payments_of_an_event_are_listed_with_their_bookings(organizer: Client, customer: Client) -> None:
    booking = await paid(organizer, customer, in_cash=True)
    ok(await organizer.post("/cancel", {"bookingId": booking["id"]}))
    path = f"/events/{booking['eventId']}/payments"
    everything = ok(await organizer.get(path))
    listed = await customer.payments(booking)
    assert sorted(each["id"] for each in everything["items"]) == sorted(each["id"] for each in listed)
    assert {each["bookingId"] for each in everything["items"]} == {booking["id"]}
    pending = ok(await organizer.get(f"{path}?status=pending"))["items"]
    assert [each["kind"] for each in pending] == ["refund"]
    first = ok(await organizer.get(f"{path}?limit=1"))
    second = ok(await organizer.get(f"{path}?limit=1&cursor={first['nextCursor']}"))
    assert [*first["items"], *second["items"]] == everything["items"]
    assert second["nextCursor"] is None
    problem(await organizer.get(f"{path}?status=paid"), 400, "invalid-request")
    problem(await organizer.get(f"{path}?status=failed&cursor={first['nextCursor']}"), 400, "invalid-request")
