"""Users, their roles, their sessions and their API keys."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .policy import KeyRole, KeyScope, PersonalRight, StaffRole
from .refusals import NotAllowed, TooManyApiKeys, invalid
from .values.addresses import email, is_reachable, tried_email
from .values.fields import Rule, Rules, check_characters, text, utc_time


class Role(StrEnum):
    """A user's role. Everyone is a customer; operators grant the other two."""

    CUSTOMER = "customer"
    ORGANIZER = "organizer"
    ADMIN = "admin"


class Organizers(StrEnum):
    """Who may initialize events: every signed-in user, or only users with a granted role."""

    EVERYONE = "everyone"
    GRANTED = "granted"


_NO_DUTIES: Final[Mapping[UUID, StaffRole]] = MappingProxyType({})


class Actor(Struct, frozen=True, gc=False):
    """The user who gives a command, as the rules see them.

    `duties` are their roles in the staff of events, by event, as far as the command needs them. `scope` bounds the API
    key that they use; None: they are signed in.
    """

    user_id: UUID
    role: Role = Role.CUSTOMER
    duties: Mapping[UUID, StaffRole] = _NO_DUTIES
    scope: KeyScope | None = None

    def __hash__(self) -> int:
        """Return a hash: equal actors are the same user."""
        return hash(self.user_id)

    @property
    def sees_every_event(self) -> bool:
        """Whether the actor sees all events in lists, drafts included."""
        return self.role is Role.ADMIN and (self.scope is None or self.scope.event_id is None)

    def on_duty(self, event_id: UUID, role: StaffRole) -> "Actor":
        """Return the actor with their role in the staff of an event."""
        return replace(self, duties={**self.duties, event_id: role})

    def is_customer(self, customer_id: UUID) -> bool:
        """Return whether the actor is this customer, for what customers may do with their own bookings."""
        return self.user_id == customer_id

    def may_personally(self, right: PersonalRight, event_id: UUID | None = None) -> bool:
        """Return whether the actor may do this with what is their own, in an event if it concerns one."""
        return self.scope is None or self.scope.allows_personally(right, event_id)

    def check_may_personally(self, right: PersonalRight, event_id: UUID | None = None) -> None:
        """Raise NotAllowed if the actor uses an API key that may not do this for its owner."""
        if not self.may_personally(right, event_id):
            raise NotAllowed("This API key may not do this for its owner.")

    def may_organize(self, organizers: Organizers) -> bool:
        """Return whether this actor may initialize events."""
        return organizers is Organizers.EVERYONE or self.role is not Role.CUSTOMER


class User(Struct, frozen=True, gc=False, kw_only=True):
    """An account. `email` is unique, in the spelling of `addresses`; `password_hash` is the password hasher's.

    `email` is None for an account that can no longer be signed in to: another one has verified its address. Its
    bookings and events stay its own. `verified_at` is when the address was verified; None: it was not.
    `pending_email` replaces `email` once it is verified. `password_hash` is None until a first password is set: nobody
    can sign in before.

    A user with `disabled_at` cannot sign in and has no live sessions. `standing_changed_at` is the last time that an
    operator disabled or enabled the account or changed its role, or it was erased; None: never. An account with
    `erased_at` keeps its id and nothing else of its user: the name is empty.
    """

    id: UUID
    name: str
    email: str | None
    password_hash: str | None
    role: Role = Role.CUSTOMER
    created_at: datetime
    disabled_at: datetime | None = None
    standing_changed_at: datetime | None = None
    verified_at: datetime | None = None
    pending_email: str | None = None
    erased_at: datetime | None = None

    @property
    def may_sign_in(self) -> bool:
        """Whether its user may sign in and stay signed in."""
        return self.disabled_at is None and self.erased_at is None

    @property
    def is_verified(self) -> bool:
        """Whether the account has an address that its user was proven to read."""
        return self.email is not None and self.verified_at is not None

    @property
    def unverified_address(self) -> str | None:
        """The account's own address while it is not verified; None: there is none, or no mail can reach it."""
        if self.email is None or self.is_verified or not is_reachable(self.email):
            return None
        return self.email

    @property
    def address_to_verify(self) -> str | None:
        """The address that a mail can verify: the pending one, else the account's own; None: there is none."""
        return self.pending_email or self.unverified_address

    @property
    def address_for_reset(self) -> str | None:
        """The address that a mail with a new password can be sent to; None: its user may get none."""
        if self.email is None or not self.may_sign_in or not is_reachable(self.email):
            return None
        return self.email

    def with_verified_address(self, now: datetime) -> "User":
        """Return the account with its address verified, at the first time if it was before."""
        return replace(self, verified_at=self.verified_at or now)


