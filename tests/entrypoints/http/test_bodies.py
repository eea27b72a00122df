"""Broken bodies are refused with every broken field named, and none is a 500.

Which values the rules of the domain refuse is tested in `tests/domain`; schemathesis tries the limits of the reference.
"""

import json
from collections.abc import AsyncIterator
from time import process_time
from typing import Any

import pytest
import pytest_asyncio

from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import (
    JSON,
    PASSWORD,
    SECRET,
    Client,
    Service,
    container_of,
    ok,
    pointers,
    problem,
    served,
    standing_clock,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "019a0000-0000-7000-8000-000000000001"
BOOK: dict[str, Any] = {"eventId": ID, "quantity": 1, "ticketTypeId": ID}
REGISTRATION: dict[str, Any] = {"name": "Ada", "email": "new@example.org", "password": PASSWORD}
CREDENTIALS: dict[str, Any] = {"email": "new@example.org", "password": PASSWORD}
PROFILE: dict[str, Any] = {"name": "Ada", "currentPassword": PASSWORD, "newPassword": "battery horse correct"}
PRICE: dict[str, Any] = {"amount": 2500, "currency": "EUR"}
TICKET_TYPE: dict[str, Any] = {"name": "Balcony", "totalTickets": 4, "price": PRICE}
TIMES = {
    "startsAt": "2031-05-01T19:00:00Z",
    "endsAt": "2031-05-01T20:00:00Z",
    "salesOpenAt": "2031-01-01T00:00:00Z",
    "salesCloseAt": "2031-02-01T00:00:00Z",
}
EVENT: dict[str, Any] = {
    **TIMES,
    "name": "Jazz night",
    "totalTickets": 10,
    "price": PRICE,
    "description": "",
    "venue": "",
    "timeZone": "UTC",
    "maxTicketsPerCustomer": 10,
    "paymentWindowMinutes": None,
    "cancellationDeadlineHours": 0,
    "refundFeePercent": 0,
    "waitingListPolicy": "strict",
    "maxOvertakes": 3,
    "waitingList": "on",
    "log": "receipts",
    "status": "on_sale",
}
WITH_TYPES: dict[str, Any] = {"name": "Jazz night", "ticketTypes": [TICKET_TYPE]}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "create-user": ("POST", "/create-user", REGISTRATION),
    "login": ("POST", "/login", CREDENTIALS),
    "refresh": ("POST", "/refresh", {"refreshToken": "x"}),
    "logout": ("POST", "/logout", {"refreshToken": "x"}),
    "profile": ("PATCH", "/me", PROFILE),
    "initialize": ("POST", "/initialize", EVENT),
    "edit": ("PATCH", f"/events/{ID}", EVENT),
    "add-type": ("POST", f"/events/{ID}/ticket-types", TICKET_TYPE),
    "edit-type": ("PATCH", f"/events/{ID}/ticket-types/{ID}", TICKET_TYPE),
    "book": ("POST", "/book", BOOK),
    "cancel": ("POST", "/cancel", {"bookingId": ID}),
    "cancel-of-event": ("POST", "/cancel", {"eventId": ID}),
}

NOT_TEXT: list[Any] = [1, 1.5, True, [], {}, ["Ada"]]
NOT_LIST: list[Any] = [1, "Balcony", None, {}]
NO_NAME: list[Any] = [*NOT_TEXT, None, "", " ", "x" * 201, "a\x00b", "a\nb", "\u202eabc"]
NOT_WHOLE: list[Any] = ["1", 1.0, 1.5, True, [], {}, "", 2**63, 10**30]
NO_ID: list[Any] = [*NOT_TEXT, None, "", "x", ID[:-1], f" {ID}", f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("0", "g")]
NO_TIME: list[Any] = [*NOT_TEXT, 1893456000, "", "tomorrow", "2031-05-01", "2031-05-01T19:00:00", "2031-05-01T19:00Z",
    "2031-05-01T24:00:00Z", "2031-05-01T19:00:60Z", "2031-02-29T19:00:00Z", "2031-05-01T19:00:00+25:00",
    "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", " 2031-05-01T19:00:00Z",
    "٢٠٣١-05-01T19:00:00Z"]  # fmt: skip
