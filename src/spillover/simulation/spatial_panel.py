"""Tier 1: exact panels of every model of the estimation core, with their truth in closed form.

`draw_inputs` draws everything random; `solve_outcome` is a deterministic function of what was drawn. Changing a
regressor and solving again, with the same draws, is therefore an exact experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    ERROR_MODELS,
    LAG_MODELS,
    ErrorLaw,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.simulation.spatial_truth import SpatialTruth
from spillover.simulation.spatial_world import SpatialWorld, build_world, multiplier, run_in, space_filter
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray

__all__ = [
    "ErrorLaw",
    "Regressor",
    "SpatialInputs",
    "SpatialPanelConfig",
    "SpatialTruth",
    "SyntheticWeights",
    "build_truth",
    "draw_inputs",
    "simulate_spatial_panel",
    "solve_outcome",
]

MAX_LOG_MEAN = 20.0
"""Largest logarithm of an expected count: 5e8."""

_LABELS = {"y": "Outcome", "instrument": "Exogenous shifter of the first regressor"}
_STREAMS = ("map", "regressors", "region means", "errors", "variances", "regions", "periods", "instrument", "counts")


@dataclass(frozen=True, eq=False)
class SpatialInputs:
    """What is drawn: s = run-in + t periods.

    regressors : name → (n, s). errors : (n, s) ε. regions : (n, 1) μ. periods : (1, s) α. instrument : (n, s) or None.
    counts : seed of the Poisson draws.
    """

    regressors: Mapping[str, FloatArray]
    errors: FloatArray
    regions: FloatArray
    periods: FloatArray
    instrument: FloatArray | None
    counts: np.random.SeedSequence

    def with_regressor(self, name: str, values: FloatArray) -> SpatialInputs:
        """A copy with another path (n, s) of one regressor, everything else the same."""
        return replace(self, regressors={**self.regressors, name: values})


def simulate_spatial_panel(config: SpatialPanelConfig, seed: int) -> tuple[Panel, SpatialTruth]:
    """A panel of the configured model and its truth.

    Parameters
    ----------
    config : all parameters. seed : whole number of zero or more; the same seed gives the same panel anywhere.

    Returns
    -------
    Panel with variables y, the regressors, and "instrument" where the dial is used, each (n, t); and `SpatialTruth`.

    Raises
    ------
    OptionError : a seed that is none, parameters that are not stationary for this W, expected counts above 5e8.

    Cost: one factorisation of I − ρW and of I − λW, then one solve per period.

    Examples
    --------
    >>> panel, truth = simulate_spatial_panel(SpatialPanelConfig(n_regions=30, n_periods=5, rho=0.5), seed=1)
    >>> panel.shape, round(truth.total("x0"), 10)
    ((30, 5), 2.0)
    """
    world = build_world(config, check_seed(seed))
    inputs = draw_inputs(config, world, seed)
    variables = {"y": solve_outcome(config, world, inputs)}
    variables |= {name: values[:, -config.n_periods :] for name, values in inputs.regressors.items()}
    if inputs.instrument is not None:
        variables["instrument"] = inputs.instrument[:, -config.n_periods :]
    panel = Panel(
        regions=world.regions,
        periods=config.periods,
        variables=variables,
        labels={name: label for name, label in _LABELS.items() if name in variables},
        geometry=world.geometry,
        is_panel=config.n_periods > 1,
        log=(f"drawn from a {config.model} model; the regions are invented",),
    )
    return panel, build_truth(config, world)


@lru_cache(maxsize=8)
def build_truth(config: SpatialPanelConfig, world: SpatialWorld) -> SpatialTruth:
    """The truth of a configuration, without drawing a panel; the last few are kept, with what they computed."""
    parameters: dict[str, float] = {x.name: x.beta for x in config.regressors}
    if config.model in DURBIN_MODELS:
        parameters |= {f"W*{x.name}": x.theta for x in config.regressors}
    if config.model in LAG_MODELS:
        parameters["rho"] = config.rho
    if config.model in ERROR_MODELS:
        parameters["lambda"] = config.lam
    if config.is_dynamic:
        parameters |= {"tau": config.tau, "eta": config.eta}
    if not config.counts:
        parameters["sigma2"] = config.errors.sigma**2
    return SpatialTruth(
        regions=world.regions,
        parameters=parameters,
        weights=world.weights,
        weights_error=world.weights_error,
        own={x.name: x.beta for x in config.regressors},
        neighbour={x.name: x.theta for x in config.regressors},
        rho=config.rho,
        tau=config.tau,
        eta=config.eta,
        counts=config.counts,
    )


def draw_inputs(config: SpatialPanelConfig, world: SpatialWorld, seed: int) -> SpatialInputs:
    """Everything random but the counts, from independent streams: changing one part leaves the others alone."""
    children = dict(zip(_STREAMS, np.random.SeedSequence(check_seed(seed)).spawn(len(_STREAMS)), strict=True))
    rng = {name: np.random.default_rng(child) for name, child in children.items()}
    n, s = config.n_regions, config.n_periods + run_in(config, world)
    shape = (len(config.regressors), n, s)
    shocks, means = rng["regressors"].standard_normal(shape), rng["region means"].standard_normal((shape[0], n))
    instrument = rng["instrument"].standard_normal((n, s)) if config.instrument else None
    regressors = {}
    for j, law in enumerate(config.regressors):
        moved = shocks[j] if j or instrument is None else _blend(shocks[0], instrument, config.instrument)
        within = law.sd * _autoregress(moved, law.persistence)
        regressors[law.name] = space_filter(world.weights, law.spatial)(within + law.region_sd * means[j][:, None])
    return SpatialInputs(
        regressors=regressors,
        errors=_draw_errors(config, shocks[0], rng["errors"], rng["variances"]),
        regions=_draw_regions(config, means[0], rng["regions"]),
        periods=config.period_effect_sd * config.has_period_effects * rng["periods"].standard_normal((1, s)),
        instrument=instrument,
        counts=children["counts"],
    )


def solve_outcome(config: SpatialPanelConfig, world: SpatialWorld, inputs: SpatialInputs) -> FloatArray:
    """(n, t) outcome for given draws: period by period where it is dynamic."""
    lag = world.weights.lag
    mean = config.intercept + inputs.regions + inputs.periods
    for law in config.regressors:
        x = inputs.regressors[law.name]
        mean = mean + law.beta * x + (law.theta * lag(x) if law.theta else 0.0)
    mean = mean + multiplier(world.weights_error, config.lam).solve(inputs.errors)
    if config.counts:
        return _draw_counts(mean, inputs.counts)
    spread = multiplier(world.weights, config.rho)
    if not config.is_dynamic:
        return spread.solve(mean)
    path, before = np.empty_like(mean), np.zeros(len(mean))
    for period in range(mean.shape[1]):
        before = spread.solve(mean[:, period] + config.tau * before + config.eta * lag(before))
        path[:, period] = before
    return path[:, -config.n_periods :]


def _blend(base: FloatArray, other: FloatArray, share: float) -> FloatArray:
    """√(1 − share²) base + share other: variance 1 and correlation `share` with the other."""
    return np.sqrt(1.0 - share**2) * base + share * other


def _autoregress(shocks: FloatArray, persistence: float) -> FloatArray:
    """(n, s) stationary AR(1) of variance 1 from shocks of variance 1."""
    if persistence == 0:
        return shocks
    path = np.empty_like(shocks)
    path[:, 0] = shocks[:, 0]
    scale = np.sqrt(1.0 - persistence**2)
    for period in range(1, shocks.shape[1]):
        path[:, period] = persistence * path[:, period - 1] + scale * shocks[:, period]
    return path


def _draw_errors(
    config: SpatialPanelConfig, shared: FloatArray, rng: np.random.Generator, spread: np.random.Generator
) -> FloatArray:
    """(n, s) ε; `shared` (n, s) is what the first regressor has in common with it."""
    law = config.errors
    draws = _blend(_standard_draws(law.shape, shared.shape, rng), shared, config.endogeneity)
    level = np.exp(law.heteroskedastic * spread.standard_normal((len(shared), 1)))
    level /= np.sqrt(np.mean(level**2))
    return np.asarray(law.sigma * level * _autoregress(draws, law.serial))


def _standard_draws(shape: str, size: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Independent draws of mean 0 and variance 1."""
    if shape == "t5":
        return np.asarray(np.sqrt(3.0 / 5.0) * rng.standard_t(5, size))
    if shape == "skewed":
        return np.asarray((rng.chisquare(4, size) - 4.0) / np.sqrt(8.0))
    return rng.standard_normal(size)


def _draw_regions(config: SpatialPanelConfig, means: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(n, 1) μ, correlated with the region means of the first regressor where asked for."""
    draws = rng.standard_normal(config.n_regions)
    values = _blend(draws, means, config.region_effect_correlation)
    return np.asarray(config.region_effect_sd * config.has_region_effects * values)[:, None]


def _draw_counts(log_mean: FloatArray, seed: np.random.SeedSequence) -> FloatArray:
    if log_mean.max() > MAX_LOG_MEAN:
        raise OptionError(
            "expected counts are too large",
            got=f"exp({log_mean.max():.3g})",
            expected=f"at most exp({MAX_LOG_MEAN:g})",
            causes=("a large intercept", "coefficients, effects or errors with a large sd"),
            fix="lower intercept, beta, theta, sigma, region_effect_sd or period_effect_sd",
        )
    return np.random.default_rng(seed).poisson(np.exp(log_mean)).astype(float)
