"""The body of a draw: all that a stranger needs to recompute it."""

from base64 import b64encode
from typing import Annotated

from msgspec import Meta

from .....application.draws.collected_draw import CollectedDraw
from .....application.draws.read_draw import DrawDocument
from .....domain.draws.beacons import QUICKNET
from .....domain.draws.draw import DrawSource, DrawState
from .....domain.facts import DrawHeld
from ..fields import EventId, TicketTypeId, Time, View

_HEX = "64 hexadecimal digits"


class ChainView(View, frozen=True, kw_only=True):
    """A chain of drand. This service knows `quicknet` only."""

    hash: Annotated[str, Meta(description=f"Its hash, {_HEX}.", examples=[QUICKNET.hash.hex()])]
    scheme: Annotated[str, Meta(description="How it signs.", examples=[QUICKNET.scheme])]
    period: Annotated[int, Meta(description="Seconds between two rounds.", examples=[QUICKNET.period])]
    genesis_time: Annotated[
        int, Meta(description="When round 1 was published, in seconds since 1970.", examples=[QUICKNET.genesis_time])
    ]
    public_key: Annotated[str, Meta(description="Its public key, in hexadecimal digits.")]


class BeaconView(View, frozen=True, kw_only=True):
    """What the chain published for a round."""

    round: Annotated[int, Meta(description="The round.")]
    signature: Annotated[str, Meta(description="The signature of the round, in hexadecimal digits.")]
    randomness: Annotated[str, Meta(description=f"The SHA-256 of the signature, {_HEX}.")]


class DrawEntryView(View, frozen=True, kw_only=True):
    """An entry: a booking that waited at the closing. A group is one entry."""

    index: Annotated[int, Meta(description="Its place among the entries in the order of queue numbers, from 0.")]
    queue_number: Annotated[int, Meta(description="The queue number with which it joined.")]
    ticket_type_id: TicketTypeId
    quantity: Annotated[int, Meta(description="The tickets that it asked for at the closing.")]
    leaf: Annotated[
        str, Meta(description="The hash of its `CustomerWaitlisted` in the event's log (RFC 6962), in base64.")
    ]
    rank: Annotated[
        str | None,
        Meta(description=f"SHA-256 of `boxoffice/draw/1`, randomness, root and leaf, {_HEX}; `null`: not drawn yet."),
    ]
    place: Annotated[
        int | None, Meta(description="Its place by ascending rank, from 1; `null`: not drawn yet.", examples=[1])
    ]


class DrawView(View, frozen=True, kw_only=True):
    """A draw. `boxoffice check-draw` recomputes it from this alone."""

    event_id: EventId
    state: Annotated[DrawState, Meta(description="`open`: it takes entries. `closed`: it takes no more.")]
    source: Annotated[DrawSource, Meta(description="Where its randomness comes from.")]
    closes_at: Annotated[Time, Meta(description="When it stops taking entries.")]
    commitment: Annotated[
        str | None, Meta(description=f"With `operator`: the SHA-256 of the secret, published before, {_HEX}.")
    ]
    secret: Annotated[str | None, Meta(description=f"With `operator`, once it is drawn: the secret, {_HEX}.")]
    chain: Annotated[ChainView | None, Meta(description="With `drand`: the chain.")]
    round: Annotated[
        int | None, Meta(description="With `drand`: the first round at least 60 seconds after the closing.")
    ]
    beacon: Annotated[BeaconView | None, Meta(description="With `drand`, once it is drawn: the round's beacon.")]
    randomness: Annotated[str | None, Meta(description=f"Once it is drawn: the randomness, {_HEX}.")]
    root: Annotated[
        str | None,
        Meta(description="Once it is closed: the root over the leaves of all entries (RFC 6962), in base64."),
    ]
    entries: Annotated[
        list[DrawEntryView] | None, Meta(description="Once it is closed: all entries in the order of queue numbers.")
    ]
    caveats: Annotated[list[str], Meta(description="What the draw does not prove.")]

    @classmethod
    def showing(cls, document: DrawDocument) -> "DrawView":
        """Return a draw as it is shown."""
        event, held, collected = document.event, document.held, document.collected
        is_public = event.draw_source is DrawSource.DRAND
        secret = None if is_public or held is None else held.randomness
        return cls(
            event_id=event.id,
            state=document.state,
            source=document.source,
            closes_at=document.closes_at,
            round=document.round,
            commitment=event.draw_commitment,
            secret=secret,
            chain=_chain() if is_public else None,
            beacon=_beacon(held) if is_public and held is not None else None,
            randomness=held.randomness if held else None,
            root=b64encode(collected.root).decode() if collected else None,
            entries=_entries(collected, held) if collected else None,
            caveats=list(document.caveats),
        )


def _chain() -> ChainView:
    return ChainView.of(QUICKNET, hash=QUICKNET.hash.hex(), public_key=QUICKNET.public_key.hex())


def _beacon(held: DrawHeld) -> BeaconView:
    return BeaconView(round=held.round or 0, signature=held.signature or "", randomness=held.randomness)


def _entries(collected: CollectedDraw, held: DrawHeld | None) -> list[DrawEntryView]:
    randomness = None if held is None else bytes.fromhex(held.randomness)
    ranks = [] if randomness is None else collected.ranks(randomness)
    places = [] if randomness is None else collected.places(randomness)
    return [
        DrawEntryView(
            index=index,
            queue_number=entry.queue_number,
            ticket_type_id=entry.ticket_type_id,
            quantity=entry.quantity,
            leaf=b64encode(leaf).decode(),
            rank=ranks[index].hex() if ranks else None,
            place=places[index] if places else None,
        )
        for index, (entry, leaf) in enumerate(zip(collected.entries, collected.leaves, strict=True))
    ]
