"""Whether the study of a simulation can run: known from the configuration, before anything is drawn."""

from __future__ import annotations

from spillover.errors import SpilloverError
from spillover.models.design import too_few
from spillover.simulation.admissible import reasons_of
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.config import SystemConfig
from spillover.simulation.designs import correction_of
from spillover.simulation.spatial_config import DURBIN_MODELS, SpatialPanelConfig
from spillover.simulation.threshold_panel import ThresholdPanelConfig


def study_problems(config: SpatialPanelConfig | ThresholdPanelConfig | SystemConfig | AgentConfig) -> list[str]:
    """Why the study of a simulation could not run, one sentence each; empty when it can."""
    if isinstance(config, AgentConfig):
        return study_problems(config.system)
    if isinstance(config, ThresholdPanelConfig):
        return study_problems(config.panel)
    if isinstance(config, SystemConfig):
        return _size_problems(config.n_regions, config.n_periods, 2)
    durbin = config.model in DURBIN_MODELS
    slopes = len(config.regressors) * (1 + durbin) + (config.tau != 0) + (config.eta != 0) + (config.effects == "none")
    periods = config.n_periods - config.is_dynamic
    problems = _size_problems(config.n_regions, periods, slopes)
    if periods < 2 and config.effects != "none":
        more = " besides the first, which is used up" if config.is_dynamic else ""
        problems.append(f"effects = {config.effects!r}: the study needs two periods at least{more}")
    try:
        correction_of(config)
    except SpilloverError as error:
        problems += reasons_of(error)
    return problems


def _size_problems(n: int, t: int, slopes: int) -> list[str]:
    found = too_few(n, t, slopes)
    return [] if found is None else [f"the study could not run with {found[0]}: it needs {found[1]}"]
