"""What holds for every path: order of checks, methods, signing in, request ids, problems, the log.

That every call answers bad tokens, bodies and media types as the reference says is tested in `tests/e2e/wire`.
"""

import json
import re
from typing import Any
from uuid import UUID

import pytest

from boxoffice.application.events.queries import ListEvents
from boxoffice.application.ports.errors import Unavailable
from tests.entrypoints.http.conftest import Kept
from tests.entrypoints.http.service_under_test import JSON, PASSWORD, Client, Service, ok, pointers, problem

ID = "019a0000-0000-7000-8000-000000000001"
SIGNED_IN = [
    ("GET", "/me"),
    ("GET", f"/events/{ID}/changes"),
    ("POST", "/initialize"),
    ("POST", "/book"),
    ("POST", "/cancel"),
    ("PATCH", "/me"),
    ("PATCH", f"/events/{ID}"),
    ("POST", f"/events/{ID}/ticket-types"),
    ("PATCH", f"/events/{ID}/ticket-types/{ID}"),
]
PUBLIC = [
    ("GET", "/events"),
    ("GET", f"/status/{ID}"),
    ("GET", "/problems"),
    ("POST", "/create-user"),
    ("POST", "/login"),
]
UNCHECKED = ["/health/live", "/health/ready", "/openapi.json"]
ALLOWED = {
    "/me": {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"},
    "/events": {"GET", "HEAD", "OPTIONS"},
    f"/events/{ID}": {"GET", "HEAD", "PATCH", "OPTIONS"},
    f"/events/{ID}/ticket-types": {"POST", "OPTIONS"},
    "/book": {"POST", "OPTIONS"},
}
UNKNOWN = ("/", "/nope", "/book/x", "/events/", "/me/", "//me", "/events//", f"/events/{ID}/", "/Book")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_paths_are_a_404_for_every_caller(anyone: Client, method: str) -> None:
    for path in UNKNOWN:
        answer = await anyone.send(method, path, headers={"Authorization": "Bearer wrong"})
        problem(answer, 404, "not-found")


async def test_the_reference_has_one_path_as_well(anyone: Client) -> None:
    for path in ("/openapi.json/", "//openapi.json", "/%6fpenapi.json", "/docs/", "//docs", "/d%6fcs"):
        problem(await anyone.get(path), 404, "not-found")


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items())
async def test_other_methods_are_a_405(anyone: Client, path: str, allowed: set[str]) -> None:
    for method in {"PUT", "DELETE", "TRACE", "BREW"} - allowed:
        answer = await anyone.send(method, path, headers={"Authorization": "Bearer wrong"})
        problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed
    if "GET" not in allowed:
        answer = await anyone.send("HEAD", path)
        assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, allowed)


class TestOrderOfChecks:
    @pytest.mark.parametrize(("method", "path"), [each for each in SIGNED_IN if each[0] != "GET"])
    async def test_401_then_415_then_413_then_400_then_404(
        self, anyone: Client, customer: Client, method: str, path: str
    ) -> None:
        large = b"{" * 70_000
        path = path.replace(ID, "malformed")
        problem(await anyone.send(method, path, content=large), 401, "not-signed-in")
        problem(await customer.send(method, path, content=large), 415, "unsupported-media-type")
        problem(await customer.send(method, path, content=large, headers=JSON), 413, "body-too-large")
        problem(await customer.send(method, path, content=b"{", headers=JSON), 400, "invalid-request")
        if "malformed" in path:
            body = {"name": "Balcony", "totalTickets": 1}
            problem(await customer.send(method, path, json=body), 404, "not-found")

    async def test_400_then_404_then_403_then_412_then_409(self, organizer: Client, customer: Client) -> None:
        draft = await organizer.event(status="draft")
        event = await organizer.event(totalTickets=5)
        ok(await organizer.patch(f"/events/{event['id']}", {"status": "cancelled"}))
        stale = {"If-Match": '"7.0"'}
        problem(await customer.patch(f"/events/{draft['id']}", {"name": ""}, headers=stale), 400, "invalid-request")
        problem(await customer.patch(f"/events/{draft['id']}", {"name": "x"}, headers=stale), 404, "not-found")
        problem(await customer.patch(f"/events/{event['id']}", {"name": "x"}, headers=stale), 403, "not-allowed")
        problem(await organizer.patch(f"/events/{event['id']}", {"name": "x"}, headers=stale), 412, "stale-version")
        problem(await organizer.patch(f"/events/{event['id']}", {"name": "x"}), 409, "event-closed")

    async def test_a_query_is_a_400_before_the_id_is_a_404(self, customer: Client) -> None:
        assert pointers(await customer.get("/events/malformed/bookings?limit=0")) == ["/limit"]
        problem(await customer.get("/events/malformed/bookings"), 404, "not-found")


MALFORMED = ("x", "1", ID[:-1], ID.replace("-", ""), f"{{{ID}}}", "%00", "%F0%9F%8E%B7", "..%2F")


@pytest.mark.parametrize("path", [f"/events/{ID}", f"/status/{ID}", f"/bookings/{ID}", f"/events/{ID}/changes"])
async def test_malformed_ids_in_paths_are_a_404(customer: Client, path: str) -> None:
    for malformed in MALFORMED:
        problem(await customer.get(path.replace(ID, malformed)), 404, "not-found")


