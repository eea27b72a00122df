"""A fresh box office for every test."""

import pytest

from tests.application.world import World


@pytest.fixture
def world() -> World:
    """A process of its own with an empty storage."""
    return World()
