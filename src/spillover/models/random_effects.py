"""Random region effects by maximum likelihood, and correlated random effects (Mundlak).

Random effects use differences between regions as well as changes within them, so they are more precise than fixed
effects, and wrong as soon as what is permanent about a region is related to its regressors. Correlated random
effects put the regions' means of X and W X into the model to absorb that relation. Their slopes equal fixed-effects
slopes only if what remains of the region effects is not spatially correlated: W y contains W μ. They are therefore
first of all a test (`spillover.models.hausman`); estimates come from fixed effects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spillover.errors import DesignError, EstimationError, OptionError, check_option, show_labels
from spillover.inference.estimates import Estimates
from spillover.models.design import _evaluate, lagged_positions
from spillover.models.formula import parse_formula
from spillover.models.lagged import check_lagged
from spillover.models.random_covariance import Maximum, cluster_covariance, hessian_covariance, information_covariance
from spillover.models.random_likelihood import IdiosyncraticError, RandomLikelihood, SharedFilter, Stack, value
from spillover.models.spec import Roles
from spillover.models.views import FitViews
from spillover.numerics.least_squares import Projection, project
from spillover.numerics.newton_pair import PairSolution, maximise_pair
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

RandomModel = Literal["ols", "slx", "sar", "sdm", "sem", "sdem"]
RandomCovariance = Literal["information", "hessian", "cluster"]
COVARIANCES: dict[str, tuple[Callable[[Maximum], FloatArray], str]] = {
    "information": (information_covariance, "information matrix"),
    "hessian": (hessian_covariance, "observed Hessian"),
    "cluster": (cluster_covariance, "clustered by region"),
}
MODELS = ("ols", "slx", "sar", "sdm", "sem", "sdem")
LAG, DURBIN, ERROR = ("sar", "sdm"), ("slx", "sdm", "sdem"), ("sem", "sdem")
SMALLEST_PHI = 1e-3  # region effects with a million/T times the variance of ε
REFERENCES = {
    "lag": "Elhorst (2014, §3.3), random effects by maximum likelihood",
    "both": "Kapoor, Kelejian & Prucha (2007, J. Econometrics 140:97): region effects and ε share the spatial filter",
    "idiosyncratic": "Baltagi, Song & Koh (2003, J. Econometrics 117:123): only ε is spatially correlated",
    "mundlak": "Mundlak (1978); Debarsy (2012, Spatial Economic Analysis 7:109)",
}
CAVEAT = (
    "Correlated random effects equal fixed effects only if what region means do not explain of the region effects is "
    "spatially uncorrelated; otherwise ρ and θ absorb it. Take estimates from fixed effects, and compare ρ of both."
)


@dataclass(frozen=True)
class RandomSpec:
    """What to fit. `effects` and `correction` are there for tables beside fixed-effects fits."""

    formula: str
    model: RandomModel = "sdm"
    error: Literal["idiosyncratic", "both"] = "idiosyncratic"
    correlated: bool = False
    covariance: RandomCovariance = "information"
    time_effects: bool = False
    lagged: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_option("model", self.model, MODELS)
        check_option("error", self.error, ("idiosyncratic", "both"))
        check_option("covariance", self.covariance, tuple(COVARIANCES))
        check_lagged(self.model, self.lagged)

    @property
    def effects(self) -> str:
        """ "random", "random with period effects", "correlated random", …"""
        head = "correlated random" if self.correlated else "random"
        return f"{head} with period effects" if self.time_effects else head

    @property
    def correction(self) -> str:
        """ "lee-yu" when period means are removed, else "none"."""
        return "lee-yu" if self.time_effects else "none"

    @property
    def has_spatial_lag(self) -> bool:
        """W y is in the model."""
        return self.model in LAG

    @property
    def has_lagged_regressors(self) -> bool:
        """W X is in the model."""
        return self.model in DURBIN

    @property
    def has_spatial_error(self) -> bool:
        """W u is in the model."""
        return self.model in ERROR

    @property
    def uses_weights(self) -> bool:
        """The model needs a W."""
        return self.model != "ols"

    @property
    def resolved_covariance(self) -> str:
        """The covariance."""
        return self.covariance


@dataclass(frozen=True, eq=False)
class RandomDesign:
    """Arrays of a random-effects model; names as in `spillover.models.design.Design`.

    Attributes
    ----------
    columns : (k + 1, n, t) regressors (intercept, X, W X, region means of X and W X), then y; period means removed
        where asked.
    y_raw, x_raw : the outcome (n, t) and X (kx, n, t) as they came.
    means : positions of the region means among `terms`.
    """

    regions: tuple[str, ...]
    periods: tuple[int | str, ...]
    columns: FloatArray
    y_raw: FloatArray
    x_raw: FloatArray
    terms: tuple[str, ...]
    own: dict[str, int]
    neighbour: dict[str, int]
    means: tuple[int, ...]
    response: str
    transformation: Transformation

    @property
    def k(self) -> int:
        """Number of regressors."""
        return len(self.terms)

    @property
    def z(self) -> FloatArray:
        """(n t, k) regressors, periods within regions."""
        return self.columns[:-1].reshape(self.k, -1).T

    @property
    def y(self) -> FloatArray:
        """(n, t) outcome."""
        return np.asarray(self.columns[-1])


@dataclass(frozen=True)
class RandomTerm:
    """ρ or λ: `lag_column` is 0 for the lag of the outcome and None for the error, as `effects` asks."""

    name: str
    value: float
    lag_column: int | None


@dataclass(frozen=True, eq=False)
class RandomPoint:
    """The maximum, with the names that `effects` asks for."""

    maximum: Maximum
    design: RandomDesign
    residuals: FloatArray
    sigma2: float
    terms: tuple[RandomTerm, ...]


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffectsFit(FitViews):
    """A random-effects model, frozen.

    Attributes
    ----------
    estimates : slopes (own, W*, region means), then `rho` or `lambda`.
    variance_components : sigma2 (of ε) and sigma2_mu (of the region effects), with their covariance.
    statistics : log_likelihood, sigma2, sigma2_mu, phi, counts, … by name.
    solution : how the maximum was found.
    roles : which part W plays: it lags the outcome, the regressors or the error.
    notes : what a careful reader should know.
    """

    spec: RandomSpec
    estimates: Estimates
    variance_components: Estimates
    statistics: dict[str, Any]
    solution: PairSolution
    roles: Roles
    point: RandomPoint
    notes: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def weights(self) -> SpatialWeights | None:
        """W, aligned to the panel; None for OLS."""
        return self.roles.main

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 without it."""
        return self.point.maximum.s if self.spec.has_spatial_lag else 0.0

    @property
    def lam(self) -> float:
        """Coefficient of W u; 0 without it."""
        return self.point.maximum.s if self.spec.has_spatial_error else 0.0

    def means_test(self) -> Any:
        """Wald test that all region means have coefficient zero: random against fixed effects (correlated=True)."""
        from spillover.models.hausman import means_test

        return means_test(self)

    def __repr__(self) -> str:
        return (
            f"RandomEffectsFit: {self.spec.model} with {self.spec.effects} effects, {self.spec.formula}; "
            f"{self.statistics['n_regions']} regions × {self.statistics['n_periods']} periods"
        )


