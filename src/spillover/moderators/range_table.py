"""A published table of ranges by band of distance (or dose), checked and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.errors import OptionError
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class RangeTable:
    """A checked table of b bands: near, far (their ends), low, high (the range of the quantity in each)."""

    near: FloatArray
    far: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def midpoints(self) -> FloatArray:
        """(b,) middle of each band."""
        return (self.near + self.far) / 2.0

    @property
    def middles(self) -> FloatArray:
        """(b,) middle of each range."""
        return (self.low + self.high) / 2.0

    @property
    def edges(self) -> FloatArray:
        """(b + 1,) edges of adjacent bands."""
        return np.append(self.near, self.far[-1])

    def show_ranges(self) -> str:
        """The ranges as a reader wrote them."""
        return ", ".join(f"{a:g}–{b:g}" for a, b in zip(self.low, self.high, strict=True))

    def edge_values(self, falling: bool = True) -> FloatArray:
        """(b + 1,) values at the edges when bands are adjacent and ranges tile; `OptionError` when not.

        falling : the upper end of a band is then the lower end of the one before; rising tables tile the other way.
        """
        before, after = (self.low[:-1], self.high[1:]) if falling else (self.high[:-1], self.low[1:])
        problems = []
        if not np.array_equal(self.near[1:], self.far[:-1]):
            bands = ", ".join(f"{a:g}–{b:g}" for a, b in zip(self.near, self.far, strict=True))
            problems.append(f"the bands are not adjacent ({bands})")
        if not np.array_equal(before, after):
            problems.append(f"the ranges do not tile ({self.show_ranges()})")
        if problems:
            here, there = ("upper", "lower") if falling else ("lower", "upper")
            raise OptionError(
                "these ranges cannot be read as values at the band edges",
                got="; ".join(problems),
                expected=f"the {here} end of each range equal to the {there} end of the one before",
                fix='use reading="interval" or "midpoint"',
            )
        first, rest = (self.high, self.low) if falling else (self.low, self.high)
        return np.append(first[:1], rest)

    def require_counts(self) -> None:
        """`OptionError` unless all ranges end in whole numbers."""
        both = np.concatenate([self.low, self.high])
        if not np.array_equal(both, np.rint(both)):
            raise OptionError(
                "the interval reading needs ranges of whole numbers, because it treats them as counts",
                got=", ".join(f"{value:g}" for value in both[both != np.rint(both)]),
                fix='use reading="midpoint"',
            )


def read_table(
    bands: Sequence[tuple[float, float]],
    low: Sequence[float],
    high: Sequence[float],
    *,
    what: str = "distance",
    ends: str = "(nearest, farthest)",
    least: int = 3,
) -> RangeTable:
    """Check a table and turn it into arrays; every problem is reported at once.

    Parameters
    ----------
    bands, low, high : one pair of ends, one low and one high value per band; bands increase and do not overlap.
    what, ends, least : words of the messages, and the fewest bands.

    Raises `OptionError`.
    """
    title = f"this is not a table of ranges by {what} band"
    try:
        pairs = np.asarray(bands, dtype=float)
        lows, highs = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        if not pairs.ndim:
            raise TypeError
    except (TypeError, ValueError):
        raise OptionError(
            title,
            got=f"bands {bands!r}, low {low!r}, high {high!r}",
            expected=f"numbers: one {ends} pair, one low and one high value per band",
        ) from None
    count = {2: "two", 3: "three"}.get(least, str(least))
    problems = []
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) < least:
        problems.append(f"bands of shape {pairs.shape}: at least {count} {ends} pairs are needed")
    elif not np.isfinite(pairs).all() or (pairs < 0).any() or (pairs[:, 0] >= pairs[:, 1]).any():
        problems.append(f"bands are finite and not negative, {ends} in this order; an open band needs an end")
    elif (pairs[1:, 0] < pairs[:-1, 1]).any():
        problems.append("bands increase and do not overlap")
    if lows.shape != (len(pairs),) or highs.shape != (len(pairs),):
        problems.append(f"{len(pairs)} bands but {lows.size} low and {highs.size} high values")
    elif not (np.isfinite(lows).all() and np.isfinite(highs).all() and (lows >= 0).all() and (highs > 0).all()):
        problems.append("ranges are finite and not negative, and end above zero")
    elif (lows > highs).any():
        problems.append("ranges have low ≤ high: some are inverted")
    if problems:
        raise OptionError(title, got="; ".join(problems))
    return RangeTable(pairs[:, 0].copy(), pairs[:, 1].copy(), lows, highs)
