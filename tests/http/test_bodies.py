"""What is said wrongly is refused with every broken field named; nothing that can be sent is a 500."""

import json
from typing import Any

import pytest

from tests.http.service import JSON, PASSWORD, Client, pointers, problem

ID = "019a0000-0000-7000-8000-000000000001"
BOOK: dict[str, Any] = {"eventId": ID, "quantity": 1, "ticketTypeId": ID}
REGISTRATION: dict[str, Any] = {"name": "Ada", "email": "new@example.org", "password": PASSWORD}
CREDENTIALS: dict[str, Any] = {"email": "new@example.org", "password": PASSWORD}
PROFILE: dict[str, Any] = {"name": "Ada", "currentPassword": PASSWORD, "newPassword": "battery horse correct"}
PRICE: dict[str, Any] = {"amount": 2500, "currency": "EUR"}
TICKET_TYPE: dict[str, Any] = {"name": "Balcony", "totalTickets": 4, "price": PRICE}
EVENT: dict[str, Any] = {
    "name": "Jazz night",
    "totalTickets": 10,
    "price": PRICE,
    "description": "",
    "venue": "",
    "startsAt": "2031-05-01T19:00:00Z",
    "endsAt": "2031-05-01T20:00:00Z",
    "salesOpenAt": "2031-01-01T00:00:00Z",
    "salesCloseAt": "2031-02-01T00:00:00Z",
    "maxTicketsPerCustomer": 10,
    "paymentWindowMinutes": None,
    "cancellationDeadlineHours": 0,
    "waitingListPolicy": "strict",
    "status": "on_sale",
}
REFRESH = {"refreshToken": "x"}
WITH_TYPES: dict[str, Any] = {"name": "Jazz night", "ticketTypes": [TICKET_TYPE]}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "create-user": ("POST", "/create-user", REGISTRATION),
    "login": ("POST", "/login", CREDENTIALS),
    "refresh": ("POST", "/refresh", REFRESH),
    "logout": ("POST", "/logout", REFRESH),
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
NO_NAME: list[Any] = [
    *NOT_TEXT,
    None,
    "",
    " ",
    "\t",
    "x" * 201,
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "\u202eabc",
    "a\u2066",
]
NO_REFRESH_TOKEN: list[Any] = [*NOT_TEXT, None, "", " ", "x" * 513, "a\x00b", "a\nb", "\u202ea"]
NOT_WHOLE: list[Any] = ["1", 1.0, 1.5, True, False, [], {}, [1], "", "one"]
NO_ID: list[Any] = [
    *NOT_TEXT,
    None,
    "",
    "x",
    ID[:-1],
    f"{ID}0",
    f" {ID}",
    f"{ID}\n",
    f"{{{ID}}}",
    f"urn:uuid:{ID}",
    ID.replace("0", "g"),
    ID.replace("0", "\u0660"),
]
NO_TIME: list[Any] = [
    *NOT_TEXT,
    1893456000,
    "",
    "tomorrow",
    "2031-05-01",
    "2031-05-01T19:00:00",
    "2031-05-01T19:00Z",
    "2031-05-01T19:00:00+02",
    "2031-05-01T24:00:00Z",
    "2031-05-01T19:00:60Z",
    "2031-02-29T19:00:00Z",
    "2031-13-01T19:00:00Z",
    "2031-05-01T19:00:00,5Z",
    "2031-05-01T19:00:00.Z",
    "2031-05-01T19:00:00+25:00",
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    " 2031-05-01T19:00:00Z",
    "2031-05-01T19:00:00Z\n",
    "٢٠٣١-05-01T19:00:00Z",
]
NO_ADDRESS: list[Any] = [
    *[*NOT_TEXT, None, "", "@", "ada", "ada@", "@example.org", "a@b@c", "a da@example.org", "ada@exa mple.org"],
    *["x" * 243 + "@example.org", "a\x00@example.org", "a\u202e@example.org", "a\u00a0b@example.org"],
]
NO_PASSWORD: list[Any] = [
    *NOT_TEXT,
    None,
    "",
    "1234567",
    "x" * 129,
    "correct horse\x00battery",
    "correct\nhorse battery",
]
NOT_TRIED: list[Any] = [*NOT_TEXT, None, "", "x" * 1025, "correct\x00horse"]
NO_TOTAL: list[Any] = [*NOT_WHOLE, None, 0, -1, 1_000_001, 10**18, 10**30, -(10**30)]
BROKEN_PRICES: list[tuple[Any, list[str]]] = [
    *[(value, [""]) for value in (1, 1.5, "25", True, [], [2500, "EUR"])],
    ({}, ["/amount", "/currency"]),
    ({"amount": 1}, ["/currency"]),
    ({"currency": "EUR"}, ["/amount"]),
    (PRICE | {"cents": 1}, ["/cents"]),
    *[(PRICE | {"amount": value}, ["/amount"]) for value in [*NOT_WHOLE, None, -1, 100_000_001, 10**30]],
    *[(PRICE | {"currency": value}, ["/currency"]) for value in [*NOT_TEXT, None, "", "eur", "EURO", "XXX", "€"]],
    ({"amount": "1", "currency": 1, "x": 1}, ["/amount", "/currency", "/x"]),
]


