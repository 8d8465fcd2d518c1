"""Region ids as text: the only thing by which tables, maps and W are matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from spillover.errors import AlignmentError, WeightsError, did_you_mean, show_labels
from spillover.panel.clean import whole_ids
from spillover.panel.wording import clean_text, near_misses


def as_text(value: Any) -> str:
    """One id as text: blanks around it and invisible signs removed, Unicode NFC, whole numbers without ".0".

    Empty if it is missing.

    >>> as_text(110000), as_text(110000.0), as_text(" 01001")
    ('110000', '110000', '01001')
    """
    if isinstance(value, str) and value.isascii():
        return value.strip()  # nearly all cells of a large table
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, Integral):
        return str(int(value))
    if value is None or (isinstance(value, Real) and value != value):
        return ""
    if isinstance(value, Real) and float(value).is_integer():
        return str(int(float(value)))
    text = clean_text(str(value))
    return "" if text in ("<NA>", "NaT") and not isinstance(value, str) else text


def as_region_ids(values: Iterable[Any], where: str, what: str = "region") -> tuple[str, ...]:
    """Ids as text, in the given order; `WeightsError` if one is blank or occurs twice. `where` names the source."""
    ids = tuple(whole_ids([as_text(value) for value in values]))
    blank = [str(i + 1) for i, region in enumerate(ids) if not region]
    if blank:
        raise WeightsError(
            f"blank {what} ids in {where}",
            got="entries " + show_labels(blank),
            expected=f"an id for every {what}",
            causes=("empty rows at the end of a spreadsheet", "the wrong column was taken for the ids"),
        )
    repeated = sorted(region for region, count in Counter(ids).items() if count > 1)
    if repeated:
        raise WeightsError(
            f"{what} ids in {where} are not unique",
            got=show_labels(repeated),
            expected=f"every {what} once",
            causes=("a region that consists of several rows or shapes", "a region × year table instead of regions")
            if what == "region"
            else (),
            fix=f"keep one row per {what}"
            + (" (dissolve several shapes of one region into one)" if what == "region" else ""),
        )
    return ids


def names_of(source: Any) -> dict[str, str]:
    """Region id → display name of a panel whose regions have names; empty for every other source."""
    regions, names = getattr(source, "regions", ()), getattr(source, "names", ())
    if not isinstance(names, tuple) or len(names) != len(regions):
        return {}
    return {region: name for region, name in zip(regions, names, strict=True) if region != name}


def positions_of(wanted: Iterable[str], regions: Sequence[str], where: str) -> list[int]:
    """Positions of ids; `AlignmentError` with suggestions for those that are not among `regions`."""
    position = {region: i for i, region in enumerate(regions)}
    ids = [as_text(region) for region in wanted]
    unknown = sorted(set(ids) - set(regions))
    if unknown:
        raise AlignmentError(
            f"{where}: {len(unknown)} region ids are not known",
            got=show_labels(unknown),
            expected="ids such as " + show_labels(regions),
            causes=("ids read as numbers lost their leading zeros", "different code lists or vintages"),
            fix=did_you_mean(unknown[0], regions) or None,
        )
    return [position[region] for region in ids]


def check_same_ids(left: Sequence[str], right: Sequence[str], left_name: str, right_name: str) -> None:
    """`AlignmentError` that shows both sides unless both hold the same ids, in any order."""
    only_left, only_right = sorted(set(left) - set(right)), sorted(set(right) - set(left))
    if only_left or only_right:
        raise AlignmentError(
            f"the region ids of {left_name} and of {right_name} are not the same",
            got=f"only in {left_name}: {show_labels(only_left) or 'none'}; "
            f"only in {right_name}: {show_labels(only_right) or 'none'}",
            expected=f"the same ids on both sides ({len(left)} in {left_name}, {len(right)} in {right_name})",
            causes=(
                *near_misses(only_left, only_right, f"in {right_name}"),
                "ids read as numbers lost their leading zeros",
                "different code lists or vintages",
                "a row or a column was left out",
            ),
        )
