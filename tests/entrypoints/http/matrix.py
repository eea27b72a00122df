"""Who may call what: each route with the answer to every caller, and a request that succeeds for those who may."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from boxoffice.application.ports.ticket_codes import TicketRef
from boxoffice.domain.tickets.ticket import ticket_id
from boxoffice.domain.webhooks import Delivery, DeliveryStatus
from tests.entrypoints.http.service_under_test import EUR_25, PASSWORD, Client, Service, ok

CALLERS: Final = ("anonymous", "stranger", "customer", "door", "desk", "manager", "organizer", "admin")
"""The customer has a booking of the event and nothing else; a stranger has nothing."""

Row = tuple[str, ...]
"""What each caller gets: `yes`, or the status of the refusal."""


KEYS: Final = ("read", "door", "desk", "manager", "organizer")
"""The API keys of the organizer, by their roles; none is for one event."""


def _row(text: str) -> Row:
    row = tuple(text.split())
    assert len(row) == len(CALLERS)
    return row


def _keys(text: str) -> Row:
    row = tuple(text.split())
    assert len(row) == len(KEYS)
    return row


ANYONE: Final = _row("yes yes yes yes yes yes yes yes")
NOBODY: Final = _row("404 404 404 404 404 404 404 404")
NOTHING: Final = _row("401 404 404 404 404 404 404 404")
SIGNED_IN: Final = _row("401 yes yes yes yes yes yes yes")
DOOR: Final = _row("401 403 403 yes yes yes yes yes")
DESK: Final = _row("401 403 403 403 yes yes yes yes")
MANAGER: Final = _row("401 403 403 403 403 yes yes yes")
ORGANIZER: Final = _row("401 403 403 403 403 403 yes yes")
DRAFTS_LOG: Final = _row("404 404 404 403 403 403 yes yes")
ORGANIZER_IN_PERSON: Final = _row("401 403 403 403 403 403 yes 403")
OWNER: Final = _row("401 404 404 404 404 404 yes 404")
"""The thing is the organizer's own."""
UNKNOWN_TOKEN: Final = _row("401 401 401 401 401 401 401 401")
CUSTOMER: Final = _row("401 404 yes 404 404 404 404 404")
BOOKING: Final = _row("401 404 yes 404 yes yes yes yes")
"""The booking's customer, and whoever works with the bookings of others."""
TICKETS: Final = _row("401 404 yes yes yes yes yes yes")
NAMING: Final = _row("401 404 yes 403 yes yes yes yes")
RECEIPT: Final = _row("401 404 yes 404 403 403 403 403")
CARD: Final = _row("401 404 yes 404 403 403 403 403")
CASH: Final = _row("401 404 403 404 yes yes yes yes")
REFUND: Final = _row("401 404 403 404 403 yes yes yes")

ALL_KEYS: Final = _keys("yes yes yes yes yes")
NO_KEY: Final = _keys("403 403 403 403 403")
OWN_READS: Final = _keys("yes 403 403 403 yes")
OWN_ACTS: Final = _keys("403 403 403 403 yes")
_READING_KEYS: Final = {
    DOOR: ALL_KEYS,
    DESK: _keys("yes 403 yes yes yes"),
    MANAGER: _keys("yes 403 403 yes yes"),
    ORGANIZER: OWN_READS,
    OWNER: OWN_READS,
    BOOKING: _keys("yes 404 yes yes yes"),
    TICKETS: ALL_KEYS,
    RECEIPT: _keys("403 404 403 403 403"),
}
_ACTING_KEYS: Final = {
    DOOR: _keys("403 yes yes yes yes"),
    DESK: _keys("403 403 yes yes yes"),
    MANAGER: _keys("403 403 403 yes yes"),
    ORGANIZER: OWN_ACTS,
    ORGANIZER_IN_PERSON: OWN_ACTS,
    OWNER: OWN_ACTS,
    CUSTOMER: _keys("404 404 404 404 404"),
    BOOKING: _keys("403 404 yes yes yes"),
    NAMING: _keys("403 403 yes yes yes"),
    CARD: _keys("403 404 403 403 403"),
    CASH: _keys("403 404 yes yes yes"),
    REFUND: _keys("403 404 403 yes yes"),
}
_ANY: Final = {each: tuple(each[: len(KEYS)]) for each in (ANYONE, NOBODY, UNKNOWN_TOKEN)}