def between(least: int, most: int, *, may_be_null: bool = False) -> list[Any]:
    return [*NOT_WHOLE, least - 1, most + 1, 2**63, 2**64, *([] if may_be_null else [None])]


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
            ("description", [*NOT_TEXT, None, "x" * 1001, "a\x00b", "a\x1bb", "\u202e"]),
            ("venue", [*NOT_TEXT, None, "x" * 201, "a\nb", "\u2069"]),
            ("startsAt", NO_TIME),
            ("endsAt", NO_TIME),
            ("salesOpenAt", NO_TIME),
            ("salesCloseAt", NO_TIME),
            ("maxTicketsPerCustomer", between(1, 1_000)),
            ("paymentWindowMinutes", between(1, 43_200, may_be_null=True)),
            ("cancellationDeadlineHours", between(0, 8_760)),
            ("waitingListPolicy", [*NOT_TEXT, None, "", "STRICT", "lottery"]),
            ("status", [*NOT_TEXT, None, "", "ON_SALE", "gone"]),
            ("totalTickets", NO_TOTAL),
        ]
    ],
    ("initialize", "status", ["paused", "completed", "cancelled"]),
    *[(call, "name", NO_NAME) for call in ("add-type", "edit-type")],
    *[(call, "totalTickets", NO_TOTAL) for call in ("add-type", "edit-type")],
    ("book", "eventId", NO_ID),
    ("book", "ticketTypeId", NO_ID),
    ("book", "quantity", between(1, 1_000)),
    ("cancel", "bookingId", NO_ID),
    ("cancel-of-event", "eventId", NO_ID),
]


async def send(client: Client, call: str, body: Any) -> list[str]:
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


