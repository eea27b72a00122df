"""The dashboard and the alarms ask for metrics that there are, by labels and values that those have."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from boxoffice.adapters.observing.catalog import METRICS, Kind, Metric
from boxoffice.application.observing import Trouble
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings
from tests.observing.promql import Query, parse

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy/grafana-boxoffice.json").read_text(encoding="utf-8"))
ALERTS: Final[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text(encoding="utf-8")

RULES: Final[list[dict[str, Any]]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS: Final[list[dict[str, Any]]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES: Final[list[str]] = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"].replace("$__rate_interval", "5m") for panel in PANELS for target in panel["targets"]),
]
SAMPLES: Final[dict[str, Metric]] = {name: metric for metric in METRICS.values() for name in metric.samples}

ROUTES: Final = create_app(make_container(Settings(database_url="memory://"))).routes

VALUES: Final[dict[str, set[str]]] = {
    "route": {route.path_format for route in ROUTES},
    "method": {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"},
    "cause": {trouble.value for trouble in Trouble},
    "outcome": {"confirmed", "held", "waitlisted"},
    "pool": {"writing", "reading"},
    "status": {"200", "201", "204", "400", "401", "403", "404", "409", "429", "500", "503"},
}
"""What the labels may be whose values the program knows."""


def labels_of(name: str) -> set[str]:
    metric = SAMPLES[name]
    return {*metric.labels, *({"le"} if metric.kind is Kind.HISTOGRAM and name.endswith("_bucket") else ())}


def mistakes(query: Query) -> list[str]:
    """What the query asks for that is not there."""
    found = [f"{selector.metric} is no metric" for selector in query.selectors if selector.metric not in SAMPLES]
    if found:
        return found
    for selector in query.selectors:
        for label, operator, value in selector.matchers:
            if label not in labels_of(selector.metric):
                found.append(f"{selector.metric} has no label {label}")
            elif label in VALUES and operator in {"=", "!="} and value not in VALUES[label]:
                found.append(f"{label} is never {value}")
            elif label in VALUES and operator in {"=~", "!~"}:
                found += [
                    f"{label} is never {each}"
                    for each in value.split("|")
                    if not any(re.fullmatch(each, known) for known in VALUES[label])
                ]
    for label in query.grouped:
        found += [
            f"{selector.metric} has no label {label}"
            for selector in query.selectors
            if label not in labels_of(selector.metric)
        ]
    return found


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_asks_for_what_there_is(text: str) -> None:
    assert mistakes(parse(text)) == []


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("sum(rate(boxoffice_booking_total[5m]))", "boxoffice_booking_total is no metric"),
        ("boxoffice_bookings", "boxoffice_bookings is no metric"),
        ("sum by (result) (boxoffice_bookings_total)", "boxoffice_bookings_total has no label result"),
        ('boxoffice_bookings_total{event="1"}', "boxoffice_bookings_total has no label event"),
        ('boxoffice_bookings_total{outcome="sold"}', "outcome is never sold"),
        ('boxoffice_transactions_failed_total{cause=~"undone|deadlock"}', "cause is never deadlock"),
        ('boxoffice_http_requests_total{route="/books"}', "route is never /books"),
        ("sum by (le) (boxoffice_batch_commands_sum)", "boxoffice_batch_commands_sum has no label le"),
        ("boxoffice_processes > on (pool) boxoffice_queue_commands", "boxoffice_processes has no label pool"),
    ],
)
def test_a_mistake_in_a_query_is_seen(text: str, mistake: str) -> None:
    assert mistake in mistakes(parse(text))


@pytest.mark.parametrize(
    "text", ["sum(boxoffice_processes", "boxoffice_processes{", "1 + 1", "a{b=1}", "a & b", "sum by a"]
)
def test_what_is_no_query_is_seen(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        SAMPLES[selector.metric].name
        for panel in PANELS
        for target in panel["targets"]
        for selector in parse(target["expr"].replace("$__rate_interval", "5m")).selectors
    }
    assert METRICS.keys() - shown == set()


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        grouped = parse(target["expr"].replace("$__rate_interval", "5m")).grouped
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= grouped


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alarm_says_what_it_is_and_the_manual_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Boxoffice[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    grouped = parse(rule["expr"]).grouped
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= grouped
    assert f"`{rule['alert']}`" in OPERATIONS


def test_the_manual_knows_no_alarm_that_is_none() -> None:
    assert set(re.findall(r"`(Boxoffice[A-Z]\w+)`", OPERATIONS)) == {rule["alert"] for rule in RULES}
