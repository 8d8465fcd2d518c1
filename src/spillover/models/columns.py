"""Formula + Panel + W → `Columns`: raw arrays, before any effect is removed, for models outside the main design.

Counts and missing outcomes each remove effects in their own way, so they share only this step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.errors import DesignError, OptionError, show_labels
from spillover.models.complete import check_complete, is_absorbed
from spillover.models.formula import Formula, evaluate_term, parse_formula
from spillover.models.lagged import choose_lagged
from spillover.numerics.least_squares import Projection, project
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel, Period
from spillover.typing import BoolArray, FloatArray
from spillover.weights.weights import SpatialWeights

MODELS = ("ols", "slx", "sar", "sdm")
HOLE_CAUSES = ("the table has blanks", "a lag reaches before the first period or over a gap in the years")
HOLE_FIX = (
    "keep a complete part with balanced_panel(panel, columns), fill an outcome's gaps by likelihood with "
    "fit_missing(…), or a regressor's by multiple imputation with impute(…) and pool(…)"
)


@dataclass(frozen=True, eq=False)
class Columns:
    """The outcome and the regressors of a formula, as they came.

    Attributes
    ----------
    y_raw : (n, t) outcome; NaN where it is missing and the model allows that.
    x_raw : (kx, n, t) regressors without intercept.
    z_raw : (k, n, t) intercept (where the model has one), X, then W X.
    terms : k names, "log(lq)" and "W*log(lq)".
    own, neighbour : regressor → position of its β and (where lagged) its θ in `terms`.
    transformation : the means that were removed.
    """

    formula: Formula
    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    y_raw: FloatArray
    x_raw: FloatArray
    z_raw: FloatArray
    terms: tuple[str, ...]
    own: dict[str, int]
    neighbour: dict[str, int]
    response: str
    transformation: Transformation

    @property
    def k(self) -> int:
        """Number of slopes, intercept included."""
        return len(self.terms)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return len(self.regions), len(self.periods)

    @property
    def observed(self) -> BoolArray:
        """(n, t) whether the outcome is there."""
        return np.isfinite(self.y_raw)


def build_columns(
    formula_text: str,
    panel: Panel,
    weights: SpatialWeights | None,
    *,
    model: str,
    transformation: Transformation,
    lagged: Sequence[str] | None = None,
    missing_outcome: bool = False,
) -> Columns:
    """Evaluate a formula and lag its regressors; `weights` is aligned to the panel already.

    Raises
    ------
    MissingCellError : a regressor (or, unless `missing_outcome`, the outcome) has missing cells; they are named.
    DesignError : a regressor that the effects absorb.
    """
    if model != "ols" and weights is None:
        raise OptionError(f"a {model} model needs spatial weights", fix="give weights=…, or model='ols'")
    formula = parse_formula(formula_text)
    y = evaluate_term((formula.response,), panel)
    x = {name: evaluate_term(factors, panel) for name, factors in zip(formula.names, formula.terms, strict=True)}
    check_complete(x if missing_outcome else {formula.response: y, **x}, panel, causes=HOLE_CAUSES, fix=HOLE_FIX)
    chosen = choose_lagged(formula.names, model, lagged)
    intercept = formula.intercept and not (transformation.removes_regions or transformation.removes_periods)
    terms = (*(["(Intercept)"] if intercept else []), *formula.names, *(f"W*{name}" for name in chosen))
    blocks = [np.ones((1, *panel.shape))] if intercept else []
    blocks += [x[name][None] for name in formula.names]
    blocks += [weights.lag(x[name])[None] for name in chosen if weights is not None]
    position = {term: i for i, term in enumerate(terms)}
    columns = Columns(
        formula=formula,
        regions=panel.regions,
        periods=panel.periods,
        y_raw=y,
        x_raw=np.stack([x[name] for name in formula.names]),
        z_raw=np.concatenate(blocks),
        terms=terms,
        own={name: position[name] for name in formula.names},
        neighbour={name: position[f"W*{name}"] for name in chosen},
        response=formula.response,
        transformation=transformation,
    )
    _check_absorbed(columns)
    return columns


def _check_absorbed(columns: Columns) -> None:
    transformation = columns.transformation
    if not (transformation.removes_regions or transformation.removes_periods):
        return
    for name, values in zip(columns.own, columns.x_raw, strict=True):
        left = transformation.apply(values)
        if is_absorbed(left, values):
            raise DesignError(
                f"the regressor {name!r} is a sum of parts that the effects absorb; nothing of it is left",
                causes=("a variable that is constant in time or within its group", "a national series"),
                fix=f"drop {name!r}, interact it with something that varies, or use other effects",
            )


def least_squares(matrix: FloatArray, terms: Sequence[str]) -> Projection:
    """Least squares of the last columns of (m, k + q) on the first k; collinear terms are refused by name."""
    found = project(matrix, len(terms))
    if isinstance(found, Projection):
        return found
    parts = []
    for one in found:
        others, name = show_labels((terms[i] for i in one.of), 8), terms[one.column]
        parts.append(f"{name!r} is a combination of {others}" if others else f"{name!r} is constant")
    raise DesignError(
        "some regressors are exact combinations of others",
        got="; ".join(parts),
        causes=(
            "a full set of dummies or shares beside an intercept or effects",
            "the same variable in two units or under two names",
            "a W x that repeats what the effects or other regressors already say (complete groups of one size)",
        ),
        fix="drop one regressor of each combination, or choose which are lagged in space with lagged=…",
    )