async def test_broken_ticket_types_are_named(customer: Client) -> None:
    value: Any
    item: Any
    for value in (1, "Balcony", {}, True, None):
        assert await send(customer, "initialize", WITH_TYPES | {"ticketTypes": value}) == ["/ticketTypes"]
    for item in (1, "Balcony", None, [], True):
        body = WITH_TYPES | {"ticketTypes": [TICKET_TYPE, item]}
        assert await send(customer, "initialize", body) == ["/ticketTypes/1"]
    for name, values in (("name", NO_NAME), ("totalTickets", NO_TOTAL)):
        for value in values:
            body = WITH_TYPES | {"ticketTypes": [TICKET_TYPE, TICKET_TYPE | {name: value}]}
            assert await send(customer, "initialize", body) == [f"/ticketTypes/1/{name}"]
    for price, expected in BROKEN_PRICES:
        body = WITH_TYPES | {"ticketTypes": [TICKET_TYPE | {"price": price}]}
        assert await send(customer, "initialize", body) == [f"/ticketTypes/0/price{pointer}" for pointer in expected]
    body = {"name": "", "ticketTypes": [{"x": 1}, TICKET_TYPE | {"totalTickets": 0}]}
    assert await send(customer, "initialize", body) == [
        "/name",
        "/ticketTypes/0/x",
        "/ticketTypes/0/name",
        "/ticketTypes/0/totalTickets",
        "/ticketTypes/1/totalTickets",
    ]


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
        ("login", {}, ["/email", "/password"]),
        ("initialize", {}, ["/name", "/totalTickets"]),
        ("initialize", EVENT | {"ticketTypes": [TICKET_TYPE]}, ["/totalTickets", "/price"]),
        ("initialize", WITH_TYPES | {"price": None}, ["/price"]),
        (
            "initialize",
            {"ticketTypes": 1, "totalTickets": 0},
            ["/ticketTypes", "/totalTickets", "/name", "/totalTickets"],
        ),
        ("initialize", EVENT | {"name": "", "startsAt": "x", "maxTicketsPerCustomer": 0}, None),
        ("add-type", {}, ["/name", "/totalTickets"]),
        ("book", {}, ["/eventId"]),
        ("book", {"quantity": 0, "ticketTypeId": 1, "more": 1}, ["/quantity", "/ticketTypeId", "/more", "/eventId"]),
        ("cancel", {}, ["/bookingId"]),
        ("cancel", {"bookingId": ID, "eventId": ID}, ["/eventId"]),
        ("cancel", {"bookingId": "x", "eventId": ID, "y": 1}, ["/bookingId", "/y", "/eventId"]),
    ],
)
async def test_all_that_is_broken_is_named_together(
    customer: Client, call: str, body: Any, expected: list[str] | None
) -> None:
    assert await send(customer, call, body) == (expected or ["/name", "/startsAt", "/maxTicketsPerCustomer"])


def nested(depth: int, leaf: str = "1") -> str:
    return "[" * depth + leaf + "]" * depth


NO_JSON: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"}",
    b"nul",
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a" 1}',
    b'{"a": 01}',
    b'{"a": +1}',
    b'{"a": .5}',
    b'{"a": 1.}',
    b'{"a": 0x10}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": "\n"}',
    b'{"a": "\\x"}',
    b'{"a": "\\u12"}',
    b'{"a": 1} {"a": 1}',
    b'{"a": 1}\x00',
    b"\x0b{}",
    b"\xc2\xa0{}",
    b"// {}",
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\xff"}',
    b'{"a": "\xc3"}',
    b'{"a": "\xc0\x80"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"\xff": 1}',
    '{"a": 1}'.encode("utf-16"),
    '{"a": 1}'.encode("utf-32-be"),
    b'{"a": ' + b"1" * 5_000 + b"}",
    b'{"a": -' + b"9" * 15_000 + b"}",
    nested(65).encode(),
    nested(8_000).encode(),
    b"[" * 16_000,
    b'{"a":' * 3_000,
    b"]" * 10_000 + b"[" * 100,
]
NO_OBJECT: list[bytes] = [b"null", b"true", b"1", b"1e999", b'"x"', b"[]", b"[{}]", nested(64).encode(), b'["\\"[[["]']
LONE_SURROGATES: list[bytes] = [b'{"eventId": "\\ud800"}', b'{"eventId": "\\uDFFF x"}', b'{"a": {"\\ud83d": 1}}']


@pytest.mark.parametrize("call", ["book", "create-user", "edit"])
async def test_what_is_no_json_is_refused_as_a_whole(customer: Client, call: str) -> None:
    for content in (*NO_JSON, *NO_OBJECT):
        assert await send(customer, call, content) == [""], content[:40]


