"""The dashboard and the alarms ask for metrics that there are, by labels and values that those have."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from boxoffice.adapters.observability.catalog import METRICS, Kind, Metric
from boxoffice.application.ports.observability import Overload, Trouble
from boxoffice.domain.payment import PaymentKind
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
    "pool": {"writing", "reading", "listing"},
    "queue": {queue.value for queue in Overload},
    "status": {"200", "201", "204", "400", "401", "403", "404", "409", "429", "500", "503"},
}
"""What the labels may be whose values the program knows."""

KINDS: Final[dict[str, set[str]]] = {
    "boxoffice_payments_total": {kind.value for kind in PaymentKind},
    "boxoffice_backlog": {"webhooks", "mails"},
    "boxoffice_backlog_age_seconds": {"webhooks", "mails"},
}
"""The same of the label `kind`, which means something else for each metric."""

SCRAPED: Final = {"job", "instance"}
"""Labels that Prometheus adds to everything that it collects."""


def labels_of(name: str) -> set[str]:
    metric = SAMPLES[name]
    return {*SCRAPED, *metric.labels, *({"le"} if metric.kind is Kind.HISTOGRAM and name.endswith("_bucket") else ())}


def mistakes(query: Query) -> list[str]:
    """What the query asks for that is not there."""
    found = [f"{selector.metric} is no metric" for selector in query.selectors if selector.metric not in SAMPLES]
    if found:
        return found
    for selector in query.selectors:
        for label, operator, value in selector.matchers:
            if label not in labels_of(selector.metric):
                found.append(f"{selector.metric} has no label {label}")
                continue
            values = KINDS.get(selector.metric) if label == "kind" else VALUES.get(label)
            if values is None or not value:
                continue
            if operator in {"=", "!="} and value not in values:
                found.append(f"{label} is never {value}")
            elif operator in {"=~", "!~"}:
                found += [
                    f"{label} is never {each}"
                    for each in value.split("|")
                    if not any(re.fullmatch(each, known) for known in values)
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
        ('boxoffice_overload_refusals_total{queue="requests"}', "queue is never requests"),
        ('boxoffice_backlog{kind="charge"}', "kind is never charge"),
        ('boxoffice_payments_total{kind="mails"}', "kind is never mails"),
        ('boxoffice_backlog{jobs="boxoffice"}', "boxoffice_backlog has no label jobs"),
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


SHOWN: Final[list[Query]] = [
    parse(target["expr"].replace("$__rate_interval", "5m")) for panel in PANELS for target in panel["targets"]
]


def test_the_dashboard_shows_one_service_among_several() -> None:
    """Of a Prometheus that collects two of them, a panel without `job` would add up both."""
    without = [
        selector.metric
        for query in SHOWN
        for selector in query.selectors
        if ("job", "=~", "$job") not in selector.matchers
    ]
    assert without == []
    (job,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "job"]
    (selector,) = parse(job["query"]["query"]).selectors[:1]
    assert selector.metric in SAMPLES


def limits_of(panel: dict[str, Any]) -> list[float]:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return [step["value"] for step in steps if step["value"] is not None]


def metrics_of(expr: str) -> set[str]:
    return {selector.metric for selector in parse(expr.replace("$__rate_interval", "5m")).selectors}


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if re.fullmatch(r"[^<>=]* > [\d.]+", re.sub(r"{[^}]*}", "", rule["expr"]))],
    ids=lambda rule: str(rule["alert"]),
)
def test_a_panel_shows_where_an_alarm_begins(rule: dict[str, Any]) -> None:
    limit = float(rule["expr"].rpartition(" ")[2])
    asked = metrics_of(rule["expr"])
    found = [
        value
        for panel in PANELS
        if any(asked <= metrics_of(target["expr"]) for target in panel["targets"])
        for value in limits_of(panel)
    ]
    # What is reached counts as crossed there, so that nothing at all has to stay below.
    assert any(value == limit or limit == 0 < value < 0.01 for value in found), found


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_thresholds_are_such_as_the_dashboard_draws(panel: dict[str, Any]) -> None:
    thresholds = panel["fieldConfig"]["defaults"].get("thresholds")
    if thresholds is not None:
        values = [step["value"] for step in thresholds["steps"]]
        assert values[0] is None, "the first one is from the bottom"
        assert values[1:] == sorted(values[1:])
        assert {step["color"] for step in thresholds["steps"]} == {"green", "red"}


@pytest.mark.parametrize(
    "metric",
    ["boxoffice_overload_refusals_total", "boxoffice_backlog_age_seconds", "boxoffice_http_requests_total"],
)
def test_what_must_not_pass_unnoticed_has_an_alarm(metric: str) -> None:
    assert any(metric in metrics_of(rule["expr"]) for rule in RULES)
