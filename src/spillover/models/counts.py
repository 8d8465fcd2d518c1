"""Poisson SLX: counts explained by own and neighbours' regressors, with region and period effects.

E[y] = exp(Xβ + WXθ + μ_i + α_t). Poisson maximum likelihood is consistent whenever this mean is right, whatever the
distribution of y (Gourieroux, Monfort & Trognon 1984, Econometrica 52:681; Wooldridge 1999, J. Econometrics 90:77),
and has no incidental-parameter bias in β and θ from region effects. There is no ρ: a count cannot be the weighted sum
of its neighbours' counts and of an error.

Our own estimator: iteratively reweighted least squares whose effects are taken out by weighted alternating projections
(Correia, Guimarães & Zylkin 2020, Stata Journal 20:95). See docs/decisions/010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy.special import gammaln

from spillover.errors import DesignError, EstimationError, ValueDomainError, check_option, show_labels
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.models.columns import Columns, build_columns, least_squares
from spillover.models.spec import usual_effects
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import BoolArray, Effects, FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

MOST_STEPS = 100
MOST_SWEEPS = 10_000
TIGHT = 1e-13  # of a column's length that a sweep still moves
LARGEST_INDEX = 30.0  # |Xβ| within regions and periods beyond it means that counts are separated
LARGEST_LEVERAGE = 0.99  # share of a direction of the slopes that one cluster may hold for the jackknife
CLUSTERS = ("region", "period", "none")


@dataclass(frozen=True, eq=False)
class CountFit:
    """A fitted Poisson model.

    Attributes
    ----------
    estimates : slopes (own, then W*): log points of the mean per unit of the regressor.
    fitted : (n, t) expected counts; 0 for regions and periods that were dropped.
    kept : (n, t) cells that the likelihood uses.
    weights : W, aligned; None without W x.
    """

    design: Columns
    estimates: Estimates
    statistics: dict[str, Any]
    fitted: FloatArray
    kept: BoolArray
    weights: SpatialWeights | None
    notes: tuple[str, ...]

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients with their intervals."""
        return self.estimates.tidy(level)

    def semi_elasticities(self) -> Estimates:
        """Direct β, indirect θ × mean row sum of W, and total: log points of the expected count per unit.

        A unit more in a region multiplies its own expected count by exp(β); a unit more in all others multiplies it by
        exp(θ × its row sum), averaged here over regions. For a regressor in logarithms these are elasticities.
        """
        design = self.design
        reach = 0.0 if self.weights is None else float(self.weights.row_sums.mean())

        def effects(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
            jacobian = np.zeros((3 * len(design.own), parameters.size))
            for row, (name, at) in enumerate(design.own.items()):
                jacobian[3 * row, at] = jacobian[3 * row + 2, at] = 1.0
                if name in design.neighbour:
                    jacobian[3 * row + 1, design.neighbour[name]] = reach
                    jacobian[3 * row + 2, design.neighbour[name]] = reach
            return jacobian @ parameters, jacobian

        kinds = ("direct", "indirect", "total")
        return delta_method(
            effects,
            self.estimates,
            names=tuple(f"{kind}: {name}" for name in design.own for kind in kinds),
            labels={
                "variable": tuple(name for name in design.own for _ in kinds),
                "effect": kinds * len(design.own),
                "horizon": ("short",) * (3 * len(design.own)),
            },
        )


def fit_counts(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    effects: Effects | None = None,
    lagged: Sequence[str] | None = None,
    cluster: str = "region",
) -> CountFit:
    """Fit E[y] = exp(Xβ + WXθ + effects) by Poisson (quasi-)maximum likelihood.

    Parameters
    ----------
    formula : "patents ~ log(lq) + log(rd)": the outcome itself, not its logarithm; zero is a count.
    panel : n regions × t periods.
    weights : W of the regressors, any standardisation; None fits without W x.
    effects : "none", "individual", "time", "two-way" (default for panels).
    lagged : regressors that also enter as W x; all by default.
    cluster : "region" (default) or "period", by the jackknife over clusters, or "none" for errors robust to
        heteroskedasticity only.

    Returns
    -------
    CountFit. Regions and periods without any event say nothing when they have an effect of their own (it would be −∞):
    they are dropped from the likelihood, named in the notes; their regressors still reach their neighbours.

    Raises
    ------
    ValueDomainError : negative or infinite outcomes.
    DesignError : collinear regressors; too few observations; too few clusters.
    EstimationError : counts that a regressor separates perfectly (no finite maximum); no convergence.

    Cost: 5–15 weighted least squares, each with its effects projected out; memory O(n t k).
    """
    chosen: Effects = effects or usual_effects(panel)
    check_option("effects", chosen, get_args(Effects))
    check_option("cluster", cluster, CLUSTERS)
    model = "ols" if weights is None else "slx"
    w = None if weights is None else weights.align(panel.regions)
    transformation = Transformation(chosen, "none", *panel.shape)
    columns = build_columns(formula, panel, w, model=model, transformation=transformation, lagged=lagged)
    _check_counts(columns)
    kept, notes = _informative(columns, transformation)
    found = _Poisson(columns.y_raw, columns.z_raw, kept, transformation, columns.terms).solve()
    estimates, cautions = _estimates(columns, found, kept, cluster)
    notes += cautions
    y, mean = columns.y_raw[kept], found.mean[kept]
    loglik = float(np.sum(y * np.log(mean) - mean - gammaln(y + 1.0)))
    deviance = 2.0 * float(np.sum(np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mean), 0.0) - (y - mean)))
    statistics = {
        "log_likelihood": loglik,
        "deviance": deviance,
        "dispersion": float(np.sum((y - mean) ** 2 / mean)) / max(found.free - columns.k, 1),
        "n_regions": len(panel.regions),
        "n_periods": len(panel.periods),
        "n_observations": int(kept.sum()),
        "n_dropped": int((~kept).sum()),
        "evaluations": found.steps,
        "converged": True,
    }
    notes += [] if w is None else [f"W: {note}" for note in w.notes]
    return CountFit(columns, estimates, statistics, np.where(kept, found.mean, 0.0), kept, w, tuple(notes))


