"""`simulate`: one entry point for every tier. The kind of configuration decides which.

A tier registers itself beside its configuration: `@simulate.register` on a function of (config: ItsConfig, seed: int).
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.simulation.config import SystemConfig
from spillover.simulation.spatial_config import SpatialPanelConfig


@singledispatch
def simulate(config: Any, seed: int) -> tuple[Panel, Any]:
    """A panel with known truth.

    Parameters
    ----------
    config : `SpatialPanelConfig` (exact models), `SystemConfig` (the mechanistic system), or any registered kind.
    seed : whole number of zero or more; the same seed gives the same panel anywhere.

    Returns
    -------
    (Panel, truth); the truth is computed from the configuration, never a constant.

    Raises
    ------
    OptionError : an unknown kind of configuration, a seed that is none, parameters without a stationary state.
    """
    kinds = [kind.__name__ for kind in simulate.registry if kind is not object]
    raise OptionError(
        "this is not a configuration of the simulator",
        got=f"a {type(config).__name__}",
        expected=" or ".join(kinds),
    )


@simulate.register
def _(config: SpatialPanelConfig, seed: int) -> tuple[Panel, Any]:
    from spillover.simulation.spatial_panel import simulate_spatial_panel

    return simulate_spatial_panel(config, seed)


@simulate.register
def _(config: SystemConfig, seed: int) -> tuple[Panel, Any]:
    from spillover.simulation import system

    return system.simulate(config, seed)
