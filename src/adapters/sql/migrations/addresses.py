"""One spelling for each stored e-mail address: what a migration changes, and when it refuses.

Alembic loads migrations outside of the package, so it gets this through its configuration.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from ....application.ports.errors import Unavailable
from ....domain.values.addresses import email

MOST_NAMED: Final = 20
"""Collisions that the message names."""


class AddressChanges:
    """Finds the new addresses of accounts. Those of `dropped` lose theirs."""

    def __init__(self, dropped: Collection[UUID] = ()) -> None:
        self._dropped = frozenset(dropped)
        self.were_found: bool = False

    def __call__(self, accounts: Iterable[tuple[bytes, str | None]]) -> list[tuple[UUID, str | None]]:
        """Return the accounts with a new address, by id and stored address.

        Raises: Unavailable if two would have the same one, or if an account to drop an address of does not exist.
        """
        self.were_found = True
        holders: dict[str, list[UUID]] = defaultdict(list)
        changes: list[tuple[UUID, str | None]] = []
        unknown = set(self._dropped)
        for raw_id, stored in accounts:
            user_id = UUID(bytes=bytes(raw_id))
            unknown.discard(user_id)
            if stored is None:
                continue
            if user_id in self._dropped:
                changes.append((user_id, None))
                continue
            address = _normalized(stored)
            holders[address].append(user_id)
            if address != stored:
                changes.append((user_id, address))
        if unknown:
            raise Unavailable(f"There is no account {' or '.join(_texts(unknown))}. No address was changed.")
        collisions = [ids for ids in holders.values() if len(ids) > 1]
        if collisions:
            raise Unavailable(_message(collisions))
        return changes


def _normalized(stored: str) -> str:
    """Return today's spelling. An address that no mail can reach stays as it is, and its user can sign in with it."""
    try:
        return email(stored)
    except ValueError:
        return stored


def _message(collisions: Sequence[Collection[UUID]]) -> str:
    named = "; ".join(" and ".join(_texts(ids)) for ids in collisions[:MOST_NAMED])
    more = len(collisions) - MOST_NAMED
    return (
        f"Accounts have spellings of the same e-mail address: {named}{f'; and {more} more' if more > 0 else ''}. "
        "No address was changed. Choose the account that keeps the address, and migrate with "
        "`boxoffice migrate --drop-address ID` for each of the others (repeat the option). Those accounts can "
        "no longer be signed in to; their bookings and events stay."
    )


def _texts(ids: Collection[UUID]) -> Iterator[str]:
    return map(str, sorted(ids))
