"""The same suite for each storage."""

import pytest

from boxoffice.application.ports.storage import Storage

from .box_office import BoxOffice


@pytest.fixture
def office(storage: Storage) -> BoxOffice:
    """The storage with hands that use it."""
    return BoxOffice(storage)
