"""The routers, each made with its use cases."""

from inspect import signature
from types import ModuleType
from typing import Any

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import DependenciesContainer, List, Singleton
from litestar import Router

from .client_address import AddressOf
from .routes import accounts, bookings, events, operations, webhooks


def _router(subject: ModuleType, core: DependenciesContainer, **others: Any) -> Singleton[Router]:
    """Return the provider of a router. What is not among the others, `core` provides by the parameter's name."""
    names = signature(subject.router).parameters.keys() - others.keys()
    return Singleton(subject.router, **{name: getattr(core, name) for name in names}, **others)


class Routes(DeclarativeContainer):
    """Routers over the use cases of `core`. Every use case is there once per process, so handlers close over them."""

    core = DependenciesContainer()
    settings = core.settings.provided
    address_of = Singleton(AddressOf, settings.trusted_proxies, settings.forwarded_header)

    routers = List(
        _router(accounts, core, log_in=core.limited_log_in, address_of=address_of),
        _router(events, core, default_currency=settings.currency),
        _router(bookings, core),
        _router(webhooks, core),
        _router(operations, core),
    )
