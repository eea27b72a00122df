"""How often chances were right: what could have been told when somebody joined, and what became of them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.domain.event import EventStatus
from boxoffice.domain.explanations.chance import chance_from
from boxoffice.domain.explanations.chance_record import NO_BANDS, Band, ChanceRecord, added
from boxoffice.domain.explanations.line_history import Returned
from boxoffice.domain.facts import EventInitialized
from boxoffice.domain.replay.event_replay import EventReplay
from tests.domain.domain_driver import ANA, BEN, CLEO, DAN, EVENT_ID, NOW, ORGANIZER, START, DomainDriver, customer
from tests.domain.test_drawing import DrawDriver


def recorded(driver: DomainDriver, now: datetime | None = None) -> list[Band]:
    """The bands with chances, from the facts alone."""
    replay, record = EventReplay(EVENT_ID), ChanceRecord()
    for fact in driver.facts:
        replay.apply(fact)
        record.follow(fact, replay.ticket_types)
    bands = record.bands(now or driver.now)
    assert [each.percent for each in bands] == [each.percent for each in NO_BANDS]
    return [each for each in bands if each.told]


def returning(**details: Any) -> tuple[DomainDriver, Any]:
    """An event of 20 tickets, of which 10 came back one by one within ten days and were booked again."""
    driver = DomainDriver(20, **{"starts_at": START, **details})
    booked = driver.crowd(20)
    driver.pass_time(days=10)
    for each in booked[:10]:
        driver.cancel(each)
    driver.crowd(10)
    return driver, booked[10]


def told(driver: DomainDriver, needed: int, began_at: datetime = NOW) -> int:
    """The first percent of the band of a chance told now."""
    chance = chance_from(began_at, driver.stored.event.starts_at, needed, Returned(10, 10), driver.now)
    assert chance is not None
    return chance.percent // 10 * 10


def test_the_chances_of_joining_are_decided_by_what_follows() -> None:
    driver, holder = returning(starts_at=NOW + timedelta(days=12))
    bands = [told(driver, needed) for needed in (1, 3)]
    assert len(set(bands)) == 2
    first, second = driver.book(ANA), driver.book(BEN, 2)
    assert recorded(driver) == [], "nothing is decided"
    driver.cancel(holder)
    assert driver.statuses(first, second) == ["confirmed", "waitlisted"]
    assert recorded(driver) == [Band(bands[0], 1, 1)]
    driver.edit(status=EventStatus.COMPLETED)
    decided = {bands[0]: [1, 1]}
    decided.setdefault(bands[1], [0, 0])[0] += 1
    assert recorded(driver) == [Band(band, *numbers) for band, numbers in sorted(decided.items())]
    driver.settle()
    assert recorded(driver) == [Band(band, *numbers) for band, numbers in sorted(decided.items())]


def test_with_the_start_nobody_is_served_any_more() -> None:
    driver, _ = returning()
    band = told(driver, 1)
    driver.book(ANA)
    assert recorded(driver, START - timedelta(seconds=1)) == []
    assert recorded(driver, START) == [Band(band, 1)]
    driver.edit(starts_at=None)
    assert recorded(driver, START) == []


@pytest.mark.parametrize("by", [ANA, ORGANIZER])
def test_who_leaves_is_not_counted(by: Any) -> None:
    driver, _ = returning()
    driver.cancel(driver.book(ANA), by)
    driver.edit(status=EventStatus.CANCELLED)
    assert recorded(driver) == []


def test_without_a_basis_nothing_is_told() -> None:
    driver = DomainDriver(1)
    first = driver.book(CLEO)
    driver.book(DAN)
    driver.cancel(first)
    assert recorded(driver) == []


def test_time_counts_from_the_opening_of_the_sale() -> None:
    opens_at = NOW + timedelta(days=9)
    driver, _ = returning(starts_at=NOW + timedelta(days=12))
    initialized = driver.facts[0].what
    assert isinstance(initialized, EventInitialized)
    values = {**initialized.values, "salesOpenAt": opens_at.isoformat()}
    driver.facts[0] = replace(driver.facts[0], what=replace(initialized, values=values))
    bands = [told(driver, 8), told(driver, 8, opens_at)]
    assert bands[0] < bands[1], "the less time has passed, the more can be expected"
    driver.book(ANA, 8)
    driver.edit(total_tickets=28)
    assert recorded(driver) == [Band(bands[1], 1, 1)]


def test_of_entries_before_a_draw_no_chance_is_told() -> None:
    driver = DrawDriver(1, starts_at=START)
    entries = [driver.book(customer(number)) for number in range(11)]
    driver.draw(*entries)
    for each in entries[:10]:
        driver.cancel(each)
    driver.book(ANA)
    driver.cancel(entries[10])
    ((band,),) = [recorded(driver)]
    assert (band.told, band.served) == (1, 1)


def test_bands_are_added() -> None:
    one = (Band(0, 2, 1), *NO_BANDS[1:])
    assert added(one, one)[0] == Band(0, 4, 2)
    assert added(NO_BANDS, NO_BANDS) == NO_BANDS
