"""The same neighbours with ordinary period effects and with one effect per group and period: only effects differ.

Beside W y, group × period effects need links inside groups only. Cutting links changes W, and with it the question. In
an SLX model they do not. W x is computed first, across borders too, and then loses the mean of its group, which is
least squares with a dummy per group and period. A spillover that is there only between groups, or only because the
regions of a group have their shocks in common, is gone then; one that works between regions stays. Groups of one region
are absorbed completely and stay neighbours of others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from spillover.audit.change import Change, Influence, by_region, compare, influence
from spillover.audit.focus import Effect, FocusEffects, focus_effects
from spillover.audit.grouping import Grouping
from spillover.audit.refit import refit
from spillover.audit.replay import Replay
from spillover.errors import DesignError
from spillover.models.result import SpatialFit
from spillover.models.robust import cluster_factor

LEAST_REGIONS = 10


@dataclass(frozen=True)
class AbsorbedPair:
    """Effects in the SLX model: with ordinary period effects and with group × period effects.

    changes : effect → the latter less the former.   regions : in groups of two or more, on which the latter rest.
    """

    ordinary: FocusEffects
    grouped: FocusEffects
    changes: dict[str, Change]
    regions: int


def absorb_groups(fit: SpatialFit, variable: str, grouping: Grouping, level: float = 0.95) -> AbsorbedPair:
    """The pair of SLX fits for a model with W x or W y; errors clustered by region.

    Raises DesignError where fewer than ten regions are in groups of two or more, or nothing varies inside groups.
    """
    lagged = fit.spec.lagged if fit.spec.has_lagged_regressors else None
    effects = "two-way" if fit.spec.has_region_effects else "time"
    slx = refit(fit, model="slx", lagged=lagged, groups=None, effects=effects, covariance="cluster", cutoff_km=None)
    ordinary = focus_effects(slx, variable, level)
    plain = Replay.of(slx, variable)
    members = tuple(grouping.members.values())
    count = sum(at.size for at in members if at.size > 1)
    if count < LEAST_REGIONS:
        raise DesignError(
            "too few regions have another one in their group",
            got=f"{count} of {len(grouping.labels)}",
            expected=f"at least {LEAST_REGIONS}",
            fix="use larger groups",
        )
    transformation = replace(plain.transformation, groups=members)
    columns = [plain.x]
    if plain.lagged:
        columns.append(plain.lag(plain.w_x, plain.x[list(plain.lagged)]))
    z = transformation.apply(np.concatenate(columns))
    _check_rank(z)
    inside = replace(plain, transformation=transformation, z=z, intercept=False)
    found = inside.outcomes(plain.y[None])
    n = len(grouping.labels)
    factor = float(np.sqrt(count / n))  # n/(n − G) has the absorbed regions, which are no clusters, on both sides

    def effect(kind: str) -> Effect:
        errors = found.own_errors if kind == "own" else found.spillover_errors
        value, error = float(found.value(kind)[0]), float(errors["cluster"][0]) * factor
        df = float(count - 1)
        half = float(stats.t.isf((1.0 - level) / 2.0, df)) * error
        p = float(2.0 * stats.t.sf(abs(value) / error, df))
        return Effect(value, error, p, value - half, value + half, df)

    spillover = effect("spillover") if ordinary.spillover is not None else None
    grouped = FocusEffects(variable, effect("own"), spillover)
    changes = compare(ordinary, grouped, influence(slx, variable), _influence(inside, slx.design.regions, factor))
    return AbsorbedPair(ordinary, grouped, changes, count)


def _influence(inside: Replay, regions: tuple[str, ...], factor: float) -> Influence:
    """What each region adds to the errors of the two effects with group × period effects."""
    n, t = inside.shape
    flat = inside.z.reshape(inside.k, n * t)
    bread = np.linalg.inv(flat @ flat.T)
    y = inside.demean(inside.y).ravel()
    scores = np.einsum("knt,nt->nk", inside.z, (y - (bread @ (flat @ y)) @ flat).reshape(n, t)) @ bread
    scores *= factor * float(np.sqrt(cluster_factor(inside.transformation, inside.k)))
    own, spread = np.zeros(inside.k), np.zeros(inside.k)
    own[inside.own] = 1.0
    if inside.neighbour is not None and inside.w_x is not None:
        own[inside.neighbour] = inside.w_x.diagonal().sum() / n
        spread[inside.neighbour] = inside.w_x.sum() / n - own[inside.neighbour]
    return {"own": by_region(regions, scores @ own), "spillover": by_region(regions, scores @ spread)}


def _check_rank(z: np.ndarray) -> None:
    flat = z.reshape(len(z), -1)
    length = np.linalg.norm(flat, axis=1)
    sizes = np.linalg.svd(flat / np.where(length > 0, length, 1.0)[:, None], compute_uv=False)
    if sizes[-1] < 1e-7:
        raise DesignError(
            "inside groups a regressor, or that of the neighbours, does not vary or is a combination of others",
            fix="use larger groups, or fewer regressors",
        )
