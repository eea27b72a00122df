"""The scenario of one seed: clients, operations and faults (swarm testing: each seed uses a subset)."""

from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

MOST_OPERATIONS: Final = 100_000

TROUBLES: Final = (
    "deadlock",
    "lock-timeout",
    "lost-before-commit",
    "commit-undone",
    "commit-undone-later",
    "commit-done-later",
    "commit-done-unanswered",
    "slow-database",
    "read-failed",
    "provider-unheard",
    "provider-unanswered",
    "provider-slow",
    "answer-lost",
    "crash-at-a-step",
)
"""Faults at a step of a transaction, at the payment provider or on the way to a client, each with a probability."""

BOUNDS: Final = (None, None, 0, 1, 2, 4)
"""Values of an event's bound for overtakes."""

DISASTERS: Final = ("crash", "stop", "stall", "database-restart", "database-away")
"""Faults of a whole process or of the database."""


class TypePlan(Struct, frozen=True, kw_only=True):
    """A ticket type. `price` in minor units, 0: free."""

    total: int
    price: int = 0


class EventPlan(Struct, frozen=True, kw_only=True):
    """An event. `window`: minutes to pay, None: unlimited. `fee`: percent of a refund that cancelling costs.

    `bound`: how often a waiting booking may be overtaken.
    """

    types: tuple[TypePlan, ...]
    policy: str
    limit: int
    window: int | None = None
    fee: int = 0
    bound: int | None = None


class Scenario(Struct, frozen=True, kw_only=True):
    """The parameters of a simulation. Seconds are virtual.

    `weights` are the relative frequencies of operations, `troubles` the probability of each fault where it may occur,
    `disasters` the number of each, `disablings` how often an account is disabled for a while. `scanners` work at the
    doors. `pace`: mean seconds
    between two operations of a client. `yields`: the share of steps that wait, on average for `latency` seconds.
    `keyed`: the share of commands with an idempotency key. `step` and `most_together` limit one transaction.
    `patience`: seconds after which an impatient client gives up.
    """

    seed: int
    operations: int
    processes: int
    clients: int
    customers: int
    events: tuple[EventPlan, ...]
    most_quantity: int
    pace: float
    yields: float
    latency: float
    weights: dict[str, int]
    troubles: dict[str, float]
    disasters: dict[str, int]
    disablings: int
    scanners: int
    keyed: float
    step: int
    most_together: int
    most_waiting: int
    patience: float
    sweep_every: float
    resume_every: float

    @property
    def is_specified(self) -> bool:
        """Whether the sequential specification covers it.

        It has no payments, partial settling, edits of closed events, or tickets that are used.
        """
        has_money = any(each.price for event in self.events for each in event.types)
        edits_closed_events = "edit" in self.weights and bool({"call_off", "complete"} & self.weights.keys())
        return self.step >= 500 and not has_money and not edits_closed_events and not self.scanners


def random_stream(seed: int, name: str) -> Random:
    """Return the random numbers of a seed for one purpose, independent of those for others."""
    return Random(f"{name} {seed}")  # noqa: S311 - a seed must give the same numbers


def scenario_of(seed: int, operations: int) -> Scenario:
    """Return the scenario of a seed."""
    random = random_stream(seed, "scenario")
    has_money = random.random() < 0.4
    fees, bounds = random_stream(seed, "fees"), random_stream(seed, "bounds")
    events = tuple(
        replace(_event(random, has_money=has_money), fee=fees.choice((0, 0, 20, 100)), bound=bounds.choice(BOUNDS))
        for _ in range(random.choice((1, 1, 2, 3)))
    )
    clients = random.randint(8, 32)
    is_calm = random.random() < 0.1
    pace = random.choice((0.0, 0.02, 0.5, 4.0, 15.0))
    return Scenario(
        seed=seed,
        operations=operations,
        processes=random.choice((1, 2, 2, 3)),
        clients=clients,
        customers=max(2, int(clients * random.choice((0.3, 0.7, 1, 2)))),
        events=events,
        most_quantity=random.choice((1, 2, 3, 5)),
        pace=pace,
        yields=random.choice((0.1, 0.5, 0.9)),
        latency=random.choice((0.0, 0.001, 0.02, 0.2)),
        weights={
            **_weights(random, has_money=has_money),
            **random_stream(seed, "grants").choice(({}, {"grant": 4})),
            **random_stream(seed, "desks").choice(({}, {"desk": 12})),
            **random_stream(seed, "parts").choice(({}, {"give_back": 12})),
            **({"max_overtakes": 2} if bounds.random() < 0.5 else {}),
        },
        troubles={} if is_calm else _troubles(random),
        disasters={} if is_calm else _disasters(random),
        disablings=random_stream(seed, "disablings").choice((0, 0, 1, 4)),
        scanners=random_stream(seed, "doors").choice((0, 0, 0, 2)),
        keyed=random.choice((0.0, 0.3, 0.9)),
        step=random.choice((500, 500, 500, 1, 2, 5)),
        most_together=random.choice((500, 500, 500, 1, 3)),
        most_waiting=random.choice((10_000,) * 5 + (6,)),
        patience=random.choice((2.0, 10.0, 30.0)),
        # Less often in a scenario that lasts hours.
        sweep_every=random.choice((1.0, 2.0)) * max(1.0, pace),
        resume_every=random.choice((2.0, 4.0)) * max(1.0, pace),
    )


def _event(random: Random, *, has_money: bool) -> EventPlan:
    price = random.choice((0, 500, 500)) if has_money else 0
    types = tuple(
        TypePlan(total=random.choice((1, 2, 3, 5, 8, 13)), price=price) for _ in range(random.choice((1, 1, 2)))
    )
    return EventPlan(
        types=types,
        policy=random.choice(("strict", "fill")),
        limit=random.choice((3, 6, 10)),
        window=random.choice((None, 1, 1, 2)) if price else None,
    )


def _weights(random: Random, *, has_money: bool) -> dict[str, int]:
    """Return weights for booking and cancelling, and for a random choice of the other operations."""
    weights = {"book": random.choice((20, 40)), "cancel": random.choice((10, 20, 40))}
    weights.update({name: weight for name, weight in _OTHERS.items() if random.random() < 0.6})
    if "pause" in weights:
        weights["resume"] = 4
    if random.random() < 0.1:
        weights["call_off" if random.random() < 0.5 else "complete"] = 1
    if has_money:
        weights["pay"] = 20
    return weights


_OTHERS: Final = {
    "cancel-own": 5,
    "status": 8,
    "booking": 8,
    "total": 6,
    "pause": 2,
    "resume": 4,
    "policy": 2,
    "promote": 3,
    "edit": 2,
    "waiting_list": 2,
}


def _troubles(random: Random) -> dict[str, float]:
    rate = random.choice((0.003, 0.01, 0.03, 0.08))
    chosen = {name: rate for name in TROUBLES if random.random() < 0.4}
    # A crash ends many requests, so it is rare; the provider is called rarely, so it fails more often.
    provider = [(name, 8.0) for name in TROUBLES if name.startswith("provider")]
    for name, share in (("crash-at-a-step", 0.1), ("slow-database", 0.2), *provider):
        if name in chosen:
            chosen[name] *= share
    return chosen


def _disasters(random: Random) -> dict[str, int]:
    return {name: random.randint(1, 3) for name in DISASTERS if random.random() < 0.35}
