"""Passwords kept as argon2id hashes, made in a small pool of threads."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ...application.limits.fair_queue import FairQueue, TooManyWait
from ...application.ports.errors import Unavailable
from ...application.ports.observability import Observer, Overload, Unobserved
from ...application.ports.security import Asker

Result = TypeVar("Result")

MEMORY = 19 * 1024
"""KiB for one hash. Memory, passes and lanes: OWASP Password Storage Cheat Sheet, argon2id, first choice."""

PASSES = 2
LANES = 1

THREADS = 2
"""Hashes at a time: 19 MiB and one core each. More would only take time from everything else."""

MOST_WAITING = 600
"""Passwords that may wait; at some 20 ms a hash the last one is still served within six seconds or so."""

MOST_OF_ADDRESS = 300
"""Of those, what one network address may have under way or waiting: many users may share one."""

MOST_OF_SUBJECT = 16
"""What one account may have under way or waiting: more than the failures after which it is closed to an address."""


class Argon2PasswordHasher:
    """Hashes and checks passwords without holding up the event loop.

    How many wait is bounded, for all and for each user and address, and those who ask have their turns in rotation.
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
        # Its digest was made of nothing, so no password fits; checking one against it is the same work as any other.
        salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._nobodys = f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"
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
        """The hash with its salt and parameters. Raises: Unavailable when too many wait."""
        return await self._in_a_thread(lambda: self._argon2.hash(password), asker)

    async def verify(self, password: str, password_hash: str | None, asker: Asker) -> bool:
        """Whether the password belongs to the hash; a hash that is not argon2's has none.

        Raises: Unavailable when too many wait.
        """
        is_right = await self._in_a_thread(lambda: self._fits(password, password_hash or self._nobodys), asker)
        return is_right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with less memory or fewer passes than today's. One that was made with more stays."""
        try:
            made = extract_parameters(password_hash)
        except (InvalidHashError, ValueError):
            return False
        return made.type is not Type.ID or made.memory_cost < self._memory or made.time_cost < self._passes

    def _fits(self, password: str, password_hash: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError, UnicodeError):
            return False

    async def _in_a_thread(self, work: Callable[[], Result], asker: Asker) -> Result:
        # Without an address everyone who asks is a place of their own.
        origin = asker.subject if asker.address is None else asker.address
        try:
            return await self._queue.run(work, origin=origin, subject=asker.subject)
        except TooManyWait as refusal:
            self._observer.overloaded(Overload.SHARE if refusal.is_share else Overload.PASSWORDS)
            raise Unavailable("Too many passwords wait to be checked; try again in a moment.", retry_after=2) from None