def fit_random(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    model: RandomModel = "sdm",
    error: Literal["idiosyncratic", "both"] = "idiosyncratic",
    correlated: bool = False,
    covariance: RandomCovariance = "information",
    time_effects: bool = False,
    lagged: Sequence[str] | None = None,
) -> RandomEffectsFit:
    """Fit a model with random region effects μ_i ~ (0, σ_μ²) by maximum likelihood.

    Parameters
    ----------
    formula, panel, weights, lagged : as for `spillover.fit`.
    model : "ols", "slx", "sar", "sdm", "sem" or "sdem".
    error : for "sem" and "sdem": "idiosyncratic" (only ε is filtered by I − λW) or "both" (μ + ε is).
    correlated : add the region means of X and W X (Mundlak).
    covariance : "information" (expected), "hessian" (observed), or "cluster" by region, which needs neither the
        variances nor the serial correlation that random effects assume (not for error="idiosyncratic").
    time_effects : remove period means as well (Lee–Yu transformation; needs Wι = ι).

    Raises
    ------
    DesignError : one period only, collinear columns (named). OptionError : options that do not go together.
    EstimationError : the maximum is at the bound of ρ or λ, or was not found.

    Cost: one QR of (n t, 2k); then O(k³) per trial, and a factorisation of I + TψBB' for error="idiosyncratic".
    """
    spec = RandomSpec(
        formula, model, error, correlated, covariance, time_effects, None if lagged is None else tuple(lagged)
    )
    if spec.uses_weights and weights is None:
        raise OptionError(f"a {model} model needs spatial weights", fix="give weights, or model='ols'")
    y, x, names, response, positions = _read(spec, panel)
    aligned = weights.align(panel.regions) if weights is not None and spec.uses_weights else None
    design = build_random_design(
        spec, y, x, names, response, positions, aligned, regions=panel.regions, periods=panel.periods
    )
    return fit_random_design(spec, design, aligned)


