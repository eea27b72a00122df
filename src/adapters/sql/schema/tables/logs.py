"""The tables of events' logs, and of the keys of customers in them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, String, Table, Text

from ..types import Digest, Id, LongBytes
from .metadata import OPTIONS, metadata

# As in `notifications`, events are no foreign keys, which would lock their rows against bookings.
event_logs: Table = Table(
    "event_logs",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("size", BigInteger(), nullable=False),
    Column("root", Digest, nullable=False),
    Column("checkpoint", Text(), nullable=False),
    CheckConstraint("size >= 1", name="size"),
    **OPTIONS,
)

# The hashes of each tile, as far as it is sealed.
log_tiles: Table = Table(
    "log_tiles",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("level", Integer(), primary_key=True, autoincrement=False),
    Column("number", BigInteger(), primary_key=True, autoincrement=False),
    Column("hashes", LongBytes, nullable=False),
    **OPTIONS,
)

# The entries of each tile of level 0.
log_bundles: Table = Table(
    "log_bundles",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("number", BigInteger(), primary_key=True, autoincrement=False),
    Column("entries", LongBytes, nullable=False),
    **OPTIONS,
)

# Events with new facts, from processes that do not seal.
unsealed_events: Table = Table(
    "unsealed_events",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("last_seq", BigInteger(), nullable=False),
    **OPTIONS,
)

# Customers are no foreign keys, as in `events`.
customer_log_keys: Table = Table(
    "customer_log_keys",
    metadata,
    Column("customer_id", Id(), primary_key=True),
    Column("key", Digest, nullable=False),
    **OPTIONS,
)

# One row: the name of this installation's logs.
log_hosts: Table = Table(
    "log_hosts",
    metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    Column("host", String(255), nullable=False),
    **OPTIONS,
)
