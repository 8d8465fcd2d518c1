"""A spatial panel with a planted threshold: above it the first regressor has another effect.

    y_t = ρ W y_t + X_t β + W X_t θ + shift · d_t ∘ x_t + neighbour_shift · W (d_t ∘ x_t) + effects + u_t,
    d_it = 1(q_it > γ)

Everything else is an exact spatial panel. For estimators of thresholds and for their power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spillover.panel.panel import Panel
from spillover.simulation.admissible import is_number, refuse_problems, shown
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_config import SpatialPanelConfig
from spillover.simulation.spatial_panel import build_truth, draw_inputs, simulate_spatial_panel
from spillover.simulation.spatial_truth import SpatialTruth
from spillover.simulation.spatial_world import build_world, multiplier
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

LARGEST_SHIFT = 1e4
_OWN_STREAM = 1000  # far from the children that an exact panel spawns


@dataclass(frozen=True)
class ThresholdPanelConfig:
    """An exact static panel and what changes where q passes γ.

    Parameters
    ----------
    panel : all but the threshold; static, no counts.
    threshold : γ. q is normal with mean 0 and variance 1.
    shift, neighbour_shift : by how much β and θ of the first regressor are larger above γ.
    region_share : of the variance of q, in [0, 1]: at 1 a region stays on its side for ever.

    Raises ConfigurationError with every inadmissible value at once.
    """

    panel: SpatialPanelConfig = field(default_factory=SpatialPanelConfig)
    threshold: float = 0.0
    shift: float = 0.5
    neighbour_shift: float = 0.0
    region_share: float = 0.5

    def __post_init__(self) -> None:
        refuse_problems("the threshold panel has", find_problems(self), "ThresholdPanelConfig()")


def find_problems(config: ThresholdPanelConfig) -> list[str]:
    """Everything that a planted threshold cannot be, one sentence each."""
    numbers = ("threshold", "shift", "neighbour_shift", "region_share")
    bad = [name for name in numbers if not is_number(getattr(config, name))]
    problems = [f"{name} = {shown(getattr(config, name))} is not a finite number" for name in bad]
    if "threshold" not in bad and abs(config.threshold) > 3:
        problems.append(f"threshold = {config.threshold:g}: q has variance 1, and hardly anybody would be beyond it")
    problems += [
        f"{name} = {getattr(config, name):g} is more than {LARGEST_SHIFT:g} in size"
        for name in ("shift", "neighbour_shift")
        if name not in bad and abs(getattr(config, name)) > LARGEST_SHIFT
    ]
    if "region_share" not in bad and not 0 <= config.region_share <= 1:
        problems.append(f"region_share = {config.region_share:g} is outside [0, 1]")
    panel = config.panel
    if not isinstance(panel, SpatialPanelConfig):
        return [*problems, "panel is not a SpatialPanelConfig"]
    if panel.is_dynamic:
        problems.append("tau, eta: a panel with a threshold is static")
    if panel.counts:
        problems.append("counts: the outcome of a panel with a threshold is not a count")
    if any(law.name == "q" for law in panel.regressors):
        problems.append("a regressor called q beside the threshold variable")
    return problems


@dataclass(frozen=True, eq=False)
class ThresholdTruth:
    """What is true: the threshold, the effects below and above it, and the panel without it (`below`)."""

    config: ThresholdPanelConfig
    below: SpatialTruth

    @property
    def weights(self) -> SpatialWeights:
        """W."""
        return self.below.weights

    @property
    def weights_error(self) -> SpatialWeights:
        """W of the error."""
        return self.below.weights_error

    def targets(self) -> dict[str, float]:
        """ "threshold", "x0 (below)", "x0 (above)", "shift: x0", and the same with "W*x0"; ρ and λ."""
        law = self.config.panel.regressors[0]
        found = {"threshold": self.config.threshold}
        for name, start, shift in (
            (law.name, law.beta, self.config.shift),
            (f"W*{law.name}", law.theta, self.config.neighbour_shift),
        ):
            found |= {f"{name} (below)": start, f"{name} (above)": start + shift, f"shift: {name}": shift}
        return found | {
            name: self.below.parameters[name] for name in ("rho", "lambda") if name in self.below.parameters
        }

    def as_dict(self) -> Mapping[str, Any]:
        """Plain numbers for JSON."""
        return {"parameters": dict(self.below.parameters), "targets": self.targets()}


def simulate_threshold_panel(config: ThresholdPanelConfig, seed: int) -> tuple[Panel, ThresholdTruth]:
    """The panel, with the threshold variable "q", and its truth.

    The same seed gives the same panel as without the threshold, plus what the threshold adds.
    """
    base, _ = simulate_spatial_panel(config.panel, seed)
    world = build_world(config.panel, check_seed(seed))
    law = config.panel.regressors[0]
    x = draw_inputs(config.panel, world, seed).regressors[law.name][:, -config.panel.n_periods :]
    q = _draw_q(config, seed, base.shape)
    above = np.where(q > config.threshold, x, 0.0)
    extra = config.shift * above + config.neighbour_shift * world.weights.lag(above)
    y = base["y"] + multiplier(world.weights, config.panel.rho).solve(extra)
    panel = base.with_variables({"y": y, "q": q}, labels={"q": "Threshold variable"})
    return panel, ThresholdTruth(config, build_truth(config.panel, world))


def _draw_q(config: ThresholdPanelConfig, seed: int, shape: tuple[int, int]) -> FloatArray:
    rng = np.random.default_rng(np.random.SeedSequence(check_seed(seed), spawn_key=(_OWN_STREAM,)))
    stays, moves = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    return np.asarray(np.sqrt(config.region_share) * stays + np.sqrt(1.0 - config.region_share) * moves)


@simulate.register
def _(config: ThresholdPanelConfig, seed: int) -> tuple[Panel, Any]:
    return simulate_threshold_panel(config, seed)
