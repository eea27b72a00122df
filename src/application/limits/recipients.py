"""Limits on the mails to one recipient, whatever the limits on requests are. All processes share the counts.

A recipient is an address in the spelling of accounts, so all spellings of a mailbox count together.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ...domain.verification import LinkPurpose
from ..ports.storage import UnitOfWork
from .rate_limits import subject_key

WITHIN: Final = timedelta(hours=1)
"""How long a mail counts."""

MOST_LINKS: Final = 5
"""Mails with a link to an account, counted apart for each purpose."""

MOST_NOTICES: Final = 30
"""Mails about bookings."""

MOST_OF_ORGANIZER: Final = 20
"""Mails about bookings at the events of one organizer, so that one who floods a customer leaves room for others."""

Subjects = Mapping[UUID, int]
"""The keys that mails are counted for, each with its limit."""

_LINKS: Final = {
    LinkPurpose.VERIFY: "verification mails",
    LinkPurpose.RESET: "reset mails",
    LinkPurpose.REPLACED: "mails of a replaced address",
}


def links_to(address: str, purpose: LinkPurpose) -> Subjects:
    """Return the subjects of a mail with a link for this purpose."""
    return {subject_key(_LINKS[purpose], address): MOST_LINKS}


def notices_to(address: str, organizer_id: UUID) -> Subjects:
    """Return the subjects of a mail about a booking at an event of this organizer."""
    return {
        subject_key("mails", address): MOST_NOTICES,
        subject_key("mails", address, organizer_id): MOST_OF_ORGANIZER,
    }


async def lock_recipient(unit_of_work: UnitOfWork, subjects: Subjects) -> None:
    """Make other transactions that concern these subjects wait until this one ends."""
    await unit_of_work.limits.lock_mail_times(list(subjects))


async def count_mail(unit_of_work: UnitOfWork, subjects: Subjects, now: datetime) -> datetime | None:
    """Count a mail for its subjects, locked until the unit of work ends.

    If a limit is reached, count nothing, and return when there is room again.
    """
    found = await unit_of_work.limits.lock_mail_times(list(subjects))
    recent = {subject: _recent(found.get(subject, ()), now) for subject in subjects}
    full = [recent[subject][-most] + WITHIN for subject, most in subjects.items() if len(recent[subject]) >= most]
    if full:
        return max(full)
    await unit_of_work.limits.save_mail_times({subject: (*times, now) for subject, times in recent.items()})
    return None


def _recent(times: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """Return the times that count, those of a clock that is slightly ahead included."""
    return tuple(sorted(each for each in times if abs(now - each) < WITHIN))
