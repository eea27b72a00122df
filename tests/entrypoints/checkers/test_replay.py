"""The replay of a line: it lets right lines pass, and names what is wrong with others."""

from typing import Any

import pytest
from msgspec import json

from boxoffice.entrypoints.checkers.entry import read_entry
from boxoffice.entrypoints.checkers.refused import Refused
from boxoffice.entrypoints.checkers.replay import Report, replay

from .written_logs import TYPE, begun, booked, cancelled, of_type, promoted, said, waits


def report(*entries: dict[str, Any], step: int = 499) -> Report:
    return replay([read_entry(json.encode(each)) for each in said(*entries)], step)


def codes(*entries: dict[str, Any]) -> list[tuple[int, str]]:
    return [(each.seq, each.code) for each in report(*entries).findings]


def changed(**changes: object) -> dict[str, Any]:
    return {"kind": "EventChanged", "changes": changes}


LATER = {"at": "2027-01-01T10:00:01Z"}
FILL = begun(3, "fill")

RIGHT = {
    "promotion": [begun(), booked(), waits(1), cancelled(), promoted(1, causedBy=4, passedOver=0)],
    "who waits leaves": [begun(), booked(), waits(1), waits(2), cancelled(was="waitlisted", queueNumber=1)],
    "two at once": [begun(2), booked(2), waits(1), waits(2), cancelled(2), promoted(1), promoted(2, causedBy=5)],
    "fill passes who does not fit": [
        FILL,
        booked(2),
        booked(),
        waits(1, 3),
        waits(2),
        cancelled(),
        promoted(2, causedBy=6, passedOver=1),
    ],
    "fill lets a newcomer take what nobody can use": [FILL, booked(2), waits(1, 2), booked(1, passedOver=1)],
    "a bound that is not reached": [
        begun(3, "fill", maxOvertakes=1),
        booked(2),
        booked(),
        waits(1, 3),
        waits(2),
        waits(3),
        cancelled(),
        promoted(2, passedOver=1),
        cancelled(),
        waits(4),
    ],
    "another bound counts anew": [
        begun(2, "fill", maxOvertakes=1),
        booked(1),
        waits(1, 2),
        booked(1),
        changed(maxOvertakes=None),
        changed(maxOvertakes=1),
        cancelled(),
        waits(2, 2),
        booked(1, passedOver=2),
    ],
    "overtakes end with who suffered them": [
        begun(2, "fill", maxOvertakes=1),
        booked(),
        waits(1, 2),
        booked(),
        cancelled(2, was="waitlisted", queueNumber=1),
        cancelled(),
        waits(2, 2),
        booked(),
    ],
    "a strict line waits for the first": [
        begun(2),
        booked(2),
        waits(1, 2),
        waits(2),
        cancelled(quantity=2),
        promoted(1, 2),
    ],
    "a hold lapses": [begun(), booked(status="held"), waits(1), of_type("HoldExpired"), promoted(1, status="held")],
    "a late payment takes the tickets again": [
        begun(),
        booked(status="held"),
        of_type("HoldExpired"),
        of_type("PaymentTaken", was="expired", status="confirmed"),
        cancelled(),
    ],
    "a late payment comes too late": [
        begun(),
        booked(status="held"),
        of_type("HoldExpired"),
        booked(),
        of_type("PaymentTaken", was="expired", status="expired"),
    ],
    "a payment in time": [
        begun(),
        booked(status="held"),
        of_type("PaymentTaken", was="held", status="confirmed"),
        of_type("PaymentTaken", was="confirmed", status="confirmed"),
        cancelled(),
    ],
    "a part comes back": [
        begun(3),
        booked(3),
        waits(1),
        waits(2, 2),
        of_type("TicketsReturned", 2, left=1, was="confirmed", by="customer"),
        promoted(1, causedBy=5),
        of_type("TicketsReturned", 1, left=1, was="waitlisted", queueNumber=2),
        promoted(2, causedBy=7),
        cancelled(),
    ],
    "a suspended booking blocks nobody and comes back to its place": [
        begun(2),
        booked(2),
        waits(1),
        waits(2),
        of_type("WaitingSuspended", queueNumber=1),
        cancelled(2),
        promoted(2, causedBy=6),
        of_type("WaitingResumed", queueNumber=1),
        promoted(1, causedBy=8),
    ],
    "a suspended booking becomes smaller and leaves": [
        begun(2),
        booked(2),
        waits(1, 2),
        of_type("WaitingSuspended", 2, queueNumber=1),
        of_type("TicketsReturned", 1, left=1, was="waitlisted", queueNumber=1),
        cancelled(was="waitlisted", queueNumber=1),
        cancelled(2),
        booked(2),
    ],
    "more tickets": [
        begun(),
        booked(),
        waits(1),
        {"kind": "TicketTypeChanged", "ticketTypeId": TYPE, "totalTickets": 2},
        changed(),
        promoted(1, causedBy=4),
    ],
    "another policy": [
        begun(2),
        booked(2),
        waits(1, 2),
        waits(2),
        of_type("TicketsReturned", 1, left=1),
        changed(waitingListPolicy="fill"),
        promoted(2, causedBy=6, passedOver=1),
    ],
    "nothing is served while the event is paused": [
        begun(),
        booked(),
        waits(1),
        changed(status="paused"),
        cancelled(),
        changed(status="on_sale"),
        promoted(1, causedBy=6),
    ],
    "tickets are given away past the line": [
        begun(2),
        booked(2),
        waits(1, 2),
        of_type("TicketsReturned", 1, left=1),
        of_type("TicketsGranted", 1, passedOver=1),
    ],
    "a new type and one withdrawn": [
        begun(),
        {"kind": "TicketTypeAdded", "ticketTypeId": "b", "totalTickets": 1},
        {"kind": "TicketTypeChanged", "ticketTypeId": "b", "totalTickets": 0},
        {"kind": "TicketTypeChanged", "ticketTypeId": "b"},
        {"kind": "TicketCheckedIn"},
    ],
    "the event ends": [
        begun(),
        booked(),
        waits(1),
        changed(status="cancelled"),
        cancelled(by="event"),
        cancelled(by="event", was="waitlisted", queueNumber=1),
    ],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_line_passes(name: str) -> None:
    found = report(*RIGHT[name])
    assert (found.findings, found.caveats, found.entries) == ((), (), len(RIGHT[name]))


WRONG = {
    "a skipped number": ([begun(), {**booked(), "seq": 3}], (2, "gap")),
    "no beginning": ([booked()], (1, "gap")),
    "two beginnings": ([begun(), begun()], (2, "broken")),
    "more than there are": ([begun(), booked(2)], (2, "oversold")),
    "a promotion of more than are free": ([begun(), booked(), waits(1), promoted(1)], (4, "oversold")),
    "fewer than are taken": (
        [begun(2), booked(2), {"kind": "TicketTypeChanged", "ticketTypeId": TYPE, "totalTickets": 1}],
        (3, "oversold"),
    ),
    "a cancellation of what nobody has": ([begun(3), booked(2), cancelled(1)], (3, "broken")),
    "a second cancellation": ([begun(3), booked(), cancelled(), cancelled()], (4, "broken")),
    "a lapse of what nobody holds": ([begun(3), booked(), of_type("HoldExpired")], (3, "broken")),
    "a payment for nothing": ([begun(), of_type("PaymentTaken", was="expired", status="confirmed")], (2, "broken")),
    "tickets back that nobody has": ([begun(3), booked(2), of_type("TicketsReturned", 2, left=1)], (3, "broken")),
    "a reordered line": ([begun(), booked(), waits(2), waits(1)], (3, "reordered")),
    "a queue number twice": ([begun(), booked(), waits(1), waits(1)], (4, "reordered")),
    "the second first": (
        [begun(), booked(), waits(1), waits(2), cancelled(), promoted(2)],
        (6, "overtaken"),
    ),
    "fill in a strict line": (
        [begun(2), booked(2), waits(1, 2), waits(2), of_type("TicketsReturned", 1, left=1), promoted(2)],
        (6, "overtaken"),
    ),
    "fill that passes who fits": (
        [FILL, booked(3), waits(1), waits(2), of_type("TicketsReturned", 1, left=2), promoted(2)],
        (6, "overtaken"),
    ),
    "a bound that was reached": (
        [
            begun(3, "fill", maxOvertakes=1),
            booked(2),
            booked(),
            waits(1, 3),
            waits(2),
            waits(3),
            cancelled(),
            promoted(2),
            cancelled(),
            promoted(3),
        ],
        (10, "overtaken"),
    ),
    "a newcomer past a strict line": ([begun(2), booked(), waits(1, 2), booked()], (4, "overtaken")),
    "a newcomer past one who fits": (
        [FILL, booked(3), waits(1), of_type("TicketsReturned", 1, left=2), booked()],
        (4, "idle"),
    ),
    "a newcomer past a bound": (
        [begun(4, "fill", maxOvertakes=1), booked(2), waits(1, 3), booked(), booked()],
        (5, "overtaken"),
    ),
    "a late payer past the line": (
        [
            begun(2),
            booked(status="held"),
            of_type("HoldExpired"),
            booked(),
            waits(1, 2),
            of_type("PaymentTaken", was="expired", status="confirmed"),
        ],
        (6, "overtaken"),
    ),
    "a forged promotion": ([begun(), promoted(1)], (2, "forged")),
    "a promotion of more than was asked for": (
        [begun(2), booked(2), waits(1), cancelled(2), promoted(1, 2)],
        (5, "forged"),
    ),
    "a cause that made no room": (
        [begun(), booked(), waits(1), cancelled(), promoted(1, causedBy=3)],
        (5, "forged"),
    ),
    "a cause to come": ([begun(), booked(), waits(1), cancelled(), promoted(1, causedBy=5)], (5, "forged")),
    "a cause of before": (
        [begun(), booked(), cancelled(), booked(), waits(1), cancelled(), promoted(1, causedBy=3)],
        (7, "forged"),
    ),
    "another number passed over": (
        [FILL, booked(2), booked(), waits(1, 3), waits(2), cancelled(), promoted(2, passedOver=0)],
        (7, "forged"),
    ),
    "a newcomer's other number": ([FILL, booked(2), waits(1, 2), booked(1, passedOver=0)], (4, "forged")),
    "a gift's other number": ([FILL, booked(2), waits(1, 2), of_type("TicketsGranted", passedOver=0)], (4, "forged")),
    "tickets left at the end": ([begun(), booked(), waits(1), cancelled()], (4, "idle")),
    "tickets left for a while": ([begun(), booked(), waits(1), cancelled(), waits(2), promoted(1)], (4, "idle")),
    "tickets served later": ([begun(), booked(), waits(1), cancelled(), {**promoted(1), **LATER}], (4, "idle")),
    "tickets left by the organizer, and sales went on": (
        [begun(), booked(), waits(1), cancelled(by="organizer"), waits(2)],
        (4, "idle"),
    ),
    "made to wait for nothing": ([begun(2), booked(), waits(1)], (3, "idle")),
    "served while paused": (
        [begun(), booked(), waits(1), changed(status="paused"), cancelled(), promoted(1)],
        (6, "policy"),
    ),
    "booked while paused": ([begun(), changed(status="paused"), booked()], (3, "policy")),
    "a closed event on sale again": ([begun(), changed(status="cancelled"), changed(status="on_sale")], (3, "broken")),
    "no policy": ([{"kind": "EventInitialized", "status": "on_sale"}], (1, "broken")),
    "an unknown type": ([begun(), {**booked(), "ticketTypeId": "b"}], (2, "broken")),
    "a type twice": ([begun(), {"kind": "TicketTypeAdded", "ticketTypeId": TYPE, "totalTickets": 1}], (2, "broken")),
    "no quantity": ([begun(), {**booked(), "quantity": 0}], (2, "broken")),
    "no status": ([begun(), booked(status=None)], (2, "broken")),
    "who left the line is not said": (
        [begun(), booked(), waits(1), cancelled(was="waitlisted")],
        (4, "broken"),
    ),
    "a return to a place that nobody had": (
        [begun(), booked(), waits(1), of_type("WaitingResumed", queueNumber=1)],
        (4, "broken"),
    ),
    "a part of a booking that does not wait": (
        [begun(), booked(), waits(1), of_type("TicketsReturned", 1, left=1, was="waitlisted", queueNumber=1)],
        (4, "broken"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_where_it_is(name: str) -> None:
    entries, first = WRONG[name]
    assert first in codes(*entries)


@pytest.mark.parametrize("name", ["organizer", "hold", "resumed"])
def test_tickets_left_free_are_excused_if_the_event_may_have_begun(name: str) -> None:
    free = {
        "organizer": [cancelled(by="organizer")],
        "hold": [of_type("HoldExpired")],
        "resumed": [changed(status="paused"), cancelled(), changed(status="on_sale")],
    }[name]
    found = report(begun(), booked(status="held" if name == "hold" else "confirmed"), waits(1), *free)
    assert found.findings == ()
    assert len(found.caveats) == 1
    assert "had begun by 2027-01-01T10:00:00Z" in found.caveats[0]


def test_a_start_that_is_moved_lets_the_line_be_served_again() -> None:
    moved = {"kind": "EventChanged", **LATER}
    found = report(
        begun(),
        booked(),
        waits(1),
        cancelled(by="organizer"),
        {"kind": "TicketCheckedIn"},
        moved,
        {**promoted(1), **LATER},
    )
    assert found.findings == ()
    assert "until entry 6" in found.caveats[0]


def test_a_long_settlement_goes_on_behind_others() -> None:
    line = [begun(4), booked(4), *map(waits, range(1, 6)), cancelled(4), promoted(1), promoted(2)]
    late = [{**waits(6), **LATER}, {**promoted(3), **LATER}, {**promoted(4), **LATER}]
    assert report(*line, *late, step=2).findings == ()
    assert (8, "idle") in codes(*line, *late)
    unfinished = report(*line, step=2)
    assert unfinished.findings == ()
    assert "settlement" in unfinished.caveats[0]


def test_the_report_counts() -> None:
    found = report(*RIGHT["fill passes who does not fit"], changed(waitingListPolicy="strict", maxOvertakes=None))
    assert (found.joined, found.promoted, found.overtakes, found.policies) == (2, 1, 1, ("fill", "strict"))
    assert report(*RIGHT["tickets are given away past the line"]).granted == 1
    assert report(begun(1, "fill", maxOvertakes=2)).policies == ("fill, at most 2 overtakes",)


def test_a_broken_log_gives_few_findings() -> None:
    found = report(begun(), *[booked(2)] * 50)
    assert len(found.findings) == 10
    assert found.entries < 20


def test_an_event_with_too_many_types_is_refused() -> None:
    types = [{"kind": "TicketTypeAdded", "ticketTypeId": str(each), "totalTickets": 1} for each in range(200)]
    with pytest.raises(Refused, match="ticket types"):
        report(begun(), *types)