def _read(spec: RandomSpec, panel: Panel) -> tuple[FloatArray, FloatArray, tuple[str, ...], str, list[int]]:
    formula = parse_formula(spec.formula)
    y, x = _evaluate(formula, panel)
    positions = lagged_positions(formula.names, spec.model, spec.lagged)
    return y, x, formula.names, formula.response, positions


def build_random_design(
    spec: RandomSpec,
    y: FloatArray,
    x: FloatArray,
    names: Sequence[str],
    response: str,
    lagged: Sequence[int],
    weights: SpatialWeights | None,
    *,
    regions: tuple[str, ...],
    periods: tuple[int | str, ...],
) -> RandomDesign:
    """Stack the columns; refuse one period, too few regions, and a W that period effects cannot go through."""
    _, n, t = x.shape
    _check(spec, n, t, periods, weights)
    blocks: list[tuple[str, FloatArray]] = [] if spec.time_effects else [("(Intercept)", np.ones((n, t)))]
    blocks += zip(names, x, strict=True)
    lags = [] if weights is None else [(names[j], weights.lag(x[j])) for j in lagged]
    blocks += [(f"W*{name}", values) for name, values in lags]
    first_mean = len(blocks)
    if spec.correlated:
        means = [(f"mean({name})", values) for name, values in zip(names, x, strict=True)]
        if weights is not None:
            means += [(f"W*mean({name})", weights.lag(values)) for name, values in zip(names, x, strict=True)]
        blocks += [(label, _spread(values)) for label, values in means if _has_mean(values)]
    columns = np.stack([*(values for _, values in blocks), y])
    if spec.time_effects:
        columns = columns - columns.mean(axis=1, keepdims=True)
    terms = tuple(label for label, _ in blocks)
    position = {label: i for i, label in enumerate(terms)}
    return RandomDesign(
        regions=regions,
        periods=periods,
        columns=columns,
        y_raw=y,
        x_raw=x,
        terms=terms,
        own={name: position[name] for name in names},
        neighbour={name: position[f"W*{name}"] for name, _ in lags},
        means=tuple(range(first_mean, len(terms))),
        response=response,
        transformation=Transformation("time" if spec.time_effects else "none", "lee-yu", n, t),
    )


def _spread(values: FloatArray) -> FloatArray:
    """(n, t) region means, repeated."""
    return np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape)


def _has_mean(values: FloatArray) -> bool:
    """Whether region means are new: they differ between regions, and the variable varies within some."""
    means = values.mean(axis=1, keepdims=True)
    size = float(np.linalg.norm(values))
    within, between = float(np.linalg.norm(values - means)), float(np.linalg.norm(means - means.mean()))
    return within > 1e-9 * size and between > 1e-9 * size


def _check(spec: RandomSpec, n: int, t: int, periods: Sequence[int | str], weights: SpatialWeights | None) -> None:
    if t < 2:
        raise DesignError(
            "random effects need at least two periods",
            got=f"one period ({show_labels(periods)}) of {n} regions",
            fix="name the period column, or fit a cross-section with spillover.fit",
        )
    if n < 10:
        raise DesignError("too few regions for a spatial model", got=f"{n} regions", expected="at least 10")
    spatial = spec.has_spatial_lag or spec.has_spatial_error
    if spec.time_effects and spatial and weights is not None and not weights.rows_sum_to_one:
        raise OptionError(
            "period effects in a random-effects model need a W whose rows sum to one",
            got=f"row sums from {weights.row_sums.min():.4g} to {weights.row_sums.max():.4g}",
            fix='use weights.standardise("row"), or time_effects=False',
        )


