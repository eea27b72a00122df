"""Storage in memory, for one process: as strict as a database, but lost when the process ends. No SQL here."""

from .steps import Step
from .storage import MemoryStorage

__all__ = ["MemoryStorage", "Step"]
