"""The service inside another program: its handlers, middleware and plugins beside ours, or ours below a path."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, asgi, get, post
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.params import FromPath, JSONBody
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import Struct

from boxoffice.domain.refusals import EventClosed
from boxoffice.entrypoints.container import Container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import container_of, new_user, ok, problem, served
from tests.settable_clock import SettableClock


class Song(Struct):
    """What the embedder's own part is about."""

    title: str
    minutes: int


@get("/songs/{song_id:int}")
async def read_song(song_id: FromPath[int]) -> Song:
    return Song("Take Five", song_id)


@post("/songs")
async def add_song(data: JSONBody[Song]) -> Song:
    return data


@get("/broken/{status:int}")
async def fail(status: FromPath[int]) -> None:
    match status:
        case 404:
            raise NotFoundException("There is no such song.")
        case 403:
            raise PermissionDeniedException("Only the band may hear this.")
        case 409:
            raise EventClosed
        case 500:
            raise ZeroDivisionError("a detail of the inside")
        case _:
            raise HTTPException("Short and stout.", status_code=status, headers={"X-Pot": "tea"})


class Watch:
    """A middleware that notes what was asked and answered."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.seen.append((scope["path"], message["status"]))
                await send(message)

            await app(scope, receive, note)

        return middleware


class Plugin(InitPlugin):
    """A plugin that brings a handler."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        @get("/from-a-plugin", sync_to_thread=False)
        def read_plugin() -> dict[str, str]:
            return {"is": "here"}

        app_config.route_handlers.append(read_plugin)
        return app_config


