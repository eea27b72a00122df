"""Sign out."""

from msgspec.structs import replace

from ...domain.user import REFRESH_RULES
from ...domain.values.fields import checked
from ..ports.security import RefreshTokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction


class LogOut:
    """Sign out: end a session and all its tokens."""

    def __init__(self, storage: Storage, refresh_tokens: RefreshTokens, clock: Clock) -> None:
        self._storage = storage
        self._refresh_tokens = refresh_tokens
        self._clock = clock

    async def __call__(self, refresh_token: str) -> None:
        """End the session of a refresh token, which may be a used one; without a session do nothing.

        Raises: InvalidRequest, Unavailable.
        """
        kept = checked({"refresh_token": refresh_token}, REFRESH_RULES)["refresh_token"]
        token = self._refresh_tokens.read(kept)
        if token is None:
            return
        family = token.digests.family

        async def end(unit_of_work: UnitOfWork) -> None:
            sign_in = await unit_of_work.users.lock_session(family)
            if sign_in is not None and sign_in.session.ended_at is None:
                ended = replace(sign_in.session, ended_at=self._clock.now())
                await unit_of_work.users.save_session(replace(sign_in, session=ended))

        await in_transaction(self._storage, end)
