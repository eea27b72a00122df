"""Processor time of processes, as the kernel counts it: less noisy than a clock on a machine that others share."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SECONDS_OF_A_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it, by now."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            found.extend(int(child) for child in children.read_text().split())
    return found


def seconds(pids: Iterable[int]) -> float:
    """Seconds of processor time that these have taken so far, in their own code and in the kernel for them."""
    ticks = 0
    for pid in pids:
        # The name of the program, in brackets, may hold blanks.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks * _SECONDS_OF_A_TICK
