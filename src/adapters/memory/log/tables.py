"""The committed rows of logs, and what one unit of work changes of them."""

from collections.abc import Mapping
from uuid import UUID

from msgspec import Struct, field

from ....application.ports.errors import Conflict
from ....application.ports.log.storage import SealedPart


class LogTables(Struct):
    """The committed rows. `sizes`, `checkpoints`, `tiles` and `bundles` are of events' logs."""

    sizes: dict[UUID, int] = field(default_factory=dict)
    checkpoints: dict[UUID, str] = field(default_factory=dict)
    tiles: dict[tuple[UUID, int, int], bytes] = field(default_factory=dict)
    bundles: dict[tuple[UUID, int], bytes] = field(default_factory=dict)
    notes: dict[UUID, int] = field(default_factory=dict)
    keys: dict[UUID, bytes] = field(default_factory=dict)
    host: str | None = None


class LogDraft(Struct):
    """What one unit of work has saved and removed."""

    parts: list[SealedPart] = field(default_factory=list)
    notes: dict[UUID, int] = field(default_factory=dict)
    forgotten: dict[UUID, int] = field(default_factory=dict)
    keys: dict[UUID, bytes] = field(default_factory=dict)
    removed_keys: set[UUID] = field(default_factory=set)
    host: str | None = None

    def check(self, tables: LogTables) -> None:
        """Check what a schema would enforce. Raises: Conflict."""
        for part in self.parts:
            if tables.sizes.get(part.event_id, 0) != part.old_size:
                raise Conflict("another unit of work has let the log grow")

    def apply(self, tables: LogTables) -> None:
        """Apply the changes to the committed rows."""
        for part in self.parts:
            event_id = part.event_id
            tables.sizes[event_id] = part.size
            tables.checkpoints[event_id] = part.checkpoint
            tables.tiles.update({(event_id, tile.level, tile.index): each for tile, each in part.tiles.items()})
            tables.bundles.update({(event_id, number): each for number, each in part.bundles.items()})
        for event_id, last_seq in self.notes.items():
            tables.notes[event_id] = max(last_seq, tables.notes.get(event_id, 0))
        for event_id, last_seq in self.forgotten.items():
            if tables.notes.get(event_id, 0) <= last_seq:
                tables.notes.pop(event_id, None)
        tables.keys = _with_added(tables.keys, self.keys)
        for customer_id in self.removed_keys:
            tables.keys.pop(customer_id, None)
        tables.host = tables.host or self.host


def _with_added(keys: dict[UUID, bytes], added: Mapping[UUID, bytes]) -> dict[UUID, bytes]:
    for customer_id, key in added.items():
        keys.setdefault(customer_id, key)
    return keys
