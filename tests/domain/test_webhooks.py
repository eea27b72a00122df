"""Webhooks: their addresses, the kinds of facts they get, and how long a delivery is tried."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.event import Event, EventStatus
from boxoffice.domain.facts import BookingCancelled, Fact, HoldExpired
from boxoffice.domain.policy import Right
from boxoffice.domain.refusals import InvalidRequest, NotAllowed, NotFound, TooManyWebhooks
from boxoffice.domain.user import Actor, Role
from boxoffice.domain.values.fields import checked
from boxoffice.domain.webhooks import (
    FACT_KINDS,
    LONGEST_WAIT,
    RETRY_AFTER,
    WEBHOOK_RULES,
    Delivery,
    DeliveryStatus,
    Failure,
    Webhook,
    WebhookChanges,
    check_room_for_a_webhook,
    has_failed,
    has_failed_again,
    message_id,
    send_again,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AWAY = Failure(reason="answered 503")
WEBHOOK, EVENT, DELIVERY, OWNER = (UUID(int=number) for number in range(1, 5))
FACT = Fact(
    event_id=EVENT,
    seq=7,
    booking_id=None,
    occurred_at=NOW,
    what=HoldExpired(ticket_type_id=UUID(int=9), customer_id=UUID(int=8), quantity=1),
)


KEPT = ["https://a", "http://localhost:8000", "https://hooks.example.org/", "https://10.0.0.1:65535/x"]
KEPT += ["https://xn--bcher-kva.example/a/b?c=d&e=%20", "https://a.example/" + "x" * 2_030]
BROKEN = ["", "hooks.example.org", "ftp://a.example", "https://", "https:///x", "https://a.example:/"]
BROKEN += ["https://user@a.example", "https://user:password@a.example/", "https://a.example\\@b.example/"]
BROKEN += [
    "https://a.example#fragment",
    "https://a.example/#fragment",
    "https://a.example:0/",
    "https://a.example:65536/",
]
BROKEN += ["https://-a.example/", "https://a_b.example/", "https://bücher.example/", "https://a.example/ö"]
BROKEN += ["https://a.example/a b", " https://a.example/", "https://a.example/\n", "https://a.example/\r\nHost: b"]
BROKEN += ["https://[::1]/", "https://a.example/" + "x" * 2_031]


def webhook(**fields: Any) -> Webhook:
    given = {"id": WEBHOOK, "organizer_id": OWNER, "url": "https://a.example", "secret": "s", "created_at": NOW}
    return Webhook(**{**given, **fields})


def test_the_address_of_a_webhook_is_an_absolute_url_of_http() -> None:
    for url in KEPT:
        assert checked({"url": url}, WEBHOOK_RULES) == {"url": url}
    for url in BROKEN:
        with pytest.raises(InvalidRequest):
            checked({"url": url}, WEBHOOK_RULES)


def test_kinds_are_kinds_of_facts_in_an_order_of_their_own() -> None:
    assert checked({"kinds": ["HoldExpired", "TicketsBooked", "HoldExpired"]}, WEBHOOK_RULES) == {
        "kinds": ("TicketsBooked", "HoldExpired")
    }
    assert checked({"kinds": list(FACT_KINDS)}, WEBHOOK_RULES) == {"kinds": FACT_KINDS}
    for kinds in ([], ["Nothing"], ["ticketsbooked"], [*FACT_KINDS, "HoldExpired"]):
        with pytest.raises(InvalidRequest):
            checked({"kinds": kinds}, WEBHOOK_RULES)


def test_a_webhook_wants_all_kinds_or_those_it_names() -> None:
    assert webhook().wants(FACT)
    assert webhook(kinds=("TicketsBooked", "HoldExpired")).wants(FACT)
    assert not webhook(kinds=(BookingCancelled.__name__,)).wants(FACT)
    assert message_id(FACT) == f"{EVENT}.7"


def test_a_delivery_is_tried_for_three_days_and_then_given_up() -> None:
    delivery: Delivery | None = None
    now = NOW
    for number, wait in enumerate(RETRY_AFTER, start=1):
        delivery = has_failed(DELIVERY, WEBHOOK, FACT, delivery, AWAY, now, 0.5)
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.RETRYING, number)
        assert delivery.due_at == now + wait
        now = delivery.due_at
    assert timedelta(days=3) < now - NOW < timedelta(days=4)
    dead = has_failed(UUID(int=77), WEBHOOK, FACT, delivery, Failure(reason="no connection"), now, 0.5)
    assert (dead.status, dead.due_at, dead.error) == (DeliveryStatus.DEAD, None, "no connection")
    assert (dead.id, dead.created_at, dead.tried_at, dead.attempts) == (DELIVERY, NOW, now, len(RETRY_AFTER) + 1)
    assert (dead.webhook_id, dead.event_id, dead.seq, dead.kind) == (WEBHOOK, EVENT, 7, "HoldExpired")


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(timedelta(seconds=1), timedelta(seconds=1)), (LONGEST_WAIT, LONGEST_WAIT), (timedelta(days=9), LONGEST_WAIT)],
)
def test_a_receiver_may_ask_for_a_pause(asked: timedelta, waits: timedelta) -> None:
    delivery = has_failed(DELIVERY, WEBHOOK, FACT, None, Failure(reason="busy", pause=asked), NOW, 0.0)
    assert (delivery.status, delivery.due_at) == (DeliveryStatus.RETRYING, NOW + waits)


def test_short_pauses_do_not_end_the_retries_sooner() -> None:
    """The attempts that are left follow the schedule by the delivery's age."""
    delivery: Delivery | None = None
    now, tried = NOW, []
    while delivery is None or delivery.due_at is not None:
        now = now if delivery is None or delivery.due_at is None else delivery.due_at
        tried.append(now - NOW)
        asks = Failure(reason="busy", pause=timedelta(seconds=1))
        delivery = has_failed(DELIVERY, WEBHOOK, FACT, delivery, asks, now, 0.5)
    assert tried[:10] == [timedelta(seconds=number) for number in range(10)]
    assert tried[10:] == list(accumulate(RETRY_AFTER))[1:]
    assert delivery.status is DeliveryStatus.DEAD


