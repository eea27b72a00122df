"""The results as a table, a chart and files, with the machine and the versions measured."""

import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from .databases import PRODUCTS
from .plot import Bar, draw
from .rows import Better, Figure, Measured, Row

HEAD: Final = """\
| measured | ours | baseline | ratio (least to most) | wanted | aim | processor, µs a request: ours | baseline |
|---|---|---|---|---|---|---|---|"""

_VERSIONS: Final = ("boxoffice", "litestar", "granian", "uvicorn", "uvloop", "sqlalchemy", "asyncmy", "msgspec")


def line(row: Row, figures: Sequence[Figure]) -> str:
    """Return a row of the table, with medians over the rounds."""
    ratios = sorted(figure.ratio(row.better) for figure in figures)
    sign = "≤" if row.better is Better.ALIKE else "≥"
    ours, baseline = [each.ours for each in figures], [each.baseline for each in figures]
    cells = [
        row.name,
        f"{_median(ours):,.5g} {row.unit}",
        f"{_median(baseline):,.5g} {row.unit}",
        f"**{statistics.median(ratios):,.3g}** ({ratios[0]:,.3g} to {ratios[-1]:,.3g})",
        "-" if row.bound is None else f"{sign} {row.bound:,.3g}",
        "-" if row.aim is None else f"{row.aim:,.3g}",
        _processor(ours),
        _processor(baseline),
    ]
    return f"| {' | '.join(cells)} |"


def table(rows: Sequence[Row], found: Mapping[str, Sequence[Figure]]) -> str:
    """Return the table of all rows."""
    return "\n".join([HEAD, *(line(row, found[row.name]) for row in rows)])


def is_good(row: Row, figures: Sequence[Figure]) -> bool:
    """Return whether the median ratio is within the row's bound."""
    if row.bound is None:
        return True
    ratio = statistics.median(figure.ratio(row.better) for figure in figures)
    return ratio <= row.bound if row.better is Better.ALIKE else ratio >= row.bound


def keep(
    rows: Sequence[Row],
    found: Mapping[str, Sequence[Figure]],
    directory: Path,
    now: datetime,
    *,
    seconds: float,
    database_kind: str,
    database_version: str,
) -> None:
    """Write the table, the figures of every round and the chart, named after the date and the kind of database."""
    machine = {
        "when": now.isoformat(timespec="seconds"),
        "took": f"{seconds / 60:.0f} minutes",
        "rounds": max(len(each) for each in found.values()),
        "commit": _said("git", "describe", "--always", "--dirty"),
        "cores": sum(line.startswith("processor") for line in _cpuinfo()),
        "processor": next((each.split(":")[1].strip() for each in _cpuinfo() if each.startswith("model name")), "?"),
        "system": platform.platform(),
        "python": platform.python_version(),
        database_kind: database_version,
        **{name: version(name) for name in _VERSIONS},
    }
    directory.mkdir(exist_ok=True)
    name = f"{now:%Y-%m-%d}-{database_kind}"
    figures: dict[str, Any] = {row.name: found[row.name] for row in rows}
    content = msgspec.json.format(msgspec.json.encode({"machine": machine, "figures": figures}), indent=2)
    (directory / f"{name}.json").write_bytes(content + b"\n")
    about = "\n".join(f"- {key}: {value}" for key, value in machine.items())
    picture = f"![Ratios beside what is wanted]({name}.svg)"
    (directory / f"{name}.md").write_text(
        f"# {now:%Y-%m-%d}, {PRODUCTS[database_kind].name}\n\n{about}\n\n{table(rows, found)}\n\n{picture}\n"
    )
    bars = [
        Bar(row.name, statistics.median(each.ratio(row.better) for each in found[row.name]), row.bound, row.aim)
        for row in rows
        if row.bound is not None and row.aim is not None
    ]
    (directory / f"{name}.svg").write_text(draw(bars))


def _median(measured: Sequence[Measured]) -> float:
    return statistics.median(each.value for each in measured)


def _processor(measured: Sequence[Measured]) -> str:
    names = dict.fromkeys(name for each in measured for name in each.microseconds)
    medians = {
        name: statistics.median(each.microseconds[name] for each in measured if name in each.microseconds)
        for name in names
    }
    return ", ".join(f"{name} {median:,.0f}" for name, median in medians.items()) or "-"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "?"
