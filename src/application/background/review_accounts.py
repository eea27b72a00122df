"""Review the waiting bookings of accounts that were disabled or enabled lately."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from ..bookings.review_account import ReviewAccount
from ..ports.errors import Unavailable
from ..ports.repositories import AccountReview
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction

AT_ONCE: Final = 100
"""Most accounts of one round."""

REVIEWED_EVERY: Final = timedelta(seconds=10)
"""The pause between two reviews of an account."""


class ReviewAccounts:
    """Run the reviews that are due. Each is repeated until some time after the account changed."""

    def __init__(
        self, review: ReviewAccount, storage: Storage, clock: Clock, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._review = review
        self._storage = storage
        self._clock = clock
        self._jitter = jitter

    async def __call__(self) -> int:
        """Return how many reviews were due, `AT_ONCE` at most. Raises: Unavailable."""
        due = await self._storage.account_queries.due_reviews(self._clock.now(), AT_ONCE)
        failure: Unavailable | None = None
        for review in due:
            try:
                await self._run(review)
            except Unavailable as unavailable:
                # It stays due. One event that is locked for long does not stop the reviews of other accounts.
                failure = unavailable
        if failure is not None:
            raise failure
        return len(due)

    async def _run(self, review: AccountReview) -> None:
        began_at = self._clock.now()
        if not await self._review(review.user_id):
            return
        due_at = min(began_at + REVIEWED_EVERY, review.until) if began_at < review.until else None

        async def finish(unit_of_work: UnitOfWork) -> None:
            await unit_of_work.users.finish_review(review, due_at)

        await in_transaction(self._storage, finish, jitter=self._jitter)
