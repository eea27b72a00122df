"""The use cases without HTTP, called as a program that embeds them does."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from cProfile import Profile
from time import perf_counter, process_time
from typing import Final
from uuid import UUID

import uvloop
from uuid_utils.compat import uuid7

from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize
from boxoffice.domain.event import EventDetails
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.gc_tuning import tune_gc
from boxoffice.entrypoints.settings import Settings

from . import cpu

PLENTY: Final = 1_000_000
"""Enough tickets that no booking joins the waiting list."""

NOBODY: Final[Mapping[str, Sequence[int]]] = {}

_CALLERS: Final = 256


def book(
    url: str,
    callers: int,
    bookings: int,
    *,
    processes: Mapping[str, Sequence[int]],
    ticket_types: int = 1,
    profile: Profile | None = None,
) -> tuple[float, dict[str, float]]:
    """Return the bookings per second of a new event, and the processor time per booking in microseconds, by process.

    Each caller books again as soon as it has its result. With several ticket types the last one is measured, and its
    customers have a booking of each other type.
    """

    async def run() -> tuple[float, dict[str, float]]:
        container = make_container(Settings(database_url=url))
        try:
            customers = [uuid7() for _ in range(bookings)]
            event_id, measured = await _beside_others(container, customers, ticket_types, PLENTY)
            with profile or nullcontext():
                seconds, microseconds = await rush(
                    container, event_id, measured, callers, customers, processes=processes
                )
            if url.startswith("memory"):
                # Databases are verified after the round.
                verdict = await container.verify_promises()()
                assert verdict.breaches == [], verdict.breaches[:3]
            return bookings / seconds, microseconds
        finally:
            await container.turnstile().close()
            await container.storage().close()

    return uvloop.run(run())


def hold_others(url: str, customers: Sequence[UUID], ticket_types: int, tickets: int) -> tuple[UUID, UUID]:
    """Return a new event and the last of its ticket types. Each customer has a booking of each other type."""

    async def run() -> tuple[UUID, UUID]:
        container = make_container(Settings(database_url=url))
        try:
            return await _beside_others(container, customers, ticket_types, tickets)
        finally:
            await container.turnstile().close()
            await container.storage().close()

    return uvloop.run(run())


async def _beside_others(
    container: Container, customers: Sequence[UUID], ticket_types: int, tickets: int
) -> tuple[UUID, UUID]:
    event_id, (*others, last) = await new_event(container, ticket_types=ticket_types, of_last=tickets)
    for each in others:
        await rush(container, event_id, each, _CALLERS, customers)
    return event_id, last


async def new_event(container: Container, *, ticket_types: int = 1, of_last: int = PLENTY) -> tuple[UUID, list[UUID]]:
    """Create an event with `PLENTY` tickets of each type, except `of_last` of the last."""
    new = container.ids().new
    ids = [new() for _ in range(ticket_types)]
    state = await container.initialize_event()(
        Initialize(
            event_id=new(),
            actor=Actor(new(), Role.ORGANIZER),
            details=EventDetails(name="Jazz night"),
            ticket_types=tuple(
                (each, TicketTypeSpec(name=f"Row {each}", total_tickets=of_last if each is ids[-1] else PLENTY))
                for each in ids
            ),
            currency="EUR",
        )
    )
    return state.event.id, ids


async def rush(
    container: Container,
    event_id: UUID,
    ticket_type_id: UUID,
    callers: int,
    customers: Sequence[UUID],
    *,
    processes: Mapping[str, Sequence[int]] = NOBODY,
) -> tuple[float, dict[str, float]]:
    """Book once per customer. Return the seconds, and the processor time per booking in microseconds, by process."""
    book_ticket = container.book_ticket()
    commands = iter(
        [
            Book(booking_id=uuid7(), event_id=event_id, actor=Actor(each), ticket_type_id=ticket_type_id)
            for each in customers
        ]
    )

    async def call() -> None:
        for command in commands:
            await book_ticket(command)

    tune_gc()
    before = _taken(processes)
    begun = perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    took = perf_counter() - begun
    after = _taken(processes)
    return took, {name: (after[name] - before[name]) / len(customers) * 1e6 for name in after}


def _taken(processes: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {"service": process_time(), **{name: cpu.seconds(pids) for name, pids in processes.items()}}
