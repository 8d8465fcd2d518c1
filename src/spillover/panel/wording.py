"""Texts as a person sees them, and counts in words a reader does not stumble over."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from spillover.errors import show_labels

_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))  # signs without width that no script needs: web pages, Excel


def clean_text(text: str, *, seen_only: bool = False) -> str:
    """An id or name without blanks around it, in Unicode NFC, and without signs that nobody sees.

    seen_only : leave the invisible signs.

    >>> clean_text("\ufeffR1 "), clean_text("\u200bR1") == "R1"
    ('R1', True)
    """
    composed = unicodedata.normalize("NFC", text)
    return (composed if seen_only else composed.translate(_UNSEEN)).strip()


def near_misses(missing: Iterable[str], surplus: Iterable[str], place: str) -> list[str]:
    """The spelling in `place` that would have matched, when there is one: "1001" for "01001", "R1\u00ad" for "R1".

    One sentence, or none; signs that nobody sees are shown by their code.

    >>> near_misses(["01001"], ["1001"], "on the map")
    ["the same ids are written differently ('01001' is '1001' on the map)"]
    """
    bare = {_bare(each): each for each in surplus}
    found = [f"{each!r} is {other!r} {place}" for each in missing if (other := bare.get(_bare(each))) is not None]
    return [f"the same ids are written differently ({show_labels(found, 2)})"] if found else []


def _bare(label: str) -> str:
    """What two spellings of one id have in common."""
    wide = unicodedata.normalize("NFKC", label.removesuffix(".0"))
    return "".join(c for c in wide if unicodedata.category(c) not in ("Cf", "Zs")).lstrip("0").casefold()


def count_of(number: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun.

    >>> count_of(1, "region"), count_of(3, "region"), count_of(2, "is", "are")
    ('1 region', '3 regions', '2 are')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
