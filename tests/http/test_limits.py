"""Limits over HTTP: which requests count, whom they count for, and what is said when it was too much."""

import httpx
import pytest

from boxoffice.application.limits.rate_limits import READS, SIGN_INS, SIGN_UPS, UNSIGNED, WRITES, Limit
from boxoffice.entrypoints.settings import Settings
from tests.http.conftest import Kept
from tests.http.service import JSON, PASSWORD, SECRET, Client, Service, ok, problem

PROXY = "127.0.0.1"
"""Where the tests' requests come from."""

ID = "019a0000-0000-7000-8000-000000000001"


@pytest.fixture
def settings() -> Settings:
    given = {"DATABASE_URL": "memory://", "JWT_SECRET": SECRET, "TRUSTED_PROXIES": PROXY}
    return Settings.load({f"BOXOFFICE_{name}": text for name, text in given.items()})


def of(address: str) -> dict[str, str]:
    """A request that the proxy passed on for somebody."""
    return {"X-Forwarded-For": address}


def use_up(service: Service, limit: Limit, subject: object, *, but: int = 0) -> None:
    """As if all that a limit lets through had been sent, but for so many."""
    for _ in range(limit.most - but):
        service.container.request_limits()[limit](subject)


def too_many(answer: httpx.Response) -> int:
    problem(answer, 429, "too-many-requests")
    return int(answer.headers["retry-after"])


async def test_whoever_is_told_to_wait_gets_through_after_it(service: Service) -> None:
    use_up(service, UNSIGNED, "192.0.2.7", but=2)
    for _ in range(2):
        ok(await service.anyone.get("/events", headers=of("192.0.2.7")))
    seconds = too_many(await service.anyone.get("/events", headers=of("192.0.2.7")))
    assert 1 <= seconds <= 120
    ok(await service.anyone.get("/events", headers=of("192.0.2.8")))
    service.clock.travel(seconds=seconds)
    ok(await service.anyone.get("/events", headers=of("192.0.2.7")))


async def test_what_a_user_reads_counts_for_the_user_wherever_it_comes_from(service: Service) -> None:
    ada, ben = await service.user(), await service.user()
    use_up(service, READS, int(ada.id.replace("-", ""), 16))
    for path in ("/events", f"/status/{ID}", "/me", "/bookings", "/problems/not-found"):
        too_many(await ada.get(path, headers=of("192.0.2.7")))
        assert (await ada.send("HEAD", path)).status_code == 429
    ok(await ben.get("/events", headers=of("192.0.2.7")))
    ok(await service.anyone.get("/events", headers=of("192.0.2.7")))
    # Reading is no writing.
    ok(await ada.post("/initialize", {"name": "Jazz night", "totalTickets": 1}), 201)


async def test_what_a_user_changes_has_a_limit_of_its_own(service: Service) -> None:
    ada = await service.user()
    event = await ada.event()
    use_up(service, WRITES, int(ada.id.replace("-", ""), 16), but=2)
    await ada.book(event)
    too_many(await ada.post("/book", {"eventId": event["id"]}))
    too_many(await ada.patch(f"/events/{event['id']}", {"name": "Blues night"}))
    # It comes before what is wrong with the body, and after who it is and whether the path is one.
    too_many(await ada.send("POST", "/book", content=b"{", headers=JSON))
    problem(await ada.send("DELETE", "/book"), 405, "method-not-allowed")
    problem(await ada.post("/nope", {}), 404, "not-found")
    problem(await service.anyone.post("/book", {"eventId": event["id"]}), 401, "not-signed-in")
    assert ok(await ada.get(f"/status/{event['id']}"))["availableTickets"] == 9


@pytest.mark.parametrize(
    ("limit", "path", "body"),
    [
        (SIGN_UPS, "/create-user", {}),
        (SIGN_INS, "/login", {}),
        (SIGN_INS, "/refresh", {"refreshToken": "x"}),
        (SIGN_INS, "/logout", {"refreshToken": "x"}),
    ],
)
async def test_accounts_are_limited_by_address_signed_in_or_not(
    service: Service, limit: Limit, path: str, body: dict[str, str]
) -> None:
    ada = await service.user()
    use_up(service, limit, "192.0.2.7")
    for client in (service.anyone, ada):
        too_many(await client.post(path, body, headers=of("192.0.2.7")))
        assert (await client.post(path, body, headers=of("192.0.2.8"))).status_code < 429