def fit_random_design(spec: RandomSpec, design: RandomDesign, weights: SpatialWeights | None) -> RandomEffectsFit:
    """`fit_random` on ready arrays."""
    stack = _orthonormal(design)
    likelihood = _likelihood(spec, stack, weights)
    solution = _solve(likelihood)
    s, phi = (float(part) for part in solution.point)
    profile = likelihood.profile(s, phi)
    maximum = Maximum(likelihood, s, phi, profile.squares / stack.m, profile.slopes)
    covariance, method = COVARIANCES[spec.covariance][0](maximum), COVARIANCES[spec.covariance][1]
    df = float(stack.shape[0] - 1) if spec.covariance == "cluster" else None
    slopes = np.linalg.solve(stack.factor, profile.slopes)
    spatial = ("rho",) if spec.has_spatial_lag else ("lambda",) if spec.has_spatial_error else ()
    k = len(design.terms) + len(spatial)
    terms = tuple(RandomTerm(name, s, 0 if name == "rho" else None) for name in spatial)
    residuals = likelihood.innovations(s, phi, profile.slopes)
    return RandomEffectsFit(
        spec=spec,
        estimates=Estimates(
            (*design.terms, *spatial), np.append(slopes, [s] * len(spatial)), covariance[:k, :k], df, method
        ),
        variance_components=Estimates(
            ("sigma2", "sigma2_mu"),
            np.array([maximum.sigma2, maximum.sigma2_mu]),
            covariance[k:, k:],
            df,
            method,
        ),
        statistics=_statistics(spec, maximum, solution, k),
        solution=solution,
        roles=_roles(spec, weights),
        point=RandomPoint(maximum, design, residuals, maximum.sigma2, terms),
        notes=_notes(spec, design, maximum, weights),
        sources=_sources(spec),
    )


def _roles(spec: RandomSpec, weights: SpatialWeights | None) -> Roles:
    if weights is None:
        return Roles()
    return Roles(
        outcome=(("W", weights),) if spec.has_spatial_lag else (),
        regressors=weights if spec.has_lagged_regressors else None,
        error=weights if spec.has_spatial_error else None,
    )


def _orthonormal(design: RandomDesign) -> Stack:
    """Q and y; collinear columns are refused by name."""
    k, n, t = design.k, *design.y.shape
    if n * t < k + 20:
        raise DesignError("fewer observations than the model needs", got=f"{n} regions × {t} periods for {k} slopes")
    found = project(np.column_stack([design.z, design.y.ravel()]), k)
    if not isinstance(found, Projection):
        named = [
            f"{design.terms[each.column]!r} is a combination of {show_labels((design.terms[i] for i in each.of), 8)}"
            for each in found
        ]
        raise DesignError(
            "some regressors are exact combinations of others",
            got="; ".join(named),
            causes=("dummies or shares beside an intercept", "a region mean that repeats a regressor"),
            fix="drop one regressor of each combination",
        )
    q, factor = np.linalg.qr(design.z)
    columns = np.concatenate([q.T.reshape(k, n, t), design.y[None]])
    return Stack(columns, np.asarray(factor), design.transformation.unit_roots)


def _likelihood(spec: RandomSpec, stack: Stack, weights: SpatialWeights | None) -> RandomLikelihood:
    spatial = weights is not None and (spec.has_spatial_lag or spec.has_spatial_error)
    engine = weights.engine if weights is not None and spatial else None
    if engine is not None and spec.has_spatial_error and spec.error == "idiosyncratic":
        return IdiosyncraticError(stack, engine)
    return SharedFilter(stack, engine, filters_regressors=spec.has_spatial_error)


def _solve(likelihood: RandomLikelihood) -> PairSolution:
    """A grid over (s, φ), Newton from its best point, and again along φ = 1 if the maximum lies beyond."""
    engine = likelihood.engine
    low, high = engine.log_determinant.interval if engine is not None else (-1.0, 1.0)
    free_s = engine is not None

    def at(s: float, phi: float) -> float:
        return float(value(likelihood, s, phi))

    start = _start(likelihood, (low, high))
    # φ may pass 1 on the way: the likelihood is smooth there, and a maximum beyond it means φ = 1.
    solution = maximise_pair(at, start, ((low, high), (SMALLEST_PHI, 1.05)), (free_s, True))
    if solution.point[1] >= 1.0 or not solution.converged:
        edge = maximise_pair(at, (float(solution.point[0]), 1.0), ((low, high), (0.5, 1.5)), (free_s, False))
        if solution.point[1] >= 1.0 or (edge.converged and edge.value > solution.value):
            solution = edge
    _check_solution(solution, (low, high), free_s)
    return solution


