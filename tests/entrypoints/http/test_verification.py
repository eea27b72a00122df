"""Verified addresses and forgotten passwords over HTTP: what each caller gets to know, and what the mails contain."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.settable_clock import SettableClock

from .mailing import SERVER, Postman, mailing_service
from .service_under_test import PASSWORD, SECRET, Client, Service, container_of, ok, pointers, problem

ADDRESS = "ada@example.org"


@pytest.fixture
async def mailing(clock: SettableClock) -> AsyncIterator[Service]:
    """A service that sends mails, whatever the limits on requests are, when a test says so."""
    async with mailing_service("memory://", clock) as service:
        yield service


@pytest.fixture
def postman(mailing: Service) -> Postman:
    return Postman(mailing)


async def register(service: Service, email: str = ADDRESS, password: str = PASSWORD) -> httpx.Response:
    return await service.anyone.post("/create-user", {"name": "Ada", "email": email, "password": password})


async def signs_in(service: Service, password: str = PASSWORD) -> int:
    answer = await service.anyone.post("/login", {"email": ADDRESS, "password": password})
    return answer.status_code


def shape(answer: httpx.Response) -> Any:
    """What an answer shows, but for what is different in each."""
    body = answer.json() if answer.content else None
    hidden = {"id", "createdAt", "requestId"}
    kept = {key: value for key, value in body.items() if key not in hidden} if body else None
    headers = {key: value for key, value in answer.headers.items() if key != "x-request-id"}
    return answer.status_code, kept, headers


async def test_an_address_is_verified_by_the_link_in_its_mail(mailing: Service, postman: Postman) -> None:
    user = ok(await register(mailing), 201)
    assert (user["email"], user["emailVerified"], user["pendingEmail"]) == (ADDRESS, False, None)
    (token,) = await postman.tokens()
    verified = ok(await mailing.anyone.post("/verify-email", {"token": token}))
    assert verified == user | {"emailVerified": True}
    problem(await mailing.anyone.post("/verify-email", {"token": token}), 409, "link-expired")
    problem(await register(mailing, ADDRESS.upper()), 409, "email-taken")


async def test_a_squatted_address_looks_free_and_passes_to_whom_it_belongs(mailing: Service, postman: Postman) -> None:
    free = await register(mailing, "ben@example.org")
    await postman.tokens()
    squatter = await register(mailing, password="squatters password")
    owner = await register(mailing)
    assert shape(squatter) == shape(owner)
    assert shape(free)[2] == shape(owner)[2] | {"content-length": shape(free)[2]["content-length"]}
    assert [await signs_in(mailing, "squatters password"), await signs_in(mailing)] == [200, 401]
    old = Client(mailing.http, squatter.json() | {"password": ""})
    tokens = ok(await mailing.anyone.post("/login", {"email": ADDRESS, "password": "squatters password"}))
    old.token = tokens["accessToken"]
    event = ok(await old.post("/initialize", {"name": "Jazz", "totalTickets": 1}), 201)
    booking = await old.book(event)
    of_squatter, of_owner = await postman.tokens()
    verified = ok(await mailing.anyone.post("/verify-email", {"token": of_owner}))
    assert verified == owner.json() | {"emailVerified": True}
    problem(await mailing.anyone.post("/verify-email", {"token": of_squatter}), 409, "link-expired")
    assert [await signs_in(mailing, "squatters password"), await signs_in(mailing)] == [401, 200]
    assert ok(await old.get("/me")) == squatter.json() | {"email": None}
    assert ok(await old.get(f"/bookings/{booking['id']}"))["id"] == booking["id"]


@pytest.mark.parametrize("token", ["x", "A" * 64, "é" * 30])
async def test_an_unknown_token_is_an_expired_link(mailing: Service, token: str) -> None:
    problem(await mailing.anyone.post("/verify-email", {"token": token}), 409, "link-expired")
    for body in ({"token": ""}, {"token": None}, {}, {"token": "x" * 513}, {"token": 7}):
        assert pointers(await mailing.anyone.post("/verify-email", body)) == ["/token"]


async def test_a_link_works_for_24_hours(mailing: Service, postman: Postman) -> None:
    await register(mailing)
    (token,) = await postman.tokens()
    mailing.clock.travel(hours=24)
    problem(await mailing.anyone.post("/verify-email", {"token": token}), 409, "link-expired")


async def test_the_mail_is_sent_again_and_the_answer_is_always_the_same(mailing: Service, postman: Postman) -> None:
    user = await mailing.user()
    first = await postman.tokens()
    answers = [await user.send("POST", "/me/verification")]
    second = await postman.tokens()
    assert first != second
    ok(await mailing.anyone.post("/verify-email", {"token": second[0]}))
    answers.append(await user.send("POST", "/me/verification"))
    assert await postman.tokens() == []
    assert [each.status_code for each in answers] == [202, 202]
    assert shape(answers[0]) == shape(answers[1])
    assert answers[0].content == b""
    assert "content-type" not in answers[0].headers
    problem(await mailing.anyone.send("POST", "/me/verification"), 401, "not-signed-in")


async def test_at_most_five_mails_an_hour_go_to_one_address_and_nobody_sees_it(
    mailing: Service, postman: Postman
) -> None:
    answers = [await register(mailing, spelling) for spelling in (ADDRESS, "ADA@example.org", "ada@Example.ORG.") * 3]
    assert {answer.status_code for answer in answers} == {201}
    assert len({str(shape(answer)) for answer in answers}) == 1
    assert len(await postman.tokens()) == 5
    mailing.clock.travel(hours=1)
    await register(mailing)
    assert len(await postman.tokens()) == 1


async def test_a_repeated_request_with_a_key_sends_one_mail(mailing: Service, postman: Postman) -> None:
    user = await mailing.user()
    await postman.tokens()
    answers = [await user.send("POST", "/me/verification", headers={"Idempotency-Key": "again"}) for _ in range(2)]
    assert [(each.status_code, each.content) for each in answers] == [(202, b"")] * 2
    assert [each.headers.get("idempotency-replayed") for each in answers] == [None, "true"]
    assert len(await postman.tokens()) == 1


@pytest.mark.parametrize("public_url", [None, "https://tickets.example.org"])
async def test_the_start_warns_of_mails_without_links(
    clock: SettableClock, public_url: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        database_url="memory://", jwt_secret=SECRET, smtp_url=SERVER, mail_from="x@example.org", public_url=public_url
    )
    async with running(container_of(settings, clock)):
        assert ("BOXOFFICE_PUBLIC_URL is not set" in caplog.text) == (public_url is None)


async def test_a_forgotten_password_is_reset_and_nobody_learns_of_an_account(
    mailing: Service, postman: Postman
) -> None:
    user = await mailing.user(ADDRESS)
    await postman.tokens()
    answers = [await mailing.anyone.post("/forgot-password", {"email": each}) for each in (ADDRESS, "x@example.org")]
    assert [each.status_code for each in answers] == [202, 202]
    assert shape(answers[0]) == shape(answers[1])
    assert answers[0].content == b""
    (token,) = await postman.tokens()
    body = {"token": token, "newPassword": "short"}
    assert pointers(await mailing.anyone.post("/reset-password", body)) == ["/newPassword"]
    body["newPassword"] = "another horse"
    answer = await mailing.anyone.post("/reset-password", body)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await mailing.anyone.post("/reset-password", body), 409, "link-expired")
    assert [await signs_in(mailing), await signs_in(mailing, "another horse")] == [401, 200]
    mailing.clock.travel(seconds=4)
    problem(await user.get("/me"), 401, "invalid-token")
    for refused in ({"email": "ada"}, {"email": None}, {}):
        assert pointers(await mailing.anyone.post("/forgot-password", refused)) == ["/email"]


async def test_another_address_is_pending_until_it_is_verified(mailing: Service, postman: Postman) -> None:
    user = await mailing.user(ADDRESS)
    for token in await postman.tokens():
        ok(await mailing.anyone.post("/verify-email", {"token": token}))
    body = {"email": "new@example.org"}
    assert pointers(await user.send("PATCH", "/me", json=body)) == ["/currentPassword"]
    problem(await user.send("PATCH", "/me", json=body | {"currentPassword": "wrong"}), 403, "not-allowed")
    changed = ok(await user.send("PATCH", "/me", json=body | {"currentPassword": PASSWORD}))
    assert (changed["email"], changed["pendingEmail"]) == (ADDRESS, "new@example.org")
    assert ok(await user.get("/me")) == changed
    (token,) = await postman.tokens()
    moved = ok(await mailing.anyone.post("/verify-email", {"token": token}))
    assert moved == changed | {"email": "new@example.org", "pendingEmail": None}
    assert await signs_in(mailing) == 401
    taken = {"email": moved["email"], "currentPassword": PASSWORD}
    problem(await (await mailing.user("ben@example.org")).send("PATCH", "/me", json=taken), 409, "email-taken")


async def test_without_a_mail_server_an_address_belongs_to_the_first_account(service: Service) -> None:
    user = await service.user()
    problem(await register(service, user.email), 409, "email-taken")
    answer = await user.send("POST", "/me/verification")
    problem(answer, 503, "mail-not-configured")
    for email in (user.email, "unknown@example.org"):
        problem(await service.anyone.post("/forgot-password", {"email": email}), 503, "mail-not-configured")
    changes = {"email": "new@example.org", "currentPassword": PASSWORD}
    problem(await user.send("PATCH", "/me", json=changes), 503, "mail-not-configured")
    problem(await service.anyone.post("/verify-email", {"token": "x"}), 409, "link-expired")
    assert ok(await user.get("/me"))["emailVerified"] is False


# Accounts that a desk made.


@pytest.mark.parametrize("registers", [False, True])
async def test_who_was_booked_for_gets_the_account_with_its_bookings(
    mailing: Service, postman: Postman, registers: bool
) -> None:
    organizer = await mailing.user()
    event = await organizer.event()
    await postman.tokens()
    booking = await organizer.book(event, onBehalfOf={"name": "At the desk", "email": ADDRESS})
    (to_verify,) = await postman.tokens()
    assert await signs_in(mailing) == 401
    if registers:
        ok(await register(mailing), 201)
        (to_verify,) = await postman.tokens()
    else:
        assert (await mailing.anyone.post("/forgot-password", {"email": ADDRESS})).status_code == 202
        (to_reset,) = await postman.tokens()
        body = {"token": to_reset, "newPassword": PASSWORD}
        assert (await mailing.anyone.post("/reset-password", body)).status_code == 204
    if registers:
        assert ok(await mailing.anyone.post("/verify-email", {"token": to_verify}))["id"] == booking["customerId"]
    person = Client(mailing.http, {"id": booking["customerId"], "email": ADDRESS})
    await person.sign_in_again()
    me = ok(await person.get("/me"))
    assert (me["id"], me["name"]) == (booking["customerId"], "Ada" if registers else "At the desk")
    assert me["emailVerified"] is True
    assert ok(await person.get("/bookings"))["items"] == [booking]


async def test_a_squatted_account_with_a_desks_booking_is_the_owners_after_a_forgotten_password(
    mailing: Service, postman: Postman
) -> None:
    squatter = await mailing.user(ADDRESS)
    organizer = await mailing.user()
    event = await organizer.event()
    booking = await organizer.book(event, onBehalfOf={"name": "At the desk", "email": ADDRESS})
    assert booking["customerId"] == ok(await squatter.get("/me"))["id"]
    await postman.tokens()
    await mailing.anyone.post("/forgot-password", {"email": ADDRESS})
    (token,) = await postman.tokens()
    await mailing.anyone.post("/reset-password", {"token": token, "newPassword": "another horse"})
    mailing.clock.travel(seconds=4)
    problem(await squatter.get("/bookings"), 401, "invalid-token")
    assert await signs_in(mailing) == 401
    signed_in = ok(await mailing.anyone.post("/login", {"email": ADDRESS, "password": "another horse"}))
    owner = Client(mailing.http, {}, signed_in["accessToken"])
    assert ok(await owner.get("/bookings"))["items"] == [booking]


async def test_a_refused_booking_for_another_person_sends_no_mail(mailing: Service, postman: Postman) -> None:
    organizer = await mailing.user()
    event = await organizer.event(totalTickets=1)
    await postman.tokens()
    body = {"eventId": event["id"], "quantity": 2, "onBehalfOf": {"name": "Ada", "email": ADDRESS}}
    problem(await organizer.post("/book", body), 409, "exceeds-capacity")
    assert await postman.tokens() == []
