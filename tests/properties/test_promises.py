"""Every promise as an invariant of one state machine, over every adapter."""

from hypothesis import HealthCheck, settings

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.application.ports import Storage
from boxoffice.entrypoints.harness import BoxOfficeMachine


class InMemory(BoxOfficeMachine):
    @staticmethod
    async def make_storage() -> Storage:
        return MemoryStorage()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
