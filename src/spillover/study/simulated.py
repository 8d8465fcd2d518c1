"""A simulation as files: the panel a user would meet, its map, its truth, and a study ready to run. Every tier."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from spillover import __version__
from spillover.errors import ConfigurationError
from spillover.panel.panel import Panel
from spillover.simulation.recovery_file import without_nan
from spillover.simulation.spatial_config import SpatialPanelConfig
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.study.check import check_study
from spillover.study.folder import SIMULATION, check_folder, replacing, write_texts
from spillover.study.output import output_path
from spillover.study.simulation_file import SimulationFile
from spillover.study.simulation_text import plain_config, simulation_toml
from spillover.typing import Progress, no_progress

TABLE, MAP, TRUTH, STUDY, AGAIN = "regions.csv", "regions.geojson", "truth.json", "study.toml", "simulation.toml"
LABEL = "illustrative calibration, not evidence: the regions are invented or their innovation is"


@dataclass(frozen=True, eq=False)
class Simulated:
    """What was drawn, ready to be written.

    Attributes
    ----------
    panel : as a user would meet it. seed : of everything random.
    headline : what is true, in one sentence. unit : of the truth.
    truth : plain numbers for JSON. tables : file name → its text (truth by region and distance, weights).
    study : text of the study file. map : text of the map, or None where there is none.
    weights_files : "weights" and "weights_error" → the file among `tables` that holds a given W.
    """

    panel: Panel
    seed: int
    headline: str
    unit: str
    truth: dict[str, Any]
    study: str
    map: str | None
    tables: dict[str, str] = field(default_factory=dict)
    weights_files: dict[str, str] = field(default_factory=dict)


def draw_simulation(simulation: SimulationFile, progress: Progress = no_progress) -> Simulated:
    """Draw what a simulation file describes."""
    if isinstance(simulation.config, SpatialPanelConfig | ThresholdPanelConfig):
        from spillover.study.simulated_panel import draw_panel

        return draw_panel(simulation)
    from spillover.study.simulated_system import draw_agents, draw_plain_system

    agents = hasattr(simulation.config, "system")
    return draw_agents(simulation, progress) if agents else draw_plain_system(simulation)


def write_simulation(
    simulation: SimulationFile, out: str | PathLike[str], progress: Progress = no_progress
) -> tuple[Path, Simulated]:
    """Draw a simulation and write it into the folder `out`.

    Files: regions.csv (one row per region and year), regions.geojson, truth.json (effects and all parameters) with
    tables of it by region and, where it has them, by distance, study.toml (`spillover run` accepts it as it is),
    simulation.toml (`spillover simulate` draws the same again; not where the map is the user's), and weights.csv where
    W is not one that a study builds from the map.

    Parameters
    ----------
    out : a folder that is new, empty, or holds an earlier simulation as it was written, which is replaced.

    Returns
    -------
    The path of study.toml, and what was drawn.

    Raises
    ------
    OutputError : the folder holds anything else, cannot be written, or holds an input; nothing is changed then.
    ConfigurationError : the study could not run on what was drawn. OptionError : the simulation cannot be drawn.
    """
    check_folder(out, inputs=simulation.inputs, content=SIMULATION)
    progress("drawing", 0.0)
    drawn = draw_simulation(simulation, progress)
    progress("writing it", 0.9)
    with replacing(out, inputs=simulation.inputs, content=SIMULATION) as new:
        write_texts(new, _texts(drawn, simulation))
        _require_runs(new / STUDY)
    progress("done", 1.0)
    return output_path(out) / STUDY, drawn


def _require_runs(study: Path) -> None:
    """Refuse a simulation whose study would be refused, while nothing is written yet."""
    found = check_study(study).problems
    if found:
        raise ConfigurationError(
            "the study of this simulation could not run",
            problems=found,
            fix="change the simulation; nothing was written",
        )


def _texts(drawn: Simulated, simulation: SimulationFile) -> dict[str, str]:
    """Name → content of every file."""
    texts = {
        TABLE: drawn.panel.to_frame().to_csv(index=False, lineterminator="\n"),
        TRUTH: json.dumps(_truth(drawn, simulation), ensure_ascii=False, allow_nan=False, indent=1) + "\n",
        STUDY: drawn.study,
        **drawn.tables,
    }
    if drawn.map is not None:
        texts[MAP] = drawn.map
    if simulation.geography is None:  # a real map would have to be found again from here
        texts[AGAIN] = simulation_toml(simulation, drawn.weights_files)
    return texts


def _truth(drawn: Simulated, simulation: SimulationFile) -> dict[str, Any]:
    versions = {"version": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return {
        "kind": "simulation",
        "label": LABEL,
        "unit": drawn.unit,
        "provenance": versions,
        "seed": drawn.seed,
        "config": plain_config(simulation.config, drawn.weights_files),
        "truth": without_nan(drawn.truth),
    }


def map_text(frame: Any) -> str:
    """A map of regions as GeoJSON with every digit; without a place on the earth it stays in plane km."""
    named = frame.rename_axis("region").reset_index()
    return str(named.to_json(drop_id=True, to_wgs84=named.crs is not None)) + "\n"


def links_text(regions: tuple[str, ...], rows: Any) -> str:
    """An edge list of (receiver, sender, weight) positions; a region to itself with 0 is one without neighbours."""
    return "focal,neighbor,weight\n" + "".join(f"{regions[i]},{regions[j]},{value!r}\n" for i, j, value in rows)
