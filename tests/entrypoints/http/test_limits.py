"""Limits over HTTP: which requests count, for whom they count, and the answer to one too many.

How requests and failures are counted, in one process and in several, is tested in `tests/application`.
"""

import asyncio

import httpx
import pytest
from dependency_injector.providers import Object

from boxoffice.application.limits.rate_limits import READS, SIGN_INS, SIGN_UPS, UNSIGNED, WRITES, Limit
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.conftest import Kept
from tests.entrypoints.http.service_under_test import JSON, PASSWORD, SECRET, Client, Service, ok, problem

PROXY = "127.0.0.1"
"""Where the tests' requests come from."""

ID = "019a0000-0000-7000-8000-000000000001"


@pytest.fixture
def settings() -> Settings:
    given = {"DATABASE_URL": "memory://", "JWT_SECRET": SECRET, "TRUSTED_PROXIES": PROXY}
    return Settings.load({f"BOXOFFICE_{name}": text for name, text in given.items()})


def of(address: str) -> dict[str, str]:
    """A request that the proxy passed on for this address."""
    return {"X-Forwarded-For": address}


def use_up(service: Service, limit: Limit, subject: object, *, but: int = 0) -> None:
    """As if all that a limit lets through had been sent, but for so many."""
    for _ in range(limit.most - but):
        service.container.request_limits()[limit](subject)


def number_of(client: Client) -> int:
    """What a user's requests are counted by."""
    return int(client.id.replace("-", ""), 16)


def too_many(answer: httpx.Response) -> int:
    problem(answer, 429, "too-many-requests")
    return int(answer.headers["retry-after"])


async def test_after_the_wait_that_is_asked_for_requests_get_through(service: Service) -> None:
    use_up(service, UNSIGNED, "192.0.2.7", but=2)
    for _ in range(2):
        ok(await service.anyone.get("/events", headers=of("192.0.2.7")))
    seconds = too_many(await service.anyone.get("/events", headers=of("192.0.2.7")))
    assert 1 <= seconds <= 120
    ok(await service.anyone.get("/events", headers=of("192.0.2.8")))
    service.clock.travel(seconds=seconds)
    ok(await service.anyone.get("/events", headers=of("192.0.2.7")))


async def test_reads_count_for_the_user_from_any_address(service: Service, logged: Kept) -> None:
    ada, ben = await service.user(), await service.user()
    use_up(service, READS, number_of(ada))
    for path in ("/events", f"/status/{ID}", "/me", "/bookings", "/problems/not-found"):
        too_many(await ada.get(path, headers=of("192.0.2.7")))
        assert (await ada.send("HEAD", path)).status_code == 429
    line = logged.take()[-1]
    assert (line["status"], str(line["user_id"])) == (429, ada.id)
    ok(await ben.get("/events", headers=of("192.0.2.7")))
    ok(await service.anyone.get("/events", headers=of("192.0.2.7")))
    # A read is no write.
    ok(await ada.post("/initialize", {"name": "Jazz night", "totalTickets": 1}), 201)


async def test_requests_with_an_api_key_count_for_its_owner(service: Service) -> None:
    ada = await service.user()
    key = ok(await ada.post("/api-keys", {"name": "A program", "role": "read"}), 201)["key"]
    program = Client(ada.http, ada.user, key)
    use_up(service, READS, number_of(ada), but=2)
    ok(await program.get("/events"))
    ok(await ada.get("/events"))
    too_many(await program.get("/events", headers=of("192.0.2.7")))
    too_many(await ada.get("/events"))


async def test_writes_have_a_limit_of_their_own(service: Service) -> None:
    ada = await service.user()
    event = await ada.event()
    use_up(service, WRITES, number_of(ada), but=2)
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
    ("limit", "path"),
    [(SIGN_UPS, "/create-user"), (SIGN_INS, "/login"), (SIGN_INS, "/refresh"), (SIGN_INS, "/logout")],
)
async def test_accounts_are_limited_by_address_signed_in_or_not(service: Service, limit: Limit, path: str) -> None:
    ada = await service.user()
    use_up(service, limit, "192.0.2.7")
    for client in (service.anyone, ada):
        too_many(await client.post(path, {}, headers=of("192.0.2.7")))
        assert (await client.post(path, {}, headers=of("192.0.2.8"))).status_code < 429


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


async def test_ten_failures_to_sign_in_close_known_and_unknown_accounts_alike(service: Service) -> None:
    ada = await service.user()

    async def sign_in(email: str, password: str = "wrong", address: str = "192.0.2.7") -> httpx.Response:
        return await service.anyone.post("/login", {"email": email, "password": password}, headers=of(address))

    for _ in range(12):
        # What is not valid is no failure.
        problem(await sign_in("no address"), 400, "invalid-request")
    for email in (ada.email, "unknown@example.org"):
        for _ in range(10):
            problem(await sign_in(email), 401, "wrong-credentials")
        assert too_many(await sign_in(email, PASSWORD)) == 900
    ok(await sign_in(ada.email, PASSWORD, "192.0.2.8"))
    service.clock.travel(seconds=900)
    ok(await sign_in(ada.email, PASSWORD))


class TestSwitchedOff:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False)

    async def test_nothing_is_limited(self, service: Service) -> None:
        ada = await service.user()
        use_up(service, READS, number_of(ada))
        use_up(service, UNSIGNED, "127.0.0.1")
        ok(await ada.get("/me"))
        ok(await service.anyone.get("/events"))
        for _ in range(15):
            wrong = {"email": ada.email, "password": "wrong"}
            problem(await service.anyone.post("/login", wrong), 401, "wrong-credentials")
        ok(await service.anyone.post("/login", {"email": ada.email, "password": PASSWORD}))


class Noted:
    """A chore that says when it was done twice."""

    def __init__(self) -> None:
        self.times = 0
        self.is_done_again = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        if self.times > 1:
            self.is_done_again.set()

    forget = __call__


@pytest.mark.parametrize("is_on", [True, False])
async def test_a_running_process_shares_its_counts_where_there_are_limits(is_on: bool) -> None:
    container = make_container(Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=is_on))
    sharing, forgetting, looking = Noted(), Noted(), Noted()
    container.share_counts.override(Object(sharing))
    container.failed_logins.override(Object(forgetting))
    container.resume_unsettled.override(Object(looking))
    async with asyncio.timeout(60), running(container, share_every=0.001, resume_every=0.001):
        await (sharing if is_on else looking).is_done_again.wait()
        assert forgetting.times == is_on
    assert (sharing.times > 1) == is_on
