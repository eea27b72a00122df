"""All metrics, with their help texts, labels and buckets."""

from enum import Enum, auto
from typing import Final

from msgspec import Struct


class Kind(Enum):
    """How the values of all processes are combined."""

    COUNTER = auto()
    """Never decreases; the sum includes processes that have ended."""
    GAUGE = auto()
    """Counts only while its process runs."""
    HISTOGRAM = auto()
    """A counter for each bucket, and the sum of the observations."""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric. `bounds` are the upper bounds of a histogram's buckets.

    With `of_process` each running process has its own sample. Its label `process` is added when the metrics are read,
    so it is not stored with the values.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    of_process: bool = False

    @property
    def size(self) -> int:
        """Return how many values one series has: of a histogram the buckets, the one without a bound, and the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1

    @property
    def samples(self) -> frozenset[str]:
        """Return the names of its samples in Prometheus."""
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
    """Return one of Prometheus' standard process metrics, which common dashboards use."""
    return Metric(name=f"process_{name}", kind=kind, help=text, labels=("process",), of_process=True)


REQUESTS: Final = _counter(
    "http_requests",
    "Requests. Empty route: no such path. Status 0: the client disconnected before the response.",
    "method",
    "route",
    "status",
)
# No label for the status, which would multiply the series of the histogram.
DURATIONS: Final = _histogram("http_request_seconds", "Duration of requests.", _SECONDS, "method", "route")
BOOKINGS: Final = _counter("bookings", "Bookings made, by outcome.", "outcome")
CANCELLATIONS: Final = _counter("cancellations", "Bookings cancelled.")
EXPIRATIONS: Final = _counter("holds_expired", "Holds that expired unpaid.")
PROMOTIONS: Final = _counter("promotions", "Bookings promoted from a waiting list.")
PAYMENTS: Final = _counter("payments", "Charges and refunds, by outcome.", "kind", "status")
REFUSALS: Final = _counter("refusals", "Commands refused by a rule, by problem code.", "code")
BATCHES: Final = _histogram("batch_commands", "Commands in each transaction of the turnstile.", _COMMANDS)
LOCKS: Final = _histogram("lock_wait_seconds", "Time to lock and read the events of a transaction.", _SECONDS)
TRANSACTIONS: Final = _histogram(
    "transaction_seconds", "Duration of the turnstile's transactions, from BEGIN to COMMIT.", _SECONDS
)
FAILURES: Final = _counter(
    "transactions_failed",
    "Failed transactions of the turnstile, by cause. undone, unknown, conflict and error are retried.",
    "cause",
)
TURNED_AWAY: Final = _counter("commands_turned_away", "Commands answered 503 after a failed transaction.")
OVERLOADS: Final = _counter(
    "overload_refusals",
    "Requests answered 503 at once because a queue is full, by queue. share: the share of one user or address.",
    "queue",
)
AMBIGUOUS: Final = _counter("ambiguous_commits", "COMMITs without an answer; the outcome of each is looked up.")
ERRORS: Final = _counter("errors", "Unhandled errors; each is in the log.")
QUEUE: Final = _gauge("queue_commands", "Commands waiting for the next transaction.")
CONNECTIONS: Final = _gauge("database_connections_in_use", "Database connections in use.", "pool")
CONNECTIONS_KEPT: Final = _gauge(
    "database_connections_kept", "Database connections kept open; more are opened on demand.", "pool"
)
LAG: Final = _gauge("loop_lag_seconds", "Delay of the event loop; the largest of all processes.")
PROCESSES: Final = _gauge("processes", "Running processes.")
WAITING: Final = _gauge("waiting_list_bookings", "Waiting bookings, for the events with most of them.", "event")
REACHABLE: Final = _gauge("database_reachable", "1 if the database answered the last query for statistics, else 0.")
KEPT: Final = _gauge("promise_kept", "1 if the last verification found the promise kept, else 0.", "promise")
BREACHES: Final = _gauge("promise_breaches", "Breaches found by the last verification.", "promise")
VERIFIED: Final = _gauge("promise_verified_timestamp_seconds", "Time of the last verification.", "promise")
CHANCES: Final = _gauge(
    "chances_told",
    "Chances from a percentage on that waiting bookings had, and that were decided when last verified.",
    "percent",
)
CHANCES_RIGHT: Final = _gauge("chances_served", "Those of them whose booking was served.", "percent")
BACKLOG: Final = _gauge(
    "backlog",
    "Notifications that are due, by kind. Webhooks: pairs of a webhook and an event.",
    "kind",
)
BACKLOG_AGE: Final = _gauge("backlog_age_seconds", "Time since the oldest notification is due, by kind.", "kind")
DUE: Final = _gauge(
    "payments_due", "Payments that need a person, by reason; `boxoffice payments due` lists them.", "need"
)
DUE_AGE: Final = _gauge("payments_due_age_seconds", "Time since the oldest payment needs a person, by reason.", "need")
CPU: Final = _process("cpu_seconds", Kind.COUNTER, "User and system processor time.")
MEMORY: Final = _process("resident_memory_bytes", Kind.GAUGE, "Resident memory.")
FILES: Final = _process("open_fds", Kind.GAUGE, "Open files and connections.")
MOST_FILES: Final = _process("max_fds", Kind.GAUGE, "Maximum open files and connections.")
STARTED: Final = _process("start_time_seconds", Kind.GAUGE, "Start time of the process since the Unix epoch.")
VERSION: Final = _gauge("build_info", "Always 1; the label is the version.", "version")

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
        CHANCES,
        CHANCES_RIGHT,
        BACKLOG,
        BACKLOG_AGE,
        DUE,
        DUE_AGE,
        CPU,
        MEMORY,
        FILES,
        MOST_FILES,
        STARTED,
        VERSION,
    )
}
"""All metrics by name, in the order of their output."""
