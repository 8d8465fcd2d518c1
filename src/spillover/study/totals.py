"""Columns that are a total and its part: by their names and values, or because a third column makes up the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from spillover.typing import FloatArray

EXACT = 1e-6  # of the total, in every row
OBSERVED = 0.8  # share of the rows that must be there
_WORDS = re.compile(r"[^\W_]+")
_RATE = re.compile(
    r"(^|_)(pc|per|rate|share|ratio|pct|percent|index|intensity|density|growth|mean|avg)(_|$)", re.IGNORECASE
)


def without_parts(candidates: Sequence[str], chosen: Sequence[str], values: Mapping[str, FloatArray]) -> list[str]:
    """The candidates, in order, that are neither total nor part of a column that is chosen or came before.

    values : every column of numbers, blanks as NaN.
    """
    kept: list[str] = []
    for name in candidates:
        if not any(is_total_and_part(name, other, values) for other in (*chosen, *kept)):
            kept.append(name)
    return kept


def is_total_and_part(one: str, other: str, values: Mapping[str, FloatArray]) -> bool:
    """Whether one of two columns is a part of the other ("rd_exp_basic" of "rd_exp")."""
    return any(_is_part(part, whole, values) for part, whole in ((one, other), (other, one)))


def _is_part(part: str, whole: str, values: Mapping[str, FloatArray]) -> bool:
    gap, size = values[whole] - values[part], np.abs(values[whole])
    known = np.isfinite(gap)
    if known.mean() < OBSERVED or (values[part][known] < 0).any() or (gap[known] < -EXACT * size[known]).any():
        return False
    if (np.abs(gap[known]) <= EXACT * size[known]).all() or (_akin(part, whole) and not _RATE.search(part)):
        return True  # the same numbers under another name, or smaller in every row and akin by name
    return any(_makes_up(gap, size, rest) for name, rest in values.items() if name not in (part, whole))


def _makes_up(gap: FloatArray, size: FloatArray, rest: FloatArray) -> bool:
    left = np.abs(gap - rest)
    known = np.isfinite(left)
    return bool(known.mean() >= OBSERVED and (rest[known] > 0).any() and (left[known] <= EXACT * size[known]).all())


def _akin(part: str, whole: str) -> bool:
    """The whole's words are among those of the part ("emp" of "emp_hti"), or the first words are the same."""
    words, others = _words(part), _words(whole)
    return set(others) < set(words) or bool(words and others and words[0] == others[0])


def _words(name: str) -> list[str]:
    return _WORDS.findall(name.lower())
