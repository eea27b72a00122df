"""A `BoxOffice` that is reached over HTTP: the real application, asked as its clients ask it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
import msgspec
from dependency_injector.providers import Singleton
from msgspec import UNSET, Struct, structs

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.api_keys.create_api_key import NewApiKey
from boxoffice.application.bookings.book_for_other import BookingForOther
from boxoffice.application.bookings.pay_booking import Bill
from boxoffice.application.payments.grant_refund import Grant
from boxoffice.application.payments.settle_refund import Settlement
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import AddTicketType, Edit, Initialize
from boxoffice.domain.tickets.ticket import number_of, ticket_id
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.harness import HarnessClock
from boxoffice.entrypoints.harness.machine.box_office import (
    DISMISSED,
    HOLDERS,
    AttendeeSeen,
    BookingLook,
    BookingSeen,
    DoorLook,
    EventLook,
    EventSeen,
    ExplanationSeen,
    FactSeen,
    Order,
    Outcome,
    PaymentSeen,
    Replay,
    ScanSeen,
    ScanSent,
    TicketSeen,
    UndoneSeen,
    address_of,
    difference,
    has_account,
    user_of,
)
from boxoffice.entrypoints.harness.machine.commands import Appoint, ChangeDuty, Dismiss, GiveBack
from boxoffice.entrypoints.harness.machine.container.container_box_office import ContainerBoxOffice
from boxoffice.entrypoints.harness.machine.in_process import ATTENDEES
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.camel_case import camel_case

Thing = TypeVar("Thing")

PAGE = 2
PASSWORD = "correct horse battery"


class Refused(Exception):
    """The service said no, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Request(Struct, frozen=True):
    """What is sent."""

    method: str
    path: str
    body: dict[str, Any] | None


