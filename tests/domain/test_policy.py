"""The policy: the table of rights, and that every decision holds it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.organize import Initialize, general_admission, initialize
from boxoffice.domain.event import Event, EventDetails, EventStatus
from boxoffice.domain.policy import KEY_RULES, RULES, KeyRole, KeyScope, PersonalRight, Right, StaffRole, Standing
from boxoffice.domain.refusals import CancellationClosed, NotAllowed, NotFound
from boxoffice.domain.user import Actor, Organizers, Role
from tests.domain.domain_driver import ADMIN, ANA, BEN, EVENT_ID, NOW, ORGANIZER, START, STRANGER, DomainDriver, euros

HELPERS: Final = {
    role.standing: Actor(UUID(int=950 + number), duties={EVENT_ID: role}) for number, role in enumerate(StaffRole)
}
ACTORS: Final = {Standing.NONE: STRANGER, **HELPERS, Standing.ORGANIZER: ORGANIZER}
EVENT: Final = DomainDriver().state.event
DRAFT: Final = DomainDriver(status=EventStatus.DRAFT).state.event


def rights_table() -> str:
    """The table of rights as `docs/roles.md` shows it: who has which."""
    columns = ["door", "desk", "manager", "organizer", "admin"]
    lines = [f"| right | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for right in Right:
        actors = [*(ACTORS[each] for each in (Standing.DOOR, Standing.DESK, Standing.MANAGER)), ORGANIZER, ADMIN]
        cells = ["yes" if EVENT.may(actor, right) else "no" for actor in actors]
        lines.append(f"| `{right.value}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_of_rights_is_the_documented_one() -> None:
    table = rights_table()
    documented = (Path(__file__).parents[2] / "docs" / "roles.md").read_text(encoding="utf-8")

    assert table in documented, f"docs/roles.md must show:\n{table}"


def keys_table() -> str:
    """The table of what API keys may do for their owners as `docs/roles.md` shows it."""
    lines = [f"| right | {' | '.join(KeyRole)} |", f"|---|{'---|' * len(KeyRole)}"]
    for right in PersonalRight:
        anywhere = [KeyScope(role).allows_personally(right, EVENT_ID) for role in KeyRole]
        here = [KeyScope(role, EVENT_ID).allows_personally(right, EVENT_ID) for role in KeyRole]
        cells = [
            "no" if not any_event else "yes" if one else "unless of one event"
            for any_event, one in zip(anywhere, here, strict=True)
        ]
        lines.append(f"| `{right.value}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_of_what_keys_may_do_for_their_owners_is_the_documented_one() -> None:
    table = keys_table()
    documented = (Path(__file__).parents[2] / "docs" / "roles.md").read_text(encoding="utf-8")

    assert table in documented, f"docs/roles.md must show:\n{table}"


def test_every_right_has_its_rule() -> None:
    assert set(RULES) == set(Right)
    assert set(KEY_RULES) == set(PersonalRight)


@pytest.mark.parametrize("right", list(Right))
def test_a_higher_standing_may_do_whatever_a_lower_one_may(right: Right) -> None:
    may = [EVENT.may(ACTORS[standing], right) for standing in Standing]

    assert may == sorted(may)
    assert not may[Standing.NONE]
    assert may[Standing.ORGANIZER]


@pytest.mark.parametrize("right", list(Right))
def test_who_lacks_a_right_is_refused_where_they_see_the_event_and_finds_nothing_where_they_do_not(
    right: Right,
) -> None:
    elsewhere = Actor(STRANGER.user_id, duties={UUID(int=1): StaffRole.MANAGER})
    assert not EVENT.may(elsewhere, right)
    for event in (EVENT, DRAFT):
        assert event.standing_of(elsewhere) is Standing.NONE
        for actor in (*ACTORS.values(), elsewhere):
            may_see = event is EVENT or event.standing_of(actor) > Standing.NONE
            assert event.is_visible_to(actor) == may_see
            if event.may(actor, right):
                event.check_may(actor, right)
            else:
                with pytest.raises(NotAllowed if may_see else NotFound):
                    event.check_may(actor, right)
    assert EVENT.is_visible_to(None)
    assert not DRAFT.is_visible_to(None)


@pytest.mark.parametrize("role", list(KeyRole))
@pytest.mark.parametrize("right", list(Right))
def test_a_key_has_the_least_of_its_own_rights_and_of_its_owners(right: Right, role: KeyRole) -> None:
    rule = RULES[right]
    for owner in ACTORS.values():
        key = Actor(owner.user_id, duties=owner.duties, scope=KeyScope(role))
        is_enough = rule.only_reads if role is KeyRole.READ else Standing[role.name] >= rule.least
        assert EVENT.may(key, right) == (EVENT.may(owner, right) and is_enough)


def test_a_key_of_an_event_is_a_stranger_in_another_one() -> None:
    for role in KeyRole:
        key = Actor(ORGANIZER.user_id, Role.ADMIN, scope=KeyScope(role, UUID(int=1)))
        assert EVENT.standing_of(key) is Standing.NONE
        assert not DRAFT.is_visible_to(key)
        assert not key.sees_every_event
        here = Actor(ORGANIZER.user_id, Role.ADMIN, scope=KeyScope(role, EVENT_ID))
        assert EVENT.standing_of(here) > Standing.NONE
    assert Actor(ADMIN.user_id, Role.ADMIN, scope=KeyScope(KeyRole.READ)).sees_every_event


@pytest.mark.parametrize("role", list(KeyRole))
def test_a_key_does_for_its_owner_what_its_role_allows_and_in_its_event_alone(role: KeyRole) -> None:
    reads, acts = role in (KeyRole.READ, KeyRole.ORGANIZER), role is KeyRole.ORGANIZER
    allowed = {
        PersonalRight.SEE_OWN_BOOKINGS: (reads, reads),
        PersonalRight.ACT_AS_CUSTOMER: (acts, acts),
        PersonalRight.LIST_OWN_BOOKINGS: (reads, False),
        PersonalRight.LIST_OWN_EVENTS: (True, False),
        PersonalRight.SEE_WEBHOOKS: (reads, False),
        PersonalRight.CHANGE_WEBHOOKS: (acts, False),
        PersonalRight.INITIALIZE_EVENTS: (acts, False),
        PersonalRight.MANAGE_ACCOUNT: (False, False),
    }
    for right in PersonalRight:
        anywhere, here = (Actor(ANA.user_id, scope=KeyScope(role, event_id)) for event_id in (None, EVENT_ID))
        may_anywhere, may_here = allowed[right]
        assert (anywhere.may_personally(right, EVENT_ID), here.may_personally(right, EVENT_ID)) == allowed[right]
        assert not here.may_personally(right, UUID(int=1))
        assert not here.may_personally(right)
        assert ANA.may_personally(right, EVENT_ID)
        for key, may in ((anywhere, may_anywhere), (here, may_here)):
            if may:
                key.check_may_personally(right, EVENT_ID)
            else:
                with pytest.raises(NotAllowed):
                    key.check_may_personally(right, EVENT_ID)
    assert KeyScope(role).is_whole is (role is KeyRole.ORGANIZER)
    assert not KeyScope(role, EVENT_ID).is_whole


def by_key(actor: Actor, role: KeyRole, event_id: UUID | None = None) -> Actor:
    """The same user with an API key."""
    return Actor(actor.user_id, actor.role, actor.duties, KeyScope(role, event_id))


@pytest.mark.parametrize("role", list(KeyRole))
@pytest.mark.parametrize("event_id", [None, EVENT_ID, UUID(int=1)], ids=["any event", "this event", "another event"])
def test_a_key_books_pays_and_cancels_for_its_owner_as_an_organizers_in_its_event(
    role: KeyRole, event_id: UUID | None
) -> None:
    key = by_key(ANA, role, event_id)
    driver = DomainDriver(3, price=euros(25), starts_at=START)
    booking = driver.book(ANA)
    acts: list[Callable[[], Any]] = [
        lambda: driver.start(booking, "card", key),
        lambda: driver.cancel(booking, key),
        lambda: driver.book(key),
        lambda: driver.cancel_here(key),
    ]
    for act in acts:
        if role is KeyRole.ORGANIZER and event_id in (None, EVENT_ID):
            act()
        else:
            with pytest.raises(NotAllowed):
                act()


def test_only_an_organizers_key_without_an_event_initializes() -> None:
    mine = Initialize(
        event_id=EVENT_ID,
        actor=by_key(ANA, KeyRole.ORGANIZER),
        details=EventDetails(name="Jazz night"),
        ticket_types=((UUID(int=1), general_admission(3)),),
        currency="EUR",
    )
    for role in KeyRole:
        for event_id in (None, EVENT_ID):
            command = replace(mine, actor=by_key(ADMIN, role, event_id))
            if role is KeyRole.ORGANIZER and event_id is None:
                initialize(command, Organizers.GRANTED, NOW)
            else:
                with pytest.raises(NotAllowed):
                    initialize(command, Organizers.EVERYONE, NOW)
    with pytest.raises(NotAllowed, match="Only organizers"):
        initialize(mine, Organizers.GRANTED, NOW)


def test_a_key_of_a_helpers_role_does_nothing_with_its_owners_own_booking() -> None:
    driver = DomainDriver(3, starts_at=START)
    own, other = driver.book(ORGANIZER), driver.book(ANA)
    for role in (KeyRole.READ, KeyRole.DESK, KeyRole.MANAGER):
        with pytest.raises(NotAllowed):
            driver.cancel(own, by_key(ORGANIZER, role))
    assert driver.cancel(other, by_key(ORGANIZER, KeyRole.DESK)).status is BookingStatus.CANCELLED
    assert driver.cancel(own, by_key(ORGANIZER, KeyRole.ORGANIZER)).status is BookingStatus.CANCELLED
    assert driver.facts[-1].what.by == "organizer"  # type: ignore[union-attr]


def test_a_key_that_may_not_see_its_owners_booking_is_refused_and_another_customers_is_not_found() -> None:
    for role in KeyRole:
        for event_id in (None, EVENT_ID, UUID(int=1)):
            key = by_key(ANA, role, event_id)
            with pytest.raises(NotFound):
                EVENT.check_shows_booking(BEN.user_id, key)
            if role in (KeyRole.READ, KeyRole.ORGANIZER) and event_id in (None, EVENT_ID):
                EVENT.check_shows_booking(ANA.user_id, key)
            else:
                with pytest.raises(NotAllowed):
                    EVENT.check_shows_booking(ANA.user_id, key)


def _refusals(act: Callable[[DomainDriver, Actor], Any], prepare: Callable[[DomainDriver], Any]) -> dict[str, str]:
    """Let each standing, and the customer, act on a prepared event; return how each is refused, or "done"."""
    found = {}
    for name, actor in {**{each.name: who for each, who in ACTORS.items()}, "customer": ANA}.items():
        driver = DomainDriver(3, price=euros(25), starts_at=START)
        prepare(driver)
        try:
            act(driver, actor)
        except (NotAllowed, NotFound) as refusal:
            found[name] = refusal.code
        else:
            found[name] = "done"
    return found


def _booked(driver: DomainDriver) -> None:
    driver.book(ANA)


def _paid(driver: DomainDriver) -> None:
    driver.pay(driver.book(ANA))


def _owed_in_cash(driver: DomainDriver) -> None:
    booking = driver.book(ANA)
    driver.start(booking, "cash", ORGANIZER)
    driver.cancel(booking, ORGANIZER)


def _first(driver: DomainDriver) -> Any:
    return next(iter(driver.bookings.values()))


SEEN: Final = ("not-found", "not-found", "done", "done", "done")
"""What becomes of an act of the desk on a booking, by standing."""

DECISIONS: Final[dict[str, tuple[Callable[[DomainDriver, Actor], Any], Callable[[DomainDriver], Any], Any, str]]] = {
    "cancel": (lambda driver, actor: driver.cancel(_first(driver), actor), _booked, SEEN, "done"),
    "take cash": (lambda driver, actor: driver.start(_first(driver), "cash", actor), _booked, SEEN, "not-allowed"),
    "pay by card": (
        lambda driver, actor: driver.start(_first(driver), "card", actor),
        _booked,
        ("not-found", "not-found", "not-allowed", "not-allowed", "not-allowed"),
        "done",
    ),
    "settle a refund": (
        lambda driver, actor: driver.settle_refund(driver.refund(_first(driver)), actor),
        _owed_in_cash,
        SEEN,
        "not-allowed",
    ),
    "grant a refund": (
        lambda driver, actor: driver.grant(_first(driver), euros(5), actor),
        _paid,
        ("not-found", "not-found", "not-allowed", "done", "done"),
        "not-allowed",
    ),
    **{
        name: (act, _booked, ("not-allowed", "not-allowed", "not-allowed", *rest), "not-allowed")
        for name, act, rest in (
            ("edit", lambda driver, actor: driver.edit(actor, name="Blues night"), ("done", "done")),
            ("pause", lambda driver, actor: driver.edit(actor, status=EventStatus.PAUSED), ("done", "done")),
            (
                "edit a ticket type",
                lambda driver, actor: driver.edit_type(driver.ticket_type, actor, name="Stalls"),
                ("done", "done"),
            ),
            ("add a ticket type", lambda driver, actor: driver.add_type("Balcony", actor=actor), ("done", "done")),
            (
                "complete",
                lambda driver, actor: driver.edit(actor, status=EventStatus.COMPLETED),
                ("not-allowed", "done"),
            ),
            (
                "cancel the event",
                lambda driver, actor: driver.edit(actor, status=EventStatus.CANCELLED),
                ("not-allowed", "done"),
            ),
        )
    },
}


@pytest.mark.parametrize("name", list(DECISIONS))
def test_every_decision_holds_the_policy(name: str) -> None:
    act, prepare, by_standing, by_customer = DECISIONS[name]

    found = _refusals(act, prepare)

    assert found == {**dict(zip((each.name for each in Standing), by_standing, strict=True)), "customer": by_customer}


def test_helpers_cancel_by_the_organizers_rules() -> None:
    driver = DomainDriver(1, price=euros(25), starts_at=START, cancellation_deadline_hours=8_760, refund_fee_percent=50)
    booking = driver.pay(driver.book(ANA))
    with pytest.raises(CancellationClosed):
        driver.cancel(booking)

    driver.cancel(booking, HELPERS[Standing.DESK])

    assert driver.facts[-1].what.by == "organizer"  # type: ignore[union-attr]
    assert driver.refund(booking).amount == euros(25)


def test_a_helpers_own_booking_is_a_customers_and_an_organizers_own_is_not() -> None:
    driver = DomainDriver(3, starts_at=START, cancellation_deadline_hours=8_760)
    for helper in HELPERS.values():
        own = driver.book(helper)
        with pytest.raises(CancellationClosed):
            driver.cancel(own, helper)
    driver = DomainDriver(1, starts_at=START, cancellation_deadline_hours=8_760)
    assert driver.cancel(driver.book(ORGANIZER), ORGANIZER).status is BookingStatus.CANCELLED


def test_a_booking_shows_to_its_customer_and_to_those_who_see_bookings() -> None:
    event: Event = EVENT
    for actor in (ANA, HELPERS[Standing.DESK], HELPERS[Standing.MANAGER], ORGANIZER, ADMIN):
        event.check_shows_booking(ANA.user_id, actor)
    for actor in (BEN, STRANGER, HELPERS[Standing.DOOR]):
        with pytest.raises(NotFound):
            event.check_shows_booking(ANA.user_id, actor)
