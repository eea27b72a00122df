"""The smallest and largest quantities on waiting lists, each by one index lookup."""

from typing import Any, Final

from sqlalchemy import ScalarSelect, select

from ..bulk.select import force_index
from ..schema.tables import ticket_types, waiting_list

_TYPE, _QUANTITY = waiting_list.c.ticket_type_id, waiting_list.c.quantity


def _first(*order: Any) -> ScalarSelect[int]:
    of_type = force_index(select(_QUANTITY), waiting_list, "ix_waiting_list_ticket_type_id_quantity")
    return of_type.where(ticket_types.c.id == _TYPE).order_by(*order).limit(1).scalar_subquery()


# All rows have the same ticket type, but MySQL would sort them unless the order is that of the whole index.
SMALLEST: Final = _first(_TYPE, _QUANTITY)
"""The smallest quantity of a booking on a ticket type's waiting list, NULL if nobody waits."""

LARGEST: Final = _first(_TYPE.desc(), _QUANTITY.desc())
"""The largest one."""
