"""How numbers look: one style for sentences, tables, axes and hover texts.

Thousands are parted by commas, the minus is a real minus sign, and a missing number is an en dash.
"""

from __future__ import annotations

import math

MINUS = "\u2212"
_SHORTEST_WORD = 5  # a shorter name of a variable is rather an abbreviation: lq, hti, emp
MISSING = "–"


def decimals_for(*values: float | None, significant: int = 3) -> int:
    """Decimals that show the largest of `values` with `significant` digits; at least 0, at most 8.

    >>> decimals_for(0.0123, 0.5)
    3
    >>> decimals_for(1250.0)
    0
    """
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    if not sizes:
        return 0
    return min(max(significant - 1 - math.floor(math.log10(max(sizes))), 0), 8)


def fixed(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """`value` with a fixed number of decimals.

    >>> fixed(-1234.5, 1)
    '−1,234.5'
    >>> fixed(0.25, 2, sign=True)
    '+0.25'
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    if value < 0:
        return MINUS + text
    return "+" + text if sign else text


def compact(value: float | None, significant: int = 3) -> str:
    """`value` with about `significant` digits and no exponent between 0.00001 and 10¹²; whole counts in full.

    >>> compact(1234567.0), compact(0.012345), compact(None)
    ('1,234,567', '0.0123', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if isinstance(value, int):
        return fixed(value, 0)
    if value != 0 and not 1e-5 <= abs(value) < 1e12:
        mantissa, exponent = f"{value:.{significant - 1}e}".split("e")
        return f"{mantissa.replace('-', MINUS)} × 10^{str(int(exponent)).replace('-', MINUS)}"
    return fixed(value, decimals_for(value, significant=significant))


def interval(low: float | None, high: float | None, decimals: int | None = None, *, unit: str = "") -> str:
    """An interval whose two ends have the same decimals.

    >>> interval(-0.5, 1.25)
    '−0.50 to 1.25'
    """
    places = decimals_for(low, high) if decimals is None else decimals
    return f"{fixed(low, places)}{unit} to {fixed(high, places)}{unit}"


def capital(text: str) -> str:
    """`text` with a capital first letter, for titles and the start of a sentence.

    >>> capital("patents per person")
    'Patents per person'
    """
    return text[:1].upper() + text[1:]


def heading(label: str, name: str) -> str:
    """A label as a title; the name of a variable is code and stays as it is, unless it is a word.

    >>> heading("patents per person", "ppp"), heading("hti_firms", "agglomeration"), heading("", "lq")
    ('Patents per person', 'hti_firms', 'lq')
    >>> heading("patents", "patents")
    'Patents'
    """
    text = label or name
    first = text.split(" ")[0]
    is_word = first.isalpha() and (text != name or len(first) >= _SHORTEST_WORD)
    return capital(text) if is_word or (text != name and "_" not in first) else text


def statistic(value: float | None) -> str:
    """A test statistic: four digits, and no power of ten for what is practically zero.

    >>> statistic(12.3456), statistic(2.4e-6)
    ('12.35', '< 0.001')
    """
    return "< 0.001" if value is not None and 0.0 < value < 0.001 else compact(value, 4)


def p_sentence(value: float | None) -> str:
    """A p-value inside a sentence.

    >>> p_sentence(0.0312), p_sentence(1e-9)
    ('p = 0.031', 'p < 0.001')
    """
    shown = p_value(value)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def p_value(value: float | None) -> str:
    """A p-value as it is written in a table.

    >>> p_value(0.0312), p_value(1e-9)
    ('0.031', '< 0.001')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
