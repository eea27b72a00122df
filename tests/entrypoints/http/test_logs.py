"""Events' logs over HTTP: the key, checkpoints, tiles and bundles."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from boxoffice.adapters.log import Checkpoint, VerifierKey, entries_in
from boxoffice.domain.log.merkle import Edge, leaf_hash
from boxoffice.domain.log.tiles import split_hashes
from boxoffice.entrypoints.checkers.receipt import check_receipt, read_key
from tests.entrypoints.http.service_under_test import Client, Service, ok, problem

YEAR = "max-age=31536000, immutable"


def log_of(event: dict[str, Any], name: str) -> str:
    return f"/events/{event['id']}/log/{name}"


async def sealed(service: Service, event: dict[str, Any]) -> None:
    """Seal what is not sealed yet."""
    while not (await service.container.seal_log()(UUID(event["id"]))).is_done:
        pass


def found(answer: httpx.Response, media_type: str, cache_control: str) -> bytes:
    """The content of a file, after a check of its headers."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == cache_control
    return answer.content


async def test_a_public_log_is_read_and_checked_by_anyone(
    service: Service, organizer: Client, customer: Client, anyone: Client
) -> None:
    event = await organizer.event(log="public", maxTicketsPerCustomer=5)
    await sealed(service, event)
    first = found(await anyone.get(log_of(event, "checkpoint")), "text/plain; charset=utf-8", "public, max-age=1")
    await customer.book(event, 2)
    await sealed(service, event)
    key_text = (await anyone.get("/log/key")).text
    assert key_text.count("\n") == 1
    key = VerifierKey.parse(key_text.strip())
    note = found(await anyone.get(log_of(event, "checkpoint")), "text/plain; charset=utf-8", "public, max-age=1")
    old, new = (Checkpoint.opened(each.decode(), [key]) for each in (first, note))
    assert (old.size, new.size) == (1, 2)
    assert new.origin == f"boxoffice/events/{event['id']}/log"
    hashes = found(await anyone.get(log_of(event, "tile/0/000.p/2")), "application/octet-stream", f"public, {YEAR}")
    entries = entries_in(
        found(await anyone.get(log_of(event, "tile/entries/000.p/2")), "application/octet-stream", f"public, {YEAR}")
    )
    assert split_hashes(hashes) == [leaf_hash(each) for each in entries]
    assert Edge().extended(split_hashes(hashes)).root == new.root
    assert ok(await anyone.get(f"/events/{event['id']}"))["log"] == "public"
    # What belonged to the older checkpoint is still there.
    assert (await anyone.get(log_of(event, "tile/0/000.p/1"))).content == hashes[:32]
    bundle = (await anyone.get(log_of(event, "tile/entries/000.p/1"))).content
    assert entries_in(bundle) == entries[:1]
    head = await anyone.send("HEAD", log_of(event, "tile/0/000.p/1"))
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "32", b"")


@pytest.mark.parametrize(
    "name",
    [
        *("tile/0/000", "tile/0/001.p/1", "tile/0/000.p/3", "tile/1/000.p/1", "tile/entries/000", "tile/63/000"),
        *("tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/02"),
        *("tile/0/x000/000", "tile/0/x000/001.p/1", "tile/00/000.p/1", "tile/64/000.p/1", "tile/0/x001", "tile/0"),
        *("tile/entry/000.p/1", "tile/0/000.p", "tile/0/000.p/1/", "tile/-1/000", "tile/0/abc", "key", ""),
        "tile/entries/000.p/3",
        "tile/entries/x001/234.p/5",
    ],
)
async def test_other_names_are_not_found(service: Service, organizer: Client, name: str) -> None:
    event = await organizer.event(log="public")
    await organizer.book(event)
    await sealed(service, event)
    problem(await organizer.get(log_of(event, name)), 404, "not-found")


