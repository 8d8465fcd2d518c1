"""Expected information of an exact spatial panel at its truth, in closed form: no panel is drawn.

Every column of the design is P x with an n × n matrix P: x itself, W x, and G(β + θW)x for the score of ρ, all filtered
by B = I − λW where there is a spatial error, and between period means (J) where those are removed. A regressor has
covariance FF' in space and s_|t−u| in time, so that E[Σ_t (P x)'J(Q x)] = c tr F'P'JQF with one number c that alone
depends on the number of periods. The rest are traces of G and of W(I − λW)^{-1}. Effective numbers of regions and
periods: Lee & Yu (2010, J. Econometrics 154:165).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from spillover.errors import ConfigurationError, DesignError
from spillover.inference.estimates import Estimates
from spillover.numerics.within import Transformation
from spillover.simulation.spatial_config import DURBIN_MODELS, ERROR_MODELS, LAG_MODELS, Regressor, SpatialPanelConfig
from spillover.simulation.spatial_world import DENSE_LIMIT, SpatialWorld, build_world, multiplier, space_filter
from spillover.typing import FloatArray

WORST_CONDITION = 1e12
"""Of the scaled information; beyond, parameters cannot be told apart."""

_SUBJECTS = {
    "SystemConfig": "the regional innovation system",
    "AgentConfig": "a system of agents",
    "ThresholdPanelConfig": "a panel with a threshold that has to be found",
}
EFFECT_KINDS = ("direct", "indirect", "total")


@dataclass(frozen=True, eq=False)
class SpaceMoments:
    """What the information needs of the map, whatever the number of periods.

    Attributes
    ----------
    names : slopes, in the order of estimates.
    grams : for each regressor (j, j) tr F'P'JQF of its columns P and of the score of ρ, which comes last.
    columns : for each regressor, the positions of its columns among the slopes.
    first, pairs : tr A_k (q,) and tr A_kA_l + tr A_k'A_l (q, q) of the spatial operators, centred.
    spatial : names of the spatial parameters.
    effects : (3 per regressor, slopes + q) gradients, and values, of direct, indirect and total effects.
    """

    names: tuple[str, ...]
    grams: tuple[FloatArray, ...]
    columns: tuple[tuple[int, ...], ...]
    first: FloatArray
    pairs: FloatArray
    spatial: tuple[str, ...]
    values: FloatArray
    gradients: FloatArray


def expected_estimates(config: SpatialPanelConfig) -> Estimates:
    """Parameters and effects at the truth, with the covariance that maximum likelihood has in expectation.

    Names: "x0", …, "W*x0", …, "rho", "lambda", then "direct: x0", "indirect: x0", "total: x0", …. The inverse of the
    expected information is a little smaller than the expected inverse; the difference is of order 1/m.

    Raises ConfigurationError for what has no closed form here: dynamics, counts, serial or unequal errors, endogeneity,
    time effects beside W y or W u with row sums that differ from one, and more than 1,500 regions.
    """
    refuse_without_closed_form(closed_form_problems(config))
    moments = space_moments(config.with_changes(n_periods=2))
    covariance = _covariance(config, moments)
    slopes = {**{x.name: x.beta for x in config.regressors}, **{f"W*{x.name}": x.theta for x in config.regressors}}
    spatial = {"rho": config.rho, "lambda": config.lam}
    parameters = np.array([slopes[name] for name in moments.names] + [spatial[name] for name in moments.spatial])
    jacobian = np.vstack([np.eye(parameters.size), moments.gradients])
    effects = tuple(f"{kind}: {x.name}" for x in config.regressors for kind in EFFECT_KINDS)
    return Estimates(
        (*moments.names, *moments.spatial, *effects),
        np.concatenate([parameters, moments.values]),
        jacobian @ covariance @ jacobian.T,
        None,
        "expected information at the truth",
    )


def closed_form_problems(config: Any) -> list[str]:
    """Everything that keeps the information from having its closed form; empty where it has one."""
    if not isinstance(config, SpatialPanelConfig):
        subject = _SUBJECTS.get(type(config).__name__, f"a {type(config).__name__}")
        return [f"{subject}, whose estimators are not maximum likelihood of its own model"]
    reasons = {
        "dynamics (tau, eta)": config.is_dynamic,
        "counts": config.counts,
        "serially correlated errors": config.errors.serial != 0,
        "errors with unequal variances": config.errors.heteroskedastic != 0,
        "an endogenous regressor": config.endogeneity != 0,
        f"{config.n_regions} regions (at most {DENSE_LIMIT})": config.n_regions > DENSE_LIMIT,
        "one period with region effects": config.n_periods == 1 and config.has_region_effects,
    }
    found = [reason for reason, present in reasons.items() if present]
    if found:
        return found
    world = build_world(config, 0)
    lagged = {"W": world.weights} if config.model in LAG_MODELS else {}
    lagged |= {"W of the error": world.weights_error} if config.model in ERROR_MODELS else {}
    bad = [name for name, w in lagged.items() if config.has_period_effects and not w.rows_sum_to_one]
    return [f"period effects and row sums of {name} that differ from one" for name in bad]


def refuse_without_closed_form(reasons: Sequence[str]) -> None:
    """Raise ConfigurationError with everything that keeps the information from having its closed form."""
    if reasons:
        raise ConfigurationError(
            "power has no closed form for this design",
            problems=reasons,
            fix="draw panels (simulate_power, or rounds=400), or use a static linear design with exchangeable errors",
        )


@lru_cache(maxsize=32)
def space_moments(config: SpatialPanelConfig) -> SpaceMoments:
    """The part of the information that the map decides. Cost: a few products of n × n matrices; kept for reuse."""
    world = build_world(config, 0)
    n = config.n_regions
    w, we = world.weights.matrix.toarray(), world.weights_error.matrix.toarray()
    eye = np.eye(n)
    inverse = multiplier(world.weights, config.rho).solve(eye)
    g = w @ inverse
    b = eye - config.lam * we
    centre = config.has_period_effects
    operators = {}
    if config.model in LAG_MODELS:
        operators["rho"] = b @ g @ multiplier(world.weights_error, config.lam).solve(eye) if config.lam else g
    if config.model in ERROR_MODELS:
        operators["lambda"] = we @ multiplier(world.weights_error, config.lam).solve(eye)
    first, pairs = _traces([_centred(a, centre) for a in operators.values()])
    k = len(config.regressors)
    durbin = config.model in DURBIN_MODELS
    values, gradients = _effects(config, w, inverse, g, tuple(operators))
    return SpaceMoments(
        names=tuple(x.name for x in config.regressors) + tuple(f"W*{x.name}" for x in config.regressors if durbin),
        grams=tuple(_gram(config, x, world, b, g) for x in config.regressors),
        columns=tuple((j, k + j) if durbin else (j,) for j in range(k)),
        first=first,
        pairs=pairs,
        spatial=tuple(operators),
        values=values,
        gradients=gradients,
    )


def _gram(config: SpatialPanelConfig, law: Regressor, world: SpatialWorld, b: FloatArray, g: FloatArray) -> FloatArray:
    """tr F'P'JQF for the columns of one regressor and for its part in the score of ρ."""
    x = space_filter(world.weights, law.spatial)(np.eye(len(b)))
    lagged = world.weights.lag(x)
    images = [x, lagged] if config.model in DURBIN_MODELS else [x]
    if config.model in LAG_MODELS:
        images.append(g @ (law.beta * x + law.theta * lagged))
    stack = np.stack([b @ image if config.lam else image for image in images])
    if config.has_period_effects:
        stack = stack - stack.mean(axis=1, keepdims=True)
    flat = stack.reshape(len(stack), -1)
    return np.asarray(flat @ flat.T)


def _centred(a: FloatArray, centre: bool) -> FloatArray:
    return a - a.mean(axis=0) - a.mean(axis=1, keepdims=True) + a.mean() if centre else a


def _traces(operators: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    first = np.array([np.trace(a) for a in operators])
    pairs = [[np.einsum("ij,ji->", a, c) + np.einsum("ij,ij->", a, c) for c in operators] for a in operators]
    return first, np.array(pairs).reshape(first.size, first.size)


def _effects(
    config: SpatialPanelConfig, w: FloatArray, inverse: FloatArray, g: FloatArray, spatial: tuple[str, ...]
) -> tuple[FloatArray, FloatArray]:
    """Values (3k,) and gradients (3k, slopes + q) of direct, indirect and total effects."""
    n, k, durbin = len(w), len(config.regressors), config.model in DURBIN_MODELS
    size = k * (1 + durbin) + len(spatial)
    reach = inverse @ w
    bases = (inverse, reach, inverse @ g, reach @ g)  # S^{-1}, S^{-1}W and their derivatives in ρ
    direct = [np.trace(base) / n for base in bases]
    total = [base.sum() / n for base in bases]
    values, gradients = [], []
    for j, law in enumerate(config.regressors):
        rows = []
        for own, neighbour, own_slope, neighbour_slope in (direct, total):
            gradient = np.zeros(size)
            gradient[j] = own
            if durbin:
                gradient[k + j] = neighbour
            if "rho" in spatial:
                gradient[k * (1 + durbin)] = law.beta * own_slope + law.theta * neighbour_slope
            rows.append((law.beta * own + law.theta * neighbour, gradient))
        (direct_value, direct_slope), (total_value, total_slope) = rows
        values += [direct_value, total_value - direct_value, total_value]
        gradients += [direct_slope, total_slope - direct_slope, total_slope]
    return np.array(values), np.array(gradients)


def time_factor(law: Regressor, periods: int, *, removes_means: bool) -> float:
    """E Σ_t x_t² of a unit of space: of the AR(1) less its mean, or of AR(1) and region mean together.

    >>> round(time_factor(Regressor(persistence=0.0), 10, removes_means=True), 12)
    9.0
    """
    if not removes_means:
        return periods * (law.sd**2 + law.region_sd**2)
    gaps = np.arange(1, periods)
    mean_square = (periods + 2.0 * float(np.sum((periods - gaps) * law.persistence**gaps))) / periods
    return law.sd**2 * (periods - mean_square)


def _covariance(config: SpatialPanelConfig, moments: SpaceMoments) -> FloatArray:
    """(slopes + q)² block of the inverse information of (δ, spatial, σ²)."""
    transformation = Transformation(config.effects, "lee-yu", config.n_regions, config.n_periods)
    copies, m, variance = transformation.t_star, transformation.m, config.errors.sigma**2
    slopes, q = len(moments.names), len(moments.spatial)
    information = np.zeros((slopes + q + 1, slopes + q + 1))
    for law, gram, columns in zip(config.regressors, moments.grams, moments.columns, strict=True):
        factor = time_factor(law, config.n_periods, removes_means=config.has_region_effects)
        at = [*columns, slopes][: len(gram)]
        information[np.ix_(at, at)] += factor * gram / variance
    block = slice(slopes, slopes + q)
    information[block, block] += copies * moments.pairs
    information[block, -1] = information[-1, block] = copies * moments.first / variance
    information[-1, -1] = m / (2.0 * variance**2)
    scale = 1.0 / np.sqrt(np.diag(information))
    scaled = scale[:, None] * information * scale
    if not np.isfinite(scaled).all() or np.linalg.cond(scaled) > WORST_CONDITION:
        told = ", ".join([*moments.names, *moments.spatial])
        raise DesignError(
            "the design does not identify its parameters",
            got=f"{told} in {config.n_regions} regions and {config.n_periods} periods",
            causes=(
                "a W that links everybody to everybody, so that W x repeats x and the period effects",
                "a regressor that the effects absorb",
            ),
            fix="use fewer neighbours, more regions, or other effects",
        )
    inverse = scale[:, None] * np.linalg.inv(scaled) * scale
    return np.asarray(inverse[: slopes + q, : slopes + q])
