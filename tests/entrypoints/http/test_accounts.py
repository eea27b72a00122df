"""Accounts over HTTP. What the use cases decide is tested in `tests/application/accounts/test_accounts.py`."""

from typing import Any

from boxoffice.domain.user import Role
from tests.entrypoints.http.service_under_test import PASSWORD, Client, Service, ok, pointers, problem


async def test_an_account_is_created_signed_in_and_read(service: Service, anyone: Client) -> None:
    body = {"name": " Ada ", "email": "Ada@Example.org", "password": PASSWORD}
    answer = await anyone.post("/create-user", body)
    user = ok(answer, 201)
    assert answer.headers["location"] == "/me"
    assert list(user) == ["id", "name", "email", "emailVerified", "pendingEmail", "role", "createdAt"]
    assert (user["name"], user["email"], user["role"]) == ("Ada", "ada@example.org", "customer")
    assert (user["emailVerified"], user["pendingEmail"]) == (False, None)
    assert user["createdAt"].endswith("Z")

    token = ok(await anyone.post("/login", {"email": "ADA@example.org", "password": PASSWORD}))
    assert set(token) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (token["tokenType"], token["expiresIn"]) == ("Bearer", 900)
    assert ok(await Client(service.http, token=token["accessToken"]).get("/me")) == user


async def test_a_taken_address_and_a_well_known_password_are_refused(customer: Client, anyone: Client) -> None:
    body = {"name": "Eve", "email": customer.email.upper(), "password": PASSWORD}
    problem(await anyone.post("/create-user", body), 409, "email-taken")
    body = {"name": "Eve", "email": "eve@example.org", "password": "Password123"}
    assert pointers(await anyone.post("/create-user", body)) == ["/password"]


async def test_wrong_password_unknown_address_and_disabled_account_look_alike(
    service: Service, customer: Client, anyone: Client
) -> None:
    disabled = await service.user()
    tokens = await signed_in(disabled)
    await service.container.disable_user()(disabled.email)
    answers = [
        await anyone.post("/login", {"email": customer.email, "password": "wrong horse battery"}),
        await anyone.post("/login", {"email": "unknown@example.org", "password": "x" * 1024}),
        await anyone.post("/login", {"email": disabled.email, "password": PASSWORD}),
    ]
    bodies = [problem(answer, 401, "wrong-credentials") | {"requestId": ""} for answer in answers]
    assert bodies == bodies[:1] * 3
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    problem(await Client(service.http, token=tokens["accessToken"]).get("/me"), 401, "invalid-token")


async def signed_in(client: Client) -> dict[str, Any]:
    """The tokens of a new session."""
    return ok(await client.http.post("/login", json={"email": client.email, "password": PASSWORD}))


async def test_a_session_goes_on_with_each_refresh_token_once(
    service: Service, customer: Client, anyone: Client
) -> None:
    first = await signed_in(customer)
    service.clock.travel(seconds=901)
    problem(await Client(service.http, token=first["accessToken"]).get("/me"), 401, "invalid-token")
    second = ok(await anyone.post("/refresh", {"refreshToken": first["refreshToken"]}))
    assert set(second) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (second["tokenType"], second["expiresIn"]) == ("Bearer", 900)
    assert 1 <= len(second["refreshToken"]) <= 512
    own = Client(service.http, token=second["accessToken"])
    assert ok(await own.get("/me"))["id"] == customer.id

    again = ok(await anyone.post("/refresh", {"refreshToken": first["refreshToken"]}))
    assert again["refreshToken"] == second["refreshToken"]
    service.clock.travel(seconds=10)
    answer = await anyone.post("/refresh", {"refreshToken": first["refreshToken"]})
    assert "sign in again" in problem(answer, 401, "invalid-token")["detail"]
    problem(await anyone.post("/refresh", {"refreshToken": second["refreshToken"]}), 401, "invalid-token")


async def test_a_bad_refresh_token_is_not_reported_as_a_bad_bearer_token(customer: Client, anyone: Client) -> None:
    for token in ("x" * 512, (await signed_in(customer))["accessToken"]):
        answer = await customer.post("/refresh", {"refreshToken": token})
        problem(answer, 401, "invalid-token")
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/refresh", "/logout"):
        answer = await anyone.post(path, {"refreshToken": "x"}, headers={"Authorization": "Bearer bad"})
        problem(answer, 401, "invalid-token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_signing_out_ends_the_session_with_all_its_tokens(
    service: Service, customer: Client, anyone: Client
) -> None:
    tokens, other = await signed_in(customer), await signed_in(customer)
    for token in (tokens["refreshToken"], tokens["refreshToken"], "x", "ü" * 512):
        answer = await anyone.post("/logout", {"refreshToken": token})
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    problem(await Client(service.http, token=tokens["accessToken"]).get("/me"), 401, "invalid-token")
    ok(await Client(service.http, token=other["accessToken"]).get("/me"))
    ok(await anyone.post("/refresh", {"refreshToken": other["refreshToken"]}))


async def test_a_new_password_ends_the_other_sessions(service: Service, customer: Client, anyone: Client) -> None:
    other = customer.at(service.http)
    await other.sign_in_again()
    tokens = await signed_in(customer)
    changed = {"name": "Ada L.", "currentPassword": PASSWORD, "newPassword": "battery horse correct"}
    assert ok(await other.patch("/me", changed))["name"] == "Ada L."
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    service.clock.travel(seconds=5)
    problem(await customer.get("/me"), 401, "invalid-token")
    assert ok(await other.get("/me"))["name"] == "Ada L."
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