def test_a_receiver_may_want_no_facts_any_more() -> None:
    delivery = has_failed(DELIVERY, WEBHOOK, FACT, None, Failure(reason="gone", is_final=True), NOW, 0.5)
    assert (delivery.status, delivery.attempts, delivery.due_at) == (DeliveryStatus.DEAD, 1, None)


def test_changes_of_a_webhook_leave_what_they_do_not_name() -> None:
    before = webhook(kinds=("HoldExpired",))
    assert WebhookChanges().applied_to(before) == before
    assert WebhookChanges(active=False).applied_to(before) == replace(before, active=False)
    changed = WebhookChanges(url="https://b.example/", kinds=["TicketsBooked"]).applied_to(before)
    assert changed == replace(before, url="https://b.example/", kinds=("TicketsBooked",))
    for broken in (WebhookChanges(url="nothing"), WebhookChanges(kinds=[])):
        with pytest.raises(InvalidRequest):
            broken.applied_to(before)


def test_a_dead_delivery_may_be_sent_again_and_a_waiting_one_at_once() -> None:
    waiting = has_failed(DELIVERY, WEBHOOK, FACT, None, AWAY, NOW, 0.0)
    later = NOW + timedelta(days=9)
    hurried = send_again(waiting, later)
    assert (hurried.status, hurried.due_at) == (DeliveryStatus.RETRYING, later)
    dead = has_failed_again(waiting, Failure(reason="answered 500"), later)
    assert (dead.status, dead.due_at, dead.attempts, dead.error) == (DeliveryStatus.DEAD, None, 2, "answered 500")
    asked = send_again(dead, later)
    assert (asked.status, asked.due_at, asked.attempts) == (DeliveryStatus.RESENDING, later, 2)
    assert send_again(asked, later).status is DeliveryStatus.RESENDING


def test_an_organizer_has_20_webhooks_at_most() -> None:
    check_room_for_a_webhook(19)
    with pytest.raises(TooManyWebhooks):
        check_room_for_a_webhook(20)


def test_only_the_organizer_of_an_event_gets_its_facts() -> None:
    draft = Event(
        id=EVENT,
        organizer_id=OWNER,
        currency="EUR",
        status=EventStatus.DRAFT,
        was_published=False,
        name="Jazz night",
        created_at=NOW,
    )
    published = replace(draft, status=EventStatus.ON_SALE, was_published=True)
    for event in (draft, published):
        event.check_may(Actor(OWNER), Right.RECEIVE_FACTS)
        with pytest.raises(NotAllowed):
            event.check_may(Actor(UUID(int=99), Role.ADMIN), Right.RECEIVE_FACTS)
    with pytest.raises(NotAllowed):
        published.check_may(Actor(UUID(int=99)), Right.RECEIVE_FACTS)
    with pytest.raises(NotFound):
        draft.check_may(Actor(UUID(int=99)), Right.RECEIVE_FACTS)
