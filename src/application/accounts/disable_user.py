"""Disable and enable accounts."""

from msgspec.structs import replace

from ...domain.refusals import NotFound
from ...domain.user import LOGIN_RULES, User
from ...domain.values.fields import checked
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction


class DisableUser:
    """Disable an account. Only operators can do this."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, email: str) -> User:
        """End every session and prevent new ones. Bookings and events of the user are unchanged.

        Raises: InvalidRequest, NotFound, Unavailable.
        """
        address = _address(email)
        now = self._clock.now()

        async def disable(unit_of_work: UnitOfWork) -> User:
            user = await _locked(unit_of_work, address)
            disabled = replace(user, disabled_at=user.disabled_at or now, standing_changed_at=now)
            await unit_of_work.users.save(disabled)
            await unit_of_work.users.end_sessions(user.id, now, but=None)
            return disabled

        return await in_transaction(self._storage, disable)


class EnableUser:
    """Enable a disabled account. Only operators can do this."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def __call__(self, email: str) -> User:
        """Return the enabled account. Raises: InvalidRequest, NotFound, Unavailable."""
        address = _address(email)

        async def enable(unit_of_work: UnitOfWork) -> User:
            user = await _locked(unit_of_work, address)
            enabled = replace(user, disabled_at=None, standing_changed_at=self._clock.now())
            await unit_of_work.users.save(enabled)
            return enabled

        return await in_transaction(self._storage, enable)


def _address(email: str) -> str:
    address: str = checked({"email": email}, LOGIN_RULES)["email"]
    return address


async def _locked(unit_of_work: UnitOfWork, address: str) -> User:
    user = await unit_of_work.users.lock_by_email(address)
    if user is None:
        raise NotFound("No account has this e-mail address.")
    return user
