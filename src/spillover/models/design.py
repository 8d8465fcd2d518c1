"""Panel + SpatialWeights + ModelSpec → `Design`: named arrays, checked; arrays only from here on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.errors import DesignError, ValueDomainError, show_labels
from spillover.models.complete import check_complete, is_absorbed
from spillover.models.formula import Formula, evaluate_term, parse_formula
from spillover.models.groups import transformation_of
from spillover.models.lagged import choose_lagged
from spillover.models.spec import ModelSpec, Roles
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

LARGEST = 1e100  # squares must stay finite
LEAST_REGIONS = 10


@dataclass(frozen=True, eq=False)
class Design:
    """Everything an estimator needs, demeaned after lagging, in one block of memory.

    Attributes
    ----------
    block : (k + 1 + q, n, t) the k regressors (intercept, X, W X), then y, then the q spatial lags of y
        (one lag even where the model has none, for its tests; zeros without W).
    y_raw, x_raw : the outcome (n, t) and X without intercept (kx, n, t) as they came.
    terms : k names, "log(lq)" and "W*log(lq)".
    own, neighbour : regressor → position of its β and (where lagged) its θ in `terms`.
    transformation : effects, correction and effective sizes.
    """

    regions: tuple[str, ...]
    periods: tuple[int | str, ...]
    block: FloatArray
    y_raw: FloatArray
    x_raw: FloatArray
    terms: tuple[str, ...]
    own: dict[str, int]
    neighbour: dict[str, int]
    response: str
    transformation: Transformation

    @property
    def k(self) -> int:
        """Number of regressors, intercept included."""
        return len(self.terms)

    @property
    def columns(self) -> FloatArray:
        """(n t, k + 1 + q) view of the block, periods within regions."""
        return self.block.reshape(len(self.block), -1).T

    @property
    def z(self) -> FloatArray:
        """(n t, k) view of the regressors, periods within regions."""
        return self.columns[:, : self.k]

    @property
    def y(self) -> FloatArray:
        """(n, t) view of the outcome."""
        return self.block[self.k]

    @property
    def wy(self) -> FloatArray:
        """(n, t) view of the (first) spatial lag of the outcome."""
        return self.block[self.k + 1]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.transformation.n, self.transformation.t

    def fitted(self, coefficients: FloatArray) -> FloatArray:
        """(n, t) Z δ."""
        return np.asarray(self.z @ coefficients).reshape(self.shape)


def build_design(spec: ModelSpec, panel: Panel, roles: Roles) -> Design:
    """Evaluate the formula, lag in space, demean, and refuse what cannot identify the parameters."""
    formula = parse_formula(spec.formula)
    _check_panel(spec, panel)
    y_raw, x_raw = _evaluate(formula, panel)
    transformation = transformation_of(spec, panel)
    lagged = lagged_positions(formula.names, spec.model, spec.lagged)
    intercept = formula.intercept and spec.effects == "none"
    terms = [*(["(Intercept)"] if intercept else []), *formula.names, *(f"W*{formula.names[j]}" for j in lagged)]
    _check_names(terms, roles)
    position = {name: i for i, name in enumerate(terms)}
    design = Design(
        regions=panel.regions,
        periods=panel.periods,
        block=_stack(y_raw, x_raw, lagged, intercept, roles, transformation),
        y_raw=y_raw,
        x_raw=x_raw,
        terms=tuple(terms),
        own={name: position[name] for name in formula.names},
        neighbour={formula.names[j]: position[f"W*{formula.names[j]}"] for j in lagged},
        response=formula.response,
        transformation=transformation,
    )
    _check_constants(design, intercept)
    _check_size(design)
    return design


def _stack(
    y: FloatArray,
    x: FloatArray,
    lagged: list[int],
    intercept: bool,
    roles: Roles,
    transformation: Transformation,
) -> FloatArray:
    """(k + 1 + q, n, t) block of `Design`."""
    kx, n, t = x.shape
    first = int(intercept)
    k = first + kx + len(lagged)
    lags: list[SpatialWeights | None] = [w for _, w in roles.outcome] or [roles.main]
    block = np.empty((k + 1 + len(lags), n, t))
    block[:first] = 1.0
    block[first : first + kx] = x
    for i, j in enumerate(lagged):
        assert roles.regressors is not None
        block[first + kx + i] = roles.regressors.lag(x[j])
    block[k] = y
    for i, w in enumerate(lags):
        block[k + 1 + i] = 0.0 if w is None else w.lag(y)
    return transformation.remove_means(block)


def _check_panel(spec: ModelSpec, panel: Panel) -> None:
    n, t = panel.shape
    if spec.has_region_effects and t < 2:
        raise DesignError(
            f"{spec.effects} effects need at least two periods",
            got=f"one period ({panel.periods[0]}) of {n} regions",
            causes=("the period column was not named", "only one period was selected"),
            fix="name the period column, or use effects='none' for a cross-section",
        )


def _evaluate(formula: Formula, panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(y, X): outcome (n, t) and regressors (kx, n, t), finite everywhere."""
    n, t = panel.shape
    columns = {formula.response: evaluate_term((formula.response,), panel)}
    columns |= {name: evaluate_term(factors, panel) for name, factors in zip(formula.names, formula.terms, strict=True)}
    check_complete(
        columns,
        panel,
        causes=(
            "the table has blanks",
            "a (region, period) row is absent",
            "a time lag reaches before the first period",
        ),
        fix='choose what goes: panel.complete([...], policy="drop-regions") or policy="drop-periods", '
        'or panel.select(periods=…); a study file says missing = "drop-regions"',
    )
    for name, values in columns.items():
        check_magnitude(name, values)
    return columns[formula.response], np.stack([columns[name] for name in formula.names])


