"""Why a booking stands where it stands, over HTTP."""

from tests.entrypoints.http.service_under_test import Client, ok


async def test_a_booking_is_explained_to_its_customer_and_to_staff(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=1)
    first, waiting = await organizer.book(event, 1), await customer.book(event, 1)
    path = f"/bookings/{waiting['id']}/explanation"
    found = ok(await customer.get(path))
    assert found == {
        "status": "waitlisted",
        "code": "waiting-for-its-size",
        "sentence": "No tickets are free, but this booking needs 1 ticket at once; "
        "it gets them as soon as enough are free.",
        "policy": "strict",
        "position": 1,
        "ticketsAhead": 0,
        "since": {"served": 0, "left": 0, "overtookYou": 0, "granted": 0},
        "chance": None,
    }
    assert ok(await organizer.get(path)) == found
    await organizer.post("/cancel", {"bookingId": first["id"]})
    found = ok(await customer.get(path))
    assert (found["status"], found["code"], found["position"]) == ("confirmed", "promoted", None)
    items = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
    cancelled, promoted = items[-2:]
    assert (cancelled["kind"], cancelled["data"]["queueNumber"]) == ("BookingCancelled", None)
    assert (promoted["data"]["causedBy"], promoted["data"]["passedOver"]) == (cancelled["seq"], 0)


async def test_a_chance_is_told_once_ten_tickets_have_come_back(organizer: Client, customer: Client) -> None:
    event = await organizer.event(totalTickets=10, maxTicketsPerCustomer=20)
    for _ in range(2):
        booking = await organizer.book(event, 10)
        await organizer.post("/cancel", {"bookingId": booking["id"], "quantity": 5})
        await organizer.post("/cancel", {"bookingId": booking["id"]})
    await organizer.book(event, 10)
    waiting = await customer.book(event, 1)
    chance = ok(await customer.get(f"/bookings/{waiting['id']}/explanation"))["chance"]
    assert chance["basis"] == 20
    assert 0 <= chance["percent"] <= 100
