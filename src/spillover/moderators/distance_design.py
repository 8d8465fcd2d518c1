"""Formula + Panel + Distances → the arrays that every distance estimator works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError, OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.models.columns import Columns, build_columns
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula, term_name
from spillover.models.groups import transformation_of
from spillover.models.spec import Groups, ModelSpec, usual_effects
from spillover.moderators.distances import Distances, distances_of, measure_distances
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel, Period
from spillover.typing import Effects, FloatArray

LEAST_REGIONS = 10


@dataclass(frozen=True, eq=False)
class DistanceDesign:
    """Outcome, own regressors and what is to be lagged over distance.

    Attributes
    ----------
    columns : the formula's variables as they came.
    distances : aligned to the panel.
    geography : distances that errors are correlated over: straight ones where the panel has a map.
    treatment : the regressor whose spillover is asked for.
    lagged : regressors that are lagged over distance, the treatment first.
    periods : the t periods in use.
    transformation : the means that are removed.
    y, x : (n, t) and (k, n, t) demeaned outcome and own regressors (with intercept where there are no effects).
    outcome, senders : (n, t) and (q, n, t) outcome and lagged regressors, not demeaned: means go after lagging.
    differencing : a of the quasi-difference z_t − a z_{t−1} that all variables went through; 0 for none.
    """

    columns: Columns
    distances: Distances
    geography: Distances
    treatment: str
    lagged: tuple[str, ...]
    periods: tuple[Period, ...]
    transformation: Transformation
    y: FloatArray
    x: FloatArray
    outcome: FloatArray
    senders: FloatArray
    differencing: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.transformation.n, self.transformation.t

    @property
    def own_terms(self) -> tuple[str, ...]:
        """Names of the rows of `x`."""
        return self.columns.terms

    def expose(self, matrix: FloatArray | sp.csr_matrix) -> FloatArray:
        """(q, n, t) demeaned Σ_j m_ij x_jt of the lagged regressors."""
        q, n, t = self.senders.shape
        stacked = np.moveaxis(self.senders, 0, 1).reshape(n, q * t)
        lag = np.asarray(matrix @ stacked).reshape(n, q, t)
        return self.transformation.remove_means(np.ascontiguousarray(np.moveaxis(lag, 1, 0)))

    @property
    def unit(self) -> str:
        """Unit of distance."""
        return self.distances.unit


def build_distance_design(
    formula: str,
    panel: Panel,
    distances: Any = None,
    *,
    treatment: str | None = None,
    lagged: Sequence[str] | None = None,
    effects: Effects | None = None,
    groups: Groups = None,
    segments: Any = None,
    differencing: float = 0.0,
    transformation: Transformation | None = None,
) -> DistanceDesign:
    """Evaluate a formula and say which of its regressors spill over.

    Parameters
    ----------
    formula, panel : "log(patents) ~ log(lq) + log(rd)".
    distances : `Distances`, a square table of them or its path; measured on the panel's map by default.
    treatment : the regressor whose spillover is asked for; the first one by default.
    lagged : regressors that are lagged over distance; the treatment alone by default.
    effects, groups, segments : as in `fit`; two-way for panels and none for cross-sections by default.
    differencing : a in (−1, 1), see `DistanceDesign`.

    Raises
    ------
    AlignmentError : the ids of the distances and of the panel differ. UnknownColumnError : no such regressor.
    DesignError : fewer than ten regions; a regressor that the effects absorb.
    """
    check_kinds(panel, None)
    if len(panel.regions) < LEAST_REGIONS:
        raise DesignError(
            "too few regions to see a spillover over distance",
            got=f"{len(panel.regions)} regions",
            expected=f"at least {LEAST_REGIONS}",
        )
    names = parse_formula(formula).names
    chosen = _one_of(treatment, names, "treatment") if treatment is not None else names[0]
    others = [_one_of(name, names, "lagged") for name in ((lagged,) if isinstance(lagged, str) else lagged or ())]
    spilling = tuple(dict.fromkeys([chosen, *others]))
    used = effects or usual_effects(panel, groups)
    apart = distances_of(panel, distances)
    if transformation is None:
        spec = ModelSpec(formula, model="slx", effects=used, groups=groups, segments=segments)
        transformation = transformation_of(spec, panel)
    _check_periods(transformation, panel)
    columns = build_columns(formula, panel, None, model="ols", transformation=transformation)
    if columns.y_raw.size and not _anything_left(transformation, columns.y_raw):
        raise DesignError(
            "nothing is left of the outcome once the effects are removed",
            got=f"{columns.y_raw.min():g} to {columns.y_raw.max():g}",
            causes=("an outcome that is constant", "one that does not change in time, or that is the same everywhere"),
            fix="choose an outcome that varies within regions and periods, or other effects",
        )
    data = apart.links.data
    if data.size and float(np.ptp(data)) <= 1e-9 * float(np.abs(data).max()):
        raise DesignError(
            "all regions are equally far apart, so that nothing can fall with distance",
            got=f"{data[0]:g} {apart.unit} between any two",
            causes=("a table of ones", "a table of weights in the place of distances"),
            fix="give distances",
        )
    geography = measure_distances(panel) if panel.geometry is not None and apart.points is None else apart
    y, x = columns.y_raw, columns.z_raw
    senders = np.stack([columns.x_raw[names.index(name)] for name in spilling])
    periods = panel.periods
    if differencing:
        y, x, senders, periods, transformation = _quasi_difference(
            y, x, senders, panel.periods, transformation, differencing
        )
    return DistanceDesign(
        columns=columns,
        distances=apart,
        geography=geography,
        treatment=chosen,
        lagged=spilling,
        periods=periods,
        transformation=transformation,
        y=transformation.apply(y),
        x=transformation.apply(x),
        outcome=np.array(y, dtype=float),
        senders=np.array(senders, dtype=float),
        differencing=differencing,
    )


def _anything_left(transformation: Transformation, y: FloatArray) -> bool:
    """Whether an outcome varies beyond the means that are removed, rounding aside."""
    left = transformation.remove_means(np.array(y, dtype=float))
    return float(np.abs(left).max()) > 1e-10 * max(float(np.abs(y).max()), 1e-300)


def _one_of(asked: str, names: tuple[str, ...], option: str) -> str:
    name = term_name(asked)
    if name not in names:
        raise UnknownColumnError(
            f"{option}={asked!r} is not a regressor of the formula",
            expected=show_labels(names, 12),
            fix=did_you_mean(name, names) or "write the term as it stands in the formula, e.g. log(lq)",
        )
    return name


def _check_periods(transformation: Transformation, panel: Panel) -> None:
    if transformation.removes_regions and panel.shape[1] < 2:
        raise DesignError(
            f"{transformation.effects} effects need at least two periods",
            got=f"one period of {panel.shape[0]} regions",
            fix="use effects='none' for a cross-section",
        )


def _quasi_difference(
    y: FloatArray,
    x: FloatArray,
    senders: FloatArray,
    periods: tuple[Period, ...],
    transformation: Transformation,
    a: float,
) -> tuple[FloatArray, FloatArray, FloatArray, tuple[Period, ...], Transformation]:
    """z_t − a z_{t−1} over consecutive periods; the first period, and the first after a gap, is lost."""
    if not -1.0 < a < 1.0:
        raise OptionError("a quasi-difference needs a coefficient between −1 and 1", got=repr(a))
    if transformation.segments is not None:
        raise OptionError("quasi-differences with segments are not offered", fix="leave out segments=…")
    now = consecutive(periods)
    if len(now) < 2:
        raise DesignError("quasi-differences need at least three consecutive periods", got=show_labels(periods, 30))
    made = [values[..., now] - a * values[..., now - 1] for values in (y, x, senders)]
    changed = Transformation(
        transformation.effects, transformation.correction, transformation.n, len(now), transformation.groups
    )
    return made[0], made[1], made[2], tuple(periods[t] for t in now), changed


def consecutive(periods: Sequence[Period]) -> np.ndarray:
    """Positions of the periods that directly follow the one before; all but the first where periods are no numbers."""
    if all(isinstance(period, int) for period in periods):
        return np.flatnonzero(np.diff(np.array(periods)) == 1) + 1
    return np.arange(1, len(periods))
