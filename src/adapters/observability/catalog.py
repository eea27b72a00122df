"""The metrics that there are: what each means, in which unit, by what it is split."""

from enum import Enum, auto
from typing import Final

from msgspec import Struct


class Kind(Enum):
    """How a metric's numbers are taken together over all processes."""

    COUNTER = auto()
    """It only grows; those of processes that ended stay in the sum."""
    GAUGE = auto()
    """It comes and goes with its process."""
    HISTOGRAM = auto()
    """Counters, by how large each observation was."""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric. `bounds`: the upper bounds of a histogram's buckets.

    With `of_process` each process that lives is told by itself, under its number in the label `process`, which is
    written down without it.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    of_process: bool = False

    @property
    def size(self) -> int:
        """How many numbers one series of it takes: a bucket each, the one without a bound, the sum; else itself."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1

    @property
    def samples(self) -> frozenset[str]:
        """The names under which it is found."""
        match self.kind:
            case Kind.HISTOGRAM:
                return frozenset(f"{self.name}_{end}" for end in ("bucket", "sum", "count"))
            case Kind.COUNTER:
                return frozenset({f"{self.name}_total"})
            case Kind.GAUGE:
                return frozenset({self.name})


_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COMMANDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"boxoffice_{name}", kind=Kind.COUNTER, help=text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=f"boxoffice_{name}", kind=Kind.GAUGE, help=text, labels=labels)


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name=f"boxoffice_{name}", kind=Kind.HISTOGRAM, help=text, labels=labels, bounds=bounds)


def _process(name: str, kind: Kind, text: str) -> Metric:
    """One of the names that Prometheus has for what every program uses, so that dashboards of others know them."""
    return Metric(name=f"process_{name}", kind=kind, help=text, labels=("process",), of_process=True)


REQUESTS: Final = _counter(
    "http_requests",
    "Requests. No route: there is no such path. Status 0: the client went away before its answer.",
    "method",
    "route",
    "status",
)
# By status as well it would be several times as many series, which is what a look costs.
DURATIONS: Final = _histogram("http_request_seconds", "How long requests took.", _SECONDS, "method", "route")
BOOKINGS: Final = _counter("bookings", "Bookings made, by what the customer got.", "outcome")
CANCELLATIONS: Final = _counter("cancellations", "Bookings cancelled, by whomever.")
EXPIRATIONS: Final = _counter("holds_expired", "Holds that were not paid in time.")
PROMOTIONS: Final = _counter("promotions", "Bookings that left a waiting list with tickets.")
PAYMENTS: Final = _counter("payments", "Charges and refunds, by what became of them.", "kind", "status")
REFUSALS: Final = _counter("refusals", "Commands that a rule refused, by the code of the problem.", "code")
BATCHES: Final = _histogram("batch_commands", "Transactions of the turnstile, by the commands in each.", _COMMANDS)
LOCKS: Final = _histogram("lock_wait_seconds", "From asking for events' locks until they were had and read.", _SECONDS)
TRANSACTIONS: Final = _histogram(
    "transaction_seconds", "Transactions of the turnstile, from begin to commit.", _SECONDS
)
FAILURES: Final = _counter(
    "transactions_failed",
    "Transactions of the turnstile that came to nothing, by cause. undone, unknown, conflict and error are done again.",
    "cause",
)
TURNED_AWAY: Final = _counter("commands_turned_away", "Commands in such transactions that were not done again: 503.")
OVERLOADS: Final = _counter(
    "overload_refusals",
    "What was answered 503 at once because too many wait, by queue. share: that of one user or address.",
    "queue",
)
AMBIGUOUS: Final = _counter("ambiguous_commits", "COMMITs that were never answered; what became of each was looked up.")
ERRORS: Final = _counter("errors", "Errors that nobody foresaw; each is in the log.")
QUEUE: Final = _gauge("queue_commands", "Commands that wait for the next transaction.")
CONNECTIONS: Final = _gauge("database_connections_in_use", "Connections by which work is done right now.", "pool")
CONNECTIONS_KEPT: Final = _gauge(
    "database_connections_kept", "Connections that stay open; more come as needed.", "pool"
)
LAG: Final = _gauge("loop_lag_seconds", "How much later than planned a process came to look; the largest of all.")
PROCESSES: Final = _gauge("processes", "Processes that serve.")
WAITING: Final = _gauge("waiting_list_bookings", "Bookings that wait, for the events with the longest lines.", "event")
REACHABLE: Final = _gauge("database_reachable", "Whether the database answered when this was asked for: 1 or 0.")
KEPT: Final = _gauge("promise_kept", "Whether a promise was kept at the last verification: 1 or 0.", "promise")
BREACHES: Final = _gauge("promise_breaches", "Breaches that the last verification found.", "promise")
VERIFIED: Final = _gauge("promise_verified_timestamp_seconds", "When a promise was verified last.", "promise")
BACKLOG: Final = _gauge(
    "backlog",
    "What is due to be told to others, by kind. Webhooks: events, each for each webhook.",
    "kind",
)
BACKLOG_AGE: Final = _gauge("backlog_age_seconds", "For how long the oldest of it has been due.", "kind")
CPU: Final = _process("cpu_seconds", Kind.COUNTER, "Processor time, user and system.")
MEMORY: Final = _process("resident_memory_bytes", Kind.GAUGE, "Resident memory.")
FILES: Final = _process("open_fds", Kind.GAUGE, "Open files and connections.")
MOST_FILES: Final = _process("max_fds", Kind.GAUGE, "Files and connections that may be open.")
STARTED: Final = _process("start_time_seconds", Kind.GAUGE, "When it started, since 1970.")
VERSION: Final = _gauge("build_info", "1, and which version this is.", "version")

METRICS: Final = {
    each.name: each
    for each in (
        REQUESTS,
        DURATIONS,
        BOOKINGS,
        CANCELLATIONS,
        EXPIRATIONS,
        PROMOTIONS,
        PAYMENTS,
        REFUSALS,
        BATCHES,
        LOCKS,
        TRANSACTIONS,
        FAILURES,
        TURNED_AWAY,
        OVERLOADS,
        AMBIGUOUS,
        ERRORS,
        QUEUE,
        CONNECTIONS,
        CONNECTIONS_KEPT,
        LAG,
        PROCESSES,
        WAITING,
        REACHABLE,
        KEPT,
        BREACHES,
        VERIFIED,
        BACKLOG,
        BACKLOG_AGE,
        CPU,
        MEMORY,
        FILES,
        MOST_FILES,
        STARTED,
        VERSION,
    )
}
"""All of them, by name, in the order in which they are told."""
