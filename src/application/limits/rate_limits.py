"""Limits on the requests of one user or one address in a minute.

Each process counts in memory, so a request needs no round trip. About once a second, processes share their counts
through the database (`ShareCounts`). With N processes a limit of L allows in the worst case L requests, plus
N - 1 times L / `UNSHARED_DIVISOR`, plus what arrives at the other processes between two rounds.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from math import ceil
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.refusals import TooManyRequests
from ..ports.repositories import Count
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Ids
from ..retrying_transaction import in_transaction

WINDOW: Final = 60
"""Seconds. The previous minute counts by the part of it within the last sixty seconds, as if evenly distributed."""

UNSHARED_DIVISOR: Final = 20
"""Counts below a limit divided by this are not shared with other processes."""

MOST_SUBJECTS: Final = 20_000
"""Users or addresses with a tally, and as many without one, that a process counts for one limit.

Beyond it the oldest tally is dropped, or all counts without a tally.
"""

AT_ONCE: Final = 1_000
"""Counts that one round shares; the others follow in the next."""


class Limit(Struct, frozen=True, eq=False):
    """How many requests of a kind one user or one address may send in a minute. Compared by identity."""

    name: str
    most: int


SIGN_UPS: Final = Limit("sign-ups", 600)
SIGN_INS: Final = Limit("sign-ins", 1_200)
WRITES: Final = Limit("writes", 3_000)
READS: Final = Limit("reads", 12_000)
UNSIGNED: Final = Limit("unsigned", 30_000)
LIMITS: Final = (SIGN_UPS, SIGN_INS, WRITES, READS, UNSIGNED)
"""By address: sign-ups, sign-ins and unsigned requests, which have no signed-in user. By user: writes and reads."""


class _Tally:
    """One subject's requests in one minute: `local` to this process, at the `others`, and in the minute `before`."""

    __slots__ = ("before", "local", "minute", "others", "subject")

    def __init__(self, subject: Hashable, minute: int, before: int) -> None:
        self.subject: Hashable = subject
        self.minute: int = minute
        self.before: int = before
        self.local: int = 0
        self.others: int = 0


