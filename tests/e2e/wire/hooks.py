"""What schemathesis cannot know of this service: which ids exist, and which refusals no schema describes.

Loaded by the program, in a process of its own (`hooks` of its configuration). Requests that are meant to be right are
led to things that exist; those that are meant to be wrong are left alone.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation

POOL_VARIABLE: Final = "WIRE_POOL"
_POOL: Final[dict[str, Any]] = json.loads(Path(os.environ[POOL_VARIABLE]).read_text(encoding="utf-8"))
_EVENTS: Final[list[dict[str, Any]]] = _POOL["events"]
_BOOKINGS: Final[list[str]] = _POOL["bookings"]
_WEBHOOKS: Final[list[str]] = []
_API_KEYS: Final[list[str]] = []
_STAFF: Final[list[tuple[str, str]]] = []
"""Ids of events, each with that of someone who works for it."""
_NUMBERS: Final = count()
_DAYS: Final = {"startsAt": 30, "endsAt": 31, "salesOpenAt": -1, "salesCloseAt": 20, "drawClosesAt": 10}
"""When what is right lies, in days from now."""

BEYOND_A_SCHEMA: Final = re.compile(
    # A format is no rule in JSON Schema.
    r"must be a time with an offset \(RFC 3339\), such as 2027-05-01T19:00:00Z|must be an id \(a UUID\)"
    "|must lie in the years 1970 to 9999 in UTC"
    "|must be a nextCursor of this list with these filters"
    "|must be a whole number"  # 1.0 is one to JSON Schema
    "|must be an ISO 4217 currency code in capitals, such as EUR|must be [A-Z]{3}, like the others"
    "|must be the IANA name of a time zone, such as Europe/Paris"
    "|must be after the start|needs a start|must be after the opening of the sale|must be before the start"
    "|must be in the future|must have a visible character|must not be one character over and over"
    r"|must have a domain that mail can reach .*|must not contain invisible characters"
    r"|must have at most \d+ bytes before the @"
    r"|must not contain U\+[0-9A-F]+, which stands for another character"
    # What may not stand together a schema could say, but generators of clients stumble over it.
    r"|must not be combined with \w+|is required unless \w+ is given|is required with \w+|is required to pay by card"
    r"|must be combined with \w+|must be as many as \w+ says|must be distinct"
    "|names tickets, but the booking has none before it is confirmed; leave it out"
    r"|must name at least one of [\w, ]+"
    "|must contain a new name, or the current password with a new password or address"
    "|is needed for a new password or address"
    "|must be an https:// address"  # for tests of one's own a setting allows http://
    "|is needed for a draw|needs a draw|must be after the closing of the draw"
    "|must not be off for a draw, which is made from it|must be on for a draw, whose entries wait"
    "|is needed, because the event has several ticket types|belongs to a ticket type, because the event has several"
)
"""Why a request that fits the schema may still be a 400."""


def _chosen(case: Case[Any], from_these: Sequence[Any], what: str) -> Any:
    """One of these, the same one for the same case."""
    said = repr((what, case.method, case.path, case.path_parameters, case.query, case.body))
    return from_these[crc32(said.encode("utf-8", "surrogatepass")) % len(from_these)]


def _is_right(case: Case[Any], place: ParameterLocation) -> bool:
    if case.meta is None:
        return False
    component = case.meta.components.get(place)
    return case.meta.generation.mode.is_positive or (component is not None and component.mode.is_positive)


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Lead what is right to something that exists, seven times in eight."""
    if _chosen(case, range(8), "at all") == 0:
        return
    event = _chosen(case, _EVENTS, "event")
    if case.path_parameters and _is_right(case, ParameterLocation.PATH):
        case.path_parameters.update(_ids(case, event))
    if isinstance(case.body, dict) and _is_right(case, ParameterLocation.BODY):
        case.body = _led(case, dict(case.body), event)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        if case.query and "cursor" in case.query:
            del case.query["cursor"]
        if case.headers and "Idempotency-Key" in case.headers and _chosen(case, range(4), "key"):
            # Keys of one letter would soon all be taken.
            case.headers["Idempotency-Key"] += f"-{next(_NUMBERS)}"
        if case.headers and "If-Match" in case.headers and _chosen(case, range(2), "match"):
            case.headers["If-Match"] = "*"


