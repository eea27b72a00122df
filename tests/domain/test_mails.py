"""Mails: which facts cause one, when it is sent, and how long it is true."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import Event, EventStatus
from boxoffice.domain.facts import AnyFactPayload, BookingCancelled, BookingPromoted, Fact, HoldExpired, TicketsBooked
from boxoffice.domain.mails import LATEST, RETRY_AFTER, Mail, MailKind, mails_of
from boxoffice.domain.values.money import Money

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EVENT, BOOKING, CUSTOMER, TYPE = (UUID(int=number) for number in range(1, 5))
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


def kinds(of: Fact) -> list[tuple[MailKind, float]]:
    return [(mail.kind, (mail.due_at - NOW) / timedelta(minutes=1)) for mail in mails_of(of)]


def test_promotions_reminders_and_cancelled_events_cause_mails() -> None:
    assert kinds(promoted()) == [(MailKind.PROMOTED, 0)]
    assert kinds(promoted(100)) == [(MailKind.PROMOTED, 0), (MailKind.LAPSING, 80)]
    assert kinds(booked(100)) == [(MailKind.LAPSING, 80)]
    assert kinds(booked()) == kinds(booked(1)) == []
    assert kinds(cancelled("event")) == [(MailKind.CANCELLED, 0)]
    assert kinds(cancelled("customer")) == kinds(cancelled("organizer")) == []
    assert kinds(fact(HoldExpired(**ABOUT))) == []


@pytest.mark.parametrize(("minutes", "due"), [(43_200, 34_560), (5, 4), (4, 3), (2, 1), (1.5, 0.5)])
def test_a_reminder_comes_a_fifth_or_a_minute_before_the_end(minutes: float, due: float) -> None:
    assert kinds(booked(minutes)) == [(MailKind.LAPSING, due)]


def test_a_mail_names_its_customer_and_is_the_same_each_time() -> None:
    first, second = mails_of(promoted(100))
    assert (first.event_id, first.booking_id, first.customer_id) == (EVENT, BOOKING, CUSTOMER)
    assert (first.expires_at, first.created_at, first.attempts) == (NOW + timedelta(minutes=100), NOW, 0)
    assert mails_of(promoted(100)) == (first, second)
    others = [*mails_of(replace(promoted(100), seq=4)), *mails_of(replace(promoted(100), event_id=TYPE))]
    ids = {mail.id for mail in (first, second, *others)}
    assert len(ids) == 6
    assert {each.version for each in ids} == {8}
    with pytest.raises(ValueError, match="about a booking"):
        mails_of(replace(promoted(), booking_id=None))


def booking(status: BookingStatus, minutes: float | None = None) -> Booking:
    expires_at = pay_until(minutes)["expires_at"]
    moments = {"created_at": NOW, "updated_at": NOW, "expires_at": expires_at}
    return Booking(id=BOOKING, event_id=EVENT, **ABOUT, status=status, amount=PRICE, **moments)


def event(status: EventStatus) -> Event:
    given: dict[str, Any] = {"organizer_id": TYPE, "currency": "EUR", "name": "Jazz night", "created_at": NOW}
    return Event(id=EVENT, status=status, was_published=True, **given)


ON_SALE = event(EventStatus.ON_SALE)


def test_a_promotion_is_true_while_the_customer_has_the_tickets() -> None:
    (mail,) = mails_of(promoted())
    assert mail.is_true(booking(BookingStatus.CONFIRMED), ON_SALE, NOW)
    assert mail.is_true(booking(BookingStatus.HELD, 5), ON_SALE, NOW)
    assert not mail.is_true(booking(BookingStatus.HELD, 5), ON_SALE, NOW + timedelta(minutes=5))
    for status in (BookingStatus.CANCELLED, BookingStatus.EXPIRED):
        assert not mail.is_true(booking(status), ON_SALE, NOW)
    assert not mail.is_true(booking(BookingStatus.CONFIRMED), ON_SALE, NOW + LATEST + timedelta(1))


def test_a_reminder_is_true_while_its_hold_is_unpaid() -> None:
    (mail,) = mails_of(booked(5))
    assert mail.is_true(booking(BookingStatus.HELD, 5), ON_SALE, NOW + timedelta(minutes=4.9))
    assert not mail.is_true(booking(BookingStatus.HELD, 5), ON_SALE, NOW + timedelta(minutes=5))
    assert not mail.is_true(booking(BookingStatus.HELD, 6), ON_SALE, NOW)
    assert not mail.is_true(booking(BookingStatus.CONFIRMED, 5), ON_SALE, NOW)
    (late,) = mails_of(booked(43_200))
    assert late.is_true(booking(BookingStatus.HELD, 43_200), ON_SALE, late.due_at)


def test_a_cancellation_is_true_only_of_a_cancelled_event() -> None:
    (mail,) = mails_of(cancelled("event"))
    assert mail.is_true(booking(BookingStatus.CANCELLED), event(EventStatus.CANCELLED), NOW)
    assert not mail.is_true(booking(BookingStatus.CANCELLED), event(EventStatus.COMPLETED), NOW)


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
