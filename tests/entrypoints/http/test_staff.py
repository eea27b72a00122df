"""The staff of an event over HTTP."""

from typing import Any

import pytest

from boxoffice.entrypoints.settings import MailUrl, Settings
from tests.entrypoints.http.service_under_test import SECRET, Client, Service, ok, pointers, problem

UNKNOWN = "019a0000-0000-7000-8000-00000000ffff"


def staff_of(event: dict[str, Any]) -> str:
    return f"/events/{event['id']}/staff"


async def appoint(organizer: Client, event: dict[str, Any], person: Client, role: str) -> dict[str, Any]:
    return ok(await organizer.post(staff_of(event), {"email": person.email, "role": role}), 201)


async def test_a_member_is_appointed_read_changed_and_dismissed(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    answer = await organizer.post(staff_of(event), {"email": customer.email.upper(), "role": "desk"})
    member = ok(answer, 201)
    path = f"{staff_of(event)}/{customer.id}"
    assert answer.headers["location"] == path
    assert answer.headers["cache-control"] == "no-store"
    assert member == {"userId": customer.id, "name": "Ada", "email": customer.email, "role": "desk"}
    assert ok(await organizer.get(staff_of(event))) == {"items": [member], "nextCursor": None}
    problem(await organizer.post(staff_of(event), {"email": customer.email, "role": "door"}), 409, "already-staff")
    problem(await organizer.post(staff_of(event), {"email": organizer.email, "role": "door"}), 409, "already-staff")

    assert ok(await organizer.patch(path, {"role": "manager"})) == {**member, "role": "manager"}
    gone = await organizer.send("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    for user in (customer.id, UNKNOWN, "nonsense"):
        problem(await organizer.send("DELETE", f"{staff_of(event)}/{user}"), 404, "not-found")
        problem(await organizer.patch(f"{staff_of(event)}/{user}", {"role": "desk"}), 404, "not-found")
    assert ok(await organizer.get(staff_of(event)))["items"] == []


async def test_a_staff_is_listed_in_pages(service: Service, organizer: Client) -> None:
    event, other = await organizer.event(), await organizer.event()
    people = [await service.user() for _ in range(3)]
    members = [await appoint(organizer, event, person, "door") for person in people]
    first = ok(await organizer.get(f"{staff_of(event)}?limit=2"))
    last = ok(await organizer.get(f"{staff_of(event)}?limit=2&cursor={first['nextCursor']}"))
    assert (first["items"] + last["items"], last["nextCursor"]) == (members, None)
    assert pointers(await organizer.get(f"{staff_of(other)}?cursor={first['nextCursor']}")) == ["/cursor"]


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ({}, ["/email", "/role"]),
        ({"email": "nobody", "role": "desk"}, ["/email"]),
        ({"email": "ben@example.org", "role": "organizer"}, ["/role"]),
        ({"email": "ben@example.org", "role": "Desk"}, ["/role"]),
        ({"email": "ben@example.org", "role": "desk", "userId": UNKNOWN}, ["/userId"]),
    ],
)
async def test_broken_appointments_are_refused(organizer: Client, body: dict[str, Any], broken: list[str]) -> None:
    event = await organizer.event()
    assert pointers(await organizer.post(staff_of(event), body)) == broken
    if "role" in broken[-1]:
        change = {name: value for name, value in body.items() if name == "role"}
        assert pointers(await organizer.patch(f"{staff_of(event)}/{UNKNOWN}", change)) == ["/role"]


async def test_an_appointment_has_one_effect_per_key(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    body = {"email": customer.email, "role": "desk"}
    key = {"Idempotency-Key": "appoint"}
    first = await organizer.post(staff_of(event), body, headers=key)
    again = await organizer.post(staff_of(event), body, headers=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    refused = await organizer.post(staff_of(event), body, headers={"Idempotency-Key": "twice"})
    repeated = await organizer.post(staff_of(event), body, headers={"Idempotency-Key": "twice"})
    problem(refused, 409, "already-staff")
    assert repeated.content == refused.content
    other = await organizer.post(staff_of(event), {**body, "role": "door"}, headers=key)
    problem(other, 422, "idempotency-key-reused")


async def test_without_a_mail_server_any_account_is_found(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    problem(await organizer.post(staff_of(event), {"email": "ben@example.org", "role": "desk"}), 404, "not-found")
    await appoint(organizer, event, customer, "desk")


class TestWithAMailServer:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            database_url="memory://",
            jwt_secret=SECRET,
            smtp_url=MailUrl(host="127.0.0.1", port=25, user=None, password=None, encryption="none", ca=None),
            mail_from="tickets@example.org",
            public_url="https://tickets.example.org",
        )

    async def test_an_address_has_to_be_verified(self, service: Service, organizer: Client, customer: Client) -> None:
        event = await organizer.event()
        body = {"email": customer.email, "role": "desk"}
        problem(await organizer.post(staff_of(event), body), 404, "not-found")
        await service.container.mark_verified()(customer.email)
        ok(await organizer.post(staff_of(event), body), 201)


async def test_staff_register_no_webhook_for_the_event(service: Service, organizer: Client) -> None:
    for status in ("on_sale", "draft"):
        event = await organizer.event(status=status)
        manager = await service.user()
        await appoint(organizer, event, manager, "manager")
        body = {"url": "https://hooks.example.org/boxoffice", "eventId": event["id"]}
        problem(await manager.post("/webhooks", body), 403, "not-allowed")
        ok(await organizer.post("/webhooks", body), 201)


async def test_a_member_and_their_keys_see_what_the_role_of_today_allows(
    service: Service, organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    await customer.book(event)
    member, path = await service.user(), f"/events/{event['id']}"
    own = [ok(await member.post("/api-keys", {"name": "Scanner", "role": role}), 201) for role in ("read", "manager")]
    callers = [member, *(Client(service.http, {}, each["key"]) for each in own)]
    ok(await organizer.post(f"{path}/staff", {"email": member.email, "role": "desk"}), 201)

    async def seen() -> set[tuple[int, int, bool]]:
        found = set()
        for caller in callers:
            bookings = await caller.get(f"{path}/bookings?q={customer.email}")
            attendees = await caller.get(f"{path}/attendees.csv")
            shows = customer.email in bookings.text + attendees.text
            found.add((bookings.status_code, attendees.status_code, shows))
        return found

    assert await seen() == {(200, 200, True)}
    ok(await organizer.send("PATCH", f"{path}/staff/{member.id}", json={"role": "door"}))
    assert await seen() == {(403, 200, False)}
    await organizer.send("DELETE", f"{path}/staff/{member.id}")
    assert await seen() == {(403, 403, False)}
