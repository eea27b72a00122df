"""Mails: which facts cause one, when it is sent, and how long it is true."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import Event, EventStatus
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    BookingPromoted,
    EventChanged,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentRefunded,
    PaymentStarted,
    PaymentTaken,
    RefundFailed,
    TicketsBooked,
    TicketsReturned,
)
from boxoffice.domain.mails import LATEST, RETRY_AFTER, Announcement, Mail, MailKind, announcement_of, mails_of
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.values.money import Money

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EVENT, BOOKING, CUSTOMER, TYPE, CHARGE = (UUID(int=number) for number in range(1, 6))
ABOUT: dict[str, Any] = {"ticket_type_id": TYPE, "customer_id": CUSTOMER, "quantity": 2}
PRICE = Money(100, "EUR")


def fact(what: AnyFactPayload, seq: int = 3) -> Fact:
    return Fact(event_id=EVENT, seq=seq, booking_id=BOOKING, occurred_at=NOW, what=what)


def pay_until(minutes: float | None) -> dict[str, Any]:
    """What a booking that must be paid within so many minutes, or at any time, has."""
    if minutes is None:
        return {"status": BookingStatus.CONFIRMED, "payment_status": PaymentStatus.DUE, "expires_at": None}
    expires_at = NOW + timedelta(minutes=minutes)
    return {"status": BookingStatus.HELD, "payment_status": PaymentStatus.DUE, "expires_at": expires_at}


def promoted(minutes: float | None = None) -> Fact:
    return fact(BookingPromoted(**ABOUT, queue_number=1, **pay_until(minutes)))


def booked(minutes: float | None = None) -> Fact:
    return fact(TicketsBooked(**ABOUT, amount=PRICE, **pay_until(minutes)))


def cancelled(by: str) -> Fact:
    return fact(BookingCancelled(**ABOUT, was=BookingStatus.CONFIRMED, by=by, payment_status=PaymentStatus.NONE))


def given_back(by: str) -> Fact:
    return fact(TicketsReturned(ticket_type_id=TYPE, quantity=1, left=1, by=by))


def paid(status: BookingStatus = BookingStatus.CONFIRMED, paid_by: UUID = CHARGE) -> Fact:
    after: dict[str, Any] = {"status": status, "payment_status": PaymentStatus.TAKEN, "paid_by": paid_by}
    charge: dict[str, Any] = {"payment_id": CHARGE, "method": PaymentMethod.CARD, "amount": PRICE}
    return fact(PaymentTaken(**ABOUT, **charge, **after, was=BookingStatus.HELD))


def refunded() -> Fact:
    return fact(PaymentRefunded(payment_id=CHARGE, amount=PRICE, payment_status=PaymentStatus.REFUNDED))


def failed() -> Fact:
    return fact(RefundFailed(payment_id=CHARGE, amount=PRICE, payment_status=PaymentStatus.REFUND_FAILED))


def changed(**changes: Any) -> Fact:
    return replace(fact(EventChanged(version=2, changes=changes)), booking_id=None)


def kinds(of: Fact) -> list[tuple[MailKind, float]]:
    return [(mail.kind, (mail.due_at - NOW) / timedelta(minutes=1)) for mail in mails_of(of)]


def test_each_occasion_causes_its_mails() -> None:
    assert kinds(promoted()) == [(MailKind.PROMOTED, 0)]
    assert kinds(promoted(100)) == [(MailKind.PROMOTED, 0), (MailKind.LAPSING, 80)]
    assert kinds(booked()) == [(MailKind.CONFIRMED, 0)]
    assert kinds(booked(100)) == [(MailKind.LAPSING, 80)]
    assert kinds(booked(1)) == []
    assert kinds(fact(HoldShortened(**ABOUT, expires_at=NOW + timedelta(minutes=10)))) == [(MailKind.LAPSING, 8)]
    assert kinds(fact(HoldExpired(**ABOUT))) == [(MailKind.LAPSED, 0)]
    assert kinds(paid()) == [(MailKind.PAID, 0)]
    assert kinds(refunded()) == [(MailKind.REFUNDED, 0)]
    assert kinds(failed()) == [(MailKind.REFUND_FAILED, 0)]
    assert kinds(cancelled("event")) == [(MailKind.EVENT_CANCELLED, 0)]
    assert kinds(cancelled("organizer")) == [(MailKind.CANCELLED, 0)]
    assert kinds(given_back("organizer")) == [(MailKind.PART_CANCELLED, 0)]


def test_other_facts_cause_none() -> None:
    """Above all what the customer did, and money that came too late: its refund is told of."""
    started = fact(PaymentStarted(payment_id=CHARGE, method=PaymentMethod.CARD, amount=PRICE))
    done = (cancelled("customer"), given_back("customer"))
    for each in (*done, paid(BookingStatus.EXPIRED), paid(paid_by=EVENT), started, changed(venue="x")):
        assert mails_of(each) == ()


@pytest.mark.parametrize(("minutes", "due"), [(43_200, 34_560), (5, 4), (4, 3), (2, 1), (1.5, 0.5)])
def test_a_reminder_comes_a_fifth_or_a_minute_before_the_end(minutes: float, due: float) -> None:
    assert kinds(booked(minutes)) == [(MailKind.LAPSING, due)]


def test_a_mail_names_its_occasion_and_is_the_same_each_time() -> None:
    first, second = mails_of(promoted(100))
    assert (first.event_id, first.booking_id, first.seq) == (EVENT, BOOKING, 3)
    assert (second.expires_at, second.created_at, second.attempts) == (NOW + timedelta(minutes=100), NOW, 0)
    assert mails_of(promoted(100)) == (first, second)
    others = [*mails_of(replace(promoted(100), seq=4)), *mails_of(replace(promoted(100), event_id=TYPE))]
    ids = {mail.id for mail in (first, second, *others)}
    assert len(ids) == 6
    assert {each.version for each in ids} == {8}
    with pytest.raises(ValueError, match="about a booking"):
        mails_of(replace(promoted(), booking_id=None))


WAITING, HELD, CONFIRMED = BookingStatus.WAITLISTED, BookingStatus.HELD, BookingStatus.CONFIRMED
GONE, EXPIRED = BookingStatus.CANCELLED, BookingStatus.EXPIRED
NONE, DUE, TAKEN, OWED = PaymentStatus.NONE, PaymentStatus.DUE, PaymentStatus.TAKEN, PaymentStatus.REFUND_PENDING


def booking(status: BookingStatus, payment: PaymentStatus = NONE, minutes: float | None = None) -> Booking:
    expires_at = pay_until(minutes)["expires_at"]
    moments = {"created_at": NOW, "updated_at": NOW, "expires_at": expires_at}
    return Booking(id=BOOKING, event_id=EVENT, **ABOUT, status=status, payment_status=payment, amount=PRICE, **moments)


def event(status: EventStatus = EventStatus.ON_SALE, **values: Any) -> Event:
    given: dict[str, Any] = {"organizer_id": TYPE, "currency": "EUR", "name": "Jazz night", "created_at": NOW, **values}
    return Event(id=EVENT, status=status, was_published=True, **given)


def is_true(of: Fact, booking: Booking, event: Event, after: timedelta = timedelta(0)) -> bool:
    return mails_of(of)[-1].is_true(booking, event, of, NOW + after)


@pytest.mark.parametrize(
    ("of", "status", "payment", "expected"),
    [
        (booked(), CONFIRMED, NONE, True),
        (booked(), CONFIRMED, DUE, True),
        (booked(), CONFIRMED, TAKEN, False),
        (booked(), GONE, NONE, False),
        (paid(), CONFIRMED, TAKEN, True),
        (paid(), GONE, OWED, False),
        (promoted(), CONFIRMED, DUE, True),
        (promoted(), CONFIRMED, TAKEN, True),
        (promoted(), HELD, DUE, True),
        (promoted(), GONE, NONE, False),
        (promoted(), EXPIRED, NONE, False),
        (fact(HoldExpired(**ABOUT)), EXPIRED, NONE, True),
        (fact(HoldExpired(**ABOUT)), EXPIRED, OWED, False),
        (fact(HoldExpired(**ABOUT)), CONFIRMED, TAKEN, False),
        (cancelled("organizer"), GONE, OWED, True),
        (cancelled("organizer"), CONFIRMED, NONE, False),
        (given_back("organizer"), WAITING, NONE, True),
        (given_back("organizer"), GONE, OWED, False),
        (refunded(), GONE, PaymentStatus.REFUNDED, True),
        (refunded(), CONFIRMED, TAKEN, True),
        (refunded(), GONE, PaymentStatus.REFUND_FAILED, False),
        (failed(), GONE, PaymentStatus.REFUND_FAILED, True),
        (failed(), GONE, PaymentStatus.REFUNDED, False),
    ],
)
def test_a_mail_is_true_of_a_booking(of: Fact, status: BookingStatus, payment: PaymentStatus, expected: bool) -> None:
    assert is_true(of, booking(status, payment), event()) is expected
    assert not is_true(of, booking(status, payment), event(), LATEST + timedelta(1))


def test_a_promotion_is_untrue_once_its_hold_is_over() -> None:
    assert is_true(promoted(), booking(HELD, DUE, 5), event(), timedelta(minutes=4.9))
    assert not is_true(promoted(), booking(HELD, DUE, 5), event(), timedelta(minutes=5))


def test_a_reminder_is_true_while_its_hold_is_unpaid() -> None:
    assert is_true(booked(5), booking(HELD, DUE, 5), event(), timedelta(minutes=4.9))
    assert not is_true(booked(5), booking(HELD, DUE, 5), event(), timedelta(minutes=5))
    assert not is_true(booked(5), booking(HELD, DUE, 6), event())
    assert not is_true(booked(5), booking(CONFIRMED, TAKEN, 5), event())
    assert is_true(booked(43_200), booking(HELD, DUE, 43_200), event(), timedelta(days=24))


@pytest.mark.parametrize("status", EventStatus)
def test_a_cancelled_event_is_told_of_only_while_it_is_cancelled(status: EventStatus) -> None:
    assert is_true(cancelled("event"), booking(GONE), event(status)) is (status is EventStatus.CANCELLED)


# Changes of an event.

LATER = NOW + timedelta(days=30)
SAID = "2030-01-31T00:00:00Z"


def test_only_another_start_or_venue_is_announced() -> None:
    moved = announcement_of(changed(startsAt=SAID, venue="There", reschedules=1))
    assert moved == Announcement(event_id=EVENT, seq=3, kind=MailKind.MOVED, created_at=NOW)
    assert announcement_of(changed(startsAt=None)) == moved
    assert announcement_of(changed(venue="There")) == replace(moved, kind=MailKind.CHANGED)
    for name in ("name", "description", "endsAt", "timeZone", "salesCloseAt", "status", "maxTicketsPerCustomer"):
        assert announcement_of(changed(**{name: "x"})) is None
    assert announcement_of(booked()) is None


def announced(of: Fact, to: Booking) -> Mail | None:
    announcement = announcement_of(of)
    assert announcement is not None
    return announcement.mail_to(to, LATER)


@pytest.mark.parametrize("status", BookingStatus)
def test_the_customers_of_live_bookings_hear_of_a_change(status: BookingStatus) -> None:
    mail = announced(changed(venue="There"), booking(status))
    assert (mail is not None) is status.is_live
    assert announced(changed(venue="There"), replace(booking(status), created_at=NOW + timedelta(0, 0, 1))) is None
    if mail is not None:
        assert (mail.kind, mail.seq, mail.booking_id, mail.due_at) == (MailKind.CHANGED, 3, BOOKING, LATER)
        other = announced(changed(venue="There"), replace(booking(status), id=CUSTOMER))
        assert other is not None
        assert other.id != mail.id


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (changed(startsAt=SAID), {"starts_at": LATER}, True),
        (changed(startsAt=SAID), {"starts_at": LATER + timedelta(hours=1)}, False),
        (changed(startsAt=SAID), {"starts_at": None}, False),
        (changed(startsAt=None), {"starts_at": None}, True),
        (changed(startsAt=None), {"starts_at": LATER}, False),
        (changed(venue="There"), {"venue": "There"}, True),
        (changed(venue="There"), {"venue": "Here"}, False),
        (changed(venue="There"), {"venue": "There", "status": EventStatus.PAUSED}, True),
        (changed(venue="There"), {"venue": "There", "status": EventStatus.CANCELLED}, False),
        (changed(venue="There"), {"venue": "There", "status": EventStatus.COMPLETED}, False),
        (changed(venue="There"), {"venue": "There", "starts_at": NOW}, False),
    ],
)
def test_a_change_is_true_while_it_holds(of: Fact, values: dict[str, Any], expected: bool) -> None:
    mail = announced(of, booking(CONFIRMED))
    assert mail is not None
    assert mail.is_true(booking(CONFIRMED), event(**values), of, NOW) is expected
    assert not mail.is_true(booking(GONE), event(**values), of, NOW)
    assert not mail.is_true(booking(CONFIRMED), event(**values), None, NOW)
    assert not mail.is_true(booking(CONFIRMED), event(**values), booked(), NOW)


@pytest.mark.parametrize("of", [cancelled("organizer"), given_back("organizer"), changed(venue="There"), booked()])
def test_organizers_hear_nothing_of_what_they_did(of: Fact) -> None:
    (mail,) = mails_of(of) or [announced(of, booking(CONFIRMED))]
    assert mail is not None
    about = booking(GONE if mail.kind is MailKind.CANCELLED else CONFIRMED)
    own = event(organizer_id=CUSTOMER, venue="There")
    assert mail.is_true(about, event(venue="There"), of, NOW)
    assert mail.is_true(about, own, of, NOW) is (mail.kind is MailKind.CONFIRMED)


def test_a_mail_is_tried_for_a_day() -> None:
    mail: Mail | None
    (mail,) = mails_of(promoted())
    assert mail is not None
    now = NOW
    for number, wait in enumerate(RETRY_AFTER, start=1):
        put_off = mail.has_failed(now, 0.5)
        assert put_off == replace(mail, attempts=number, due_at=now + wait)
        mail, now = put_off, put_off.due_at
    assert timedelta(hours=22) < now - NOW <= LATEST
    assert mail.has_failed(now, 0.5) is None
    (fresh,) = mails_of(promoted())
    for jitter, share in ((0.0, 0.9), (1.0, 1.1)):
        spread = fresh.has_failed(NOW, jitter)
        assert spread is not None
        assert spread.due_at == NOW + RETRY_AFTER[0] * share
