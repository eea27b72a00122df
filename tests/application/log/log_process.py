"""A process with everything that seals logs, on a storage in memory."""

from uuid import UUID

from boxoffice.adapters.log import Checkpoint, VerifierKey
from boxoffice.adapters.log.formats import C2spLogFormats
from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.background.seal_logs import SealLogs
from boxoffice.application.log.log_key import LogKey
from boxoffice.application.log.new_facts import NewFacts
from boxoffice.application.log.seal_log import SealLog
from boxoffice.application.ports.observability import Unobserved
from boxoffice.domain.log.merkle import Edge, leaf_hash
from boxoffice.domain.log.tiles import TILE_WIDTH
from tests.application.fake_app import SECRET, CountedIds, FakeApp


class LogProcess:
    """Another one on the same storage and ids is a process beside it."""

    def __init__(self, storage: MemoryStorage | None = None, ids: CountedIds | None = None, *, step: int = 300) -> None:
        self.new_facts = NewFacts(Unobserved())
        self.app = FakeApp(storage, ids, observer=self.new_facts)
        self.storage, self.clock = self.app.storage, self.app.clock
        self.formats = C2spLogFormats()
        self.log_key = LogKey(self.storage, Ed25519CodeSigner(SECRET), self.formats, "tickets.example.org")
        self.seal_log = SealLog(self.storage, self.formats, self.log_key, step=step)
        self.seal_logs = SealLogs(self.storage, self.seal_log, self.new_facts, self.clock, self.app.ids)

    def beside(self) -> "LogProcess":
        """Another process on the same storage, with its own connections and faults."""
        return LogProcess(self.storage.another(), self.app.ids)

    async def entries(self, event_id: UUID) -> list[bytes]:
        """The entries of a log, after a check of its tiles and of its checkpoint."""
        note = await self.storage.log_queries.checkpoint(event_id)
        if note is None:
            return []
        checkpoint = Checkpoint.opened(note, [VerifierKey.parse((await self.log_key()).key_text)])
        assert checkpoint.origin == f"tickets.example.org/events/{event_id}/log"
        entries: list[bytes] = []
        for index in range(-(-checkpoint.size // TILE_WIDTH)):
            entries += self.formats.entries(await self.storage.log_queries.bundle(event_id, index))
        assert len(entries) == checkpoint.size
        assert Edge().extended(map(leaf_hash, entries)).root == checkpoint.root
        return entries
