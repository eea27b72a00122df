"""Boxoffice: an event ticket booking service that never oversells, loses no booking and serves waiting lists in order.

The names below are what a program needs in order to embed it. `docs/embedding.md` shows how they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .version import VERSION

if TYPE_CHECKING:
    from .application.ports.errors import Unavailable
    from .domain.booking import Booking, BookingStatus
    from .domain.decisions.book import Book
    from .domain.decisions.cancel import Cancel
    from .domain.decisions.organize import Initialize, general_admission
    from .domain.event import EventDetails
    from .domain.refusals import Refusal
    from .domain.tickets.ticket_type import TicketTypeSpec
    from .domain.user import Actor, Role
    from .entrypoints.container import Container, make_container
    from .entrypoints.http.app import create_app
    from .entrypoints.lifespan import running
    from .entrypoints.settings import Settings

__all__ = [
    "Actor",
    "Book",
    "Booking",
    "BookingStatus",
    "Cancel",
    "Container",
    "EventDetails",
    "Initialize",
    "Refusal",
    "Role",
    "Settings",
    "TicketTypeSpec",
    "Unavailable",
    "create_app",
    "general_admission",
    "make_container",
    "running",
]

__version__: Final = VERSION

_MODULES: Final = {
    "application.ports.errors": ("Unavailable",),
    "domain.booking": ("Booking", "BookingStatus"),
    "domain.decisions.book": ("Book",),
    "domain.decisions.cancel": ("Cancel",),
    "domain.decisions.organize": ("Initialize", "general_admission"),
    "domain.event": ("EventDetails",),
    "domain.refusals": ("Refusal",),
    "domain.tickets.ticket_type": ("TicketTypeSpec",),
    "domain.user": ("Actor", "Role"),
    "entrypoints.container": ("Container", "make_container"),
    "entrypoints.http.app": ("create_app",),
    "entrypoints.lifespan": ("running",),
    "entrypoints.settings": ("Settings",),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that a program that needs the rules alone loads no framework."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
