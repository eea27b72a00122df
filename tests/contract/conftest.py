"""The same suite for each storage."""

import pytest

from boxoffice.application.ports.storage import Storage

from .storage_driver import StorageDriver


@pytest.fixture
def driver(storage: Storage) -> StorageDriver:
    """The storage with hands that use it."""
    return StorageDriver(storage)