async def test_a_lone_surrogate_is_refused(customer: Client) -> None:
    for content in LONE_SURROGATES:
        assert await send(customer, "book", content) == [""], content


async def test_only_whole_numbers_are_whole_numbers(customer: Client) -> None:
    for number in (b"1e2", b"1E0", b"1.0", b"-0.0", b"10.5e1", b"1" * 4_300, b"-0"):
        content = b'{"eventId": "%b", "quantity": %b}' % (ID.encode(), number)
        assert await send(customer, "book", content) == ["/quantity"], number[:20]


async def test_a_few_broken_values_are_named_where_there_are_thousands(customer: Client) -> None:
    """So that an answer stays small, and so does what making it takes."""
    many: list[dict[str, Any]] = [{"a": 1}] * 6_000
    assert await send(customer, "initialize", {"name": "x", "ticketTypes": many}) == ["/ticketTypes"]
    fields = {f"x{number}": 1 for number in range(4_000)}
    assert len(await send(customer, "book", fields)) == 100


async def test_brackets_in_text_are_no_nesting(customer: Client) -> None:
    body = EVENT | {"description": '[{"\\' * 200}
    assert (await customer.post("/initialize", body)).status_code == 201


async def test_text_is_trimmed_and_normalised(customer: Client) -> None:
    event = await customer.event(name=" Cafe\u0301\u00a0", description=" a\r\n\tb ", venue="   ")
    assert (event["name"], event["description"], event["venue"]) == ("Caf\u00e9", "a\r\n\tb", "")
    assert (await customer.event(name="🎷" * 200))["name"] == "🎷" * 200
    assert (await customer.event(name="\U0001d11e"))["name"] == "𝄞"


async def test_a_surrogate_pair_is_one_character(customer: Client) -> None:
    content = b'{"name": "\\ud83c\\udfb7", "totalTickets": 1}'
    answer = await customer.send("POST", "/initialize", content=content, headers=JSON)
    assert answer.json()["name"] == "🎷"


async def test_problems_tell_no_secret(customer: Client, anyone: Client) -> None:
    secret = "hunter2\x00hunter2"
    for client, call in ((anyone, "create-user"), (anyone, "login"), (customer, "profile")):
        method, path, body = CALLS[call]
        broken = {name: secret for name in body if "assword" in name}
        answer = await client.send(method, path, json=body | broken)
        assert problem(answer, 400, "invalid-request")
        assert "hunter2" not in answer.text
        assert PASSWORD not in answer.text


MEDIA_TYPES = [
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/problem+json",
    "application/jsonp",
    "application/json, application/json",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; charset=utf-8; charset=ascii",
    "json",
]


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
async def test_other_media_types_are_refused(customer: Client, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    content = json.dumps(BOOK).encode()
    problem(await customer.send("POST", "/book", content=content, headers=headers), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json ; Charset="UTF-8"',
        "application/json; profile=x; charset=utf-8;",
        "application/json;",
    ],
)
async def test_json_with_parameters_is_json(customer: Client, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    content = json.dumps(BOOK).encode()
    problem(await customer.send("POST", "/book", content=content, headers=headers), 404, "not-found")


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br, gzip", ""])
async def test_encoded_bodies_are_refused(customer: Client, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    problem(await customer.post("/book", BOOK, headers=headers), 415, "unsupported-media-type")


async def test_a_body_has_64_kib_at_most(customer: Client) -> None:
    content = json.dumps(BOOK).encode().ljust(64 * 1024)
    answer = await customer.send("POST", "/book", content=content, headers=JSON)
    problem(answer, 404, "not-found")
    answer = await customer.send("POST", "/book", content=content + b" ", headers=JSON)
    problem(answer, 413, "body-too-large")


async def test_a_get_does_not_look_at_its_body(customer: Client) -> None:
    answer = await customer.send("GET", "/bookings", content=b"x" * 20_000, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200
