"""The matrix of calls and callers: every route has its rule, and every cell is tried."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from litestar.routes import HTTPRoute

from boxoffice.domain.user import Role
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.matrix import (
    ANYONE,
    CALLERS,
    KEYS,
    NOBODY,
    OWNER,
    SIGNED_IN,
    TRIALS,
    UNKNOWN_TOKEN,
    Row,
    Scene,
    Trial,
    new_scene,
)
from tests.entrypoints.http.service_under_test import SECRET, Client, Service, ok, problem


@pytest.fixture
def settings() -> Settings:
    """Without limits, because all callers come from one address."""
    return Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False)


def matrix(rows: dict[str, Row], columns: Sequence[str] = CALLERS) -> str:
    """A table as `docs/roles.md` shows it."""
    lines = [f"| call | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(row)} |" for name, row in rows.items())])


def test_every_route_has_its_rule() -> None:
    app = create_app(make_container(Settings(database_url="memory://")))
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    calls = {f"{method} {route.path_format}" for route in routes for method in route.methods - {"HEAD", "OPTIONS"}}

    assert {trial.call for trial in TRIALS} == calls


def test_the_matrix_is_the_documented_one() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "roles.md").read_text(encoding="utf-8")

    for table in (
        matrix({trial.name: trial.row for trial in TRIALS}),
        matrix({trial.name: trial.draft for trial in TRIALS if trial.draft is not None}),
        matrix({trial.name: trial.keys for trial in TRIALS}, KEYS),
    ):
        assert table in documented, f"docs/roles.md must show:\n{table}"
    names = Counter(trial.name for trial in TRIALS)
    assert names.most_common(1)[0][1] == 1


async def _callers(service: Service) -> dict[str, Client]:
    clients = {name: await service.user() for name in CALLERS if name != "anonymous"}
    await service.container.grant_role()(clients["admin"].email, Role.ADMIN)
    await clients["admin"].sign_in_again()
    return {"anonymous": service.anyone, **clients}


@dataclass(frozen=True)
class Attempt:
    """A trial with the answers that callers shall get, of a published event or of a draft."""

    trial: Trial
    expected: Row
    status: str = "on_sale"

    @property
    def success(self) -> int:
        """The status of the success."""
        return (self.status == "draft" and self.trial.draft_success) or self.trial.success

    async def answers(self, service: Service, clients: dict[str, Client], callers: Sequence[Client]) -> Row:
        """What each caller gets: those who may get the success, in a scene of their own if it changes anything."""
        scene: Scene | None = None
        found: list[str] = []
        for caller, expectation in zip(callers, self.expected, strict=True):
            changes = expectation == "yes" and not self.trial.call.startswith("GET ")
            if scene is None or (changes and self.trial.row not in (ANYONE, SIGNED_IN)):
                scene = await new_scene(service, clients, status=self.status)
            if changes or not found:
                await self.trial.prepare(scene)
            found.append(_outcome(await self.trial.send(scene, caller), self.success))
        return tuple(found)


async def _check(attempts: Sequence[Attempt], service: Service, clients: dict[str, Client], *others: Client) -> None:
    callers = others or [clients[name] for name in CALLERS]
    found = {each.trial.name: await each.answers(service, clients, callers) for each in attempts}
    assert found == {each.trial.name: each.expected for each in attempts}


_CODES = {401: {"not-signed-in", "invalid-token"}, 403: {"not-allowed"}, 404: {"not-found"}}


def _outcome(answer: httpx.Response, success: int) -> str:
    status = answer.status_code
    if status == success:
        return "yes"
    if status in _CODES and answer.json()["code"] in _CODES[status]:
        return str(problem(answer, status, answer.json()["code"])["status"])
    return f"{status} {answer.text}"


async def test_every_call_answers_every_caller_as_its_rule_says(service: Service) -> None:
    await _check([Attempt(trial, trial.row) for trial in TRIALS], service, await _callers(service))


async def test_a_draft_is_found_by_those_who_work_for_it_only(service: Service) -> None:
    drafts = [Attempt(trial, trial.draft, "draft") for trial in TRIALS if trial.draft is not None]

    await _check(drafts, service, await _callers(service))


async def test_every_call_answers_every_api_key_as_its_rule_says(service: Service) -> None:
    clients = await _callers(service)
    organizer = clients["organizer"]
    made = [ok(await organizer.post("/api-keys", {"name": role, "role": role}), 201) for role in KEYS]
    programs = [Client(service.http, organizer.user, key["key"]) for key in made]

    await _check([Attempt(trial, trial.keys) for trial in TRIALS], service, clients, *programs)


def _of_another_event(trial: Trial) -> str:
    """What a key that is for another event gets: it is a stranger in this one, and for its owner it does nothing."""
    if trial.row in (ANYONE, NOBODY, UNKNOWN_TOKEN) or trial.call == "GET /me":
        return trial.row[1]
    return "403" if trial.row in (SIGNED_IN, OWNER) else trial.row[1]


async def test_an_api_key_of_an_event_is_a_stranger_in_another_one(service: Service) -> None:
    clients = await _callers(service)
    organizer = clients["organizer"]
    body = {"name": "A program", "role": "organizer", "eventId": (await organizer.event())["id"]}
    program = Client(service.http, organizer.user, ok(await organizer.post("/api-keys", body), 201)["key"])
    attempts = [Attempt(trial, (_of_another_event(trial),)) for trial in TRIALS]
    drafts = [Attempt(trial, (trial.draft[1],), "draft") for trial in TRIALS if trial.draft is not None]

    await _check(attempts, service, clients, program)
    await _check(drafts, service, clients, program)
