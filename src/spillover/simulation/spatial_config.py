"""`SpatialPanelConfig`: an exact spatial panel: which model, which regressors, effects, errors and W."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from spillover.simulation.admissible import refuse_problems
from spillover.typing import Effects, ModelName, Standardisation
from spillover.weights.weights import SpatialWeights

ErrorShape = Literal["normal", "t5", "skewed"]
MapKind = Literal["knn", "queen", "exponential"]

LAG_MODELS = ("sar", "sdm", "sac", "gns")
DURBIN_MODELS = ("slx", "sdm", "sdem", "gns")
ERROR_MODELS = ("sem", "sdem", "sac", "gns")
RESERVED = ("y", "instrument", "rho", "lambda", "tau", "eta", "sigma2")


@dataclass(frozen=True)
class Regressor:
    """One regressor: x_it = sd z_it + region_sd r_i, both filtered in space by F ∝ (I − spatial W)^{-1}.

    name : its name in the panel.
    beta, theta : coefficients of x and of W x (theta in Durbin models only).
    persistence : AR(1) coefficient of z in time, in [0, 1).
    spatial : spatial autocorrelation of x, inside the admissible interval of W; F is scaled to mean variance 1.
    sd, region_sd : sd within regions over time, and of region means.
    """

    name: str = "x0"
    beta: float = 1.0
    theta: float = 0.0
    persistence: float = 0.5
    spatial: float = 0.0
    sd: float = 1.0
    region_sd: float = 1.0


@dataclass(frozen=True)
class ErrorLaw:
    """ε_it: mean 0 and, averaged over regions, variance sigma².

    sigma : its sd; 0 is admissible for counts only.
    shape : "normal", "t5" (Student, 5 degrees of freedom) or "skewed" (χ² with 4 degrees), all scaled to variance 1.
    heteroskedastic : sd of ln σ_i between regions; 0 gives every region the same variance.
    serial : AR(1) coefficient of ε in time, in (−1, 1).
    """

    sigma: float = 1.0
    shape: ErrorShape = "normal"
    heteroskedastic: float = 0.0
    serial: float = 0.0


@dataclass(frozen=True)
class SyntheticWeights:
    """W from a synthetic map (`simulation.geography`): "knn", "queen" or "exponential" in distance.

    neighbours : k of "knn".
    decay_per_km : δ of "exponential"; the map's mean spacing is 58 km.
    standardise : "row", "spectral", "scalar", "min-max" or "none".
    map_seed : the map is part of the design and the same for every panel; None draws a new one for every seed.
    """

    kind: MapKind = "knn"
    neighbours: int = 5
    decay_per_km: float = 0.02
    standardise: Standardisation = "row"
    map_seed: int | None = 0


@dataclass(frozen=True)
class SpatialPanelConfig:
    """Parameters of an exact spatial panel.

    The model, of which `model` has some terms::

        y_t = τ y_{t−1} + ρ W y_t + η W y_{t−1} + X_t β + W X_t θ + intercept + μ + α_t ι + u_t,  u_t = λ W_e u_t + ε_t

    With `counts` the right-hand side without spatial lags of y is the logarithm of a Poisson mean (ols and slx only).

    Parameters
    ----------
    model : "ols", "slx", "sar", "sdm", "sem", "sdem", "sac" or "gns"; parameters that it does not have must be zero.
    n_regions, n_periods, first_period : size of the panel; a given W decides n_regions.
    regressors : at least one.
    rho, lam (λ), tau, eta : spatial, error, time and space–time lags; dynamic when tau or eta is not zero (100 periods
        are then drawn before the first).
    effects : "none", "individual", "time" or "two-way"; what the panel holds, and what power analysis removes.
    region_effect_sd, period_effect_sd : sd of μ_i and α_t.
    region_effect_correlation : correlation of μ with the region means of the first regressor.
    errors : law of ε.
    counts : y is Poisson with mean exp(·).
    endogeneity : correlation of ε with the innovation of the first regressor, apart from the instrument, in (−1, 1).
    instrument : correlation of that innovation with the exogenous variable "instrument", in [0, 1); 0 for none.
    weights : W, from a synthetic map or given.
    weights_error : W_e of the error; W by default.

    Raises
    ------
    OptionError : with every inadmissible value at once.

    Examples
    --------
    >>> SpatialPanelConfig(model="sdm", rho=0.3, regressors=(Regressor("x", 0.3, 0.15),)).is_dynamic
    False
    """

    model: ModelName = "sdm"
    n_regions: int = 100
    n_periods: int = 10
    first_period: int = 2001
    regressors: tuple[Regressor, ...] = (Regressor(),)
    rho: float = 0.0
    lam: float = 0.0
    tau: float = 0.0
    eta: float = 0.0
    intercept: float = 0.0
    effects: Effects = "two-way"
    region_effect_sd: float = 1.0
    period_effect_sd: float = 1.0
    region_effect_correlation: float = 0.0
    errors: ErrorLaw = field(default_factory=ErrorLaw)
    counts: bool = False
    endogeneity: float = 0.0
    instrument: float = 0.0
    weights: SyntheticWeights | SpatialWeights = field(default_factory=SyntheticWeights)
    weights_error: SyntheticWeights | SpatialWeights | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weights, SpatialWeights) and self.n_regions != self.weights.n:
            object.__setattr__(self, "n_regions", self.weights.n)
        refuse_problems("the spatial panel has", find_problems(self))

    @property
    def is_dynamic(self) -> bool:
        """Whether last period's outcome is in the model."""
        return self.tau != 0 or self.eta != 0

    @property
    def has_region_effects(self) -> bool:
        """Whether the panel has μ_i."""
        return self.effects in ("individual", "two-way")

    @property
    def has_period_effects(self) -> bool:
        """Whether the panel has α_t."""
        return self.effects in ("time", "two-way")

    @property
    def region_ids(self) -> tuple[str, ...]:
        """Ids "R001", … wide enough to sort as text; those of a given W, sorted."""
        if isinstance(self.weights, SpatialWeights):
            return tuple(sorted(self.weights.regions))
        width = max(3, len(str(self.n_regions)))
        return tuple(f"R{i:0{width}d}" for i in range(1, self.n_regions + 1))

    @property
    def periods(self) -> tuple[int, ...]:
        """The years."""
        return tuple(range(self.first_period, self.first_period + self.n_periods))

    @property
    def formula(self) -> str:
        """The regression that is right for the panel.

        >>> SpatialPanelConfig().formula
        'y ~ x0'
        """
        return "y ~ " + " + ".join(regressor.name for regressor in self.regressors)

    def with_changes(self, **changes: Any) -> SpatialPanelConfig:
        """A copy with some parameters changed."""
        return replace(self, **changes)


