"""The table of check-ins."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table

from .....domain.tickets.check_in import ScanResult
from ..types import Id, Moment, Word
from .metadata import OPTIONS, metadata

# Every entry of a scanner that was a code of the event. `stands` as in the domain.
check_ins: Table = Table(
    "check_ins",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("id", Id(), primary_key=True),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False),
    Column("number", BigInteger(), nullable=False),
    Column("serial", Integer(), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("device", String(100), nullable=False),
    Column("is_offline", Boolean(), nullable=False),
    Column("result", Word(ScanResult), nullable=False),
    Column("admitted_at", Moment()),
    Column("is_undone", Boolean(), nullable=False),
    Column("stands", Boolean(), nullable=False),
    Index(None, "booking_id"),
    # A ticket's entries that stand by time; tickets with several of them are conflicts.
    Index("ix_check_ins_standing", "event_id", "stands", "number", "at", "id"),
    **OPTIONS,
)