class Counter:
    """The counts of one limit, in bounded memory.

    A subject far from the limit, in this minute and the previous one, has a number and no tally, because in a rush
    nearly every request is from another subject.
    """

    def __init__(self, limit: Limit, seconds: Callable[[], float], *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._name = limit.name
        self._most = limit.most
        self._seconds = seconds
        self._most_subjects = most_subjects
        self._shared_above = limit.most // UNSHARED_DIVISOR
        self._minute = -1
        self._minute_begins = self._minute_ends = 0.0
        self._tallies: OrderedDict[Hashable, _Tally] = OrderedDict()
        self._tallies_before: OrderedDict[Hashable, _Tally] = OrderedDict()
        self._unshared: OrderedDict[_Tally, None] = OrderedDict()
        self._low_counts: dict[Hashable, int] = {}
        self._low_counts_before: dict[Hashable, int] = {}

    def __call__(self, subject: Hashable) -> None:
        """Count a request. Raises: TooManyRequests, without counting it, if it exceeds the limit."""
        now = self._seconds()
        if not self._minute_begins <= now < self._minute_ends:
            self._start_minute(now)
        tally = self._tallies.get(subject)
        if tally is None:
            if self._count_without_tally(subject):
                return
            tally = self._start_tally(subject)
        if tally.local + tally.others + tally.before >= self._most:
            self._check(tally, now)
        tally.local += 1
        if tally.local > self._shared_above:
            self._unshared[tally] = None

    def take_unshared(self, limit: int) -> "list[_Tally]":
        """Remove and return up to `limit` tallies to share, oldest first. If sharing fails, call `put_back`."""
        taken: list[_Tally] = []
        while self._unshared and len(taken) < limit:
            tally, _ = self._unshared.popitem(last=False)
            # Older minutes no longer count anywhere.
            if tally.minute >= self._minute - 1:
                taken.append(tally)
        return taken

    def put_back(self, tallies: "Iterable[_Tally]") -> None:
        """Put tallies back that could not be shared."""
        self._unshared.update(dict.fromkeys(tallies))
        while len(self._unshared) > self._most_subjects:
            self._unshared.popitem(last=False)

    def key(self, tally: _Tally) -> UUID:
        """Return the shared key of a subject: a digest, so no name or address is stored."""
        return subject_key(self._name, tally.subject)

    def merge(self, tally: _Tally, others: int, before: int) -> None:
        """Set what the other processes counted in the tally's minute and in the previous one."""
        tally.others = others
        if tally.minute == self._minute:
            earlier = self._tallies_before.get(tally.subject)
            before += earlier.local if earlier else self._low_counts_before.get(tally.subject, 0)
        tally.before = before

    def _start_minute(self, now: float) -> None:
        """Start another minute: not always the next one, because clocks are set."""
        minute = int(now // WINDOW)
        is_next = minute == self._minute + 1
        self._tallies_before = self._tallies if is_next else OrderedDict()
        self._low_counts_before = self._low_counts if is_next else {}
        self._tallies = OrderedDict()
        self._low_counts = {}
        self._minute = minute
        self._minute_begins = float(minute * WINDOW)
        self._minute_ends = self._minute_begins + WINDOW

    def _count_without_tally(self, subject: Hashable) -> bool:
        """Count the request and return True if its subject is far from the limit."""
        local = self._low_counts.get(subject, 0)
        if local >= self._shared_above or subject in self._tallies_before:
            return False
        if local == 0 and len(self._low_counts) >= self._most_subjects:
            self._low_counts = {}
        self._low_counts[subject] = local + 1
        return True

    def _start_tally(self, subject: Hashable) -> _Tally:
        while len(self._tallies) >= self._most_subjects:
            _, dropped = self._tallies.popitem(last=False)
            self._unshared.pop(dropped, None)
        earlier = self._tallies_before.get(subject)
        before = earlier.local + earlier.others if earlier else self._low_counts_before.get(subject, 0)
        tally = self._tallies[subject] = _Tally(subject, self._minute, before)
        tally.local = self._low_counts.pop(subject, 0)
        return tally

    def _check(self, tally: _Tally, now: float) -> None:
        """Raise TooManyRequests if the limit is reached, with the seconds until a request is allowed again."""
        left = (self._minute_ends - now) / WINDOW
        used = tally.local + tally.others
        room = self._most - used
        if room > tally.before * left:
            return
        if room > 0:
            # Until the part of the previous minute that counts is smaller than the room.
            seconds = WINDOW * (left - room / tally.before)
        else:
            # In the next minute, when the part of this one that counts is smaller than the limit.
            seconds = self._minute_ends - now + WINDOW * (1 - self._most / used)
        raise TooManyRequests(retry_after=max(1, ceil(seconds + 0.001)))


class RequestLimits:
    """The counts of every limit, for one process."""

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        limits: Iterable[Limit] = LIMITS,
        most_subjects: int = MOST_SUBJECTS,
    ) -> None:
        self._counters = {limit: Counter(limit, seconds, most_subjects=most_subjects) for limit in limits}
        self.seconds: Callable[[], float] = seconds

    def __getitem__(self, limit: Limit) -> Counter:
        """Return the counts of a limit."""
        return self._counters[limit]

    @property
    def counters(self) -> Iterable[Counter]:
        """The counts of all limits."""
        return self._counters.values()


class ShareCounts:
    """Share counts with the other processes and read theirs. No round trip if there is nothing to share."""

    def __init__(self, limits: RequestLimits, storage: Storage, ids: Ids) -> None:
        self._limits = limits
        self._storage = storage
        self._process_id = ids.new()
        self._deleted_at = -1

    async def __call__(self) -> int:
        """Return how many counts were shared. Raises: Unavailable."""
        minute = int(self._limits.seconds() // WINDOW)
        if minute != self._deleted_at:
            await in_transaction(self._storage, lambda unit_of_work: unit_of_work.limits.forget_counts(minute - 1))
            self._deleted_at = minute
        shared = 0
        for counter in self._limits.counters:
            shared += await self._share(counter, AT_ONCE - shared)
        return shared

    async def _share(self, counter: Counter, limit: int) -> int:
        tallies = counter.take_unshared(limit)
        if not tallies:
            return 0
        counts = {tally: Count(tally.minute, counter.key(tally), tally.local) for tally in tallies}

        async def share(unit_of_work: UnitOfWork) -> dict[tuple[int, UUID], int]:
            await unit_of_work.limits.put_counts(self._process_id, list(counts.values()))
            return await unit_of_work.limits.counts_of_others(self._process_id, list(counts.values()))

        try:
            others = await in_transaction(self._storage, share)
        except BaseException:
            counter.put_back(tallies)
            raise
        for tally, count in counts.items():
            counter.merge(
                tally,
                others.get((count.minute, count.key), 0),
                others.get((count.minute - 1, count.key), 0),
            )
        return len(tallies)


def subject_key(*parts: Hashable) -> UUID:
    """Return a digest of a subject, so nothing of it is stored."""
    return UUID(bytes=blake2b("\n".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).digest())
