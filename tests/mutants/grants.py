"""Faults of complimentary tickets, and of the bound for overtakes."""

from typing import Final

from .trial import Change, Fault

_GRANTING: Final = ("tests/domain/test_granting.py",)
_OVERTAKES: Final = ("tests/domain/test_overtakes.py",)
_STORED: Final = ("tests/contract/test_overtakes.py",)

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
        (
            Change(
                "domain/decisions/book.py",
                "            reason=complimentary.reason,\n            passed_over=ticket_type.waiting,\n",
                "            reason=complimentary.reason,\n",
            ),
        ),
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
        (Change("domain/replay/event_replay.py", "if told not in (None, waiting):", "if False:"),),
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
    Fault(
        "A waiting booking is overtaken once more than allowed",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "len(self.overtakes) < event.max_overtakes",
                "len(self.overtakes) <= event.max_overtakes",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "A waiting booking is overtaken once less than allowed",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "len(self.overtakes) < event.max_overtakes",
                "len(self.overtakes) + 1 < event.max_overtakes",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "Newcomers overtake without being counted",
        (
            Change(
                "domain/decisions/book.py",
                "    if ticket_type.waiting:\n        builder.count_overtake(ticket_type.id)\n",
                "",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "A late payment overtakes without being counted",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "        builder.count_overtake(booking.ticket_type_id)\n",
                "        pass\n",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "The next in line inherits overtakes that it has not suffered",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "for each in self.overtakes if each >= queue_number])",
                "for each in self.overtakes])",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "Who leaves takes the overtakes of the others along",
        (
            Change(
                "domain/tickets/ticket_type.py",
                "for each in self.overtakes if each >= queue_number])",
                "for each in self.overtakes if each > queue_number + 1])",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "A bound that was removed is remembered",
        (
            Change(
                "domain/decisions/organize.py",
                "if edited.max_overtakes is None and event.max_overtakes is not None:",
                "if False:",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "In a paused event nothing is forgotten",
        (
            Change(
                "domain/decisions/settle.py",
                "forgotten = [_forget_overtakes(builder, each) for each in concerned]",
                "forgotten = [_forget_overtakes(builder, each) for each in concerned if is_served]",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "The front of a waiting list is not loaded",
        (Change("application/turnstile/load_plan.py", "ticket_type.waiting and is_bounded:", "False:"),),
        _OVERTAKES,
    ),
    Fault(
        "Verifying accepts one overtake too many",
        (
            Change(
                "domain/replay/event_replay.py",
                "if len(counts.overtakes) >= self.max_overtakes:",
                "if len(counts.overtakes) > self.max_overtakes:",
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "Verifying does not compare overtakes",
        (
            Change(
                "domain/replay/event_replay.py", "            if each.overtakes != told:\n", "            if False:\n"
            ),
        ),
        _OVERTAKES,
    ),
    Fault(
        "Overtakes are not written",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "_has_rare(each) or number in self._with_rare]",
                "number in self._with_rare]",
            ),
        ),
        _STORED,
    ),
    Fault(
        "Forgotten overtakes stay written",
        (
            Change(
                "adapters/sql/repositories/events.py",
                "_has_rare(each) or number in self._with_rare]",
                "_has_rare(each)]",
            ),
        ),
        _STORED,
    ),
)
