"""The routers, each made with its use cases."""

from dependency_injector.containers import DeclarativeContainer
from dependency_injector.providers import DependenciesContainer, List, Singleton

from ..client_address import AddressOf
from ..settings import Settings
from .routes import accounts, bookings, events, operations, webhooks


def _address_of(settings: Settings) -> AddressOf:
    return AddressOf(settings.trusted_proxies, settings.forwarded_header)


class Routes(DeclarativeContainer):
    """Routers over the use cases of `core`. Every use case is there once per process, so handlers close over them."""

    core = DependenciesContainer()
    address_of = Singleton(_address_of, core.settings)

    accounts = Singleton(
        accounts.router,
        core.create_user,
        core.limited_log_in,
        core.refresh_session,
        core.log_out,
        core.read_profile,
        core.change_profile,
        address_of,
    )
    events = Singleton(
        events.router,
        core.initialize_event,
        core.change_event,
        core.list_events,
        core.read_event,
        core.list_event_bookings,
        core.read_waiting_list,
        core.read_changes,
        core.clock,
        core.ids,
        core.settings.provided.currency,
    )
    bookings = Singleton(
        bookings.router,
        core.book_ticket,
        core.cancel_booking,
        core.list_bookings,
        core.read_booking,
        core.pay_booking,
        core.list_payments,
        core.clock,
        core.ids,
    )
    webhooks = Singleton(
        webhooks.router,
        core.create_webhook,
        core.list_webhooks,
        core.read_webhook,
        core.delete_webhook,
        core.list_deliveries,
        core.resend_delivery,
    )
    operations = Singleton(operations.router, core.readiness, core.metrics)
    routers = List(accounts, events, bookings, webhooks, operations)
