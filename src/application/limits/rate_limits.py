"""Limits on requests: how many one user, or one address, may send in a minute.

Every process counts in memory, so that a request costs no round trip. In the background, about once a second,
processes tell each other through the database what they counted (`ShareCounts`). Until they have, one may let through
what another one counted already. With N processes a limit of L lets through, in the worst case, L, and (N - 1) times a
twentieth of L that is not worth telling, and what arrives at the other processes between two rounds.
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
"""Seconds. Of the minute before, the part counts that lies in the last sixty seconds, as if it had come evenly."""

NOT_WORTH_TELLING: Final = 20
"""What is less than this part of a limit, processes keep to themselves."""

MOST_SUBJECTS: Final = 20_000
"""Users, or addresses, that a process counts for one limit, and as many that are far from it.

Beyond it those that came first begin anew; of those that are far from it all.
"""

AT_ONCE: Final = 1_000
"""Counts that one round shares. The others have their turn in the next."""


class Limit(Struct, frozen=True, eq=False):
    """How many requests of a kind one user, or one address, may send in a minute. It equals itself alone."""

    name: str
    most: int


SIGN_UPS: Final = Limit("sign-ups", 600)
SIGN_INS: Final = Limit("sign-ins", 1_200)
WRITES: Final = Limit("writes", 3_000)
READS: Final = Limit("reads", 12_000)
UNSIGNED: Final = Limit("unsigned", 30_000)
LIMITS: Final = (SIGN_UPS, SIGN_INS, WRITES, READS, UNSIGNED)
"""New accounts and signing in by address; what a user sends; what comes from an address without anybody signed in."""


class _Tally:
    """What one subject sent in one minute: `here` in this process, of which others know `told`, and `others`."""

    __slots__ = ("before", "here", "minute", "others", "subject", "told")

    def __init__(self, subject: Hashable, minute: int, before: int) -> None:
        self.subject = subject
        self.minute = minute
        self.before = before
        self.here = self.told = self.others = 0


class Counter:
    """What counts for one limit, in bounded memory.

    Of a subject that sent nothing worth telling, in this minute and the one before, there is a number and no tally. It
    cannot be near the limit; and in a rush nearly every request is another subject's: a tally for each of them, and
    forgetting the oldest, which has left the processor's caches by then, took a tenth of a booking over HTTP.
    """

    def __init__(self, limit: Limit, seconds: Callable[[], float], *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._name = limit.name
        self._most = limit.most
        self._seconds = seconds
        self._most_subjects = most_subjects
        self._worth_telling = limit.most // NOT_WORTH_TELLING
        self._minute = -1
        self._begins = self._ends = 0.0
        self._tallies: OrderedDict[Hashable, _Tally] = OrderedDict()
        self._minute_before: OrderedDict[Hashable, _Tally] = OrderedDict()
        self._untold: OrderedDict[_Tally, None] = OrderedDict()
        self._few: dict[Hashable, int] = {}
        self._few_before: dict[Hashable, int] = {}

    def __call__(self, subject: Hashable) -> None:
        """Count a request, unless it is one too many; then it does not count. Raises: TooManyRequests."""
        now = self._seconds()
        if not self._begins <= now < self._ends:
            self._turn(now)
        tally = self._tallies.get(subject)
        if tally is None:
            if self._is_one_of_few(subject):
                return
            tally = self._begin(subject)
        if tally.here + tally.others + tally.before >= self._most:
            self._weigh(tally, now)
        tally.here += 1
        if tally.here > self._worth_telling:
            self._untold[tally] = None

    def take_untold(self, limit: int) -> "list[_Tally]":
        """What others should hear of, those that waited longest first. What could not be told is to be given back."""
        taken: list[_Tally] = []
        while self._untold and len(taken) < limit:
            tally, _ = self._untold.popitem(last=False)
            # What is older counts nowhere any more.
            if tally.minute >= self._minute - 1:
                taken.append(tally)
        return taken

    def give_back(self, tallies: "Iterable[_Tally]") -> None:
        """They could not be told."""
        self._untold.update(dict.fromkeys(tallies))
        while len(self._untold) > self._most_subjects:
            self._untold.popitem(last=False)

    def key(self, tally: _Tally) -> UUID:
        """What a subject's count is known by among processes: no name and no address is written down."""
        return subject_key(self._name, tally.subject)

    def hear(self, tally: _Tally, told: int, others: int, before: int) -> None:
        """What others know by now, and what they counted, in this minute and in the one before."""
        tally.told = told
        tally.others = others
        if tally.minute == self._minute:
            earlier = self._minute_before.get(tally.subject)
            before += earlier.here if earlier else self._few_before.get(tally.subject, 0)
        tally.before = before

    def _turn(self, now: float) -> None:
        """Another minute has begun; not always the next one, since clocks are set."""
        minute = int(now // WINDOW)
        is_next = minute == self._minute + 1
        self._minute_before = self._tallies if is_next else OrderedDict()
        self._few_before = self._few if is_next else {}
        self._tallies = OrderedDict()
        self._few = {}
        self._minute = minute
        self._begins = float(minute * WINDOW)
        self._ends = self._begins + WINDOW

    def _is_one_of_few(self, subject: Hashable) -> bool:
        """Count a request of a subject that is far from the limit, if it is."""
        here = self._few.get(subject, 0)
        if here >= self._worth_telling or subject in self._minute_before:
            return False
        if here == 0 and len(self._few) >= self._most_subjects:
            self._few = {}
        self._few[subject] = here + 1
        return True

    def _begin(self, subject: Hashable) -> _Tally:
        while len(self._tallies) >= self._most_subjects:
            _, forgotten = self._tallies.popitem(last=False)
            self._untold.pop(forgotten, None)
        earlier = self._minute_before.get(subject)
        before = earlier.here + earlier.others if earlier else self._few_before.get(subject, 0)
        tally = self._tallies[subject] = _Tally(subject, self._minute, before)
        tally.here = self._few.pop(subject, 0)
        return tally

    def _weigh(self, tally: _Tally, now: float) -> None:
        """Raises: TooManyRequests, with the seconds until there is room for one again."""
        left = (self._ends - now) / WINDOW
        used = tally.here + tally.others
        room = self._most - used
        if room > tally.before * left:
            return
        if room > 0:
            # As soon as less of the minute before counts than there is room.
            seconds = WINDOW * (left - room / tally.before)
        else:
            # Then this minute is the one before, of which a part may count that is smaller than the limit.
            seconds = self._ends - now + WINDOW * (1 - self._most / used)
        raise TooManyRequests(retry_after=max(1, ceil(seconds + 0.001)))


class RequestLimits:
    """Every limit with its counts, for one process."""

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        limits: Iterable[Limit] = LIMITS,
        most_subjects: int = MOST_SUBJECTS,
    ) -> None:
        self._counters = {limit: Counter(limit, seconds, most_subjects=most_subjects) for limit in limits}
        self.seconds = seconds

    def __getitem__(self, limit: Limit) -> Counter:
        """What counts for a limit."""
        return self._counters[limit]

    @property
    def counters(self) -> Iterable[Counter]:
        """All of them."""
        return self._counters.values()