class OverHttp(ContainerBoxOffice):
    """The application of a container, over HTTP.

    Accounts are registered when their user first acts, and they sign in again when their token has expired. What has no
    call (promoting, sweeping and verifying, which operators and the background do) is done beside it, in its process.
    """

    def __init__(self, container: Container, clock: HarnessClock) -> None:
        super().__init__(container, clock)
        self._emails: dict[UUID, str] = {}
        self._tokens: dict[UUID, tuple[str, datetime]] = {}
        self._erased: set[UUID] = set()
        self._first_answers: dict[str, httpx.Response] = {}
        # A request that looks at revocations comes later than others: all look once, at the first one.
        container.authenticate.add_kwargs(seconds=lambda: 0.0)
        container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
        transport = httpx.ASGITransport(cast("Any", create_app(container)), raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://boxoffice")

    async def give(self, orders: Sequence[Order]) -> list[Outcome]:
        """All at once. In memory nothing lets one request overtake another before the turnstile."""
        for order in orders:
            if isinstance(order.command, BookingForOther) and has_account(user_of(order.command.person.email)):
                await self.add_account(user_of(order.command.person.email))
            if isinstance(order.command, Appoint | Dismiss) and order.command.user_id not in self._erased:
                await self._token(Actor(order.command.user_id))
        tokens = [await self._token(order.command.actor, order.api_key) for order in orders]
        sent = [self._send(order, token) for order, token in zip(orders, tokens, strict=True)]
        answers = await asyncio.gather(*sent)
        return [self._outcome(order, answer) for order, answer in zip(orders, answers, strict=True)]

    async def _send(self, order: Order, token: str) -> httpx.Response:
        request = self._request(order)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if order.key is not None:
            headers["Idempotency-Key"] = order.key
        content = b"" if request.body is None else msgspec.json.encode(request.body)
        return await self._http.request(request.method, request.path, content=content, headers=headers)

    def _request(self, order: Order) -> Request:
        id_of = self._names.id_of
        body: dict[str, Any]
        match order.command:
            case Initialize() as command:
                types = [_said(spec) for _, spec in command.ticket_types]
                body = {**_said(command.details), "status": command.status.value, "ticketTypes": types}
                request = Request("POST", "/initialize", body)
            case Book() | BookingForOther() as command:
                request = Request("POST", "/book", self._booking_body(command))
            case Cancel() as command:
                named = command.booking_id
                body = {"bookingId": id_of(named)} if named else {"eventId": id_of(command.event_id)}
                request = Request("POST", "/cancel", body)
            case GiveBack() as command:
                booking_id = id_of(command.booking_id)
                body = {"bookingId": booking_id, "quantity": command.quantity}
                if command.numbers is not None:
                    body["ticketIds"] = [ticket_id(booking_id, number) for number in command.numbers]
                request = Request("POST", "/cancel", body)
            case Bill() | Grant() | Settlement() as command:
                request = self._money_request(command)
            case Appoint() | Dismiss() as command:
                request = self._staff_request(command)
            case Edit() as command:
                request = Request("PATCH", f"/events/{id_of(command.event_id)}", _said(command.changes))
            case AddTicketType() as command:
                request = Request("POST", f"/events/{id_of(command.event_id)}/ticket-types", _said(command.spec))
            case command:
                path = f"/events/{id_of(command.event_id)}/ticket-types/{id_of(command.ticket_type_id)}"
                request = Request("PATCH", path, _said(command.changes))
        return request

    def _money_request(self, command: Bill | Grant | Settlement) -> Request:
        path = f"/bookings/{self._names.id_of(command.booking_id)}"
        match command:
            case Bill():
                body = {"method": command.method.value, **({"token": command.token} if command.token else {})}
                return Request("POST", f"{path}/payment", body)
            case Grant():
                given = {"amount": msgspec.to_builtins(command.amount), "reason": command.reason}
                return Request("POST", f"{path}/refunds", given)
            case _:
                return Request("POST", f"{path}/payments/{self._names.id_of(command.payment_id)}/settle", {})

    def _staff_request(self, command: Appoint | Dismiss) -> Request:
        match command:
            case ChangeDuty():
                return Request("PATCH", self._member(command), {"role": command.role.value})
            case Appoint():
                body = {"email": self._emails[command.user_id], "role": command.role.value}
                return Request("POST", f"/events/{self._names.id_of(command.event_id)}/staff", body)
            case _:
                return Request("DELETE", self._member(command), None)

    def _member(self, command: ChangeDuty | Dismiss) -> str:
        return f"/events/{self._names.id_of(command.event_id)}/staff/{self._names.id_of(command.user_id)}"

    def _booking_body(self, command: Book | BookingForOther) -> dict[str, Any]:
        body: dict[str, Any] = {"eventId": self._names.id_of(command.event_id), "quantity": command.quantity}
        if command.ticket_type_id is not None:
            body["ticketTypeId"] = self._names.id_of(command.ticket_type_id)
        if command.only_if_available:
            body["onlyIfAvailable"] = True
        if isinstance(command, BookingForOther):
            body["onBehalfOf"] = _said(command.person)
            if command.complimentary is not None:
                body["complimentary"] = _said(command.complimentary)
        return body

    def _outcome(self, order: Order, answer: httpx.Response) -> Outcome:
        is_replayed = answer.headers.get("idempotency-replayed") == "true"
        if order.key is not None:
            first = self._first_answers.setdefault(order.key, answer) if is_replayed else answer
            self._first_answers[order.key] = first
            assert (answer.status_code, answer.content) == (first.status_code, first.content)
            assert answer.headers.get("location") == first.headers.get("location")
        try:
            found = order.read(_checked(answer))
        except Refused as refused:
            return Replay(refused.code) if is_replayed else refused.code
        assert not isinstance(found, str) or found == DISMISSED
        self._meet(order, found, answer)
        seen = self._names.translated(found)
        return Replay(seen) if is_replayed else seen

    def _meet(self, order: Order, found: object, answer: httpx.Response) -> None:
        """Learn which ids the server gave to what the machine named."""
        command, location = order.command, None
        if isinstance(command, Initialize) and isinstance(found, EventSeen):
            self._names.give(command.event_id, found.id)
            for (name, _), each in zip(command.ticket_types, found.ticket_types, strict=True):
                self._names.give(name, each.id)
            location = f"/events/{found.id}"
        elif isinstance(command, Book | BookingForOther) and isinstance(found, BookingSeen):
            self._names.give(command.booking_id, found.id)
            if isinstance(command, BookingForOther):
                self._names.meet(user_of(command.person.email), found.customer_id)
            location = f"/bookings/{found.id}"
        elif isinstance(command, AddTicketType) and isinstance(found, EventSeen):
            self._names.give(command.ticket_type_id, found.ticket_types[-1].id)
            location = f"/events/{found.id}"
        elif isinstance(command, Grant):
            location = f"/bookings/{self._names.id_of(command.booking_id)}/payments"
        elif isinstance(command, Appoint) and not isinstance(command, ChangeDuty):
            location = self._member(Dismiss(command.event_id, command.actor, command.user_id))
        assert answer.headers.get("location") == location
        assert answer.status_code == (204 if found == DISMISSED else 200 if location is None else 201)

    async def erase(self, user_id: UUID) -> str | None:
        """`DELETE /me`; later the address may be another user's."""
        headers = {"Authorization": f"Bearer {await self._token(Actor(user_id))}"}
        answer = await self._http.request("DELETE", "/me", json={"currentPassword": PASSWORD}, headers=headers)
        try:
            if answer.status_code != 204:
                _checked(answer)
        except Refused as refused:
            return refused.code
        assert answer.content == b""
        self._erased.add(user_id)
        return None

    async def event(self, event_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> EventLook | str:
        """Everything that `GET` tells of an event; `/status` has to say the same as `/events`."""
        path, token = f"/events/{self._names.id_of(event_id)}", await self._token(actor, api_key)
        try:
            event = await self._get(path, token, EventSeen)
            status = await self._get(f"/status/{self._names.id_of(event_id)}", token, dict[str, Any])
            bookings = [each async for each in self._list(f"{path}/bookings", token, BookingSeen)]
            line = [each async for each in self._list(f"{path}/waiting-list", token, BookingSeen)]
            attendees = [each async for each in self._list(f"{path}/attendees", token, AttendeeSeen, limit=ATTENDEES)]
            changes = [each async for each in self._changes(event_id, token)]
        except Refused as refused:
            return refused.code
        _check_status(status, event)
        look = EventLook(event=event, bookings=bookings, waiting_list=line, attendees=attendees, changes=changes)
        seen: EventLook = self._names.translated(look)
        return seen

    async def _changes(self, event_id: UUID, token: str) -> AsyncIterator[FactSeen]:
        path = f"/events/{self._names.id_of(event_id)}/changes"
        while True:
            after = self._last_seqs.get(event_id, 0)
            page = await self._get(f"{path}?after={after}&limit={PAGE}", token, dict[str, Any])
            facts = msgspec.convert(page["items"], list[FactSeen])
            assert page["lastSeq"] == (facts[-1].seq if facts else after)
            if not facts:
                return
            self._last_seqs[event_id] = page["lastSeq"]
            for fact in facts:
                yield fact

    async def booking(self, booking_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> BookingLook | str:
        """A booking, its payments and its explanation."""
        path, token = f"/bookings/{self._names.id_of(booking_id)}", await self._token(actor, api_key)
        try:
            booking = await self._get(path, token, BookingSeen)
            payments = [each async for each in self._list(f"{path}/payments", token, PaymentSeen)]
            explanation = await self._get(f"{path}/explanation", token, ExplanationSeen)
        except Refused as refused:
            return refused.code
        seen: BookingLook = self._names.translated(
            BookingLook(booking=booking, payments=payments, explanation=explanation)
        )
        return seen

    async def lists(self, event_id: UUID, actor: Actor) -> list[BookingSeen] | str:
        """The bookings and the waiting list of an event."""
        path, token = f"/events/{self._names.id_of(event_id)}", await self._token(actor)
        try:
            found = [each async for each in self._list(f"{path}/bookings", token, BookingSeen)]
            found += [each async for each in self._list(f"{path}/waiting-list", token, BookingSeen)]
        except Refused as refused:
            return refused.code
        seen: list[BookingSeen] = self._names.translated(found)
        return seen

    async def tickets(self, booking_id: UUID, actor: Actor) -> list[TicketSeen] | str:
        """The tickets of a booking."""
        try:
            with self.without_trouble():
                path = f"/bookings/{self._names.id_of(booking_id)}/tickets"
                found = await self._get(path, await self._token(actor), dict[str, Any])
        except Refused as refused:
            return refused.code
        return [self._seen_ticket(each) for each in found["items"]]

    async def change_ticket(
        self, booking_id: UUID, number: int, actor: Actor, holder: str | None, *, reissue: bool
    ) -> TicketSeen | str:
        """Change a ticket."""
        await self.tickets(booking_id, actor)
        id_ = self._names.id_of(booking_id)
        body = {} if holder is None else {"holderName": holder}
        path = f"/bookings/{id_}/tickets/{ticket_id(id_, number)}"
        try:
            answer = await self._patch(path, body | ({"reissue": True} if reissue else {}), actor)
        except Refused as refused:
            return refused.code
        return self._seen_ticket(answer)

    def _seen_ticket(self, answer: dict[str, Any]) -> TicketSeen:
        holder = answer["holderName"] if answer["holderName"] in HOLDERS else None
        serial = self.serial_of(answer["code"])
        return TicketSeen(number=answer["number"], serial=serial, holder=holder, status=answer["status"])

    async def scan(self, event_id: UUID, actor: Actor, scans: Sequence[ScanSent]) -> list[ScanSeen] | str:
        """A batch of check-ins."""
        items = [
            {
                "id": each.id,
                "code": await self.code_of(each),
                "at": each.at,
                "device": "Gate",
                **({"offline": True} if each.is_offline else {}),
            }
            for each in scans
        ]
        path = f"/events/{self._names.id_of(event_id)}/check-ins"
        try:
            answers = await self._post(path, {"items": items}, actor)
        except Refused as refused:
            return refused.code
        return [
            ScanSeen(
                id=UUID(each["id"]),
                result=each["result"],
                number=None if each["ticketId"] is None else number_of(UUID(each["ticketId"])),
                admitted_at=_time(each["admittedAt"]),
            )
            for each in answers["items"]
        ]

    async def undo_check_in(self, event_id: UUID, check_in_id: UUID, actor: Actor) -> UndoneSeen | str:
        """Undo a check-in."""
        path = f"/events/{self._names.id_of(event_id)}/check-ins/{check_in_id}/undo"
        try:
            answer = await self._post(path, None, actor)
        except Refused as refused:
            return refused.code
        assert answer["id"] == str(check_in_id)
        number = number_of(UUID(answer["ticketId"]))
        return UndoneSeen(number=number, checked_in_at=_time(answer["checkedInAt"]))

    async def door(self, event_id: UUID, actor: Actor) -> DoorLook | str:
        """What a scanner reads."""
        path, token = f"/events/{self._names.id_of(event_id)}", await self._token(actor)
        try:
            with self.without_trouble():
                door = await self._get(f"{path}/door", token, dict[str, Any])
            conflicts = [
                each async for each in self._list(f"{path}/check-ins", token, dict[str, Any], also="&conflicts=true")
            ]
        except Refused as refused:
            return refused.code
        used = [(number_of(UUID(each["ticketId"])), _time(each["at"])) for each in door["used"]]
        return DoorLook(
            void=[number_of(UUID(each)) for each in door["void"]],
            used=[(number, at) for number, at in used if at is not None],
            reissued=[(number_of(UUID(each["ticketId"])), each["serial"]) for each in door["reissued"]],
            conflicts=[(each["number"], [UUID(entry["id"]) for entry in each["entries"]]) for each in conflicts],
        )

    async def _patch(self, path: str, body: dict[str, Any], actor: Actor) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._token(actor)}"}
        found: dict[str, Any] = msgspec.json.decode(_checked(await self._http.patch(path, json=body, headers=headers)))
        return found

    async def _post(self, path: str, body: Any, actor: Actor) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._token(actor)}", "Content-Type": "application/json"}
        content = b"" if body is None else msgspec.json.encode(body)
        found: dict[str, Any] = msgspec.json.decode(
            _checked(await self._http.post(path, content=content, headers=headers))
        )
        return found

    async def bookings_of(self, actor: Actor) -> list[BookingSeen]:
        """One's own bookings."""
        found = [each async for each in self._list("/bookings", await self._token(actor), BookingSeen)]
        seen: list[BookingSeen] = self._names.translated(found)
        return seen

    async def make_api_key(self, key_id: UUID, command: NewApiKey) -> str | None:
        """Make a key as its owner."""
        event_id = command.event_id and self._names.id_of(command.event_id)
        body = {"name": command.name, "role": command.role, "eventId": event_id, "expiresAt": command.expires_at}
        headers = {"Authorization": f"Bearer {await self._token(command.actor)}"}
        given = msgspec.to_builtins({name: value for name, value in body.items() if value is not None})
        answer = await self._http.post("/api-keys", json=given, headers=headers)
        try:
            found = msgspec.json.decode(_checked(answer))
        except Refused as refused:
            return refused.code
        self._names.give(key_id, UUID(found["id"]))
        self._key_texts[key_id] = found["key"]
        return None

    async def revoke_api_key(self, key_id: UUID, actor: Actor) -> str | None:
        """Revoke a key, perhaps another's."""
        headers = {"Authorization": f"Bearer {await self._token(actor)}"}
        answer = await self._http.delete(f"/api-keys/{self._names.id_of(key_id)}", headers=headers)
        if answer.status_code == 204:
            return None
        code: str = answer.json()["code"]
        return code

    async def close(self) -> None:
        """Also close the client."""
        await self._http.aclose()
        await super().close()

    async def _token(self, actor: Actor, api_key: UUID | None = None) -> str:
        """A token that is good now, or the text of an API key."""
        if api_key is not None:
            return self._key_texts[api_key]
        with self.without_trouble():
            return await self._sign_in(actor)

    async def add_account(self, user_id: UUID) -> None:
        """Its sessions end when it is disabled."""
        if user_id not in self._emails:
            with self.without_trouble():
                await self._register(Actor(user_id))
        self._tokens.pop(user_id, None)

    async def _sign_in(self, actor: Actor) -> str:
        if actor.user_id not in self._emails:
            await self._register(actor)
        token, expires_at = self._tokens.get(actor.user_id, ("", self._clock.now()))
        if expires_at <= self._clock.now():
            credentials = {"email": self._emails[actor.user_id], "password": PASSWORD}
            found = msgspec.json.decode(_checked(await self._http.post("/login", json=credentials)))
            token = found["accessToken"]
            self._tokens[actor.user_id] = token, self._clock.now() + timedelta(seconds=found["expiresIn"])
            _checked(await self._http.get("/me", headers={"Authorization": f"Bearer {token}"}))
        return token

    async def _register(self, actor: Actor) -> None:
        email = address_of(actor.user_id)
        body = {"name": "A user", "email": email, "password": PASSWORD}
        found = msgspec.json.decode(_checked(await self._http.post("/create-user", json=body)))
        if actor.role is not Role.CUSTOMER:
            await self._container.grant_role()(email, actor.role)
        self._emails[actor.user_id] = email
        self._names.give(actor.user_id, UUID(found["id"]))

    async def _get(self, path: str, token: str, wanted: type[Thing]) -> Thing:
        headers = {"Authorization": f"Bearer {token}"}
        return msgspec.json.decode(_checked(await self._http.get(path, headers=headers)), type=wanted)

    async def _list(
        self, path: str, token: str, wanted: type[Thing], limit: int = PAGE, also: str = ""
    ) -> AsyncIterator[Thing]:
        """All of a list, in pieces."""
        cursor = ""
        while True:
            page = await self._get(f"{path}?limit={limit}{also}{cursor}", token, dict[str, Any])
            for item in page["items"]:
                yield msgspec.convert(item, wanted)
            if page["nextCursor"] is None:
                return
            cursor = f"&cursor={page['nextCursor']}"


def _checked(answer: httpx.Response) -> bytes:
    """The body of a success. Raises: Refused."""
    if answer.status_code == 204:
        assert not answer.content
        return b""
    if answer.is_success:
        assert answer.headers["content-type"] == "application/json"
        return answer.content
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    raise Refused(problem["code"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else msgspec.convert(text, datetime)


def _check_status(status: dict[str, Any], event: EventSeen) -> None:
    """What `/status` says follows from what `/events` says."""
    types = msgspec.to_builtins(event.ticket_types)
    expected = {
        "eventId": str(event.id),
        "name": status["name"],
        "status": event.status,
        "totalTickets": sum(each.total_tickets for each in event.ticket_types),
        "availableTickets": sum(each.available_tickets for each in event.ticket_types),
        "waitingListCount": sum(each.waiting_list_count for each in event.ticket_types),
        "isSoldOut": event.is_sold_out,
        "ticketTypes": types,
    }
    assert status == expected, difference(status, expected)


def _said(fields: Struct) -> dict[str, Any]:
    """What a body says of it: only what is set, by the names that it has over HTTP."""
    return {camel_case(name): value for name, value in structs.asdict(fields).items() if value is not UNSET}
