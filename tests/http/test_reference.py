"""The reference says what the service does: every path, every status, the limits of the rules."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from boxoffice.domain.money import Money
from boxoffice.domain.refusals import Refusal
from boxoffice.entrypoints.http import accounts, bookings, events, payments, webhooks
from boxoffice.entrypoints.http.body import Body, parse
from boxoffice.entrypoints.http.kinds import KINDS
from boxoffice.entrypoints.http.problems import Malformed
from boxoffice.entrypoints.http.reference import LIMITS
from tests.http.service import Client, ok, problem

# As the contract has them: call, success, and the problems that are its own.
CALLS: dict[tuple[str, str], tuple[int, set[int]]] = {
    ("post", "/create-user"): (201, {400, 401, 409, 413, 415}),
    ("post", "/login"): (200, {400, 401, 413, 415}),
    ("post", "/refresh"): (200, {400, 401, 413, 415}),
    ("post", "/logout"): (204, {400, 401, 413, 415}),
    ("get", "/me"): (200, {400, 401}),
    ("patch", "/me"): (200, {400, 401, 403, 413, 415}),
    ("post", "/initialize"): (201, {400, 401, 403, 413, 415, 422}),
    ("get", "/events"): (200, {304, 400, 401}),
    ("get", "/events/{id}"): (200, {304, 400, 401, 404}),
    ("patch", "/events/{id}"): (200, {400, 401, 403, 404, 409, 412, 413, 415}),
    ("patch", "/events/{id}/ticket-types/{typeId}"): (200, {400, 401, 403, 404, 409, 412, 413, 415}),
    ("post", "/events/{id}/ticket-types"): (201, {400, 401, 403, 404, 409, 412, 413, 415, 422}),
    ("get", "/status/{eventId}"): (200, {304, 400, 401, 404}),
    ("get", "/events/{id}/bookings"): (200, {304, 400, 401, 403, 404}),
    ("get", "/events/{id}/waiting-list"): (200, {304, 400, 401, 403, 404}),
    ("get", "/events/{id}/changes"): (200, {304, 400, 401, 403, 404}),
    ("post", "/book"): (201, {400, 401, 404, 409, 413, 415, 422}),
    ("post", "/cancel"): (200, {400, 401, 404, 409, 413, 415, 422}),
    ("get", "/bookings"): (200, {400, 401}),
    ("get", "/bookings/{id}"): (200, {400, 401, 404}),
    ("post", "/bookings/{id}/payment"): (200, {400, 401, 402, 403, 404, 409, 413, 415, 422}),
    ("get", "/bookings/{id}/payments"): (200, {400, 401, 404}),
    ("post", "/webhooks"): (201, {400, 401, 403, 404, 409, 413, 415, 422}),
    ("get", "/webhooks"): (200, {400, 401}),
    ("get", "/webhooks/{id}"): (200, {400, 401, 404}),
    ("delete", "/webhooks/{id}"): (204, {400, 401, 404}),
    ("get", "/webhooks/{id}/deliveries"): (200, {400, 401, 404}),
    ("post", "/webhooks/{id}/deliveries/{deliveryId}/retry"): (200, {400, 401, 404}),
    ("get", "/problems/{code}"): (200, {400, 401, 404}),
    ("get", "/health/live"): (200, set()),
    ("get", "/health/ready"): (200, set()),
    ("get", "/metrics"): (200, set()),
    ("get", "/openapi.json"): (200, set()),
    ("get", "/docs"): (200, set()),
}
NO_LIMIT = {path: {429} for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs")}
NO_DATABASE = {"/health/live", "/metrics", "/openapi.json", "/docs"}


@pytest.fixture
async def document(anyone: Client) -> dict[str, Any]:
    return ok(await anyone.get("/openapi.json"))


def resolve(document: Mapping[str, Any], value: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = value
    while "$ref" in found:
        found = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved


async def test_every_call_and_every_status_is_there(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    told = {
        (method, path): {int(status) for status in call["responses"]}
        for path, item in document["paths"].items()
        for method, call in item.items()
        if method != "head"
    }
    expected = {
        (method, path): {success, 500, *problems, *(set() if path in NO_DATABASE else {503})}
        | ({429} - NO_LIMIT.get(path, set()))
        for (method, path), (success, problems) in CALLS.items()
    }
    assert told == expected


async def test_head_stands_beside_get(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        assert ("get" in item) == ("head" in item)
        if "head" in item:
            assert set(item["head"]["responses"]) == set(item["get"]["responses"])


async def test_every_call_is_whole(document: dict[str, Any]) -> None:
    calls = [(path, method, call) for path, item in document["paths"].items() for method, call in item.items()]
    ids = [call["operationId"] for _, _, call in calls]
    assert len(set(ids)) == len(ids)
    assert {"BookTicket", "CancelBooking", "CreateUser", "LogIn", "InitializeEvent", "ReadStatus"} <= set(ids)
    for path, method, call in calls:
        assert call["summary"]
        in_path = [each["name"] for each in call["parameters"] if each["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path)
        assert ("requestBody" in call) == (method in {"post", "patch"} and not path.endswith("/retry"))
        if "requestBody" in call:
            assert call["requestBody"]["content"]["application/json"]["example"]
        for status, response in call["responses"].items():
            assert response["description"]
            assert "X-Request-Id" in response["headers"]
            if int(status) >= 400 and method != "head":
                (media_type,) = response["content"]
                assert media_type == "application/problem+json"
                for code in response["content"][media_type]["examples"]:
                    assert KINDS[code].status == int(status)
            elif status == "201":
                assert "Location" in response["headers"]
        needs = call["security"] == [{"bearer": []}]
        assert needs == ("not-signed-in" in str(call["responses"].get("401")))
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_keys_stand_with_the_calls_that_take_them(document: dict[str, Any]) -> None:
    taking = set()
    for path, item in document["paths"].items():
        for call in item.values():
            if "Idempotency-Key" in [each["name"] for each in call["parameters"] if each["in"] == "header"]:
                taking.add(path)
                replayed = {s for s, each in call["responses"].items() if "Idempotency-Replayed" in each["headers"]}
                assert replayed == set(call["responses"]) & {"200", "201", "402", "409"}
                assert "422" in call["responses"]
            else:
                assert "422" not in call["responses"]
    assert taking == {
        "/initialize",
        "/book",
        "/cancel",
        "/events/{id}/ticket-types",
        "/bookings/{id}/payment",
        "/webhooks",
    }


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref":"([^"]+)"', msgspec.json.encode(document).decode()))
    assert len(references) > 10
    for reference in references:
        assert resolve(document, {"$ref": reference})


def shapes() -> list[type[Body]]:
    return [
        value
        for module in (accounts, bookings, events, payments, webhooks)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Body)
        and value is not Body
        and value.__module__ == module.__name__
    ]


async def test_examples_of_bodies_are_good(document: dict[str, Any]) -> None:
    by_name = {shape.__name__: shape for shape in shapes()}
    seen = set()
    for item in document["paths"].values():
        for call in item.values():
            if "requestBody" in call:
                content = call["requestBody"]["content"]["application/json"]
                name = content["schema"]["$ref"].rpartition("/")[2]
                parse(msgspec.json.encode(content["example"]), by_name[name])
                seen.add(name)
    assert seen == set(by_name)


async def test_examples_of_answers_have_the_fields_of_their_schema(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for method, call in item.items():
            for response in call["responses"].values() if method != "head" else ():
                for content in response.get("content", {}).values():
                    if "example" in content:
                        schema = resolve(document, content["schema"])
                        assert set(content["example"]) == set(schema["properties"]) == set(schema["required"])


async def test_answers_have_the_fields_of_their_schema(
    document: dict[str, Any], organizer: Client, customer: Client
) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    answers = {
        "/me": ok(await customer.get("/me")),
        "/events": ok(await customer.get("/events")),
        "/events/{id}": event,
        "/status/{eventId}": ok(await customer.get(f"/status/{event['id']}")),
        "/bookings/{id}": booking,
        "/bookings/{id}/payments": ok(await customer.get(f"/bookings/{booking['id']}/payments")),
        "/events/{id}/changes": ok(await organizer.get(f"/events/{event['id']}/changes")),
    }
    for path, answer in answers.items():
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(answer) == set(resolve(document, schema)["properties"])


def _value(name: str, size: int) -> Any:
    if name == "url":
        return "https://example.org/" + "a" * (size - 20)
    return "a@b." + "c" * (size - 4) if name == "email" else "é" * size


def _edges(name: str, limit: Mapping[str, Any]) -> list[tuple[Any, bool]]:
    """Values at the edges of a limit and right beyond them, with whether they are good."""
    edges: list[tuple[Any, bool]] = []
    if "minimum" in limit:
        edges += [(limit["minimum"], True), (limit["minimum"] - 1, False)]
    if "maximum" in limit:
        edges += [(limit["maximum"], True), (limit["maximum"] + 1, False)]
    if "maxLength" in limit:
        edges += [(_value(name, limit["maxLength"]), True), (_value(name, limit["maxLength"] + 1), False)]
    if "minLength" in limit:
        least = limit["minLength"]
        edges += [("a@b" if name == "email" else "é" * least, True), ("é" * (least - 1), False)]
    return edges


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.__name__)
def test_the_limits_that_are_told_are_those_of_the_rules(shape: type[Body]) -> None:
    for name, limit in LIMITS.get(shape.__name__, {}).items():
        for value, is_good in _edges(name, limit):
            named = set()
            try:
                parse(msgspec.json.encode({name: value}), shape)
            except Malformed as malformed:
                named = {error.pointer for error in malformed.errors if error.detail != "is required"}
            assert (f"/{name}" not in named) == is_good, (name, value)
        if name == "price":
            for amount, is_good in ((limit["properties"]["amount"]["maximum"], True), (100_000_001, False)):
                try:
                    parse(msgspec.json.encode({"price": Money(amount, "EUR")}), shape)
                    found = set()
                except Malformed as malformed:
                    found = {error.pointer for error in malformed.errors}
                assert ("/price/amount" not in found) == is_good


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.__name__)
def test_every_rule_that_can_be_told_is_told(shape: type[Body]) -> None:
    hints = get_type_hints(shape)
    for field in msgspec.structs.fields(shape):
        if field.name in shape.rules and datetime not in get_args(hints[field.name]):
            assert field.encode_name in LIMITS[shape.__name__], field.name


async def test_the_page_loads_nothing_from_anywhere(anyone: Client) -> None:
    answer = await anyone.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    # What stands in examples and schemas is read, not loaded.
    loaded = re.sub(r"<pre>.*?</pre>", "", answer.text, flags=re.DOTALL)
    assert not re.search(r"(src|action)=|@import|url\(|<script|<link|https?://", loaded)
    for method, path in CALLS:
        assert f"<b>{method.upper()}</b> {path}</h2>" in answer.text
    ids = set(re.findall(r"id=\"?([\w-]+)", answer.text))
    assert set(re.findall(r"href=[\"']#([\w-]+)", answer.text)) <= ids


class TestProblems:
    @pytest.mark.parametrize("code", KINDS)
    async def test_each_is_explained(self, anyone: Client, code: str) -> None:
        page = await anyone.get(f"/problems/{code}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert code in page.text
        view = ok(await anyone.get(f"/problems/{code}", headers={"Accept": "application/json"}))
        assert (view["type"], view["code"]) == (f"/problems/{code}", code)
        assert view["status"] == KINDS[code].status
        assert view["title"]
        assert view["explanation"]

    async def test_no_other_is(self, anyone: Client) -> None:
        for code in ("nope", "Not-Found", "%00", "<script>"):
            problem(await anyone.get(f"/problems/{code}"), 404, "not-found")

    def test_every_refusal_has_one(self) -> None:
        def below(kind: type[Refusal]) -> set[type[Refusal]]:
            return {kind}.union(*(below(each) for each in kind.__subclasses__()))

        codes = {kind.code for kind in below(Refusal) if hasattr(kind, "code")}
        assert codes <= set(KINDS)
        assert set(KINDS) - codes == {
            *("method-not-allowed", "body-too-large", "unsupported-media-type", "internal-error", "try-again"),
            "payment-unknown",
        }


@pytest.mark.parametrize("path", ["/docs", "/problems/already-booked"])
async def test_the_pages_show_code_as_code(anyone: Client, path: str) -> None:
    page = (await anyone.get(path, headers={"Accept": "text/html"})).text
    assert "<code>" in page
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