async def test_bad_tokens_count_for_the_address(service: Service) -> None:
    use_up(service, UNSIGNED, "192.0.2.7", but=3)
    bad = {**of("192.0.2.7"), "Authorization": "Bearer wrong"}
    for _ in range(2):
        problem(await service.anyone.get("/me", headers=bad), 401, "invalid-token")
    problem(await service.anyone.get("/me", headers=of("192.0.2.7")), 401, "not-signed-in")
    too_many(await service.anyone.get("/me", headers=bad))
    too_many(await service.anyone.get("/me", headers=of("192.0.2.7")))


async def test_operations_have_no_limit(service: Service) -> None:
    use_up(service, UNSIGNED, "127.0.0.1")
    too_many(await service.anyone.get("/events"))
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"):
        assert (await service.anyone.get(path)).status_code == 200


async def test_a_refused_request_is_in_the_log_with_its_user(service: Service, logged: Kept) -> None:
    ada = await service.user()
    use_up(service, READS, int(ada.id.replace("-", ""), 16))
    logged.take()
    too_many(await ada.get("/me"))
    (line,) = logged.take()
    assert (line["status"], str(line["user_id"])) == (429, ada.id)


class TestSigningIn:
    async def attempt(self, service: Service, email: str, password: str, address: str) -> httpx.Response:
        return await service.anyone.post("/login", {"email": email, "password": password}, headers=of(address))

    async def test_ten_failures_close_an_account_and_nobody_learns_whether_it_exists(self, service: Service) -> None:
        ada = await service.user()
        for email in (ada.email, "nobody@example.org"):
            for _ in range(10):
                answer = await self.attempt(service, email, "wrong", "192.0.2.7")
                problem(answer, 401, "wrong-credentials")
        seconds = {too_many(await self.attempt(service, ada.email, PASSWORD, "192.0.2.7"))}
        seconds |= {too_many(await self.attempt(service, "nobody@example.org", PASSWORD, "192.0.2.7"))}
        assert seconds == {900}
        ok(await self.attempt(service, ada.email, PASSWORD, "192.0.2.8"))
        service.clock.travel(seconds=900)
        ok(await self.attempt(service, ada.email, PASSWORD, "192.0.2.7"))

    async def test_what_is_not_valid_is_no_failure(self, service: Service) -> None:
        ada = await service.user()
        for _ in range(12):
            problem(await self.attempt(service, "no address", "wrong", "192.0.2.7"), 400, "invalid-request")
        ok(await self.attempt(service, ada.email, PASSWORD, "192.0.2.7"))


class TestSwitchedOff:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False)

    async def test_nothing_is_limited(self, service: Service) -> None:
        ada = await service.user()
        use_up(service, READS, int(ada.id.replace("-", ""), 16))
        use_up(service, UNSIGNED, "127.0.0.1")
        ok(await ada.get("/me"))
        ok(await service.anyone.get("/events"))
        for _ in range(15):
            wrong = {"email": ada.email, "password": "wrong"}
            problem(await service.anyone.post("/login", wrong), 401, "wrong-credentials")
        ok(await service.anyone.post("/login", {"email": ada.email, "password": PASSWORD}))


class TestUntrusted:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET)

    async def test_nobody_says_to_be_somebody_else(self, service: Service) -> None:
        use_up(service, UNSIGNED, "127.0.0.1")
        for headers in (of("192.0.2.7"), {"Forwarded": "for=192.0.2.7"}, {"X-Real-IP": "192.0.2.7"}):
            too_many(await service.anyone.get("/events", headers=headers))


async def test_customers_of_one_address_are_many(service: Service) -> None:
    """The limits leave room for a crowd behind one address, as the manual says."""
    clients: list[Client] = [await service.user() for _ in range(20)]
    event = await clients[0].event(totalTickets=100)
    for client in clients:
        for _ in range(5):
            ok(await client.get(f"/status/{event['id']}"))
        await client.book(event)
