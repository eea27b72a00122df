"""The tables of events: inventory, bookings, waiting lists, facts and payments."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .....domain.booking import BookingStatus, PaymentStatus
from .....domain.draws.draw import Admission, DrawSource
from .....domain.event import EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from .....domain.payment import ChargeStatus, DisputeStatus, PaymentKind, PaymentMethod
from ..types import Exact, Gram, Id, LongText, Moment, Numbers, Word
from .metadata import OPTIONS, metadata

# Organizers and customers are not foreign keys: InnoDB would lock the user's row for every booking, so a change of a
# password could delay an event's bookings; and an embedding program may keep accounts elsewhere.
events: Table = Table(
    "events",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("organizer_id", Id(), nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text(), nullable=False),
    Column("venue", String(200), nullable=False),
    Column("starts_at", Moment()),
    Column("ends_at", Moment()),
    Column("time_zone", String(64), nullable=False, server_default=text("'UTC'")),
    Column("sales_open_at", Moment()),
    Column("sales_close_at", Moment()),
    Column("max_tickets_per_customer", Integer(), nullable=False),
    Column("payment_window_minutes", Integer()),
    Column("cancellation_deadline_hours", Integer(), nullable=False),
    Column("refund_fee_percent", Integer(), nullable=False, server_default=text("0")),
    Column("waiting_list_policy", Word(WaitingListPolicy), nullable=False),
    Column("max_overtakes", Integer()),
    Column("waiting_list", Word(WaitingListMode), nullable=False, server_default=text("'on'")),
    Column("log", Word(LogMode), nullable=False, server_default=text("'receipts'")),
    Column("admission", Word(Admission), nullable=False, server_default=text("'line'")),
    Column("draw_closes_at", Moment()),
    Column("draw_source", Word(DrawSource)),
    Column("draw_commitment", String(64)),
    Column("last_entry", BigInteger()),
    Column("was_drawn", Boolean(), nullable=False, server_default=text("0")),
    Column("is_drawing", Boolean(), nullable=False, server_default=text("0")),
    Column("currency", String(3), nullable=False),
    Column("status", Word(EventStatus), nullable=False),
    Column("was_published", Boolean(), nullable=False, server_default=text("0")),
    Column("reschedules", Integer(), nullable=False, server_default=text("0")),
    Column("version", Integer(), nullable=False),
    Column("last_seq", BigInteger(), nullable=False),
    Column("last_queue_number", BigInteger(), nullable=False),
    Column("last_ticket_number", BigInteger(), nullable=False, server_default=text("0")),
    Column("numbered_to", BigInteger()),
    Column("is_unsettled", Boolean(), nullable=False),
    Column("earliest_expiry", Moment()),
    Column("created_at", Moment(), nullable=False),
    # Microseconds since 1970, or the greatest integer for an event without a start: the order of lists of events.
    Column("start_order", BigInteger(), nullable=False),
    # Events that last about as long, so that a list finds those that are running among those that are over.
    Column("duration_class", Integer(), nullable=False, server_default=text("0")),
    # Name and venue, casefolded, for searches.
    Column("searchable", Text(), nullable=False),
    Index(None, "status", "start_order", "id"),
    # Lists the visible cancelled events without scanning the others.
    Index(None, "status", "was_published", "start_order", "id"),
    # The same for events that are not over, or are.
    Index("ix_events_status_by_duration", "status", "duration_class", "start_order", "id"),
    Index("ix_events_published_by_duration", "status", "was_published", "duration_class", "start_order", "id"),
    Index(None, "organizer_id", "status", "start_order", "id"),
    Index(None, "is_unsettled", "id"),
    Index(None, "earliest_expiry", "id"),
    Index(None, "numbered_to", "id"),
    **OPTIONS,
)

# The search index: all substrings of one to three characters of `searchable`. The events of a status that contain one
# are adjacent and in the order of lists.
event_grams: Table = Table(
    "event_grams",
    metadata,
    Column("status", Word(EventStatus), primary_key=True),
    Column("gram", Gram, primary_key=True),
    Column("start_order", BigInteger(), primary_key=True, autoincrement=False),
    Column("event_id", Id(), primary_key=True),
    sqlite_with_rowid=False,
    **OPTIONS,
)

ticket_types: Table = Table(
    "ticket_types",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("event_id", Id(), ForeignKey("events.id"), nullable=False),
    Column("ordinal", Integer(), nullable=False),
    Column("name", String(200), nullable=False),
    # Casefolded, by which one character may become three.
    Column("name_key", String(600), nullable=False),
    Column("price_amount", BigInteger()),
    Column("price_currency", String(3)),
    Column("total_tickets", Integer(), nullable=False),
    Column("taken", Integer(), nullable=False),
    Column("waiting", Integer(), nullable=False),
    Column("waiting_tickets", BigInteger(), nullable=False),
    Column("overtakes", Numbers()),
    Column("room_made_by", BigInteger()),
    UniqueConstraint("event_id", "ordinal"),
    UniqueConstraint("event_id", "name_key"),
    UniqueConstraint("event_id", "id"),
    CheckConstraint("taken >= 0 AND taken <= total_tickets", name="never_oversold"),
    CheckConstraint("waiting >= 0 AND waiting_tickets >= waiting", name="waiting"),
    **OPTIONS,
)

bookings: Table = Table(
    "bookings",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("event_id", Id(), nullable=False),
    Column("ticket_type_id", Id(), nullable=False),
    Column("customer_id", Id(), nullable=False),
    Column("quantity", Integer(), nullable=False),
    Column("status", Word(BookingStatus), nullable=False),
    Column("amount", BigInteger(), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("payment_status", Word(PaymentStatus), nullable=False),
    Column("paid_by", Id()),
    Column("paid_with", Word(PaymentMethod)),
    Column("kept", BigInteger(), nullable=False, server_default=text("0")),
    Column("refund_fee_percent", Integer(), nullable=False, server_default=text("0")),
    # 0 for bookings older than the column, which have no deadline.
    Column("cancellation_deadline_hours", Integer(), nullable=False, server_default=text("0")),
    Column("reschedules", Integer(), nullable=False, server_default=text("0")),
    Column("grace_until", Moment()),
    Column("queue_number", BigInteger()),
    Column("first_ticket_number", BigInteger()),
    Column("returned", Integer(), nullable=False, server_default=text("0")),
    Column("used", Integer(), nullable=False, server_default=text("0")),
    Column("is_suspended", Boolean(), nullable=False, server_default=text("0")),
    Column("expires_at", Moment()),
    Column("created_at", Moment(), nullable=False),
    Column("updated_at", Moment(), nullable=False),
    # The customer while the booking is live, else null. Nulls are distinct, so the unique key below allows one live
    # booking per customer and ticket type (promise 3).
    Column(
        "live_customer_id",
        Id(),
        Computed("CASE WHEN status IN ('waitlisted', 'held', 'confirmed') THEN customer_id END", persisted=True),
    ),
    # Makes the booking's event that of its ticket type, so that the unique key may begin with the event.
    ForeignKeyConstraint(["event_id", "ticket_type_id"], ["ticket_types.event_id", "ticket_types.id"]),
    UniqueConstraint("event_id", "live_customer_id", "ticket_type_id", name="uq_bookings_one_live"),
    Index(None, "event_id", "ticket_type_id"),
    # The order of attendees. No ticket number begins two bookings.
    Index("uq_bookings_first_ticket_number", "event_id", "first_ticket_number", unique=True),
    # Contains all that rules for one customer read, so that the bookings' rows are not read.
    Index("ix_bookings_live_of_customer", "event_id", "live_customer_id", "ticket_type_id", "quantity", "id"),
    Index(None, "event_id", "status", "id"),
    # Holds in the order of their expiry.
    Index(None, "event_id", "status", "expires_at", "id"),
    Index(None, "customer_id", "status", "id"),
    CheckConstraint("quantity >= 1 AND quantity <= 1000", name="quantity"),
    CheckConstraint("status <> 'waitlisted' OR queue_number IS NOT NULL", name="place_in_line"),
    **OPTIONS,
)

# A row for each ticket to which something happened; all others follow from their bookings.
tickets: Table = Table(
    "tickets",
    metadata,
    Column("booking_id", Id(), ForeignKey("bookings.id"), primary_key=True),
    Column("number", BigInteger(), primary_key=True, autoincrement=False),
    Column("event_id", Id(), nullable=False),
    Column("serial", Integer(), nullable=False),
    Column("holder_name", String(200)),
    Column("is_returned", Boolean(), nullable=False),
    Column("checked_in_at", Moment()),
    Index(None, "event_id", "number"),
    **OPTIONS,
)

# A booking has a row exactly while it is waiting and not suspended. The primary key is the order of the list.
waiting_list: Table = Table(
    "waiting_list",
    metadata,
    Column("ticket_type_id", Id(), primary_key=True),
    Column("queue_number", BigInteger(), primary_key=True, autoincrement=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False),
    Column("event_id", Id(), nullable=False),
    Column("quantity", Integer(), nullable=False),
    UniqueConstraint("booking_id"),
    Index(None, "ticket_type_id", "quantity"),
    CheckConstraint("quantity >= 1 AND queue_number >= 1", name="place"),
    **OPTIONS,
)

# The bookings and tickets on the waiting list in each block of `size` queue numbers, so that a place is a sum over few
# rows.
waiting_blocks: Table = Table(
    "waiting_blocks",
    metadata,
    Column("ticket_type_id", Id(), primary_key=True),
    Column("size", Integer(), primary_key=True, autoincrement=False),
    Column("block", BigInteger(), primary_key=True, autoincrement=False),
    Column("bookings", BigInteger(), nullable=False),
    Column("tickets", BigInteger(), nullable=False),
    CheckConstraint("bookings >= 0 AND tickets >= bookings", name="counted"),
    sqlite_with_rowid=False,
    **OPTIONS,
)

facts: Table = Table(
    "facts",
    metadata,
    Column("event_id", Id(), ForeignKey("events.id"), primary_key=True),
    Column("seq", BigInteger(), primary_key=True, autoincrement=False),
    Column("booking_id", Id()),
    Column("kind", String(40), nullable=False),
    Column("occurred_at", Moment(), nullable=False),
    Column("data", LongText, nullable=False),
    # The batch that wrote it, to look up its outcome when the connection is lost during COMMIT.
    Column("batch_id", Id(), nullable=False),
    Index(None, "booking_id", "seq"),
    CheckConstraint("seq >= 1", name="seq"),
    **OPTIONS,
)

payments: Table = Table(
    "payments",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("event_id", Id(), nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False),
    Column("kind", Word(PaymentKind), nullable=False),
    Column("status", Word(ChargeStatus), nullable=False),
    Column("method", Word(PaymentMethod), nullable=False),
    Column("amount", BigInteger(), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("created_at", Moment(), nullable=False),
    Column("tried_at", Moment(), nullable=False),
    Column("settled_at", Moment()),
    Column("ask_at", Moment()),
    Column("attempts", Integer(), nullable=False),
    Column("key", Exact()),
    Column("tried_by", Id()),
    Column("charge_id", Id()),
    Column("reason", String(200)),
    Column("dispute", Word(DisputeStatus)),
    Column("noticed_at", Moment()),
    Column("settled_by", Id()),
    Column("note", String(200)),
    Column("awaits_customer", Boolean(), nullable=False, server_default=text("0")),
    Column("provider_id", Exact()),
    Index(None, "booking_id", "created_at", "id"),
    Index(None, "status", "ask_at", "id"),
    Index(None, "event_id", "id"),
    Index(None, "event_id", "status", "id"),
    Index(None, "provider_id"),
    # What needs a person.
    Index(None, "kind", "status", "id"),
    Index(None, "dispute", "id"),
    CheckConstraint("amount >= 0 AND attempts >= 0", name="counted"),
    # A charge has a time to query the provider exactly until it is completed, so none is forgotten (promise 8). An open
    # refund without such a time waits for a person, or for the end of a dispute.
    CheckConstraint(
        "(status = 'pending' AND (ask_at IS NOT NULL OR kind = 'refund') AND settled_at IS NULL) "
        "OR (status <> 'pending' AND ask_at IS NULL AND settled_at IS NOT NULL)",
        name="settled_or_asked",
    ),
    **OPTIONS,
)
