"""Metrics, in the text format of Prometheus."""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import accumulate
from operator import add
from typing import Any, Final, TypeVar

from msgspec import Struct
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from ...application.ports.errors import StorageFailure
from ...application.ports.observability import (
    Backlog,
    BatchStats,
    Overload,
    Statistics,
    Trouble,
    Unobserved,
    Verified,
    WaitingListLength,
)
from ...domain.booking import Booking, BookingStatus
from ...domain.explanations.chance_record import Band
from ...domain.facts import PaymentDisputed, PaymentFailed, PaymentRefunded, PaymentTaken, RefundFailed
from ...domain.inventory import Change, Decision
from ...domain.refusals import Refusal
from . import catalog
from .bursts import Bursts
from .catalog import Kind, Metric
from .counters import Counters, ProcessCounters
from .process import ProcessStatistics

MOST_WAITING_LISTS: Final = 10
"""Maximum events with a series for their waiting lists."""

STATISTICS_SECONDS: Final = 15.0
"""How long statistics from the database are cached."""

PATIENCE: Final = 2.0
"""Timeout in seconds for the database; Prometheus itself waits for ten."""

_Values = dict[str, dict[tuple[str, ...], Sequence[float]]]

_SECONDS: Final = catalog.DURATIONS.bounds
_SECONDS_SUM: Final = len(_SECONDS) + 1
_GAUGES: Final = frozenset(each.name for each in catalog.METRICS.values() if each.kind is Kind.GAUGE or each.of_process)
_UNOBSERVED: Final = Unobserved()
_TURNED_AWAY: Final = frozenset({Trouble.LOCKED, Trouble.AWAY})
_OVERLOADED: Final = {
    Overload.COMMANDS: "Overloaded: %d commands were refused because the queue of the turnstile is full",
    Overload.PASSWORDS: "Overloaded: %d sign-ins or sign-ups were refused because the queue of passwords is full",
    Overload.SHARE: "%d passwords were refused because too many of the same user or address are waiting",
}

_log = logging.getLogger(__name__)


_OUTCOMES: Final[Mapping[type, tuple[str, str]]] = {
    PaymentTaken: ("charge", "succeeded"),
    PaymentFailed: ("charge", "failed"),
    PaymentDisputed: ("charge", "disputed"),
    PaymentRefunded: ("refund", "succeeded"),
    RefundFailed: ("refund", "failed"),
}
"""The labels of a payment's outcome, by the fact."""

_Word = TypeVar("_Word", bound=str)


class _Statistics(Struct, frozen=True):
    """Statistics from the database, cached until the loop's time `until`; empty if it did not answer."""

    until: float
    waiting_lists: Sequence[WaitingListLength] = ()
    verified: Sequence[Verified] = ()
    chances: Sequence[Band] = ()
    backlogs: Mapping[str, tuple[int, float]] = {}
    """The number per kind, and the seconds since the oldest is due."""
    payments_due: Mapping[str, tuple[int, float]] = {}
    """The same of payments that need a person, by reason."""
    is_reachable: bool = True


