"""Passwords and tokens."""

from collections.abc import Hashable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.user import Role


class Asker(Struct, frozen=True):
    """For whom a password is hashed or checked: each has a share of the work, and all have their turns.

    `subject` is what it is about, a user's id for instance. An anonymous caller's e-mail address stands there only
    together with the network address: a stranger must not use up the share of the account that he tries.
    `address` is the network address; None: it is not known.
    """

    subject: Hashable
    address: Hashable = None


class PasswordHasher(Protocol):
    """Keeps passwords as something that cannot be turned back. Its work is slow on purpose and bounded in number."""

    async def hash(self, password: str, asker: Asker) -> str:
        """What to keep of a password. Raises: Unavailable when too many wait, or too many of the asker's."""

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        """Whether this is the password. Without a hash (no such account): False, after the same time.

        Raises: as `hash`.
        """

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the password would be kept better today, so that it is worth hashing again while it is known."""


class KnownPasswords(Protocol):
    """The passwords that everybody tries first."""

    def contains(self, password: str) -> bool:
        """Whether the password is a well-known one, upper and lower case being the same."""


class Token(Struct, frozen=True):
    """An access token and the seconds it is good for."""

    text: str
    expires_in: int


class AccountKey(Struct, frozen=True, gc=False):
    """A user, and which of the user's sessions, if any."""

    user_id: UUID
    session_id: UUID | None = None


class Claims(Struct, frozen=True, gc=False):
    """Whom an access token speaks for, and the role that the user had when it was issued."""

    user_id: UUID
    session_id: UUID
    role: Role


class Tokens(Protocol):
    """Issues access tokens and reads them."""

    lifetime: int
    """Seconds."""

    def issue(self, claims: Claims, now: datetime) -> Token:
        """A token for one session."""

    def read(self, text: str, now: datetime) -> Claims:
        """Whom it speaks for. Raises: InvalidToken (the refusal) for anything that we did not issue or that expired."""


class RefreshDigests(Struct, frozen=True):
    """All that is kept of a refresh token: nobody makes a token of it.

    `family` is the same for every refresh token of a session, `token` is another one for each.
    """

    family: bytes
    token: bytes


class RefreshToken(Struct, frozen=True):
    """A refresh token, for its holder, and what is kept of it."""

    text: str
    digests: RefreshDigests


class RefreshTokens(Protocol):
    """Makes refresh tokens, which cannot be guessed, and reads them."""

    def first(self) -> RefreshToken:
        """The first token of a new session."""

    def after(self, token: RefreshToken) -> RefreshToken:
        """Another token of the same session."""

    def read(self, text: str) -> RefreshToken | None:
        """The token; None for what was never one. Whether it is one of ours, and the newest, its digests tell."""
