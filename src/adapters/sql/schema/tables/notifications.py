"""The tables of webhooks and mails about bookings."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .....domain.mails import MailKind
from .....domain.webhooks import DeliveryStatus
from ..types import Id, Moment, Word
from .metadata import OPTIONS, metadata

# Tables of webhooks and mails have no foreign keys to events, which would lock the event's row against bookings.
webhooks: Table = Table(
    "webhooks",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("organizer_id", Id(), nullable=False),
    Column("url", Text(), nullable=False),
    Column("secret", String(100), nullable=False),
    Column("event_id", Id()),
    # Names separated by spaces; empty: all kinds.
    Column("kinds", String(500), nullable=False),
    Column("active", Boolean(), nullable=False, server_default=text("1")),
    Column("created_at", Moment(), nullable=False),
    Index(None, "organizer_id", "id"),
    **OPTIONS,
)

webhook_cursors: Table = Table(
    "webhook_cursors",
    metadata,
    Column("webhook_id", Id(), ForeignKey("webhooks.id"), primary_key=True),
    Column("event_id", Id(), primary_key=True),
    Column("last_seq", BigInteger(), nullable=False),
    Column("due_at", Moment()),
    Column("tried_at", Moment(), nullable=False),
    **OPTIONS,
)

webhook_deliveries: Table = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("webhook_id", Id(), ForeignKey("webhooks.id"), nullable=False),
    Column("event_id", Id(), nullable=False),
    Column("seq", BigInteger(), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("status", Word(DeliveryStatus), nullable=False),
    Column("attempts", Integer(), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("tried_at", Moment(), nullable=False),
    Column("due_at", Moment()),
    Column("error", String(200), nullable=False),
    UniqueConstraint("webhook_id", "event_id", "seq"),
    Index(None, "webhook_id", "status", "id"),
    Index(None, "status", "due_at"),
    CheckConstraint("(status = 'dead') = (due_at IS NULL)", name="dead_or_due"),
    **OPTIONS,
)

mails: Table = Table(
    "mails",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("kind", Word(MailKind), nullable=False),
    Column("event_id", Id(), nullable=False),
    Column("booking_id", Id(), nullable=False),
    # 0 for mails older than the column.
    Column("seq", BigInteger(), nullable=False, server_default=text("0")),
    Column("expires_at", Moment()),
    Column("created_at", Moment(), nullable=False),
    Column("due_at", Moment(), nullable=False),
    Column("attempts", Integer(), nullable=False),
    Index(None, "due_at", "id"),
    **OPTIONS,
)

# Changes of events of which mails to customers are still to be made.
announcements: Table = Table(
    "announcements",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("seq", BigInteger(), primary_key=True, autoincrement=False),
    Column("kind", Word(MailKind), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("below", Id()),
    Index(None, "created_at", "event_id", "seq"),
    **OPTIONS,
)

# The row with an id of zeros exists once mails are made of facts.
mail_cursors: Table = Table(
    "mail_cursors",
    metadata,
    Column("event_id", Id(), primary_key=True),
    Column("last_seq", BigInteger(), nullable=False),
    **OPTIONS,
)
