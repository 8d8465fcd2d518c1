"""A first study file for a user's table: what the columns seem to be, with every guess marked as one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import PanelError, SpilloverError, show_labels
from spillover.panel.tables import RawTable, open_table

_PERIOD = re.compile(
    r"^(year|period|time|date|jahr|ano|anno|année|annee|quarter|month|年份?|时间|时期)$", re.IGNORECASE
)
_REGION = re.compile(
    r"(region|province|state|county|city|nuts|fips|adcode|geo|code|prefecture|kreis|district|id$|地区|省|城市|市)",
    re.IGNORECASE,
)
_NAME = re.compile(r"(name|label|名)", re.IGNORECASE)
_OUTCOME = re.compile(r"(patent|innov|invention|new_?prod|publication|paper|专利|创新)", re.IGNORECASE)
_AGGLOMERATION = re.compile(
    r"(hti|high_?tech|hightech|^lq|_lq|location_quotient|agglom|emp_ht|高新|高技术|集聚)", re.IGNORECASE
)
_MAPS = (".geojson", ".gpkg", ".shp")
_PLAIN = re.compile(r"^[^\W\d]\w*$")


@dataclass(frozen=True)
class Guess:
    """What the columns of a table seem to be."""

    region: str
    period: str | None
    name: str | None
    outcome: str
    agglomeration: str
    controls: tuple[str, ...]
    numeric: tuple[str, ...]
    texts: tuple[str, ...]
    periods: int


def propose_study(table: str | os.PathLike[str], folder: Path) -> str:
    """The text of a study file for `table`, to be written into `folder`.

    Raises
    ------
    FileError : the table cannot be read.
    PanelError : no column tells regions apart, or fewer than two columns hold numbers.
    """
    path = Path(table)
    raw = open_table(path)
    guess = guess_columns(raw)
    beside = _map_beside(path, raw, guess)
    return _compose(guess, _relative(path, folder), None if beside is None else _relative(beside, folder))


def guess_columns(raw: RawTable) -> Guess:
    """Region, period, outcome and regressors of a table, by names and by what identifies its rows."""
    columns = dict(raw.columns)
    period = _guess_period(columns)
    region = _guess_region(columns, period, raw.source)
    numeric = [name for name, values in columns.items() if name not in (region, period) and _is_variable(values)]
    if len(numeric) < 2:
        raise PanelError(
            f"{raw.source} has fewer than two columns of numbers, so there is nothing to explain",
            got=show_labels(columns),
            expected="an outcome (patents) and a measure of agglomeration",
        )
    texts = [name for name in columns if name not in (region, period, *numeric)]
    varying = [name for name in numeric if not _is_constant_in_time(columns, name, region)] if period else numeric
    pool = varying if len(varying) > 1 else numeric
    outcome = _best(pool, columns, _OUTCOME, not_like=_AGGLOMERATION) or pool[-1]
    rest = [name for name in pool if name != outcome]
    agglomeration = _best(rest, columns, _AGGLOMERATION, not_like=_OUTCOME) or rest[0]
    # Another outcome is no control: patents do not explain patents.
    plain = [name for name in rest if not _OUTCOME.search(name) and not _AGGLOMERATION.search(name)]
    complete = [name for name in plain if name != agglomeration and _missing(columns[name]) == 0]
    names = [name for name in texts if _NAME.search(name) and _one_per_region(columns, name, region)]
    return Guess(
        region=region,
        period=period,
        name=names[0] if names else None,
        outcome=outcome,
        agglomeration=agglomeration,
        controls=tuple(complete[:2]),
        numeric=tuple(numeric),
        texts=tuple(texts),
        periods=len(set(columns[period].tolist())) if period else 1,
    )


def _guess_period(columns: dict[str, Any]) -> str | None:
    named = [name for name in columns if _PERIOD.match(name)]
    if named:
        return named[0]
    for name, values in columns.items():
        numbers = _numbers(values)
        if numbers is not None and np.isfinite(numbers).all() and np.all(numbers == np.round(numbers)):
            years = np.unique(numbers)
            if len(years) < len(numbers) and years[0] >= 1900 and years[-1] <= 2100 and len(years) <= 150:
                return name
    return None


def _guess_region(columns: dict[str, Any], period: str | None, source: str) -> str:
    """The column that, with the period, identifies every row; a speaking name wins."""
    fitting = []
    for name, values in columns.items():
        if name == period:
            continue
        keys = list(zip(values.tolist(), columns[period].tolist(), strict=True)) if period else values.tolist()
        whole = _numbers(values) is None or np.all(_numbers(values) == np.round(_numbers(values)))
        repeats = not period or len(set(values.tolist())) < len(values)
        if len(set(keys)) == len(keys) and None not in values.tolist() and whole and repeats:
            fitting.append(name)
    if not fitting:
        raise PanelError(
            f"no column of {source} tells the regions apart",
            got=f"columns {show_labels(columns, 12)}"
            + (f"; periods in {period!r}" if period else "; no period column"),
            expected="one row per region and period",
            causes=("a region and period in more than one row", "one column per year (a wide table)"),
            fix="bring the table into long form: region, period, one column per variable",
        )
    ids = [name for name in fitting if _REGION.search(name) and not _NAME.search(name)]
    return (ids or [name for name in fitting if _REGION.search(name)] or fitting)[0]


def _numbers(values: Any) -> Any:
    """The column as floats, blanks as NaN; None when it holds texts."""
    if values.dtype != object:
        return values.astype(float) if values.dtype != bool else None
    try:
        return np.array([np.nan if v is None or not str(v).strip() else float(v) for v in values.tolist()])
    except (TypeError, ValueError):
        return None


def _is_variable(values: Any) -> bool:
    numbers = _numbers(values)
    return numbers is not None and np.isfinite(numbers).any() and len(np.unique(numbers[np.isfinite(numbers)])) > 2


def _missing(values: Any) -> int:
    """Blank cells of a column of numbers."""
    return int((~np.isfinite(_numbers(values))).sum())


def _is_constant_in_time(columns: dict[str, Any], name: str, region: str) -> bool:
    return _one_per_region(columns, name, region)


def _one_per_region(columns: dict[str, Any], name: str, region: str) -> bool:
    pairs = set(zip(columns[region].tolist(), columns[name].tolist(), strict=True))
    return len(pairs) == len(set(columns[region].tolist()))


def _best(
    names: Sequence[str], columns: dict[str, Any], pattern: re.Pattern[str], not_like: re.Pattern[str]
) -> str | None:
    """The most complete column whose name fits the pattern; names that also fit the other pattern come last."""
    fitting = [name for name in names if pattern.search(name)]
    order = {name: (bool(not_like.search(name)), _missing(columns[name])) for name in fitting}
    return min(fitting, key=order.__getitem__, default=None)


def _map_beside(path: Path, raw: RawTable, guess: Guess) -> Path | None:
    """The one map in the folder of the table whose ids contain those of the table."""
    from spillover.panel.geometry import read_map
    from spillover.panel.keys import read_keys

    candidates = sorted(item for item in path.resolve().parent.iterdir() if item.suffix.lower() in _MAPS)
    regions = read_keys(raw, guess.region, guess.period).regions
    for candidate in candidates:
        try:
            read_map(candidate, regions, region=guess.region, policy="table")
        except SpilloverError:
            continue
        return candidate
    return None


def _relative(path: Path, folder: Path) -> str:
    """The path as seen from the study file, with forward slashes."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _compose(guess: Guess, table: str, geometry: str | None) -> str:
    quote = _quote
    effects = "two-way" if guess.periods > 1 else "none"
    lines = [
        "# A proposal, made by looking at the columns. Every line marked ? is a guess: read it before you run it.",
        "#   spillover check study.toml    all problems at once",
        "#   spillover run study.toml      the study",
        "",
        "[study]",
        f"title = {quote('Does high-tech agglomeration raise innovation at home and next door?')}",
        "seed = 1",
        "",
        "[data]",
        f"table = {quote(table)}",
        f"region = {quote(guess.region)}  # ? ids of the regions",
        *(
            [f"period = {quote(guess.period)}  # ?"]
            if guess.period
            else ["# period = …  # a cross-section: none found"]
        ),
        *([f"name = {quote(guess.name)}  # ? display names"] if guess.name else []),
        *(
            [f"geometry = {quote(geometry)}  # ? found beside the table"]
            if geometry
            else ['# geometry = "regions.geojson"  # a map with the same region ids; none was found beside the table']
        ),
        'missing = "error"  # or "drop-regions", "drop-periods": nothing is filled or dropped unless you say so',
        f"# columns with numbers: {_comment(', '.join(guess.numeric))}",
        f"# other columns: {_comment(', '.join(guess.texts) or 'none')}",
        "",
        "[agglomeration]",
        'measure = "column"  # or "location-quotient" with sector = and total =, or "density" with sector = and area =',
        f"column = {quote(guess.agglomeration)}  # ? the measure of high-tech agglomeration",
        'name = "agglomeration"',
        "",
        "[innovation]",
        f"column = {quote(guess.outcome)}  # ? the outcome; divide by population with [[derive]] if it is a count",
        "",
        *_weights_lines(geometry),
        "",
        "[[models]]",
        'name = "main"',
        f"formula = {quote(_formula(guess))}  # ?",
        f"model = {quote('sdm')}",
        f"effects = {quote(effects)}",
        "main = true",
        "",
    ]
    return "\n".join(lines)


def _weights_lines(geometry: str | None) -> list[str]:
    if geometry is None:
        return [
            "[[weights]]",
            'name = "neighbours"',
            'kind = "file"',
            'file = "weights.csv"  # ? an edge list focal,neighbor,weight (focal receives) or a square table with ids',
        ]
    return [
        "[[weights]]",
        'name = "5 nearest"',
        'kind = "knn"  # the k nearest regions',
        "k = 5",
        "",
        "# A second W shows whether the result depends on the choice of neighbours; name it in weights = of a model.",
        "# [[weights]]",
        '# name = "queen"',
        '# kind = "queen"  # regions that share a border or a corner',
        '# islands = "nearest"  # what to do with regions without neighbours; they are an error unless you choose',
    ]


def _formula(guess: Guess) -> str:
    """Level terms as they stand; logs are the user's decision, because zeros have none."""
    regressors = ["agglomeration", *(_name(control) for control in guess.controls)]
    return f"{_name(guess.outcome)} ~ {' + '.join(regressors)}"


def _name(column: str) -> str:
    return column if _PLAIN.match(column) else f"`{column}`"


def _quote(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
