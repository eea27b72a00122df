"""The tables of what runs beside the rules: leases, limits, stored responses, verifications and keys of codes."""

from sqlalchemy import Column, Index, Integer, String, Table

from ..types import Digest, Exact, Id, LongBytes, Moment
from .metadata import OPTIONS, metadata

# The user is not a foreign key, as in `events`.
stored_responses: Table = Table(
    "stored_responses",
    metadata,
    Column("user_id", Id(), primary_key=True),
    Column("key", Exact(), primary_key=True),
    Column("fingerprint", Digest, nullable=False),
    Column("payload", LongBytes, nullable=False),
    Column("subject_id", Id()),
    Column("kept_at", Moment(), nullable=False),
    Index(None, "kept_at"),
    **OPTIONS,
)

leases: Table = Table(
    "leases",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("process_id", Id(), nullable=False),
    Column("ends_at", Moment(), nullable=False),
    **OPTIONS,
)

# The requests that each process has counted. The key is a digest.
request_counts: Table = Table(
    "request_counts",
    metadata,
    Column("minute", Integer(), primary_key=True, autoincrement=False),
    Column("key", Id(), primary_key=True),
    Column("process_id", Id(), primary_key=True),
    Column("requests", Integer(), nullable=False),
    **OPTIONS,
)

# The subject is the digest of an e-mail address or of a network address.
login_failures: Table = Table(
    "login_failures",
    metadata,
    Column("subject", Id(), primary_key=True),
    Column("times", Exact(), nullable=False),
    Column("last_at", Moment(), nullable=False),
    Index(None, "last_at"),
    **OPTIONS,
)

# The private key is encrypted.
code_keys: Table = Table(
    "code_keys",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("public", Digest, nullable=False),
    Column("sealed", Digest, nullable=False),
    Column("sealed_by", String(16), nullable=False, index=True),
    **OPTIONS,
)

# How often the chances of waiting bookings were right, by bands, when the promises were last verified.
chances: Table = Table(
    "chances",
    metadata,
    Column("percent", Integer(), primary_key=True, autoincrement=False),
    Column("told", Integer(), nullable=False),
    Column("served", Integer(), nullable=False),
    **OPTIONS,
)

# The result of the last verification of each promise.
verifications: Table = Table(
    "verifications",
    metadata,
    Column("promise", Integer(), primary_key=True, autoincrement=False),
    Column("breaches", Integer(), nullable=False),
    Column("verified_at", Moment(), nullable=False),
    **OPTIONS,
)
