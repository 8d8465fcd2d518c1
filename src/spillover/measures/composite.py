"""The innovation-capability index: indicators → dimensions → one score per region and period."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from spillover.errors import (
    AlignmentError,
    AssumptionWarning,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
    check_option,
    did_you_mean,
    show_labels,
)
from spillover.measures.indicators import DIMENSIONS, IndicatorSpec, check_indicators
from spillover.measures.normalise import Goalposts, fixed_goalposts, min_max, pooled_goalposts
from spillover.measures.weighting import entropy_weights, equal_weights
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray

Weighting = Literal["entropy", "equal"]
Aggregation = Literal["linear", "geometric"]

# Above this share one indicator is the index, whatever the others say.
DOMINANT_WEIGHT = 0.4


@dataclass(frozen=True)
class IndicatorWeight:
    """What one indicator counts: its weight (a share of 1) and its goalposts (in its own unit)."""

    column: str
    dimension: str
    direction: int
    weight: float
    goalposts: Goalposts

    def row(self) -> dict[str, Any]:
        """One row of the table of weights."""
        return {
            "indicator": self.column,
            "dimension": self.dimension,
            "direction": self.direction,
            "weight": self.weight,
            "goalpost_low": self.goalposts.low,
            "goalpost_high": self.goalposts.high,
        }


@dataclass(frozen=True, eq=False)
class CompositeIndex:
    """A composite index. Made by `innovation_index`.

    Attributes
    ----------
    regions, periods : n region ids and t periods.
    scores : (n, t); 0 to 1 for linear, 1 to 100 for geometric aggregation (beyond only with fixed goalposts).
    dimensions : dimension → (n, t) score on the same scale, only those present.
    indicators : weight and goalposts of each indicator; the weights sum to one and are constant in time.
    contributions : column → (n, t). Linear: w_j z_j, summing to `scores`. Geometric: w_j ln(1 + 99 z_j), summing
        to ln(`scores`).
    weighting, aggregation : as asked for.
    notes : what a reader of the index should know, one sentence each.
    """

    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    scores: FloatArray
    dimensions: Mapping[str, FloatArray]
    indicators: tuple[IndicatorWeight, ...]
    contributions: Mapping[str, FloatArray]
    weighting: Weighting
    aggregation: Aggregation
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _read_only(self.scores))
        for field in ("dimensions", "contributions"):
            arrays = {name: _read_only(values) for name, values in getattr(self, field).items()}
            object.__setattr__(self, field, MappingProxyType(arrays))

    @property
    def weights(self) -> dict[str, float]:
        """Column → weight."""
        return {indicator.column: indicator.weight for indicator in self.indicators}

    @property
    def goalposts(self) -> dict[str, Goalposts]:
        """Column → goalposts."""
        return {indicator.column: indicator.goalposts for indicator in self.indicators}

    @property
    def unit(self) -> str:
        """The scale of the scores, in words."""
        return "score, 0 to 1" if self.aggregation == "linear" else "score, 1 to 100"

    def weight_rows(self) -> tuple[dict[str, Any], ...]:
        """Rows with indicator, dimension, direction, weight, goalpost_low, goalpost_high."""
        return tuple(indicator.row() for indicator in self.indicators)

    def overlap(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of `columns` that are inside the index: a regression of the index on them explains itself."""
        own = self.weights
        return tuple(column for column in columns if column in own)


