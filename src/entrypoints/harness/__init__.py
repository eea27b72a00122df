"""A property-based harness: it drives the use cases over any storage and holds every promise against a small model.

Needs the extra `boxoffice[harness]`. See `BoxOffice.machine`.
"""

from .machine import BoxOfficeMachine
from .model import Model

__all__ = ["BoxOfficeMachine", "Model"]
