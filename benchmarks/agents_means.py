"""The tables of docs/agents.md: agents against tier 2 in the special case, the truth both ways, and steps away from it.

    python benchmarks/agents_means.py

About a minute. Every number has its seed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.economy import Life, live
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.config import SystemConfig
from spillover.simulation.system import DrawnSystem, draw_system
from spillover.typing import FloatArray

LIVES = 400
BAND_EDGES_KM = (1e-9, 50.0, 100.0, 150.0, 250.0)  # the first band is the region itself
MODERATED = SystemConfig(
    n_regions=20,
    n_periods=3,
    environment_elasticity=0.5,
    linkage_strength=0.5,
    university_strength=0.4,
    competition=20.0,
    capital=0.3,
    region_effect_sd=5.0,
    period_effect_sd=2.0,
)
PLAIN = SystemConfig(n_regions=40, n_periods=5)
CHANNELS = {"talent": "talent_inflow", "transfers": "transfers", "cooperation": "cooperation", "informal": "informal"}
STEPS: dict[str, dict[str, float]] = {
    "special case": {},
    "triangles": {"closure": 0.5},
    "γ = 0.9": {"returns": 0.9},
    "exit and spin-offs": {"fixed_cost": 20.0, "spin_off": 0.03},
    "destinations, a = 1": {"attraction": 1.0},
    "knowledge carried": {"carried_knowledge": 1.0},
}


def expected_flows(drawn: DrawnSystem) -> dict[str, FloatArray]:
    """Channel → (n, n) tier 2's expected flows from column to row, all years together."""
    system, c = drawn.system, drawn.system.config
    years = drawn.outcomes.hti.sum(axis=1)
    kernels = {
        "talent": c.talent_per_cluster * system.talent_kernel,
        "transfers": c.transfers_per_cluster * system.transfer_kernel,
        "cooperation": c.cooperation_share * c.transfers_per_cluster * system.transfer_kernel,
        "informal": c.informal_per_cluster * system.informal_kernel,
    }
    return {name: system.absorption[:, None] * kernel.toarray() * years for name, kernel in kernels.items()}


def compare(name: str, sample: FloatArray, target: FloatArray) -> str:
    """Ratio of the sums with its error, and the largest |z| over the columns of `sample` (lives, columns)."""
    z = (sample.mean(axis=0) - target) / (sample.std(axis=0, ddof=1) / np.sqrt(len(sample)))
    ratio = sample.sum(axis=1) / target.sum()
    error = ratio.std(ddof=1) / np.sqrt(len(ratio))
    return f"{name:24} {ratio.mean():.4f} ± {error:.4f}   largest |z| of {len(target)}: {np.abs(z).max():.1f}"


def print_means() -> None:
    """Regional means and means by distance in the special case."""
    config = AgentConfig.like_system(MODERATED, persons_per_researcher=20.0)
    drawn = draw_system(MODERATED, 1)
    hti = drawn.outcomes.hti
    lives: list[Life] = [
        live(config, drawn.system, hti, AgentStreams(child), snapshot=True)
        for child in np.random.SeedSequence(101).spawn(LIVES)
    ]
    points = drawn.system.geography.points
    band = np.digitize(np.linalg.norm(points[:, None] - points[None], axis=2), BAND_EDGES_KM).ravel()
    flows = expected_flows(drawn)
    for field, name in CHANNELS.items():
        by_region = np.stack([life.variables[name].sum(axis=1) for life in lives])
        print(compare(f"{name} by region", by_region, flows[field].sum(axis=1)))
        dense = [getattr(life.snapshot, field).toarray().ravel() for life in lives]
        by_band = np.stack([np.bincount(band, weights=values, minlength=6) for values in dense])
        print(compare(f"{name} by band", by_band, np.bincount(band, weights=flows[field].ravel(), minlength=6)))
    patents = np.stack([life.variables["patents"].sum(axis=1) for life in lives])
    print(compare("patents by region", patents, drawn.system.mean_patents(hti).sum(axis=1)))


def print_truth() -> None:
    """Brute force against the closed form, and the effect outside the special case."""
    _, truth = simulate_agents(AgentConfig.like_system(PLAIN), 1)
    for region in ("R005", "R020"):
        found = truth.effect_of(region, step=0.5, draws=200, seed=2)
        j = truth.regions.index(region)
        print(f"{region}: own {found.own} against {truth.closed_form.own[j]:.1f}", end="; ")
        print(f"emitted {found.emitted} against {truth.closed_form.emitted[j]:.1f}")
    special = AgentConfig.like_system(PLAIN, persons_per_researcher=10.0)
    for name, change in STEPS.items():
        _, truth = simulate_agents(replace(special, **change), 1)
        found = truth.effect_of("R005", step=0.3, draws=30)
        parts = "  ".join(f"{effect:,.0f} ({error:.0f})" for effect, error in (found.own, found.emitted, found.total))
        print(f"{name:20} {parts}")


if __name__ == "__main__":
    print_means()
    print_truth()
