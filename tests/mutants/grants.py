"""Faults of complimentary tickets."""

from typing import Final

from .trial import Change, Fault

_GRANTING: Final = ("tests/domain/test_granting.py",)

GRANTS: Final = (
    Fault(
        "More tickets are given away than there are",
        (
            Change(
                "domain/decisions/book.py",
                "    if command.quantity > ticket_type.available:\n        raise SoldOut\n",
                "",
            ),
        ),
        _GRANTING,
    ),
    Fault(
        "The desk gives tickets away",
        (
            Change(
                "domain/decisions/book.py",
                "right = Right.BOOK_FOR_OTHERS if command.complimentary is None else Right.GRANT_TICKETS",
                "right = Right.BOOK_FOR_OTHERS",
            ),
        ),
        _GRANTING,
    ),
    Fault(
        "A gift hides whom it passed over",
        (Change("domain/decisions/book.py", "            passed_over=ticket_type.waiting,\n", ""),),
        _GRANTING,
    ),
    Fault(
        "A gift has to be paid",
        (
            Change(
                "domain/decisions/book.py",
                "        amount=Money(0, inventory.event.currency),\n",
                "",
            ),
        ),
        _GRANTING,
    ),
    Fault(
        "A gift exceeds what one customer may have",
        (
            Change(
                "domain/decisions/book.py",
                "    _check_customer_may_add(inventory, ticket_type, command)\n"
                "    if command.complimentary is not None:\n",
                "    if command.complimentary is None:\n"
                "        _check_customer_may_add(inventory, ticket_type, command)\n"
                "    if command.complimentary is not None:\n",
            ),
        ),
        _GRANTING,
    ),
    Fault(
        "Verifying misses a lie about whom a gift passed over",
        (Change("domain/replay.py", "if what.passed_over != counts.waiting.total():", "if False:"),),
        _GRANTING,
    ),
    Fault(
        "The tickets of a gift have no numbers",
        (
            Change(
                "domain/facts.py",
                "        case TicketsGranted():\n            return what.quantity\n",
                "",
            ),
        ),
        _GRANTING,
    ),
)
