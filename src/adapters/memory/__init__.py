"""Everything in memory, for one process: as strict as a database, and gone when the process ends."""

from .storage import MemoryStorage
from .unit_of_work import Step

__all__ = ["MemoryStorage", "Step"]
