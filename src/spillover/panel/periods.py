"""The order of periods in time, and how far apart they are: years, M1 … M12, 2010Q1, "Q1 2010", 2010-07, 2010/11."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spillover.panel.panel import Period

_NUMBER = re.compile(r"[0-9]+")
_PARTS_OF_YEAR = {"q": 4, "quarter": 4, "季": 4, "季度": 4, "m": 12, "month": 12, "月": 12, "h": 2, "s": 2, "半年": 2}
_BETWEEN = re.compile(r"[^\w]|[年第_]")  # what may stand between year and part beside a name of the part


def sort_periods(periods: Sequence[Period]) -> list[Period]:
    """Each period once, in the order of time: numbers, then texts by the numbers in them, others by alphabet.

    >>> sort_periods(["M10", "M2", "M1"]), sort_periods(["Q1 2011", "Q2 2010"]), sort_periods(["late", "early"])
    (['M1', 'M2', 'M10'], ['Q2 2010', 'Q1 2011'], ['early', 'late'])
    """
    numbers = sorted({period for period in periods if isinstance(period, int)})
    texts = sorted({period for period in periods if isinstance(period, str)})
    parts = _numbers_in(texts)
    if parts is not None:
        texts = [text for _, text in sorted(zip(parts, texts, strict=True))]
    return [*numbers, *texts]


def has_order(texts: Sequence[str]) -> bool:
    """Whether the texts are one pattern of words and numbers, so that the numbers order them."""
    return _numbers_in(texts) is not None


def count_periods(periods: Sequence[Period]) -> list[int] | None:
    """For each period a count in which neighbours in time are 1 apart; None when that cannot be told.

    Years count years, 2010Q1 quarters, 2010-07 and dates months, 2010/11 years of two halves.

    >>> count_periods(["M1", "M12"]), count_periods(["2010Q4", "2011Q1"]), count_periods(["before", "after"])
    ([1, 12], [8043, 8044], None)
    """
    if all(isinstance(period, int) for period in periods):
        return [int(period) for period in periods]
    texts = [str(period) for period in periods]
    parts = _numbers_in(texts) if all(isinstance(period, str) for period in periods) else None
    if parts is None:
        return None
    counts = _count(parts, _words(texts[0]))
    return counts if counts is not None and len(set(counts)) == len(counts) else None


def _count(parts: list[tuple[int, ...]], words: tuple[str, ...]) -> list[int] | None:
    """Counts from (year, part of the year) and the words around them."""
    if len(parts[0]) == 1:
        return [part[0] for part in parts]
    if len(parts[0]) == 3:  # dates, when no month has two
        is_dated = words == ("", "-", "-", "") and all(1 <= part[1] <= 12 and 1 <= part[2] <= 31 for part in parts)
        return [12 * part[0] + part[1] - 1 for part in parts] if is_dated else None
    if len(parts[0]) != 2:
        return None
    between = "".join(words)
    name = _BETWEEN.sub("", between).casefold()
    if not name and between in ("-", "/", "–") and all((part[0] + 1) % 100 == part[1] % 100 for part in parts):
        return [part[0] for part in parts] if between != "-" or any(part[1] > 12 for part in parts) else None
    length = _PARTS_OF_YEAR.get(name) or (12 if not name and between in ("-", "/", ".") else None)
    if length is None or any(not 1 <= part[1] <= length for part in parts):
        return None
    return [length * part[0] + part[1] - 1 for part in parts]


def _numbers_in(texts: Sequence[str]) -> list[tuple[int, ...]] | None:
    """The numbers of each text, the year first; None unless all texts have the same words around their numbers."""
    if not texts or len({_words(text) for text in texts}) > 1 or not _NUMBER.search(texts[0]):
        return None
    found = [_NUMBER.findall(text) for text in texts]
    parts = [tuple(int(digits) for digits in each) for each in found]
    if len(found[0]) > 1 and not all(len(each[0]) == 4 for each in found):
        if len(found[0]) == 2 and all(len(each[1]) == 4 for each in found):  # Q1 2010
            return [part[::-1] for part in parts]
        return None
    return parts


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip().casefold() for part in _NUMBER.split(text))
