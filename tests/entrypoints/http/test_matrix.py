"""The matrix of calls and callers: every route has its rule, and every cell is tried."""

from collections import Counter
from pathlib import Path

import httpx
import pytest
from litestar.routes import HTTPRoute

from boxoffice.domain.user import Role
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.entrypoints.http.matrix import ANYONE, CALLERS, SIGNED_IN, TRIALS, Row, Scene, Trial, new_scene
from tests.entrypoints.http.service_under_test import SECRET, Client, Service, problem


@pytest.fixture
def settings() -> Settings:
    """Without limits, because all callers come from one address."""
    return Settings(database_url="memory://", jwt_secret=SECRET, rate_limits=False)


def matrix(rows: dict[str, Row]) -> str:
    """A table as `docs/roles.md` shows it."""
    lines = [f"| call | {' | '.join(CALLERS)} |", f"|---|{'---|' * len(CALLERS)}"]
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
    ):
        assert table in documented, f"docs/roles.md must show:\n{table}"
    names = Counter(trial.name for trial in TRIALS)
    assert names.most_common(1)[0][1] == 1


async def _callers(service: Service) -> dict[str, Client]:
    clients = {name: await service.user() for name in CALLERS if name != "anonymous"}
    await service.container.grant_role()(clients["admin"].email, Role.ADMIN)
    await clients["admin"].sign_in_again()
    return {"anonymous": service.anyone, **clients}


async def _answers(trial: Trial, service: Service, clients: dict[str, Client], *, is_draft: bool) -> Row:
    """What each caller gets: those who may get the success, each in a scene of their own if it changes anything."""
    expected, success = trial.row, trial.success
    if is_draft and trial.draft is not None:
        expected, success = trial.draft, trial.draft_success or trial.success
    scene: Scene | None = None
    found: list[str] = []
    for name, expectation in zip(CALLERS, expected, strict=True):
        changes = expectation == "yes" and not trial.call.startswith("GET ")
        if scene is None or (changes and expected not in (ANYONE, SIGNED_IN)):
            scene = await new_scene(service, clients, status="draft" if is_draft else "on_sale")
        if changes or not found:
            await trial.prepare(scene)
        found.append(_outcome(await trial.send(scene, clients[name]), success))
    return tuple(found)


_CODES = {401: {"not-signed-in", "invalid-token"}, 403: {"not-allowed"}, 404: {"not-found"}}


def _outcome(answer: httpx.Response, success: int) -> str:
    status = answer.status_code
    if status == success:
        return "yes"
    if status in _CODES and answer.json()["code"] in _CODES[status]:
        return str(problem(answer, status, answer.json()["code"])["status"])
    return f"{status} {answer.text}"


async def test_every_call_answers_every_caller_as_its_rule_says(service: Service) -> None:
    clients = await _callers(service)
    found = {trial.name: await _answers(trial, service, clients, is_draft=False) for trial in TRIALS}

    assert found == {trial.name: trial.row for trial in TRIALS}


async def test_a_draft_is_found_by_those_who_work_for_it_only(service: Service) -> None:
    clients = await _callers(service)
    trials = [trial for trial in TRIALS if trial.draft is not None]
    found = {trial.name: await _answers(trial, service, clients, is_draft=True) for trial in trials}

    assert found == {trial.name: trial.draft for trial in trials}
