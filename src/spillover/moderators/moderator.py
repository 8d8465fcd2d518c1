"""`Moderator`: a variable that strengthens or weakens an effect, read from a panel, centred and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError, OptionError, check_option, show_labels
from spillover.models.columns import HOLE_CAUSES
from spillover.models.complete import check_complete
from spillover.models.design import check_magnitude
from spillover.models.formula import evaluate_term, plain, tidy, variables_in
from spillover.panel.expressions import divisors_in
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

Moderators: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""One expression of panel variables, several, or name → expression."""

CONSTANT = 1e-10  # of its size that a variable must vary by; less is rounding
QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)


@dataclass(frozen=True, eq=False)
class Moderator:
    """A moderator z.

    Attributes
    ----------
    name : as results show it.
    values : (n, t) as observed.
    centre : the value at which the coefficients of the regressors alone hold.
    """

    name: str
    values: FloatArray
    centre: float

    @property
    def centred(self) -> FloatArray:
        """(n, t) z − centre."""
        return np.asarray(self.values - self.centre)

    @property
    def is_fixed(self) -> bool:
        """Whether z is constant in time in every region."""
        return bool(np.ptp(self.values, axis=1).max() <= CONSTANT * max(float(np.abs(self.values).max()), 1e-300))

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest observed value."""
        return float(self.values.min()), float(self.values.max())

    def quantiles(self, shares: Sequence[float] = QUANTILES) -> FloatArray:
        """Values of z at shares of its observed cells."""
        return np.asarray(np.quantile(self.values, shares))


def read_moderators(
    panel: Panel,
    moderators: Moderators,
    centre: float | str | Mapping[str, float] = "mean",
    *,
    outcome: str | None = None,
) -> tuple[Moderator, ...]:
    """Moderators from expressions of panel variables.

    Parameters
    ----------
    centre : "mean", one number for all, or name → number.
    outcome : expression of the outcome, which no moderator may be made of.

    Raises
    ------
    MissingCellError : missing cells, named. DesignError : a moderator that does not vary.
    OptionError : none given, a name twice, a centre that is no number, a moderator made of the outcome.
    ValueDomainError : values beyond what can be squared.
    """
    given = _named(moderators)
    if isinstance(centre, Mapping) and not centre.keys() <= given.keys():
        raise OptionError(
            "a centre is given for what is no moderator",
            got=show_labels(repr(name) for name in centre if name not in given),
            expected=show_labels(given, 12),
        )
    if outcome is not None:
        for expression in given.values():
            refuse_outcome(expression, outcome, _made_of(expression) & _made_of(outcome))
    values = {name: evaluate_term((expression,), panel) for name, expression in given.items()}
    check_complete(values, panel, causes=HOLE_CAUSES, fix="fill or drop the cells first", of="the moderators")
    for name, z in values.items():
        check_magnitude(name, z)
    return tuple(Moderator(name, z, _centre(name, z, centre)) for name, z in values.items() if _varies(name, z))


def _named(moderators: object) -> dict[str, str]:
    """Name → expression; a single expression is its own name."""
    if isinstance(moderators, Mapping):
        given, count = dict(moderators), len(moderators)
    else:
        several = [moderators] if isinstance(moderators, str) else moderators
        several = list(several) if isinstance(several, Sequence) else [several]
        given, count = {tidy(each) if isinstance(each, str) else each: each for each in several}, len(several)
    texts = all(isinstance(text, str) and text.strip() for pair in given.items() for text in pair)
    if not given or not texts or len(given) != count:
        raise OptionError(
            "moderators are one or more different expressions of panel variables",
            got=repr(moderators),
            fix='for example moderators="environment" or ("policy", "infrastructure", "culture")',
        )
    return given


def _made_of(expression: str) -> frozenset[str]:
    """The panel's variables in an expression, without what it only divides by."""
    return frozenset(variables_in(expression)) - frozenset(divisors_in(plain(expression)))


def refuse_outcome(expression: str, outcome: str, shared: Set[str]) -> None:
    """Refuse a moderator that is made of the outcome's variables; `shared` names them."""
    if shared:
        raise OptionError(
            f"{show_labels(sorted(shared))} is part of the moderator and of the outcome",
            got=f"{expression}; {outcome}",
            expected="a moderator that is not made of the outcome: it would moderate itself",
            fix="choose another variable, or take it out of the index",
        )


