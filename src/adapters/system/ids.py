"""New ids."""

from uuid import UUID

from uuid_utils import compat


class Uuid7Ids:
    """UUIDs of version 7 (RFC 9562): time first, then a counter, so that ids of one process sort by their age."""

    def new(self) -> UUID:
        """An id that nobody has."""
        return compat.uuid7()
