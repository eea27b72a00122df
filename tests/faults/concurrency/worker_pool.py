"""Processes that work side by side, as several servers on one database do."""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from boxoffice.application.turnstile.command_queue import MOST_TOGETHER
from tests.faults.concurrency.worker import (
    AnyCommand,
    Close,
    Done,
    Freeze,
    Frozen,
    Go,
    Open,
    Order,
    Outcome,
    Prepare,
    Report,
)

_ROOT: Final = Path(__file__).parents[3]
_reports: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)
_encode: Final = msgspec.json.Encoder().encode


class Answered(Struct, frozen=True):
    """A command and what its caller was answered."""

    command: AnyCommand
    outcome: Outcome


class Dead(Exception):
    """The process is no more."""


class Process:
    """One process that works."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.concurrency.worker"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._popen.stdin
        assert self._popen.stdout
        self._orders = self._popen.stdin
        self._reports: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Read at once: a process that waits for a full pipe would hold its locks meanwhile.
        self._reader = threading.Thread(target=self._read, args=[self._popen.stdout], daemon=True)
        self._reader.start()
        self._is_open = False
        self._is_idle = True
        self.commands: Sequence[AnyCommand] = ()

    def _read(self, reports: IO[bytes]) -> None:
        with reports:
            for line in reports:
                self._reports.put(line)
        self._reports.put(None)

    @property
    def is_reusable(self) -> bool:
        """Whether the process lives and has done all its orders."""
        return self._is_idle and self._popen.poll() is None

    def order(self, order: Order) -> None:
        """Give an order, and do not wait."""
        self._is_idle = False
        try:
            self._orders.write(_encode(order) + b"\n")
            self._orders.flush()
        except BrokenPipeError:
            raise Dead from None

    def next(self) -> Report:
        """What it reports next. Raises: Dead, when all that it ever reported has been read."""
        line = self._reports.get()
        if line is None:
            self._reports.put(None)
            raise Dead
        report: Report = _reports.decode(line)
        return report

    def wait(self) -> None:
        """Wait until its order is done."""
        assert self.next() == Done()
        self._is_idle = True

    def open(self, order: Open) -> "Process":
        """Have it work on a database."""
        self.order(order)
        self.wait()
        self._is_open = True
        return self

    def prepare(self, commands: Iterable[AnyCommand]) -> None:
        """Have it ready to perform these."""
        self.commands = list(commands)
        self.order(Prepare(list(commands)))
        self.wait()

    def go(self) -> None:
        """Have it perform what was prepared, without waiting."""
        self.order(Go())

    def start(self, *commands: AnyCommand) -> "Process":
        """Have it perform these, without waiting."""
        self.prepare(commands)
        self.go()
        return self

    def answers(self) -> Iterator[Answered]:
        """What it acknowledges, one by one, until it has done all or is no more."""
        while True:
            try:
                found = self.next()
            except Dead:
                return
            match found:
                case Outcome():
                    yield Answered(self.commands[found.number], found)
                case Done():
                    self._is_idle = True
                    return
                case Frozen():
                    raise AssertionError("the process froze, although no test waited for it")

    def until_frozen(self) -> list[Answered]:
        """What it acknowledged before it froze."""
        answered = []
        while (found := self.next()) != Frozen():
            if isinstance(found, Outcome):
                answered.append(Answered(self.commands[found.number], found))
        return answered

    def close(self) -> None:
        """Have it let go of its database."""
        if self._is_open and self.is_reusable:
            self.order(Close())
            self.wait()
            self._is_open = False

    def kill(self) -> None:
        """`kill -9` it; what it had reported can still be read."""
        self._is_idle = False
        self._popen.kill()
        self._popen.wait()
        self._reader.join()
        with suppress(BrokenPipeError):
            self._orders.close()


class WorkerPool:
    """Processes for one test; those that survive it serve the next one too."""

    def __init__(self, url: str, pool: list[Process]) -> None:
        self.url = url
        self._pool = pool
        self._hired: list[Process] = []

    def hire(
        self,
        *,
        together: int = MOST_TOGETHER,
        freeze: Freeze | None = None,
        freezes_at_charge: bool = False,
        seconds_ahead: float = 0,
    ) -> Process:
        """One more process on the database."""
        process = self._pool.pop() if self._pool else Process()
        self._hired.append(process)
        return process.open(
            Open(
                url=self.url,
                together=together,
                freeze=freeze,
                freezes_at_charge=freezes_at_charge,
                seconds_ahead=seconds_ahead,
            )
        )

    def rush(
        self, *shares: Sequence[AnyCommand], together: int = MOST_TOGETHER, seconds_ahead: float = 0
    ) -> list[Answered]:
        """Have every process perform its share, all from one signal on; return the answers."""
        processes = [self.hire(together=together, seconds_ahead=seconds_ahead) for _ in shares]
        for process, share in zip(processes, shares, strict=True):
            process.prepare(share)
        for process in processes:
            process.go()
        return [answered for process in processes for answered in process.answers()]

    def restart(self) -> None:
        """End every process, those that wait for work included."""
        for process in (*self._hired, *self._pool):
            process.kill()
        self._hired.clear()
        self._pool.clear()

    def dismiss(self) -> None:
        """Return those that can go on to the pool, and end the others."""
        for process in self._hired:
            process.close()
            if process.is_reusable:
                self._pool.append(process)
            else:
                process.kill()
        self._hired.clear()
