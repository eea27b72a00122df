"""Other websites' scripts: kept out, unless the settings name their origin."""

import httpx
import pytest

from boxoffice.entrypoints.settings import Settings
from tests.http.service import SECRET, Client, Service, ok

SHOP = "https://shop.example.org"
OTHER = "http://127.0.0.1:3000"
STRANGERS = (
    "https://evil.example.org",
    "https://shop.example.org.evil.example.org",
    "https://shop.example.org:444",
    "http://shop.example.org",
    "HTTPS://SHOP.example.org",
    "https://shop.example.org/",
    "null",
    "*",
    "",
)


@pytest.fixture
def settings() -> Settings:
    return Settings.load(
        {
            "BOXOFFICE_DATABASE_URL": "memory://",
            "BOXOFFICE_JWT_SECRET": SECRET,
            "BOXOFFICE_CORS_ORIGINS": f"{SHOP}, {OTHER}",
        }
    )


async def preflight(client: Client, path: str, method: str = "POST", origin: str = SHOP) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    return await client.send("OPTIONS", path, headers=headers)


def words(answer: httpx.Response, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(header, "").split(",")} - {""}


@pytest.mark.parametrize("origin", [SHOP, OTHER])
async def test_a_browser_is_told_what_it_may_send(anyone: Client, origin: str) -> None:
    answer = await preflight(anyone, "/book", origin=origin)
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == origin
    assert words(answer, "access-control-allow-methods") == {"get", "head", "post", "patch", "delete"}
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id"} <= words(
        answer, "access-control-allow-headers"
    )
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in words(answer, "vary")
    assert answer.headers["x-request-id"]


async def test_whoever_asks_may_read_the_answer_and_problems_too(service: Service) -> None:
    ada = await service.user()
    from_shop = {"Origin": SHOP}
    answers = [
        await ada.post("/initialize", {"name": "Jazz night", "totalTickets": 1}, headers=from_shop),
        await ada.get("/events", headers=from_shop),
        await ada.get("/events", headers={**from_shop, "If-None-Match": "*"}),
        await ada.post("/book", {}, headers=from_shop),
        await service.anyone.get("/me", headers=from_shop),
        await service.anyone.get("/nope", headers=from_shop),
        await service.anyone.get("//nope", headers=from_shop),
        await service.anyone.send("PUT", "/me", headers=from_shop),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 304, 400, 401, 404, 404, 405]
    for answer in answers:
        assert answer.headers.get_list("access-control-allow-origin") == [SHOP]
        assert words(answer, "access-control-expose-headers") == {
            "x-request-id",
            "etag",
            "location",
            "retry-after",
            "idempotency-replayed",
        }
        assert "origin" in words(answer, "vary")


@pytest.mark.parametrize("origin", STRANGERS)
async def test_strangers_may_read_nothing(anyone: Client, origin: str) -> None:
    answers = [
        await preflight(anyone, "/book", origin=origin),
        await anyone.get("/events", headers={"Origin": origin}),
    ]
    for answer in answers:
        assert "access-control-allow-origin" not in answer.headers


async def test_who_is_no_browser_sees_no_difference(anyone: Client) -> None:
    assert "access-control-allow-origin" not in (await anyone.get("/events")).headers


class TestUnset:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET)

    async def test_no_origin_may(self, anyone: Client) -> None:
        assert "access-control-allow-origin" not in (await preflight(anyone, "/book")).headers
        answer = await anyone.get("/events", headers={"Origin": SHOP})
        ok(answer)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "vary" not in answer.headers
