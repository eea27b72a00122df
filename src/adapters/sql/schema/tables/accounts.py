"""The tables of accounts: users, sessions, API keys, links and the mails that carry them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from .....domain.policy import KeyRole, StaffRole
from .....domain.user import Role
from .....domain.verification import LinkPurpose
from ..types import Digest, Exact, Id, Moment, Word
from .metadata import OPTIONS, metadata

users: Table = Table(
    "users",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("name", String(200), nullable=False),
    # Null for accounts that lost their address. Nulls are distinct, so any number of them may.
    Column("email", String(254)),
    Column("password_hash", String(255)),
    Column("role", Word(Role), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("disabled_at", Moment()),
    Column("standing_changed_at", Moment()),
    Column("verified_at", Moment()),
    Column("pending_email", String(254)),
    Column("erased_at", Moment()),
    UniqueConstraint("email"),
    Index(None, "standing_changed_at"),
    **OPTIONS,
)

sessions: Table = Table(
    "sessions",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("user_id", Id(), ForeignKey("users.id"), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("expires_at", Moment(), nullable=False),
    Column("ended_at", Moment()),
    # Digests of its refresh tokens' family and of the newest token. Null for sessions older than these columns.
    Column("family_digest", Digest),
    Column("token_digest", Digest),
    # Of the token that was exchanged for the newest one.
    Column("replaced_digest", Digest),
    Column("replaced_salt", Digest),
    Column("replaced_at", Moment()),
    Index(None, "user_id", "expires_at"),
    Index(None, "family_digest", unique=True),
    Index(None, "ended_at"),
    **OPTIONS,
)

# The digest is all that is stored of a key's text. A revoked key has no row.
api_keys: Table = Table(
    "api_keys",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("user_id", Id(), ForeignKey("users.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", Word(KeyRole), nullable=False),
    Column("event_id", Id()),
    Column("expires_at", Moment()),
    Column("created_at", Moment(), nullable=False),
    Column("last_used_at", Moment()),
    Column("digest", Digest, nullable=False),
    Index(None, "user_id"),
    Index(None, "digest", unique=True),
    **OPTIONS,
)

# Accounts that were disabled or enabled lately, whose waiting bookings are due for a review.
account_reviews: Table = Table(
    "account_reviews",
    metadata,
    Column("user_id", Id(), primary_key=True),
    Column("until", Moment(), nullable=False),
    Column("due_at", Moment(), nullable=False),
    Index(None, "due_at", "user_id"),
    **OPTIONS,
)

# Who works for which event. Neither is a foreign key: InnoDB would lock the event's row, which bookings wait for.
event_staff: Table = Table(
    "event_staff",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("user_id", Id(), primary_key=True),
    Column("id", Id(), nullable=False),
    Column("role", Word(StaffRole), nullable=False),
    Column("appointed_at", Moment(), nullable=False),
    Index(None, "user_id", "event_id"),
    **OPTIONS,
)

# Links in mails to accounts: each is its mail too, due at `due_at`. No token is stored: it is derived from the id and a
# secret. The user may be a claim.
account_links: Table = Table(
    "account_links",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("purpose", Word(LinkPurpose), nullable=False),
    Column("user_id", Id(), nullable=False),
    Column("email", String(254), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("due_at", Moment()),
    Column("attempts", Integer(), nullable=False),
    Index(None, "user_id"),
    Index(None, "email"),
    Index(None, "created_at"),
    Index(None, "due_at", "id"),
    **OPTIONS,
)

# Registrations with an address that another account holds. They become accounts once that address is verified.
account_claims: Table = Table(
    "account_claims",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("email", String(254), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Index(None, "email"),
    Index(None, "created_at"),
    **OPTIONS,
)

# Erased accounts of which bookings and events are still ended. The user is not a foreign key, as in `events`.
erasures: Table = Table(
    "erasures",
    metadata,
    Column("user_id", Id(), primary_key=True),
    Column("erased_at", Moment(), nullable=False),
    Column("due_at", Moment(), nullable=False),
    Index(None, "due_at"),
    **OPTIONS,
)

# The times of the mails to one recipient. The subject is a digest.
mail_times: Table = Table(
    "mail_times",
    metadata,
    Column("subject", Id(), primary_key=True),
    Column("times", Exact(), nullable=False),
    Column("last_at", Moment(), nullable=False),
    Index(None, "last_at"),
    **OPTIONS,
)
