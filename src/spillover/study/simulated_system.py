"""Tiers 2 and 3 as files: the regional innovation system, by its mean and with agents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from spillover.panel.panel import Panel
from spillover.simulation.agents.average import AverageEffects, average_effects
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.agents.truth import AgentTruth
from spillover.simulation.config import SystemConfig
from spillover.simulation.geography import Geography
from spillover.simulation.reach import reach_km
from spillover.simulation.reference import DEMO_STUDY
from spillover.simulation.system import draw_system
from spillover.simulation.truth import Truth
from spillover.study.simulated import LABEL, Simulated, links_text, map_text
from spillover.study.simulated_study import study_text
from spillover.study.simulation_file import SimulationFile
from spillover.typing import Progress

LINKS = "weights.csv"
UNIT = "patents a year per unit of hti (1 = the paper's cluster)"


def draw_plain_system(simulation: SimulationFile) -> Simulated:
    """Tier 2, with its truth in closed form."""
    config = simulation.config
    assert isinstance(config, SystemConfig)
    drawn = draw_system(config, simulation.seed, simulation.geography)
    truth = drawn.truth
    headline = _headline(truth.direct, truth.spillover)
    notes = [
        f"A simulated system. {headline} (truth.json has it in full)",
        *(f"not exactly the model below: {reason}" for reason in _departures(config)),
    ]
    return Simulated(
        panel=drawn.panel,
        seed=simulation.seed,
        headline=headline,
        unit=UNIT,
        truth=truth.as_dict(),
        study=_study(drawn.panel, config, simulation.seed, notes, drawn.system.geography),
        map=map_text(drawn.system.geography.to_geodataframe()),
        tables=_truth_tables(truth) | _links(config, drawn.system.geography),
    )


def draw_agents(simulation: SimulationFile, progress: Progress) -> Simulated:
    """Tier 3, with its truth in closed form in the special case, and by brute force in any other."""
    config = simulation.config
    assert isinstance(config, AgentConfig)
    panel, truth = simulate_agents(config, simulation.seed, geography=simulation.geography, progress=progress)
    geography = truth.system.geography
    numbers, tables, headline = _agent_truth(truth, simulation, progress)
    notes = [
        f"Simulated agents. {headline} (truth.json has it in full)",
        *(f"not exactly the model below: {reason}" for reason in _agent_departures(config)),
    ]
    return Simulated(
        panel=panel,
        seed=simulation.seed,
        headline=headline,
        unit=UNIT,
        truth=numbers,
        study=_study(panel, config.system, simulation.seed, notes, geography),
        map=map_text(geography.to_geodataframe()),
        tables=tables | _links(config.system, geography),
    )


def _agent_truth(
    truth: AgentTruth, simulation: SimulationFile, progress: Progress
) -> tuple[dict[str, Any], dict[str, str], str]:
    """Numbers, tables and a sentence."""
    if truth.closed_form is not None:
        closed = truth.closed_form
        return truth.as_dict(), _truth_tables(closed), _headline(closed.direct, closed.spillover)
    if not simulation.draws:
        return truth.as_dict(), {}, "The truth of agents has no closed form, and no draws were asked for ([truth])."

    def told(text: str, share: float) -> None:
        progress(f"truth by brute force: {text}", 0.1 + 0.8 * share)

    found = average_effects(truth, step=simulation.step, draws=simulation.draws, seed=simulation.seed, progress=told)
    (direct, direct_error), (spillover, error) = found.direct, found.spillover
    headline = (
        f"{_headline(direct, spillover)} By brute force: {simulation.draws} draws, standard errors "
        f"{direct_error:.1f} and {error:.1f}."
    )
    return truth.as_dict() | found.as_dict(), {"truth_regions.csv": _reached_table(found)}, headline


def _reached_table(found: AverageEffects) -> str:
    import pandas as pd

    frame = pd.DataFrame(
        {"region": list(found.regions), "own_and_received": found.received, "std_error": found.received_error}
    )
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _headline(direct: float, spillover: float) -> str:
    return f"True effects, patents a year per cluster: direct {direct:.1f}, spillover {spillover:.1f}."


def _truth_tables(truth: Truth) -> dict[str, str]:
    return {
        "truth_regions.csv": truth.by_region().to_csv(index=False, lineterminator="\n"),
        "truth_distance.csv": truth.by_distance().to_csv(index=False, lineterminator="\n"),
    }


def _links(config: SystemConfig, geography: Geography) -> dict[str, str]:
    """Along roads: the kernel e^(−δ d) as an edge list, which no study could build from the map."""
    if geography.travel is None:
        return {}
    pairs = geography.pairs(reach_km(config))
    values = np.exp(-config.decay_per_km * pairs.distance).tolist()
    rows = zip(pairs.receiver.tolist(), pairs.sender.tolist(), values, strict=True)
    return {LINKS: links_text(geography.regions, rows)}


def _departures(c: SystemConfig) -> Iterable[str]:
    """Where the recommended model is not exactly right."""
    switches = {
        "informal exchange decays at another rate than W": c.informal_decay_ratio != 1.0,
        "the environment moderates what a region absorbs": c.environment_elasticity != 0,
        "transfers follow linkages": c.linkage_strength != 0,
        "universities attract transfers": c.university_strength != 0,
        "competition and A are not linear": c.competition != 0,
        "capital is drawn away from other regions": c.capital != 0,
        "innovation feeds on itself": c.feedback != 0,
        "A answers to last year's patents": c.endogeneity != 0,
    }
    return (reason for reason, on in switches.items() if on)


def _agent_departures(config: AgentConfig) -> Iterable[str]:
    yield from _departures(config.system)
    if not config.is_like_system:
        yield "agents act on what they know and own, so that effects are neither constant nor additive (docs/agents.md)"


def _study(panel: Panel, config: SystemConfig, seed: int, notes: list[str], geography: Geography) -> str:
    """The model that is right for the system, beside one that ignores neighbours."""
    study = replace(DEMO_STUDY, decay_per_km=config.decay_per_km, threshold_km=reach_km(config))
    common = {"formula": study.formula, "effects": study.effects, "treatment": study.treatment}
    return study_text(
        panel,
        notes=notes,
        title="A simulated regional innovation system",
        description=f"Drawn with seed {seed}: {LABEL}.",
        seed=seed,
        with_map=True,
        treatment=("hti", "high-tech agglomeration (1 = the paper's cluster)"),
        outcome=("patents", "patents"),
        weights=[_weights(study.decay_per_km, study.threshold_km, geography.travel is not None)],
        models=[
            {
                "name": "SLX with distance decay",
                **common,
                "model": study.model,
                "covariance": study.covariance,
                "main": True,
            },
            {"name": "OLS without neighbours", **common, "model": "ols"},
        ],
    )


def _weights(decay: float, threshold: float, own_kernel: bool) -> dict[str, Any]:
    """W with the system's own decay; its absolute level is kept, because rows of a kernel do not sum to one."""
    kept = {"standardise": "scalar", "islands": "keep"}
    if own_kernel:
        return {"name": "decay along roads", "kind": "file", "file": LINKS, **kept}
    return {
        "name": "distance decay",
        "kind": "exponential",
        "decay_per_km": decay,
        "threshold_km": threshold,
        **kept,
    }
