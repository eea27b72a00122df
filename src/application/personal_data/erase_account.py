"""Erase the caller's account."""

from collections.abc import Hashable
from datetime import datetime
from uuid import UUID

from ...domain.booking import BookingStatus
from ...domain.decisions.erase import LIVE_EVENTS, Erasure, binds, erased
from ...domain.policy import PersonalRight
from ...domain.refusals import BookingsBind, InvalidToken, NotAllowed, StillOrganizing
from ...domain.user import ERASURE_RULES, Actor, User
from ...domain.values.fields import checked
from ..accounts.link_mails import LinkMails
from ..accounts.prove_password import ProvePassword
from ..ports.queries import EventFilter
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from .finish_erasure import FinishErasure, bookings_of


class EraseAccount:
    """Erase the caller's account: its name and address at once, and then all that is the account's.

    One transaction erases the person and ends every session. The bookings are cancelled after it, each in its own
    transaction, by the rules that applied at that time; what is left after a failure or a crash the background work
    does.
    """

    def __init__(
        self, storage: Storage, prove_password: ProvePassword, mails: LinkMails, finish: FinishErasure, clock: Clock
    ) -> None:
        self._storage = storage
        self._prove_password = prove_password
        self._mails = mails
        self._finish = finish
        self._clock = clock

    async def __call__(self, actor: Actor, current_password: str, address: Hashable = None) -> None:
        """Erase it. `address` is the caller's network address, if known. A refusal changes nothing.

        Raises: InvalidRequest, NotAllowed for a wrong password or an API key, TooManyRequests after too many of them,
        StillOrganizing, BookingsBind, InvalidToken, Unavailable.
        """
        password = checked({"current_password": current_password}, ERASURE_RULES)["current_password"]
        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        user_id = actor.user_id
        proven = await self._prove_password(user_id, password, address)
        now = self._clock.now()
        await self._check_nothing_binds(user_id, now)
        erasure = Erasure.begun(user_id, now)

        async def erase(unit_of_work: UnitOfWork) -> None:
            if proven.email is not None:
                await self._mails.lock(unit_of_work, proven.email)
            user = await unit_of_work.users.lock(user_id)
            if user == erased(proven, now):
                # After an unknown outcome it was erased by this call.
                return
            _check_unchanged(user, proven)
            await unit_of_work.erasures.erase(proven)
            await unit_of_work.api_keys.remove_of(user_id)
            await unit_of_work.users.save(erased(proven, now))
            await unit_of_work.erasures.save(erasure)

        await in_transaction(self._storage, erase)
        await self._finish.as_far_as_possible(erasure)

    async def _check_nothing_binds(self, user_id: UUID, now: datetime) -> None:
        organized = EventFilter(statuses=LIVE_EVENTS, now=now, organizer_id=user_id)
        if (await self._storage.event_queries.events(organized, None, 1)).events:
            raise StillOrganizing
        async for found in bookings_of(self._storage.booking_queries, user_id, [BookingStatus.CONFIRMED]):
            if binds(found.event, found.booking, now):
                raise BookingsBind(booking_id=str(found.booking.id))


def _check_unchanged(user: User | None, proven: User) -> None:
    if user is None or not user.may_sign_in:
        raise InvalidToken
    if (user.password_hash, user.email) != (proven.password_hash, proven.email):
        raise NotAllowed("The account was changed meanwhile; try again.")
