"""`simulate`: a panel of regions drawn from the reference system, with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.simulation import channels
from spillover.simulation.config import SystemConfig
from spillover.simulation.geography import Geography
from spillover.simulation.streams import Streams, spawn_streams
from spillover.simulation.structure import FLOOR_PATENTS, System, build_system
from spillover.simulation.truth import Truth, compute_truth
from spillover.typing import FloatArray, IntArray

MAX_FLOORED_SHARE = 0.001
"""Above this share of region-years at the floor the closed-form truth would not be the truth."""

_COLUMNS = {  # name → (label, unit)
    "hti": ("HTI intensity, reference cluster = 1", "clusters"),
    "hti_employment": ("Employment in high-tech industry", "persons"),
    "total_employment": ("Total employment", "persons"),
    "population": ("Population", "persons"),
    "area_km2": ("Area", "km²"),
    "patents": ("Patents", "patents a year"),
    "revenue": ("New-product revenue", "10⁴ yuan a year"),
    "talent_inflow": ("Talent inflow", "persons a year"),
    "transfers": ("Technology transfers received", "transfers a year"),
    "cooperation": ("Inter-firm cooperation projects", "projects a year"),
    "informal": ("Informal exchange", "activities a month"),
    "environment": ("Innovation environment, mean 1", "index"),
    "policy": ("Innovation policy", "index"),
    "infrastructure": ("Innovation infrastructure", "index"),
    "culture": ("Innovation culture", "index"),
    "linkage": ("Mean industrial linkage with regions within reach", "index"),
    "universities": ("Universities", "universities"),
    "firms": ("High-tech firms", "firms"),
    "capital": ("Capital", "index, mean 100"),
    "instrument": ("Exogenous cost shifter of HTI", "standard deviations"),
}

LARGEST_MEAN = 1e12
"""Largest expected number of a year in one region; counts beyond it are not whole numbers of anything."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What one draw of the system yields, each (n, t); `floored` is the share of region-years at the floor."""

    hti: FloatArray
    talent_inflow: FloatArray
    transfers: FloatArray
    cooperation: FloatArray
    informal: FloatArray
    patents: FloatArray
    revenue: FloatArray
    floored: float


@dataclass(frozen=True, eq=False)
class DrawnSystem:
    """A system, what it yielded in one draw, the panel a user would meet, and the truth along its path of A."""

    seed: int
    system: System
    outcomes: Outcomes
    panel: Panel
    truth: Truth


def simulate(config: SystemConfig, seed: int, geography: Geography | None = None) -> tuple[Panel, Truth]:
    """A panel from the reference system and what is true in it.

    Parameters
    ----------
    config : all parameters.
    seed : whole number; the same seed gives the same panel anywhere.
    geography : a real map (`Geography.from_panel`) with `config.n_regions` regions; a synthetic one by default.

    Returns
    -------
    Panel with variables (n, t), units, labels and a map (planar km when synthetic); and its Truth.

    Raises
    ------
    OptionError : an inadmissible seed, a map of another size, or expected patents at their floor of 1 in more than
        0.1 % of region-years.

    Notes
    -----
    Totals are drawn directly: a Poisson sum of independent flows between regions is itself Poisson, so no
    origin-destination matrix is needed; `simulation.flows` draws one for given totals. Cost O(links × periods).

    Examples
    --------
    >>> panel, truth = simulate(SystemConfig(n_regions=40, n_periods=3), seed=1)
    >>> panel.shape
    (40, 3)
    """
    drawn = draw_system(config, seed, geography)
    return drawn.panel, drawn.truth


def draw_system(config: SystemConfig, seed: int, geography: Geography | None = None) -> DrawnSystem:
    """As `simulate`, with the system itself: for flows between regions, experiments and what-if questions."""
    streams = spawn_streams(seed)
    system = build_system(config, streams, geography)
    outcomes = draw_outcomes(system, streams)
    if outcomes.floored > MAX_FLOORED_SHARE:
        raise OptionError(
            "expected patents are at their floor of 1 too often for the truth to hold",
            got=f"{100 * outcomes.floored:.1f} % of region-years",
            expected=f"at most {100 * MAX_FLOORED_SHARE:g} %",
            causes=("region or period effects with a large sd", "strong competition or capital", "a low base"),
            fix="raise base_patents, or lower region_effect_sd, period_effect_sd, competition or capital",
        )
    return DrawnSystem(
        seed, system, outcomes, _build_panel(system, outcomes, streams), compute_truth(system, outcomes.hti)
    )


def draw_outcomes(
    system: System, streams: Streams, hti: FloatArray | None = None, do: Mapping[str, FloatArray] | None = None
) -> Outcomes:
    """Draw flows and innovation, period by period, along a given path of A (n, t) or the system's own.

    do : flow ("talent_inflow", "cooperation", "informal") → (n, t) values at which it is held, whatever A is.
    """
    shape = (system.config.n_regions, system.config.n_periods)
    path = np.empty(shape)
    flows = {name: np.empty(shape) for name in ("talent_inflow", "transfers", "cooperation", "informal", "patents")}
    floored = 0
    mean: FloatArray | None = None
    surprise: FloatArray | None = None
    for period in range(shape[1]):
        previous = path[:, period - 1] if period else None
        now = system.hti_process.level(period, previous, surprise) if hti is None else hti[:, period]
        path[:, period] = now
        drawn = _draw_flows(system, now, system.absorb(mean), streams)
        drawn |= {name: values[:, period] for name, values in (do or {}).items()}
        unfloored = _expected_patents(system, drawn, now, period)
        mean = np.maximum(unfloored, FLOOR_PATENTS)
        floored += int((unfloored < FLOOR_PATENTS).sum())
        drawn["patents"] = _draw_patents(mean, system.config.patent_size, streams["patents"])
        surprise = (drawn["patents"] - mean) / np.sqrt(mean)
        for name, values in drawn.items():
            flows[name][:, period] = values
    return Outcomes(
        hti=path, revenue=_draw_revenue(flows["patents"], system.config, streams), floored=floored / path.size, **flows
    )


