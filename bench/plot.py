"""An SVG chart of ratios and their targets: bars on a logarithmic scale."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final

from msgspec import Struct

_ROW: Final = 34
_NAMES: Final = 470
_WIDTH: Final = 1_060
_LEGEND: Final = "each on the scale of what is wanted of it, logarithmic; grey: the aim"
_GOOD, _BAD, _INK, _PALE = "#2a7f62", "#b3423a", "#222", "#999"


class Bar(Struct, frozen=True):
    """A ratio, its bound and its aim. If the aim is less than the bound, a lower ratio is better."""

    name: str
    ratio: float
    bound: float
    aim: float

    @property
    def is_good(self) -> bool:
        """Return whether the ratio is within its bound."""
        return self.ratio <= self.bound if self.aim < self.bound else self.ratio >= self.bound

    @property
    def of_bound(self) -> float:
        """Return the ratio as a multiple of its bound: less than 1 misses it. A ratio of 0 counts as the aim."""
        if not self.ratio:
            return self.aim_of_bound
        return self.bound / self.ratio if self.aim < self.bound else self.ratio / self.bound

    @property
    def aim_of_bound(self) -> float:
        """Return the aim as a multiple of the bound."""
        return self.bound / self.aim if self.aim < self.bound else self.aim / self.bound


def draw(bars: Sequence[Bar]) -> str:
    """Return the chart: each bar ends at its multiple of the bound, with a line at 1 and a mark at the aim."""
    least = min(0.5, *(each.of_bound for each in bars)) * 0.9
    most = max(2.0, *(max(each.of_bound, each.aim_of_bound) for each in bars)) * 1.3

    def x(value: float) -> float:
        share = (log10(value) - log10(least)) / (log10(most) - log10(least))
        return round(_NAMES + share * (_WIDTH - _NAMES - 90), 1)

    height = _ROW * (len(bars) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" style="font: 13px sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{x(1)}" y="16" text-anchor="middle" fill="{_INK}">wanted</text>',
        f'<line x1="{x(1)}" x2="{x(1)}" y1="22" y2="{height - _ROW}" stroke="{_INK}"/>',
    ]
    for number, bar in enumerate(bars):
        top = _ROW * (number + 1) - 6
        colour = _GOOD if bar.is_good else _BAD
        end, aim = x(bar.of_bound), x(bar.aim_of_bound)
        parts += [
            f'<text x="{_NAMES - 8}" y="{top + 16}" text-anchor="end" fill="{_INK}">{escape(bar.name)}</text>',
            f'<rect x="{_NAMES}" y="{top + 2}" width="{end - _NAMES:.1f}" height="20" fill="{colour}"/>',
            f'<line x1="{aim}" x2="{aim}" y1="{top}" y2="{top + 24}" stroke="{_PALE}" stroke-width="3"/>',
            f'<text x="{max(end, aim) + 8}" y="{top + 17}" fill="{_INK}">{bar.ratio:,.3g}</text>',
        ]
    parts += [
        f'<text x="{_WIDTH - 8}" y="{height - 10}" text-anchor="end" fill="{_INK}">{_LEGEND}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
