"""Run the rows in rounds, verify the promises after each, print the table and keep it. `python -m bench --help`."""

import argparse
import json
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .rows import ROWS, Figure, Round, Row
from .stage import stage

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="bench", description="Each figure beside its baseline, in the same run.")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default 3)")
    parser.add_argument("--only", default="", help="only rows whose name holds this text")
    parser.add_argument("--customers", type=int, default=60_000, help="more than one run books (default 60,000)")
    parser.add_argument("--keep", action="store_true", help="write the results to bench/results")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if arguments.only in row.name]
    found: dict[str, list[Figure]] = {row.name: [] for row in rows}
    with stage(arguments.customers) as set_up:
        for number in range(arguments.rounds):
            round_ = Round(set_up)
            # Every other round goes the other way, so that no row is always the first on a fresh machine.
            for row in rows if number % 2 == 0 else reversed(rows):
                found[row.name].append(row.measure(round_))
                print(f"{number + 1}/{arguments.rounds} {row.name}: {found[row.name][-1]}", flush=True)
            set_up.verify()
            set_up.verify(on_sqlite=True)
    table = _table(rows, found)
    print(table)
    if arguments.keep:
        _keep(rows, found, table)


def _table(rows: list[Row], found: dict[str, list[Figure]]) -> str:
    lines = ["| measured | ours | baseline | ratio (min to max) | at least | aim |", "|---|---|---|---|---|---|"]
    for row in rows:
        figures = found[row.name]
        ratios = sorted(each.ratio for each in figures)
        ours = statistics.median(each.ours for each in figures)
        baseline = statistics.median(each.baseline for each in figures)
        lines.append(
            f"| {row.name} | {ours:,.5g}{figures[0].unit} | {baseline:,.5g}{figures[0].unit} "
            f"| **{statistics.median(ratios):,.3g}** ({ratios[0]:,.3g} to {ratios[-1]:,.3g}) "
            f"| {row.at_least:,.3g} | {row.aim:,.3g} |"
        )
    return "\n".join(lines)


def _keep(rows: list[Row], found: dict[str, list[Figure]], table: str) -> None:
    now = datetime.now(UTC)
    machine = {
        "when": now.isoformat(timespec="seconds"),
        "cores": len(_cores()),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "mariadb": _mariadb(),
        **{name: version(name) for name in ("boxoffice", "litestar", "uvicorn", "sqlalchemy", "asyncmy", "msgspec")},
    }
    figures = {row.name: [{"ours": each.ours, "baseline": each.baseline} for each in found[row.name]] for row in rows}
    RESULTS.mkdir(exist_ok=True)
    name = now.strftime("%Y-%m-%d")
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n")
    about = "\n".join(f"- {key}: {value}" for key, value in machine.items())
    (RESULTS / f"{name}.md").write_text(f"# {name}\n\n{about}\n\n{table}\n")


def _cores() -> list[str]:
    return [line for line in _cpuinfo() if line.startswith("processor")]


def _processor() -> str:
    return next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _mariadb() -> str:
    return subprocess.run(["mariadbd", "--version"], capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