def _draw_flows(system: System, hti: FloatArray, absorption: FloatArray, streams: Streams) -> dict[str, FloatArray]:
    """One period's talent, transfers, cooperation and informal exchange, (n,) each."""
    c = system.config
    talent = channels.talent_inflow(channels.exposure(system.talent_kernel, hti, absorption), c.talent_per_cluster)
    transfers = _counts(
        streams["transfers"],
        channels.technology_transfer(
            channels.exposure(system.transfer_kernel, hti, absorption), c.transfers_per_cluster
        ),
    )
    informal = channels.informal_exchange(
        channels.exposure(system.informal_kernel, hti, absorption), c.informal_per_cluster
    )
    return {
        "talent_inflow": _counts(streams["talent"], talent).astype(float),
        "transfers": transfers.astype(float),
        # every transfer becomes a project with the same probability, so its mean is `channels.cooperation`
        "cooperation": streams["cooperation"].binomial(transfers, c.cooperation_share).astype(float),
        "informal": _counts(streams["informal"], 12.0 * informal) / 12.0,
    }


def _counts(rng: np.random.Generator, mean: FloatArray) -> IntArray:
    """Poisson counts; means that no count can have are a configuration that has run away."""
    largest = float(np.max(mean))
    if not largest <= LARGEST_MEAN:  # NaN too
        raise OptionError(
            "expected flows or patents are too large",
            got=f"{largest:.3g} a year in one region",
            expected=f"at most {LARGEST_MEAN:g}",
            causes=(
                "agglomeration that explodes: a persistence close to 1, a large cluster_sd, gp_mean or instrument",
                "a very large number of flows per cluster",
            ),
            fix="lower these numbers of the configuration",
        )
    return np.asarray(rng.poisson(mean), dtype=np.int64)


def _expected_patents(system: System, flows: dict[str, FloatArray], hti: FloatArray, period: int) -> FloatArray:
    """(n,) λ given the realised flows, before the floor."""
    c = system.config
    return np.asarray(
        system.other_patents(hti, period)
        + c.patents_per_person * flows["talent_inflow"]
        + c.patents_per_project * flows["cooperation"]
        + c.patents_per_activity * flows["informal"]
    )


def _draw_patents(mean: FloatArray, size: float | None, rng: np.random.Generator) -> FloatArray:
    """Poisson counts, or negative binomial with variance mean + mean² / size."""
    if size is None:
        return _counts(rng, mean).astype(float)
    return rng.negative_binomial(size, size / (size + mean)).astype(float)


def _draw_revenue(patents: FloatArray, config: SystemConfig, streams: Streams) -> FloatArray:
    """10⁴ yuan: proportional to patents, with a multiplicative error of mean 1."""
    noise = config.revenue_sd * streams["revenue"].standard_normal(patents.shape) - 0.5 * config.revenue_sd**2
    return np.asarray(config.revenue_per_patent * patents * np.exp(noise))


def _build_panel(system: System, outcomes: Outcomes, streams: Streams) -> Panel:
    """The panel as a user would meet it."""
    config, geography = system.config, system.geography
    env = system.environment
    constant = {
        "area_km2": geography.areas,
        "environment": env.level,
        "policy": env.policy,
        "infrastructure": env.infrastructure,
        "culture": env.culture,
        "linkage": system.linkage,
        "universities": system.universities,
        "firms": system.firms,
    }
    flows = ("hti", "patents", "revenue", "talent_inflow", "transfers", "cooperation", "informal")
    variables = {name: getattr(outcomes, name) for name in flows}
    variables |= {name: np.repeat(values[:, None], config.n_periods, axis=1) for name, values in constant.items()}
    variables |= _people(config, outcomes.hti, streams["population"])
    variables["capital"] = system.capital(outcomes.hti)
    if config.instrument:
        variables["instrument"] = system.hti_process.instrument
    return Panel(
        regions=geography.regions,
        periods=config.periods,
        variables={name: variables[name] for name in _COLUMNS if name in variables},
        units={name: _COLUMNS[name][1] for name in variables},
        labels={name: _COLUMNS[name][0] for name in variables},
        names=geography.names,
        geometry=geography.to_geodataframe(),
        log=("drawn from the reference system; the regions are invented",),
    )


def _people(config: SystemConfig, hti: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Employment and population in persons; other employment is exogenous, so HTI never exceeds the total."""
    n, t = hti.shape
    hti_employment = config.hti_employment_scale * hti
    base = 400_000.0 * np.exp(0.3 * rng.standard_normal((n, 1)))
    other = np.rint(base * 1.005 ** np.arange(t) * np.exp(0.01 * rng.standard_normal((n, t))))
    total = other + np.rint(hti_employment)
    return {
        "hti_employment": np.rint(hti_employment),
        "total_employment": total,
        "population": np.rint(total / rng.uniform(0.42, 0.52, size=(n, 1))),
    }
