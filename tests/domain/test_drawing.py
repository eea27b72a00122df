"""Draws in the domain: nobody is served before, every entry gets one place, and who comes later stays behind."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.draw import (
    DrawnPlace,
    FinishDraw,
    HoldDraw,
    check_draw_due,
    check_randomness,
    finish_draw,
    hold_draw,
    last_entry_of,
    place_entries,
)
from boxoffice.domain.decisions.settle import STEP
from boxoffice.domain.draws.beacons import QUICKNET, Beacon
from boxoffice.domain.draws.draw import Admission, DrawSource, DrawState
from boxoffice.domain.event import Event, EventDetails, EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    DrawHeld,
    Fact,
    PlaceDrawn,
    TicketsBooked,
)
from boxoffice.domain.refusals import EventClosed, IllegalStatusChange, InvalidRequest, NotFound, SoldOut
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.draw_entries import DrawEntries, DrawEntry
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.values.money import Money

from .domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    FAY,
    MICROSECOND,
    NOW,
    START,
    DomainDriver,
)

SECRET = bytes(range(32))
CLOSES_AT = NOW + timedelta(days=7)


class DrawDriver(DomainDriver):
    """An event whose operator draws."""

    def __init__(self, total_tickets: int = 3, **details: Any) -> None:
        values = {
            "admission": Admission.DRAW,
            "draw_closes_at": CLOSES_AT,
            "draw_source": DrawSource.OPERATOR,
            "draw_commitment": sha256(SECRET).hexdigest(),
            **details,
        }
        super().__init__(total_tickets, **values)

    @property
    def event(self) -> Event:
        return self.stored.event

    def close(self) -> None:
        self.now = CLOSES_AT

    def entries(self) -> list[DrawEntry]:
        collected = DrawEntries(CLOSES_AT)
        for fact in self.facts:
            collected.apply(fact)
        return collected.until(last_entry_of(self.event))

    def hold(self, **values: Any) -> None:
        entries = self.entries()
        command = HoldDraw(
            **{
                "event_id": EVENT_ID,
                "last_entry": last_entry_of(self.event),
                "entries": len(entries),
                "root": bytes(32),
                "randomness": SECRET,
                **values,
            }
        )
        self.take(hold_draw(self.inventory, command, self.now))

    def place(self, bookings: Sequence[Booking], *, are_last: bool = True) -> None:
        """Give entries the next places in this order, and finish the draw after the last ones."""
        before = sum(isinstance(each, PlaceDrawn) for each in self.happened())
        queue_numbers = {each.booking_id: each.queue_number for each in self.entries()}
        places = [DrawnPlace(each.id, queue_numbers[each.id], before + place) for place, each in enumerate(bookings, 1)]
        inventory = replace(self.inventory, bookings=tuple(self.bookings[each.id] for each in bookings))
        self.take(place_entries(inventory, places, self.now))
        if are_last:
            self.take(finish_draw(self.inventory, FinishDraw(EVENT_ID), self.now))

    def draw(self, *bookings: Booking) -> None:
        self.close()
        self.hold()
        self.place(bookings)


def test_whoever_books_before_the_closing_is_an_entry_without_a_place() -> None:
    driver = DrawDriver()
    anas = driver.book(ANA, 2)
    assert (anas.status, anas.place, anas.queue_number) == ("waitlisted", None, 1)
    assert driver.ticket_type.available == 3
    assert driver.state.is_sold_out(driver.now)
    assert driver.event.draw_state(driver.now) is DrawState.OPEN
    with pytest.raises(SoldOut):
        driver.book(BEN, only_if_available=True)


def test_nobody_is_served_between_the_closing_and_the_draw() -> None:
    driver = DrawDriver()
    anas = driver.book(ANA)
    driver.now = CLOSES_AT - MICROSECOND
    driver.book(BEN)
    driver.close()
    late = driver.book(CLEO)
    assert (late.status, late.place) == ("waitlisted", None)
    assert driver.event.draw_state(driver.now) is DrawState.CLOSED
    assert [each.booking_id for each in driver.entries()] == [anas.id, driver.in_line()[1].id]
    driver.edit_type(driver.ticket_type, total_tickets=9)
    driver.settle()
    driver.edit(waiting_list_policy=WaitingListPolicy.FILL)
    assert not [each for each in driver.happened() if isinstance(each, BookingPromoted)]


def test_the_line_is_served_by_the_places_after_the_draw() -> None:
    driver = DrawDriver(3)
    anas, bens, cleos = driver.book(ANA, 2), driver.book(BEN), driver.book(CLEO, 2)
    driver.close()
    dans = driver.book(DAN)
    driver.hold()
    assert driver.event.is_unsettled
    assert driver.event.awaits_draw
    driver.place([cleos, bens, anas])

    assert driver.statuses(cleos, bens, anas, dans) == ["confirmed", "confirmed", "waitlisted", "waitlisted"]
    assert driver.event.draw_state(driver.now) is DrawState.DRAWN
    assert not driver.event.is_unsettled
    assert [each.queue_number for each in driver.in_line()] == [3 + 3, 7]
    eves = driver.book(EVE)
    assert (eves.queue_number, eves.place and eves.place.position) == (8, 3)
    driver.cancel(cleos)
    assert driver.statuses(anas, dans, eves) == ["confirmed", "waitlisted", "waitlisted"]


def test_who_comes_after_the_draw_of_nobody_late_stays_behind() -> None:
    driver = DrawDriver(1)
    anas, bens = driver.book(ANA), driver.book(BEN)
    driver.draw(bens, anas)
    cleos = driver.book(CLEO)
    assert [each.id for each in driver.in_line()] == [anas.id, cleos.id]
    assert cleos.queue_number == 5


def test_a_draw_without_entries_serves_newcomers() -> None:
    driver = DrawDriver(1)
    driver.draw()
    assert driver.book(ANA).status == "confirmed"
    assert driver.event.last_entry == 0


def test_a_grant_needs_no_draw() -> None:
    driver = DrawDriver(2)
    anas = driver.book(ANA)
    gift = driver.give(BEN, 2)
    assert gift.status == "confirmed"
    driver.draw(anas)
    assert driver.status_of(anas) == "waitlisted"
    with pytest.raises(SoldOut):
        driver.give(CLEO, 1)


def test_places_are_drawn_in_steps_that_may_be_repeated() -> None:
    driver = DrawDriver(2)
    anas, bens, cleos = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.close()
    driver.hold()
    driver.place([bens], are_last=False)
    assert driver.event.is_drawing
    driver.settle()
    assert driver.event.is_unsettled, "more steps are needed"
    assert driver.book(DAN).status == "waitlisted"
    assert driver.statuses(anas, bens, cleos) == ["waitlisted"] * 3
    facts = len(driver.facts)
    repeated = replace(driver.inventory, bookings=(driver.bookings[bens.id],))
    assert not place_entries(repeated, [DrawnPlace(bens.id, 2, 1)], driver.now).facts
    assert len(driver.facts) == facts
    driver.place([cleos, anas])
    assert driver.statuses(anas, bens, cleos) == ["waitlisted", "confirmed", "confirmed"]
    driver.place([bens])
    assert len(driver.facts) == facts + 4, "two places and two promotions"


def test_who_leaves_before_the_closing_is_no_entry_and_who_leaves_after_it_keeps_a_place_empty() -> None:
    driver = DrawDriver(1)
    anas, bens, cleos = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.cancel(anas)
    driver.close()
    driver.cancel(bens)
    assert [each.booking_id for each in driver.entries()] == [bens.id, cleos.id]
    driver.hold()
    driver.place([bens, cleos])
    assert driver.statuses(anas, bens, cleos) == ["cancelled", "cancelled", "confirmed"]
    (placed,) = [each for each in driver.happened() if isinstance(each, PlaceDrawn)]
    assert (placed.entered_as, placed.queue_number) == (3, 5)


def test_an_entry_is_as_large_as_it_was_at_the_closing() -> None:
    driver = DrawDriver(3)
    anas, bens = driver.book(ANA, 3), driver.book(BEN, 3)
    driver.give_back(anas, 1)
    driver.close()
    driver.give_back(bens, 2)
    assert [(each.seq, each.quantity) for each in driver.entries()] == [(2, 2), (3, 3)]
    driver.hold()
    driver.place([anas, bens])
    assert driver.statuses(anas, bens) == ["confirmed", "confirmed"]


def test_a_suspended_entry_has_a_place_that_it_takes_again() -> None:
    driver = DrawDriver(1)
    anas, bens, cleos = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.disable(BEN)
    driver.enable(BEN)
    driver.disable(ANA)
    driver.draw(anas, bens, cleos)
    assert driver.statuses(anas, bens, cleos) == ["waitlisted", "confirmed", "waitlisted"]
    driver.enable(ANA)
    driver.cancel(bens)
    assert driver.statuses(anas, cleos) == ["confirmed", "waitlisted"]


@pytest.mark.parametrize("bound", [None, 1])
def test_a_drawn_line_has_the_policy_of_every_line(bound: int | None) -> None:
    driver = DrawDriver(1, waiting_list_policy=WaitingListPolicy.FILL, max_overtakes=bound)
    driver.edit_type(driver.ticket_type, total_tickets=2)
    anas, bens, cleos = driver.book(ANA, 2), driver.book(BEN), driver.book(CLEO)
    driver.give(FAY, 1)
    driver.draw(anas, cleos, bens)
    assert driver.statuses(anas, cleos, bens) == ["waitlisted", "confirmed", "waitlisted"]
    driver.cancel(cleos)
    assert driver.status_of(bens) == ("confirmed" if bound is None else "waitlisted")


def test_many_entries_are_placed_and_served_in_bounded_steps() -> None:
    driver = DrawDriver(STEP + 10)
    crowd = driver.crowd(STEP + 20)
    driver.close()
    driver.hold()
    driver.place(crowd[::-1][:STEP], are_last=False)
    driver.place(crowd[::-1][STEP:])
    assert driver.event.is_unsettled
    while driver.event.is_unsettled:
        driver.settle()
    assert {driver.status_of(each) for each in crowd[10:]} == {"confirmed"}
    assert {driver.status_of(each) for each in crowd[:10]} == {"waitlisted"}


def test_a_paused_event_is_drawn_and_served_once_it_is_resumed() -> None:
    driver = DrawDriver(1)
    anas = driver.book(ANA)
    driver.pause()
    driver.draw(anas)
    assert driver.status_of(anas) == "waitlisted"
    driver.resume()
    assert driver.status_of(anas) == "confirmed"


def test_a_draw_is_held_after_its_closing_and_once() -> None:
    driver = DrawDriver()
    anas = driver.book(ANA)
    driver.now = CLOSES_AT - MICROSECOND
    with pytest.raises(IllegalStatusChange, match="takes entries until 2027-01-08T12:00:00Z"):
        driver.hold()
    driver.draw(anas)
    with pytest.raises(IllegalStatusChange, match="was held"):
        driver.hold()
    driver.edit(status=EventStatus.COMPLETED)
    with pytest.raises(EventClosed):
        check_draw_due(driver.event, driver.now)


def test_an_event_without_a_draw_has_none() -> None:
    driver = DomainDriver()
    with pytest.raises(NotFound):
        check_draw_due(driver.stored.event, driver.now)
    assert driver.stored.event.draw_state(driver.now) is None


def test_an_event_that_ended_meanwhile_ends_its_entries() -> None:
    for status in (EventStatus.CANCELLED, EventStatus.COMPLETED):
        driver = DrawDriver()
        anas = driver.book(ANA)
        driver.close()
        driver.hold()
        driver.edit(status=status)
        driver.settle()
        assert driver.status_of(anas) == "cancelled"
        driver.place([anas])
        assert not driver.event.is_unsettled
        with pytest.raises(EventClosed):
            driver.hold()


def test_other_randomness_than_was_fixed_is_refused() -> None:
    driver = DrawDriver()
    driver.close()
    for randomness in (bytes(32), b"", SECRET[::-1]):
        with pytest.raises(IllegalStatusChange, match="committed"):
            driver.hold(randomness=randomness)
    with pytest.raises(IllegalStatusChange, match="committed"):
        driver.hold(beacon=Beacon(1, b"", SECRET))


def test_another_round_or_beacon_is_refused() -> None:
    driver = DrawDriver(draw_source=DrawSource.DRAND, draw_commitment=None)
    driver.close()
    signature = b"s" * 48
    number = QUICKNET.round_after(CLOSES_AT)
    right = Beacon(number, signature, sha256(signature).digest())
    for wrong in (None, replace(right, round=number - 1), replace(right, round=number + 1)):
        with pytest.raises(IllegalStatusChange, match=f"round {number}"):
            driver.hold(randomness=right.randomness, beacon=wrong)
    with pytest.raises(IllegalStatusChange, match="not that of the beacon"):
        driver.hold(randomness=SECRET, beacon=right)
    with pytest.raises(IllegalStatusChange, match="not that of the beacon"):
        driver.hold(randomness=SECRET, beacon=replace(right, randomness=SECRET))
    driver.hold(randomness=right.randomness, beacon=right)
    held = driver.happened()[-1]
    assert isinstance(held, DrawHeld)
    assert (held.round, held.signature, held.randomness) == (number, signature.hex(), right.randomness.hex())
    check_randomness(DomainDriver().stored.event, b"", None)


def test_a_draw_of_other_entries_than_there_are_is_refused() -> None:
    driver = DrawDriver()
    driver.book(ANA)
    driver.close()
    with pytest.raises(IllegalStatusChange, match="more entries"):
        driver.hold(last_entry=0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"draw_closes_at": None}, "draw_closes_at"),
        ({"admission": Admission.LINE, "draw_source": None}, "draw_closes_at"),
        ({"admission": Admission.LINE, "draw_closes_at": None}, "draw_source"),
        ({"draw_closes_at": NOW}, "draw_closes_at"),
        ({"draw_closes_at": CLOSES_AT.replace(tzinfo=None)}, "draw_closes_at"),
        ({"starts_at": CLOSES_AT}, "starts_at"),
        ({"log": LogMode.OFF}, "log"),
        ({"waiting_list": WaitingListMode.OFF}, "waiting_list"),
    ],
    ids=str,
)
def test_values_that_no_draw_has_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        DrawDriver(**changes)
    assert {each.path for each in refused.value.errors} == {(field,)}


def test_edits_that_the_draw_does_not_allow_are_refused_until_it_was_held() -> None:
    driver = DrawDriver(starts_at=START)
    for changes in ({"log": LogMode.OFF}, {"waiting_list": WaitingListMode.OFF}, {"starts_at": CLOSES_AT}):
        with pytest.raises(InvalidRequest):
            driver.edit(**changes)
    driver.draw()
    driver.edit(log=LogMode.OFF, waiting_list=WaitingListMode.OFF)


def test_a_draw_takes_public_randomness_unless_its_organizer_wants_otherwise() -> None:
    assert DrawDriver(draw_source=None, draw_commitment=None).event.draw_source is DrawSource.DRAND


def test_the_first_fact_has_the_commitment() -> None:
    values = DrawDriver().facts[0].what.all_values["values"]
    assert values["drawCommitment"] == sha256(SECRET).hexdigest()
    assert (values["admission"], values["drawClosesAt"]) == ("draw", "2027-01-08T12:00:00Z")
    assert "drawCommitment" not in DomainDriver().facts[0].what.all_values["values"]
    assert EventDetails(name="x").admission is Admission.LINE


def breaches(driver: DomainDriver, *later: tuple[Booking | None, Any]) -> list[str]:
    """Replay the driver's facts and more of them, and return the breaches."""
    replay = EventReplay(EVENT_ID)
    for fact in driver.facts:
        replay.apply(fact)
    for booking, what in later:
        booking_id = booking.id if booking else None
        replay.apply(Fact(event_id=EVENT_ID, seq=replay.seq + 1, booking_id=booking_id, occurred_at=NOW, what=what))
    return [breach.what for breach in replay.breaches]


