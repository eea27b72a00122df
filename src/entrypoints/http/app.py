"""The Litestar application, wired through the container."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dependency_injector.providers import Object
from litestar import Litestar

from ... import __version__
from ..client_address import AddressOf
from ..container import Container
from ..lifespan import running
from . import accounts, bookings, events, metrics, operations, payments, problem_pages, webhooks
from .cors import Cors, Preflight
from .envelope import Envelope
from .limits import Identify
from .reference import reference_of
from .routing import Calls, handlers_of

CALLS: Final = (
    accounts.create_user,
    accounts.log_in,
    accounts.refresh_session,
    accounts.log_out,
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
    webhooks.create_webhook,
    webhooks.list_webhooks,
    webhooks.read_webhook,
    webhooks.delete_webhook,
    webhooks.list_deliveries,
    webhooks.resend_delivery,
    operations.read_liveness,
    operations.read_readiness,
    metrics.read_metrics,
    operations.read_openapi,
    operations.read_docs,
    problem_pages.read_problem,
)


def create_app(container: Container) -> Litestar:
    """The service over HTTP; it lives inside `running`, so that all is made ready first and cleared up at the end."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with running(container):
            yield

    reference = reference_of(CALLS, __version__)
    settings = container.settings()
    address_of = AddressOf(settings.trusted_proxies, settings.forwarded_header)
    limits = container.request_limits if settings.rate_limits else None
    providers = {
        **container.providers,
        "address_of": Object(address_of),
        "default_currency": Object(settings.currency),
        "reference": Object(reference),
    }
    app = Litestar(
        route_handlers=handlers_of(
            CALLS,
            providers,
            Identify(container.authenticate, limits, address_of),
        ),
        lifespan=[lifespan],
        # Bodies, errors, logs and the reference are this package's own.
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    origins = settings.cors_origins
    calls = Calls(app)
    service = Envelope(Preflight(calls) if origins else calls, container.clock, container.metrics)
    app.asgi_handler = Cors(service, origins) if origins else service
    tracing = container.tracing()
    if tracing is not None:
        app.asgi_handler = tracing.around(app.asgi_handler)
    return app
