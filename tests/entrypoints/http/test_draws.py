"""A draw over HTTP: what is published of it is enough to recompute it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from boxoffice.entrypoints.checkers.check_draw import check_draw
from tests.adapters.randomness.recorded_beacons import ROUND_657413, as_file
from tests.entrypoints.checkers.drawn_documents import CHAIN
from tests.entrypoints.http.service_under_test import Client, Service, ok, problem


async def a_draw(service: Service, **fields: Any) -> tuple[dict[str, Any], list[Client]]:
    """An event whose draw closes in a minute, and three people who entered it, one after the other."""
    organizer = await service.user()
    closes_at = service.clock.time + timedelta(minutes=1)
    event = await organizer.event(totalTickets=2, admission="draw", drawClosesAt=closes_at.isoformat(), **fields)
    people = [await service.user() for _ in range(3)]
    for each in people:
        assert (await each.book(event))["position"] is None
    return event, people


async def seal(service: Service, event: dict[str, Any]) -> None:
    while not (await service.container.seal_log()(UUID(event["id"]))).is_done:
        pass


async def draw_of(service: Service, event: dict[str, Any]) -> dict[str, Any]:
    return ok(await service.anyone.get(f"/events/{event['id']}/draw"))


async def test_a_draw_by_the_operator(service: Service) -> None:
    event, people = await a_draw(service, drawSource="operator")
    opened = await draw_of(service, event)
    assert (opened["state"], opened["source"], opened["closesAt"]) == ("open", "operator", event["drawClosesAt"])
    hidden = ("secret", "chain", "round", "beacon", "randomness", "root", "entries")
    assert {opened[each] for each in hidden} == {None}

    service.clock.travel(minutes=1)
    await seal(service, event)
    closed = await draw_of(service, event)
    assert (closed["state"], closed["secret"]) == ("closed", None)
    assert [(each["queueNumber"], each["rank"], each["place"]) for each in closed["entries"]] == [
        (number, None, None) for number in (1, 2, 3)
    ]

    await service.container.hold_draw()(UUID(event["id"]))
    answer = await service.anyone.get(f"/events/{event['id']}/draw")
    drawn = ok(answer)
    assert check_draw(answer.content).entries == 3
    assert drawn | {"state": "drawn", "commitment": opened["commitment"], "root": closed["root"]} == drawn
    assert any("operator" in each for each in drawn["caveats"])
    for person, entry in zip(people, drawn["entries"], strict=True):
        (booking,) = ok(await person.get("/bookings"))["items"]
        last = ("waitlisted", 1) if entry["place"] == 3 else ("confirmed", None)
        assert (booking["status"], booking["position"]) == last
    kept = await service.anyone.get(f"/events/{event['id']}/draw", headers={"If-None-Match": answer.headers["etag"]})
    assert kept.status_code == 304


async def test_a_draw_by_drand(service: Service) -> None:
    # The recorded beacon is the first one a minute after the closing.
    service.clock.time = datetime(2023, 9, 15, 10, 58, 2, tzinfo=UTC)
    event, _ = await a_draw(service)
    opened = await draw_of(service, event)
    assert (opened["source"], opened["chain"], opened["round"]) == ("drand", CHAIN, ROUND_657413["round"])
    assert (opened["commitment"], opened["beacon"]) == (None, None)
    service.clock.travel(minutes=1)
    await seal(service, event)
    await service.container.hold_draw()(UUID(event["id"]), as_file(ROUND_657413))
    answer = await service.anyone.get(f"/events/{event['id']}/draw")
    assert ok(answer)["beacon"] == ROUND_657413
    assert check_draw(answer.content).round == ROUND_657413["round"]


async def test_what_is_not_there_or_not_yet(service: Service) -> None:
    organizer = await service.user()
    event = await organizer.event()
    problem(await service.anyone.get(f"/events/{event['id']}/draw"), 404, "not-found")
    problem(await service.anyone.get("/events/unknown/draw"), 404, "not-found")
    draft = {"admission": "draw", "drawClosesAt": "2099-01-01T19:00:00Z", "status": "draft"}
    hidden = await organizer.event(**draft)
    problem(await service.anyone.get(f"/events/{hidden['id']}/draw"), 404, "not-found")
    assert ok(await organizer.get(f"/events/{hidden['id']}/draw"))["state"] == "open"


async def test_the_entries_are_shown_once_the_log_has_them(service: Service) -> None:
    event, _ = await a_draw(service, drawSource="operator")
    service.clock.travel(minutes=1)
    problem(await service.anyone.get(f"/events/{event['id']}/draw"), 503, "try-again")


async def test_the_log_tells_of_the_draw(service: Service) -> None:
    event, _ = await a_draw(service, drawSource="operator", log="public")
    service.clock.travel(minutes=1)
    await seal(service, event)
    await service.container.hold_draw()(UUID(event["id"]))
    await seal(service, event)
    bundle = (await service.anyone.get(f"/events/{event['id']}/log/tile/entries/000.p/10")).content
    drawn = await draw_of(service, event)
    for text in (
        f'"drawCommitment":"{drawn["commitment"]}"',
        '"admission":"draw"',
        f'"randomness":"{drawn["secret"]}"',
    ):
        assert text.encode() in bundle
    assert bundle.count(b'"enteredAs"') == 3