def _check_counts(columns: Columns) -> None:
    y = columns.y_raw
    bad = np.argwhere((y < 0) | (y > 1e15))
    if len(bad):
        raise ValueDomainError(
            f"the outcome {columns.response!r} is not a count",
            got=show_labels(f"{y[i, j]:g} of {columns.regions[i]} in {columns.periods[j]}" for i, j in bad),
            expected="zero or more",
            causes=("the outcome was put in logarithms or differences",),
            fix="give the counts themselves: the model takes the logarithm of their mean",
        )
    if not (y > 0).any():
        raise DesignError(f"every count of {columns.response!r} is zero")


def _informative(columns: Columns, transformation: Transformation) -> tuple[BoolArray, list[str]]:
    """(n, t) cells left when regions and periods without events are dropped in turn, and what to say about it."""
    kept = np.ones(columns.shape, dtype=bool)
    y = columns.y_raw
    while True:
        before = int(kept.sum())
        if transformation.removes_regions:
            kept[np.where(kept, y, 0.0).sum(axis=1) == 0.0] = False
        if transformation.removes_periods:
            kept[:, np.where(kept, y, 0.0).sum(axis=0) == 0.0] = False
        if int(kept.sum()) == before:
            break
    regions = [columns.regions[i] for i in np.flatnonzero(~kept.any(axis=1))]
    periods = [columns.periods[j] for j in np.flatnonzero(~kept.any(axis=0))]
    notes = []
    if regions:
        notes.append(f"{len(regions)} regions without any event were dropped: {show_labels(regions, 60)}.")
    if periods:
        notes.append(f"{len(periods)} periods without any event were dropped: {show_labels(periods, 60)}.")
    return kept, notes