class Session(Struct, frozen=True, gc=False, kw_only=True):
    """One sign-in with all its tokens, which are valid until it ends or expires."""

    id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Return whether its tokens are still valid."""
        return self.ended_at is None and now < self.expires_at


MOST_API_KEYS = 50
"""Most API keys of one user that have not expired."""


class ApiKey(Struct, frozen=True, gc=False, kw_only=True):
    """A key that a program sends instead of an access token. It acts as its owner, within its scope.

    It never may more than its owner may at that moment. `expires_at` None: it does not expire. `last_used_at` may be a
    minute old; None: it was not used yet. A revoked key does not exist any more.
    """

    id: UUID
    user_id: UUID
    name: str
    role: KeyRole
    event_id: UUID | None = None
    expires_at: datetime | None = None
    created_at: datetime
    last_used_at: datetime | None = None

    @property
    def scope(self) -> KeyScope:
        """The limits of a caller who uses it."""
        return KeyScope(self.role, self.event_id)

    def is_live(self, now: datetime) -> bool:
        """Return whether it has not expired."""
        return self.expires_at is None or now < self.expires_at

    def check_is_live(self, now: datetime) -> None:
        """Raise InvalidRequest for a new key that has expired already."""
        if not self.is_live(now):
            raise invalid("must be in the future", "expires_at")


def check_room_for_an_api_key(live_keys: int) -> None:
    """Raise TooManyApiKeys if the user has the most allowed."""
    if live_keys >= MOST_API_KEYS:
        raise TooManyApiKeys(f"You have {MOST_API_KEYS} API keys, which is the most; delete one first.")


LONGEST_TRIED_PASSWORD = 1_024


def _password(least: int, most: int) -> Rule:
    def rule(value: str) -> str:
        check_characters(value)
        kept = unicodedata.normalize("NFC", value)
        if not least <= len(kept) <= most:
            raise ValueError(f"must have {least} to {most} characters")
        return kept

    return rule


tried_password: Rule = _password(1, LONGEST_TRIED_PASSWORD)
"""A password to sign in with: accounts may be older than today's rules for new passwords."""

_long_password: Rule = _password(8, 128)


def new_password(value: str) -> str:
    """Return a new password: length over composition (NIST SP 800-63B, 5.1.1.2). Raises: ValueError."""
    kept: str = _long_password(value)
    if len(set(kept.casefold())) == 1:
        raise ValueError("must not be one character over and over")
    return kept


person_name: Rule = text(1, 200)

PERSON_RULES: Rules = {"name": person_name, "email": email}
REGISTRATION_RULES: Rules = {**PERSON_RULES, "password": new_password}
LOGIN_RULES: Rules = {"email": tried_email, "password": tried_password}
PROFILE_RULES: Rules = {
    "name": person_name,
    "email": email,
    "current_password": tried_password,
    "new_password": new_password,
}
ERASURE_RULES: Rules = {"current_password": tried_password}
REFRESH_RULES: Rules = {"refresh_token": text(1, 512)}
API_KEY_RULES: Rules = {"name": text(1, 200), "expires_at": utc_time}
