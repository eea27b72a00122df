"""What is stored of events' logs."""

from collections.abc import Collection, Mapping
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ....domain.event import LogMode
from ....domain.log.tiles import Tile
from .formats import LoggedFact


class EventLog(Struct, frozen=True, gc=False):
    """How far an event's log is sealed. `last_seq` is the number of the event's newest fact."""

    event_id: UUID
    organizer_id: UUID
    mode: LogMode
    last_seq: int
    size: int

    @property
    def is_behind(self) -> bool:
        """Whether facts wait to be sealed."""
        return self.mode is not LogMode.OFF and self.size < self.last_seq


class SealedPart(Struct, frozen=True):
    """What a log grows by, from `old_size` entries to `size`, with the signed checkpoint of the latter.

    `tiles` are new or wider ones; `bundles` have the entries of those of level 0, by their index.
    """

    event_id: UUID
    old_size: int
    size: int
    root: bytes
    checkpoint: str
    tiles: Mapping[Tile, bytes]
    bundles: Mapping[int, bytes]


class LogRepository(Protocol):
    """Logs, inside a unit of work."""

    async def note(self, last_seqs: Mapping[UUID, int]) -> None:
        """Note that these events have facts up to these numbers, for the process that seals."""

    async def forget_note(self, event_id: UUID, last_seq: int) -> None:
        """Forget that an event has facts up to this number, or fewer."""

    async def save(self, part: SealedPart) -> None:
        """Let a log grow. Raises: Conflict if it does not have the old size (maybe only at commit)."""

    async def add_keys(self, keys: Mapping[UUID, bytes]) -> None:
        """Give these customers keys, unless they have one or are erased."""

    async def add_host(self, host: str) -> None:
        """Note the name of this installation's logs, unless it has one."""


class LogQueries(Protocol):
    """Committed logs. Every method may raise Unavailable."""

    async def noted(self, limit: int) -> list[UUID]:
        """Return up to `limit` events that were noted."""

    async def logs(self, before: UUID | None, limit: int) -> list[EventLog]:
        """Return the logs of up to `limit` events before this id, newest first, off or not."""

    async def log(self, event_id: UUID) -> EventLog | None:
        """Return how far an event's log is sealed; None: there is no such event."""

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[LoggedFact]:
        """Return an event's next facts after this number with the keys of their customers; those of the event without.

        Facts of bookings name their customer.
        """

    async def latest_fact(self, booking_id: UUID) -> LoggedFact | None:
        """Return a booking's newest fact with the key of its customer; None: there is no such booking."""

    async def keys(self, customer_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return the keys of those of these customers that have one."""

    async def checkpoint(self, event_id: UUID) -> str | None:
        """Return the newest checkpoint of an event's log; None: nothing is sealed."""

    async def tiles(self, event_id: UUID, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        """Return the hashes of these tiles, as many as their width. Those that are not there, or not as wide, lack."""

    async def bundle(self, event_id: UUID, index: int) -> bytes:
        """Return the entries of a tile of level 0, as far as it is sealed; nothing if there are none."""

    async def host(self) -> str | None:
        """Return the name of this installation's logs."""
