"""A fresh box office for every test."""

import pytest

from tests.application.fake_app import FakeApp


@pytest.fixture
def app() -> FakeApp:
    """A process of its own with an empty storage."""
    return FakeApp()