def check_magnitude(name: str, values: FloatArray) -> None:
    """`ValueDomainError` for values whose squares would not be finite."""
    if np.abs(values).max() > LARGEST:
        raise ValueDomainError(
            f"values of {name!r} are too large to compute with",
            got=f"up to {np.abs(values).max():.3g}",
            expected=f"sizes below {LARGEST:g}",
            fix="choose another unit",
        )


def lagged_positions(names: Sequence[str], model: str, lagged: Sequence[str] | None) -> list[int]:
    """Positions of the regressors that also enter as W x."""
    return [names.index(name) for name in choose_lagged(names, model, lagged)]


def _check_names(terms: list[str], roles: Roles) -> None:
    """A regressor called like a parameter would make two rows of one name."""
    reserved = {*roles.rho_names, *(["rho"] if roles.outcome else []), *(["lambda"] if roles.error else [])}
    twice = sorted({name for name in terms if name in reserved or terms.count(name) > 1})
    if twice:
        raise DesignError(
            f"the regressor {twice[0]!r} has the name of another coefficient of this model",
            got=show_labels(twice),
            causes=("rho and lambda are the coefficients of W y and of W u", "a column called W*x beside W x"),
            fix="rename the column, or wrap it: I(...)",
        )


ABSORBED = {
    "none": "does not vary at all",
    "individual": "does not vary over time within any region, so the region effects absorb it",
    "time": "does not vary over regions within any period, so the period effects absorb it",
    "two-way": "is a sum of a region part and a period part, so the two-way effects absorb it",
}
GROUPED = "is a sum of parts that the effects of groups and segments absorb; nothing of it is left"


def _check_constants(design: Design, intercept: bool) -> None:
    """Refuse an outcome or regressor that the effects (or the intercept) absorb completely."""
    effects = design.transformation.effects
    if effects == "none" and not intercept:
        return
    raw = {design.response: design.y_raw}
    raw |= {name: design.x_raw[j] for j, name in enumerate(design.own)}
    for name, values in raw.items():
        at = design.own.get(name, design.k)
        left = values - values.mean() if effects == "none" else design.block[at]
        if is_absorbed(left, values):
            raise DesignError(
                f"{'the regressor' if name in design.own else 'the outcome'} {name!r} "
                + (ABSORBED[effects] if design.transformation.is_plain else GROUPED),
                causes=(
                    "a variable that is constant in time (area, distance to the coast)",
                    "a national series, or one that is constant within its group",
                ),
                fix=f"drop {name!r}, interact it with something that varies, or use other effects",
            )


def too_few(n: int, t: int, slopes: int) -> tuple[str, str] | None:
    """What there is and what is needed, in words, when so many regions and periods are too few; None when enough."""
    if n < LEAST_REGIONS:
        return f"{n} regions", f"at least {LEAST_REGIONS}"
    if n > slopes + 1 and n * t >= slopes + 20:
        return None
    return (
        f"{n} regions × {t} periods for {slopes} slopes",
        "more regions than parameters, and at least 20 observations more than slopes",
    )


def _check_size(design: Design) -> None:
    n, t = design.shape
    k = design.k
    found = too_few(n, t, k)
    if found is not None:
        raise DesignError(
            "too few regions for a spatial model" if n < LEAST_REGIONS else "fewer observations than the model needs",
            got=found[0],
            expected=found[1],
            fix="drop regressors, lag fewer of them in space (lagged=…), or add regions",
        )
    transformation = design.transformation
    if not transformation.is_plain and transformation.free_observations < k + 10:
        raise DesignError(
            "fewer observations than the model needs once the effects of groups are removed",
            got=f"{n} regions less {len(transformation.group_means)} group means, {t} periods less "
            f"{len(transformation.segment_means)} segment means: {transformation.free_observations} free observations "
            f"for {k} slopes",
            expected=f"at least {k + 10}",
            fix="use larger groups, fewer segments, or fewer regressors",
        )
