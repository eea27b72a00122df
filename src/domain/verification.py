"""Links in mails, and the rules by which an account gets its e-mail address."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .mails import pause_after
from .refusals import EmailTaken, LinkExpired
from .user import User
from .values.fields import Rules, text


class LinkPurpose(StrEnum):
    """What a link does."""

    VERIFY = "verify"
    """It verifies the address that it was sent to."""


LIFETIMES: Final[Mapping[LinkPurpose, timedelta]] = {LinkPurpose.VERIFY: timedelta(hours=24)}
"""How long a link works after it was made."""

LONGEST_LIFETIME: Final = max(LIFETIMES.values())

LINK_RULES: Rules = {"token": text(1, 512)}


class Link(Struct, frozen=True, gc=False, kw_only=True):
    """A link to an account, and the mail with it: one link a mail, one recipient.

    The mail is due at `due_at`; None: it was sent or given up. `attempts` counts failed attempts.
    """

    id: UUID
    purpose: LinkPurpose
    user_id: UUID
    email: str
    created_at: datetime
    due_at: datetime | None
    attempts: int = 0

    def works(self, now: datetime) -> bool:
        """Return whether the link is not too old."""
        return now < self.created_at + LIFETIMES[self.purpose]

    def has_left(self) -> "Link":
        """Return the link after its mail was sent or given up."""
        return replace(self, due_at=None)

    def has_failed(self, now: datetime, jitter: float) -> "Link":
        """Return the link with its mail's next attempt, or given up. `jitter` is from 0 to 1."""
        pause = pause_after(self.attempts, jitter)
        return self.has_left() if pause is None else replace(self, attempts=self.attempts + 1, due_at=now + pause)


def may_hold(holder: User | None, *, can_verify: bool) -> bool:
    """Return whether a new account holds its address at once.

    If another account holds the address without having verified it, the new one only claims it: it exists once it has
    verified the address. `can_verify`: whether the service sends mails.

    Raises: EmailTaken.
    """
    if holder is None:
        return True
    if holder.is_verified or not can_verify:
        raise EmailTaken
    return False


class Verification(Struct, frozen=True):
    """The account whose address is verified, and the account that loses the address by that."""

    user: User
    loser: User | None = None


def verify(link: Link | None, user: User | None, holder: User | None, now: datetime) -> Verification:
    """Verify the address of an account, or of a claim, by a link that was sent there.

    `user` is the link's account or claim, `holder` the account that holds the address. A holder that has not verified
    the address loses it, and its bookings stay its own.

    Raises: LinkExpired; EmailTaken if another account has verified the address.
    """
    if link is None or not link.works(now):
        raise LinkExpired
    if user is None or user.email != link.email:
        raise LinkExpired
    if holder is None or holder.id == user.id:
        return Verification(user.with_verified_address(now))
    if holder.is_verified:
        raise EmailTaken("Another account has verified this e-mail address; sign in to that one.")
    return Verification(user.with_verified_address(now), replace(holder, email=None))
