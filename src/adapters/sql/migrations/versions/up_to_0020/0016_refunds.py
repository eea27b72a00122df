"""What is left of payments, refunds in parts and by hand, disputes, and the fee of cancellations."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_EXACT = sa.LargeBinary(1_020).with_variant(mysql.VARBINARY(1_020), "mysql", "mariadb")
_NEW: tuple[tuple[str, Any], ...] = (
    ("charge_id", _ID),
    ("reason", sa.String(200)),
    ("dispute", sa.String(16)),
    ("noticed_at", _MOMENT),
    ("settled_by", _ID),
    ("note", sa.String(200)),
)
_SETTLED_OR_ASKED = (
    "(status = 'pending' AND (ask_at IS NOT NULL OR kind = 'refund') AND settled_at IS NULL) "
    "OR (status <> 'pending' AND ask_at IS NULL AND settled_at IS NOT NULL)"
)

_payments = sa.table("payments", sa.column("id", _ID), sa.column("kind", sa.String()), sa.column("charge_id", _ID))
_REFUND_BITS = 0x5EF0_0D5E_F00D_5EF0 & ((1 << 62) - 1)
_AT_ONCE = 500


def upgrade() -> None:
    """Add the columns. Every refund until now was that of a whole charge, from whose id its own was derived."""
    connection = op.get_bind()
    op.add_column("events", sa.Column("refund_fee_percent", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("bookings", sa.Column("kept", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "bookings", sa.Column("refund_fee_percent", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    connection.execute(sa.text("UPDATE bookings SET kept = amount WHERE payment_status = 'taken'"))
    if connection.dialect.name == "sqlite":
        _replace_payments()
    else:
        for name, kind in _NEW:
            op.add_column("payments", sa.Column(name, kind, nullable=True))
        # One statement, so it can be repeated.
        connection.execute(
            sa.text(
                "ALTER TABLE payments DROP CONSTRAINT ck_payments_settled_or_asked, "
                f"ADD CONSTRAINT ck_payments_settled_or_asked CHECK ({_SETTLED_OR_ASKED})"
            )
        )
    _name_charges(connection)
    # Cash is given back by a person, who then says so.
    connection.execute(
        sa.text("UPDATE payments SET ask_at = NULL WHERE kind = 'refund' AND method = 'cash' AND status = 'pending'")
    )
    for columns in (["event_id", "id"], ["event_id", "status", "id"], ["kind", "status", "id"], ["dispute", "id"]):
        op.create_index(op.f(f"ix_payments_{'_'.join(columns)}"), "payments", columns)


def _replace_payments() -> None:
    """Copy the table, because SQLite cannot change a constraint."""
    old = (
        *("id", "event_id", "booking_id", "kind", "status", "method", "amount", "currency", "created_at", "tried_at"),
        *("settled_at", "ask_at", "attempts", "key", "tried_by"),
    )
    op.create_table(
        "payments_new",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("booking_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("tried_at", _MOMENT, nullable=False),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.Column("ask_at", _MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("key", _EXACT, nullable=True),
        sa.Column("tried_by", _ID, nullable=True),
        *(sa.Column(name, kind, nullable=True) for name, kind in _NEW),
        sa.CheckConstraint("amount >= 0 AND attempts >= 0", name=op.f("ck_payments_counted")),
        sa.CheckConstraint(_SETTLED_OR_ASKED, name=op.f("ck_payments_settled_or_asked")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_payments_booking_id")),
        sa.PrimaryKeyConstraint("id"),
    )
    columns = ", ".join(old)
    op.execute(sa.text(f"INSERT INTO payments_new ({columns}) SELECT {columns} FROM payments"))  # noqa: S608 - constants
    op.drop_table("payments")
    op.rename_table("payments_new", "payments")
    op.create_index(op.f("ix_payments_booking_id_created_at_id"), "payments", ["booking_id", "created_at", "id"])
    op.create_index(op.f("ix_payments_status_ask_at_id"), "payments", ["status", "ask_at", "id"])


def _name_charges(connection: sa.Connection) -> None:
    unnamed = sa.select(_payments.c.id).where(_payments.c.kind == "refund", _payments.c.charge_id.is_(None))
    update = (
        sa.update(_payments).where(_payments.c.id == sa.bindparam("refund_id")).values(charge_id=sa.bindparam("charge"))
    )
    while found := connection.execute(unnamed.limit(_AT_ONCE)).scalars().all():
        charges = [{"refund_id": each, "charge": (int.from_bytes(each) ^ _REFUND_BITS).to_bytes(16)} for each in found]
        connection.execute(update, charges)
