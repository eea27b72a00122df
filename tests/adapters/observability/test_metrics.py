"""The page for Prometheus: counts of all processes, without values that cannot be read at the moment."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from boxoffice.adapters.memory import Step
from boxoffice.adapters.observability import Counters, Metrics, SharedCounters
from boxoffice.adapters.observability.catalog import METRICS
from boxoffice.adapters.observability.metrics import MOST_WAITING_LISTS
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.observability import (
    Backlog,
    ConnectionsInUse,
    Overload,
    Trouble,
    Verified,
    WaitingListLength,
)
from boxoffice.domain.explanations.chance_record import Band
from boxoffice.domain.payment import Need
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, CLEO, FakeApp

Samples = dict[str, float]


class SomeFigures:
    """Statistics that a test sets."""

    def __init__(self) -> None:
        self.lines = [WaitingListLength(UUID(int=1), 3)]
        self.promises = [
            Verified(1, 0, datetime(2030, 1, 1, tzinfo=UTC)),
            Verified(7, 2, datetime(2030, 1, 2, tzinfo=UTC)),
        ]
        self.bands: Sequence[Band] = [Band(0, 4, 1), Band(90, 2, 2)]
        self.pools = {"writing": ConnectionsInUse(1, 4)}
        self.failure: Exception | None = None
        self.asked = 0
        self.due = {"webhooks": Backlog(7, datetime.now(UTC) - timedelta(minutes=5)), "mails": Backlog(0, None)}
        self.backlog_failure: Exception | None = None

    async def backlogs(self, now: datetime) -> Mapping[str, Backlog]:
        if self.backlog_failure is not None:
            raise self.backlog_failure
        return self.due

    async def payments_due(self, now: datetime) -> Mapping[Need, Backlog]:
        return {Need.CASH: Backlog(2, now - timedelta(days=3)), Need.DISPUTED: Backlog(0, None)}

    async def longest_waiting_lists(self, limit: int) -> list[WaitingListLength]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.lines[:limit]

    async def verified(self) -> list[Verified]:
        return self.promises

    async def chances(self) -> Sequence[Band]:
        return self.bands

    async def note_verified(self, verified: Sequence[Verified], bands: Sequence[Band]) -> None:
        self.promises, self.bands = list(verified), bands

    def connections(self) -> Mapping[str, ConnectionsInUse]:
        return self.pools


@pytest.fixture
def figures() -> SomeFigures:
    return SomeFigures()


@pytest.fixture
def metrics(figures: SomeFigures) -> Metrics:
    return Metrics(Counters(), figures, "1.2.3")


async def shown(metrics: Metrics) -> Samples:
    """Return the samples of a page, by name and labels."""
    samples = {}
    for family in text_string_to_metric_families((await metrics.page()).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def changed(before: Samples, after: Samples) -> Samples:
    """Return the samples that differ, without durations."""
    return {
        name: value - before.get(name, 0.0)
        for name, value in after.items()
        if value != before.get(name, 0.0) and not any(each in name for each in ("seconds", "batch_commands"))
    }


async def test_what_customers_got(metrics: Metrics) -> None:
    app = FakeApp(observer=metrics)
    before = await shown(metrics)
    event_id = await app.event(1)
    booking = await app.book(event_id, ANA)
    await app.book(event_id, BEN)
    with pytest.raises(Exception, match="live booking"):
        await app.book(event_id, BEN)
    await app.cancel(booking)
    assert changed(before, await shown(metrics)) == {
        "boxoffice_bookings_total{outcome=confirmed}": 1,
        "boxoffice_bookings_total{outcome=waitlisted}": 1,
        "boxoffice_refusals_total{code=already-booked}": 1,
        "boxoffice_cancellations_total": 1,
        "boxoffice_promotions_total": 1,
    }


async def test_holds_and_payments(metrics: Metrics) -> None:
    app = FakeApp(observer=metrics)
    event_id = await app.event(2, price=Money(500, "EUR"), payment_window_minutes=10)
    before = await shown(metrics)
    paid, lapsed = await app.book(event_id, ANA), await app.book(event_id, BEN)
    assert lapsed.expires_at is not None
    await app.pay(paid)
    app.clock.time = lapsed.expires_at
    await app.expire_holds()
    assert changed(before, await shown(metrics)) == {
        "boxoffice_bookings_total{outcome=held}": 2,
        "boxoffice_payments_total{kind=charge,status=succeeded}": 1,
        "boxoffice_holds_expired_total": 1,
    }


async def test_transactions_by_their_size_and_time(metrics: Metrics) -> None:
    app = FakeApp(observer=metrics)
    event_id = await app.event(10)
    before = await shown(metrics)
    reached, opened = app.faults.gate(Step.COMMIT)
    first = asyncio.ensure_future(app.book(event_id, ANA))
    await reached.wait()
    others = [asyncio.ensure_future(app.book(event_id, who)) for who in (BEN, CLEO)]
    await asyncio.sleep(0)
    opened.set()
    await asyncio.gather(first, *others)
    after = await shown(metrics)
    grown = {name: after[name] - before[name] for name in after if name in before}
    sizes = [grown[f"boxoffice_batch_commands_bucket{{le={le}}}"] for le in ("1.0", "2.0", "5.0", "+Inf")]
    assert sizes == [1, 2, 2, 2]
    assert grown["boxoffice_batch_commands_sum"] == 3
    assert grown["boxoffice_transaction_seconds_count"] == grown["boxoffice_lock_wait_seconds_count"] == 2
    assert 0 < grown["boxoffice_lock_wait_seconds_sum"] < grown["boxoffice_transaction_seconds_sum"]


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_failed_transactions_by_cause(metrics: Metrics, trouble: Trouble) -> None:
    before = await shown(metrics)
    metrics.failed(trouble, 3)
    expected = {f"boxoffice_transactions_failed_total{{cause={trouble}}}": 1.0}
    if trouble is Trouble.UNKNOWN:
        expected["boxoffice_ambiguous_commits_total"] = 1
    if trouble in {Trouble.LOCKED, Trouble.AWAY}:
        expected["boxoffice_commands_turned_away_total"] = 3
    assert changed(before, await shown(metrics)) == expected


async def test_requests_by_what_was_asked_and_how_long_it_took(metrics: Metrics) -> None:
    for seconds in (0.0005, 0.001, 0.2, 99.0):
        metrics.requested("POST", "/book", 201, seconds)
    metrics.requested("POST", "/book", 409, 0.01)
    metrics.requested("GET", "", 404, 0.001)
    samples = await shown(metrics)
    name, booked = "boxoffice_http_request_seconds", "method=POST,route=/book"
    buckets = [samples[f"{name}_bucket{{le={le},{booked}}}"] for le in ("0.001", "0.01", "0.25", "10.0", "+Inf")]
    assert buckets == [2, 3, 4, 4, 5]
    assert samples[f"{name}_count{{{booked}}}"] == 5
    assert samples[f"{name}_sum{{{booked}}}"] == pytest.approx(99.2115)
    requests = {status: samples[f"boxoffice_http_requests_total{{{booked},status={status}}}"] for status in (201, 409)}
    assert requests == {201: 4, 409: 1}
    assert samples["boxoffice_http_requests_total{method=GET,route=,status=404}"] == 1


async def test_what_the_database_knows(metrics: Metrics, figures: SomeFigures) -> None:
    samples = await shown(metrics)
    assert samples["boxoffice_database_reachable"] == 1
    assert samples[f"boxoffice_waiting_list_bookings{{event={UUID(int=1)}}}"] == 3
    assert samples["boxoffice_promise_kept{promise=1}"] == 1
    assert samples["boxoffice_promise_kept{promise=7}"] == 0
    assert samples["boxoffice_promise_breaches{promise=7}"] == 2
    assert samples["boxoffice_chances_told{percent=0}"] == 4
    assert samples["boxoffice_chances_served{percent=0}"] == 1
    assert samples["boxoffice_chances_served{percent=90}"] == 2
    assert (
        samples["boxoffice_promise_verified_timestamp_seconds{promise=1}"]
        == figures.promises[0].verified_at.timestamp()
    )
    assert samples["boxoffice_build_info{version=1.2.3}"] == 1


async def test_the_longest_lines_are_asked_for_once_and_bounded(metrics: Metrics, figures: SomeFigures) -> None:
    figures.lines = [WaitingListLength(UUID(int=number), 1_000 - number) for number in range(100)]
    await asyncio.gather(*(metrics.page() for _ in range(5)))
    lines = [name for name in await shown(metrics) if name.startswith("boxoffice_waiting_list_bookings")]
    assert len(lines) == MOST_WAITING_LISTS == 10
    assert figures.asked == 1


async def test_without_the_database_the_page_has_its_own_counts(metrics: Metrics, figures: SomeFigures) -> None:
    figures.failure = Unavailable("away")
    metrics.requested("POST", "/book", 503, 4.0)
    samples = await shown(metrics)
    assert samples["boxoffice_database_reachable"] == 0
    assert samples["boxoffice_http_requests_total{method=POST,route=/book,status=503}"] == 1
    assert not any(name.startswith(("boxoffice_promise", "boxoffice_waiting_list")) for name in samples)
    figures.failure = None
    assert (await shown(metrics))["boxoffice_database_reachable"] == 1


async def test_the_backlog_of_webhooks_and_mails(metrics: Metrics, figures: SomeFigures) -> None:
    samples = await shown(metrics)
    assert samples["boxoffice_backlog{kind=webhooks}"] == 7
    assert 300 <= samples["boxoffice_backlog_age_seconds{kind=webhooks}"] < 600
    assert samples["boxoffice_backlog{kind=mails}"] == samples["boxoffice_backlog_age_seconds{kind=mails}"] == 0
    assert samples["boxoffice_payments_due{need=cash}"] == 2
    assert samples["boxoffice_payments_due_age_seconds{need=cash}"] == timedelta(days=3).total_seconds()
    assert samples["boxoffice_payments_due{need=disputed}"] == 0


@pytest.mark.parametrize("failure", [Unavailable("slow"), TimeoutError()])
async def test_a_backlog_that_takes_too_long_to_count_is_left_out(
    metrics: Metrics, figures: SomeFigures, failure: Exception
) -> None:
    figures.backlog_failure = failure
    samples = await shown(metrics)
    assert not any(name.startswith("boxoffice_backlog") for name in samples)
    assert samples["boxoffice_database_reachable"] == 1
    assert samples["boxoffice_promise_kept{promise=1}"] == 1


async def test_what_the_process_uses(metrics: Metrics) -> None:
    await metrics.sample(0, 1.0)
    samples = await shown(metrics)
    assert samples["process_resident_memory_bytes{process=1}"] > 10_000_000
    assert 3 <= samples["process_open_fds{process=1}"] < samples["process_max_fds{process=1}"]
    assert samples["process_cpu_seconds_total{process=1}"] > 0
    started = datetime.fromtimestamp(samples["process_start_time_seconds{process=1}"], UTC)
    assert timedelta(0) < datetime.now(UTC) - started < timedelta(days=1)


async def test_what_is_refused_because_others_wait_is_counted_and_logged(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        metrics.overloaded(Overload.COMMANDS)
        if number < 2:
            metrics.overloaded(Overload.SHARE)
    samples = await shown(metrics)
    name = "boxoffice_overload_refusals_total{queue=%s}"
    assert {queue: samples[name % queue.value] for queue in Overload} == {
        Overload.COMMANDS: 5,
        Overload.SHARE: 2,
        Overload.PASSWORDS: 0,
    }
    commands = [record.getMessage() for record in caplog.records if "commands were refused" in record.getMessage()]
    assert [message.split()[1] for message in commands] == ["1"]
    metrics.close()
    commands = [record.getMessage() for record in caplog.records if "commands were refused" in record.getMessage()]
    assert [message.split()[1] for message in commands] == ["1", "4"], "the last ones must be logged, too"


async def test_a_look_at_the_process(metrics: Metrics, figures: SomeFigures) -> None:
    await metrics.sample(17, 1.0)
    samples = await shown(metrics)
    assert samples["boxoffice_queue_commands"] == 17
    assert samples["boxoffice_loop_lag_seconds"] == 0
    assert samples["boxoffice_database_connections_in_use{pool=writing}"] == 1
    assert samples["boxoffice_database_connections_kept{pool=writing}"] == 4
    await metrics.sample(0, -5.0)
    await metrics.sample(0, 1.0)
    assert 5 <= (await shown(metrics))["boxoffice_loop_lag_seconds"] < 60


async def test_all_processes_together(figures: SomeFigures, tmp_path: Path) -> None:
    first, second = (Metrics(SharedCounters(tmp_path), figures, "1.2.3") for _ in range(2))
    for waiting, metrics in enumerate((first, second), 1):
        metrics.requested("POST", "/book", 201, 0.002)
        metrics.failed(Trouble.UNDONE, 3)
        await metrics.sample(waiting, 1.0)
    for metrics in (first, second):
        samples = await shown(metrics)
        assert samples["boxoffice_http_requests_total{method=POST,route=/book,status=201}"] == 2
        assert samples["boxoffice_transactions_failed_total{cause=undone}"] == 2
        assert samples["boxoffice_processes"] == 2
        assert samples["boxoffice_queue_commands"] == 3
        assert samples["boxoffice_database_connections_in_use{pool=writing}"] == 2
    second.close()
    samples = await shown(first)
    assert samples["boxoffice_http_requests_total{method=POST,route=/book,status=201}"] == 2
    assert samples["boxoffice_processes"] == 1
    assert samples["boxoffice_queue_commands"] == 1
    third = Metrics(SharedCounters(tmp_path), figures, "1.2.3")
    third.requested("POST", "/book", 201, 0.002)
    samples = await shown(first)
    assert samples["boxoffice_http_requests_total{method=POST,route=/book,status=201}"] == 3
    assert samples["boxoffice_processes"] == 2
    assert samples["boxoffice_queue_commands"] == 1
    first.close()
    third.close()


async def test_only_metrics_of_the_catalog_are_shown(figures: SomeFigures, tmp_path: Path) -> None:
    numbers = SharedCounters(tmp_path)
    numbers.values[numbers.place("boxoffice_of_yesterday", (), 1)] = 1.0
    numbers.values[numbers.place("boxoffice_batch_commands", (), 3)] = 1.0
    metrics = Metrics(numbers, figures, "1.2.3")
    samples = await shown(metrics)
    known = {name for metric in METRICS.values() for name in metric.samples}
    assert {name.partition("{")[0] for name in samples} <= known
    metrics.close()
