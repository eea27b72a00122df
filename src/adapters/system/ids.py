"""New ids."""

from uuid import UUID

from uuid_utils import compat


class Uuid7Ids:
    """UUIDs of version 7 (RFC 9562): a time and a counter, so ids of one process sort by age."""

    def new(self) -> UUID:
        """Return a unique id."""
        return compat.uuid7()
