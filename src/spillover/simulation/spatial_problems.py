"""What is wrong with a `SpatialPanelConfig`: every inadmissible value, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from keyword import iskeyword
from typing import Any, get_args

from spillover.errors import SpilloverError
from spillover.simulation.admissible import is_number, is_whole, reasons_of, shown
from spillover.simulation.geography import CLOSEST_KM, SPACING_KM
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    ERROR_MODELS,
    LAG_MODELS,
    RESERVED,
    ErrorLaw,
    ErrorShape,
    MapKind,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.typing import Effects, ModelName, Standardisation
from spillover.weights.distance import TRUNCATION
from spillover.weights.weights import SpatialWeights

LEAST_REGIONS = 5
LARGEST_PANEL = 50_000_000
"""Regions × periods beyond which one variable alone needs 400 MB."""

LARGEST_NUMBER = 1e50
"""Coefficients and standard deviations beyond which squares of outcomes overflow."""

_WHOLE = ("n_regions", "n_periods", "first_period")
_NUMBERS = (
    "rho",
    "lam",
    "tau",
    "eta",
    "intercept",
    "region_effect_sd",
    "period_effect_sd",
    "region_effect_correlation",
    "endogeneity",
    "instrument",
)


def find_problems(config: SpatialPanelConfig) -> list[str]:
    """Everything that is wrong with the parameters, one sentence each; empty when all is well."""
    wrong, judged = _judged(config)
    elsewhere = [
        *_size_problems(judged),
        *_regressor_problems(judged),
        *_model_problems(judged),
        *_range_problems(judged),
    ]
    about_w = [*_weights_problems(judged)]
    sizes = {"n_regions", "n_periods", "weights", "weights_error"} & set(wrong)
    problems = [*wrong.values(), *elsewhere, *about_w]
    if problems and not sizes and not about_w and not [*_size_problems(judged)]:
        problems += [text for text in _world_problems(judged) if text not in problems]
    return problems


def _judged(config: SpatialPanelConfig) -> tuple[dict[str, str], SpatialPanelConfig]:
    """What is of the wrong kind, by name, and a copy with defaults in its place, so that all else can be judged."""
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {each.name: getattr(config, each.name) for each in fields(config)}
    usual = {each.name: each.default for each in fields(config)}
    for name in _WHOLE:
        if not is_whole(values[name]):
            wrong[name] = f"{name} = {shown(values[name])} is not a whole number"
    for name in _NUMBERS:
        if not is_number(values[name]):
            wrong[name] = f"{name} = {shown(values[name])} is not a finite number"
    if not isinstance(config.counts, bool):
        wrong["counts"] = f"counts = {shown(config.counts)} is neither true nor false"
    values |= {name: usual[name] for name in wrong}
    regressors, told = _judged_regressors(config.regressors)
    errors, more = _judged_errors(config.errors)
    values["regressors"], values["errors"] = regressors, errors
    wrong |= told | more
    for role in ("weights", "weights_error"):
        w = values[role]
        if not isinstance(w, (SyntheticWeights, SpatialWeights)) and (w is not None or role == "weights"):
            wrong[role] = f"{role} is neither a SyntheticWeights nor a SpatialWeights"
            values[role] = None if role == "weights_error" else SyntheticWeights()
    judged = object.__new__(SpatialPanelConfig)
    for name, value in values.items():
        object.__setattr__(judged, name, value)
    return wrong, judged


def _judged_regressors(given: Any) -> tuple[tuple[Regressor, ...], dict[str, str]]:
    if not (isinstance(given, tuple) and given) or not all(isinstance(each, Regressor) for each in given):
        return (Regressor(),), {"regressors": "regressors is not a tuple of one Regressor or more"}
    wrong: dict[str, str] = {}
    sound = []
    for position, law in enumerate(given):
        usual = {}
        for each in fields(Regressor):
            value = getattr(law, each.name)
            if each.name != "name" and not is_number(value):
                wrong[f"regressor {position} {each.name}"] = (
                    f"{each.name} = {shown(value)} of the regressor {law.name} is not a finite number"
                )
                usual[each.name] = each.default
        sound.append(replace(law, **usual))
    return tuple(sound), wrong


def _judged_errors(given: Any) -> tuple[ErrorLaw, dict[str, str]]:
    if not isinstance(given, ErrorLaw):
        return ErrorLaw(), {"errors": "errors is not an ErrorLaw"}
    bad = [each for each in fields(given) if each.name != "shape" and not is_number(getattr(given, each.name))]
    wrong = {
        f"errors {each.name}": f"{each.name} = {shown(getattr(given, each.name))} of the errors is not a finite number"
        for each in bad
    }
    usual: dict[str, Any] = {each.name: each.default for each in bad}
    return replace(given, **usual), wrong


def _size_problems(config: SpatialPanelConfig) -> Iterator[str]:
    if config.n_regions < LEAST_REGIONS:
        yield f"n_regions = {config.n_regions}: at least {LEAST_REGIONS} regions are needed"
    if config.n_periods < 1:
        yield f"n_periods = {config.n_periods}: at least 1 period is needed"
    if config.n_regions * config.n_periods > LARGEST_PANEL:
        yield (
            f"n_regions = {config.n_regions} times n_periods = {config.n_periods}: more than "
            f"{LARGEST_PANEL:,} values of each variable do not fit"
        )


def _regressor_problems(config: SpatialPanelConfig) -> Iterator[str]:
    names = [regressor.name for regressor in config.regressors]
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()) or iskeyword(name) or name in RESERVED:
            yield f"a regressor cannot be called {shown(name)}"
    twice = {shown(name) for k, name in enumerate(names) if name in names[:k]}
    if twice:
        yield "regressors have names that are not unique: " + ", ".join(sorted(twice))
    for law in config.regressors:
        if not 0 <= law.persistence < 1:
            yield f"persistence = {law.persistence:g} of {law.name} is outside [0, 1)"
        if not -1 < law.spatial < 1:
            yield f"spatial = {law.spatial:g} of {law.name} is outside (−1, 1)"
        if law.sd < 0 or law.region_sd < 0 or law.sd + law.region_sd == 0:
            yield f"sd = {law.sd:g}, region_sd = {law.region_sd:g} of {law.name}: negative or all 0"
        if law.theta != 0 and config.model in get_args(ModelName) and config.model not in DURBIN_MODELS:
            yield f"theta = {law.theta:g} of {law.name}, but {shown(config.model)} has no W x"


def _model_problems(config: SpatialPanelConfig) -> Iterator[str]:
    known = config.model in get_args(ModelName)
    rules = {
        f"model = {shown(config.model)} is not one of {', '.join(get_args(ModelName))}": not known,
        f"effects = {shown(config.effects)} is not one of {', '.join(get_args(Effects))}": config.effects
        not in get_args(Effects),
        f"shape = {shown(config.errors.shape)} is not one of {', '.join(get_args(ErrorShape))}": config.errors.shape
        not in get_args(ErrorShape),
        f"rho = {config.rho:g}, but {shown(config.model)} has no W y": (
            known and config.rho != 0 and config.model not in LAG_MODELS
        ),
        f"lam = {config.lam:g}, but {shown(config.model)} has no W u": (
            known and config.lam != 0 and config.model not in ERROR_MODELS
        ),
        f"eta = {config.eta:g}, but {shown(config.model)} has no W y": (
            known and config.eta != 0 and config.model not in LAG_MODELS
        ),
        f"counts with model = {shown(config.model)}: only 'ols' and 'slx' have a Poisson form": (
            known and config.counts and config.model not in ("ols", "slx")
        ),
        "counts with tau or eta: a dynamic Poisson model is not among the models": (
            config.counts and (config.tau != 0 or config.eta != 0)
        ),
        f"weights_error, but {shown(config.model)} has no W u": (
            known and config.weights_error is not None and config.model not in ERROR_MODELS
        ),
    }
    yield from (problem for problem, broken in rules.items() if broken)


def _range_problems(config: SpatialPanelConfig) -> Iterator[str]:
    errors = config.errors
    sizes = {name: getattr(config, name) for name in ("intercept", "region_effect_sd", "period_effect_sd")}
    told = {f"{name} = {value:.3g}": value for name, value in sizes.items()} | {
        f"sigma = {errors.sigma:.3g}": errors.sigma
    }
    for law in config.regressors:
        names = {name: getattr(law, name) for name in ("beta", "theta", "sd", "region_sd")}
        told |= {f"{name} = {value:.3g} of {law.name}": value for name, value in names.items()}
    yield from (f"{text} is too large" for text, value in told.items() if abs(value) > LARGEST_NUMBER)
    if 0 < errors.sigma < 1.0 / LARGEST_NUMBER:
        yield f"sigma = {errors.sigma:.3g} is too small"
    rules = {
        f"sigma = {errors.sigma:g} is not positive": errors.sigma < 0 or (errors.sigma == 0 and not config.counts),
        f"heteroskedastic = {errors.heteroskedastic:g} is outside [0, 5]": not 0 <= errors.heteroskedastic <= 5,
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
            if w.n != config.n_regions:
                yield f"n_regions = {config.n_regions}, but the given {role} are of {w.n} regions"
            elif sorted(w.regions) != list(config.region_ids):
                yield f"{role} are of other regions than the panel, such as {w.regions[0]}"
        elif isinstance(w, SyntheticWeights):
            yield from kind_problems(role, w, config.n_regions)
            yield from _synthetic_problems(role, w)
    yield from _unit_root_problems(config)


def kind_problems(role: str, w: SyntheticWeights, n_regions: int) -> Iterator[str]:
    """What is wrong with a kind of W on any map of so many regions."""
    if w.kind not in get_args(MapKind):
        yield f"{role}: kind = {shown(w.kind)} is not one of {', '.join(get_args(MapKind))}"
    if w.standardise not in get_args(Standardisation):
        yield f"{role}: standardise = {shown(w.standardise)} is not one of {', '.join(get_args(Standardisation))}"
    few = n_regions < LEAST_REGIONS  # told by itself
    if w.kind == "knn" and not (is_whole(w.neighbours) and w.neighbours >= 1 and (few or w.neighbours < n_regions)):
        yield f"{role}: neighbours = {shown(w.neighbours)} is not between 1 and {max(n_regions, LEAST_REGIONS) - 1}"
    if w.kind == "exponential" and not (is_number(w.decay_per_km) and w.decay_per_km > 0):
        yield f"{role}: decay_per_km = {shown(w.decay_per_km)} is not positive"


def _synthetic_problems(role: str, w: SyntheticWeights) -> Iterator[str]:
    """What is wrong with it on an invented map."""
    sound = w.kind == "exponential" and is_number(w.decay_per_km) and w.decay_per_km > 0
    if sound and TRUNCATION / w.decay_per_km < CLOSEST_KM:
        yield (
            f"{role}: decay_per_km = {w.decay_per_km:g} cuts the kernel at {TRUNCATION / w.decay_per_km:.3g} km, and "
            f"neighbours on the synthetic map are about {SPACING_KM:.0f} km apart: no region would have any"
        )
    if w.map_seed is not None and not (is_whole(w.map_seed) and w.map_seed >= 0):
        yield f"{role}: map_seed = {shown(w.map_seed)} is not a whole number of zero or more"


def _unit_root_problems(config: SpatialPanelConfig) -> Iterator[str]:
    """What a W with spectral radius one rules out at its eigenvalue 1; the exact check is made where W is known."""
    if _has_unit_root(config.weights):
        if abs(config.rho) >= 1:
            yield f"rho = {config.rho:g} is outside (−1, 1): the panel is not stationary in space"
        elif abs(config.tau + config.eta) >= 1 - config.rho:
            yield (
                f"tau = {config.tau:g}, rho = {config.rho:g}, eta = {config.eta:g}: the panel is not stationary in "
                "time, where |τ + η| must be below 1 − ρ"
            )
    if (
        _has_unit_root(config.weights if config.weights_error is None else config.weights_error)
        and abs(config.lam) >= 1
    ):
        yield f"lam = {config.lam:g} is outside (−1, 1): the error is not stationary in space"


def _has_unit_root(w: SyntheticWeights | SpatialWeights) -> bool:
    return (w.standardise if isinstance(w, SyntheticWeights) else w.standardisation) in ("row", "spectral")


def _world_problems(config: SpatialPanelConfig) -> list[str]:
    """Stationarity for the W at hand; asked only where something else is wrong, since the panel is refused anyway."""
    from spillover.simulation.spatial_world import stationarity_problems, unchecked_world

    try:
        return stationarity_problems(config, unchecked_world(config, 0))
    except SpilloverError as error:
        return list(reasons_of(error))
