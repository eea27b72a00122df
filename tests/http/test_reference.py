"""The reference says what the service does: every path, every status, the limits of the rules."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
import pytest
from litestar import get
from litestar.params import FromPath

from boxoffice.domain.facts import AnyFactPayload
from boxoffice.domain.refusals import Refusal
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.decoding import RequestBody, decode
from boxoffice.entrypoints.http.problems.catalog import CATALOG
from boxoffice.entrypoints.http.problems.problem import Malformed
from boxoffice.entrypoints.http.reference.document import document as document_of
from boxoffice.entrypoints.http.schemas import accounts, bookings, events, fields, webhooks
from boxoffice.entrypoints.settings import Settings
from tests.http.service import Client, ok, problem

# As the contract has them: call, name, success, and the problems that are its own.
CALLS: dict[tuple[str, str], tuple[str, int, set[int]]] = {
    ("post", "/create-user"): ("CreateUser", 201, {400, 401, 409, 413, 415}),
    ("post", "/login"): ("LogIn", 200, {400, 401, 413, 415}),
    ("post", "/refresh"): ("RefreshSession", 200, {400, 401, 413, 415}),
    ("post", "/logout"): ("LogOut", 204, {400, 401, 413, 415}),
    ("get", "/me"): ("ReadProfile", 200, {400, 401}),
    ("patch", "/me"): ("ChangeProfile", 200, {400, 401, 403, 413, 415}),
    ("post", "/initialize"): ("InitializeEvent", 201, {400, 401, 403, 409, 413, 415, 422}),
    ("get", "/events"): ("ListEvents", 200, {304, 400, 401}),
    ("get", "/events/{eventId}"): ("ReadEvent", 200, {304, 400, 401, 404}),
    ("patch", "/events/{eventId}"): ("ChangeEvent", 200, {400, 401, 403, 404, 409, 412, 413, 415}),
    ("patch", "/events/{eventId}/ticket-types/{ticketTypeId}"): (
        "ChangeTicketType",
        200,
        {400, 401, 403, 404, 409, 412, 413, 415},
    ),
    ("post", "/events/{eventId}/ticket-types"): (
        "AddTicketType",
        201,
        {400, 401, 403, 404, 409, 412, 413, 415, 422},
    ),
    ("get", "/status/{eventId}"): ("ReadStatus", 200, {304, 400, 401, 404}),
    ("get", "/events/{eventId}/bookings"): ("ListEventBookings", 200, {304, 400, 401, 403, 404}),
    ("get", "/events/{eventId}/waiting-list"): ("ReadWaitingList", 200, {304, 400, 401, 403, 404}),
    ("get", "/events/{eventId}/changes"): ("ReadChanges", 200, {304, 400, 401, 403, 404}),
    ("post", "/book"): ("BookTicket", 201, {400, 401, 404, 409, 413, 415, 422}),
    ("post", "/cancel"): ("CancelBooking", 200, {400, 401, 404, 409, 413, 415, 422}),
    ("get", "/bookings"): ("ListBookings", 200, {400, 401}),
    ("get", "/bookings/{bookingId}"): ("ReadBooking", 200, {400, 401, 404}),
    ("post", "/bookings/{bookingId}/payment"): (
        "PayBooking",
        200,
        {400, 401, 402, 403, 404, 409, 413, 415, 422},
    ),
    ("get", "/bookings/{bookingId}/payments"): ("ListPayments", 200, {400, 401, 404}),
    ("post", "/webhooks"): ("CreateWebhook", 201, {400, 401, 403, 404, 409, 413, 415, 422}),
    ("get", "/webhooks"): ("ListWebhooks", 200, {400, 401}),
    ("get", "/webhooks/{webhookId}"): ("ReadWebhook", 200, {400, 401, 404}),
    ("delete", "/webhooks/{webhookId}"): ("DeleteWebhook", 204, {400, 401, 404}),
    ("get", "/webhooks/{webhookId}/deliveries"): ("ListDeliveries", 200, {400, 401, 404}),
    ("post", "/webhooks/{webhookId}/deliveries/{deliveryId}/retry"): ("ResendDelivery", 200, {400, 401, 404}),
    ("get", "/problems"): ("ListProblems", 200, {400, 401}),
    ("get", "/problems/{code}"): ("ReadProblem", 200, {400, 401, 404}),
    ("get", "/health/live"): ("ReadLiveness", 200, set()),
    ("get", "/health/ready"): ("ReadReadiness", 200, set()),
    ("get", "/metrics"): ("ReadMetrics", 200, set()),
    ("get", "/openapi.json"): ("ReadOpenApi", 200, set()),
}
NO_LIMIT = {"/health/live", "/health/ready", "/metrics", "/openapi.json"}
NO_DATABASE = {"/health/live", "/metrics", "/openapi.json"}
PUBLIC = {
    *("CreateUser", "LogIn", "RefreshSession", "LogOut", "ListEvents", "ReadEvent", "ReadStatus", "ListProblems"),
    *("ReadProblem", "ReadLiveness", "ReadReadiness", "ReadMetrics", "ReadOpenApi"),
}
TAKE_A_KEY = {
    *("/initialize", "/book", "/cancel", "/events/{eventId}/ticket-types"),
    *("/bookings/{bookingId}/payment", "/webhooks"),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The document of an application that serves nobody."""
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


