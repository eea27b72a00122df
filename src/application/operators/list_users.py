"""List all accounts."""

from collections.abc import AsyncIterator

from ...domain.user import User
from ..ports.queries import AccountQueries

AT_ONCE = 500


class ListUsers:
    """List all accounts, oldest first. Only operators can do this."""

    def __init__(self, accounts: AccountQueries) -> None:
        self._accounts = accounts

    async def __call__(self) -> AsyncIterator[User]:
        """Yield all accounts, read in pages. Raises: Unavailable."""
        last = None
        while users := await self._accounts.users(last, AT_ONCE):
            for user in users:
                yield user
            last = users[-1].id
