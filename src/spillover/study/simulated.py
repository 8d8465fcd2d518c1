"""A simulated system as files: the panel a user would meet, its map, its truth, and a study ready to run."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from spillover import __version__
from spillover.simulation.reach import reach_km
from spillover.simulation.reference import DEMO_STUDY
from spillover.simulation.system import DrawnSystem, draw_system
from spillover.study.folder import SIMULATION, check_folder, replacing, write_texts
from spillover.study.output import output_path
from spillover.study.simulation_file import SimulationFile, simulation_toml
from spillover.typing import Progress, no_progress

TABLE, MAP, TRUTH, STUDY, SYSTEM = "regions.csv", "regions.geojson", "truth.json", "study.toml", "system.toml"
LINKS = "weights.csv"
LABEL = "illustrative calibration, not evidence: the regions are invented or their innovation is"


def write_simulation(
    simulation: SimulationFile, out: str | PathLike[str], progress: Progress = no_progress
) -> tuple[Path, DrawnSystem]:
    """Draw a system and write it into the folder `out`.

    Files: regions.csv (one row per region and year), regions.geojson, truth.json (effects, channels, distance bands,
    received and emitted by region, all parameters), truth_regions.csv and truth_distance.csv (the same as tables),
    study.toml (`spillover run` accepts it as it is), system.toml (`spillover simulate` draws the same again), and,
    along roads, weights.csv with the kernel.

    Parameters
    ----------
    out : a folder that is new, empty, or holds an earlier simulation as it was written, which is replaced.

    Returns
    -------
    The path of study.toml, and the system as drawn.

    Raises
    ------
    OutputError : the folder holds anything else, cannot be written, or holds an input; nothing is changed then.
    OptionError : the system cannot be drawn.
    """
    check_folder(out, inputs=simulation.inputs, content=SIMULATION)
    progress("drawing the system", 0.0)
    drawn = draw_system(simulation.config, simulation.seed, simulation.geography)
    progress("writing it", 0.7)
    with replacing(out, inputs=simulation.inputs, content=SIMULATION) as new:
        write_texts(new, _texts(drawn, simulation))
    progress("done", 1.0)
    return output_path(out) / STUDY, drawn


def _texts(drawn: DrawnSystem, simulation: SimulationFile) -> dict[str, str]:
    """Name → content of every file."""
    own_kernel = drawn.system.geography.travel is not None
    texts = {
        TABLE: drawn.panel.to_frame().to_csv(index=False, lineterminator="\n"),
        MAP: _map_text(drawn),
        TRUTH: json.dumps(_truth(drawn), ensure_ascii=False, allow_nan=False, indent=1) + "\n",
        "truth_regions.csv": drawn.truth.by_region().to_csv(index=False, lineterminator="\n"),
        "truth_distance.csv": drawn.truth.by_distance().to_csv(index=False, lineterminator="\n"),
        STUDY: study_text(drawn, own_kernel),
    }
    if simulation.geography is None:  # a real map would have to be found again from here
        texts[SYSTEM] = simulation_toml(simulation.config, simulation.seed)
    if own_kernel:
        texts[LINKS] = _links_text(drawn)
    return texts


def _map_text(drawn: DrawnSystem) -> str:
    frame = drawn.system.geography.to_geodataframe().rename_axis("region").reset_index()
    return str(frame.to_json(drop_id=True, to_wgs84=frame.crs is not None)) + "\n"


def _truth(drawn: DrawnSystem) -> dict[str, Any]:
    versions = {"version": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return {
        "kind": "simulation",
        "label": LABEL,
        "unit": "patents a year per unit of hti (1 = the paper's cluster)",
        "provenance": versions,
        "seed": drawn.seed,
        "config": drawn.system.config.as_dict(),
        "truth": drawn.truth.as_dict(),
    }


def _links_text(drawn: DrawnSystem) -> str:
    """The kernel e^(−δ d) along the roads as an edge list."""
    config, geography = drawn.system.config, drawn.system.geography
    pairs = geography.pairs(reach_km(config))
    regions = geography.regions
    values = np.exp(-config.decay_per_km * pairs.distance).tolist()
    rows = zip(pairs.receiver.tolist(), pairs.sender.tolist(), values, strict=True)
    return "focal,neighbor,weight\n" + "".join(f"{regions[i]},{regions[j]},{value!r}\n" for i, j, value in rows)


def study_text(drawn: DrawnSystem, own_kernel: bool = False) -> str:
    """The study of a simulated system: the model that is right for it, beside one that ignores neighbours."""
    study = DEMO_STUDY
    return "\n".join(
        [
            *_notes(drawn),
            "[study]",
            'title = "A simulated regional innovation system"',
            f'description = "Drawn with seed {drawn.seed}: {LABEL}."',
            f"seed = {drawn.seed}",
            "",
            "[data]",
            f'table = "{TABLE}"',
            'region = "region"',
            'period = "period"',
            'name = "name"',
            f'geometry = "{MAP}"',
            "",
            "[data.units]",
            *(f"{name} = {json.dumps(unit, ensure_ascii=False)}" for name, unit in drawn.panel.units.items()),
            "",
            "[data.labels]",
            *(f"{name} = {json.dumps(label, ensure_ascii=False)}" for name, label in drawn.panel.labels.items()),
            "",
            "[agglomeration]",
            'measure = "column"',
            'column = "hti"',
            'name = "hti"',
            'label = "high-tech agglomeration (1 = the paper\'s cluster)"',
            "",
            "[innovation]",
            'column = "patents"',
            'label = "patents"',
            "",
            *_weights(drawn, own_kernel),
            "",
            "[[models]]",
            'name = "SLX with distance decay"',
            f'formula = "{study.formula}"',
            f'model = "{study.model}"',
            f'effects = "{study.effects}"',
            f'covariance = "{study.covariance}"',
            f'treatment = "{study.treatment}"',
            "main = true",
            "",
            "[[models]]",
            'name = "OLS without neighbours"',
            f'formula = "{study.formula}"',
            'model = "ols"',
            f'effects = "{study.effects}"',
            f'treatment = "{study.treatment}"',
            "",
        ]
    )


def _notes(drawn: DrawnSystem) -> Iterable[str]:
    """What is true, and where the recommended model is not exactly right."""
    c, truth = drawn.system.config, drawn.truth
    yield "# A simulated system. What is true in it, in patents a year per cluster (truth.json has it in full):"
    yield f"# direct {truth.direct:.1f}, spillover {truth.spillover:.1f}, total {truth.total:.1f}"
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
    for reason in (reason for reason, on in switches.items() if on):
        yield f"# not exactly the model below: {reason}"


def _weights(drawn: DrawnSystem, own_kernel: bool) -> list[str]:
    """W with the system's own decay; its absolute level is kept, because rows of a kernel do not sum to one."""
    decay = drawn.system.config.decay_per_km
    if own_kernel:
        return ["[[weights]]", 'name = "decay along roads"', 'kind = "file"', f'file = "{LINKS}"', *_SCALAR]
    reach = f"threshold_km = {reach_km(drawn.system.config)!r}"
    return [
        "[[weights]]",
        'name = "distance decay"',
        'kind = "exponential"',
        f"decay_per_km = {decay!r}",
        reach,
        *_SCALAR,
    ]


_SCALAR = ['standardise = "scalar"', 'islands = "keep"']
