"""Entity tags: 304 where nothing changed, 412 where another edit came first."""

from typing import Any

import pytest

from tests.entrypoints.http.service_under_test import Client, Service, ok, problem


async def tag_of(client: Client, path: str) -> str:
    answer = await client.get(path)
    ok(answer)
    tag: str = answer.headers["etag"]
    assert tag.startswith('"')
    return tag


async def test_an_unchanged_answer_is_not_sent_again(organizer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}"
    below = (f"{path}/bookings", f"{path}/waiting-list", f"{path}/changes")
    for each in ("/events", path, f"/status/{event['id']}", *below):
        tag = await tag_of(organizer, each)
        assert await tag_of(organizer, each) == tag
        for sent in (tag, f"W/{tag}", "*", f'"x", {tag}', f'"x",W/{tag} , "y"', f" {tag}\t"):
            for method in ("GET", "HEAD"):
                headers = {"If-None-Match": sent, "X-Request-Id": "mine"}
                answer = await organizer.send(method, each, headers=headers)
                assert (answer.status_code, answer.content) == (304, b""), (each, sent)
                assert (answer.headers["etag"], answer.headers["x-request-id"]) == (tag, "mine")
        for sent in ('"x"', tag.strip('"'), tag[:-1], f"w/{tag}", f"{tag} {tag}", "", "**", f'"x" "{tag}'):
            assert (await organizer.get(each, headers={"If-None-Match": sent})).status_code == 200, (each, sent)


async def test_every_change_of_the_answer_changes_its_tag(service: Service, organizer: Client) -> None:
    event = await organizer.event(totalTickets=2, startsAt="2030-01-03T12:00:00Z", waitingListPolicy="fill")
    path, status = f"/events/{event['id']}", f"/status/{event['id']}"
    seen: list[tuple[str, str]] = []

    async def look() -> None:
        seen.append((await tag_of(organizer, path), await tag_of(organizer, status)))

    await look()
    first = await organizer.book(event)
    await look()
    await (await service.user()).book(event, 2)
    await look()
    ok(await organizer.post("/cancel", {"bookingId": first["id"]}))
    await look()
    ok(await organizer.patch(path, {"name": "Blues night"}))
    await look()
    assert len({tag for tag, _ in seen}) == len({tag for _, tag in seen}) == 5


async def test_the_tag_of_the_event_or_its_status_edits_until_another_edit(organizer: Client, customer: Client) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}"
    tag = await tag_of(organizer, path)
    await customer.book(event)
    assert await tag_of(organizer, path) != tag
    answer = await organizer.patch(path, {"name": "Blues night"}, headers={"If-Match": tag})
    assert ok(answer)["version"] == 2
    assert answer.headers["etag"] == await tag_of(organizer, path)
    problem(await organizer.patch(path, {"name": "Soul night"}, headers={"If-Match": tag}), 412, "stale-version")
    assert ok(await organizer.get(path))["name"] == "Blues night"
    tag = await tag_of(organizer, f"/status/{event['id']}")
    ok(await organizer.patch(path, {"name": "Soul night"}, headers={"If-Match": tag}))


@pytest.mark.parametrize(("method", "below"), [("PATCH", ""), ("POST", "/ticket-types"), ("PATCH", "/ticket-types/")])
async def test_every_edit_looks_at_if_match(organizer: Client, method: str, below: str) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}{below}"
    if below.endswith("/"):
        path += event["ticketTypes"][0]["id"]
    names = iter(f"name {number}" for number in range(100))

    async def send(sent: str) -> Any:
        body = {"name": next(names), "totalTickets": 5}
        return await organizer.send(method, path, json=body, headers={"If-Match": sent.encode("latin-1")})

    tag = await tag_of(organizer, f"/events/{event['id']}")
    version = tag[1]
    for hopeless in (
        *('"x"', tag.strip('"'), "", '"*"', "**", '"99.0"', '"-1.0"', f'"{version}"', f'"0{version}.0"', "1.0"),
        *(f'{tag} "x"', f'"{"9" * 40}.0"', '"1.0', "\x80", f'"{version}.x"'),
    ):
        problem(await send(hopeless), 412, "stale-version")
    # A proxy that compresses answers weakens their tags.
    for good in ("*", " * ", "{}", "W/{}", '"x", W/"y", {}', "{},", ", ,{} ,, "):
        answer = await send(good.format(tag))
        assert answer.status_code in {200, 201}, answer.text
        tag = answer.headers["etag"]