def find_problems(config: SpatialPanelConfig) -> list[str]:
    """Everything that is wrong with the parameters, one sentence each; empty when all is well."""
    problems = [*_type_problems(config)]
    if problems:
        return problems  # ranges of what is not a number cannot be judged
    return [
        *_size_problems(config),
        *_regressor_problems(config),
        *_model_problems(config),
        *_range_problems(config),
        *_weights_problems(config),
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _type_problems(config: SpatialPanelConfig) -> Iterator[str]:
    for name in ("n_regions", "n_periods", "first_period"):
        if not _is_whole(getattr(config, name)):
            yield f"{name} = {getattr(config, name)!r} is not a whole number"
    numbers = ("rho", "lam", "tau", "eta", "intercept", "region_effect_sd", "period_effect_sd")
    for name in (*numbers, "region_effect_correlation", "endogeneity", "instrument"):
        if not _is_number(getattr(config, name)):
            yield f"{name} = {getattr(config, name)!r} is not a finite number"
    if not (isinstance(config.regressors, tuple) and config.regressors) or not all(
        isinstance(regressor, Regressor) for regressor in config.regressors
    ):
        yield "regressors is not a tuple of one Regressor or more"
        return
    if not isinstance(config.errors, ErrorLaw):
        yield "errors is not an ErrorLaw"
        return
    parts: list[Regressor | ErrorLaw] = [*config.regressors, config.errors]
    for part in parts:
        for each in fields(part):
            value = getattr(part, each.name)
            if each.name not in ("name", "shape") and not _is_number(value):
                yield f"{each.name} = {value!r} of {type(part).__name__} is not a finite number"


def _size_problems(config: SpatialPanelConfig) -> Iterator[str]:
    if config.n_regions < 5:
        yield f"n_regions = {config.n_regions}: at least 5 regions are needed"
    if config.n_periods < 1:
        yield f"n_periods = {config.n_periods}: at least 1 period is needed"


def _regressor_problems(config: SpatialPanelConfig) -> Iterator[str]:
    names = [regressor.name for regressor in config.regressors]
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()) or name in RESERVED:
            yield f"a regressor cannot be called {name!r}"
    if len(set(names)) != len(names):
        yield "regressors have names that are not unique: " + ", ".join(map(str, names))
    for regressor in config.regressors:
        if not 0 <= regressor.persistence < 1:
            yield f"persistence = {regressor.persistence:g} of {regressor.name} is outside [0, 1)"
        if not -1 < regressor.spatial < 1:
            yield f"spatial = {regressor.spatial:g} of {regressor.name} is outside (−1, 1)"
        if regressor.sd < 0 or regressor.region_sd < 0 or regressor.sd + regressor.region_sd == 0:
            yield f"sd = {regressor.sd:g}, region_sd = {regressor.region_sd:g} of {regressor.name}: negative or all 0"
        if regressor.theta != 0 and config.model not in DURBIN_MODELS:
            yield f"theta = {regressor.theta:g} of {regressor.name}, but {config.model!r} has no W x"


