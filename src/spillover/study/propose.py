"""A first study file for a user's table: what the columns seem to be, with every guess marked as one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import PanelError, show_labels
from spillover.panel.clean import to_text, whole_ids
from spillover.panel.tables import RawTable, open_table
from spillover.panel.wording import count_of
from spillover.study.beside import Found, matching_map, matching_weights
from spillover.study.totals import without_parts

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
_POPULATION = re.compile(r"^(pop|population|inhabitants|residents|人口|常住人口)$", re.IGNORECASE)
_PLACE = re.compile(
    r"(^|_)(lon|lng|long|longitude|lat|latitude|centroid|coord|coords|area|area_km2|km2|sqkm|面积|经度|纬度)(_|$)",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"(^|_)(pc|per|rate|share|ratio|pct|percent|pmhab|pm|lq|index|intensity|density|growth|mean|avg)(_|$)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"^[^\W\d]\w*$")
_SKEWED = 2.0  # largest value over the median from which a positive variable is proposed in logs
_COUNT = 20  # whole numbers that reach this far are counts


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
    population: str | None  # where counts can be divided by it
    counts: tuple[str, ...]  # of outcome and agglomeration
    logs: tuple[str, ...]  # of outcome, agglomeration and controls: positive and skewed
    missing: str
    missing_note: str
    is_high_tech: bool  # a column speaks of high technology


@dataclass(frozen=True)
class Beside:
    """What was found beside the table, with paths as the study file writes them."""

    geometry: str | None
    name: str | None  # a column of the map with display names
    weights: tuple[tuple[str, Found], ...]
    foreign: tuple[str, ...]  # weights whose ids are in no column of the table


def propose_study(table: str | os.PathLike[str], folder: Path, encoding: str | None = None) -> str:
    """The text of a study file for `table`, to be written into `folder`.

    encoding : of a text table; UTF-8 by default.

    Raises
    ------
    FileError : the table cannot be read.
    PanelError : no column tells regions apart, or fewer than two columns hold numbers.
    """
    path = Path(table)
    raw = open_table(path, encoding)
    columns = dict(raw.columns)
    period = _guess_period(columns)
    candidates = {name: _ids(columns[name]) for name in _region_columns(columns, period, raw.source)}
    weights, foreign = matching_weights(path, candidates)
    drawn = matching_map(path, candidates)
    # Ids that a map or a W has are the ones to match by; the map also serves where both differ.
    region = drawn.column if drawn is not None else weights[0][1] if weights else next(iter(candidates))
    guess = guess_columns(raw, region)
    beside = Beside(
        geometry=None if drawn is None else _relative(drawn.path, folder),
        name=next((each for each in drawn.attributes if _NAME.search(each)), None) if drawn is not None else None,
        weights=tuple((_relative(found.path, folder), found) for found, column in weights if column == region),
        foreign=tuple(_relative(each, folder) for each in foreign),
    )
    return _compose(guess, _relative(path, folder), beside, encoding)


def guess_columns(raw: RawTable, region: str | None = None) -> Guess:
    """Region, period, outcome and regressors of a table, by names and by what identifies its rows."""
    columns = dict(raw.columns)
    period = _guess_period(columns)
    region = region or _region_columns(columns, period, raw.source)[0]
    numeric = [name for name, values in columns.items() if name not in (region, period) and _is_variable(values)]
    usable = [name for name in numeric if not _PLACE.search(name) and not _POPULATION.match(name)]
    usable = [name for name in usable if not (_REGION.search(name) and _one_per_region(columns, name, region))]
    if len(usable) < 2:
        raise PanelError(
            f"{raw.source} has fewer than two columns of numbers to work with, so there is nothing to explain",
            got=show_labels(columns),
            expected="an outcome (patents) and a measure of agglomeration, beside ids, places and population",
        )
    texts = [name for name in columns if name not in (region, period, *numeric)]
    varying = [name for name in usable if not _is_absorbed(columns, name, region, period)] if period else usable
    pool = varying if len(varying) > 1 else usable
    outcome = _best(pool, columns, _OUTCOME, not_like=_AGGLOMERATION) or pool[-1]
    rest = [name for name in pool if name != outcome]
    named = _best(rest, columns, _AGGLOMERATION, not_like=_OUTCOME)
    agglomeration = named or rest[0]
    # Another outcome is no control: patents do not explain patents.
    plain = [name for name in rest if not _OUTCOME.search(name) and not _AGGLOMERATION.search(name)]
    complete = [name for name in plain if name != agglomeration and _missing(columns[name]) == 0]
    # A total beside its part says the same thing twice, and its coefficient means something else.
    values = {name: _numbers(columns[name]) for name in numeric}
    controls = without_parts(complete, (outcome, agglomeration), values)[:2]
    population = next((n for n in numeric if _POPULATION.match(n) and _all_positive(columns[n])), None)
    counts = tuple(n for n in (outcome, agglomeration) if population and _is_count(columns[n], n))
    used = [outcome, agglomeration, *controls, *([population] if counts and population else [])]
    missing, note = _missing_policy(columns, region, period, used)
    return Guess(
        region=region,
        period=period,
        name=_guess_name(columns, region, texts),
        outcome=outcome,
        agglomeration=agglomeration,
        controls=tuple(controls),
        numeric=tuple(numeric),
        texts=tuple(texts),
        periods=len(set(columns[period].tolist())) if period else 1,
        population=population if counts else None,
        counts=counts,
        logs=tuple(n for n in (outcome, agglomeration, *controls) if _wants_log(columns[n])),
        missing=missing,
        missing_note=note,
        is_high_tech=named is not None,
    )


def _ids(values: Any) -> list[str]:
    """The distinct ids of a column, as a panel has them."""
    return list(dict.fromkeys(whole_ids([text for cell in values.tolist() if (text := to_text(cell))])))


def _guess_name(columns: dict[str, Any], region: str, texts: Sequence[str]) -> str | None:
    """Texts that are constant in a region: one called a name, else one that is different in every region."""
    constant = [name for name in texts if _one_per_region(columns, name, region)]
    named = [name for name in constant if _NAME.search(name)]
    count = len(set(columns[region].tolist()))
    different = [name for name in constant if len(set(columns[name].tolist())) == count]
    return next(iter([name for name in named if name in different] or named or different), None)


def _all_positive(values: Any) -> bool:
    numbers = _numbers(values)
    seen = numbers[np.isfinite(numbers)]
    return bool(seen.size and (seen > 0).all())


def _is_count(values: Any, name: str) -> bool:
    """Numbers of things that reach far, under a name that does not speak of a rate."""
    numbers = _numbers(values)
    seen = numbers[np.isfinite(numbers)]
    far = bool((seen >= 0).all() and seen.max() >= _COUNT)
    whole = bool((seen == np.round(seen)).all()) or bool(_OUTCOME.search(name))  # patents are also counted in parts
    return far and whole and not _RATE.search(name)


def _wants_log(values: Any) -> bool:
    """Positive everywhere and skewed to the right."""
    numbers = _numbers(values)
    seen = numbers[np.isfinite(numbers)]
    return _all_positive(values) and float(seen.max()) > _SKEWED * float(np.median(seen))


def _missing_policy(columns: dict[str, Any], region: str, period: str | None, used: Sequence[str]) -> tuple[str, str]:
    """What to do about blanks in the columns that are used: the policy that keeps more cells, and what it costs."""
    regions = columns[region].tolist()
    periods = columns[period].tolist() if period else [0] * len(regions)
    blank = np.zeros(len(regions), dtype=bool)
    for name in used:
        blank |= ~np.isfinite(_numbers(columns[name]))
    all_regions, all_periods = set(regions), set(periods)
    observed = {(r, p) for r, p, hole in zip(regions, periods, blank.tolist(), strict=True) if not hole}
    holes = [(r, p) for r in all_regions for p in all_periods if (r, p) not in observed]
    if not holes:
        return "error", 'or "drop-regions", "drop-periods": nothing is filled or dropped unless you say so'
    hit_regions, hit_periods = {r for r, _ in holes}, {p for _, p in holes}
    n, t = len(all_regions), len(all_periods)
    by_region, by_period = (n - len(hit_regions)) * t, n * (t - len(hit_periods))
    touched = f"{len(hit_regions)} of {n} regions and {len(hit_periods)} of {t} periods"
    what = f"blanks in the columns used below touch {touched}"
    if by_region == 0 and by_period == 0:
        return "error", f"{what}: choose other columns, periods = […] or exclude = […]"
    if by_region >= by_period:
        return "drop-regions", f"? {what}; this leaves {count_of(len(hit_regions), 'region')} out"
    return "drop-periods", f"? {what}; this leaves {count_of(len(hit_periods), 'period')} out"


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


def _region_columns(columns: dict[str, Any], period: str | None, source: str) -> list[str]:
    """Columns that, with the period, identify every row; speaking names first."""
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
    order = {n: (not _REGION.search(n), bool(_NAME.search(n)), fitting.index(n)) for n in fitting}
    return sorted(fitting, key=order.__getitem__)


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


def _is_absorbed(columns: dict[str, Any], name: str, region: str, period: str) -> bool:
    """Constant in time, or the same in all regions (a national series): the effects say it already."""
    return _one_per_region(columns, name, region) or _one_per_region(columns, name, period)


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


def _relative(path: Path, folder: Path) -> str:
    """The path as seen from the study file, with forward slashes."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _compose(guess: Guess, table: str, beside: Beside, encoding: str | None) -> str:
    quote = _quote
    effects = "two-way" if guess.periods > 1 else "none"
    title = f"{guess.outcome} and {guess.agglomeration} of regions"
    if guess.is_high_tech:
        title = "Does high-tech agglomeration go with innovation, at home and next door?"
    lines = [
        "# A proposal, made by looking at the columns. Every line marked ? is a guess: read it before you run it.",
        "#   spillover check study.toml    all problems at once",
        "#   spillover run study.toml      the study",
        "",
        "[study]",
        f"title = {quote(title)}  # ?",
        "seed = 1",
        "",
        "[data]",
        f"table = {quote(table)}",
        *([] if encoding is None else [f"encoding = {quote(encoding)}"]),
        f"region = {quote(guess.region)}  # ? ids of the regions",
        *(
            [f"period = {quote(guess.period)}  # ?"]
            if guess.period
            else ["# period = …  # a cross-section: none found"]
        ),
        *([f"name = {quote(name)}  # ? display names"] if (name := guess.name or beside.name) else []),
        *(
            [f"geometry = {quote(beside.geometry)}  # ? found beside the table"]
            if beside.geometry
            else ['# geometry = "regions.geojson"  # a map with the same region ids; none was found beside the table']
        ),
        f"missing = {quote(guess.missing)}  # {guess.missing_note}",
        f"# columns with numbers: {_comment(', '.join(guess.numeric))}",
        f"# other columns: {_comment(', '.join(guess.texts) or 'none')}",
        "",
        *_derive_lines(guess),
        "[agglomeration]",
        'measure = "column"  # or "location-quotient" with sector = and total =, or "density" with sector = and area =',
        f"column = {quote(_variable(guess, guess.agglomeration))}  # ? "
        + ("the measure of high-tech agglomeration" if guess.is_high_tech else "no column speaks of agglomeration"),
        'name = "agglomeration"',
        "",
        "[innovation]",
        f"column = {quote(_variable(guess, guess.outcome))}  # ? the outcome",
        "",
        *_weights_lines(guess, beside),
        "",
        "[[models]]",
        'name = "main"',
        f"formula = {quote(_formula(guess))}  # ?" + (" logs: positive and skewed to the right" if guess.logs else ""),
        f"model = {quote('sdm')}",
        f"effects = {quote(effects)}",
        "main = true",
        "",
    ]
    return "\n".join(lines)


