"""Metrics: counted where something happens, told to Prometheus when it asks."""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import accumulate
from operator import add
from typing import Any, Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from ...application.ports.errors import StorageFailure
from ...application.ports.observability import (
    BatchStats,
    Overload,
    Statistics,
    Trouble,
    Unobserved,
    Verified,
    WaitingListLength,
)
from ...domain.booking import Booking, BookingStatus
from ...domain.inventory import Change, Decision
from ...domain.payment import ChargeStatus
from ...domain.refusals import Refusal
from . import catalog
from .bursts import Bursts
from .catalog import Kind, Metric
from .counters import Counters, Found
from .process import ProcessFigures

LONGEST_LINES: Final = 10
"""Events whose waiting lists are told; each is a series that Prometheus keeps."""

FIGURES_SECONDS: Final = 15.0
"""How long what the database was asked for is good for, however often and by however many it is asked."""

PATIENCE: Final = 2.0
"""Seconds that the database is waited for; Prometheus itself waits for ten."""

_Summed = dict[str, dict[tuple[str, ...], Sequence[float]]]

_SECONDS: Final = catalog.DURATIONS.bounds
_SECONDS_SUM: Final = len(_SECONDS) + 1
_GAUGES: Final = frozenset(each.name for each in catalog.METRICS.values() if each.kind is Kind.GAUGE or each.of_process)
_NOBODY: Final = Unobserved()
_TURNED_AWAY: Final = frozenset({Trouble.LOCKED, Trouble.AWAY})
_OVERLOADED: Final = {
    Overload.COMMANDS: "Overloaded: %d commands were refused, more wait than are served in a second",
    Overload.PASSWORDS: "Overloaded: %d sign-ins or sign-ups were refused, too many passwords wait",
    Overload.SHARE: "%d passwords were refused, because too many of the same user or address wait",
}

_log = logging.getLogger(__name__)


class _Looked(Struct, frozen=True):
    """What the database told, and until when that is good. Nothing: it did not answer."""

    until: float
    lines: Sequence[WaitingListLength] = ()
    verified: Sequence[Verified] = ()
    backlogs: Mapping[str, tuple[int, float]] = {}
    """Of each kind the number, and the seconds for which the oldest has been due."""
    is_reachable: bool = True


