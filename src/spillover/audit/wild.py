"""The wild cluster bootstrap with the null imposed, through the reduced form of the model.

Residuals ê of the restricted fit keep their place and are multiplied by one random sign per cluster, so that their
variances and everything inside a cluster (serial correlation, shocks shared by a group) stay as they are. The outcome
follows from the reduced form, y* = S(ρ₀)⁻¹(Zδ₀ + vê); the model is estimated anew and its clustered t-ratio is set
beside that of the data. Sources: Cameron, Gelbach & Miller (2008, REStat 90:414); Webb (2023, Can. J. Economics 56:839)
for few clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.audit.focus import choose_variable, focus_effects, has_spillover
from spillover.audit.null import EffectKind, NullFit, fit_null
from spillover.audit.operator_nodes import CELLS
from spillover.audit.replay import Replay
from spillover.errors import DesignError, OptionError, check_option
from spillover.models.result import SpatialFit
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray, Progress, no_progress

FEW_CLUSTERS = 12
"""Below it two signs per cluster give too few different samples, and Webb's six points are used."""
LEAST_CLUSTERS = 5
WEBB = np.sqrt(np.array([1.5, 1.0, 0.5]))


@dataclass(frozen=True, eq=False)
class WildTest:
    """The test that one effect is zero.

    Attributes
    ----------
    effect : "own" or "spillover".   statistic : clustered t-ratio of the data.
    p_value : (1 + number of |t*| ≥ |t|)/(1 + R), two-sided.
    draws : (R,) t*.   clusters : number of clusters.   failed : replications at the bound of ρ, not counted.
    """

    effect: EffectKind
    variable: str
    statistic: float
    p_value: float
    draws: FloatArray
    clusters: int
    failed: int

    @property
    def critical_value(self) -> float:
        """The |t| that 5 % of the replications exceed."""
        return float(np.quantile(np.abs(self.draws), 0.95))


def wild_test(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    effect: EffectKind = "spillover",
    clusters: Sequence[str] | None = None,
    draws: int = 999,
    seed: int = 1,
    progress: Progress = no_progress,
    replay: Replay | None = None,
) -> WildTest:
    """Wild cluster bootstrap of one effect.

    Parameters
    ----------
    variable : the regressor; the first by default.   effect : which of its effects is zero under the null.
    clusters : n labels of clusters (countries); every region by default.
    draws : replications.   seed : of the signs.
    replay : the prepared arrays of this fit and variable, where they exist already.

    Raises
    ------
    OptionError : a model that cannot be replayed; above 1,200 regions, where clustered errors need no help; a spillover
        asked of a model without one; fewer than 19 draws.
    DesignError : fewer than five clusters.
    EstimationError : the restricted maximum is at the bound of ρ.
    """
    name = choose_variable(fit, variable)
    check_option("effect", effect, ("own", "spillover"))
    if effect == "spillover" and not has_spillover(fit):
        raise OptionError(f"a {fit.spec.model} model has no spillover to test", fix='use effect="own"')
    if not isinstance(draws, int) or draws < 19:
        raise OptionError("too few replications for a p-value", got=repr(draws), expected="19 or more", fix="draws=999")
    prepared = replay or Replay.of(fit, name)
    _check(prepared, fit)
    labels = _cluster_codes(fit, clusters)
    count = int(labels.max()) + 1
    if count < LEAST_CLUSTERS:
        raise DesignError(
            "too few clusters for a bootstrap of clusters",
            got=f"{count} clusters",
            expected=f"at least {LEAST_CLUSTERS}",
            fix="cluster by region, or by smaller groups",
        )
    null = fit_null(prepared, effect)
    rng = np.random.default_rng(check_seed(seed))
    signs = draw_signs(rng, draws, count)[:, labels]
    found = np.empty(draws)
    step = max(1, CELLS // (4 * null.residuals.size))
    for start in range(0, draws, step):
        progress(f"wild bootstrap, {effect}: {start} of {draws}", start / draws)
        part = slice(start, min(start + step, draws))
        found[part] = prepared.outcomes(null_outcomes(prepared, null, signs[part])).t_ratio(effect)
    known = focus_effects(fit.with_covariance("cluster"), name)
    observed = known.own if effect == "own" else known.spillover
    assert observed is not None
    kept = found[np.isfinite(found)]
    p = (1.0 + np.count_nonzero(np.abs(kept) >= abs(observed.t_ratio) * (1 - 1e-12))) / (1.0 + kept.size)
    return WildTest(effect, name, observed.t_ratio, float(p), kept, count, draws - kept.size)


def null_outcomes(replay: Replay, null: NullFit, signs: FloatArray) -> FloatArray:
    """(R, n, t) outcomes S(ρ₀)⁻¹(Zδ₀ + vê) up to the effects, for (R, n) multipliers v."""
    r, n = signs.shape
    t = null.residuals.shape[1]
    right = null.signal[None] + signs[:, :, None] * null.residuals
    return solve_outcomes(replay, null.rho, right.reshape(r, n, t))


def solve_outcomes(replay: Replay, rho: float, right: FloatArray) -> FloatArray:
    """(R, n, t) S(ρ)⁻¹ applied to the region axis of (R, n, t)."""
    if replay.engine is None or rho == 0.0:
        return right
    r, n, t = right.shape
    flat = np.moveaxis(right, 0, 1).reshape(n, r * t)
    solved = replay.engine.multiplier(rho).solve(flat)
    return np.ascontiguousarray(np.moveaxis(solved.reshape(n, r, t), 1, 0))


def draw_signs(rng: np.random.Generator, draws: int, clusters: int) -> FloatArray:
    """(R, G) multipliers of mean 0 and variance 1: ±1, or Webb's six points for few clusters."""
    if clusters >= FEW_CLUSTERS:
        return np.asarray(rng.integers(0, 2, size=(draws, clusters)) * 2.0 - 1.0)
    points = np.concatenate([-WEBB, WEBB])
    return np.asarray(points[rng.integers(0, 6, size=(draws, clusters))])


def _cluster_codes(fit: SpatialFit, clusters: Sequence[str] | None) -> np.ndarray:
    n = len(fit.design.regions)
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise OptionError("clusters do not have one label per region", got=f"{len(clusters)}", expected=f"{n}")
    return np.unique(np.array(clusters, dtype=object).astype(str), return_inverse=True)[1]


def _check(replay: Replay, fit: SpatialFit) -> None:
    if not replay.has_errors:
        raise OptionError(
            "a bootstrap of t-ratios stops at 1,200 regions",
            got=f"{replay.shape[0]} regions",
            fix="clustered errors are reliable with that many clusters",
        )
    transformation = replay.transformation
    if replay.engine is not None and transformation.removes_periods and not replay.engine.stochastic:
        raise OptionError(
            "the reduced form cannot be drawn without its period effects when rows of W do not sum to one",
            fix='use weights.standardise("row")',
        )