def _derive_lines(guess: Guess) -> list[str]:
    """Counts per 10,000 persons: raw counts mostly say how large a region is."""
    lines = []
    for column in guess.counts:
        lines += [
            "[[derive]]  # ? a count: per person it does not merely say how large a region is",
            f"name = {_quote(_variable(guess, column))}",
            f"expression = {_quote(f'1e4 * {_name(column)} / {_name(str(guess.population))}')}",
            f"label = {_quote(f'{column} per 10,000 of {guess.population}')}",
            "",
        ]
    return lines


def _variable(guess: Guess, column: str) -> str:
    plain = re.sub(r"\W+", "_", column)
    return f"{plain}_per_10000" if column in guess.counts else column


def _weights_lines(guess: Guess, beside: Beside) -> list[str]:
    lines: list[str] = []
    for path, found in sorted(beside.weights, key=lambda item: item[1].is_distance):
        name = found.path.stem
        kind = "distance-file" if found.is_distance else "file"
        said = "distances: weights are 1 / distance" if found.is_distance else "who is whose neighbour"
        lines += [
            "[[weights]]",
            f"name = {_quote(name)}",
            f"kind = {_quote(kind)}",
            f"file = {_quote(path)}  # ? found beside the table, with its region ids; {said}",
            *(
                [f"edge_columns = [{', '.join(map(_quote, found.edge_columns))}]  # ? receiver, sender"]
                if found.edge_columns
                else []
            ),
            *(["both_ways = true  # ? no pair stands in both directions"] if found.both_ways else []),
            'islands = "nearest"  # ? what to do with regions without neighbours'
            if (found.both_ways or found.has_islands) and beside.geometry
            else '# islands = "nearest"  # what to do with regions without neighbours; an error unless you choose',
            "",
        ]
    if beside.geometry is not None:
        lines += [
            "[[weights]]",
            'name = "5 nearest"',
            'kind = "knn"  # the k nearest regions',
            "k = 5",
            "",
            "# Another W shows whether the result depends on the choice of neighbours: weights = of a model names it.",
            "# [[weights]]",
            '# name = "queen"',
            '# kind = "queen"  # regions that share a border or a corner',
            '# islands = "nearest"  # what to do with regions without neighbours; they are an error unless you choose',
        ]
    if lines:
        return lines[:-1] if not lines[-1] else lines
    if beside.foreign:
        return [
            "[[weights]]",
            'name = "neighbours"',
            'kind = "file"',
            f"file = {_quote(beside.foreign[0])}  # ? beside the table, but no column of it has its ids: add one",
        ]
    return [
        "[[weights]]",
        'name = "neighbours"',
        'kind = "file"',
        'file = "weights.csv"  # ? an edge list focal,neighbor,weight (focal receives) or a square table with ids',
    ]


def _formula(guess: Guess) -> str:
    """Positive skewed variables in logs; a log of zero has no value, so others stand as they are."""
    outcome = _term(guess, guess.outcome, _variable(guess, guess.outcome))
    regressors = [_term(guess, guess.agglomeration, "agglomeration")]
    regressors += [_term(guess, control, control) for control in guess.controls]
    return f"{outcome} ~ {' + '.join(regressors)}"


def _term(guess: Guess, column: str, variable: str) -> str:
    return f"log({_name(variable)})" if column in guess.logs else _name(variable)


def _name(column: str) -> str:
    return column if _PLAIN.match(column) else f"`{column}`"


def _quote(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