def innovation_index(
    panel: Panel,
    indicators: Sequence[IndicatorSpec],
    weighting: Weighting = "entropy",
    aggregation: Aggregation = "linear",
    goalposts: Mapping[str, tuple[float, float]] | None = None,
) -> CompositeIndex:
    """The innovation-capability index of every region and period.

    z_j by min–max with goalposts pooled over all regions and periods; then linear Σ_j w_j z_j, or geometric
    Π_j (1 + 99 z_j)^{w_j}. A dimension's score is the same with the weights of its indicators scaled to one,
    so the index is the weighted mean (linear or geometric) of its dimensions.

    Parameters
    ----------
    panel : has every indicator, without missing cells.
    indicators : column, dimension and direction of each; a dimension may be absent, which a note records.
    weighting : "entropy" (pooled over regions and periods) or "equal" (across and within dimensions).
    aggregation : "linear" (a weak dimension can be made up for) or "geometric" (only in part).
    goalposts : column → (low, high) in the unit of the column, in place of the pooled extremes.

    Errors
    ------
    MissingCellError : a missing cell (never filled). UnknownColumnError : an indicator or goalpost that does not
    exist. OptionError : no or repeated indicators, unknown options, goalposts out of order. ValueDomainError :
    a constant indicator; values outside fixed goalposts where weights or logarithms then do not exist.

    Warns
    -----
    AssumptionWarning : with entropy weights, which depend on the normalisation; names an indicator of more
    than 40 % of the weight.

    Source: OECD & JRC (2008), Handbook on Constructing Composite Indicators, steps 5 to 7.
    """
    check_option("weighting", weighting, ("entropy", "equal"))
    check_option("aggregation", aggregation, ("linear", "geometric"))
    check_indicators(indicators, list(panel.variables))
    columns = [indicator.column for indicator in indicators]
    posts = _goalposts(panel, columns, goalposts or {})
    z = {i.column: min_max(panel[i.column], posts[i.column], i.direction, i.column) for i in indicators}
    weights = entropy_weights(z) if weighting == "entropy" else equal_weights([i.dimension for i in indicators])
    notes = [*_scope_notes(indicators), *_goalpost_notes(z, posts), *_skewness_notes(panel, columns)]
    if weighting == "entropy":
        caution = _entropy_caution(columns, weights)
        notes.append(caution)
        warnings.warn(caution, AssumptionWarning, stacklevel=2)
    parts = {c: w * _on_scale(z[c], aggregation, c) for c, w in zip(columns, weights, strict=True)}
    return CompositeIndex(
        regions=panel.regions,
        periods=panel.periods,
        scores=_from_scale(sum(parts.values(), np.zeros(panel.shape)), aggregation),
        dimensions=_dimension_scores(indicators, parts, weights, aggregation),
        indicators=tuple(
            IndicatorWeight(i.column, i.dimension, i.direction, float(w), posts[i.column])
            for i, w in zip(indicators, weights, strict=True)
        ),
        contributions=parts,
        weighting=weighting,
        aggregation=aggregation,
        notes=tuple(notes),
    )


def add_index(panel: Panel, index: CompositeIndex, name: str = "innovation_index", label: str = "") -> Panel:
    """A copy of `panel` with the scores as variable `name` and each dimension as `name`_creation, …

    Errors
    ------
    AlignmentError : the index is of other regions or periods. OptionError : a name that is taken.
    """
    if (index.regions, index.periods) != (panel.regions, panel.periods):
        only_index = sorted(set(index.regions) - set(panel.regions))
        only_panel = sorted(set(panel.regions) - set(index.regions))
        raise AlignmentError(
            "the index and the panel do not have the same regions and periods",
            got=f"only in the index: {show_labels(only_index) or 'none'}; only in the panel: "
            f"{show_labels(only_panel) or 'none'}; "
            f"periods {show_labels(index.periods)} and {show_labels(panel.periods)}",
            fix="compute the index from this panel",
        )
    added = {name: index.scores} | {f"{name}_{dimension}": values for dimension, values in index.dimensions.items()}
    taken = [column for column in added if column in panel]
    if taken:
        raise OptionError(
            "the panel already has variables of these names", got=show_labels(taken), fix="choose another name"
        )
    text = label or "Innovation capability"
    return panel.with_variables(
        added,
        units=dict.fromkeys(added, index.unit),
        labels={name: text} | {f"{name}_{dimension}": f"{text}: {dimension}" for dimension in index.dimensions},
        note=f"{name}: {index.aggregation} index of {len(index.indicators)} indicators with {index.weighting} weights "
        f"({', '.join(f'{column} {weight:.3f}' for column, weight in index.weights.items())})",
    )


# -- parts ----------------------------------------------------------------------------------------


