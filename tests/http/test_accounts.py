"""Accounts over HTTP."""

from typing import Any

import pytest

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.ports.errors import Unavailable
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


async def signed_in(customer: Client, anyone: Client) -> dict[str, Any]:
    """The tokens of a new session."""
    return ok(await anyone.post("/login", {"email": customer.email, "password": PASSWORD}))


async def refreshed(anyone: Client, tokens: dict[str, Any]) -> dict[str, Any]:
    return ok(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}))


async def test_a_session_goes_on_with_each_refresh_token_once(
    service: Service, customer: Client, anyone: Client
) -> None:
    first = await signed_in(customer, anyone)
    service.clock.travel(seconds=901)
    problem(await Client(service.http, token=first["accessToken"]).get("/me"), 401, "invalid-token")
    second = await refreshed(anyone, first)
    assert set(second) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (second["tokenType"], second["expiresIn"]) == ("Bearer", 900)
    assert 1 <= len(second["refreshToken"]) <= 512
    own = Client(service.http, token=second["accessToken"])
    assert ok(await own.get("/me"))["id"] == customer.id

    answer = await anyone.post("/refresh", {"refreshToken": first["refreshToken"]})
    assert "POST /login" in problem(answer, 401, "invalid-token")["detail"]
    problem(await anyone.post("/refresh", {"refreshToken": second["refreshToken"]}), 401, "invalid-token")


async def test_a_session_ends_after_thirty_days_of_silence(service: Service, customer: Client, anyone: Client) -> None:
    tokens = await signed_in(customer, anyone)
    for _ in range(3):
        service.clock.travel(days=29, hours=23)
        tokens = await refreshed(anyone, tokens)
    service.clock.travel(days=30)
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")


async def test_a_bad_refresh_token_is_not_told_as_a_bad_bearer_token(customer: Client, anyone: Client) -> None:
    body = {"refreshToken": "x" * 512}
    for client in (anyone, customer):
        answer = await client.post("/refresh", body)
        problem(answer, 401, "invalid-token")
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/refresh", "/logout"):
        answer = await anyone.post(path, body, headers={"Authorization": "Bearer bad"})
        problem(answer, 401, "invalid-token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(
    service: Service, customer: Client, anyone: Client
) -> None:
    tokens = await signed_in(customer, anyone)
    problem(await anyone.post("/refresh", {"refreshToken": tokens["accessToken"]}), 401, "invalid-token")
    problem(await Client(service.http, token=tokens["refreshToken"]).get("/me"), 401, "invalid-token")
    await refreshed(anyone, tokens)


async def test_signing_out_ends_the_session_with_all_its_tokens(
    service: Service, customer: Client, anyone: Client
) -> None:
    tokens, other = await signed_in(customer, anyone), await signed_in(customer, anyone)
    for _ in range(2):
        answer = await anyone.post("/logout", {"refreshToken": tokens["refreshToken"]})
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    problem(await Client(service.http, token=tokens["accessToken"]).get("/me"), 401, "invalid-token")
    ok(await Client(service.http, token=other["accessToken"]).get("/me"))
    await refreshed(anyone, other)


@pytest.mark.parametrize("token", ["x", "x" * 96, "x" * 512, "ü"])
async def test_signing_out_with_an_unknown_token_is_no_matter(customer: Client, anyone: Client, token: str) -> None:
    assert (await anyone.post("/logout", {"refreshToken": token})).status_code == 204
    ok(await customer.get("/me"))


async def test_a_disabled_user_is_told_nothing(service: Service, customer: Client, anyone: Client) -> None:
    tokens = await signed_in(customer, anyone)
    await service.container.disable_user()(customer.email)
    disabled = await anyone.post("/login", {"email": customer.email, "password": PASSWORD})
    unknown = await anyone.post("/login", {"email": "nobody@example.org", "password": PASSWORD})
    told = [problem(answer, 401, "wrong-credentials") for answer in (disabled, unknown)]
    assert told[0] | {"requestId": ""} == told[1] | {"requestId": ""}
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    problem(await Client(service.http, token=tokens["accessToken"]).get("/me"), 401, "invalid-token")
    taken = {"name": "Eve", "email": customer.email, "password": PASSWORD}
    problem(await anyone.post("/create-user", taken), 409, "email-taken")


async def test_too_many_passwords_at_once_are_asked_to_come_again(
    anyone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> bool:
        raise Unavailable("Too many passwords wait.", retry_after=2)

    monkeypatch.setattr(Argon2PasswordHasher, "hash", refuse)
    monkeypatch.setattr(Argon2PasswordHasher, "verify", refuse)
    for path, body in (
        ("/login", {"email": "nobody@example.org", "password": PASSWORD}),
        ("/create-user", {"name": "Eve", "email": "eve@example.org", "password": PASSWORD}),
    ):
        answer = await anyone.post(path, body)
        problem(answer, 503, "try-again")
        assert 1 <= int(answer.headers["retry-after"]) <= 5


async def test_a_profile_is_changed(customer: Client) -> None:
    before = ok(await customer.get("/me"))
    assert ok(await customer.patch("/me", {"name": "Ada L."})) == before | {"name": "Ada L."}
    assert ok(await customer.get("/me"))["name"] == "Ada L."


async def test_a_new_password_ends_the_other_sessions(service: Service, customer: Client, anyone: Client) -> None:
    other = Client(service.http, {"id": customer.id, "email": customer.email})
    await other.sign_in_again()
    tokens = await signed_in(customer, anyone)
    ok(await other.patch("/me", {"currentPassword": PASSWORD, "newPassword": "battery horse correct"}))
    problem(await anyone.post("/refresh", {"refreshToken": tokens["refreshToken"]}), 401, "invalid-token")
    service.clock.travel(seconds=5)
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
