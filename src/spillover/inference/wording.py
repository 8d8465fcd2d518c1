"""Estimates with their intervals inside a sentence."""

from __future__ import annotations

import math


def with_interval(value: float, low: float, high: float, unit: str = "") -> str:
    """A number and its interval with the same decimals, three digits of the largest.

    >>> with_interval(-0.1234, -0.5, 0.25)
    '−0.123 (−0.500 to 0.250)'
    """
    size = max(abs(number) for number in (value, low, high))
    places = min(max(2 - math.floor(math.log10(size)), 0), 8) if size > 0 else 0
    shown, start, end = (in_text(number, places) for number in (value, low, high))
    return f"{shown}{unit} ({start} to {end})"


def in_text(number: float, places: int | None = None) -> str:
    """A number with `places` decimals, three significant digits by default, and a real minus.

    >>> in_text(-0.012345), in_text(1234.5, 1)
    ('−0.0123', '1,234.5')
    """
    if places is None:
        places = min(max(2 - math.floor(math.log10(abs(number))), 0), 8) if number else 0
    text = f"{number:,.{places}f}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.lstrip("-")


def percent(share: float) -> str:
    """A share in whole percent.

    >>> percent(0.123)
    '12 %'
    """
    return f"{100 * share:.0f} %".replace("-", "−")


def chance(p_value: float) -> str:
    """A p-value inside a sentence.

    >>> chance(0.0312), chance(1e-9)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