def _goalposts(panel: Panel, columns: Sequence[str], given: Mapping[str, tuple[float, float]]) -> dict[str, Goalposts]:
    unknown = [column for column in given if column not in columns]
    if unknown:
        raise UnknownColumnError(
            "goalposts for columns that are not indicators",
            got=show_labels(unknown),
            expected="one of " + show_labels(columns, 12),
            fix=did_you_mean(unknown[0], columns) or None,
        )
    panel.complete(columns)
    return {
        column: fixed_goalposts(*given[column], name=column)
        if column in given
        else pooled_goalposts(panel[column], column)
        for column in columns
    }


def _on_scale(z: FloatArray, aggregation: Aggregation, name: str) -> FloatArray:
    """z itself, or ln(1 + 99 z) for geometric means: the logarithm needs scores from 1 to 100, not from 0."""
    if aggregation == "linear":
        return z
    rescaled = 1.0 + 99.0 * z
    if (rescaled <= 0).any():
        raise ValueDomainError(
            f"geometric aggregation needs positive scores, and {name!r} is far below its lower goalpost",
            fix='widen the goalposts of this indicator, or use aggregation="linear"',
        )
    return np.log(rescaled)


def _from_scale(values: FloatArray, aggregation: Aggregation) -> FloatArray:
    return values if aggregation == "linear" else np.exp(values)


def _dimension_scores(
    indicators: Sequence[IndicatorSpec],
    parts: Mapping[str, FloatArray],
    weights: FloatArray,
    aggregation: Aggregation,
) -> dict[str, FloatArray]:
    """Dimension → (n, t), in the order of the framework, the weights of its indicators scaled to one."""
    scores: dict[str, FloatArray] = {}
    for dimension in DIMENSIONS:
        members = [(i.column, w) for i, w in zip(indicators, weights, strict=True) if i.dimension == dimension]
        if members:
            total = np.sum([parts[column] for column, _ in members], axis=0)
            scores[dimension] = _from_scale(total / sum(weight for _, weight in members), aggregation)
    return scores


def _scope_notes(indicators: Sequence[IndicatorSpec]) -> list[str]:
    present = {indicator.dimension for indicator in indicators}
    absent = [dimension for dimension in DIMENSIONS if dimension not in present]
    notes = []
    if absent:
        notes.append(
            f"the index has no indicator of {' and '.join(absent)}; it does not cover all four dimensions of "
            "innovation capability"
        )
    columns = show_labels((indicator.column for indicator in indicators), 40)
    notes.append(f"the index contains {columns}; none of them may explain it in a model, which would explain itself")
    return notes


def _goalpost_notes(z: Mapping[str, FloatArray], posts: Mapping[str, Goalposts]) -> list[str]:
    return [
        f"{column}: cells outside the fixed goalposts {posts[column].low:g} to {posts[column].high:g}, which score "
        f"below 0 or above 1: {outside}"
        for column, values in z.items()
        if (outside := int(((values < 0) | (values > 1)).sum()))
    ]


def _skewness_notes(panel: Panel, columns: Sequence[str]) -> list[str]:
    """Flag |skewness| > 2 with excess kurtosis > 3.5, the rule of the JRC's audits of composite indicators."""
    from scipy import stats

    notes = []
    for column in columns:
        values = panel[column].ravel()
        if values.size < 4 or np.ptp(values) == 0:
            continue
        skewness, kurtosis = float(stats.skew(values, bias=False)), float(stats.kurtosis(values, bias=False))
        if abs(skewness) > 2.0 and kurtosis > 3.5:
            i, _ = np.unravel_index(int(np.argmax(np.abs(panel[column] - np.median(values)))), panel.shape)
            notes.append(
                f"{column} is very skewed (skewness {skewness:.1f}): {panel.regions[i]} sets the goalpost and most "
                "others score near it or near zero; consider its logarithm or a ratio"
            )
    return notes


def _entropy_caution(columns: Sequence[str], weights: FloatArray) -> str:
    text = "entropy weights depend on the normalisation and reward unevenness, not importance: compare equal ones"
    largest = int(np.argmax(weights))
    # Of one or two indicators one always has more than 40 %.
    if len(columns) > 2 and weights[largest] > DOMINANT_WEIGHT:
        text += f"; {columns[largest]} alone has {100 * weights[largest]:.0f} % of the weight"
    return text


def _read_only(values: FloatArray) -> FloatArray:
    array = np.array(values, dtype=float)
    array.setflags(write=False)
    return array
