"""A process that holds draws, with the logs that they are made from."""

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from boxoffice.application.draws.collected_draw import LogLeaves
from boxoffice.application.draws.finish_draws import FinishDraws
from boxoffice.application.draws.hold_draw import HoldEventDraw, PlaceEntries
from boxoffice.application.draws.read_draw import ReadDraw
from boxoffice.application.ports.draws.beacons import BeaconMissing
from boxoffice.application.ports.system import Ids
from boxoffice.domain.draws.beacons import Beacon
from boxoffice.domain.draws.draw import Admission, DrawSource
from tests.application.log.log_process import LogProcess

OPEN_FOR = timedelta(hours=1)


class FakeBeacons:
    """Knows the beacons of all rounds: each is signed by its number."""

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.is_away = False

    @staticmethod
    def of(number: int) -> Beacon:
        """The beacon of a round."""
        signature = b"signature of round %d" % number
        return Beacon(number, signature, sha256(signature).digest())

    async def fetch(self, number: int) -> Beacon:
        self.fetched.append(number)
        if self.is_away:
            raise BeaconMissing("No relay answers.")
        return self.of(number)

    def read(self, text: bytes) -> Beacon:
        number, _, signature = text.partition(b":")
        return Beacon(int(number), signature, sha256(signature).digest())

    def is_authentic(self, beacon: Beacon) -> bool:
        return beacon == self.of(beacon.round)


class Crash(Exception):
    """The process ended."""


class CrashingIds:
    """Ids for transactions. The process ends before it has the one that `crashes_at` counts, from 1."""

    def __init__(self, ids: Ids, crashes_at: int) -> None:
        self._ids = ids
        self._left = crashes_at

    def new(self) -> UUID:
        self._left -= 1
        if self._left == 0:
            raise Crash
        return self._ids.new()


class DrawProcess(LogProcess):
    """One that also holds draws, two places at a time."""

    def __init__(self, *args: Any, crashes_at: int = 0) -> None:
        super().__init__(*args)
        app, storage, leaves = self.app, self.storage, LogLeaves(self.storage)
        self.leaves = leaves
        ids = CrashingIds(app.ids, crashes_at)
        self.beacons = FakeBeacons()
        self.place_entries = place = PlaceEntries(storage, leaves, app.turnstile, app.clock, ids, step=2)
        self.hold_draw = HoldEventDraw(storage, leaves, app.code_signer, self.beacons, place, app.clock, ids)
        self.finish_draws = FinishDraws(storage.event_queries, place)
        self.read_draw = ReadDraw(storage, leaves, app.read_event, app.clock)

    async def event(self, source: DrawSource = DrawSource.OPERATOR, total_tickets: int = 2) -> UUID:
        """An event whose draw closes in an hour."""
        values: dict[str, Any] = {"admission": Admission.DRAW, "draw_source": source}
        return await self.app.event(total_tickets, draw_closes_at=self.clock.now() + OPEN_FOR, **values)

    async def close(self) -> None:
        """Let the closing time pass, and seal the logs."""
        self.clock.time += OPEN_FOR
        await self.seal()

    async def seal(self) -> None:
        """Seal all logs."""
        while (await self.seal_logs()).facts:
            pass