@dataclass
class Scene:
    """An event with its staff and a customer's booking."""

    service: Service
    clients: Mapping[str, Client]
    event: dict[str, Any]
    booking: dict[str, Any] = field(default_factory=dict)
    thing: dict[str, Any] = field(default_factory=dict)
    """What the trial is about, if it is neither the event nor the booking."""

    @property
    def organizer(self) -> Client:
        return self.clients["organizer"]


async def new_scene(service: Service, clients: Mapping[str, Client], *, status: str = "on_sale") -> Scene:
    """An event of the organizer's with its staff, and a booking if it is on sale."""
    organizer = clients["organizer"]
    event = await organizer.event(price=EUR_25, status=status)
    for role in ("door", "desk", "manager"):
        body = {"email": clients[role].email, "role": role}
        ok(await organizer.post(f"/events/{event['id']}/staff", body), 201)
    scene = Scene(service, clients, event)
    if status == "on_sale":
        scene.booking = await clients["customer"].book(event)
    return scene


Send = Callable[[Scene, Client], Awaitable[httpx.Response]]
Prepare = Callable[[Scene], Awaitable[None]]


async def _nothing(_: Scene) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A call, the answers to each caller, and a request that succeeds for those who may make it.

    `draft` are the answers where the event was never on sale; None: it makes no difference.
    """

    call: str
    note: str = ""
    row: Row
    send: Send
    success: int = 200
    prepare: Prepare = _nothing
    draft: Row | None = None
    draft_success: int | None = None
    own: Row | None = None
    """What each key may do with what is its owner's own, where everyone who is signed in may do it."""

    @property
    def keys(self) -> Row:
        """The answer to each of the organizer's keys."""
        of_method = _READING_KEYS if self.call.startswith("GET ") else _ACTING_KEYS
        return self.own or {**_ANY, **of_method}[self.row]

    @property
    def name(self) -> str:
        """The call as the documented matrix names it."""
        call = re.sub(r"_(\w)", lambda found: found[1].upper(), self.call)
        return f"`{call}`{self.note and ' ' + self.note}"


def _hidden(row: Row) -> Row:
    """The row of a draft: to those who do not work for it there is no such event."""
    return tuple(
        "404" if each in {"403", "yes"} and caller in _OUTSIDE else each
        for caller, each in zip(CALLERS, row, strict=True)
    )


_OUTSIDE: Final = ("anonymous", "stranger", "customer")


def _trial(call: str, row: Row, body: Any = None, query: str = "", **others: Any) -> Trial:
    """A trial of a path below an event, a booking or neither. A body may depend on the scene."""
    method, path = call.split()

    async def send(scene: Scene, client: Client) -> httpx.Response:
        given = body(scene) if callable(body) else body
        ids = {
            "event_id": scene.event["id"],
            "booking_id": scene.booking.get("id"),
            "ticket_type_id": scene.event["ticketTypes"][0]["id"],
            "user_id": scene.clients["door"].id,
            **{name: scene.thing.get("id") for name in ("payment_id", "webhook_id", "delivery_id", "api_key_id")},
            **scene.thing,
        }
        options = {} if given is None else {"json": given}
        target = path.format(**{"code": "not-found", "path": "unknown", **ids})
        return await client.send(method, target + query, **options)

    if "{event_id}" in path:
        others.setdefault("draft", _hidden(row))
    return Trial(call=call, row=row, send=send, **others)


async def _cancelled(scene: Scene) -> None:
    if scene.booking:
        ok(await scene.clients["customer"].post("/cancel", _by_booking(scene)))
        scene.booking = {}


async def _paid(scene: Scene) -> None:
    ok(await scene.clients["customer"].pay(scene.booking))


async def _ticket(scene: Scene) -> None:
    listed = ok(await scene.clients["customer"].get(f"/bookings/{scene.booking['id']}/tickets"))
    scene.thing = {"ticket_id": listed["items"][0]["id"]}


async def _starting(scene: Scene) -> None:
    ok(await scene.organizer.patch(f"/events/{scene.event['id']}", {"startsAt": "2099-01-01T19:00:00Z"}))