def drawn(booking: Booking, entered_as: int, number: int) -> tuple[Booking, PlaceDrawn]:
    return booking, PlaceDrawn(
        ticket_type_id=booking.ticket_type_id,
        customer_id=booking.customer_id,
        quantity=booking.quantity,
        entered_as=entered_as,
        queue_number=number,
    )


def promoted(booking: Booking, number: int) -> tuple[Booking, BookingPromoted]:
    return booking, BookingPromoted(
        ticket_type_id=booking.ticket_type_id,
        customer_id=booking.customer_id,
        quantity=booking.quantity,
        queue_number=number,
        status=replace(booking).status.CONFIRMED,
        payment_status=booking.payment_status,
    )


def held(entries: int = 2, last_entry: int = 2) -> tuple[None, DrawHeld]:
    return None, DrawHeld(last_entry=last_entry, entries=entries, root="", randomness="")


def test_replay_finds_what_breaks_a_draw() -> None:
    driver = DrawDriver(2)
    anas, bens = driver.book(ANA), driver.book(BEN)
    newcomer = TicketsBooked(
        ticket_type_id=anas.ticket_type_id,
        customer_id=CLEO.user_id,
        quantity=1,
        amount=Money(0, "EUR"),
        status=anas.status.CONFIRMED,
        payment_status=anas.payment_status,
    )
    joined = CustomerWaitlisted(
        ticket_type_id=anas.ticket_type_id,
        customer_id=CLEO.user_id,
        quantity=1,
        amount=Money(0, "EUR"),
        queue_number=4,
    )
    both = (held(), drawn(anas, 1, 4), drawn(bens, 2, 3))
    assert breaches(driver, *both, promoted(bens, 3), promoted(anas, 4)) == []
    assert "before the draw" in breaches(driver, promoted(anas, 1))[0]
    assert "before the draw" in breaches(driver, (anas, newcomer))[0]
    assert "while entry 1 had no place" in breaches(driver, held(), drawn(bens, 2, 3), promoted(bens, 3))[0]
    assert "served after" in breaches(driver, *both, promoted(anas, 4), promoted(bens, 3))[0]
    assert "before the draw" in breaches(driver, drawn(anas, 1, 3))[0]
    assert "once more" in breaches(driver, held(), held())[0]
    assert "more entries" in breaches(driver, held(entries=3))[0]
    for wrong in (drawn(anas, 1, 2), drawn(anas, 1, 5), drawn(anas, 3, 3)):
        assert "got place" in breaches(driver, held(), wrong)[0]
    assert "got place 1" in breaches(driver, held(), drawn(anas, 1, 3), drawn(bens, 2, 3))[0]
    assert "after the draw" in breaches(driver, held(), (None, joined))[0]
    assert "once more" in breaches(DomainDriver(), held())[0]


