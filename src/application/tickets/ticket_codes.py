"""The codes of tickets, signed with the keys of their events."""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Final
from uuid import UUID

from ..ports.errors import Unavailable
from ..ports.storage import Storage
from ..ports.ticket_codes import CodeKey, CodeSigner, ReadCode, SecretMissing, TicketRef
from ..retrying_transaction import in_transaction

_log = logging.getLogger(__name__)

MOST_KNOWN: Final = 1_024
"""Most keys that a process remembers, as they are stored: about 0.4 KiB each."""

AT_ONCE: Final = 32
"""Codes that are signed before other requests get their turn: about 3 ms."""


class TicketCodes:
    """Sign and read codes. The key of an event is made when it is first needed; processes that need it at once agree.

    Keys never change, so what a process remembers of them stays right.
    """

    def __init__(
        self,
        storage: Storage,
        signer: CodeSigner,
        *,
        most_known: int = MOST_KNOWN,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._signer = signer
        self._jitter = jitter
        self._most_known = most_known
        self._known: OrderedDict[UUID, CodeKey] = OrderedDict()

    async def public_key(self, event_id: UUID) -> bytes:
        """Return the public key of an event that exists: 32 bytes (RFC 8032). Raises: Unavailable."""
        return (await self._key(event_id)).public

    async def public_keys(self, event_ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return the public keys of those of these events that exist and have one. Raises: Unavailable."""
        return {event_id: key.public for event_id, key in (await self._keys(event_ids)).items()}

    async def code(self, ticket: TicketRef) -> str:
        """Return the code of a ticket. Raises: SecretMissing, Unavailable."""
        return (await self.codes(ticket.event_id, [ticket]))[0]

    async def codes(self, event_id: UUID, tickets: Sequence[TicketRef]) -> list[str]:
        """Return the codes of tickets of an event, in their order. Raises: SecretMissing, Unavailable."""
        if not tickets:
            return []
        key = await self._key(event_id)
        codes: list[str] = []
        for start in range(0, len(tickets), AT_ONCE):
            codes += self._signed(key, tickets[start : start + AT_ONCE])
            await asyncio.sleep(0)
        return codes

    def _signed(self, key: CodeKey, tickets: Sequence[TicketRef]) -> list[str]:
        try:
            return self._signer.codes(key, tickets)
        except SecretMissing as failure:
            _log.error("%s", failure)
            raise

    def read(self, code: str) -> ReadCode | None:
        """Return what a code says; None if the text has not the form of one."""
        return self._signer.read(code)

    def holds(self, code: ReadCode, public_key: bytes) -> bool:
        """Return whether the signature of a code is one of this key."""
        return self._signer.holds(code, public_key)

    async def _key(self, event_id: UUID) -> CodeKey:
        found = await self._keys([event_id])
        if not found:
            key = self._signer.new_key(event_id)
            await in_transaction(self._storage, lambda unit: unit.code_keys.add(key), jitter=self._jitter)
            # Another process may have been faster.
            found = await self._keys([event_id])
        if not found:
            raise Unavailable("The key that was just stored was not found.")
        return found[event_id]

    async def _keys(self, event_ids: Collection[UUID]) -> dict[UUID, CodeKey]:
        known = self._known
        found = {event_id: known[event_id] for event_id in event_ids if event_id in known}
        missing = [event_id for event_id in event_ids if event_id not in found]
        if missing:
            found |= await self._storage.code_key_queries.keys(missing)
        for event_id, key in found.items():
            known[event_id] = key
            known.move_to_end(event_id)
        while len(known) > self._most_known:
            known.popitem(last=False)
        return found
