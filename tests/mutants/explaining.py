"""Faults of what the facts say of the waiting list."""

from typing import Final

from .trial import Change, Fault

_PASSING: Final = ("tests/domain/test_passing.py",)
_STORED: Final = ("tests/contract/test_passing.py",)
_EXPLANATIONS: Final = ("tests/domain/test_explanations.py",)
_EXPLANATION: Final = "domain/explanations/explanation.py"
_HISTORY: Final = "domain/explanations/line_history.py"
_CHANCE: Final = "domain/explanations/chance.py"

EXPLAINING: Final = (
    Fault(
        "Of two facts that make room at once the first is named",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "            self._room_made_by[self._index_of(each)] = self.event.last_seq\n",
                "            self._room_made_by.setdefault(self._index_of(each), self.event.last_seq)\n",
            ),
        ),
        _PASSING,
    ),
    Fault(
        "The next step of a long settling does not know what made room",
        (
            Change(
                "domain/decisions/decision_builder.py",
                "room_made_by = None if is_served else self._room_of(index)",
                "room_made_by = None",
            ),
        ),
        _PASSING,
    ),
    Fault(
        "A storage forgets what made room",
        (
            Change(
                "adapters/sql/repositories/events.py", '_RARE = ("overtakes", "room_made_by")', '_RARE = ("overtakes",)'
            ),
        ),
        _STORED,
    ),
    Fault(
        "Those that were not loaded are not counted as passed over",
        (
            Change(
                "adapters/sql/repositories/waiting_lists.py",
                "tuple([places[each.id].position - number for number, each in enumerate(head, 1)])",
                "tuple([0 for _ in head])",
            ),
        ),
        _STORED,
    ),
    Fault(
        "Who leaves unloaded still counts as passed over",
        (Change("domain/inventory.py", "return self._with_others_ahead(place, -1)", "return self"),),
        (*_PASSING, *_STORED),
    ),
    Fault(
        "A newcomer hides whom it passed over",
        (
            Change(
                "domain/decisions/book.py",
                "            booked_by=command.booked_by,\n            passed_over=ticket_type.waiting,\n",
                "            booked_by=command.booked_by,\n            passed_over=0,\n",
            ),
        ),
        _PASSING,
    ),
    Fault(
        "Who leaves keeps the queue number secret",
        (
            Change(
                "domain/decisions/settle.py",
                "            queue_number=booking.queue_number,\n        ),\n",
                "        ),\n",
            ),
        ),
        _PASSING,
    ),
    Fault(
        "Verifying believes what a fact says made room",
        (
            Change(
                "domain/replay/event_replay.py",
                "if what.caused_by not in (None, counts.room_made_by):",
                "if what.caused_by is not None and not counts.room_made_by:",
            ),
        ),
        _PASSING,
    ),
    Fault(
        "Who waits behind others is said to wait for its size before it is said to be blocked",
        (
            Change(
                _EXPLANATION,
                "    if booking.quantity <= available:\n        return ExplanationCode.BLOCKED_BY_BIGGER_GROUP\n",
                "",
            ),
        ),
        _EXPLANATIONS,
    ),
    Fault(
        "A suspended booking is said to wait behind others",
        (Change(_EXPLANATION, "if booking.is_suspended or not event", "if not event"),),
        _EXPLANATIONS,
    ),
    Fault(
        "Those behind are counted as served ahead",
        (Change(_HISTORY, "counted += sum(each < below for each", "counted += sum(each > 0 for each"),),
        _EXPLANATIONS,
    ),
    Fault(
        "The numbers of a wait go on after its end",
        (Change(_EXPLANATION, "until = next(ended, found.event.last_seq + 1)", "until = found.event.last_seq + 1"),),
        _EXPLANATIONS,
    ),
    Fault(
        "A grant overtakes",
        (Change(_HISTORY, "            kind = MoveKind.GRANTED\n", "            kind = MoveKind.NEWCOMER\n"),),
        _EXPLANATIONS,
    ),
    Fault(
        "A chance grows further back",
        (Change(_CHANCE, "place.tickets_ahead + quantity - ticket_type.available", "quantity - place.tickets_ahead"),),
        _EXPLANATIONS,
    ),
    Fault(
        "A chance is told of nine tickets",
        (Change(_CHANCE, "if returned.tickets < LEAST_BASIS:", "if returned.tickets < LEAST_BASIS - 1:"),),
        _EXPLANATIONS,
    ),
    Fault(
        "A booking is explained to strangers",
        (
            Change(
                "application/bookings/explain_booking.py",
                "        await check_shows_booking(BookingOfEvent(found.booking, found.event), self._duties, actor)\n",
                "",
            ),
        ),
        ("tests/application/bookings/test_explain_booking.py",),
    ),
    Fault(
        "Who was never served counts as a chance that was right",
        (
            Change(
                "domain/explanations/chance_record.py",
                "            self._served[percent // BAND] += was_served\n",
                "            self._served[percent // BAND] += 1\n",
            ),
        ),
        ("tests/domain/test_chance_record.py",),
    ),
    Fault(
        "Chances are recorded for a place further ahead",
        (
            Change(
                "domain/explanations/chance_record.py",
                "wanted - counts.available, returned, fact.occurred_at)",
                "wanted - counts.available - 1, returned, fact.occurred_at)",
            ),
        ),
        ("tests/domain/test_chance_record.py",),
    ),
    Fault(
        "An entry of a draw stands behind those who entered earlier",
        (
            Change(
                _EXPLANATION,
                "if event.admission is Admission.DRAW and was_entry and len(seqs) == 1:",
                "if not seqs:",
            ),
        ),
        _EXPLANATIONS,
    ),
)
