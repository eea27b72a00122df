"""Prices that the payment provider could never charge are refused where they are set."""

import pytest

from boxoffice.application.events.change_event import ChangeEvent
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.domain.decisions.organize import (
    AddTicketType,
    Edit,
    EditTicketType,
    EventChanges,
    Initialize,
    general_admission,
)
from boxoffice.domain.event import EventDetails
from boxoffice.domain.refusals import InvalidRequest
from boxoffice.domain.tickets.ticket_type import TicketTypeChanges, TicketTypeSpec
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ORGANIZER, FakeApp

FINE, NEVER = Money(2_500, "EUR"), Money(13, "EUR")


def paths(refusal: pytest.ExceptionInfo[InvalidRequest]) -> list[tuple[str | int, ...]]:
    """Which fields a refusal names."""
    return [error.path for error in refusal.value.errors]


def command(app: FakeApp, *specs: TicketTypeSpec, names_types: bool = True, name: str = "Jazz") -> Initialize:
    return Initialize(
        event_id=app.ids.new(),
        actor=ORGANIZER,
        details=EventDetails(name=name),
        ticket_types=tuple((app.ids.new(), spec) for spec in specs),
        currency="EUR",
        names_types=names_types,
    )


async def test_a_new_events_prices_are_judged_with_everything_else(app: FakeApp) -> None:
    initialize = InitializeEvent(app.turnstile, app.commit_to_draw, objection=app.gateway.objection)
    kinds = [TicketTypeSpec(name=f"{index}", total_tickets=1, price=each) for index, each in enumerate((FINE, NEVER))]
    with pytest.raises(InvalidRequest) as refusal:
        await initialize(command(app, *kinds, name=""))
    assert paths(refusal) == [("name",), ("ticket_types", 1, "price")]
    with pytest.raises(InvalidRequest) as refusal:
        await initialize(command(app, general_admission(1, NEVER), names_types=False))
    assert paths(refusal) == [("price",)]
    assert refusal.value.errors[0].detail == "must be another price"
    for price in (FINE, None):
        await initialize(command(app, general_admission(1, price), names_types=False))


async def test_a_changed_price_is_judged_before_anything_is_loaded(app: FakeApp) -> None:
    event_id = await app.event(price=FINE)
    (type_id,) = await app.type_ids(event_id)
    change = ChangeEvent(app.turnstile, app.duties, app.gateway.objection)

    def edits(price: Money | None) -> list[Edit | EditTicketType | AddTicketType]:
        return [
            Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(price=price)),
            EditTicketType(
                event_id=event_id, actor=ORGANIZER, ticket_type_id=type_id, changes=TicketTypeChanges(price=price)
            ),
            AddTicketType(
                event_id=event_id,
                actor=ORGANIZER,
                ticket_type_id=app.ids.new(),
                spec=TicketTypeSpec(name="Balcony", total_tickets=1, price=price),
            ),
        ]

    for each in edits(NEVER):
        with pytest.raises(InvalidRequest) as refusal:
            await change(each)
        assert paths(refusal) == [("price",)]
    for each in edits(None):
        await change(each)
    await change(Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(name="Blues")))
