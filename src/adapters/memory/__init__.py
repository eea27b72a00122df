"""Everything in memory, for one process: as strict as a database, and gone when the process ends."""

from .steps import Step
from .storage import MemoryStorage

__all__ = ["MemoryStorage", "Step"]
