"""Faults of events' logs: of what is sealed, of the keys in them, and of who reads them."""

from typing import Final

from .trial import Change, Fault

_SEALING: Final = ("tests/application/log/test_seal_logs.py",)
_READING: Final = ("tests/application/log/test_read_log.py",)
_KEY: Final = ("tests/application/log/test_log_key.py",)
_ENTRIES: Final = ("tests/adapters/log/test_entries.py",)
_TREES: Final = ("tests/domain/log/test_tree_builder.py",)
_STORED: Final = ("tests/contract/test_logs.py",)
_SEAL: Final = "application/log/seal_log.py"
_ROUNDS: Final = "application/background/seal_logs.py"
_SQL: Final = "adapters/sql/repositories/logs.py"
_ENTRY: Final = "adapters/log/entries.py"


def _fault(name: str, file: str, old: str, new: str, tests: tuple[str, ...]) -> Fault:
    return Fault(name, (Change(file, old, new),), tests)


LOGS: Final = (
    _fault(
        "A log begins with the second fact",
        _SEAL,
        "facts(event_id, log.size, self",
        "facts(event_id, log.size + 1, self",
        _SEALING,
    ),
    _fault(
        "A log has a gap and is sealed",
        _SEAL,
        "            if fact.seq != expected:\n",
        "            if fact.seq < expected:\n",
        _SEALING,
    ),
    _fault(
        "The facts of a step are sealed in another order",
        _SEAL,
        "for fact in facts:",
        "for fact in facts[::-1]:",
        _SEALING,
    ),
    _fault(
        "A log is sealed anew with each step",
        _SEAL,
        "TreeBuilder(log.size, await queries.tiles(event_id, open_tiles(log.size)))",
        "TreeBuilder(0, {})",
        _SEALING,
    ),
    _fault(
        "The entries before a step are lost",
        _SEAL,
        "await queries.bundle(event_id, number))) if first else []",
        "await queries.bundle(event_id, number))) if False else []",
        _SEALING,
    ),
    _fault(
        "A checkpoint is of another size than its tree",
        _SEAL,
        "signer.checkpoint(event_id, tree.size, root)",
        "signer.checkpoint(event_id, log.last_seq, root)",
        (*_SEALING, *_STORED),
    ),
    _fault(
        "A step that was sealed already fails the round",
        _SEAL,
        "            return False\n",
        "            raise\n",
        _SEALING,
    ),
    _fault(
        "A log that has grown is overwritten",
        _SQL,
        'event_logs.c.event_id == bindparam("of_event"), event_logs.c.size == bindparam("old_size"))',
        'event_logs.c.event_id == bindparam("of_event"))',
        _STORED,
    ),
    _fault(
        "A log grows in memory whatever its size",
        "adapters/memory/log/tables.py",
        "            if tables.sizes.get(part.event_id, 0) != part.old_size:\n",
        "            if tables.sizes.get(part.event_id, 0) > part.size:\n",
        _STORED,
    ),
    _fault(
        "A note of more facts is forgotten with fewer",
        _SQL,
        'unsealed_events.c.event_id == bindparam("of_event"), unsealed_events.c.last_seq <= bindparam("up_to")',
        'unsealed_events.c.event_id == bindparam("of_event"), bindparam("up_to") > 0',
        _STORED,
    ),
    _fault("An erased account gets a key again", _SQL, "            if customer_id not in erased\n", "", _STORED),
    _fault(
        "The key of an erased account stays",
        "adapters/sql/repositories/accounts/users.py",
        ", customer_log_keys.c.customer_id)",
        ")",
        _STORED,
    ),
    _fault(
        "A customer's key replaces an earlier one",
        _SQL,
        'on_existing={"key": "{old}"}',
        'on_existing={"key": "{new}"}',
        _STORED,
    ),
    _fault(
        "Processes without the lease keep what they committed to themselves",
        _ROUNDS,
        "            if not is_ours and noted:\n",
        "            if False:\n",
        _SEALING,
    ),
    _fault(
        "Facts that nobody noted are never sealed",
        _ROUNDS,
        "if each.is_behind]",
        "if False]",
        _SEALING,
    ),
    _fault(
        "What a failure prevented is forgotten",
        _ROUNDS,
        "            self._new_facts.put_back(noted)\n",
        "",
        _SEALING,
    ),
    _fault(
        "An event that cannot be sealed is tried before all others",
        _ROUNDS,
        "        self._pending.append(event_id)\n",
        "        self._pending.appendleft(event_id)\n",
        _SEALING,
    ),
    _fault(
        "An event without a log has one",
        "application/ports/log/storage.py",
        "self.mode is not LogMode.OFF and self.size",
        "self.size",
        _SEALING,
    ),
    _fault(
        "The log key changes with the address",
        "application/log/log_key.py",
        "self._formats.signer(host,",
        "self._formats.signer(self._host,",
        _KEY,
    ),
    _fault("Salts of one key are all the same", _ENTRY, 'b"%d" % seq, "sha256")', 'b"%d" % 0, "sha256")', _ENTRIES),
    _fault(
        "An entry names the customer",
        _ENTRY,
        '    "ticket_type_id",\n    "quantity",',
        '    "ticket_type_id",\n    "customer_id",\n    "quantity",',
        _ENTRIES,
    ),
    _fault(
        "An entry without a key can be opened",
        "adapters/log/formats.py",
        "token_bytes(SALT_BYTES) if",
        'b"" if',
        _ENTRIES,
    ),
    _fault(
        "Full tiles are no part of the level above",
        "domain/log/tree_builder.py",
        "                    roots.append(tile_root(tile))\n",
        "                    pass\n",
        _TREES,
    ),
    _fault(
        "Everybody reads a log that is not public",
        "domain/event.py",
        "        if self.log is not LogMode.PUBLIC:\n",
        "        if False:\n",
        _READING,
    ),
    _fault(
        "A bundle has entries that a checkpoint has not",
        "application/log/read_log.py",
        "self._formats.bundle(entries[: tile.width])",
        "bundle",
        ("tests/entrypoints/http/test_logs.py",),
    ),
)
