"""Sessions on every storage: one refresh token at once gives one next token, whatever else happens."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest

from boxoffice.adapters.security import JwtTokens, RandomRefreshTokens
from boxoffice.application.accounts.authenticate import Authenticate, Caller
from boxoffice.application.accounts.change_profile import ChangeProfile, ProfileChanges
from boxoffice.application.accounts.create_user import CreateUser, Registration
from boxoffice.application.accounts.log_in import Credentials, LogIn, SignedIn
from boxoffice.application.accounts.log_out import LogOut
from boxoffice.application.accounts.refresh_session import GRACE, RefreshSession
from boxoffice.application.ports.storage import Storage
from boxoffice.domain.refusals import InvalidToken, WrongCredentials
from tests.application.fake_app import FewKnownPasswords, PlainHasher, using_api_keys, without_mails
from tests.contract.storage_driver import NOW, disable_user, new_id

EMAIL, PASSWORD = "ada@example.org", "correct horse"
CREDENTIALS = Credentials(email=EMAIL, password=PASSWORD)


class Ids:
    """Ids as everywhere."""

    new = staticmethod(new_id)


class SetClock:
    """Shows the time that it was set to."""

    time = NOW

    def now(self) -> datetime:
        return self.time


class Desk:
    """All that concerns sessions, on one storage."""

    def __init__(self, storage: Storage) -> None:
        self.clock = SetClock()
        hasher, tokens, refresh_tokens = PlainHasher(), JwtTokens("a secret of the tests " * 2), RandomRefreshTokens()
        self.create = CreateUser(storage, hasher, FewKnownPasswords(), self.clock, Ids(), without_mails(Ids()))
        self.log_in = LogIn(storage, hasher, tokens, refresh_tokens, self.clock, Ids())
        self.refresh = RefreshSession(storage, tokens, refresh_tokens, self.clock)
        self.log_out = LogOut(storage, refresh_tokens, self.clock)
        self.change = ChangeProfile(storage, hasher, FewKnownPasswords(), without_mails(Ids()), self.clock)
        self.disable = disable_user(storage, self.clock)
        self._tokens = tokens
        self._storage = storage

    async def authenticate(self, signed_in: SignedIn) -> Caller:
        """Who calls, asked by a process that has nothing cached."""
        use_api_key = using_api_keys(self._storage, self.clock)
        authenticate = Authenticate(self._tokens, self._storage.account_queries, self.clock, use_api_key)
        return await authenticate(signed_in.access.text)

    async def goes_on(self, signed_in: SignedIn) -> bool:
        """Whether the session can be refreshed with its newest token."""
        try:
            await self.refresh(signed_in.refresh_token)
        except InvalidToken:
            return False
        return True


@pytest.fixture
async def desk(storage: Storage) -> Desk:
    """With one account."""
    desk = Desk(storage)
    await desk.create(Registration(name="Ada", email=EMAIL, password=PASSWORD))
    return desk


async def test_many_at_once_with_one_token_get_one_next_token(desk: Desk, times: Callable[[int, int], int]) -> None:
    for _ in range(times(5, 100)):
        signed_in = await desk.log_in(CREDENTIALS)
        served = await asyncio.gather(*(desk.refresh(signed_in.refresh_token) for _ in range(6)))
        assert len({each.refresh_token for each in served}) == 1
        assert await desk.goes_on(served[0])


async def test_of_many_at_once_with_a_used_token_none_is_served_and_the_session_ends(
    desk: Desk, times: Callable[[int, int], int]
) -> None:
    other = await desk.log_in(CREDENTIALS)
    for _ in range(times(5, 100)):
        signed_in = await desk.log_in(CREDENTIALS)
        newest = await desk.refresh(signed_in.refresh_token)
        desk.clock.time += GRACE
        came = [desk.refresh(signed_in.refresh_token) for _ in range(6)]
        results = await asyncio.gather(*came, return_exceptions=True)
        assert [type(each) for each in results] == [InvalidToken] * 6
        assert not await desk.goes_on(newest)
        with pytest.raises(InvalidToken):
            await desk.authenticate(newest)
    assert await desk.goes_on(other)


async def test_a_session_that_goes_on_beside_all_else_is_not_lost(desk: Desk, times: Callable[[int, int], int]) -> None:
    """All of them lock the same user."""
    signed_in = await desk.log_in(CREDENTIALS)
    for _ in range(times(5, 100)):
        leaving = await desk.log_in(CREDENTIALS)
        going_on = asyncio.ensure_future(desk.refresh(signed_in.refresh_token))
        coming = [desk.log_in(CREDENTIALS) for _ in range(4)]
        await asyncio.gather(going_on, desk.log_out(leaving.refresh_token), *coming)
        signed_in = going_on.result()
        await desk.authenticate(signed_in)


async def test_a_new_password_beside_refreshes_ends_every_other_session(
    desk: Desk, times: Callable[[int, int], int]
) -> None:
    password = PASSWORD
    for number in range(times(3, 50)):
        own, *others = [await desk.log_in(Credentials(email=EMAIL, password=password)) for _ in range(4)]
        caller = await desk.authenticate(own)
        changes = ProfileChanges(current_password=password, new_password=f"another word {number}")
        old = Credentials(email=EMAIL, password=password)
        _, *results = await asyncio.gather(
            desk.change(caller, changes),
            *(desk.refresh(each.refresh_token) for each in others),
            *(desk.log_in(old) for _ in range(3)),
            return_exceptions=True,
        )
        password = f"another word {number}"
        assert {type(each) for each in results} <= {SignedIn, InvalidToken, WrongCredentials}
        for each in results:
            if isinstance(each, SignedIn):
                assert not await desk.goes_on(each)
        assert await desk.goes_on(own)
