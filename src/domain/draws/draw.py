"""Events whose waiting lists begin in an order by chance instead of the order in which people came."""

from enum import StrEnum


class Admission(StrEnum):
    """`line`: first come, first served. `draw`: those who book until a closing time are put in an order by chance."""

    LINE = "line"
    DRAW = "draw"


class DrawSource(StrEnum):
    """Where the randomness of a draw comes from. It is fixed when the event is initialized.

    `drand`: a public beacon of a round after the closing, which nobody can know before. `operator`: a secret of the
    service, committed to at the beginning and published after the draw. Its operator could know it before.
    """

    OPERATOR = "operator"
    DRAND = "drand"


class DrawState(StrEnum):
    """`open`: it takes entries. `closed`: it takes no more, and was not held. `drawn`: every entry has a place."""

    OPEN = "open"
    CLOSED = "closed"
    DRAWN = "drawn"