def read_one(panel: Panel, variable: str | Mapping[str, str], *, outcome: str | None = None) -> Moderator:
    """One variable, as an expression or under a name of its own; raises what `read_moderators` raises."""
    found = read_moderators(panel, variable, outcome=outcome)
    if len(found) != 1:
        raise OptionError("one variable is needed", got=", ".join(z.name for z in found))
    return found[0]


def _varies(name: str, values: FloatArray) -> bool:
    if np.ptp(values) > CONSTANT * max(float(np.abs(values).max()), 1e-300):
        return True
    raise DesignError(
        f"the moderator {name!r} is the same everywhere: nothing can be learnt about what it changes",
        got=f"{values.flat[0]:g} in all regions and periods",
        causes=("a national series", "an index that was scaled by itself", "the wrong column"),
        fix="choose a variable that differs between regions",
    )


def _centre(name: str, values: FloatArray, centre: Any) -> float:
    chosen = centre.get(name, "mean") if isinstance(centre, Mapping) else centre
    if isinstance(chosen, str):
        check_option("centre", chosen, ("mean",))
        return float(values.mean())
    if isinstance(chosen, bool) or not isinstance(chosen, int | float | np.floating) or not np.isfinite(chosen):
        raise OptionError("a centre is 'mean' or a finite number", got=repr(chosen), fix='use centre="mean"')
    return float(chosen)


def fixed_in_time(moderator: Moderator, panel: Panel, base: Period | str | None) -> FloatArray:
    """(n,) one value of z per region, for what must not change over time (the strength ρ of the spillover).

    Parameters
    ----------
    base : the period whose values count (a base year), or "mean" over the periods; None for a z that is constant.

    Raises
    ------
    OptionError : z varies over time and no base is given, or a base that is no period.
    """
    if base == "mean":
        return np.asarray(moderator.values.mean(axis=1))
    if base is not None:
        if base not in panel.periods:
            raise OptionError(
                "the base of a moderator is a period of the panel or 'mean'",
                got=repr(base),
                expected=f"one of {panel.periods[0]} … {panel.periods[-1]}",
            )
        return np.asarray(moderator.values[:, panel.periods.index(base)])
    if moderator.is_fixed:
        return np.asarray(moderator.values[:, 0])
    raise OptionError(
        f"the moderator {moderator.name!r} changes over time, and the strength of the spillover must not: "
        "region effects can then no longer be removed exactly",
        fix=f"choose a predetermined value: base={panel.periods[0]!r} (the first period), or base='mean'",
    )


@dataclass(frozen=True, eq=False)
class PairModerator:
    """A moderator of pairs of regions: L_ij changes what region i gets from region j.

    Attributes
    ----------
    matrix : (n, n) CSR W∘(L − centre), on the links of W.
    values : (links,) L_ij of the links of W.
    centre : mean of L over the links, weighted by W.
    """

    name: str
    matrix: sp.csr_matrix
    values: FloatArray
    centre: float

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value over the links of W."""
        return float(self.values.min()), float(self.values.max())

    def quantiles(self, shares: Sequence[float] = QUANTILES) -> FloatArray:
        """Values of L at shares of the links of W."""
        return np.asarray(np.quantile(self.values, shares))


def read_pairs(pairs: Mapping[str, SpatialWeights], weights: SpatialWeights | None) -> tuple[PairModerator, ...]:
    """Moderators of pairs from labelled tables; a link of W without an entry has L = 0.

    Raises
    ------
    OptionError : no W, or a table that is none. AlignmentError : other regions. DesignError : L does not vary.
    """
    if not isinstance(pairs, Mapping):
        raise OptionError("moderators of pairs are given by name", got=type(pairs).__name__, fix='{"linkage": table}')
    found = []
    for name, table in pairs.items():
        if weights is None or not isinstance(table, SpatialWeights):
            raise OptionError(
                f"the moderator of pairs {name!r} needs a table of pairs, and a W whose links it moderates",
                got=f"{type(table).__name__}, {'no W' if weights is None else 'a W'}",
                fix="read the table with spillover.weights.from_object(table, regions=…) and give weights=…",
            )
        links = sp.coo_matrix(weights.matrix)
        linked = np.asarray(table.align(weights.regions).matrix[links.row, links.col]).ravel()
        _varies(name, linked[None])
        centre = float(linked @ links.data / links.data.sum())
        matrix = sp.csr_matrix((links.data * (linked - centre), (links.row, links.col)), shape=links.shape)
        found.append(PairModerator(name, matrix, linked, centre))
    return tuple(found)