NO_ADDRESS: list[Any] = [*NOT_TEXT, None, "", "@", "ada", "a@b@c", "a da@example.org", "x" * 243 + "@example.org"]
NO_PASSWORD: list[Any] = [*NOT_TEXT, None, "", "1234567", "x" * 129, "correct\nhorse battery"]
NOT_TRIED: list[Any] = [*NOT_TEXT, None, "", "x" * 1025, "correct\x00horse"]
NO_REFRESH_TOKEN: list[Any] = [*NOT_TEXT, None, "", " ", "x" * 513, "a\nb"]
NO_TOTAL: list[Any] = [*NOT_WHOLE, None, 0, -1, 1_000_001]
BROKEN_PRICES: list[tuple[Any, list[str]]] = [
    *[(value, [""]) for value in (1, "25", True, [2500, "EUR"])],
    ({}, ["/amount", "/currency"]),
    (PRICE | {"cents": 1}, ["/cents"]),
    *[(PRICE | {"amount": value}, ["/amount"]) for value in [*NOT_WHOLE, None, -1, 100_000_001]],
    *[(PRICE | {"currency": value}, ["/currency"]) for value in [*NOT_TEXT, None, "", "eur", "XXX", "€"]],
    ({"amount": "1", "currency": 1, "x": 1}, ["/amount", "/currency", "/x"]),
]
BROKEN: list[tuple[str, str, list[Any]]] = [
    ("create-user", "name", NO_NAME),
    ("create-user", "email", NO_ADDRESS),
    ("create-user", "password", NO_PASSWORD),
    ("login", "email", NO_ADDRESS),
    ("login", "password", NOT_TRIED),
    ("refresh", "refreshToken", NO_REFRESH_TOKEN),
    ("logout", "refreshToken", NO_REFRESH_TOKEN),
    ("profile", "name", NO_NAME),
    ("profile", "currentPassword", NOT_TRIED),
    ("profile", "newPassword", NO_PASSWORD),
    *[
        (call, name, values)
        for call in ("initialize", "edit")
        for name, values in [
            ("name", NO_NAME),
            ("description", [*NOT_TEXT, None, "x" * 1001, "a\x00b", "\u202e"]),
            ("venue", [*NOT_TEXT, None, "x" * 201, "a\nb"]),
            *[(name, NO_TIME) for name in TIMES],
            ("timeZone", [*NOT_TEXT, None, "", "utc", "Factory", "localtime", "Europe", "../UTC", "UTC\n", "+02:00"]),
            ("maxTicketsPerCustomer", [*NOT_WHOLE, None, 0, 1_001]),
            ("paymentWindowMinutes", [*NOT_WHOLE, 0, 43_201]),
            ("cancellationDeadlineHours", [*NOT_WHOLE, None, -1, 8_761]),
            ("refundFeePercent", [*NOT_WHOLE, None, -1, 101]),
            ("maxOvertakes", [*NOT_WHOLE, -1, 1_001]),
            ("waitingListPolicy", [*NOT_TEXT, None, "", "STRICT", "lottery"]),
            ("waitingList", [*NOT_TEXT, None, "", "ON", "closed"]),
            ("log", [*NOT_TEXT, None, "", "OFF", "private"]),
            ("status", [*NOT_TEXT, None, "", "ON_SALE", "gone"]),
            ("totalTickets", NO_TOTAL),
        ]
    ],
    ("initialize", "admission", [*NOT_TEXT, None, "", "DRAW", "lottery"]),
    ("initialize", "drawClosesAt", NO_TIME),
    ("initialize", "drawSource", [*NOT_TEXT, "", "DRAND", "dice"]),
    ("initialize", "status", ["paused", "completed", "cancelled"]),
    *[(call, "name", NO_NAME) for call in ("add-type", "edit-type")],
    ("add-type", "totalTickets", NO_TOTAL),
    ("edit-type", "totalTickets", [*NOT_WHOLE, None, -1, 1_000_001]),
    ("book", "eventId", NO_ID),
    ("book", "ticketTypeId", NO_ID),
    ("book", "quantity", [*NOT_WHOLE, None, 0, 1_001]),
    ("book", "onlyIfAvailable", [None, 0, 1, "", "true", [], {}]),
    ("cancel", "bookingId", NO_ID),
    ("cancel-of-event", "eventId", NO_ID),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Service]:
    """One for all tests here, since what is refused leaves nothing behind."""
    clock = standing_clock()
    container = container_of(Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False), clock)
    app = create_app(container)
    async with served(app, container) as http:
        yield Service(http, container, app, clock)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(service: Service) -> Client:
    return await service.user()


