"""Which industry codes of a table overlap, so that nothing is counted twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, ValueDomainError, did_you_mean, show_labels
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.panel.industry import IndustryTable

_LETTER_RANGE = re.compile(r"([A-Z])[-_–]([A-Z])")
_NUMBER_RANGE = re.compile(r"([A-Z]?)(\d+)[-_–]([A-Z]?)(\d+)")
_TOTAL_NAMES = frozenset({"total", "totals", "all", "all industries", "合计", "总计", "00"})
# Published parents differ from the sum of their children by rounding and suppressed cells.
_ROUNDING = 0.02


def covers(parent: str, child: str) -> bool:
    """Whether the text of `parent` says that it contains `child`: a prefix ("C" and "C26") or a range ("B-E" and "C").

    Two words of which one begins the other ("Pharma", "Pharmaceuticals") are not codes of a hierarchy.

    >>> covers("26", "26.1"), covers("C", "C26"), covers("B-E", "C26"), covers("C10-C12", "C11"), covers("26", "27")
    (True, True, True, True, False)
    """
    if parent == child or not parent or not child:
        return False
    letters = _LETTER_RANGE.fullmatch(parent)
    if letters:
        inside = re.fullmatch(r"([A-Z])(\d.*)?", child)
        return inside is not None and letters[1] <= inside[1] <= letters[2]
    numbers = _NUMBER_RANGE.fullmatch(parent)
    if numbers and numbers[3] in ("", numbers[1]) and len(numbers[2]) == len(numbers[4]):
        inside = re.match(rf"{numbers[1]}(\d{{{len(numbers[2])}}})", child)
        single = _NUMBER_RANGE.fullmatch(child) is None
        return inside is not None and single and numbers[2] <= inside[1] <= numbers[4]
    if not child.startswith(parent) or _LETTER_RANGE.fullmatch(child) or _NUMBER_RANGE.fullmatch(child):
        return False
    return not (parent[-1].isalpha() and child[len(parent)].isalpha())


def overlapping_codes(codes: Sequence[str], values: FloatArray) -> dict[str, tuple[str, ...]]:
    """Parents among `codes` with their children: the text says so and the numbers do not contradict it.

    The numbers decide between a hierarchy (1, 10, 11: "10" is a part of "1") and a plain count (1, …, 12):
    a parent is at least the sum of its children, but for rounding, in every region and period.

    Parameters
    ----------
    codes : s industry codes.
    values : (n, s, t) employment, output or plants, ≥ 0.
    """
    found = {}
    for j, parent in enumerate(codes):
        children = [k for k, child in enumerate(codes) if covers(parent, child)]
        # Only the widest children are summed: "C26" and "C261" are both inside "C" but overlap each other.
        widest = [k for k in children if not any(covers(codes[other], codes[k]) for other in children)]
        if not widest:
            continue
        inside = np.nansum(values[:, widest, :], axis=1)
        observed = ~np.isnan(values[:, j, :])
        if (values[:, j, :][observed] >= (1.0 - _ROUNDING) * inside[observed]).all():
            found[parent] = tuple(codes[k] for k in children)
    return found


def total_codes(codes: Sequence[str], values: FloatArray) -> tuple[str, ...]:
    """Codes that look like the total of the others: by name ("TOTAL", "合计", "00"), or their sum everywhere."""
    found = [code for code in codes if code.strip().casefold() in _TOTAL_NAMES]
    if len(codes) < 3:
        return tuple(found)
    everything = values.sum(axis=1)
    for j, code in enumerate(codes):
        others = everything - values[:, j, :]
        # Equal to rounding error of the sum; one cell alone may agree by chance.
        if code not in found and others.size > 1 and np.allclose(values[:, j, :], others, rtol=1e-9, atol=0.0):
            found.append(code)
    return tuple(found)


def find_codes(table: IndustryTable, codes: str | Sequence[str], role: str) -> list[int]:
    """Positions of `codes` on the industry axis; unknown and repeated codes are errors that name them."""
    wanted = [codes] if isinstance(codes, str) else [str(code) for code in codes]
    if not wanted:
        raise OptionError(f"no industry code is given for {role}", expected="at least one code of the table")
    repeated = sorted({code for code in wanted if wanted.count(code) > 1})
    if repeated:
        raise OptionError(
            f"the same code is given twice for {role}", got=show_labels(repeated), fix="name each code once"
        )
    unknown = [code for code in wanted if code not in table.industries]
    if unknown:
        hints = [did_you_mean(code, table.industries) for code in unknown]
        raise UnknownColumnError(
            f"{role}: codes that no row of the industry table has",
            got=show_labels(unknown),
            expected="one of " + show_labels(table.industries, 12),
            causes=("codes read as numbers lost a leading zero", "another revision or digit level of the code list"),
            fix=" ".join(hint for hint in hints if hint) or None,
        )
    return [table.industries.index(code) for code in wanted]


def require_disjoint(table: IndustryTable, rows: Sequence[int], role: str) -> None:
    """Raise unless the codes at `rows` count nothing twice."""
    codes = [table.industries[j] for j in rows]
    nested = overlapping_codes(codes, table.values[:, list(rows), :])
    if nested:
        raise ValueDomainError(
            f"{role} would count the same activity twice: some codes are parts of others",
            got="; ".join(f"{parent} contains {show_labels(children)}" for parent, children in nested.items()),
            expected="codes of one level that do not overlap",
            causes=(
                "the table mixes digit levels (2-digit and 4-digit codes)",
                "sections stand beside their divisions",
            ),
            fix="keep either the parent or its parts",
        )


def require_no_total_row(table: IndustryTable) -> None:
    """Raise if a row is the total of the others while all rows are about to be summed."""
    totals = total_codes(table.industries, table.values)
    if totals:
        raise ValueDomainError(
            "the total of all industries would be counted twice: a row of the table is itself a total",
            got=show_labels(totals),
            expected="rows that add up to the total, or the total row by name",
            fix=f"pass total={totals[0]!r}",
        )
