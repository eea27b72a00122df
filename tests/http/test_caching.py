"""Entity tags: 304 where nothing changed, 412 where somebody else edited."""

from typing import Any

import pytest

from tests.http.service import Client, Service, ok, problem


async def tag_of(client: Client, path: str) -> str:
    answer = await client.get(path)
    ok(answer)
    tag: str = answer.headers["etag"]
    assert tag.startswith('"')
    return tag


def paths_of(event: dict[str, Any]) -> list[str]:
    path = f"/events/{event['id']}"
    return ["/events", path, f"/status/{event['id']}", f"{path}/bookings", f"{path}/waiting-list", f"{path}/changes"]


async def test_what_has_not_changed_is_not_sent_again(organizer: Client) -> None:
    event = await organizer.event()
    for path in paths_of(event):
        tag = await tag_of(organizer, path)
        assert await tag_of(organizer, path) == tag
        for sent in (tag, f"W/{tag}", "*", f'"x", {tag}', f'"x",W/{tag} , "y"', f" {tag}\t"):
            for method in ("GET", "HEAD"):
                answer = await organizer.send(method, path, headers={"If-None-Match": sent, "X-Request-Id": "mine"})
                assert (answer.status_code, answer.content) == (304, b""), (path, sent)
                assert answer.headers["etag"] == tag
                assert answer.headers["x-request-id"] == "mine"
        for sent in ('"x"', tag.strip('"'), tag[:-1], f"w/{tag}", f"{tag} {tag}", "", "**", f'"x" "{tag}'):
            assert (await organizer.get(path, headers={"If-None-Match": sent})).status_code == 200, (path, sent)


async def test_two_headers_are_one_list(service: Service, organizer: Client) -> None:
    event = await organizer.event()
    path = f"/status/{event['id']}"
    tag = await tag_of(organizer, path)
    headers = [("If-None-Match", '"x"'), ("If-None-Match", tag)]
    assert (await service.http.get(path, headers=headers)).status_code == 304


async def test_whatever_changes_the_answer_changes_its_tag(service: Service, organizer: Client) -> None:
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


async def test_a_tag_that_was_seen_edits(organizer: Client, customer: Client) -> None:
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


async def test_the_tag_of_the_status_edits_as_well(organizer: Client) -> None:
    event = await organizer.event()
    tag = await tag_of(organizer, f"/status/{event['id']}")
    ok(await organizer.patch(f"/events/{event['id']}", {"name": "Blues night"}, headers={"If-Match": tag}))


@pytest.mark.parametrize(("method", "below"), [("PATCH", ""), ("POST", "/ticket-types"), ("PATCH", "/ticket-types/")])
async def test_every_edit_looks_at_if_match(organizer: Client, method: str, below: str) -> None:
    event = await organizer.event()
    path = f"/events/{event['id']}{below}"
    if below.endswith("/"):
        path += event["ticketTypes"][0]["id"]
    names = iter(f"name {number}" for number in range(100))

    async def send(sent: str) -> Any:
        body = {"name": next(names), "totalTickets": 5}
        return await organizer.send(method, path, json=body, headers={"If-Match": sent})

    tag = await tag_of(organizer, f"/events/{event['id']}")
    version = tag[1]
    hopeless = (
        '"x"',
        tag.strip('"'),
        "",
        '"*"',
        "**",
        '"99.0"',
        '"-1.0"',
        f'"{version}"',
        f'"0{version}.0"',
        "1.0",
    )
    for sent in (*hopeless, f'{tag} "x"', f'"{"9" * 40}.0"', '"1.0', "\x80", f'"{version}.x"'):
        answer = await organizer.send(
            method, path, json={"name": "never", "totalTickets": 5}, headers={"If-Match": sent.encode("latin-1")}
        )
        problem(answer, 412, "stale-version")
    for sent in ("*", " * ", ""):
        answer = await send(sent or tag)
        assert answer.status_code in {200, 201}, answer.text
        tag = answer.headers["etag"]
    # A proxy that compresses answers weakens their tags.
    for before, after in (("W/", ""), ('"x", W/"y", ', ""), ("", ","), (", ,", " ,, ")):
        answer = await send(before + tag + after)
        assert answer.status_code in {200, 201}, answer.text
        tag = answer.headers["etag"]


async def test_if_match_on_what_is_not_there(customer: Client) -> None:
    path = "/events/019a0000-0000-7000-8000-000000000001"
    problem(await customer.patch(path, {"name": "x"}, headers={"If-Match": "*"}), 404, "not-found")
