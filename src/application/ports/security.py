"""Passwords and tokens."""

from collections.abc import Hashable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.user import Role


class Asker(Struct, frozen=True):
    """The caller for whom a password is hashed or verified, for fair shares of the work.

    `subject` is for instance a user's id. An anonymous caller's e-mail address is combined with the network address, so
    a stranger cannot use up the share of the account. `address` is the network address; None: unknown.
    """

    subject: Hashable
    address: Hashable = None


class PasswordHasher(Protocol):
    """Hashes passwords. Hashing is slow on purpose, and the number of concurrent calls is bounded."""

    async def hash(self, password: str, asker: Asker) -> str:
        """Return the hash of a password. Raises: Unavailable when too many wait, in total or of this asker."""

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        """Return whether this is the password. Without a hash (no such account) return False after the same time.

        Raises: as `hash`.
        """

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash has outdated parameters, so the password should be hashed again."""


class KnownPasswords(Protocol):
    """A list of well-known passwords."""

    def contains(self, password: str) -> bool:
        """Return whether the password is well known, without regard to case."""


class Token(Struct, frozen=True):
    """An access token and its lifetime in seconds."""

    text: str
    expires_in: int


class AccountKey(Struct, frozen=True, gc=False):
    """A user, and optionally one of their sessions."""

    user_id: UUID
    session_id: UUID | None = None


class Claims(Struct, frozen=True, gc=False):
    """The user and session of an access token, and the user's role when it was issued."""

    user_id: UUID
    session_id: UUID
    role: Role


class Tokens(Protocol):
    """Issues and reads access tokens."""

    lifetime: int
    """Seconds."""

    def issue(self, claims: Claims, now: datetime) -> Token:
        """Return a token for one session."""

    def read(self, text: str, now: datetime) -> Claims:
        """Return the claims of a token. Raises: InvalidToken (the refusal) if it was not issued here or has expired."""


class RefreshDigests(Struct, frozen=True):
    """The stored digests of a refresh token, from which the token cannot be derived.

    All refresh tokens of a session have the same `family`; `token` is different for each.
    """

    family: bytes
    token: bytes


class ReplacedToken(Struct, frozen=True):
    """What is stored of the refresh token that was exchanged for the newest one.

    The replaced token and `salt` together give the newest one again; neither does alone.
    """

    digest: bytes
    salt: bytes
    replaced_at: datetime


class RefreshToken(Struct, frozen=True):
    """A refresh token, and its digests to store."""

    text: str
    digests: RefreshDigests


class RefreshTokens(Protocol):
    """Makes and reads refresh tokens, which cannot be guessed."""

    def first(self) -> RefreshToken:
        """Return the first token of a new session."""

    def new_salt(self) -> bytes:
        """Return random bytes for `after`."""

    def after(self, token: RefreshToken, salt: bytes) -> RefreshToken:
        """Return the next token of the same session, the same for the same salt."""

    def read(self, text: str) -> RefreshToken | None:
        """Return the token; None if it is malformed. Its digests show whether it was issued here and is the newest."""


class LinkTokens(Protocol):
    """Makes and reads the tokens of links in mails. They are derived from the link's id and a secret.

    A token is never stored, and what is stored does not give it without the secret.
    """

    def text(self, link_id: UUID) -> str:
        """Return the token of a link, the same for the same link: 22 or more of `A-Za-z0-9._~-`."""

    def read(self, text: str) -> UUID | None:
        """Return the id of the link; None if the token was not made here."""