async def _owed_in_cash(scene: Scene) -> None:
    ok(await scene.organizer.pay(scene.booking, None))
    body = {"amount": EUR_25, "reason": "A pillar in the view"}
    scene.thing = ok(await scene.organizer.post(f"/bookings/{scene.booking['id']}/refunds", body), 201)


async def _webhook(scene: Scene) -> None:
    scene.thing = ok(await scene.organizer.post("/webhooks", _WEBHOOK), 201)


async def _dead_delivery(scene: Scene) -> None:
    await _webhook(scene)
    ids, now = scene.service.container.ids(), scene.service.clock.now()
    delivery = Delivery(
        id=ids.new(),
        webhook_id=UUID(scene.thing["id"]),
        event_id=UUID(scene.event["id"]),
        seq=1,
        kind="EventInitialized",
        status=DeliveryStatus.DEAD,
        attempts=1,
        created_at=now,
        tried_at=now,
        due_at=None,
        error="answered 410",
    )
    async with scene.service.container.storage().begin() as unit_of_work:
        await unit_of_work.webhooks.put_delivery(delivery)
        await unit_of_work.commit()
    scene.thing = {"webhook_id": scene.thing["id"], "delivery_id": str(delivery.id)}


async def _api_key(scene: Scene) -> None:
    scene.thing = ok(await scene.organizer.post("/api-keys", _API_KEY), 201)


def _scan(code: str) -> dict[str, Any]:
    return {"id": str(uuid4()), "code": code, "at": "2030-01-01T19:00:00Z", "device": "Gate"}


async def _checked_in(scene: Scene) -> None:
    entry = _scan("BX1")
    if scene.booking:
        ticket = ticket_id(UUID(scene.booking["id"]), 1)
        code = await scene.service.container.ticket_codes().code(TicketRef(UUID(scene.event["id"]), ticket, 1))
        entry = _scan(code)
        ok(await scene.organizer.post(f"/events/{scene.event['id']}/check-ins", {"items": [entry]}))
    scene.thing = {"check_in_id": entry["id"]}


async def _sealed(scene: Scene) -> None:
    await scene.service.container.seal_log()(UUID(scene.event["id"]))
    scene.thing = {"level": "entries", "index": "000.p/1"}


async def _sealed_in_public(scene: Scene) -> None:
    ok(await scene.organizer.patch(f"/events/{scene.event['id']}", {"log": "public"}))
    await _sealed(scene)


async def _another_helper(scene: Scene) -> None:
    scene.thing = {"email": (await scene.service.user()).email}


async def _drawing(scene: Scene) -> None:
    draw = {"admission": "draw", "drawClosesAt": "2099-01-01T19:00:00Z", "status": scene.event["status"]}
    event = await scene.organizer.event(**draw)
    for role in ("door", "desk", "manager"):
        ok(
            await scene.organizer.post(
                f"/events/{event['id']}/staff", {"email": scene.clients[role].email, "role": role}
            ),
            201,
        )
    scene.thing = {"event_id": event["id"]}


_WEBHOOK: Final = {"url": "https://hooks.example.org/boxoffice"}
_API_KEY: Final = {"name": "A program", "role": "read"}
_NEW_USER: Final = {"name": "Ada", "password": PASSWORD}


def _by_booking(scene: Scene) -> dict[str, Any]:
    return {"bookingId": scene.booking["id"]}


def _by_event(scene: Scene) -> dict[str, Any]:
    return {"eventId": scene.event["id"]}


def _for_another(scene: Scene) -> dict[str, Any]:
    return {**_by_event(scene), "onBehalfOf": {"name": "Ada", "email": "person@example.org"}}


def _complimentary(scene: Scene) -> dict[str, Any]:
    return {**_for_another(scene), "complimentary": {"reason": "For the band"}}


async def _new_address(scene: Scene) -> None:
    scene.thing = {"address": f"new{scene.service.container.ids().new()}@example.org"}


def _registration(scene: Scene) -> dict[str, Any]:
    return {**_NEW_USER, "email": scene.thing["address"]}


async def _erase_another(scene: Scene, client: Client) -> httpx.Response:
    """Erase an account like the caller's, because the caller is still needed."""
    is_signed_in = client.token is not None and not client.token.startswith("bxo_")
    erased = await scene.service.user() if is_signed_in else client
    return await erased.send("DELETE", "/me", json={"currentPassword": PASSWORD})


