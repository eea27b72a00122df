"""Replaying a draw: nobody is served before it, every entry gets one place, and who came later stays behind."""

from collections.abc import Iterator

from ..draws.draw import Admission
from ..event import Event
from ..facts import DrawHeld, PlaceDrawn


class DrawReplay:
    """What an event's facts say of its draw. Each method returns what is wrong; None: nothing."""

    def __init__(self) -> None:
        self.is_a_draw: bool = False
        self._held: DrawHeld | None = None
        self._placed: set[int] = set()

    def compare(self, event: Event) -> Iterator[str]:
        """Yield how the stored event differs from its facts."""
        if (event.admission is Admission.DRAW) is not self.is_a_draw:
            yield f"the admission is {event.admission}, the facts say otherwise"
        if event.was_drawn is not (self._held is not None):
            yield f"that the draw was held is {event.was_drawn}, the facts say otherwise"
        if self._held is not None and event.last_entry != self._held.last_entry:
            yield f"the last entry is {event.last_entry}, the facts say {self._held.last_entry}"

    def hold(self, what: DrawHeld) -> str | None:
        """Apply that it was held."""
        if not self.is_a_draw or self._held is not None:
            return "a draw was held that there is not, or once more"
        self._held = what
        return None if what.entries <= what.last_entry else "a draw had more entries than queue numbers"

    def place(self, what: PlaceDrawn) -> str | None:
        """Apply the place of an entry."""
        held = self._held
        if held is None:
            return "a place was drawn before the draw"
        place = what.queue_number - held.last_entry
        is_right = 1 <= place <= held.entries and what.entered_as <= held.last_entry and place not in self._placed
        self._placed.add(place)
        return None if is_right else f"entry {what.entered_as} got place {place} of {held.entries}"

    def join(self, queue_number: int) -> str | None:
        """Apply that somebody joined a waiting list."""
        if self._held is None or queue_number > 2 * self._held.last_entry:
            return None
        return f"queue number {queue_number} was given after the draw"

    def serve(self, first: int | None) -> str | None:
        """Apply that somebody got tickets while this was the first queue number of the waiting list."""
        if not self.is_a_draw:
            return None
        if self._held is None:
            return "tickets were given before the draw"
        if first is not None and first <= self._held.last_entry:
            return f"tickets were given while entry {first} had no place"
        return None