def _start(likelihood: RandomLikelihood, interval: tuple[float, float]) -> tuple[float, float]:
    """The best point of a grid; the idiosyncratic model, whose trials are dear, starts where the shared filter ends."""
    low, high = interval
    cheap: RandomLikelihood = likelihood
    if isinstance(likelihood, IdiosyncraticError):
        cheap = SharedFilter(likelihood.stack, likelihood.engine, filters_regressors=True)
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    candidates = middle + half * np.cos(np.pi * (np.arange(24) + 0.5) / 24) if likelihood.engine is not None else [0.0]
    grid = [(float(s), float(phi)) for s in candidates for phi in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99)]
    found = [(value(cheap, s, phi), s, phi) for s, phi in grid]
    if cheap is likelihood:
        return max(found)[1:]
    # Two maxima are possible: compare the best points of the cheap likelihood by the right one.
    return max((value(likelihood, s, phi), s, phi) for _, s, phi in sorted(found)[-5:])[1:]


def _check_solution(solution: PairSolution, interval: tuple[float, float], free_s: bool) -> None:
    s, (low, high) = float(solution.point[0]), interval
    edge = 1e-4 * (high - low)
    if free_s and not low + edge < s < high - edge:
        raise EstimationError(
            "the maximum of the likelihood is at the bound of its spatial parameter: do not use it",
            got=f"{s:.5f}",
            expected=f"a maximum inside ({low:.4f}, {high:.4f})",
            causes=("a common trend or shock: period effects are missing", "a dense W"),
            fix="use time_effects=True, a sparser W, or an SLX model",
        )
    if not solution.converged:
        raise EstimationError(
            "the maximiser of the random-effects likelihood did not converge",
            got=f"s = {s:.5f}, φ = {solution.point[1]:.5f}, distance {solution.score:.2g} standard errors",
            causes=("region effects that explain nearly everything (φ near 0)",),
            fix="use effects='individual'",
        )


def _statistics(spec: RandomSpec, at: Maximum, solution: PairSolution, k: int) -> dict[str, Any]:
    stack = at.likelihood.stack
    n, t = stack.shape
    parameters = k + 1 + int(not at.bounded)
    loglik = solution.value
    return {
        "log_likelihood": loglik,
        "sigma2": at.sigma2,
        "sigma2_mu": at.sigma2_mu,
        "phi": at.phi,
        "share_between": at.sigma2_mu / (at.sigma2_mu + at.sigma2),
        "aic": -2.0 * loglik + 2.0 * parameters,
        "bic": -2.0 * loglik + parameters * float(np.log(stack.m)),
        "n_regions": n,
        "n_periods": t,
        "n_observations": n * t,
        "n_effective": stack.m,
        "n_parameters": parameters,
        "covariance": spec.covariance,
        "converged": solution.converged,
        "score": solution.score,
        "evaluations": solution.evaluations,
    }


def _notes(spec: RandomSpec, design: RandomDesign, at: Maximum, weights: SpatialWeights | None) -> tuple[str, ...]:
    notes = []
    if at.bounded:
        notes.append("No variance between regions is left: σ_μ² is at its bound 0, and the pooled model says the same.")
    if spec.correlated:
        notes.append(CAVEAT)
        wanted = len(design.own) * (1 if weights is None else 2)
        if len(design.means) < wanted:
            notes.append(
                f"{wanted - len(design.means)} region means are not in the model: their variables do not vary within "
                "regions, or do not differ between them."
            )
    else:
        notes.append(
            "Random effects are valid only if region effects are unrelated to the regressors; test it with "
            "correlated=True."
        )
    if weights is not None and weights.islands:
        notes.append(f"Islands were kept: {show_labels(weights.islands, 20)}; their spatial lag is zero.")
    return tuple(notes)


def _sources(spec: RandomSpec) -> tuple[str, ...]:
    found = [REFERENCES[spec.error if spec.has_spatial_error else "lag"]]
    return tuple([*found, REFERENCES["mundlak"]] if spec.correlated else found)


def random_log_likelihood(fit: RandomEffectsFit) -> Callable[[float, float], float]:
    """ℓ(s, φ) of a fit, for profiles and plots; s is ρ or λ."""
    likelihood = fit.point.maximum.likelihood
    return lambda s, phi: float(value(likelihood, s, phi))