class ShareCounts:
    """Tell the other processes what was counted here, and hear what they counted. Nothing new: no round trip."""

    def __init__(self, limits: RequestLimits, storage: Storage, ids: Ids) -> None:
        self._limits = limits
        self._storage = storage
        self._process_id = ids.new()
        self._forgotten_at = -1

    async def __call__(self) -> int:
        """How many counts were told. Raises: Unavailable."""
        minute = int(self._limits.seconds() // WINDOW)
        if minute != self._forgotten_at:
            await in_transaction(self._storage, lambda unit_of_work: unit_of_work.limits.forget_counts(minute - 1))
            self._forgotten_at = minute
        told = 0
        for counter in self._limits.counters:
            told += await self._share(counter, AT_ONCE - told)
        return told

    async def _share(self, counter: Counter, limit: int) -> int:
        tallies = counter.take_untold(limit)
        if not tallies:
            return 0
        counts = {tally: Count(tally.minute, counter.key(tally), tally.here) for tally in tallies}

        async def share(unit_of_work: UnitOfWork) -> dict[tuple[int, UUID], int]:
            await unit_of_work.limits.put_counts(self._process_id, list(counts.values()))
            return await unit_of_work.limits.counts_of_others(self._process_id, list(counts.values()))

        try:
            others = await in_transaction(self._storage, share)
        except BaseException:
            counter.give_back(tallies)
            raise
        for tally, count in counts.items():
            counter.hear(
                tally,
                count.requests,
                others.get((count.minute, count.key), 0),
                others.get((count.minute - 1, count.key), 0),
            )
        return len(tallies)


def subject_key(*parts: Hashable) -> UUID:
    """A subject as a digest, so that nothing of it is written down."""
    return UUID(bytes=blake2b("\n".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).digest())
