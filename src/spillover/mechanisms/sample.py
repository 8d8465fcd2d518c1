"""From the panel to one common sample: which periods, how the treatment is dated, the columns of every equation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from spillover.errors import AlignmentError, DesignError, OptionError, WeightsError, did_you_mean, show_labels
from spillover.mechanisms.equation import OUTCOME, Equation, Term
from spillover.mechanisms.exposure import Exposure
from spillover.mechanisms.system import TREATMENT, System
from spillover.models.columns import HOLE_CAUSES
from spillover.models.complete import check_complete
from spillover.models.formula import plain
from spillover.panel.expressions import evaluate
from spillover.panel.panel import Panel
from spillover.panel.periods import count_periods
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

Weights: TypeAlias = SpatialWeights | Exposure
DEFAULT = "W"
HOLE_FIX = (
    'choose what goes: panel.complete([...], policy="drop-regions") or policy="drop-periods", '
    "or panel.select(periods=…), before the mediation"
)
LEAST_PERIODS = 4  # left after lagging, for the lagged version to be the default


@dataclass(frozen=True)
class Timing:
    """How many periods the treatment comes before the mediators, and the mediators before the outcome."""

    treatment: int
    mediators: int

    def shift(self, node: str | None, equation: str) -> int:
        """Periods by which a factor is older than the response of an equation."""
        ahead = self.mediators if equation == OUTCOME else 0
        if node == TREATMENT:
            return self.treatment + ahead
        return 0 if node is None else ahead


@dataclass(frozen=True, eq=False)
class Sample:
    """The data of all equations on the same regions and periods.

    Attributes
    ----------
    panel : the derived columns by their names, on the periods that all equations have.
    factors : (equation, factor) → (n, t) values as they enter.
    weights : (equation, name as written) → W aligned to the panel.
    notes : what was done, one sentence each.
    labels : variable of the panel → its display label, where it has one.
    """

    panel: Panel
    factors: Mapping[tuple[str, str], FloatArray]
    weights: Mapping[tuple[str, str], Weights]
    timing: Timing
    notes: tuple[str, ...]
    labels: Mapping[str, str]

    def feedback(self, equation: Equation) -> SpatialWeights | None:
        """The W of the equation's own lag."""
        if equation.feedback is None:
            return None
        found = self.weights[equation.name, equation.feedback]
        assert isinstance(found, SpatialWeights)
        return found


def column_name(name: str) -> str:
    """A term as the name of a column, which formulas then quote."""
    return name.replace("`", "")


def build_sample(
    system: System, panel: Panel, named: Mapping[tuple[str, str], Weights], lag: int | None, mediator_lag: int
) -> Sample:
    """Evaluate every factor with its date, lag every term in space, and keep the periods that all equations have.

    Parameters
    ----------
    named : (equation, name as written) → W, from `resolve_weights`.
    lag : periods by which the treatment comes before the mediators; None for 1 where that leaves four periods or more
        and less than half of the periods is lost, else 0.
    mediator_lag : periods by which the mediators come before the outcome.

    Raises
    ------
    OptionError : a lag that is no whole number. DesignError : too few periods for the lags.
    MissingCellError : cells that an equation needs.
    """
    timing, notes = _choose_timing(panel, lag, mediator_lag)
    dated: dict[tuple[str, str], str] = {}
    for equation in system.equations:
        dated[equation.name, equation.response] = plain(equation.response)
        for factor in equation.expressions:
            shift = timing.shift(system.nodes.get(plain(factor)), equation.name)
            dated[equation.name, factor] = plain(factor) if not shift else f"lag({plain(factor)}, periods={shift})"
    values = {text: evaluate(text, panel) for text in dict.fromkeys(dated.values())}
    kept = np.all([_has_period(array, text) for text, array in values.items()], axis=0)
    notes += _told_periods(panel, kept, timing)
    panel = panel.select(periods=[period for period, keep in zip(panel.periods, kept, strict=True) if keep])
    values = {text: array[:, kept] for text, array in values.items()}
    check_complete(values, panel, causes=HOLE_CAUSES, fix=HOLE_FIX, of="the mediation")
    factors = {key: values[text] for key, text in dated.items()}
    notes += _told_weights(named)
    columns = {column_name(e.response): factors[e.name, e.response] for e in system.equations}
    for equation in system.equations:
        for term in equation.terms:
            product = np.prod([factors[equation.name, factor] for factor in term.factors], axis=0)
            lag_of_term = None if term.lag is None else named[equation.name, term.lag]
            columns[term_column(equation, term)] = product if lag_of_term is None else lag_of_term.lag(product)
    return Sample(replace(panel, variables=columns, units={}, labels={}), factors, named, timing, notes, panel.labels)


def term_column(equation: Equation, term: Term) -> str:
    """Name of the column of a term; another W or another date is another column."""
    return f"{column_name(term.name)} [{equation.name}]"


