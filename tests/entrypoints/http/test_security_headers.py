"""Headers for browsers, on every answer."""

import httpx
import pytest

from tests.entrypoints.http.service_under_test import JSON, PASSWORD, Client, Service


def check(answer: httpx.Response) -> str:
    """What every answer has, once; what is said about keeping it."""
    for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
        assert answer.headers.get_list(name) == [value]
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers
    (cached,) = answer.headers.get_list("cache-control")
    return str(cached)


@pytest.mark.parametrize("path", ["/events", "/docs", "/openapi.json", "/health/live", "/problems/not-found"])
async def test_a_copy_of_a_public_answer_is_asked_about_again(anyone: Client, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert check(await anyone.send(method, path)) == "no-cache"


async def test_a_copy_of_an_event_may_be_kept_by_an_anonymous_client(service: Service) -> None:
    ada = await service.user()
    event = await ada.event()
    for path in (f"/events/{event['id']}", f"/status/{event['id']}"):
        answer = await service.anyone.get(path)
        assert check(answer) == "no-cache"
        again = await service.anyone.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, check(again)) == (304, "no-cache")
        assert check(await ada.get(path)) == "no-store"


async def test_no_copy_of_a_private_answer_is_kept(service: Service) -> None:
    ada = await service.user()
    event = await ada.event()
    for path in ("/me", "/bookings", f"/events/{event['id']}/bookings", f"/events/{event['id']}/changes", "/events"):
        for method in ("GET", "HEAD"):
            assert check(await ada.send(method, path)) == "no-store"
    for answer in (
        await ada.post("/book", {"eventId": event["id"]}),
        await ada.patch("/me", {"name": "Ada Lovelace"}),
        await service.anyone.post("/create-user", {"name": "B", "email": "b@example.org", "password": PASSWORD}),
        await service.anyone.post("/login", {"email": ada.email, "password": PASSWORD}),
    ):
        assert answer.status_code < 300
        assert check(answer) == "no-store"


async def test_no_copy_of_a_refusal_is_kept(service: Service) -> None:
    ada = await service.user()
    answers = [
        await service.anyone.get("/me"),
        await service.anyone.get("/nope"),
        await service.anyone.get("//"),
        await service.anyone.get("/events?limit=0"),
        await service.anyone.send("PUT", "/events"),
        await ada.send("POST", "/book", content=b"{", headers=JSON),
        await ada.send("POST", "/book", content=b"x"),
        await service.http.get("/events", headers={"Host": "a b"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 404, 400, 405, 400, 415, 400]
    assert {check(answer) for answer in answers} == {"no-store"}
