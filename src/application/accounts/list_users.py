"""See all accounts."""

from collections.abc import AsyncIterator

from ...domain.user import User
from ..ports.queries import AccountQueries

AT_ONCE = 500


class ListUsers:
    """See all accounts, the oldest first. Operators do this; no request can."""

    def __init__(self, accounts: AccountQueries) -> None:
        self._accounts = accounts

    async def __call__(self) -> AsyncIterator[User]:
        """One after the other, read some at a time. Raises: Unavailable."""
        last = None
        while users := await self._accounts.users(last, AT_ONCE):
            for user in users:
                yield user
            last = users[-1].id