class Metrics:
    """Count the requests and the batches of this process, and report the metrics of all processes of the service."""

    def __init__(self, counters: Counters, statistics: Statistics, version: str) -> None:
        self._counters = counters
        self._statistics = statistics
        self._version = version
        self._values = counters.values
        self._cached = _Statistics(until=float("-inf"))
        self._reading = asyncio.Lock()
        self._next_sample_at: float | None = None
        self._process = ProcessStatistics()
        self._requests: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._bookings = {
            status: self._place(catalog.BOOKINGS, status.value)
            for status in (BookingStatus.CONFIRMED, BookingStatus.HELD, BookingStatus.WAITLISTED)
        }
        self._cancellations = self._place(catalog.CANCELLATIONS)
        self._expirations = self._place(catalog.EXPIRATIONS)
        self._promotions = self._place(catalog.PROMOTIONS)
        self._batches = self._place(catalog.BATCHES)
        self._locks = self._place(catalog.LOCKS)
        self._transactions = self._place(catalog.TRANSACTIONS)
        self._failures = {trouble: self._place(catalog.FAILURES, trouble.value) for trouble in Trouble}
        self._turned_away = self._place(catalog.TURNED_AWAY)
        self._overloads = {queue: self._place(catalog.OVERLOADS, queue.value) for queue in Overload}
        self._bursts = {queue: Bursts(_log, message) for queue, message in _OVERLOADED.items()}
        self._ambiguous = self._place(catalog.AMBIGUOUS)
        self._errors = self._place(catalog.ERRORS)
        # Gauges in a file taken over belong to a process that has ended.
        for series in counters.own:
            if series.metric in _GAUGES:
                self._values[counters.place(series.metric, series.labels, series.size)] = 0.0
        self._set(1.0, catalog.PROCESSES)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. Unknown methods and routes must be passed as ``""``, which bounds the number of series."""
        key = (method, route, status)
        places = self._requests.get(key)
        if places is None:
            counter = self._place(catalog.REQUESTS, method, route, str(status))
            places = self._requests[key] = (counter, self._place(catalog.DURATIONS, method, route))
        counter, durations = places
        values = self._values
        values[counter] += 1.0
        values[durations + bisect_left(_SECONDS, seconds)] += 1.0
        values[durations + _SECONDS_SUM] += seconds

    def count_unhandled(self, _error: BaseException) -> None:
        """Count an unhandled error."""
        self._values[self._errors] += 1.0

    def arriving(self) -> object:
        """See `Observer`."""
        return None

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:
        """See `Observer`."""
        return _UNOBSERVED.batch(marks)

    def passed(self, stats: BatchStats) -> None:
        """See `Observer`."""
        self._observe(self._batches, catalog.BATCHES, float(stats.commands))
        self._observe(self._transactions, catalog.TRANSACTIONS, stats.seconds)
        if stats.lock_seconds:
            self._observe(self._locks, catalog.LOCKS, stats.lock_seconds)
        for decision in stats.decisions:
            self._count_bookings(decision.booked, decision.changed)
            if decision.new_payments or decision.changed_payments:
                self._count_payments(decision)
        for refused in stats.refused:
            if isinstance(refused, Refusal):
                self._values[self._place(catalog.REFUSALS, refused.code)] += 1.0

    def failed(self, trouble: Trouble, commands: int) -> None:
        """See `Observer`."""
        self._values[self._failures[trouble]] += 1.0
        if trouble in _TURNED_AWAY:
            self._values[self._turned_away] += commands
        elif trouble is Trouble.UNKNOWN:
            self._values[self._ambiguous] += 1.0

    def overloaded(self, queue: Overload) -> None:
        """See `Observer`. Also logs the number of refusals."""
        self._values[self._overloads[queue]] += 1.0
        self._bursts[queue].count()

    async def sample(self, waiting: int, every: float) -> None:
        """Set the gauges of this process. Must be called every `every` seconds, or the lag of the loop is wrong.

        `waiting` is the number of commands in the turnstile's queue.
        """
        self._set(waiting, catalog.QUEUE)
        now = asyncio.get_running_loop().time()
        self._set(0.0 if self._next_sample_at is None else max(0.0, now - self._next_sample_at), catalog.LAG)
        self._next_sample_at = now + every
        self._sample_connections()
        for metric, value in await asyncio.to_thread(self._process.sample):
            self._values[self._counters.place(metric.name, (), metric.size)] = value

    async def page(self) -> bytes:
        """Return all metrics in Prometheus' text format, without the database's statistics if it does not answer."""
        statistics = await self._read_statistics()
        self._sample_connections()
        # In a thread, because rendering takes long enough to delay requests.
        return await asyncio.to_thread(self._render, statistics)

    def close(self) -> None:
        """Log pending counts and release the counters, which other processes still read."""
        for bursts in self._bursts.values():
            bursts.close()
        self._counters.close()
        self._values = self._counters.values

    def _place(self, metric: Metric, *labels: str) -> int:
        return self._counters.place(metric.name, labels, metric.size)

    def _set(self, value: float, metric: Metric, *labels: str) -> None:
        self._values[self._place(metric, *labels)] = value

    def _observe(self, place: int, metric: Metric, value: float) -> None:
        values = self._values
        values[place + bisect_left(metric.bounds, value)] += 1.0
        values[place + len(metric.bounds) + 1] += value

    def _count_bookings(self, booked: Sequence[Booking], changed: Sequence[Change]) -> None:
        values = self._values
        for booking in booked:
            values[self._bookings[booking.status]] += 1.0
        for change in changed:
            if change.is_promotion:
                values[self._promotions] += 1.0
            elif change.after.status is not change.before.status:
                if change.after.status is BookingStatus.CANCELLED:
                    values[self._cancellations] += 1.0
                elif change.after.status is BookingStatus.EXPIRED:
                    values[self._expirations] += 1.0

    def _count_payments(self, decision: Decision[Any]) -> None:
        if decision.new_payments or decision.changed_payments:
            for fact in decision.facts:
                labels = _OUTCOMES.get(type(fact.what))
                if labels is not None:
                    self._values[self._place(catalog.PAYMENTS, *labels)] += 1.0

    def _sample_connections(self) -> None:
        for pool, connections in self._statistics.connections().items():
            self._set(connections.in_use, catalog.CONNECTIONS, pool)
            self._set(connections.kept, catalog.CONNECTIONS_KEPT, pool)

    async def _read_statistics(self) -> _Statistics:
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now < self._cached.until:
                return self._cached
            until = now + STATISTICS_SECONDS
            try:
                async with asyncio.timeout(PATIENCE):
                    waiting_lists = await self._statistics.longest_waiting_lists(MOST_WAITING_LISTS)
                    verified = await self._statistics.verified()
                    chances = await self._statistics.chances()
            except (StorageFailure, TimeoutError):
                return _Statistics(until, is_reachable=False)
            backlogs = await self._counted(self._statistics.backlogs)
            payments_due = await self._counted(self._statistics.payments_due)
            self._cached = _Statistics(until, waiting_lists, verified, chances, backlogs, payments_due)
            return self._cached

    @staticmethod
    async def _counted(
        count: Callable[[datetime], Awaitable[Mapping[_Word, Backlog]]],
    ) -> Mapping[str, tuple[int, float]]:
        """Return backlogs, or nothing if counting them takes too long, as for very large backlogs."""
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(PATIENCE):
                return {str(kind): (backlog.number, backlog.age(now)) for kind, backlog in (await count(now)).items()}
        except (StorageFailure, TimeoutError):
            return {}

    def _render(self, statistics: _Statistics) -> bytes:
        values = _sum(self._counters.read_all())
        values[catalog.VERSION.name] = {(self._version,): (1.0,)}
        values[catalog.REACHABLE.name] = {(): (float(statistics.is_reachable),)}
        values[catalog.WAITING.name] = {(str(each.event_id),): (each.bookings,) for each in statistics.waiting_lists}
        values[catalog.BACKLOG.name] = {(kind,): (number,) for kind, (number, _) in statistics.backlogs.items()}
        values[catalog.BACKLOG_AGE.name] = {(kind,): (age,) for kind, (_, age) in statistics.backlogs.items()}
        values[catalog.DUE.name] = {(need,): (number,) for need, (number, _) in statistics.payments_due.items()}
        values[catalog.DUE_AGE.name] = {(need,): (age,) for need, (_, age) in statistics.payments_due.items()}
        values[catalog.CHANCES.name] = {(str(each.percent),): (each.told,) for each in statistics.chances}
        values[catalog.CHANCES_RIGHT.name] = {(str(each.percent),): (each.served,) for each in statistics.chances}
        for name, value_of in (
            (catalog.KEPT.name, lambda each: float(not each.breaches)),
            (catalog.BREACHES.name, lambda each: each.breaches),
            (catalog.VERIFIED.name, lambda each: each.verified_at.timestamp()),
        ):
            values[name] = {(str(each.promise),): (value_of(each),) for each in statistics.verified}
        return exposition.generate_latest(_Registry(values))


class _Registry(CollectorRegistry):
    """The metrics as Prometheus' library reads them."""

    def __init__(self, values: _Values) -> None:
        super().__init__()
        self._metric_values = values

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric, in the catalog's order."""
        for metric in catalog.METRICS.values():
            yield _family(metric, self._metric_values.get(metric.name, {}))


def _sum(processes: Sequence[ProcessCounters]) -> _Values:
    """Combine the values of all processes. Processes that have ended contribute to counters only."""
    summed: _Values = {}
    for process in processes:
        for series, values in process.series:
            metric = catalog.METRICS.get(series.metric)
            # Another version of the service may have written the file.
            if metric is None or metric.size != series.size:
                continue
            labels = (process.name, *series.labels) if metric.of_process else series.labels
            if len(metric.labels) != len(labels):
                continue
            if (metric.kind is Kind.GAUGE or metric.of_process) and not process.is_alive:
                continue
            of_metric = summed.setdefault(metric.name, {})
            before = of_metric.get(labels)
            combine = max if metric is catalog.LAG else add
            of_metric[labels] = values if before is None else list(map(combine, before, values))
    return summed


def _family(metric: Metric, series: Mapping[tuple[str, ...], Sequence[float]]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, (*counts, total) in series.items():
            bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
            histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    of_kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = of_kind(metric.name, metric.help, labels=metric.labels)
    for labels, (value,) in series.items():
        family.add_metric(labels, value)
    return family
