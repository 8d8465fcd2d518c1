"""`SpatialPanelConfig`: an exact spatial panel: which model, which regressors, effects, errors and W."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from spillover.simulation.admissible import refuse_problems
from spillover.typing import Effects, ModelName, Standardisation
from spillover.weights.weights import SpatialWeights

ErrorShape = Literal["normal", "t5", "skewed"]
MapKind = Literal["knn", "queen", "exponential"]

LAG_MODELS = ("sar", "sdm", "sac", "gns")
DURBIN_MODELS = ("slx", "sdm", "sdem", "gns")
ERROR_MODELS = ("sem", "sdem", "sac", "gns")
USUAL_REGIONS = 100
PARAMETERS = ("rho", "lambda", "tau", "eta", "sigma2")
COLUMNS = ("y", "instrument", "region", "period", "name", "y_before")
RESERVED = (*PARAMETERS, *COLUMNS)
"""What no regressor can be called: coefficients, and columns of the table and of its study."""


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
    n_regions, n_periods, first_period : size of the panel. A given W has its number of regions: leave n_regions out
        beside it, or give the same number.
    regressors : at least one.
    rho, lam (λ), tau, eta : spatial, error, time and space–time lags; dynamic when tau or eta is not zero. Then 100
        periods are drawn before the first, or more near a unit root: as many as leave a thousandth of the start.
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
    ConfigurationError : with every inadmissible value at once.

    Examples
    --------
    >>> SpatialPanelConfig(model="sdm", rho=0.3, regressors=(Regressor("x", 0.3, 0.15),)).is_dynamic
    False
    """

    model: ModelName = "sdm"
    n_regions: int = USUAL_REGIONS
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
        from spillover.simulation.spatial_problems import find_problems

        if isinstance(self.weights, SpatialWeights) and self.n_regions == USUAL_REGIONS:
            object.__setattr__(self, "n_regions", self.weights.n)  # nothing was asked for
        refuse_problems("the spatial panel has", find_problems(self), "SpatialPanelConfig()")

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