def _has_period(values: FloatArray, text: str) -> np.ndarray:
    """(t,) False where a time lag reaches before the first period or over a gap, so that no region has a value."""
    if "lag(" not in text and "diff(" not in text:
        return np.ones(values.shape[1], dtype=bool)
    return np.asarray(np.isfinite(values).any(axis=0))


def _told_periods(panel: Panel, kept: np.ndarray, timing: Timing) -> tuple[str, ...]:
    lost = [panel.periods[j] for j in np.flatnonzero(~kept)]
    if int(kept.sum()) < 1:
        raise DesignError(
            "no period is left once the lags in time are taken",
            got=f"periods {show_labels(panel.periods, 12)}; lags of {timing.treatment} and {timing.mediators}",
            fix="use lag=0, or a longer panel",
        )
    return (f"Without the period before them these are left out: {show_labels(lost, 30)}.",) if lost else ()


def _choose_timing(panel: Panel, lag: int | None, mediator_lag: int) -> tuple[Timing, tuple[str, ...]]:
    for name, value in (("lag", lag), ("mediator_lag", mediator_lag)):
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < max(panel.shape[1], 1)
        if value is not None and not whole:
            raise OptionError(
                f"{name} is not a possible number of periods",
                got=repr(value),
                expected=f"a whole number from 0 to {panel.shape[1] - 1}",
            )
    given = lag
    if given is None:
        given = 1 if _allows_lag(panel, 1 + mediator_lag) else 0
    unit = "period" if given == 1 else "periods"
    if given:
        note = f"The treatment enters {given} {unit} before the mediators" + (
            f" and {given + mediator_lag} before the outcome." if mediator_lag else " and the outcome."
        )
    else:
        note = "Treatment, mediators and outcome are of the same period" + (
            ": the panel is too short for a lag." if lag is None else "."
        )
    return Timing(given, mediator_lag), (note,)


def _allows_lag(panel: Panel, lag: int) -> bool:
    counts = count_periods(panel.periods) if panel.is_panel else None
    if counts is None:
        return False
    left = sum(count - lag in set(counts) for count in counts)
    return left >= LEAST_PERIODS and left > len(counts) / 2


def resolve_weights(
    equations: Sequence[Equation], panel: Panel, weights: Weights | Mapping[str, Weights] | None
) -> dict[tuple[str, str], Weights]:
    """Every W by equation and name; "W" is the equation's own where one bears the equation's name.

    Raises
    ------
    OptionError : a W that an equation uses is missing. AlignmentError : the ids of a W and of the panel differ.
    WeightsError : an `Exposure` that lags a response.
    """
    given: dict[str, Weights] = {}
    if isinstance(weights, Mapping):
        given = dict(weights)
    elif weights is not None:
        given = {DEFAULT: weights}
    for name, w in given.items():
        if not isinstance(w, SpatialWeights | Exposure):
            raise OptionError(
                f"the weights {name!r} are not a SpatialWeights",
                got=type(w).__name__,
                fix="spillover.weights.from_object(W, regions=[…]) takes arrays, frames, graphs and sparse matrices",
            )
    aligned: dict[int, Weights] = {}
    found: dict[tuple[str, str], Weights] = {}
    for equation in equations:
        for name in equation.lag_names:
            key = equation.name if name == DEFAULT and equation.name in given else name
            if key not in given:
                raise _missing_weights(equation, name, given, panel)
            w = given[key]
            if id(w) not in aligned:
                try:
                    aligned[id(w)] = w.align(panel.regions)
                except AlignmentError as error:
                    raise AlignmentError(f"W {key!r}: {error}") from None
            found[equation.name, name] = aligned[id(w)]
        if equation.feedback is not None and isinstance(found[equation.name, equation.feedback], Exposure):
            raise WeightsError(
                f"equation of {equation.name!r}: an exposure includes the region itself and cannot lag the response",
                fix="lag the response with a W between different regions",
            )
    return found


def _told_weights(named: Mapping[tuple[str, str], Weights]) -> tuple[str, ...]:
    """Which W every equation uses, one sentence each; equations that share one are told together."""
    users: dict[tuple[str, int], list[str]] = {}
    kinds = {id(w): w.kind for w in named.values()}
    for (equation, name), w in named.items():
        users.setdefault((name, id(w)), []).append(equation)
    return tuple(f"{name} of {', '.join(names)}: {kinds[key]}." for (name, key), names in users.items())


def _missing_weights(equation: Equation, name: str, given: Mapping[str, Weights], panel: Panel) -> OptionError:
    product = ""
    if name in panel:
        product = f"{name!r} is a variable: write a product of variables as a:b, not a*b"
    return OptionError(
        f"the equation of {equation.name!r} lags in space by {name!r}, and no weights of that name are given",
        got=f"{equation.text}; weights: {show_labels(map(repr, given)) or 'none'}",
        expected=f"weights={{{name!r}: …}}",
        fix=product or did_you_mean(name, given) or "give weights=W for all equations, or {name: W} for each",
    )