async def test_full_tiles_and_bundles_have_the_partial_ones_beside_them(service: Service, organizer: Client) -> None:
    event = await organizer.event(log="public")
    for number in range(256):
        ok(await organizer.patch(f"/events/{event['id']}", {"venue": f"Hall {number}"}))
    await sealed(service, event)
    tile = (await organizer.get(log_of(event, "tile/0/000"))).content
    assert len(tile) == 256 * 32
    assert (await organizer.get(log_of(event, "tile/0/000.p/255"))).content == tile[: 255 * 32]
    assert len((await organizer.get(log_of(event, "tile/1/000.p/1"))).content) == 32
    bundle = entries_in((await organizer.get(log_of(event, "tile/entries/000"))).content)
    assert entries_in((await organizer.get(log_of(event, "tile/entries/000.p/255"))).content) == bundle[:255]
    assert len(entries_in((await organizer.get(log_of(event, "tile/entries/001.p/1"))).content)) == 1


async def test_a_log_that_is_not_public_is_the_organizers(
    service: Service, organizer: Client, customer: Client, anyone: Client, admin: Client
) -> None:
    event = await organizer.event()
    assert event["log"] == "receipts"
    waiting = await organizer.get(log_of(event, "checkpoint"))
    problem(waiting, 503, "try-again")
    assert waiting.headers["retry-after"] == "1"
    await sealed(service, event)
    for name, cached in (("checkpoint", "private, max-age=1"), ("tile/0/000.p/1", f"private, {YEAR}")):
        for client in (organizer, admin):
            answer = await client.get(log_of(event, name))
            assert (answer.status_code, answer.headers["cache-control"]) == (200, cached)
        problem(await customer.get(log_of(event, name)), 403, "not-allowed")
        problem(await anyone.get(log_of(event, name)), 401, "not-signed-in")
    ok(await organizer.patch(f"/events/{event['id']}", {"log": "off"}))
    for client in (organizer, admin, customer, anyone):
        problem(await client.get(log_of(event, "checkpoint")), 404, "not-found")
        problem(await client.get(log_of(event, "tile/0/000.p/1")), 404, "not-found")
    ok(await organizer.patch(f"/events/{event['id']}", {"log": "public"}))
    await sealed(service, event)
    assert len(entries_in((await anyone.get(log_of(event, "tile/entries/000.p/3"))).content)) == 3


async def test_a_draft_has_a_log_for_its_organizer_only(service: Service, organizer: Client, anyone: Client) -> None:
    event = await organizer.event(status="draft", log="public")
    await sealed(service, event)
    answer = await organizer.get(log_of(event, "checkpoint"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, max-age=1")
    problem(await anyone.get(log_of(event, "checkpoint")), 404, "not-found")
    unknown = UUID(int=7)
    problem(await organizer.get(f"/events/{unknown}/log/checkpoint"), 404, "not-found")


async def test_a_customer_gets_a_receipt_that_strangers_can_check(
    service: Service, organizer: Client, customer: Client, anyone: Client
) -> None:
    event = await organizer.event()
    booking = await customer.book(event)
    receipt = f"/bookings/{booking['id']}/receipt"
    waiting = await customer.get(receipt)
    problem(waiting, 503, "try-again")
    assert waiting.headers["retry-after"] == "1"
    await sealed(service, event)
    text = found(await customer.get(receipt), "text/plain; charset=utf-8", "no-store").decode()
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    checked = check_receipt(text, read_key((await anyone.get("/log/key")).text))
    assert (checked.event_id, checked.entry.kind) == (event["id"], "TicketsBooked")
    assert checked.private is not None
    assert checked.private["bookingId"] == booking["id"]
    problem(await organizer.get(receipt), 403, "not-allowed")
    problem(await anyone.get(receipt), 401, "not-signed-in")
    ok(await organizer.patch(f"/events/{event['id']}", {"log": "off"}))
    problem(await customer.get(receipt), 404, "not-found")
