"""Scripts of other websites are kept out, unless the settings name their origin."""

import httpx
import pytest

from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.service_under_test import SECRET, Client, Service, ok

SHOP = "https://shop.example.org"


@pytest.fixture
def settings() -> Settings:
    given = {"DATABASE_URL": "memory://", "JWT_SECRET": SECRET, "CORS_ORIGINS": f"http://127.0.0.1:3000, {SHOP}"}
    return Settings.load({f"BOXOFFICE_{name}": text for name, text in given.items()})


async def preflight(client: Client, origin: str = SHOP) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    return await client.send("OPTIONS", "/book", headers=headers)


def words(answer: httpx.Response, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(header, "").split(",")} - {""}


async def test_a_preflight_says_what_a_browser_may_send(anyone: Client) -> None:
    answer = await preflight(anyone)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert words(answer, "access-control-allow-methods") == {"get", "head", "post", "patch", "delete"}
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id"} <= words(
        answer, "access-control-allow-headers"
    )
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in words(answer, "vary")
    assert answer.headers["x-request-id"]


async def test_answers_and_problems_may_be_read(service: Service) -> None:
    ada = await service.user()
    from_shop = {"Origin": SHOP}
    answers = [
        await ada.post("/initialize", {"name": "Jazz night", "totalTickets": 1}, headers=from_shop),
        await ada.get("/events", headers={**from_shop, "If-None-Match": "*"}),
        await ada.post("/book", {}, headers=from_shop),
        await service.anyone.get("/me", headers=from_shop),
        await service.anyone.get("//nope", headers=from_shop),
        await service.anyone.send("PUT", "/me", headers=from_shop),
    ]
    assert [answer.status_code for answer in answers] == [201, 304, 400, 401, 404, 405]
    exposed = {"x-request-id", "etag", "location", "retry-after", "idempotency-replayed"}
    for answer in answers:
        assert answer.headers.get_list("access-control-allow-origin") == [SHOP]
        assert words(answer, "access-control-expose-headers") == exposed
        assert "origin" in words(answer, "vary")


@pytest.mark.parametrize("origin", [f"{SHOP}.evil.example.org", f"{SHOP}:444", "http://shop.example.org", "null", "*"])
async def test_strangers_may_read_nothing(anyone: Client, origin: str) -> None:
    for answer in (await preflight(anyone, origin), await anyone.get("/events", headers={"Origin": origin})):
        assert "access-control-allow-origin" not in answer.headers


class TestUnset:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET)

    async def test_no_origin_may_read_anything(self, anyone: Client) -> None:
        assert "access-control-allow-origin" not in (await preflight(anyone)).headers
        answer = await anyone.get("/events", headers={"Origin": SHOP})
        ok(answer)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "vary" not in answer.headers
