"""What power analysis asks of any configuration: its size, another size, and an estimator that is right for it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from spillover.errors import OptionError
from spillover.simulation.channel_shares import ShareEstimator, read_share, share_problems
from spillover.simulation.config import SystemConfig
from spillover.simulation.estimators import (
    CountEstimator,
    Estimator,
    FitEstimator,
    LaggedOutcomeEstimator,
    StudyEstimator,
    TwoStageEstimator,
)
from spillover.simulation.reach import reach_km
from spillover.simulation.reference import DEMO_STUDY
from spillover.simulation.spatial_config import ERROR_MODELS, LAG_MODELS, SpatialPanelConfig, SyntheticWeights
from spillover.simulation.threshold_estimator import for_threshold_panel
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.typing import Correction, CovarianceName
from spillover.weights.weights import SpatialWeights


def size_of(config: Any) -> tuple[int, int]:
    """Regions and periods of a configuration, or of the system or panel that it holds."""
    owner = _owner(config)
    return int(owner.n_regions), int(owner.n_periods)


def resize(config: Any, *, n_regions: int | None = None, n_periods: int | None = None) -> Any:
    """A copy of another size; a number of clusters keeps its share of the regions."""
    owner = _owner(config)
    changes = {"n_regions": n_regions, "n_periods": n_periods}
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if n_regions is not None and getattr(owner, "n_clusters", None) is not None:
        given["n_clusters"] = max(round(owner.n_clusters * n_regions / owner.n_regions), 1)
    resized = replace(owner, **given)
    if owner is config:
        return resized
    return replace(config, **{name: resized for name in _HOLDERS if getattr(config, name, None) is owner})


def weights_of(config: Any) -> Any:
    """W of a configuration, or of the panel that it holds; None where it has none of its own."""
    return getattr(_owner(config), "weights", None)


_HOLDERS = ("system", "panel")  # the field in which a larger configuration keeps the one with sizes


def _owner(config: Any) -> Any:
    for each in (config, *(getattr(config, name, None) for name in _HOLDERS)):
        if is_dataclass(each) and {"n_regions", "n_periods"} <= {field.name for field in fields(each)}:
            return each
    raise OptionError(
        "the size of this configuration is not known",
        got=f"a {type(config).__name__}",
        expected="a configuration with n_regions and n_periods",
    )


def ready_estimator(config: Any, covariance: CovarianceName = "default", quantity: str | None = None) -> Estimator:
    """The estimator of the project that is right for a configuration, and for what is asked of it.

    covariance : of maximum likelihood; every other estimator has one test, its "default".
    quantity : "share of spillover: talent", …, has an estimator of its own; None is any effect.

    Raises
    ------
    OptionError : there is none, and why.
    """
    by_likelihood = isinstance(config, SpatialPanelConfig) and not (config.counts or config.endogeneity)
    if covariance != "default" and not by_likelihood:
        raise OptionError(
            "this design has one test only, that of its estimator",
            got=f"covariance = {covariance!r}",
            expected="'default'",
        )
    if isinstance(config, ThresholdPanelConfig):
        return for_threshold_panel(config)
    if isinstance(config, SpatialPanelConfig):
        return _for_panel(config, covariance)
    owner = _owner(config)
    of = read_share(quantity)
    if of is not None and isinstance(owner, SystemConfig):
        problems = share_problems(owner)
        if problems:
            raise _none(f"for shares of channels, because of {'; '.join(problems)}")
        return ShareEstimator(owner.decay_per_km, owner.informal_decay_per_km, of)
    if isinstance(owner, SystemConfig) and owner.distance == "straight":
        return StudyEstimator(
            replace(DEMO_STUDY, decay_per_km=owner.decay_per_km, threshold_km=reach_km(owner)),
        )
    raise _none("distances along roads, which the map does not know" if isinstance(owner, SystemConfig) else "its kind")


def _for_panel(config: SpatialPanelConfig, covariance: CovarianceName) -> Estimator:
    names = tuple(x.name for x in config.regressors)
    if config.n_periods - config.is_dynamic < 2 and config.has_region_effects:
        more = " besides the first, which a dynamic panel uses up" if config.is_dynamic else ""
        raise OptionError(f"effects = {config.effects!r} need two periods{more}", got=f"n_periods = {config.n_periods}")
    if config.endogeneity:
        return _for_endogenous(config)
    if config.counts:
        return CountEstimator(config.formula, "ols" if config.model == "ols" else "slx", config.effects)
    if config.is_dynamic:
        return LaggedOutcomeEstimator(names, config.model, config.effects, config.eta != 0, covariance)
    return FitEstimator(config.formula, config.model, config.effects, correction_of(config), (covariance,))


def _for_endogenous(config: SpatialPanelConfig) -> Estimator:
    reasons = {
        "an endogenous regressor without an instrument": not config.instrument,
        "an endogenous regressor and counts": config.counts,
        "an endogenous regressor and dynamics": config.is_dynamic,
        f"an endogenous regressor in a {config.model} model": config.model in ERROR_MODELS,
    }
    found = [reason for reason, present in reasons.items() if present]
    if found:
        raise _none("; ".join(found))
    first, *others = (x.name for x in config.regressors)
    formula = f"y ~ {' + '.join(others) or '1'} | {first} ~ instrument"
    return TwoStageEstimator(formula, config.model, config.effects)  # type: ignore[arg-type]


def correction_of(config: SpatialPanelConfig) -> Correction:
    """ "lee-yu", or "none" where period means are removed beside W y and rows of W do not sum to one.

    Raises OptionError where that would be needed for W u, which has no estimator then.
    """
    own = config.weights_error
    roles = {"W y": (config.model in LAG_MODELS, config.weights)}
    roles["W u"] = (config.model in ERROR_MODELS, config.weights if own is None else own)
    uneven = [name for name, (used, w) in roles.items() if used and not _rows_of_one(w)]
    if not config.has_period_effects or not uneven:
        return "lee-yu"
    if config.model in ERROR_MODELS:
        raise _none(f"period effects, {' and '.join(uneven)} and a W whose rows do not sum to one")
    return "none"


def _rows_of_one(w: SyntheticWeights | SpatialWeights) -> bool:
    return w.standardise == "row" if isinstance(w, SyntheticWeights) else w.rows_sum_to_one


def _none(why: str) -> OptionError:
    return OptionError(
        "this configuration has no ready estimator", got=why, fix="give estimator=… (simulation.estimators)"
    )
