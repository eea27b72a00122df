"""Refresh a session."""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from ...domain.refusals import InvalidToken
from ...domain.user import REFRESH_RULES
from ...domain.values.fields import checked
from ..ports.repositories import SignIn
from ..ports.security import Claims, RefreshToken, RefreshTokens, ReplacedToken, Tokens
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .log_in import SESSION_LIFETIME, SignedIn

GRACE: Final = timedelta(seconds=10)
"""Time in which a refresh token gives the same next one again: its client may have missed the answer."""


class RefreshSession:
    """Exchange a refresh token for an access token and the next refresh token."""

    def __init__(self, storage: Storage, tokens: Tokens, refresh_tokens: RefreshTokens, clock: Clock) -> None:
        self._storage = storage
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._clock = clock

    async def __call__(self, refresh_token: str) -> SignedIn:
        """Return the new tokens. Each refresh token can be exchanged once.

        For `GRACE` it gives the same refresh token again, until that one is used. Any other second use may be a
        thief's, or the owner's after a thief's, so it ends the session (RFC 9700, 4.14.2).

        Raises: InvalidRequest, InvalidToken, Unavailable.
        """
        kept = checked({"refresh_token": refresh_token}, REFRESH_RULES)["refresh_token"]
        used = self._refresh_tokens.read(kept)
        signed_in = None if used is None else await self._use(used)
        if signed_in is None:
            raise InvalidToken("The refresh token is no longer valid; sign in again.", is_refresh=True)
        return signed_in

    async def _use(self, used: RefreshToken) -> SignedIn | None:
        """Return the new tokens; None if there is no session to refresh."""
        salt = self._refresh_tokens.new_salt()
        new = self._refresh_tokens.after(used, salt)
        now = self._clock.now()

        async def use(unit_of_work: UnitOfWork) -> SignedIn | None:
            sign_in = await unit_of_work.users.lock_session(used.digests.family)
            if sign_in is None or not sign_in.user.may_sign_in or not sign_in.session.is_live(now):
                return None
            session = sign_in.session
            if sign_in.token == used.digests.token:
                following = new
                session = replace(session, expires_at=now + SESSION_LIFETIME)
                replaced = ReplacedToken(used.digests.token, salt, now)
                await unit_of_work.users.save_session(SignIn(sign_in.user, session, new.digests.token, replaced))
            elif again := self._again(used, sign_in, now):
                following = again
            else:
                await unit_of_work.users.save_session(replace(sign_in, session=replace(session, ended_at=now)))
                return None
            claims = Claims(session.user_id, session.id, sign_in.user.role)
            return SignedIn(self._tokens.issue(claims, now), following.text)

        return await in_transaction(self._storage, use)

    def _again(self, used: RefreshToken, sign_in: SignIn, now: datetime) -> RefreshToken | None:
        """Return the token for which this one was exchanged just now, also if the outcome was unknown."""
        replaced = sign_in.replaced
        # Clocks differ, so the exchange may seem to come later.
        if replaced is None or replaced.digest != used.digests.token or abs(now - replaced.replaced_at) >= GRACE:
            return None
        return self._refresh_tokens.after(used, replaced.salt)