def test_every_call_and_every_status_is_there(made: dict[str, Any]) -> None:
    found = {
        (method, path): (call["operationId"], {int(status) for status in call["responses"]})
        for method, path, call in operations(made)
    }
    assert found == {
        (method, path): (
            name,
            {success, 500, *problems}
            | (set() if path in NO_DATABASE else {503})
            | (set() if path in NO_LIMIT else {429}),
        )
        for (method, path), (name, success, problems) in CALLS.items()
    }


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
        assert ("requestBody" in call) == (method in {"post", "patch"} and not path.endswith("/retry"))
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
            assert replayed == set(call["responses"]) & {"200", "201", "402", "409"}
            assert "request-in-progress" in call["responses"]["409"]["description"]
        assert ("422" in call["responses"]) == (path in taking and call["operationId"] != "ListWebhooks")
    assert taking == TAKE_A_KEY


def test_every_reference_leads_somewhere_and_nothing_lies_there_unused(made: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref":"([^"]+)"', msgspec.json.encode(made).decode()))
    for reference in references:
        assert resolve(made, {"$ref": reference})
    assert {reference.rpartition("/")[2] for reference in references} == set(made["components"]["schemas"])


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


def test_enumerations_are_components(made: dict[str, Any]) -> None:
    named = made["components"]["schemas"]
    assert set(named["ProblemCode"]["enum"]) == set(CATALOG)
    assert named["Problem"]["properties"]["code"]["$ref"].endswith("/ProblemCode")
    kinds = named["WebhookRequest"]["properties"]["kinds"]["items"]
    assert set(resolve(made, kinds)["enum"]) == set(made["webhooks"])
    assert set(named["EventStatus"]["enum"]) == {"draft", "on_sale", "paused", "completed", "cancelled"}
    status = named["BookingView"]["properties"]["status"]
    assert set(resolve(made, status)["enum"]) == {"confirmed", "held", "waitlisted", "cancelled", "expired"}


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


async def test_facts_have_the_members_of_their_schema(
    made: dict[str, Any], organizer: Client, customer: Client
) -> None:
    event = await organizer.event(totalTickets=1, startsAt="2030-06-01T12:00:00Z")
    booking = await customer.book(event)
    ok(await organizer.patch(f"/events/{event['id']}", {"venue": "Elsewhere", "totalTickets": 2}))
    ok(await customer.post("/cancel", {"bookingId": booking["id"]}))
    facts = ok(await organizer.get(f"/events/{event['id']}/changes"))["items"]
    assert len(facts) == 5
    for fact in facts:
        schema = made["components"]["schemas"][fact["kind"]]
        assert set(fact["data"]) == set(schema["properties"])
        for name in ("values", "changes"):
            if name in fact["data"]:
                values = resolve(made, schema["properties"][name])
                assert fact["data"][name].keys() <= values["properties"].keys()


async def test_answers_have_the_fields_of_their_schema(
    made: dict[str, Any], organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    answers = {
        "/me": ok(await customer.get("/me")),
        "/events": ok(await customer.get("/events")),
        "/events/{eventId}": event,
        "/status/{eventId}": ok(await customer.get(f"/status/{event['id']}")),
        "/bookings/{bookingId}": booking,
        "/bookings/{bookingId}/payments": ok(await customer.get(f"/bookings/{booking['id']}/payments")),
        "/events/{eventId}/changes": ok(await organizer.get(f"/events/{event['id']}/changes")),
        "/webhooks": ok(await organizer.get("/webhooks")),
        "/health/live": ok(await customer.get("/health/live")),
        "/health/ready": ok(await customer.get("/health/ready")),
        "/problems": ok(await customer.get("/problems")),
    }
    for path, answer in answers.items():
        schema = made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        found = resolve(made, schema)
        assert set(answer) == set(found["properties"]) == set(found["required"]), path


async def test_options_name_the_methods_that_are_documented(made: dict[str, Any], anyone: Client) -> None:
    for path, item in made["paths"].items():
        answer = await anyone.send("OPTIONS", re.sub(r"\{\w+\}", "x", path))
        allowed = {*map(str.upper, item), "OPTIONS", *(["HEAD"] if "get" in item else [])}
        assert answer.headers["allow"] == ", ".join(sorted(allowed)), path


async def test_parameters_take_what_is_documented_and_nothing_else(made: dict[str, Any], organizer: Client) -> None:
    event = await organizer.event()
    ids = {"eventId": event["id"], "ticketTypeId": event["ticketTypes"][0]["id"]}
    for method, path, call in operations(made):
        for parameter in call.get("parameters", []) if method == "get" and "webhook" not in path else []:
            if parameter["in"] != "query" or "{bookingId}" in path:
                continue
            schema, name = resolve(made, parameter["schema"]), parameter["name"]
            good = [*schema.get("enum", []), *(schema[key] for key in ("minimum", "maximum") if key in schema)]
            good += ["é" * schema["maxLength"]] if "maxLength" in schema else []
            good += [ids[name]] if name in ids else []
            bad = ["", *([] if name == "q" else ["null", "NULL"])]
            bad += [schema["minimum"] - 1, schema["maximum"] + 1] if "minimum" in schema else []
            bad += ["é" * (schema["maxLength"] + 1), "\u0007"] if "maxLength" in schema else []
            for value in good:
                ok(await organizer.get(path.format(**ids), params={name: value}))
            for value in bad:
                problem(await organizer.get(path.format(**ids), params={name: value}), 400, "invalid-request")


def shapes() -> list[type[RequestBody]]:
    return [
        value
        for module in (accounts, bookings, events, fields, webhooks)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, RequestBody)
        and value is not RequestBody
        and value.__module__ == module.__name__
    ]


def _value(name: str, size: int) -> Any:
    if name == "url":
        return "https://example.org/" + "a" * (size - 20)
    if name == "email":
        # Labels of a domain have at most 63 characters.
        return f"a@{'.'.join(['b' * 63] * 3)}.{'c' * (size - 194)}"
    return ("aé" * size)[:size]


def _edges(name: str, limit: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Values at the edges of a limit and right beyond them, with whether they are good."""
    for key, step in (("minimum", -1), ("maximum", 1)):
        if key in limit:
            yield from ((limit[key], True), (limit[key] + step, False))
    if "maxLength" in limit:
        yield from ((_value(name, limit["maxLength"]), True), (_value(name, limit["maxLength"] + 1), False))
    if limit.get("minLength"):
        least = limit["minLength"]
        yield from (("a@b" if name == "email" else _value("", least), True), (_value("", least - 1), False))
    if "pattern" in limit:
        yield from (("\u0007" * 8, False), *((("\u202e" * 8, False),) if "202a" in limit["pattern"] else ()))


def is_refused(shape: type[RequestBody], name: str, value: Any) -> bool:
    try:
        decode(msgspec.json.encode({name: value}), shape)
    except Malformed as malformed:
        required = re.compile("is required.*")
        return f"/{name}" in {error.pointer for error in malformed.errors if not required.fullmatch(error.detail)}
    return False


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.__name__)
def test_the_limits_that_are_said_are_those_of_the_rules(made: dict[str, Any], shape: type[RequestBody]) -> None:
    schema = made["components"]["schemas"][shape.__name__]
    assert set(schema["properties"]) == {field.encode_name for field in msgspec.structs.fields(shape)}
    for name, said in schema["properties"].items():
        limit = next((part for part in said.get("anyOf", ()) if part != {"type": "null"}), said)
        for value, is_good in _edges(name, limit):
            assert is_refused(shape, name, value) != is_good, (name, value)
        is_nullable = {"type": "null"} in said.get("anyOf", ())
        assert is_refused(shape, name, None) != is_nullable, name
        for example in said.get("examples", ()):
            assert not is_refused(shape, name, example), (name, example)
        # What has a rule that JSON Schema knows says so.
        is_text = limit.get("type") == "string" and "format" not in limit
        assert not is_text or "maxLength" in limit or "pattern" in limit, name


def test_lists_have_their_limits(made: dict[str, Any]) -> None:
    types = made["components"]["schemas"]["InitializeRequest"]["properties"]["ticketTypes"]
    assert (types["minItems"], types["maxItems"]) == (1, 50)
    one = {"name": "x", "totalTickets": 1}
    assert is_refused(events.InitializeRequest, "ticketTypes", [])
    assert is_refused(events.InitializeRequest, "ticketTypes", [one] * 51)
    assert not is_refused(events.InitializeRequest, "ticketTypes", [one] * 50)
    kinds = made["components"]["schemas"]["WebhookRequest"]["properties"]["kinds"]
    assert kinds["minItems"] == 1
    assert is_refused(webhooks.WebhookRequest, "kinds", [])


def test_an_embedders_own_handler_stands_in_it() -> None:
    @get("/mine/{thing_id:int}", sync_to_thread=False)
    def mine(thing_id: FromPath[int]) -> dict[str, int]:
        return {"thing": thing_id}

    app = create_app(make_container(Settings(database_url="memory://")), route_handlers=[mine])
    found = msgspec.json.decode(document_of(app))
    assert found["paths"]["/mine/{thingId}"]["get"]["responses"]["200"]
    assert found["paths"]["/book"]


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
            *("method-not-allowed", "body-too-large", "unsupported-media-type", "internal-error", "try-again"),
            "payment-unknown",
        }
