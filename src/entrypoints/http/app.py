"""The Litestar application, wired through the container."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from dependency_injector.providers import Provider
from litestar import Litestar
from litestar.di import Provide

from ... import __version__
from ...application.idempotency import Replayed
from ..container import Container
from ..lifespan import running
from . import accounts, bookings, events, operations, payments, problems
from .envelope import Envelope
from .idempotency import replay_response
from .identity import identify_with
from .reference import reference_of

_HANDLERS: Final = (
    accounts.create_user,
    accounts.log_in,
    accounts.read_profile,
    accounts.change_profile,
    events.initialize_event,
    events.read_status,
    events.list_events,
    events.read_event,
    events.change_event,
    events.add_ticket_type,
    events.change_ticket_type,
    events.list_event_bookings,
    events.read_waiting_list,
    events.read_changes,
    bookings.book_ticket,
    bookings.cancel_booking,
    bookings.list_bookings,
    bookings.read_booking,
    payments.pay_booking,
    payments.list_payments,
    operations.read_liveness,
    operations.read_readiness,
    operations.read_openapi,
    operations.read_docs,
    problems.read_problem,
)
_PROVIDED: Final = (
    "book_ticket",
    "cancel_booking",
    "initialize_event",
    "change_event",
    "create_user",
    "log_in",
    "read_profile",
    "change_profile",
    "read_event",
    "list_events",
    "read_booking",
    "list_bookings",
    "pay_booking",
    "list_payments",
    "list_event_bookings",
    "read_waiting_list",
    "read_changes",
    "storage",
    "draining",
    "clock",
    "ids",
)


def create_app(container: Container) -> Litestar:
    """The service over HTTP; it lives inside `running`, so that all is made ready first and cleared up at the end."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with running(container):
            yield

    dependencies = {name: _provide(getattr(container, name)) for name in _PROVIDED}
    default_currency = container.settings().currency
    app = Litestar(
        route_handlers=list(_HANDLERS),
        dependencies={
            **dependencies,
            "default_currency": Provide(lambda: default_currency, sync_to_thread=False),
            "reference": Provide(lambda: reference, sync_to_thread=False),
        },
        guards=[identify_with(container.authenticate)],
        exception_handlers={Exception: problems.problem_response, Replayed: replay_response},
        lifespan=[lifespan],
        # Bodies, errors, logs and the reference are this package's own.
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    reference = reference_of(app.routes, __version__)
    app.asgi_handler = Envelope(app.asgi_handler, container.ids().new)
    return app


def _provide(provider: Provider[Any]) -> Provide:
    def provided() -> Any:
        return provider()

    return Provide(provided, sync_to_thread=False)