async def send(client: Client, call: str, body: Any) -> list[str]:
    """The fields that the answer names."""
    method, path, _ = CALLS[call]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return pointers(await client.send(method, path, content=content, headers=JSON))


@pytest.mark.parametrize(("call", "name", "values"), BROKEN, ids=[f"{call}-{name}" for call, name, _ in BROKEN])
async def test_a_broken_value_is_named(customer: Client, call: str, name: str, values: list[Any]) -> None:
    for value in values:
        assert await send(customer, call, CALLS[call][2] | {name: value}) == [f"/{name}"], repr(value)


@pytest.mark.parametrize("call", ["initialize", "edit", "add-type", "edit-type"])
async def test_a_broken_price_is_named(customer: Client, call: str) -> None:
    for price, expected in BROKEN_PRICES:
        found = await send(customer, call, CALLS[call][2] | {"price": price})
        assert found == [f"/price{pointer}" for pointer in expected], repr(price)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        *[(value, [""]) for value in NOT_LIST],
        *[([TICKET_TYPE, item], ["/1"]) for item in (*NOT_LIST[:3], [])],
        *[([TICKET_TYPE, TICKET_TYPE | {"name": value}], ["/1/name"]) for value in NO_NAME],
        ([TICKET_TYPE | {"price": {"amount": 1}}], ["/0/price/currency"]),
        ([{"x": 1}, TICKET_TYPE | {"totalTickets": 0}], ["/0/x", "/0/name", "/0/totalTickets", "/1/totalTickets"]),
    ],
    ids=lambda value: ascii(value)[-40:],
)
async def test_broken_ticket_types_are_named(customer: Client, types: Any, expected: list[str]) -> None:
    found = await send(customer, "initialize", WITH_TYPES | {"ticketTypes": types})
    assert found == [f"/ticketTypes{pointer}" for pointer in expected]


@pytest.mark.parametrize("call", CALLS)
async def test_unknown_fields_are_named(customer: Client, call: str) -> None:
    body = CALLS[call][2]
    assert await send(customer, call, body | {"x": 1, "event_id": 2}) == ["/x", "/event_id"]
    assert await send(customer, call, body | {"a/b~c": None, "": 1, "ü": 1}) == ["/a~1b~0c", "/", "/ü"]


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        ("create-user", {}, ["/name", "/email", "/password"]),
        ("create-user", {"name": "", "email": "x", "password": "y"}, ["/name", "/email", "/password"]),
        ("create-user", {"email": 1, "x": 1}, ["/email", "/x", "/name", "/password"]),
        ("initialize", {}, ["/name", "/totalTickets"]),
        ("initialize", EVENT | {"ticketTypes": [TICKET_TYPE]}, ["/totalTickets", "/price"]),
        ("initialize", WITH_TYPES | {"price": None}, ["/price"]),
        (
            "initialize",
            EVENT | {"name": "", "startsAt": "x", "maxTicketsPerCustomer": 0},
            ["/name", "/startsAt", "/maxTicketsPerCustomer"],
        ),
        ("add-type", {}, ["/name", "/totalTickets"]),
        ("book", {"quantity": 0, "ticketTypeId": 1, "more": 1}, ["/quantity", "/ticketTypeId", "/more", "/eventId"]),
        ("cancel", {}, ["/bookingId"]),
        ("cancel", {"bookingId": ID, "eventId": ID}, ["/eventId"]),
        ("cancel", {"bookingId": "x", "eventId": ID, "y": 1}, ["/bookingId", "/y", "/eventId"]),
    ],
)
async def test_all_that_is_broken_is_named_together(
    customer: Client, call: str, body: Any, expected: list[str]
) -> None:
    found = await send(customer, call, body)
    assert sorted(found) == sorted(expected)


NO_JSON: list[bytes] = [
    *(b"", b" ", b"{", b'{"a": 1,}', b'{"a": NaN}', b'{"a": "\n"}', b'{"a": 1} {"a": 1}', b'{"a": 1}\x00', b"// {}"),
    *(b'\xef\xbb\xbf{"a": 1}', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"\xff": 1}'),
    *('{"a": 1}'.encode("utf-16"), b'{"eventId": "\\ud800"}', b'{"a": {"\\ud83d": 1}}'),
    *(b'{"a": ' + b"1" * 5_000 + b"}", b"[" * 16_000, b'{"a":' * 3_000, b"[" * 8_000 + b"]" * 8_000),
]
NO_OBJECT: list[bytes] = [b"null", b"true", b"1", b"1e999", b'"x"', b"[]", b"[{}]", b'["\\"[[["]']


