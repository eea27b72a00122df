"""What a box office on a container does without commands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final
from uuid import UUID

from dependency_injector.providers import Object
from msgspec.structs import replace

from .....application.ports.system import Clock
from .....application.ports.ticket_codes import TicketRef
from .....domain.decisions.payments.notices import PaymentNotice
from .....domain.tickets.ticket import ticket_id
from ....container import Container
from ...history.public_line import check_public_line
from ..box_office import (
    Names,
    ScanSent,
)
from ..model.model import MOST_LIVE_EVENTS
from .gateway import HarnessGateway
from .troubled import Trouble, TroubledStorage

MOST_EVENTS: Final = 1_000
MOST_FACTS: Final = 10_000


class ContainerBoxOffice:
    """What a `BoxOffice` on a container does without commands: background work, troubles, ledger, verification.

    The container has the storage under test, with its schema and no data. Its clock and payment provider are overridden
    here, and its commits may fail as `Trouble` says.
    """

    def __init__(self, container: Container, clock: Clock) -> None:
        self._container = container
        self._clock = clock
        self._gateway = HarnessGateway()
        self._names = Names()
        self._last_seqs: dict[UUID, int] = {}
        # The texts of the API keys, by the machine's ids.
        self._key_texts: dict[UUID, str] = {}
        container.clock.override(Object(clock))
        container.payment_gateway.override(Object(self._gateway))
        container.initialize_event.add_kwargs(most_live_events=MOST_LIVE_EVENTS)
        # A process that remembers no key, so that one ends at once.
        container.known_keys.add_kwargs(seconds=count(0, 10).__next__)
        # A wait for another payment polls without a pause, because the clock does not advance meanwhile.
        container.pay_booking.add_kwargs(pause=lambda _: asyncio.sleep(0))
        self._storage = TroubledStorage(container.storage())
        container.storage.override(Object(self._storage))

    async def set_disabled(self, user_id: UUID, disabled: bool) -> None:
        """See `BoxOffice`."""
        await self.add_account(user_id)
        use_case = self._container.disable_user() if disabled else self._container.enable_user()
        await use_case(str(self._names.id_of(user_id)))

    async def add_account(self, user_id: UUID) -> None:
        """Create the account of a user, unless it exists."""
        raise NotImplementedError

    async def promote(self, event_id: UUID) -> int:
        """See `BoxOffice`."""
        return await self._container.promote_from_waitlist()(self._names.id_of(event_id))

    async def sweep(self) -> int:
        """See `BoxOffice`."""
        swept = await self._container.sweep()()
        assert swept.is_ours, "no other process sweeps"
        return swept.payments

    async def code_of(self, scan: ScanSent) -> str:
        """Return what is scanned: a code of a ticket, or a text that is none."""
        if scan.booking_id is None:
            return f"BX1{scan.number}"
        ticket = ticket_id(self._names.id_of(scan.booking_id), scan.number)
        with self.without_trouble():
            # The event's key may have to be made.
            return await self._container.ticket_codes().code(
                TicketRef(self._names.id_of(scan.event_id), ticket, scan.serial)
            )

    def serial_of(self, code: str) -> int:
        """Return the serial of a code."""
        read = self._container.ticket_codes().read(code)
        assert read is not None
        return read.serial

    @contextmanager
    def without_trouble(self) -> Iterator[None]:
        """Trouble is for the machine's commands, so that the same ones get into it everywhere."""
        troubles = list(self._storage.troubles)
        self._storage.troubles.clear()
        try:
            yield
        finally:
            self._storage.troubles.extend(troubles)

    async def act(self) -> None:
        """See `BoxOffice`."""
        self._gateway.act()

    async def refuse_refunds(self, refuses: bool) -> None:
        """See `BoxOffice`."""
        self._gateway.refuses_refunds = refuses

    async def notice(self, notice: PaymentNotice) -> None:
        """See `BoxOffice`."""
        told = replace(notice, payment_id=self._names.id_of(notice.payment_id))
        await self._container.record_payment_notice()(told)

    async def trouble(self, trouble: Trouble) -> None:
        """See `BoxOffice`."""
        self._storage.troubles.append(trouble)

    async def money_kept(self) -> int:
        """See `BoxOffice`."""
        return self._gateway.kept

    async def breaches(self) -> list[str]:
        """See `BoxOffice`."""
        verdict = await self._container.verify_promises()()
        breaches = [f"promise {each.promise}: {each.what}" for each in verdict.breaches]
        async with self._container.storage().snapshot() as snapshot:
            for state in await snapshot.events(None, MOST_EVENTS):
                facts = await snapshot.facts(state.event.id, 0, MOST_FACTS)
                breaches += map(str, check_public_line(facts))
        return breaches

    async def close(self) -> None:
        """See `BoxOffice`."""
        try:
            await self._container.turnstile().close()
        finally:
            await self._storage.close()
