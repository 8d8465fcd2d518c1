"""Colours and map classes: the same colour means the same thing in every figure, on screen and in print.

Sequential blues-greens for levels and the purple-orange diverging scheme for signed quantities, both from
ColorBrewer (Brewer, Harrower & Penn State), both distinguishable with the common kinds of colour blindness.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spillover.study.numbers import compact, decimals_for, fixed

SEQUENTIAL = ("#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84")
NEGATIVE = ("#542788", "#8073ac", "#b2abd2", "#d8daeb")  # from strong to weak
POSITIVE = ("#fee0b6", "#fdb863", "#e08214", "#b35806")  # from weak to strong
NO_DATA = "#e3e3e3"

INK = "#1b2733"
MUTED = "#5b6875"
GRID = "#e3e8ed"
BORDER = "#ffffff"
# by role; further variables of the same role take the next colour
ROLES = {"agglomeration": ("#1b5e93", "#3f8f8a"), "innovation": ("#c05a12", "#8e3b7f", "#8a6d00")}
EFFECTS = {"direct": "#1b5e93", "indirect": "#c05a12", "total": "#4a4f57"}
TRUTH = "#1b2733"


def faded(colour: str, opacity: float) -> str:
    """A colour such as #1b5e93 with an opacity.

    >>> faded("#1b5e93", 0.18)
    'rgba(27,94,147,0.18)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


@dataclass(frozen=True)
class Classes:
    """Classes of a map: `breaks` are the inner limits, ascending; one colour and one text per class."""

    breaks: tuple[float, ...]
    colours: tuple[str, ...]
    texts: tuple[str, ...]

    def place(self, value: float | None) -> int:
        """Number of the class of `value`; -1 for a missing one. A value on a limit belongs to the upper class."""
        if value is None:
            return -1
        return sum(value >= limit for limit in self.breaks)


def level_classes(values: Iterable[float | None], count: int = 6) -> Classes:
    """Classes with about equally many values each, on the sequential scale."""
    seen = sorted(v for v in values if v is not None and math.isfinite(v))
    breaks = _quantile_breaks(seen, count)
    colours = _spread(SEQUENTIAL, len(breaks) + 1)
    return Classes(breaks, colours, _texts(seen, breaks))


def signed_classes(values: Iterable[float | None], count: int = 4) -> Classes:
    """Classes on either side of zero, on the diverging scale: purple below, orange above."""
    seen = sorted(v for v in values if v is not None and math.isfinite(v))
    below, above = [v for v in seen if v < 0], [v for v in seen if v >= 0]
    # one-sided data get more classes on their side, but never colours of the other side
    left = _quantile_breaks(below, count) if below else ()
    right = _quantile_breaks(above, count) if above else ()
    breaks = (*left, *((0.0,) if below and above else ()), *right)
    colours = (
        *(_spread(NEGATIVE, len(left) + 1) if below else ()),
        *(_spread(POSITIVE, len(right) + 1) if above else ()),
    )
    return Classes(tuple(breaks), colours or (POSITIVE[0],), _texts(seen, tuple(breaks)))


def _quantile_breaks(seen: Sequence[float], count: int) -> tuple[float, ...]:
    """Inner limits at quantiles, strictly inside the range, with as few digits as still keep them apart."""
    if not seen or seen[0] == seen[-1]:
        return ()
    wanted = [seen[min(step * len(seen) // count, len(seen) - 1)] for step in range(1, count)]
    exact = {limit for limit in wanted if seen[0] < limit}
    first = decimals_for(seen[-1] - seen[0], significant=2)
    for places in range(first, first + 4):
        rounded = sorted({round(limit, places) for limit in exact})
        limits = tuple(limit for limit in rounded if seen[0] < limit <= seen[-1] and limit != 0.0)
        if len(limits) == len(exact):
            break
    return limits


def _spread(colours: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` colours over the whole of a scale; a single class has its middle."""
    if count == 1:
        return (colours[len(colours) // 2],)
    return tuple(colours[round(i * (len(colours) - 1) / (count - 1))] for i in range(count))


def _texts(seen: Sequence[float], breaks: Sequence[float]) -> tuple[str, ...]:
    if not seen:
        return ("no data",)
    if not breaks:
        return (compact(seen[0]),) if seen[0] == seen[-1] else (f"{compact(seen[0])} to {compact(seen[-1])}",)
    # the fewest decimals that show every limit as it is
    first = decimals_for(seen[-1] - seen[0], significant=2)
    places = next((p for p in range(first, first + 4) if all(round(b, p) == b for b in breaks)), first + 4)
    edges = [fixed(limit, places) for limit in breaks]
    middle = [f"{low} to {high}" for low, high in pairwise(edges)]
    return (f"below {edges[0]}", *middle, f"{edges[-1]} and more")