@dataclass(frozen=True, eq=False)
class _Maximum:
    """(k,) slopes, (n, t) means, (k, n, t) regressors with weighted effects removed, (Z'MZ)^{-1}."""

    slopes: FloatArray
    mean: FloatArray
    z: FloatArray
    inverse: FloatArray
    steps: int
    free: int


@dataclass(frozen=True, eq=False)
class _Poisson:
    """The likelihood on the cells that say something."""

    y: FloatArray
    z: FloatArray
    kept: BoolArray
    transformation: Transformation
    terms: tuple[str, ...]

    def solve(self) -> _Maximum:
        """Iteratively reweighted least squares: working outcome η + (y − m)/m, weights m, effects projected out."""
        kept, y = self.kept, self.y
        mean = np.where(kept, (y + y[kept].mean()) / 2.0, 0.0)
        eta = np.log(np.where(kept, mean, 1.0))
        slopes, deviance = np.zeros(len(self.terms)), np.inf
        for step in range(1, MOST_STEPS + 1):
            work = np.where(kept, eta + (y - mean) / np.where(kept, mean, 1.0), 0.0)
            block = self._demean(np.stack([*self.z, work]) * kept, mean)
            root = np.sqrt(mean[kept])
            projection = least_squares((block[:, kept] * root).T, self.terms)
            previous, slopes = slopes, projection.coefficients[:, 0]
            eta = np.where(kept, work - block[-1] + np.tensordot(slopes, block[:-1], axes=1), 0.0)
            self._check_range(eta)
            mean = np.where(kept, np.exp(eta), 0.0)
            before, deviance = deviance, self._deviance(mean)
            moved = np.sqrt(float((slopes - previous) @ np.linalg.solve(projection.inverse_gram, slopes - previous)))
            if abs(before - deviance) <= 1e-12 * (abs(deviance) + 1.0) and moved < 1e-8:
                return self._finish(slopes, mean, step)
        raise EstimationError(
            "the Poisson likelihood did not converge",
            got=f"{MOST_STEPS} steps",
            causes=("counts that a regressor separates almost perfectly", "a regressor of extreme scale"),
        )

    def _finish(self, slopes: FloatArray, mean: FloatArray, steps: int) -> _Maximum:
        z = self._demean(self.z * self.kept, mean)
        root = np.sqrt(mean[self.kept])
        block = np.vstack([z[:, self.kept] * root, np.zeros((1, root.size))])
        inverse = least_squares(block.T, self.terms).inverse_gram
        rows = int(self.kept.any(axis=1).sum()) if self.transformation.removes_regions else 0
        columns = int(self.kept.any(axis=0).sum()) if self.transformation.removes_periods else 0
        free = int(self.kept.sum()) - rows - columns + int(bool(rows and columns))
        if free < len(self.terms) + 10:
            raise DesignError(
                "fewer informative observations than the model needs",
                got=f"{free} free observations for {len(self.terms)} slopes",
                expected=f"at least {len(self.terms) + 10}",
            )
        return _Maximum(slopes, mean, z, inverse, steps, free)

    def _demean(self, block: FloatArray, weights: FloatArray) -> FloatArray:
        """(q, n, t) with weighted region and period means removed in turn until nothing moves."""
        by_region, by_period = self.transformation.removes_regions, self.transformation.removes_periods
        if not (by_region or by_period):
            return block
        rows, columns = weights.sum(axis=1), weights.sum(axis=0)
        rows, columns = np.where(rows > 0, rows, 1.0), np.where(columns > 0, columns, 1.0)
        size = np.sqrt(np.einsum("qnt,nt->q", block**2, weights)) + 1e-300
        block = block.copy()
        for _ in range(MOST_SWEEPS):
            shift = np.zeros(len(block))
            if by_region:
                mean = np.einsum("qnt,nt->qn", block, weights) / rows
                block -= mean[:, :, None] * self.kept
                shift = np.sqrt(np.einsum("qn,n->q", mean**2, weights.sum(axis=1)))
            if by_period:
                mean = np.einsum("qnt,nt->qt", block, weights) / columns
                block -= mean[:, None, :] * self.kept
                shift = np.sqrt(np.einsum("qt,t->q", mean**2, weights.sum(axis=0)))
            if not (by_region and by_period) or (shift <= TIGHT * size).all():
                return block
        raise EstimationError(
            "region and period effects could not be separated",
            causes=("groups of regions with events only in periods in which the others have none",),
            fix='use effects="individual"',
        )

    def _deviance(self, mean: FloatArray) -> float:
        y, m = self.y[self.kept], np.maximum(mean[self.kept], 1e-300)
        return 2.0 * float(np.sum(np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / m), 0.0) - (y - m)))

    def _check_range(self, eta: FloatArray) -> None:
        kept = eta[self.kept]
        if np.isfinite(kept).all() and kept.min() > -LARGEST_INDEX and kept.max() < 700.0:
            return
        raise EstimationError(
            "the Poisson likelihood has no finite maximum: some zero counts are predicted perfectly",
            got=f"expected counts down to {np.exp(max(float(np.nanmin(kept)), -700.0)):.2g}",
            causes=("a regressor that is non-zero only where all counts are zero (separation)",),
            fix="drop the regressor, or the regions in which it occurs",
        )