async def test_ids_are_the_same_in_capitals(customer: Client) -> None:
    event = await customer.event()
    assert ok(await customer.get(f"/events/{event['id'].upper()}")) == event
    assert ok(await customer.post("/book", {"eventId": event["id"].upper()}), 201)["eventId"] == event["id"]


BAD_TOKENS = (
    *("Bearer", "Bearer ", "bearer x.y.z", "Bearer a b", "Bearer a, Bearer b", "BEARER \x80", "Bearer =="),
    f"Bearer {'x' * 5_000}",
)


class TestSigningIn:
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YWRhOnNlY3JldA=="}, {"Authorization": "Token x"}])
    async def test_another_scheme_counts_as_none(self, anyone: Client, headers: dict[str, str]) -> None:
        for method, path in SIGNED_IN:
            answer = await anyone.send(method, path, headers=headers)
            problem(answer, 401, "not-signed-in")
            assert answer.headers["www-authenticate"] == "Bearer"

    async def test_a_bad_bearer_token_is_a_401_on_public_paths_too(self, anyone: Client) -> None:
        for method, path in (*SIGNED_IN[:1], *PUBLIC):
            for value in BAD_TOKENS:
                answer = await anyone.send(method, path, headers={"Authorization": value.encode("latin-1")})
                problem(answer, 401, "invalid-token")
                assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'

    async def test_two_authorization_headers_are_a_400_where_they_are_looked_at(self, customer: Client) -> None:
        headers = [("Authorization", f"Bearer {customer.token}")] * 2
        for method, path in (*SIGNED_IN, *PUBLIC):
            assert pointers(await customer.http.request(method, path, headers=headers)) == [""]
        for path in UNCHECKED:
            assert (await customer.http.get(path, headers=headers)).status_code == 200
            assert (await customer.http.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 200

    async def test_the_scheme_has_no_case(self, customer: Client) -> None:
        for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
            ok(await customer.http.get("/me", headers={"Authorization": f"{scheme} {customer.token}"}))


class TestRequestIds:
    @pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 128])
    async def test_a_good_one_is_answered(self, anyone: Client, given: str) -> None:
        for path in ("/events", "/nope", f"/events/{ID}", "/me"):
            answer = await anyone.get(path, headers={"X-Request-Id": given})
            assert answer.headers.get_list("x-request-id") == [given]
            if answer.status_code >= 400:
                assert answer.json()["requestId"] == given

    @pytest.mark.parametrize("given", ["", " ", "x" * 129, "a b", "a/b", "ä", "a\x00", "<script>", "a,b"])
    async def test_any_other_is_replaced(self, service: Service, given: str) -> None:
        answers = [
            await service.http.get("/events", headers={b"X-Request-Id": given.encode("latin-1")}) for _ in range(2)
        ]
        ids = {UUID(answer.headers["x-request-id"]) for answer in answers}
        assert len(ids) == 2


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the list of events fail."""

    async def fail(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(ListEvents, "__call__", fail)


async def test_an_unexpected_error_is_logged_and_says_nothing(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, RuntimeError("SELECT secret FROM users"))
    answer = await service.anyone.get("/events", headers={"X-Request-Id": "look-here"})
    problem(answer, 500, "internal-error")
    for hint in ("SELECT", "secret", "Traceback", "RuntimeError"):
        assert hint not in answer.text
    (record,) = [record for record in caplog.records if record.name.endswith("problems.problem")]
    assert "look-here" in record.getMessage()
    assert record.exc_info is not None
    assert "SELECT secret" in str(record.exc_info[1])


async def test_while_the_database_is_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, Unavailable("mysql+asyncmy://root:secret@host is away", retry_after=7))
    answer = await service.anyone.get("/events")
    problem(answer, 503, "try-again")
    assert answer.headers["retry-after"] == "7"
    assert "secret" not in answer.text


async def test_a_line_for_each_request(service: Service, customer: Client, logged: Kept) -> None:
    event = await customer.event()
    logged.take()
    await customer.get(f"/events/{event['id']}?q=secret", headers={"X-Request-Id": "one"})
    await service.anyone.send("HEAD", "/nope/secret", headers={"X-Request-Id": "two"})
    await service.anyone.post("/login", {"email": customer.email, "password": "not this one"})
    await customer.get("/events", headers={"If-None-Match": "*"})
    await customer.send("BREW", "/me")
    lines = logged.take()
    durations = [line.pop("duration_ms") for line in lines]
    assert all(0 <= duration < 60_000 for duration in durations)
    ids = [line.pop("request_id") for line in lines]
    written = {(line.pop("logger"), line.pop("timestamp")[:10]) for line in lines}
    assert written == {("boxoffice.requests", "2030-01-01")}
    assert ids[:2] == ["one", "two"]
    assert [tuple(line.values()) for line in lines] == [
        (customer.id, "GET", "/events/{event_id}", 200, "request", "info"),
        (None, "HEAD", None, 404, "request", "info"),
        (None, "POST", "/login", 401, "request", "info"),
        (customer.id, "GET", "/events", 304, "request", "info"),
        (None, None, None, 405, "request", "info"),
    ]
    assert not re.search(f"secret|{customer.email}|{PASSWORD}|not this", json.dumps(lines))
