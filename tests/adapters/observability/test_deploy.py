"""The dashboard and the alerts query existing metrics, labels and label values."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from msgspec import Struct

from boxoffice.adapters.observability.catalog import METRICS, Kind, Metric
from boxoffice.application.ports.observability import Overload, Trouble
from boxoffice.domain.payment import Need, PaymentKind
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.settings import Settings


class Selector(Struct, frozen=True):
    """A metric of a query, and the matchers of its labels: (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


class Query(Struct, frozen=True):
    """The selectors of a Prometheus query, and the labels by which it groups or joins."""

    selectors: tuple[Selector, ...]
    grouped: frozenset[str]


_RANGE: Final = re.compile(r"\[[^\]]*\]")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR: Final = re.compile(r"\b(?!and\b|or\b|unless\b|bool\b)([a-zA-Z_:][\w:]*)\b(?:\{([^}]*)\})?(?!\s*\()")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")


def parse(text: str) -> Query:
    """Parse a query: every name is a metric, except functions, groupings and operators."""
    text = _RANGE.sub("", text)
    grouped = {label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",")} - {""}
    found = _SELECTOR.findall(_GROUPING.sub(" ", text))
    assert found, text
    return Query(tuple(Selector(name, tuple(_MATCHER.findall(inner))) for name, inner in found), frozenset(grouped))


ROOT: Final = Path(__file__).parents[3]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy/grafana-boxoffice.json").read_text(encoding="utf-8"))
ALERTS: Final[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text(encoding="utf-8")

RULES: Final[list[dict[str, Any]]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS: Final[list[dict[str, Any]]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN: Final[list[Query]] = [parse(target["expr"]) for panel in PANELS for target in panel["targets"]]
QUERIES: Final[list[Query]] = [*(parse(rule["expr"]) for rule in RULES), *SHOWN]
SAMPLES: Final[dict[str, Metric]] = {name: metric for metric in METRICS.values() for name in metric.samples}

ROUTES: Final = create_app(make_container(Settings(database_url="memory://"))).routes

VALUES: Final[dict[str, set[str]]] = {
    "route": {route.path_format for route in ROUTES},
    "method": {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"},
    "cause": {trouble.value for trouble in Trouble},
    "need": {need.value for need in Need},
    "outcome": {"confirmed", "held", "waitlisted"},
    "pool": {"writing", "reading", "listing"},
    "queue": {queue.value for queue in Overload},
    "status": {"200", "201", "204", "400", "401", "403", "404", "409", "429", "500", "503"},
}
"""The possible values of labels, as far as the program defines them."""

KINDS: Final[dict[str, set[str]]] = {
    "boxoffice_payments_total": {kind.value for kind in PaymentKind},
    "boxoffice_backlog": {"webhooks", "mails"},
    "boxoffice_backlog_age_seconds": {"webhooks", "mails"},
}
"""The possible values of the label `kind`, which differ by metric."""

SCRAPED: Final = {"job", "instance"}
"""Labels that Prometheus adds to all samples."""


def labels_of(name: str) -> set[str]:
    metric = SAMPLES[name]
    return {*SCRAPED, *metric.labels, *({"le"} if metric.kind is Kind.HISTOGRAM and name.endswith("_bucket") else ())}


def mistakes(query: Query) -> list[str]:
    """Return the metrics, labels and values of the query that do not exist."""
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


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(query.selectors[0].metric))
def test_a_query_asks_for_what_exists(query: Query) -> None:
    assert mistakes(query) == []


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
        ('boxoffice_payments_total{kind="mails"}', "kind is never mails"),
        ("boxoffice_processes > on (pool) boxoffice_queue_commands", "boxoffice_processes has no label pool"),
    ],
)
def test_a_mistake_in_a_query_is_seen(text: str, mistake: str) -> None:
    assert mistake in mistakes(parse(text))


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {SAMPLES[selector.metric].name for query in SHOWN for selector in query.selectors}
    assert METRICS.keys() - shown == set()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        grouped = parse(target["expr"]).grouped
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= grouped


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alarm_says_what_it_is_and_the_manual_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Boxoffice[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    grouped = parse(rule["expr"]).grouped
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= grouped
    assert f"`{rule['alert']}`" in OPERATIONS


def test_the_manual_names_no_other_alarm() -> None:
    assert set(re.findall(r"`(Boxoffice[A-Z]\w+)`", OPERATIONS)) == {rule["alert"] for rule in RULES}


def test_the_dashboard_shows_one_service_among_several() -> None:
    """A panel without `job` would sum all services that a Prometheus collects."""
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


def metrics_of(expr: str) -> set[str]:
    return {selector.metric for selector in parse(expr).selectors}


@pytest.mark.parametrize(
    "metric",
    [
        "boxoffice_overload_refusals_total",
        "boxoffice_backlog_age_seconds",
        "boxoffice_http_requests_total",
        "boxoffice_payments_due_age_seconds",
    ],
)
def test_a_metric_of_trouble_has_an_alarm(metric: str) -> None:
    assert any(metric in metrics_of(rule["expr"]) for rule in RULES)
