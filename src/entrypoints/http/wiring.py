"""The routers of all subjects, created with their use cases."""

from inspect import signature
from types import ModuleType
from typing import Any

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import DependenciesContainer, List, ProvidedInstance, Singleton
from litestar import Router

from ..client_address import AddressOf
from .routes import (
    accounts,
    api_keys,
    attendees,
    bookings,
    door,
    events,
    logs,
    operations,
    payments,
    staff,
    stripe,
    tickets,
    webhooks,
)


def _router(subject: ModuleType, core: DependenciesContainer, **others: Any) -> Singleton[Router]:
    """Return the provider of a router. `core` provides the parameters that are not among the others, by name."""
    names = signature(subject.router).parameters.keys() - others.keys()
    return Singleton(subject.router, **{name: getattr(core, name) for name in names}, **others)


class Routes(DeclarativeContainer):
    """Routers with the use cases of `core`. A use case exists once per process, so handlers close over it."""

    core: DependenciesContainer = DependenciesContainer()
    settings: ProvidedInstance = core.settings.provided
    address_of: Singleton[AddressOf] = Singleton(AddressOf, settings.trusted_proxies, settings.forwarded_header)

    routers: List = List(
        _router(accounts, core, log_in=core.limited_log_in, address_of=address_of),
        _router(api_keys, core),
        _router(events, core, default_currency=settings.currency),
        _router(attendees, core),
        _router(bookings, core),
        _router(tickets, core),
        _router(payments, core),
        _router(staff, core),
        _router(door, core),
        _router(logs, core),
        _router(webhooks, core),
        _router(operations, core),
        _router(stripe, core),
    )