@pytest.mark.parametrize("call", ["book", "create-user", "edit"])
async def test_content_that_is_no_json_object_is_refused_as_a_whole(customer: Client, call: str) -> None:
    for content in (*NO_JSON, *NO_OBJECT):
        assert await send(customer, call, content) == [""], content[:40]


async def test_an_answer_names_100_broken_values_at_most(customer: Client) -> None:
    many: list[dict[str, Any]] = [{"a": 1}] * 6_000
    assert await send(customer, "initialize", {"name": "x", "ticketTypes": many}) == ["/ticketTypes"]
    fields = {f"x{number}": 1 for number in range(4_000)}
    assert len(await send(customer, "book", fields)) == 100


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 65 + b'"\\' * 8_000,
        b"{" + b"".join(b'"k%d":0,' % number for number in range(2_336)) + b'"k0":0}',
    ],
    ids=["unclosed texts in brackets", "a key given twice among thousands"],
)
async def test_no_body_takes_long_to_refuse(anyone: Client, content: bytes) -> None:
    """Both once took a time that grew with the square of the body: 90 ms and more than a second."""
    seconds = []
    for _ in range(3):
        begun = process_time()
        await send(anyone, "login", content)
        seconds.append(process_time() - begun)
    assert min(seconds) < 0.05


async def test_text_is_trimmed_and_normalised(customer: Client) -> None:
    event = await customer.event(name=" Cafe\u0301\u00a0", description=" a\r\n\tb ", venue="   ")
    assert (event["name"], event["description"], event["venue"]) == ("Caf\u00e9", "a\r\n\tb", "")
    assert (await customer.event(name="🎷" * 200))["name"] == "🎷" * 200
    content = b'{"name": "\\ud83c\\udfb7", "totalTickets": 1, "description": "[{\\"\\\\"}'
    answer = await customer.send("POST", "/initialize", content=content, headers=JSON)
    assert answer.json()["name"] == "🎷"


async def test_problems_repeat_no_secret(customer: Client, anyone: Client) -> None:
    secret = "hunter2\x00hunter2"
    for client, call in ((anyone, "create-user"), (anyone, "login"), (customer, "profile")):
        method, path, body = CALLS[call]
        broken = {name: secret for name in body if "assword" in name}
        answer = await client.send(method, path, json=body | broken)
        assert problem(answer, 400, "invalid-request")
        assert "hunter2" not in answer.text
        assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        *[
            {"Content-Type": media_type}
            for media_type in (
                *("", "text/plain", "multipart/form-data; boundary=x", "application/problem+json", "application/jsonp"),
                *("application/json, application/json", "application/json; charset=latin-1", "json"),
                "application/json; charset=utf-8; charset=ascii",
            )
        ],
        *[{**JSON, "Content-Encoding": encoding} for encoding in ("gzip", "identity", "br, gzip", "")],
    ],
)
async def test_other_media_types_are_refused(customer: Client, headers: dict[str, str]) -> None:
    content = json.dumps(BOOK).encode()
    problem(await customer.send("POST", "/book", content=content, headers=headers), 415, "unsupported-media-type")


async def test_an_event_of_the_longest_texts_fits_into_a_body(customer: Client) -> None:
    """Written in UTF-8; as escapes it takes three times as much."""
    emoji = "\U0001f3b7"
    kinds = [{"name": emoji * 190 + f"{number:010}", "totalTickets": 1, "price": PRICE} for number in range(50)]
    texts = {"name": emoji * 200, "venue": emoji * 200, "description": emoji * 1_000}
    body = json.dumps({**texts, "ticketTypes": kinds}, ensure_ascii=False).encode()
    event = ok(await customer.send("POST", "/initialize", content=body, headers=JSON), 201)
    assert {name: event[name] for name in texts} == texts


@pytest.mark.parametrize(
    "media_type",
    [
        "Application/JSON",
        'application/json ; Charset="UTF-8"',
        "application/json; profile=x; charset=utf-8;",
        "application/json;charset=UTF8",
    ],
)
async def test_json_with_parameters_is_json(customer: Client, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    content = json.dumps(BOOK).encode()
    problem(await customer.send("POST", "/book", content=content, headers=headers), 404, "not-found")
