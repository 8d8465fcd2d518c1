"""Counts in messages and logs, in words a reader does not stumble over."""

from __future__ import annotations


def count_of(number: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun.

    >>> count_of(1, "region"), count_of(3, "region"), count_of(2, "is", "are")
    ('1 region', '3 regions', '2 are')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