TRIALS: Final = (
    # Accounts.
    _trial("POST /create-user", ANYONE, _registration, success=201, prepare=_new_address),
    _trial("POST /verify-email", ANYONE, {"token": "unknown"}, success=409),
    _trial("POST /forgot-password", ANYONE, {"email": "ada@example.org"}, success=503),
    _trial("POST /reset-password", ANYONE, {"token": "unknown", "newPassword": "another horse"}, success=409),
    _trial("POST /login", ANYONE, lambda scene: {"email": scene.organizer.email, "password": PASSWORD}),
    _trial("POST /refresh", UNKNOWN_TOKEN, {"refreshToken": "unknown"}),
    _trial("POST /logout", ANYONE, {"refreshToken": "unknown"}, success=204),
    _trial("GET /me", SIGNED_IN, own=ALL_KEYS),
    _trial("GET /me/export", SIGNED_IN, own=NO_KEY),
    _trial("PATCH /me", SIGNED_IN, {"name": "Ada"}, own=NO_KEY),
    Trial(call="DELETE /me", row=SIGNED_IN, send=_erase_another, success=204, own=NO_KEY),
    _trial("POST /me/verification", SIGNED_IN, success=503, own=NO_KEY),
    _trial("GET /api-keys", SIGNED_IN, own=NO_KEY),
    _trial("POST /api-keys", SIGNED_IN, _API_KEY, success=201, own=NO_KEY),
    _trial("DELETE /api-keys/{api_key_id}", OWNER, success=204, prepare=_api_key, own=NO_KEY),
    # Events.
    _trial("POST /initialize", SIGNED_IN, {"name": "Jazz night", "totalTickets": 1}, success=201, own=OWN_ACTS),
    _trial("GET /events", ANYONE),
    _trial("GET /events/{event_id}", ANYONE),
    _trial("GET /status/{event_id}", ANYONE),
    _trial("GET /events/{event_id}/draw", ANYONE, prepare=_drawing),
    _trial("PATCH /events/{event_id}", MANAGER, {"name": "Blues night"}),
    _trial("PATCH /events/{event_id}", MANAGER, {"status": "on_sale"}, note="to publish, pause or resume it"),
    _trial("PATCH /events/{event_id}", ORGANIZER, {"status": "cancelled"}, note="to complete or cancel it"),
    _trial("POST /events/{event_id}/ticket-types", MANAGER, {"name": "Balcony", "totalTickets": 1}, success=201),
    _trial("PATCH /events/{event_id}/ticket-types/{ticket_type_id}", MANAGER, {"name": "Stalls"}),
    _trial("GET /events/{event_id}/bookings", DESK),
    _trial("GET /events/{event_id}/waiting-list", DESK),
    _trial("GET /events/{event_id}/attendees", DOOR),
    _trial("GET /events/{event_id}/attendees.csv", DOOR),
    _trial("GET /events/{event_id}/door", DOOR),
    _trial("GET /events/{event_id}/check-ins", DOOR, query="?conflicts=true"),
    _trial("POST /events/{event_id}/check-ins", DOOR, lambda _: {"items": [_scan("BX1")]}),
    _trial("POST /events/{event_id}/check-ins/{check_in_id}/undo", DOOR, prepare=_checked_in, draft=NOTHING),
    _trial("GET /events/{event_id}/payments", DESK),
    _trial("GET /events/{event_id}/changes", MANAGER),
    _trial("GET /events/{event_id}/staff", ORGANIZER),
    _trial("GET /events/{event_id}/log/checkpoint", ORGANIZER, prepare=_sealed, draft=DRAFTS_LOG),
    _trial("GET /events/{event_id}/log/tile/{level}/{index}", ORGANIZER, prepare=_sealed, draft=DRAFTS_LOG),
    _trial(
        "GET /events/{event_id}/log/checkpoint",
        ANYONE,
        note="where `log` is `public`",
        prepare=_sealed_in_public,
    ),
    _trial(
        "GET /events/{event_id}/log/tile/{level}/{index}",
        ANYONE,
        note="where `log` is `public`",
        prepare=_sealed_in_public,
    ),
    _trial(
        "POST /events/{event_id}/staff",
        ORGANIZER,
        lambda scene: {"email": scene.thing["email"], "role": "door"},
        success=201,
        prepare=_another_helper,
    ),
    _trial("PATCH /events/{event_id}/staff/{user_id}", ORGANIZER, {"role": "door"}),
    _trial("DELETE /events/{event_id}/staff/{user_id}", ORGANIZER, success=204),
    # Bookings.
    _trial(
        "POST /book",
        SIGNED_IN,
        _by_event,
        success=201,
        prepare=_cancelled,
        draft=_hidden(SIGNED_IN),
        draft_success=409,
        own=OWN_ACTS,
    ),
    _trial(
        "POST /book",
        DESK,
        _for_another,
        note="with `onBehalfOf`",
        success=201,
        prepare=_cancelled,
        draft=_hidden(DESK),
        draft_success=409,
    ),
    _trial(
        "POST /book",
        MANAGER,
        _complimentary,
        note="with `complimentary`",
        success=201,
        prepare=_cancelled,
        draft=_hidden(MANAGER),
        draft_success=409,
    ),
    _trial("POST /cancel", BOOKING, _by_booking, note="by `bookingId`"),
    _trial("POST /cancel", CUSTOMER, _by_event, note="by `eventId`"),
    _trial("GET /bookings", SIGNED_IN, own=OWN_READS),
    _trial("GET /bookings/{booking_id}", BOOKING),
    _trial("GET /bookings/{booking_id}/explanation", BOOKING),
    _trial("GET /bookings/{booking_id}/tickets", TICKETS),
    _trial("PATCH /bookings/{booking_id}/tickets/{ticket_id}", NAMING, {"holderName": "Grace"}, prepare=_ticket),
    _trial("GET /bookings/{booking_id}/tickets/{ticket_id}/qr.svg", TICKETS, prepare=_ticket),
    _trial("GET /bookings/{booking_id}/calendar.ics", TICKETS, prepare=_starting),
    _trial("GET /bookings/{booking_id}/receipt", RECEIPT, prepare=_sealed),
    _trial("GET /bookings/{booking_id}/payments", BOOKING),
    _trial("POST /bookings/{booking_id}/payment", CARD, {"method": "card", "token": "tok_ok"}, note="by card"),
    _trial("POST /bookings/{booking_id}/payment", CASH, {"method": "cash"}, note="in cash"),
    _trial(
        "POST /bookings/{booking_id}/refunds",
        REFUND,
        {"amount": EUR_25, "reason": "A pillar"},
        success=201,
        prepare=_paid,
    ),
    _trial("POST /bookings/{booking_id}/payments/{payment_id}/settle", CASH, {}, prepare=_owed_in_cash),
    # Webhooks.
    _trial("GET /webhooks", SIGNED_IN, own=OWN_READS),
    _trial("POST /webhooks", SIGNED_IN, _WEBHOOK, success=201, own=OWN_ACTS),
    _trial(
        "POST /webhooks",
        ORGANIZER_IN_PERSON,
        lambda scene: {**_WEBHOOK, "eventId": scene.event["id"]},
        note="of an event",
        success=201,
        draft=_hidden(ORGANIZER_IN_PERSON),
    ),
    _trial("GET /webhooks/{webhook_id}", OWNER, prepare=_webhook),
    _trial("PATCH /webhooks/{webhook_id}", OWNER, {"active": True}, prepare=_webhook),
    _trial("DELETE /webhooks/{webhook_id}", OWNER, success=204, prepare=_webhook),
    _trial("GET /webhooks/{webhook_id}/deliveries", OWNER, prepare=_webhook),
    _trial("POST /webhooks/{webhook_id}/deliveries/{delivery_id}/retry", OWNER, prepare=_dead_delivery),
    # Operations.
    _trial("GET /log/key", ANYONE),
    *(
        _trial(f"GET {path}", ANYONE)
        for path in ("/health/live", "/health/ready", "/metrics", "/problems", "/openapi.json")
    ),
    *(_trial(f"GET {path}", ANYONE) for path in ("/problems/{code}", "/docs", "/docs/scalar.js", "/docs/openapi.json")),
    _trial("GET /docs/{path}", ANYONE, success=404, note="(there is no such page)"),
    _trial("POST /stripe/webhook", NOBODY, {}, note="without its secret"),
)
"""Every route, at least once."""