def _model_problems(config: SpatialPanelConfig) -> Iterator[str]:
    if config.model not in get_args(ModelName):
        yield f"model = {config.model!r} is not one of {', '.join(get_args(ModelName))}"
        return
    if config.effects not in get_args(Effects):
        yield f"effects = {config.effects!r} is not one of {', '.join(get_args(Effects))}"
    if config.errors.shape not in get_args(ErrorShape):
        yield f"shape = {config.errors.shape!r} is not one of {', '.join(get_args(ErrorShape))}"
    if config.rho != 0 and config.model not in LAG_MODELS:
        yield f"rho = {config.rho:g}, but {config.model!r} has no W y"
    if config.lam != 0 and config.model not in ERROR_MODELS:
        yield f"lam = {config.lam:g}, but {config.model!r} has no W u"
    if config.eta != 0 and config.model not in LAG_MODELS:
        yield f"eta = {config.eta:g}, but {config.model!r} has no W y"
    if config.counts and config.model not in ("ols", "slx"):
        yield f"counts with model = {config.model!r}: only 'ols' and 'slx' have a Poisson form"
    if config.counts and config.is_dynamic:
        yield "counts with tau or eta: a dynamic Poisson model is not among the models"


def _range_problems(config: SpatialPanelConfig) -> Iterator[str]:
    errors = config.errors
    rules = {
        f"sigma = {errors.sigma:g} is not positive": errors.sigma < 0 or (errors.sigma == 0 and not config.counts),
        f"heteroskedastic = {errors.heteroskedastic:g} is negative": errors.heteroskedastic < 0,
        f"serial = {errors.serial:g} is outside (−1, 1)": not -1 < errors.serial < 1,
        f"endogeneity = {config.endogeneity:g} is outside (−1, 1)": not -1 < config.endogeneity < 1,
        f"instrument = {config.instrument:g} is outside [0, 1)": not 0 <= config.instrument < 1,
        f"region_effect_sd = {config.region_effect_sd:g} is negative": config.region_effect_sd < 0,
        f"period_effect_sd = {config.period_effect_sd:g} is negative": config.period_effect_sd < 0,
        f"region_effect_correlation = {config.region_effect_correlation:g} is outside [−1, 1]": not -1
        <= config.region_effect_correlation
        <= 1,
        "region_effect_correlation needs a first regressor with region_sd above zero": (
            config.region_effect_correlation != 0 and config.regressors[0].region_sd == 0
        ),
        "endogeneity or instrument need a first regressor with sd above zero": (
            (config.endogeneity != 0 or config.instrument != 0) and config.regressors[0].sd == 0
        ),
    }
    yield from (problem for problem, broken in rules.items() if broken)


def _weights_problems(config: SpatialPanelConfig) -> Iterator[str]:
    for role, w in (("weights", config.weights), ("weights_error", config.weights_error)):
        if isinstance(w, SpatialWeights):
            if w.n != config.n_regions or sorted(w.regions) != list(config.region_ids):
                yield f"{role} is for other regions than the panel: {w.n} for {config.n_regions}"
        elif isinstance(w, SyntheticWeights):
            yield from _map_problems(role, w, config)
        elif w is not None or role == "weights":
            yield f"{role} is neither a SyntheticWeights nor a SpatialWeights"
    if config.weights_error is not None and config.model not in ERROR_MODELS:
        yield f"weights_error, but {config.model!r} has no W u"
    yield from _unit_root_problems(config)


def _map_problems(role: str, w: SyntheticWeights, config: SpatialPanelConfig) -> Iterator[str]:
    if w.kind not in get_args(MapKind):
        yield f"{role}: kind = {w.kind!r} is not one of {', '.join(get_args(MapKind))}"
    if w.standardise not in get_args(Standardisation):
        yield f"{role}: standardise = {w.standardise!r} is not one of {', '.join(get_args(Standardisation))}"
    if w.kind == "knn" and not (_is_whole(w.neighbours) and 1 <= w.neighbours < config.n_regions):
        yield f"{role}: neighbours = {w.neighbours!r} is not between 1 and {config.n_regions - 1}"
    if w.kind == "exponential" and not (_is_number(w.decay_per_km) and w.decay_per_km > 0):
        yield f"{role}: decay_per_km = {w.decay_per_km!r} is not positive"
    if w.map_seed is not None and not (_is_whole(w.map_seed) and w.map_seed >= 0):
        yield f"{role}: map_seed = {w.map_seed!r} is not a whole number of zero or more"


def _unit_root_problems(config: SpatialPanelConfig) -> Iterator[str]:
    """What a W with row sums of one rules out at its eigenvalue 1; the exact check is made where W is known."""
    if getattr(config.weights, "standardise", None) != "row":
        return
    if abs(config.rho) >= 1:
        yield f"rho = {config.rho:g} is outside (−1, 1): the panel is not stationary in space"
    elif abs(config.tau + config.eta) >= 1 - config.rho:
        yield (
            f"tau + rho + eta = {config.tau + config.rho + config.eta:g} (tau = {config.tau:g}): "
            "the panel is not stationary in time"
        )
    if abs(config.lam) >= 1:
        yield f"lam = {config.lam:g} is outside (−1, 1): the error is not stationary in space"