def test_replay_compares_the_stored_draw() -> None:
    driver = DrawDriver()
    driver.draw()
    state = driver.state
    for changes, word in (
        ({"admission": Admission.LINE}, "admission"),
        ({"was_drawn": False}, "was held"),
        ({"last_entry": 7}, "last entry"),
    ):
        replay = EventReplay(EVENT_ID)
        for fact in driver.facts:
            replay.apply(fact)
        replay.compare(replace(state, event=replace(state.event, **changes)))
        assert word in replay.breaches[0].what


def test_a_place_that_cannot_follow_gives_no_booking() -> None:
    driver = DrawDriver()
    anas = driver.book(ANA)
    _, place = drawn(anas, 2, 3)
    facts = [fact for fact in driver.facts if fact.booking_id == anas.id]
    wrong = Fact(event_id=EVENT_ID, seq=9, booking_id=anas.id, occurred_at=NOW, what=place)
    assert replay_booking([*facts, wrong]) is None
    driver.cancel(anas)
    facts = [fact for fact in driver.facts if fact.booking_id == anas.id]
    assert isinstance(facts[-1].what, BookingCancelled)
    assert replay_booking([*facts, replace(wrong, what=replace(place, entered_as=1))]) is None


def test_entries_are_read_up_to_the_draw() -> None:
    driver = DrawDriver(1)
    anas, bens = driver.book(ANA), driver.book(BEN)
    driver.draw(anas, bens)
    driver.cancel(anas)
    assert len(driver.entries()) == 2
