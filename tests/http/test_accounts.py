"""Accounts over HTTP."""

import pytest

from boxoffice.domain.user import Role
from tests.http.service import PASSWORD, Client, Service, ok, pointers, problem


async def test_an_account_is_created_signed_in_and_read(service: Service, anyone: Client) -> None:
    body = {"name": " Ada ", "email": "Ada@Example.org", "password": PASSWORD}
    answer = await anyone.post("/create-user", body)
    user = ok(answer, 201)
    assert answer.headers["location"] == "/me"
    assert set(user) == {"id", "name", "email", "role", "createdAt"}
    assert (user["name"], user["email"], user["role"]) == ("Ada", "ada@example.org", "customer")
    assert user["createdAt"].endswith("Z")

    token = ok(await anyone.post("/login", {"email": "ADA@example.org", "password": PASSWORD}))
    assert set(token) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (token["tokenType"], token["expiresIn"]) == ("Bearer", 900)
    assert ok(await Client(service.http, token=token["accessToken"]).get("/me")) == user


async def test_an_address_is_taken_whatever_its_case(customer: Client, anyone: Client) -> None:
    body = {"name": "Eve", "email": customer.email.upper(), "password": PASSWORD}
    problem(await anyone.post("/create-user", body), 409, "email-taken")


async def test_well_known_passwords_are_refused(anyone: Client) -> None:
    body = {"name": "Eve", "email": "eve@example.org", "password": "Password123"}
    assert pointers(await anyone.post("/create-user", body)) == ["/password"]


@pytest.mark.parametrize("password", ["wrong horse battery", "x", "x" * 1024])
async def test_a_wrong_password_and_an_unknown_address_look_alike(
    customer: Client, anyone: Client, password: str
) -> None:
    wrong = await anyone.post("/login", {"email": customer.email, "password": password})
    unknown = await anyone.post("/login", {"email": "nobody@example.org", "password": password})
    told = [problem(answer, 401, "wrong-credentials") for answer in (wrong, unknown)]
    assert [answer.headers["www-authenticate"] for answer in (wrong, unknown)] == ["Bearer"] * 2
    assert told[0] | {"requestId": ""} == told[1] | {"requestId": ""}


async def test_a_profile_is_changed(customer: Client) -> None:
    before = ok(await customer.get("/me"))
    assert ok(await customer.patch("/me", {"name": "Ada L."})) == before | {"name": "Ada L."}
    assert ok(await customer.get("/me"))["name"] == "Ada L."


async def test_a_new_password_ends_the_other_sessions(service: Service, customer: Client, anyone: Client) -> None:
    other = Client(service.http, {"id": customer.id, "email": customer.email})
    await other.sign_in_again()
    ok(await other.patch("/me", {"currentPassword": PASSWORD, "newPassword": "battery horse correct"}))
    problem(await customer.get("/me"), 401, "invalid-token")
    ok(await other.get("/me"))
    problem(await anyone.post("/login", {"email": customer.email, "password": PASSWORD}), 401, "wrong-credentials")
    ok(await anyone.post("/login", {"email": customer.email, "password": "battery horse correct"}))


async def test_a_new_password_needs_the_current_one(customer: Client) -> None:
    assert pointers(await customer.patch("/me", {"newPassword": "battery horse correct"})) == ["/currentPassword"]
    body = {"currentPassword": "wrong horse battery", "newPassword": "battery horse correct"}
    problem(await customer.patch("/me", body), 403, "not-allowed")
    assert pointers(await customer.patch("/me", body | {"newPassword": "password1"})) == ["/newPassword"]
    assert pointers(await customer.patch("/me", {})) == [""]


async def test_roles_come_from_the_command_line_alone(service: Service, customer: Client, organizer: Client) -> None:
    assert pointers(await customer.patch("/me", {"role": "admin"})) == ["/role"]
    event = await organizer.event()
    problem(await customer.patch(f"/events/{event['id']}", {"name": "Mine"}), 403, "not-allowed")
    await service.container.grant_role()(customer.email, Role.ADMIN)
    await customer.sign_in_again()
    ok(await customer.patch(f"/events/{event['id']}", {"name": "Mine"}))
    assert ok(await customer.get("/me"))["role"] == "admin"


async def test_a_token_expires(service: Service, customer: Client) -> None:
    service.clock.travel(seconds=901)
    answer = await customer.get("/me")
    problem(answer, 401, "invalid-token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
