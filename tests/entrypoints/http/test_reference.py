"""The reference describes every path and every status. Schemathesis holds the answers to it, in `tests/e2e/wire`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
import pytest

from boxoffice.domain.facts import AnyFactPayload
from boxoffice.domain.refusals import Refusal
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.problems.catalog import CATALOG
from boxoffice.entrypoints.http.reference.document import document as document_of
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import JSON, Client, ok, problem

CALLS: dict[str, tuple[str, int, set[int]]] = {
    "post /create-user": ("CreateUser", 201, {409}),
    "post /verify-email": ("VerifyEmail", 200, {409}),
    "post /forgot-password": ("RequestPasswordReset", 202, set()),
    "post /reset-password": ("ResetPassword", 204, {409}),
    "post /me/verification": ("RequestVerification", 202, {403, 409, 422}),
    "post /login": ("LogIn", 200, set()),
    "post /refresh": ("RefreshSession", 200, set()),
    "post /logout": ("LogOut", 204, set()),
    "get /me": ("ReadProfile", 200, set()),
    "patch /me": ("ChangeProfile", 200, {403, 409}),
    "get /me/export": ("ExportAccount", 200, {403}),
    "delete /me": ("EraseAccount", 204, {403, 409}),
    "post /initialize": ("InitializeEvent", 201, {403, 409, 422}),
    "get /events": ("ListEvents", 200, {304, 403}),
    "get /events/{eventId}": ("ReadEvent", 200, {304, 404}),
    "patch /events/{eventId}": ("ChangeEvent", 200, {403, 404, 409, 412}),
    "patch /events/{eventId}/ticket-types/{ticketTypeId}": ("ChangeTicketType", 200, {403, 404, 409, 412}),
    "post /events/{eventId}/ticket-types": ("AddTicketType", 201, {403, 404, 409, 412, 422}),
    "get /status/{eventId}": ("ReadStatus", 200, {304, 404}),
    "get /events/{eventId}/draw": ("ReadDraw", 200, {304, 404}),
    "get /events/{eventId}/bookings": ("ListEventBookings", 200, {304, 403, 404}),
    "get /events/{eventId}/waiting-list": ("ReadWaitingList", 200, {304, 403, 404}),
    "get /events/{eventId}/attendees": ("ListAttendees", 200, {304, 403, 404}),
    "get /events/{eventId}/attendees.csv": ("ExportAttendees", 200, {403, 404}),
    "get /events/{eventId}/changes": ("ReadChanges", 200, {304, 403, 404}),
    "post /book": ("BookTicket", 201, {403, 404, 409, 422}),
    "post /cancel": ("CancelBooking", 200, {403, 404, 409, 422}),
    "get /bookings": ("ListBookings", 200, {403}),
    "get /bookings/{bookingId}": ("ReadBooking", 200, {403, 404}),
    "post /bookings/{bookingId}/payment": ("PayBooking", 200, {402, 403, 404, 409, 422}),
    "get /bookings/{bookingId}/tickets": ("ListTickets", 200, {403, 404}),
    "patch /bookings/{bookingId}/tickets/{ticketId}": ("ChangeTicket", 200, {403, 404, 409}),
    "get /bookings/{bookingId}/tickets/{ticketId}/qr.svg": ("ReadTicketQr", 200, {403, 404}),
    "get /bookings/{bookingId}/calendar.ics": ("ReadCalendar", 200, {403, 404}),
    "get /bookings/{bookingId}/explanation": ("ExplainBooking", 200, {403, 404}),
    "get /bookings/{bookingId}/payments": ("ListPayments", 200, {403, 404}),
    "post /bookings/{bookingId}/refunds": ("GrantRefund", 201, {403, 404, 409, 422}),
    "post /bookings/{bookingId}/payments/{paymentId}/settle": ("SettleRefund", 200, {403, 404, 409, 422}),
    "get /events/{eventId}/payments": ("ListEventPayments", 200, {403, 404}),
    "post /api-keys": ("CreateApiKey", 201, {403, 404, 409, 422}),
    "get /api-keys": ("ListApiKeys", 200, {403}),
    "delete /api-keys/{apiKeyId}": ("RevokeApiKey", 204, {403, 404}),
    "post /events/{eventId}/staff": ("AppointMember", 201, {403, 404, 409, 422}),
    "get /events/{eventId}/door": ("ReadDoor", 200, {304, 403, 404}),
    "get /events/{eventId}/check-ins": ("ListConflicts", 200, {403, 404}),
    "post /events/{eventId}/check-ins": ("CheckIn", 200, {403, 404, 409, 422}),
    "post /events/{eventId}/check-ins/{checkInId}/undo": ("UndoCheckIn", 200, {403, 404, 409, 422}),
    "get /bookings/{bookingId}/receipt": ("ReadReceipt", 200, {403, 404}),
    "get /log/key": ("ReadLogKey", 200, set()),
    "get /events/{eventId}/log/checkpoint": ("ReadLogCheckpoint", 200, {403, 404}),
    "get /events/{eventId}/log/tile/{level}/{index}": ("ReadLogTile", 200, {403, 404}),
    "get /events/{eventId}/staff": ("ListStaff", 200, {403, 404}),
    "patch /events/{eventId}/staff/{userId}": ("ChangeMember", 200, {403, 404}),
    "delete /events/{eventId}/staff/{userId}": ("DismissMember", 204, {403, 404}),
    "post /webhooks": ("CreateWebhook", 201, {403, 404, 409, 422}),
    "get /webhooks": ("ListWebhooks", 200, {403}),
    "get /webhooks/{webhookId}": ("ReadWebhook", 200, {403, 404}),
    "patch /webhooks/{webhookId}": ("ChangeWebhook", 200, {403, 404}),
    "delete /webhooks/{webhookId}": ("DeleteWebhook", 204, {403, 404}),
    "get /webhooks/{webhookId}/deliveries": ("ListDeliveries", 200, {403, 404}),
    "post /webhooks/{webhookId}/deliveries/{deliveryId}/retry": ("ResendDelivery", 200, {403, 404}),
    "post /stripe/webhook": ("ReceiveStripeEvent", 200, {404}),
    "get /problems": ("ListProblems", 200, set()),
    "get /problems/{code}": ("ReadProblem", 200, {404}),
    "get /health/live": ("ReadLiveness", 200, set()),
    "get /health/ready": ("ReadReadiness", 200, {503}),
    "get /metrics": ("ReadMetrics", 200, set()),
    "get /openapi.json": ("ReadOpenApi", 200, set()),
}
"""As the contract has them: the name, the success, and the other answers that not every call of its kind has."""

UNKNOWN = "019a0000-0000-7000-8000-000000000001"
OPERATIONS = {"/health/live", "/health/ready", "/metrics", "/openapi.json"}
PUBLIC = {
    *("VerifyEmail", "RequestPasswordReset", "ResetPassword"),
    *("CreateUser", "LogIn", "RefreshSession", "LogOut", "ListEvents", "ReadEvent", "ReadStatus", "ListProblems"),
    *("ReadDraw", "ReadLogKey", "ReadLogCheckpoint", "ReadLogTile"),
    *("ReadProblem", "ReadLiveness", "ReadReadiness", "ReadMetrics", "ReadOpenApi", "ReceiveStripeEvent"),
}
TAKE_A_KEY = {
    "/me/verification",
    *("/initialize", "/book", "/cancel", "/events/{eventId}/ticket-types", "/events/{eventId}/staff"),
    *("/events/{eventId}/check-ins", "/events/{eventId}/check-ins/{checkInId}/undo"),
    *("/bookings/{bookingId}/payment", "/bookings/{bookingId}/refunds"),
    *("/bookings/{bookingId}/payments/{paymentId}/settle", "/webhooks", "/api-keys"),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The document of an application that does not serve."""
    found: dict[str, Any] = msgspec.json.decode(
        document_of(create_app(make_container(Settings(database_url="memory://"))))
    )
    return found


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, call in item.items():
            yield method, path, call


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document that has properties, wherever it stands."""
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield value
        for each in value.values():
            yield from schemas(each)
    elif isinstance(value, list):
        for each in value:
            yield from schemas(each)


def resolve(document: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = value
    while "$ref" in found:
        reference = found["$ref"]
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved


async def test_it_is_served(anyone: Client, made: dict[str, Any]) -> None:
    served = ok(await anyone.get("/openapi.json"))
    assert served == made
    assert (await anyone.get("/docs/openapi.json")).json() == made
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", served["info"]["version"])
    assert served["openapi"].startswith("3.1")
    assert "## Signing in" in served["info"]["description"]


def statuses(call: str) -> set[int]:
    """Every status that the contract has of a call."""
    method, path = call.split()
    _, success, others = CALLS[call]
    if path in OPERATIONS:
        return {success, 500, *others}
    return {success, 400, 401, 429, 500, 503, *others, *((413, 415) if takes_a_body(method, path) else ())}


def takes_a_body(method: str, path: str) -> bool:
    if (method, path) == ("delete", "/me"):
        return True
    return method in {"post", "patch"} and not path.endswith(("/retry", "/undo", "/verification"))


def test_every_call_and_every_status_is_there(made: dict[str, Any]) -> None:
    found = {
        f"{method} {path}": (call["operationId"], {int(status) for status in call["responses"]})
        for method, path, call in operations(made)
    }
    assert found == {call: (name, statuses(call)) for call, (name, _, _) in CALLS.items()}


def test_every_call_is_whole(made: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in made["tags"] if tag["description"]}
    for method, path, call in operations(made):
        assert call["summary"]
        assert call["description"]
        assert len(call["tags"]) == 1
        assert set(call["tags"]) <= tags
        parameters = call.get("parameters", [])
        assert [each["name"] for each in parameters if each["in"] == "path"] == re.findall(r"\{(\w+)\}", path)
        for each in parameters:
            assert each["description"], each
            assert "oneOf" not in each["schema"], each
            if each["name"].endswith("Id"):
                assert each["schema"]["format"] == "uuid", each
        assert ("requestBody" in call) == takes_a_body(method, path)
        assert call["security"] == ([] if call["operationId"] in PUBLIC else [{"bearer": []}]), path
    assert made["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_answer_is_whole(made: dict[str, Any]) -> None:
    for method, path, call in operations(made):
        for status, response in call["responses"].items():
            where = (method, path, status)
            assert response["description"], where
            headers = set(response["headers"])
            assert "X-Request-Id" in headers, where
            assert ("Location" in headers) == (status == "201"), where
            assert ("WWW-Authenticate" in headers) == (status == "401"), where
            assert ("Retry-After" in headers) == (status in {"429", "503"}), where
            if int(status) >= 400:
                ((media_type, content),) = response["content"].items()
                assert media_type == "application/problem+json", where
                assert content["schema"]["$ref"].endswith("/Problem"), where
                codes = re.findall(r"`([a-z-]+)`:", response["description"])
                assert codes, where
                assert {CATALOG[code].status for code in codes} == {int(status)}, where
        needs = call["security"] == [{"bearer": []}]
        assert needs == ("not-signed-in" in str(call["responses"].get("401")))
        tagged = "304" in call["responses"]
        names = [each["name"] for each in call.get("parameters", [])]
        assert tagged == ("If-None-Match" in names)
        assert not tagged or "ETag" in call["responses"]["200"]["headers"]


def test_keys_stand_with_the_calls_that_take_them(made: dict[str, Any]) -> None:
    taking = set()
    for _, path, call in operations(made):
        if "Idempotency-Key" in [each["name"] for each in call.get("parameters", [])]:
            taking.add(path)
            replayed = {s for s, each in call["responses"].items() if "Idempotency-Replayed" in each["headers"]}
            assert replayed == set(call["responses"]) & {"200", "201", "202", "402", "409"}
            assert "request-in-progress" in call["responses"]["409"]["description"]
        assert ("422" in call["responses"]) == (path in taking and call["operationId"] != "ListWebhooks")
    assert taking == TAKE_A_KEY


def test_every_schema_is_named_and_described(made: dict[str, Any]) -> None:
    for name, schema in made["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
        assert schema["description"], name
        assert schema["type"] in {"object", "string"}, name
        assert (name.endswith("Request") or name == "Price") == (schema.get("additionalProperties") is False), name
        if "enum" in schema:
            assert schema["type"] == "string", name
    found = list(schemas(made))
    assert len(found) > 50
    for schema in found:
        for name, each in schema["properties"].items():
            assert each["description"], (name, schema)
            assert "default" not in each, (name, schema)
            assert "enum" not in each, (name, schema)
            meant = next((part for part in each.get("anyOf", ()) if part != {"type": "null"}), each)
            assert ("$ref" in meant) != ("type" in meant), (name, schema)
            if name.endswith("At") or name == "timestamp":
                assert meant["format"] == "date-time", (name, schema)
            if name == "id" or (name.endswith("Id") and name != "requestId"):
                assert meant["format"] == "uuid", (name, schema)


def test_webhooks_say_what_is_sent(made: dict[str, Any]) -> None:
    kinds = {kind.__name__: kind for kind in get_args(AnyFactPayload)}
    assert set(made["webhooks"]) == set(kinds)
    for name, item in made["webhooks"].items():
        call = item["post"]
        assert call["operationId"] == f"on{name}"
        assert call["summary"]
        assert call["security"] == []
        message = resolve(made, call["requestBody"]["content"]["application/json"]["schema"])
        assert set(message["required"]) == {"type", "timestamp", "data"}
        assert message["properties"]["type"]["const"] == name
        fact = message["properties"]["data"]
        assert set(fact["required"]) == {"eventId", "seq", "kind", "bookingId", "occurredAt", "data"}
        data = resolve(made, fact["properties"]["data"])
        said = [field.encode_name for field in msgspec.structs.fields(kinds[name])]
        assert list(data["properties"]) == data["required"] == said


async def test_answers_have_the_fields_of_their_schema(
    made: dict[str, Any], organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    ok(await organizer.patch(f"/events/{event['id']}", {"venue": "Elsewhere", "totalTickets": 2}))
    changes = ok(await organizer.get(f"/events/{event['id']}/changes"))
    answers = {
        "/me": ok(await customer.get("/me")),
        "/events": ok(await customer.get("/events")),
        "/events/{eventId}": event,
        "/status/{eventId}": ok(await customer.get(f"/status/{event['id']}")),
        "/bookings/{bookingId}": ok(await organizer.get(f"/bookings/{booking['id']}")),
        "/bookings/{bookingId}/payments": ok(await customer.get(f"/bookings/{booking['id']}/payments")),
        "/events/{eventId}/changes": changes,
        "/webhooks": ok(await organizer.get("/webhooks")),
        "/health/live": ok(await customer.get("/health/live")),
        "/health/ready": ok(await customer.get("/health/ready")),
        "/problems": ok(await customer.get("/problems")),
    }
    for path, answer in answers.items():
        schema = made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        found = resolve(made, schema)
        assert set(answer) == set(found["properties"]), path
        # It is left out of one's own bookings.
        assert set(answer) - set(found["required"]) == {"customer"} & set(answer), path
    for fact in changes["items"]:
        properties = made["components"]["schemas"][fact["kind"]]["properties"]
        assert set(fact["data"]) == set(properties)
        for name in {"values", "changes"} & set(properties):
            assert fact["data"][name].keys() <= resolve(made, properties[name])["properties"].keys()


def _is_needed(parameter: Mapping[str, Any]) -> bool:
    return parameter["in"] == "query" and "required" in parameter and parameter["required"] is True


async def test_every_call_refuses_bad_tokens_and_bodies_as_it_says(made: dict[str, Any], customer: Client) -> None:
    twice = [("Authorization", f"Bearer {customer.token}")] * 2
    for method, path, call in operations(made):
        target, answers = re.sub(r"\{\w+\}", UNKNOWN, path), call["responses"]
        # The webhook is not there without a secret; `test_stripe.py` has its bodies.
        if "requestBody" in call and path != "/stripe/webhook":
            for content, headers, status, code in (
                (b"{", JSON, 400, "invalid-request"),
                (b" " * 262_145, JSON, 413, "body-too-large"),
                (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
            ):
                problem(await customer.send(method, target, content=content, headers=headers), status, code)
        if "401" in answers:
            answer = await customer.http.request(method, target, headers={"Authorization": "Bearer bad"})
            problem(answer, 401, "invalid-token")
        if "400" in answers:
            problem(await customer.http.request(method, target, headers=twice), 400, "invalid-request")
        if "404" in answers and method == "get":
            needed = "&".join(f"{each['name']}=true" for each in call.get("parameters", ()) if _is_needed(each))
            problem(await customer.send(method, f"{target}?{needed}"), 404, "not-found")
        if call["operationId"] not in PUBLIC:
            problem(await customer.http.request(method, target), 401, "not-signed-in")


class TestProblems:
    @pytest.mark.parametrize("code", CATALOG)
    async def test_each_is_explained(self, anyone: Client, code: str) -> None:
        page = await anyone.get(f"/problems/{code}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert code in page.text
        assert "`" not in page.text
        view = ok(await anyone.get(f"/problems/{code}"))
        assert view == ok(await anyone.get(f"/problems/{code}", headers={"Accept": "application/json"}))
        assert (view["type"], view["code"]) == (f"/problems/{code}", code)
        assert view["status"] == CATALOG[code].status
        assert view["title"]
        assert view["explanation"]

    async def test_the_list_leads_to_each(self, anyone: Client) -> None:
        page = await anyone.get("/problems", headers={"Accept": "text/html"})
        assert set(re.findall(r"href=\"?/problems/([a-z-]+)", page.text)) == set(CATALOG)
        assert {item["code"] for item in ok(await anyone.get("/problems"))["items"]} == set(CATALOG)

    async def test_no_other_is(self, anyone: Client) -> None:
        for code in ("nope", "Not-Found", "%00", "<script>"):
            problem(await anyone.get(f"/problems/{code}"), 404, "not-found")

    def test_every_refusal_has_one(self) -> None:
        def below(kind: type[Refusal]) -> set[type[Refusal]]:
            return {kind}.union(*(below(each) for each in kind.__subclasses__()))

        codes = {kind.code for kind in below(Refusal) if hasattr(kind, "code")}
        assert codes <= set(CATALOG)
        assert set(CATALOG) - codes == {
            *("method-not-allowed", "body-too-large", "unsupported-media-type", "internal-error"),
            "payment-unknown",
        }
