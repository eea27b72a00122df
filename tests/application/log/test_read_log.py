"""What is read of an event's log, and by whom."""

from uuid import UUID

import pytest

from boxoffice.adapters.log import entries_in
from boxoffice.application.events.queries import ReadEvent
from boxoffice.application.log.read_log import ReadLog, is_public
from boxoffice.application.ports.errors import Unavailable
from boxoffice.domain.event import EventStatus, LogMode
from boxoffice.domain.refusals import NotAllowed, NotFound, NotSignedIn
from boxoffice.domain.user import Actor, Role
from tests.application.fake_app import ORGANIZER

from .log_process import LogProcess

STRANGER, ADMIN = Actor(UUID(int=77)), Actor(UUID(int=78), Role.ADMIN)


def read_log(process: LogProcess) -> ReadLog:
    """The use case."""
    storage = process.storage
    read_event = ReadEvent(storage.event_queries, process.app.duties)
    return ReadLog(read_event, storage.log_queries, process.formats)


@pytest.mark.parametrize(
    ("mode", "actor", "refusal"),
    [
        *((LogMode.PUBLIC, each, None) for each in (None, STRANGER, ORGANIZER)),
        (LogMode.RECEIPTS, None, NotSignedIn),
        (LogMode.RECEIPTS, STRANGER, NotAllowed),
        *((LogMode.RECEIPTS, each, None) for each in (ORGANIZER, ADMIN)),
        *((LogMode.OFF, each, NotFound) for each in (None, STRANGER, ORGANIZER, ADMIN)),
    ],
)
async def test_who_may_read_it(mode: LogMode, actor: Actor | None, refusal: type[Exception] | None) -> None:
    process = LogProcess()
    event_id = await process.app.event(5, log=mode)
    if refusal is None:
        event = await read_log(process).event(event_id, actor)
        assert (event.id, is_public(event)) == (event_id, mode is LogMode.PUBLIC)
    else:
        with pytest.raises(refusal):
            await read_log(process).event(event_id, actor)


async def test_the_public_log_of_a_draft_is_seen_by_whom_the_draft_is() -> None:
    process = LogProcess()
    event_id = await process.app.event(5, log=LogMode.PUBLIC, status=EventStatus.DRAFT)
    assert not is_public(await read_log(process).event(event_id, ORGANIZER))
    for actor in (None, STRANGER):
        with pytest.raises(NotFound):
            await read_log(process).event(event_id, actor)
    with pytest.raises(NotFound):
        await read_log(process).event(UUID(int=5), ORGANIZER)


async def test_files_are_there_as_far_as_the_log_is_sealed() -> None:
    process = LogProcess()
    event_id = await process.app.event(5)
    log = read_log(process)
    with pytest.raises(Unavailable) as failure:
        await log.checkpoint(event_id)
    assert failure.value.retry_after == 1
    await process.seal_logs()
    assert (await log.checkpoint(event_id)).startswith(f"tickets.example.org/events/{event_id}/log\n1\n")
    assert len(await log.file(event_id, "tile/0/000.p/1")) == 32
    assert len(entries_in(await log.file(event_id, "tile/entries/000.p/1"))) == 1
    for name in ("tile/0/000", "tile/entries/000", "tile/entries/000.p/2", "tile/1/000.p/1", "checkpoint", "tile/0/0"):
        with pytest.raises(NotFound):
            await log.file(event_id, name)
    for _ in range(255):
        await process.app.book(event_id, Actor(process.app.ids.new()))
    await process.seal_logs()
    assert len(entries_in(await log.file(event_id, "tile/entries/000"))) == 256
    assert len(await log.file(event_id, "tile/0/000")) == 256 * 32
