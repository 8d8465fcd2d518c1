"""The parameters of a simulation as a file that `spillover simulate` draws again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.config import SystemConfig
from spillover.simulation.reference import demo_config
from spillover.simulation.spatial_config import SpatialPanelConfig, SyntheticWeights
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.study.simulation_file import SimulationFile
from spillover.study.toml_text import section
from spillover.weights.weights import SpatialWeights


def simulation_toml(simulation: SimulationFile, weights_files: dict[str, str] | None = None) -> str:
    """Seed and sections; what has its default is left out.

    weights_files : "weights" and "weights_error" → the file beside it that holds a given W, as it is.
    """
    config = simulation.config
    head = f"seed = {simulation.seed}\n\n"
    if isinstance(config, SystemConfig):
        return head + _system_section(config)
    if isinstance(config, AgentConfig):
        usual = AgentConfig(system=demo_config())
        agents = section("[agents]", _changed(config, usual, {"system"}))
        truth = section("[truth]", {"draws": simulation.draws, "step": simulation.step})
        return head + _system_section(config.system) + agents + truth
    if isinstance(config, ThresholdPanelConfig):
        threshold = section(
            "[threshold]", _changed(config, ThresholdPanelConfig(), {"panel"}) | {"shift": config.shift}
        )
        return head + _panel_sections(config.panel, weights_files or {}) + threshold
    return head + _panel_sections(config, weights_files or {})


def plain_config(config: Any, weights_files: dict[str, str] | None = None) -> dict[str, Any]:
    """The parameters as plain values for JSON, with a given W by the name of its file."""
    files = weights_files or {}
    found: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, SpatialWeights):
            value = {"file": files.get(field.name)}
        elif hasattr(value, "__dataclass_fields__"):
            value = plain_config(value, files)
        elif isinstance(value, tuple):
            value = [plain_config(each) if hasattr(each, "__dataclass_fields__") else each for each in value]
        found[field.name] = value
    return found


def _system_section(config: SystemConfig) -> str:
    return section("[system]", _changed(config, demo_config()))


def _panel_sections(config: SpatialPanelConfig, files: dict[str, str]) -> str:
    usual = SpatialPanelConfig()
    nested = {"regressors", "errors", "weights", "weights_error"}
    parts = [section("[panel]", _changed(config, usual, nested))]
    parts += [section("[[panel.regressors]]", plain_config(law)) for law in config.regressors]
    parts.append(section("[panel.errors]", plain_config(config.errors)))
    for role in ("weights", "weights_error"):
        w = getattr(config, role)
        if isinstance(w, SyntheticWeights):
            values = plain_config(w)
            if w.map_seed is None:
                values["map_seed"] = "none"
            parts.append(section(f"[panel.{role}]", values))
        elif w is not None:
            parts.append(section(f"[panel.{role}]", {"file": files[role], "standardise": "none"}))
    return "".join(parts)


def _changed(config: Any, usual: Any, leave_out: set[str] | frozenset[str] = frozenset()) -> dict[str, Any]:
    """Field → value where it is not the usual one; "none" stands for None."""
    found = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in leave_out}
    return {name: "none" if value is None else value for name, value in found.items() if value != getattr(usual, name)}
