"""Passwords as argon2id hashes, computed in a small pool of threads."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ...application.limits.fair_queue import FairQueue, TooManyWait
from ...application.ports.errors import Unavailable
from ...application.ports.observability import Observer, Overload, Unobserved
from ...application.ports.security import Asker

Result = TypeVar("Result")

MEMORY: Final = 19 * 1024
"""KiB per hash. Memory, passes and lanes: OWASP Password Storage Cheat Sheet."""

PASSES: Final = 2
LANES: Final = 1

THREADS: Final = 2
"""Concurrent hashes. Each occupies a core, which more threads would take from other work."""

MOST_WAITING: Final = 600
"""Maximum passwords that wait, so that the last one waits for seconds at most."""

MOST_OF_ADDRESS: Final = 300
"""Maximum passwords of one network address, running and waiting. Many users may share an address."""

MOST_OF_SUBJECT: Final = 16
"""Maximum passwords of one account, running and waiting: more than the failures that lock it for an address."""


class Argon2PasswordHasher:
    """Hash and verify passwords without blocking the event loop.

    The queue is bounded, in total and per user and address, and addresses and users are served in rotation.
    """

    def __init__(
        self,
        *,
        memory: int = MEMORY,
        passes: int = PASSES,
        lanes: int = LANES,
        threads: int = THREADS,
        most_waiting: int = MOST_WAITING,
        most_of_address: int = MOST_OF_ADDRESS,
        most_of_subject: int = MOST_OF_SUBJECT,
        observer: Observer | None = None,
    ) -> None:
        self._argon2 = Argon2(time_cost=passes, memory_cost=memory, parallelism=lanes)
        # For unknown accounts: no password matches it, and verifying it takes as long as any other hash.
        salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._dummy_hash = f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"
        self._memory = memory
        self._passes = passes
        self._observer = observer or Unobserved()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._queue = FairQueue(
            threads,
            lambda work: asyncio.get_running_loop().run_in_executor(pool, work),
            most=threads + most_waiting,
            most_of_origin=most_of_address,
            most_of_subject=most_of_subject,
        )

    async def hash(self, password: str, asker: Asker) -> str:
        """Return the hash with its salt and parameters. Raises: Unavailable when the queue is full."""
        return await self._run(lambda: self._argon2.hash(password), asker)

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        """Return whether the password matches the hash; False for a hash that is not argon2.

        Raises: Unavailable when the queue is full.
        """
        matches = await self._run(lambda: self._fits(password, password_hash or self._dummy_hash), asker)
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash uses another type, less memory or fewer passes than configured."""
        try:
            used = extract_parameters(password_hash)
        except (InvalidHashError, ValueError):
            return False
        return used.type is not Type.ID or used.memory_cost < self._memory or used.time_cost < self._passes

    def _fits(self, password: str, password_hash: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError, UnicodeError):
            return False

    async def _run(self, work: Callable[[], Result], asker: Asker) -> Result:
        # Without an address each subject is an origin of its own.
        origin = asker.subject if asker.address is None else asker.address
        try:
            return await self._queue.run(work, origin=origin, subject=asker.subject)
        except TooManyWait as refusal:
            self._observer.overloaded(Overload.SHARE if refusal.is_share else Overload.PASSWORDS)
            raise Unavailable(
                "Too many passwords are waiting to be checked; try again shortly.", retry_after=2
            ) from None
