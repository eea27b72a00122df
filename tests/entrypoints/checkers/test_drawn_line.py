"""The replay of a drawn line: a draw that was held as declared passes, and every other one is found."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from msgspec import json

from boxoffice.entrypoints.checkers.entry import read_entry
from boxoffice.entrypoints.checkers.replay import Report, replay
from tests.adapters.randomness.recorded_beacons import ROUND_1000, ROUND_657413

from .drawn_documents import SECRET, root_of
from .written_logs import begun, booked, cancelled, of_type, promoted, said, waits

BEFORE, CLOSING, AFTER = "2023-09-15T10:58:03Z", "2023-09-15T10:59:03Z", "2023-09-15T11:00:03Z"
CLOSES_AT = CLOSING
Entry = dict[str, Any]


def at(time: str, *entries: Entry) -> list[Entry]:
    return [{"at": time, **each} for each in entries]


def opened(total: int = 2, **values: object) -> Entry:
    committed = {"drawSource": "operator", "drawCommitment": sha256(SECRET).hexdigest()}
    return {**begun(total), "admission": "draw", "drawClosesAt": CLOSES_AT, **committed, **values}


def leaf_of(entry: Entry) -> bytes:
    return sha256(b"\0" + json.encode(entry)).digest()


def drawn(
    before: Sequence[Entry], numbers: Sequence[int], last_entry: int, secret: bytes = SECRET, **held: Any
) -> list[Entry]:
    """The log with the draw of these entries, and the facts of their places in ascending order."""
    log = said(*before)
    leaves = [leaf_of(each) for number in numbers for each in log if is_entry(each, number)]
    root = root_of(leaves)
    ranks = [sha256(b"boxoffice/draw/1" + secret + root + leaf).digest() for leaf in leaves]
    order = [number for _, number in sorted(zip(ranks, numbers, strict=True))]
    said_of_it = {"lastEntry": last_entry, "entries": len(leaves), "root": root.hex(), "randomness": secret.hex()}
    places = [
        of_type("PlaceDrawn", enteredAs=number, queueNumber=last_entry + place) for place, number in enumerate(order, 1)
    ]
    return [*before, *at(AFTER, {"kind": "DrawHeld", **said_of_it, **held}, *places)]


def is_entry(entry: Entry, number: int) -> bool:
    return (entry["kind"], entry.get("queueNumber")) == ("CustomerWaitlisted", number)


def report(entries: Sequence[Entry]) -> Report:
    return replay([read_entry(json.encode(each)) for each in said(*entries)])


def sentences(entries: Sequence[Entry]) -> list[str]:
    return [each.sentence for each in report(entries).findings if each.code == "draw"]


JOINED = [*at(BEFORE, opened(), waits(1), waits(2), cancelled(was="waitlisted", queueNumber=1), waits(3), waits(4))]
LATE = [*JOINED, *at(AFTER, waits(9))]
DRAWN = drawn(LATE, [2, 3, 4], 4)
"""Of three entries the first two get tickets; one who came late waits behind them."""
HELD = len(LATE)
SERVED = [*DRAWN, *at(AFTER, promoted(5, causedBy=HELD + 1, passedOver=0), promoted(6, passedOver=0))]


def test_a_right_draw_passes() -> None:
    found = report(SERVED)
    assert found.findings == ()
    assert (found.joined, found.promoted, found.overtakes) == (5, 2, 0)
    more = [
        *SERVED,
        *at(AFTER, waits(10), cancelled(), promoted(7), cancelled(), promoted(9), cancelled(), promoted(10)),
    ]
    assert report(more).findings == ()


def test_a_draw_before_which_nobody_came_late_passes() -> None:
    log = [*drawn(JOINED, [2, 3, 4], 4), *at(AFTER, promoted(5), promoted(6), waits(9))]
    assert report(log).findings == ()
    empty = [*drawn(at(BEFORE, opened()), [], 0), *at(AFTER, booked(2), waits(1))]
    assert report(empty).findings == ()


def test_who_leaves_after_the_closing_keeps_a_place_empty() -> None:
    log = [*JOINED, *at(AFTER, cancelled(was="waitlisted", queueNumber=3))]
    all_places = drawn(log, [2, 3, 4], 4)
    log = [each for each in all_places if each.get("enteredAs") != 3]
    numbers = [each["queueNumber"] for each in log if each["kind"] == "PlaceDrawn"]
    assert report([*log, *at(AFTER, *map(promoted, numbers))]).findings == ()
    assert sentences(all_places) == ["number 3 is no entry that waits for its place"]


def test_a_suspended_entry_has_its_place_too() -> None:
    log = [*JOINED, *at(BEFORE, of_type("WaitingSuspended", queueNumber=2))]
    whole = drawn(log, [2, 3, 4], 4)
    (number,) = [each["queueNumber"] for each in whole if each.get("enteredAs") == 2]
    others = [each["queueNumber"] for each in whole if each["kind"] == "PlaceDrawn" and each["enteredAs"] != 2]
    served = [*whole, *at(AFTER, *map(promoted, others))]
    back = [*served, *at(AFTER, of_type("WaitingResumed", queueNumber=number), cancelled(), promoted(number))]
    assert report(back).findings == ()


def test_drand_s_beacon_counts() -> None:
    public: Entry = {"drawSource": "drand", "drawCommitment": None, "admission": "draw"}
    before = at(BEFORE, opened(**public), waits(1), waits(2))
    randomness = bytes.fromhex(ROUND_657413["randomness"])
    right = {"round": 657_413, "signature": ROUND_657413["signature"]}
    assert sentences(drawn(before, [1, 2], 2, randomness, **right)) == []
    (told,) = sentences(drawn(before, [1, 2], 2, randomness, **right | {"round": 657_414}))
    assert "round 657414" in told
    for forged in ({"signature": ROUND_1000["signature"]}, {"signature": "zz"}, {"randomness": "00" * 32}):
        assert "its beacon was not made by drand" in sentences(drawn(before, [1, 2], 2, randomness, **right | forged))


def test_a_chosen_secret_is_found() -> None:
    (told,) = sentences(drawn(LATE, [2, 3, 4], 4, bytes(32)))
    assert "committed" in told


@pytest.mark.parametrize("entered", [[2, 3], [3, 4], [2, 3, 4, 9]], ids=str)
def test_an_entry_left_out_or_a_late_one_ranked_is_found(entered: list[int]) -> None:
    told = sentences(drawn(LATE, entered, 4))
    assert f"its {len(entered)} entries are not the 3 who had joined and not left" in told


def test_a_place_that_does_not_follow_is_found() -> None:
    first, second = (DRAWN[HELD + each]["queueNumber"] for each in (1, 2))
    swapped = [*DRAWN]
    swapped[HELD + 1] = {**DRAWN[HELD + 1], "queueNumber": second}
    swapped[HELD + 2] = {**DRAWN[HELD + 2], "queueNumber": first}
    assert [each[-7:] for each in sentences(swapped)] == ["place 1", "place 2"]
    assert sentences([*DRAWN, DRAWN[HELD + 1]]) != []


def test_nobody_is_served_before_every_entry_has_its_place() -> None:
    assert len(sentences([*JOINED, *at(BEFORE, promoted(2))])) == 1
    assert len(sentences([*JOINED, *at(AFTER, booked())])) == 1
    assert len(sentences([*DRAWN[: HELD + 2], *at(AFTER, promoted(5))])) == 1
    granted = of_type("TicketsGranted", 1)
    assert sentences([*JOINED, *at(BEFORE, granted)]) == []


def test_the_drawn_order_is_kept() -> None:
    assert [each.code for each in report([*DRAWN, *at(AFTER, promoted(6))]).findings] == ["overtaken"]
    assert [each.code for each in report([*DRAWN, *at(AFTER, promoted(9))]).findings] == ["overtaken"]


def test_a_draw_is_held_after_its_closing_once_and_where_there_is_one() -> None:
    early = drawn(JOINED, [2, 3, 4], 4)
    early[len(JOINED)] = {**early[len(JOINED)], "at": BEFORE}
    assert "it was held before its closing" in sentences(early)
    assert "once more" in sentences([*DRAWN, DRAWN[HELD]])[0]
    assert "once more" in sentences(drawn(at(BEFORE, begun()), [], 0))[0]
    assert "end at 5" in sentences(drawn(LATE, [2, 3, 4], 5))[0]


def test_who_joins_on_the_other_side_of_the_closing_than_told_is_found() -> None:
    assert len(sentences([*JOINED, *at(AFTER, waits(5))])) == 1
    assert len(sentences([*JOINED, *at(BEFORE, waits(9))])) == 1


def test_what_a_second_does_not_tell_is_excused() -> None:
    vague = opened(drawClosesAt=CLOSING.replace("Z", ".5Z"))
    log = [*at(BEFORE, vague, waits(1), waits(2)), *at(CLOSING, cancelled(was="waitlisted", queueNumber=1))]
    for entries in ([1, 2], [2]):
        found = report(drawn(log, entries, 2))
        assert [each.code for each in found.findings if "entries are not" in each.sentence] == []
    assert [each.endswith("in its second.") for each in report(drawn(log, [2], 2)).caveats] == [True, False]


def test_a_draw_without_a_closing_time_is_broken() -> None:
    log = at(BEFORE, opened(drawClosesAt="soon"), waits(1))
    assert [each.code for each in report(log).findings] == ["broken"]
