"""What one seed is about: who is there, what they do, what goes wrong (swarm testing: not everything every time)."""

from random import Random
from typing import Final

from msgspec import Struct

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
"""What may go wrong at a step of a transaction, at the payment provider or on the way to a client, each by chance."""

DISASTERS: Final = ("crash", "stop", "stall", "database-restart", "database-away")
"""What befalls a whole process or the database at some moment."""


class TypePlan(Struct, frozen=True, kw_only=True):
    """A kind of ticket. `price` in minor units, 0: free."""

    total: int
    price: int = 0


class EventPlan(Struct, frozen=True, kw_only=True):
    """An event as it is at first. `window`: minutes to pay, None: no hurry."""

    types: tuple[TypePlan, ...]
    policy: str
    limit: int
    window: int | None = None


class Scenario(Struct, frozen=True, kw_only=True):
    """All that is decided ahead. Seconds are virtual.

    `weights` says how often a client does what, `troubles` how likely each trouble is wherever it may come, and
    `disasters` how many of each there are. `pace`: seconds between two operations of a client, on average. `yields`:
    how often a step lets others run first, `latency`: the seconds a step takes then. `keyed`: the share of commands
    with an idempotency key. `step` and `most_together` bound one transaction. `patience`: when a client goes away.
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
    keyed: float
    step: int
    most_together: int
    most_waiting: int
    patience: float
    sweep_every: float
    resume_every: float

    @property
    def is_specified(self) -> bool:
        """Whether the sequential specification covers it: no money, one step at a time, no edits of what is over."""
        has_money = any(each.price for event in self.events for each in event.types)
        edits_what_is_over = "edit" in self.weights and bool({"call_off", "complete"} & self.weights.keys())
        return self.step >= 500 and not has_money and not edits_what_is_over


def stream(seed: int, name: str) -> Random:
    """The random numbers that a seed gives for one purpose; others' use of theirs changes nothing about them."""
    return Random(f"{name} {seed}")  # noqa: S311 - they are to be the same each time


def scenario_of(seed: int, operations: int) -> Scenario:
    """The scenario of a seed."""
    random = stream(seed, "scenario")
    has_money = random.random() < 0.4
    events = tuple(_event(random, has_money=has_money) for _ in range(random.choice((1, 1, 2, 3))))
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
        weights=_weights(random, has_money=has_money),
        troubles={} if is_calm else _troubles(random),
        disasters={} if is_calm else _disasters(random),
        keyed=random.choice((0.0, 0.3, 0.9)),
        step=random.choice((500, 500, 500, 1, 2, 5)),
        most_together=random.choice((500, 500, 500, 1, 3)),
        most_waiting=random.choice((10_000,) * 5 + (6,)),
        patience=random.choice((2.0, 10.0, 30.0)),
        # Every second where much happens in one, more seldom where hours pass.
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
    """Booking and cancelling always; each of the others in some seeds."""
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
}


def _troubles(random: Random) -> dict[str, float]:
    rate = random.choice((0.003, 0.01, 0.03, 0.08))
    chosen = {name: rate for name in TROUBLES if random.random() < 0.4}
    # A crash ends much, so it is to be seldom; the provider is asked seldom, so it may fail more often.
    provider = [(name, 8.0) for name in TROUBLES if name.startswith("provider")]
    for name, share in (("crash-at-a-step", 0.1), ("slow-database", 0.2), *provider):
        if name in chosen:
            chosen[name] *= share
    return chosen


def _disasters(random: Random) -> dict[str, int]:
    return {name: random.randint(1, 3) for name in DISASTERS if random.random() < 0.35}
