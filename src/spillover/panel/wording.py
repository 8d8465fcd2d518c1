"""Texts as a person sees them, and counts in words a reader does not stumble over."""

from __future__ import annotations

import unicodedata

_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))  # signs without width that no script needs: web pages, Excel


def clean_text(text: str, *, seen_only: bool = False) -> str:
    """An id or name without blanks around it, in Unicode NFC, and without signs that nobody sees.

    seen_only : leave the invisible signs.

    >>> clean_text("\ufeffR1 "), clean_text("\u200bR1") == "R1"
    ('R1', True)
    """
    composed = unicodedata.normalize("NFC", text)
    return (composed if seen_only else composed.translate(_UNSEEN)).strip()


def count_of(number: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun.

    >>> count_of(1, "region"), count_of(3, "region"), count_of(2, "is", "are")
    ('1 region', '3 regions', '2 are')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
