"""Links in mails, and the rules by which an account gets its e-mail address and a new password."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .mails import pause_after
from .refusals import EmailTaken, LinkExpired
from .user import User, new_password
from .values.fields import Rules, text


class LinkPurpose(StrEnum):
    """What a link does."""

    VERIFY = "verify"
    """It verifies the address that it was sent to."""

    RESET = "reset"
    """It sets a new password."""

    REPLACED = "replaced"
    """It does nothing: its mail tells a former address that the account has another one."""


LIFETIMES: Final[Mapping[LinkPurpose, timedelta]] = {
    LinkPurpose.VERIFY: timedelta(hours=24),
    LinkPurpose.RESET: timedelta(hours=1),
    LinkPurpose.REPLACED: timedelta(hours=24),
}
"""How long a link works after it was made, and its mail is tried."""

LONGEST_LIFETIME: Final = max(LIFETIMES.values())

LINK_RULES: Rules = {"token": text(1, 512)}
RESET_RULES: Rules = {**LINK_RULES, "new_password": new_password}


class Link(Struct, frozen=True, gc=False, kw_only=True):
    """A link to an account, and the mail with it: one link a mail, one recipient.

    The mail is due at `due_at`; None: it was sent or given up. `attempts` counts failed attempts. A link whose id is
    its user's leads to no account, and its mail is not sent: it exists so that an unknown address makes the same work.
    """

    id: UUID
    purpose: LinkPurpose
    user_id: UUID
    email: str
    created_at: datetime
    due_at: datetime | None
    attempts: int = 0

    @property
    def has_account(self) -> bool:
        """Whether it leads to an account."""
        return self.user_id != self.id

    @property
    def is_over(self) -> bool:
        """Whether its mail was sent or given up, and it does nothing itself."""
        return self.due_at is None and (self.purpose is LinkPurpose.REPLACED or not self.has_account)

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


def check_link(link: Link | None, purpose: LinkPurpose, now: datetime) -> Link:
    """Return the link if it works for this purpose. Raises: LinkExpired."""
    if link is None or link.purpose is not purpose or not link.works(now):
        raise LinkExpired
    return link


class Verification(Struct, frozen=True):
    """The account whose address is verified, and the account that loses the address by that.

    `replaced` is the address that the account had before; None: it had none, or keeps it. `told` is the same address if
    it was verified, so that a mail may be sent there.
    """

    user: User
    loser: User | None = None
    replaced: str | None = None
    told: str | None = None


def verify(
    link: Link | None, user: User | None, holder: User | None, now: datetime, *, is_claim: bool = False
) -> Verification:
    """Verify the address of an account, or of a claim, by a link that was sent there.

    `user` is the link's account or claim, `holder` the account that holds the address. A holder that has not verified
    the address loses it, and its bookings stay its own. Only an account without a password, which others made for the
    reader of the address, becomes that of the claim. A pending address replaces the account's own.

    Raises: LinkExpired; EmailTaken if another account has verified the address.
    """
    address = check_link(link, LinkPurpose.VERIFY, now).email
    if user is None or address not in (user.email, user.pending_email):
        raise LinkExpired
    is_own = holder is None or holder.id == user.id
    if holder is not None and not is_own and holder.is_verified:
        raise EmailTaken("Another account has verified this e-mail address; sign in to that one.")
    if is_claim and holder is not None and holder.password_hash is None:
        theirs = replace(holder, name=user.name, password_hash=user.password_hash)
        return Verification(theirs.with_verified_address(now))
    loser = None if holder is None or is_own else replace(holder, email=None)
    if address == user.email:
        return Verification(user.with_verified_address(now), loser)
    verified = replace(user, email=address, verified_at=now, pending_email=None)
    return Verification(verified, loser, user.email, user.email if user.is_verified else None)


def change_address(user: User, address: str, holder: User | None) -> User:
    """Return the account with a pending address, which replaces the one that it had. Its own address ends the change.

    `holder` is the account that holds the address. Raises: EmailTaken if another account has verified it.
    """
    if holder is not None and holder.id != user.id and holder.is_verified:
        raise EmailTaken
    return replace(user, pending_email=None if address == user.email else address)


def reset_password(link: Link | None, user: User | None, password_hash: str, now: datetime) -> User:
    """Return the account with a new password by a link that was sent to its address, which that verifies.

    A pending change of address ends. Raises: LinkExpired, also if the account has another address or may not sign in.
    """
    address = check_link(link, LinkPurpose.RESET, now).email
    if user is None or user.email != address or not user.may_sign_in:
        raise LinkExpired
    return replace(user.with_verified_address(now), password_hash=password_hash, pending_email=None)
