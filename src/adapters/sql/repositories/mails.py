"""Mails to send, and the cursors of events: up to which fact they were searched for mails."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import asdict, fields
from sqlalchemy import Column, and_, bindparam, delete, insert, select, update

from ....domain.mails import Announcement, Mail
from ..bulk.insert import BulkInsert
from ..engine.transaction import Transaction
from ..schema.tables import announcements, events, mail_cursors, mails

NO_EVENT: Final = UUID(int=0)
"""The id of a cursor that exists once mails are made of facts."""

_FIELDS = tuple(field.name for field in fields(Mail))
MAIL: tuple[Column[Any], ...] = tuple(mails.c[name] for name in _FIELDS)

_LOCK_CURSOR = select(mail_cursors.c.last_seq).where(mail_cursors.c.event_id == bindparam("of_event")).with_for_update()
_ADD_CURSOR = BulkInsert(mail_cursors)
_PUT_CURSOR = (
    update(mail_cursors)
    .where(mail_cursors.c.event_id == bindparam("of_event"))
    .values(last_seq=bindparam("new_last_seq"))
)
_BEGIN = insert(mail_cursors).from_select(
    ["event_id", "last_seq"],
    # An existing cursor stays as it is.
    select(events.c.id, events.c.last_seq).where(events.c.id.not_in(select(mail_cursors.c.event_id))),
)
# A mail that exists stays as it is. Not INSERT IGNORE, which also hides other errors and has the driver log a warning.
_ADD = BulkInsert(mails, on_existing={"id": "{old}"})
_PUT = (
    update(mails)
    .where(mails.c.id == bindparam("mail_id"))
    .values(due_at=bindparam("new_due_at"), attempts=bindparam("new_attempts"))
)
_ANNOUNCEMENT_FIELDS = tuple(field.name for field in fields(Announcement))
ANNOUNCEMENT: tuple[Column[Any], ...] = tuple(announcements.c[name] for name in _ANNOUNCEMENT_FIELDS)
_is_announced = and_(
    announcements.c.event_id == bindparam("of_event", type_=announcements.c.event_id.type),
    announcements.c.seq == bindparam("of_seq", type_=announcements.c.seq.type),
)
_LOCK_ANNOUNCEMENT = select(announcements.c.below).where(_is_announced).with_for_update()
_ADD_ANNOUNCEMENT = BulkInsert(announcements, on_existing={"seq": "{old}"})
_CONTINUE_ANNOUNCEMENT = update(announcements).where(_is_announced).values(below=bindparam("new_below"))
_FINISH_ANNOUNCEMENT = delete(announcements).where(_is_announced)
_REMOVE = delete(mails).where(mails.c.id == bindparam("mail_id"))


def mail(values: Any) -> Mail:
    """Return a mail from the columns of `MAIL`."""
    return Mail(**dict(zip(_FIELDS, values, strict=True)))


def announcement(values: Any) -> Announcement:
    """Return an announcement from the columns of `ANNOUNCEMENT`."""
    return Announcement(**dict(zip(_ANNOUNCEMENT_FIELDS, values, strict=True)))


class SqlMailRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def begin(self, now: datetime) -> None:  # noqa: ARG002 (a storage may keep when)
        """See the port. Cursors are set to the last fact of each event."""
        if await self._transaction.rows(_LOCK_CURSOR, {"of_event": NO_EVENT}):
            return
        await self._transaction.insert(_ADD_CURSOR, [{"event_id": NO_EVENT, "last_seq": 0}])
        await self._transaction.change(_BEGIN, {})

    async def queue(
        self,
        event_id: UUID,
        after: int,
        last_seq: int,
        mails: Sequence[Mail],
        announcements: Sequence[Announcement] = (),
    ) -> bool:
        """See the port. It locks the cursor; a conflict occurs only if the event has none yet."""
        rows = await self._transaction.rows(_LOCK_CURSOR, {"of_event": event_id})
        if (rows[0][0] if rows else 0) != after:
            return False
        if rows:
            values = {"of_event": event_id, "new_last_seq": last_seq}
            await self._transaction.change(_PUT_CURSOR, values, expected=1)
        else:
            await self._transaction.insert(_ADD_CURSOR, [{"event_id": event_id, "last_seq": last_seq}])
        await self._transaction.insert(_ADD, [asdict(each) for each in mails])
        await self._transaction.insert(_ADD_ANNOUNCEMENT, [asdict(each) for each in announcements])
        return True

    async def announce(self, step: Announcement, mails: Sequence[Mail], below: UUID | None) -> None:
        """See the port."""
        key = {"of_event": step.event_id, "of_seq": step.seq}
        rows = await self._transaction.rows(_LOCK_ANNOUNCEMENT, key)
        if not rows or rows[0][0] != step.below:
            return
        await self._transaction.insert(_ADD, [asdict(each) for each in mails])
        if below is None:
            await self._transaction.change(_FINISH_ANNOUNCEMENT, key)
        else:
            await self._transaction.change(_CONTINUE_ANNOUNCEMENT, {**key, "new_below": below})

    async def put(self, mail: Mail) -> None:
        """See the port."""
        values = {"mail_id": mail.id, "new_due_at": mail.due_at, "new_attempts": mail.attempts}
        await self._transaction.change(_PUT, values)

    async def remove(self, mail_id: UUID) -> None:
        """See the port."""
        await self._transaction.change(_REMOVE, {"mail_id": mail_id})
