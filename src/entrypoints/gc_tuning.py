"""Settings of the garbage collector for a process that has loaded its modules."""

import gc
from typing import Final

GC_THRESHOLDS: Final = (50_000, 20, 100)
"""The arguments of `gc.set_threshold`."""


def tune_gc() -> None:
    """Exclude all existing objects from garbage collection and collect less often.

    Requests leave almost no reference cycles, so frequent collections only cost time, and a full one delays requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
