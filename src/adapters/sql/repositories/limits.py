"""Counts of requests, failed passwords and mails, which limits apply to."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select

from ....application.ports.repositories import Count, Failures
from ..bulk.insert import BulkInsert
from ..engine.transaction import Rows, Transaction
from ..schema.tables import login_failures, mail_times, request_counts

_counts = request_counts.c
_failures = login_failures.c
_mails = mail_times.c

_PUT_COUNTS: Final = BulkInsert(request_counts, on_existing={"requests": "{new}"})
_COUNTS_OF_OTHERS: Final = (
    select(_counts.minute, _counts.key, func.sum(_counts.requests))
    .where(
        _counts.minute.in_(bindparam("minutes", expanding=True)),
        _counts.key.in_(bindparam("keys", expanding=True)),
        _counts.process_id != bindparam("process_id"),
    )
    .group_by(_counts.minute, _counts.key)
)
_DELETE_COUNTS: Final = delete(request_counts).where(_counts.minute < bindparam("before"))

_FAILURES: Final = select(_failures.subject, _failures.times).where(
    _failures.subject.in_(bindparam("subjects", expanding=True))
)
_LOCK_FAILURES: Final = _FAILURES.order_by(_failures.subject).with_for_update()
# Adds a row to lock for a subject without failures; a second transaction waits here for the first one.
# INSERT IGNORE would suffice, but MySQL warns of each ignored row.
_ADD_FAILURES: Final = BulkInsert(login_failures, on_existing={"times": "{old}", "last_at": "{old}"})
_PUT_FAILURES: Final = BulkInsert(login_failures, on_existing={"times": "{new}", "last_at": "{new}"})
_DELETE_FAILURES: Final = delete(login_failures).where(_failures.last_at < bindparam("before"))

_LOCK_MAIL_TIMES: Final = (
    select(_mails.subject, _mails.times)
    .where(_mails.subject.in_(bindparam("subjects", expanding=True)))
    .order_by(_mails.subject)
    .with_for_update()
)
_ADD_MAIL_TIMES: Final = BulkInsert(mail_times, on_existing={"times": "{old}", "last_at": "{old}"})
_PUT_MAIL_TIMES: Final = BulkInsert(mail_times, on_existing={"times": "{new}", "last_at": "{new}"})
_DELETE_MAIL_TIMES: Final = delete(mail_times).where(_mails.last_at < bindparam("before"))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class SqlLimitRepository:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def put_counts(self, process_id: UUID, counts: Sequence[Count]) -> None:
        """See the port. One round trip."""
        rows = [
            {"minute": each.minute, "key": each.key, "process_id": process_id, "requests": each.requests}
            for each in counts
        ]
        await self._transaction.insert(_PUT_COUNTS, rows)

    async def counts_of_others(self, process_id: UUID, counts: Sequence[Count]) -> dict[tuple[int, UUID], int]:
        """See the port. One round trip."""
        if not counts:
            return {}
        values: dict[str, Any] = {
            "minutes": sorted({minute for each in counts for minute in (each.minute - 1, each.minute)}),
            "keys": sorted({each.key for each in counts}),
            "process_id": process_id,
        }
        found = await self._transaction.rows(_COUNTS_OF_OTHERS, values)
        # MySQL returns a sum of integers as a decimal.
        return {(minute, key): int(requests) for minute, key, requests in found}

    async def forget_counts(self, before: int) -> None:
        """See the port."""
        await self._transaction.change(_DELETE_COUNTS, {"before": before})

    async def failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port. It takes and waits for no lock."""
        return _by_subject(await self._transaction.rows(_FAILURES, {"subjects": list(subjects)}))

    async def lock_failures(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[Failures, ...]]:
        """See the port. Subjects without a row get one, so that there is a row to lock."""
        rows = [{"subject": subject, "times": "", "last_at": _EPOCH} for subject in sorted(subjects)]
        await self._transaction.insert(_ADD_FAILURES, rows)
        return _by_subject(await self._transaction.rows(_LOCK_FAILURES, {"subjects": list(subjects)}))

    async def save_failures(self, failures: Mapping[UUID, tuple[Failures, ...]]) -> None:
        """See the port. One round trip."""
        rows = [
            {"subject": subject, "times": " ".join(map(_as_text, times)), "last_at": times[-1].at}
            for subject, times in sorted(failures.items())
        ]
        await self._transaction.insert(_PUT_FAILURES, rows)

    async def forget_failures(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.change(_DELETE_FAILURES, {"before": before})

    async def lock_mail_times(self, subjects: Sequence[UUID]) -> dict[UUID, tuple[datetime, ...]]:
        """See the port. As `lock_failures`."""
        rows = [{"subject": subject, "times": "", "last_at": _EPOCH} for subject in sorted(subjects)]
        await self._transaction.insert(_ADD_MAIL_TIMES, rows)
        found = await self._transaction.rows(_LOCK_MAIL_TIMES, {"subjects": list(subjects)})
        return {subject: tuple(map(_moment, times.split())) for subject, times in found if times}

    async def save_mail_times(self, times: Mapping[UUID, tuple[datetime, ...]]) -> None:
        """See the port. One round trip."""
        rows = [
            {"subject": subject, "times": " ".join(map(_microseconds, each)), "last_at": each[-1]}
            for subject, each in sorted(times.items())
        ]
        await self._transaction.insert(_PUT_MAIL_TIMES, rows)

    async def forget_mail_times(self, before: datetime) -> None:
        """See the port."""
        await self._transaction.change(_DELETE_MAIL_TIMES, {"before": before})


def _by_subject(rows: Rows) -> dict[UUID, tuple[Failures, ...]]:
    return {subject: tuple(map(_from_text, times.split())) for subject, times in rows if times}


def _as_text(failures: Failures) -> str:
    """Return microseconds since 1970, followed by `x` and the number of failures unless it is 1."""
    moment = _microseconds(failures.at)
    return moment if failures.number == 1 else f"{moment}x{failures.number}"


def _from_text(text: str) -> Failures:
    moment, _, number = text.partition("x")
    return Failures(_moment(moment), int(number or 1))


def _microseconds(moment: datetime) -> str:
    return str((moment - _EPOCH) // _MICROSECOND)


def _moment(text: str) -> datetime:
    return _EPOCH + int(text) * _MICROSECOND