def _estimates(columns: Columns, found: _Maximum, kept: BoolArray, cluster: str) -> tuple[Estimates, list[str]]:
    """Sandwich of the scores Σ z̃(y − m); clustered ones by the jackknife over clusters.

    Leaving cluster g out moves the slopes by A(I − M_gA)^{-1}s_g in one step, A the inverse information and M_g the
    information of g. Large regions dominate a Poisson likelihood, and without their leverage errors of 64 regions come
    out a tenth too small (Bell & McCaffrey 2002, Survey Methodology 28:169).
    """
    scores = found.z * np.where(kept, columns.y_raw - found.mean, 0.0)
    inverse = found.inverse
    if cluster == "none":
        rows = scores[:, kept].T
        covariance = inverse @ (rows.T @ rows) @ inverse * len(rows) / (len(rows) - 1)
        return Estimates(columns.terms, found.slopes, covariance, None, "heteroskedasticity-robust"), []
    axis = 2 if cluster == "region" else 1
    live = kept.any(axis=axis - 1)
    rows = scores.sum(axis=axis).T[live]
    count = len(rows)
    if count <= columns.k:
        raise DesignError(
            f"too few clusters for this many slopes: the covariance by {cluster} would be singular",
            got=f"{count} clusters, {columns.k} slopes",
            fix='cluster by the other dimension, or use cluster="none"',
        )
    pattern = "ant,nt,bnt->nab" if cluster == "region" else "ant,nt,bnt->tab"
    rest = np.eye(columns.k) - np.einsum(pattern, found.z, found.mean, found.z, optimize=True)[live] @ inverse
    least = np.linalg.eigvals(rest).real.min(axis=1)
    notes = []
    if least.min() > 1.0 - LARGEST_LEVERAGE:
        rows, factor = np.linalg.solve(rest, rows[:, :, None])[:, :, 0], (count - 1) / count
    else:
        labels: Sequence[object] = columns.regions if cluster == "region" else columns.periods
        alone = [labels[i] for i in np.flatnonzero(live)[least <= 1.0 - LARGEST_LEVERAGE]]
        notes.append(f"A slope rests almost on {show_labels(alone)} alone: its clustered error is not reliable.")
        factor = count / (count - 1)
    covariance = inverse @ (rows.T @ rows) @ inverse * factor
    method = f"clustered by {cluster}, jackknife" if not notes else f"clustered by {cluster}"
    return Estimates(columns.terms, found.slopes, covariance, float(count - 1), method), notes