class Metrics:
    """Watches the turnstile and the requests of this process, and tells of all processes of the service.

    Counting costs a fraction of a microsecond for a request, and as much for what its batch did.
    """

    def __init__(self, numbers: Counters, figures: Statistics, version: str) -> None:
        self._numbers = numbers
        self._figures = figures
        self._version = version
        self._values = numbers.values
        self._looked = _Looked(until=float("-inf"))
        self._looking = asyncio.Lock()
        self._planned: float | None = None
        self._process = ProcessFigures()
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
        # Whoever had these numbers before has ended, and what it had is nobody's now.
        for series in numbers.own:
            if series.metric in _GAUGES:
                self._values[numbers.place(series.metric, series.labels, series.size)] = 0.0
        self._set(1.0, catalog.PROCESSES)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. Methods and routes are those of the service: whatever else is asked for is ``""``."""
        key = (method, route, status)
        places = self._requests.get(key)
        if places is None:
            counted = self._place(catalog.REQUESTS, method, route, str(status))
            places = self._requests[key] = (counted, self._place(catalog.DURATIONS, method, route))
        counter, durations = places
        values = self._values
        values[counter] += 1.0
        values[durations + bisect_left(_SECONDS, seconds)] += 1.0
        values[durations + _SECONDS_SUM] += seconds

    def failed_unforeseen(self, _error: BaseException) -> None:
        """An error happened that nobody foresaw."""
        self._values[self._errors] += 1.0

    def arriving(self) -> object:
        """See `Observer`."""
        return None

    def batch(self, marks: Sequence[object]) -> AbstractContextManager[object]:
        """See `Observer`."""
        return _NOBODY.batch(marks)

    def passed(self, passage: BatchStats) -> None:
        """See `Observer`."""
        self._observe(self._batches, catalog.BATCHES, float(passage.commands))
        self._observe(self._transactions, catalog.TRANSACTIONS, passage.seconds)
        if passage.lock_seconds:
            self._observe(self._locks, catalog.LOCKS, passage.lock_seconds)
        for decision in passage.decisions:
            self._decided(decision.booked, decision.changed)
            if decision.new_payments or decision.changed_payments:
                self._paid(decision)
        for refused in passage.refused:
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
        """See `Observer`. Their number is logged, too."""
        self._values[self._overloads[queue]] += 1.0
        self._bursts[queue].count()

    async def sample(self, waiting: int, every: float) -> None:
        """Write down what cannot be counted, only looked at. To be called every so many seconds.

        `waiting` are the commands that do so in this process.
        """
        self._set(waiting, catalog.QUEUE)
        now = asyncio.get_running_loop().time()
        self._set(0.0 if self._planned is None else max(0.0, now - self._planned), catalog.LAG)
        self._planned = now + every
        self._look_here()
        for metric, value in await asyncio.to_thread(self._process.look):
            self._values[self._numbers.place(metric.name, (), metric.size)] = value

    async def page(self) -> bytes:
        """All of it, in Prometheus' text form. The database's part is left out when it does not answer."""
        looked = await self._look()
        self._look_here()
        # In a thread: writing it takes milliseconds, and others are served meanwhile.
        return await asyncio.to_thread(self._written, looked)

    def close(self) -> None:
        """This process ends: what it counted stays, what it has is nobody's."""
        for bursts in self._bursts.values():
            bursts.close()
        self._numbers.close()
        self._values = self._numbers.values

    def _place(self, metric: Metric, *labels: str) -> int:
        return self._numbers.place(metric.name, labels, metric.size)

    def _set(self, value: float, metric: Metric, *labels: str) -> None:
        self._values[self._place(metric, *labels)] = value

    def _observe(self, place: int, metric: Metric, value: float) -> None:
        values = self._values
        values[place + bisect_left(metric.bounds, value)] += 1.0
        values[place + len(metric.bounds) + 1] += value

    def _decided(self, booked: Sequence[Booking], changed: Sequence[Change]) -> None:
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

    def _paid(self, decision: Decision[Any]) -> None:
        for payment in (*decision.new_payments, *decision.changed_payments):
            if payment.status is not ChargeStatus.PENDING:
                place = self._place(catalog.PAYMENTS, payment.kind.value, payment.status.value)
                self._values[place] += 1.0

    def _look_here(self) -> None:
        for pool, connections in self._figures.connections().items():
            self._set(connections.in_use, catalog.CONNECTIONS, pool)
            self._set(connections.kept, catalog.CONNECTIONS_KEPT, pool)

    async def _look(self) -> _Looked:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now < self._looked.until:
                return self._looked
            until = now + FIGURES_SECONDS
            figures = self._figures
            try:
                async with asyncio.timeout(PATIENCE):
                    lines, verified = await figures.longest_waiting_lists(LONGEST_LINES), await figures.verified()
            except (StorageFailure, TimeoutError):
                return _Looked(until, is_reachable=False)
            self._looked = _Looked(until, lines, verified, await self._backlogs())
            return self._looked

    async def _backlogs(self) -> Mapping[str, tuple[int, float]]:
        """Nothing where it takes too long: the database answers, but there is very much to look through."""
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._figures.backlogs(now)
                return {kind: (backlog.number, backlog.age(now)) for kind, backlog in found.items()}
        except (StorageFailure, TimeoutError):
            return {}

    def _written(self, looked: _Looked) -> bytes:
        summed = _summed(self._numbers.everybodys())
        summed[catalog.VERSION.name] = {(self._version,): (1.0,)}
        summed[catalog.REACHABLE.name] = {(): (float(looked.is_reachable),)}
        summed[catalog.WAITING.name] = {(str(line.event_id),): (line.bookings,) for line in looked.lines}
        summed[catalog.BACKLOG.name] = {(kind,): (number,) for kind, (number, _) in looked.backlogs.items()}
        summed[catalog.BACKLOG_AGE.name] = {(kind,): (age,) for kind, (_, age) in looked.backlogs.items()}
        for name, tell in (
            (catalog.KEPT.name, lambda each: float(not each.breaches)),
            (catalog.BREACHES.name, lambda each: each.breaches),
            (catalog.VERIFIED.name, lambda each: each.verified_at.timestamp()),
        ):
            summed[name] = {(str(each.promise),): (tell(each),) for each in looked.verified}
        return exposition.generate_latest(_Collected(summed))


class _Collected(CollectorRegistry):
    """What Prometheus' library writes down."""

    def __init__(self, summed: _Summed) -> None:
        super().__init__()
        self._summed = summed

    def collect(self) -> Iterator[Family]:
        """A family for each metric, in the catalog's order."""
        for metric in catalog.METRICS.values():
            yield _family(metric, self._summed.get(metric.name, {}))


def _summed(found: Sequence[Found]) -> _Summed:
    """The numbers of all processes, those that ended included where they count."""
    summed: _Summed = {}
    for process in found:
        for series, values in process.series:
            metric = catalog.METRICS.get(series.metric)
            # Another version may have written it, where a directory outlives the service.
            if metric is None or metric.size != series.size:
                continue
            labels = (process.name, *series.labels) if metric.of_process else series.labels
            if len(metric.labels) != len(labels):
                continue
            if (metric.kind is Kind.GAUGE or metric.of_process) and not process.is_alive:
                continue
            of_metric = summed.setdefault(metric.name, {})
            before = of_metric.get(labels)
            take = max if metric is catalog.LAG else add
            of_metric[labels] = values if before is None else list(map(take, before, values))
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