class OwnUsers(AbstractAuthenticationMiddleware):
    """An authentication with users that are none of ours."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        return AuthenticationResult(user=connection.headers.get("x-user"), auth=None)


@pytest.fixture
def container(settings: Settings, clock: SettableClock) -> Container:
    return container_of(settings, clock)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def app(container: Container, watch: Watch) -> Litestar:
    return create_app(
        container,
        route_handlers=[read_song, add_song, fail],
        middleware=[watch],
        plugins=[Plugin()],
    )


@pytest.fixture
async def http(app: Litestar, container: Container) -> AsyncIterator[httpx.AsyncClient]:
    async with served(app, container) as http:
        yield http


async def test_own_handlers_answer_beside_ours_with_the_same_headers(http: httpx.AsyncClient) -> None:
    assert ok(await http.get("/songs/5")) == {"title": "Take Five", "minutes": 5}
    assert ok(await http.post("/songs", json={"title": "So What", "minutes": 9}), 201)["minutes"] == 9
    assert ok(await http.get("/from-a-plugin")) == {"is": "here"}
    organizer = await new_user(http, "ada@example.org")
    assert (await organizer.book(await organizer.event()))["status"] == "confirmed"
    for path in ("/songs/5", "/from-a-plugin", "/broken/500"):
        answer = await http.get(path, headers={"X-Request-Id": "mine"})
        assert answer.headers["x-request-id"] == "mine"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'route="/songs/{song_id}"' in (await http.get("/metrics")).text


async def test_own_handlers_stand_in_the_reference_when_they_are_added_later_too(
    app: Litestar, http: httpx.AsyncClient
) -> None:
    @get("/later", sync_to_thread=False)
    def read_later() -> str:
        return "later"

    document = ok(await http.get("/openapi.json"))
    assert {"/songs", "/songs/{songId}", "/from-a-plugin", "/book"} <= document["paths"].keys()
    assert document["paths"]["/songs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    app.register(read_later)
    assert "/later" in ok(await http.get("/openapi.json"))["paths"]
    assert (await http.get("/later")).text == "later"


async def test_own_middleware_sees_every_request_to_a_path_that_exists(http: httpx.AsyncClient, watch: Watch) -> None:
    """Those that are refused before their handler, too."""
    for path in ("/songs/5", "/events", "/me", "/events/nothing", "/broken/500"):
        await http.get(path)
    await http.get("/me", headers={"Authorization": "Bearer bad"})
    await http.post("/login", content=b"nonsense")
    assert watch.seen == [
        ("/songs/5", 200),
        ("/events", 200),
        ("/me", 401),
        ("/events/nothing", 404),
        ("/broken/500", 500),
        ("/me", 401),
        ("/login", 415),
    ]


async def test_an_unexpected_error_in_an_own_handler_is_a_problem_and_logged(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await http.get("/broken/500")
    found = problem(answer, 500, "internal-error")
    assert "a detail of the inside" not in answer.text
    assert any(found["requestId"] in record.getMessage() and record.exc_info for record in caplog.records)


async def test_what_an_own_handler_refuses_is_a_problem_in_its_words(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert problem(await http.get("/broken/409"), 409, "event-closed")
    assert problem(await http.get("/broken/404"), 404, "not-found")["detail"] == "There is no such song."
    for status, code, detail in (
        (403, "forbidden", "Only the band may hear this."),
        (418, "i'm-a-teapot", "Short and stout."),
        (507, "insufficient-storage", "Short and stout."),
        (499, "error", "Short and stout."),
    ):
        answer = await http.get(f"/broken/{status}", headers={"X-Request-Id": "mine"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        found = answer.json()
        assert (found["type"], found["status"], found["detail"]) == ("about:blank", status, detail)
        assert (found["code"], found["requestId"], answer.headers["x-request-id"]) == (code, "mine", "mine")
        assert answer.headers.get("x-pot") == (None if status == 403 else "tea")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(("body", "pointer"), [(b'{"title": "X", "minutes": "x"}', "/minutes"), (b"{", "")])
async def test_a_body_that_an_own_handler_cannot_take_is_a_problem(
    http: httpx.AsyncClient, body: bytes, pointer: str
) -> None:
    answer = await http.post("/songs", content=body, headers={"Content-Type": "application/json"})
    assert [each["pointer"] for each in problem(answer, 400, "invalid-request")["errors"]] == [pointer]


async def test_own_users_are_none_of_ours(container: Container) -> None:
    app = create_app(container, route_handlers=[read_song], middleware=[OwnUsers])
    async with served(app, container) as http:
        stranger = {"X-User": "grace"}
        answer = await http.get("/songs/5", headers=stranger)
        assert ok(answer)
        assert answer.headers["cache-control"] == "no-store"
        problem(await http.get("/me", headers=stranger), 401, "not-signed-in")
        problem(await http.get("/events/", headers=stranger), 404, "not-found")
        ada = await new_user(http, "ada@example.org")
        assert ok(await ada.get("/me", headers=stranger))["email"] == "ada@example.org"


def below_a_path(app: ASGIApp) -> Any:
    @asgi("/tickets", is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return Litestar([mounted, read_song], middleware=[OwnUsers])


async def test_the_whole_service_works_below_a_path(container: Container) -> None:
    async with served(below_a_path(create_app(container)), container) as http:
        http.base_url = httpx.URL("http://boxoffice/tickets")
        ada = await new_user(http, "ada@example.org")
        event = await ada.event(totalTickets=1)
        key = {"Idempotency-Key": "once"}
        booked = await ada.post("/book", {"eventId": event["id"]}, headers=key)
        again = await ada.post("/book", {"eventId": event["id"]}, headers=key)
        assert again.content == booked.content
        assert again.headers["idempotency-replayed"] == "true"
        assert ok(await ada.get(f"/bookings/{ok(booked, 201)['id']}"))["status"] == "confirmed"
        assert ok(await http.get(f"/status/{event['id']}"))["isSoldOut"] is True
        stranger = {"X-User": "grace"}
        problem(await http.get("/me", headers=stranger), 401, "not-signed-in")
        problem(await http.get("/nowhere", headers=stranger), 404, "not-found")
        assert ok(await http.get("/openapi.json"))["paths"]


async def test_a_path_that_is_ours_already_stops_the_start(container: Container) -> None:
    @get("/events", sync_to_thread=False)
    def read_events() -> None: ...

    with pytest.raises(Exception, match="/events"):
        create_app(container, route_handlers=[read_song, read_events])
