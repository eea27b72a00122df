"""What the server gets, message by message."""

import pytest

from boxoffice.entrypoints.http.request import MOST_BYTES
from tests.entrypoints.http.messages import Exchange
from tests.entrypoints.http.service_under_test import Service

BODY = b'{"refreshToken": "unknown"}'


@pytest.mark.parametrize(
    "path", ["/health/live", "/metrics", "/events", "/openapi.json", "/docs", "/problems", "/me", "/events/x", "/nope"]
)
async def test_an_answer_to_head_has_the_headers_of_get_and_no_body(service: Service, path: str) -> None:
    """Whatever server it is served with: some would send the body."""
    got, head = Exchange(service.app), Exchange(service.app)
    await got.send("GET", path, (b"x-request-id", b"one"))
    await head.send("HEAD", path, (b"x-request-id", b"one"))
    assert got.body
    assert (head.status, head.body) == (got.status, b"")
    if got.status == 200 and path != "/metrics":
        assert head.headers == got.headers
        assert int(head.headers[b"content-length"]) == len(got.body)


@pytest.mark.parametrize("size", [1, 1_000, MOST_BYTES])
async def test_a_body_without_a_length_has_64_kib_at_most(service: Service, size: int) -> None:
    """However it comes in parts; the rest is not waited for."""
    whole = BODY.ljust(MOST_BYTES)
    fits = Exchange(service.app, *(whole[at : at + size] for at in range(0, MOST_BYTES, size)), ends=True)
    await fits.send("POST", "/logout")
    assert fits.status == 204
    large = Exchange(service.app, *(whole[at : at + size] for at in range(0, MOST_BYTES, size)), b" ")
    await large.send("POST", "/logout")
    assert (large.status, large.problem["code"]) == (413, "body-too-large")
    assert not large.is_waited_for.is_set()


async def test_a_client_that_goes_away_in_the_middle_changes_nothing(service: Service) -> None:
    gone = Exchange(service.app, leaves=True)
    await gone.send("POST", "/logout")
    assert (gone.status, gone.problem["code"]) == (400, "invalid-request")