def _ids(case: Case[Any], event: dict[str, Any]) -> dict[str, str]:
    if "/problems/" in case.path:
        return {"code": _chosen(case, ("not-found", "already-booked", "internal-error"), "code")}
    ids = {
        "eventId": event["id"],
        "ticketTypeId": _chosen(case, event["types"], "type"),
        "bookingId": _chosen(case, _BOOKINGS, "booking"),
        **({"webhookId": _chosen(case, _WEBHOOKS, "webhook")} if _WEBHOOKS else {}),
        **({"apiKeyId": _chosen(case, _API_KEYS, "key")} if _API_KEYS else {}),
    }
    if "/staff/" in case.path and _STAFF:
        ids["eventId"], ids["userId"] = _chosen(case, _STAFF, "staff")
    if case.path == "/bookings/{bookingId}/payment":
        ids["bookingId"] = _chosen(case, (*_POOL["owed"], _BOOKINGS[0]), "owed")
    elif case.path == "/bookings/{bookingId}/refunds":
        ids["bookingId"] = _chosen(case, (*_POOL["paid"], _BOOKINGS[1]), "paid")
    elif "/tickets" in case.path or case.path.endswith("/calendar.ics"):
        ids |= _chosen(case, _POOL["tickets"], "ticket")
    elif case.path.endswith("/draw"):
        ids["eventId"] = _POOL["draw"]
    elif "/log/" in case.path:
        ids |= {"level": _chosen(case, ("0", "entries"), "level"), "index": "000.p/1"}
    elif case.path.endswith("/undo"):
        ids |= _chosen(case, _POOL["checkIns"], "check-in")
    elif case.path.endswith("/settle"):
        ids |= _chosen(case, _POOL["refunds"], "refund")
    return {name: ids[name] for name in case.path_parameters or () if name in ids}


def _sure(case: Case[Any]) -> dict[str, Any] | None:
    """A body that succeeds, in two of three calls that seldom do by chance."""
    if _chosen(case, range(3), "sure"):
        if case.path == "/cancel":
            return {"bookingId": _chosen(case, _POOL["live"], "live")}
        if case.path == "/bookings/{bookingId}/payment":
            return {"method": "card", "token": "tok_ok"}
    return None


def _led(case: Case[Any], body: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    sure = _sure(case)
    if sure is not None:
        return sure
    ours = {
        "eventId": event["id"],
        "ticketTypeId": _chosen(case, event["types"], "type"),
        "bookingId": _chosen(case, _BOOKINGS, "booking"),
        "token": _chosen(case, ("tok_ok", "tok_ok", "tok_decline", "tok_timeout", body.get("token")), "token"),
        "timeZone": _chosen(case, ("UTC", "Europe/Paris", "Pacific/Chatham"), "zone"),
        **{name: (datetime.now(UTC) + timedelta(days=days)).isoformat() for name, days in _DAYS.items()},
    }
    if case.path == "/events/{eventId}/staff":
        ours["email"] = _POOL["email"]
    elif case.path == "/create-user" and _chosen(case, range(3), "new"):
        ours["email"] = f"new-{next(_NUMBERS)}@example.org"
    # Nobody erases the account that is signed in.
    if (case.method, case.path) in (("POST", "/login"), ("PATCH", "/me")) and _chosen(case, range(3), "known"):
        password = _POOL["password"]
        ours |= {"email": _POOL["email"], "password": password, "currentPassword": password, "newPassword": password}
    body |= {name: value for name, value in ours.items() if body.get(name)}
    for priced in (body, *(each for each in body.get("ticketTypes", ()) if isinstance(each, dict))):
        if isinstance(priced.get("price"), dict) and "currency" in priced["price"]:
            priced["price"] = {**priced["price"], "currency": "EUR"}
    if case.path.endswith("/refunds") and isinstance(body.get("amount"), dict) and _chosen(case, range(3), "amount"):
        # A small part, which leaves something for the next.
        body["amount"] = {"amount": 100, "currency": "EUR"}
    if case.path == "/events/{eventId}" and _chosen(case, range(4), "status"):
        # An event that is over is soon of no more use to the others.
        body.pop("status", None)
    return body


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """What was made can be asked for."""
    if response.status_code != 201:
        return
    made = json.loads(response.content)
    if case.path in ("/initialize", "/events/{eventId}/ticket-types"):
        _EVENTS.append({"id": made["id"], "types": [each["id"] for each in made["ticketTypes"]]})
    elif case.path == "/book":
        _BOOKINGS.append(made["id"])
    elif case.path == "/webhooks":
        _WEBHOOKS.append(made["id"])
    elif case.path == "/api-keys":
        _API_KEYS.append(made["id"])
    elif case.path == "/events/{eventId}/staff":
        # /events/{eventId}/staff/{userId}
        _, _, event_id, _, user_id = response.headers["location"][0].split("/")
        _STAFF.append((event_id, user_id))


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """What is no failure though the schema would have it otherwise: a schema knows neither the time nor trimming."""
    if failure.code == "ST202" and response.status_code == 400:
        errors = json.loads(response.content)["errors"] if response.content else ()
        return not all(BEYOND_A_SCHEMA.fullmatch(error["detail"]) for error in errors)
    # A text too long as it came may fit once it is trimmed and composed, as texts are before they are measured.
    return failure.code != "ST201" or not any(_is_shortened(text) for text in _texts([case.body, case.query]))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from _texts(list(value.values()))
        case list():
            for each in value:
                yield from _texts(each)


def _is_shortened(text: str) -> bool:
    return len(unicodedata.normalize("NFC", text).strip()) < len(text)
