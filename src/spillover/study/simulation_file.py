"""The file that says what `spillover simulate` draws: one TOML file, all its mistakes told at once.

seed = 1

[system]            # tier 2, the regional innovation system: any field of SystemConfig
n_regions = 100
capital = 0.5

[agents]            # with it, tier 3: firms and people act on that system: any field of AgentConfig but `system`
closure = 1.0

[truth]             # of agents: how many draws its effects are averaged over (0: none), and by how much A is raised
draws = 4
step = 0.1

[panel]             # or, instead of both, tier 1, an exact spatial panel: any field of SpatialPanelConfig
model = "sdm"
rho = 0.4
[[panel.regressors]]
name = "rd"
beta = 0.5
theta = 0.2
[panel.weights]     # a W of the map (kind = "knn", "queen", "exponential"), or file = "links.csv"
kind = "queen"

[threshold]         # with [panel]: slopes that change where a variable q passes a value (ThresholdPanelConfig)
threshold = 0.3
shift = 0.5

[map]               # optional: regions of a real map instead of invented ones
file = "regions.geojson"
id = "code"
name = "label"

What is not named keeps its default; in [system] that is the demo's system.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from spillover.errors import ConfigurationError, FileError
from spillover.simulation.admissible import Problems, shown
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.config import SystemConfig
from spillover.simulation.geography import Geography
from spillover.simulation.reference import DEMO_SEED, demo_config
from spillover.simulation.spatial_config import SpatialPanelConfig
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.study.paths import missing_file
from spillover.study.simulation_sections import (
    read_agents,
    read_map,
    read_panel,
    read_system,
    read_threshold,
    read_truth,
    unknown_key,
)
from spillover.study.simulation_study import study_problems

AnyConfig: TypeAlias = SpatialPanelConfig | ThresholdPanelConfig | SystemConfig | AgentConfig

SECTIONS = ("seed", "system", "agents", "truth", "panel", "threshold", "map")
"""What a simulation file may say."""


@dataclass(frozen=True, eq=False)
class SimulationFile:
    """What is drawn: parameters, seed, a map of real regions or None, and the files that were read.

    draws, step : how the truth of agents is computed.
    """

    config: AnyConfig
    seed: int
    geography: Geography | None = None
    inputs: tuple[Path, ...] = ()
    draws: int = 4
    step: float = 0.1


def default_simulation(seed: int | None = None) -> SimulationFile:
    """Without a file: the system that `spillover demo` studies."""
    return SimulationFile(demo_config(), DEMO_SEED if seed is None else seed)


def read_simulation(path: str | os.PathLike[str], seed: int | None = None) -> SimulationFile:
    """Read and check a simulation file.

    Parameters
    ----------
    path : a TOML file as above; paths in it are relative to it.
    seed : takes the place of the file's.

    Raises
    ------
    FileError : the file cannot be read, or is not TOML.
    ConfigurationError : everything that is wrong in it, together; also what would keep its study from running.
    """
    source = Path(path)
    written = parse_toml(source)
    problems = Problems()
    problems.add(*(unknown_key(key, SECTIONS) for key in written if key not in SECTIONS))
    chosen, seed_problems = read_seed(written.get("seed", DEMO_SEED) if seed is None else seed)
    problems.add(*seed_problems)
    folder = source.resolve().parent
    geography, inputs = read_map(written.get("map"), folder, problems)
    config, more = read_config(written, folder, geography, chosen, problems)
    draws, step = read_truth(written.get("truth"), "agents" in written, problems)
    if config is not None:
        problems.add(*study_problems(config))
    refuse_file(path, problems)
    assert config is not None
    return SimulationFile(config, chosen, geography, (source.resolve(), *inputs, *more), draws, step)


def read_config(
    written: dict[str, Any], folder: Path, geography: Geography | None, seed: int, problems: Problems
) -> tuple[AnyConfig | None, list[Path]]:
    """The configuration of the sections that are there, None where it is refused, and the files that it reads."""
    if "panel" in written and ("system" in written or "agents" in written):
        problems.add("[panel] is tier 1, and [system] and [agents] are tiers 2 and 3: keep one or the other")
    if "panel" in written:
        panel, files = read_panel(written["panel"], folder, geography, seed, problems)
        return (read_threshold(written["threshold"], panel, problems) if "threshold" in written else panel), files
    if "threshold" in written:
        problems.add("[threshold] is of a [panel], which is not there")
    system = read_system(written.get("system", {}), geography, problems)
    if "agents" in written:
        return read_agents(written["agents"], system, problems), []
    return system, []


def refuse_file(path: str | os.PathLike[str], problems: Problems) -> None:
    """Raise ConfigurationError with everything that was noted about a file."""
    found = list(dict.fromkeys(problems.found))
    if found:
        raise ConfigurationError(
            f"{str(path)!r} has {len(found)} mistake{'s' if len(found) > 1 else ''}",
            problems=found,
            fix="change what is named above; nothing was written",
        )


def parse_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says. Raises FileError when there is none, or it is something else."""
    if "\0" in str(path) or (reason := missing_file(path)):
        raise FileError(
            f"there is no simulation file {str(path)[:120]!r}",
            got="a path with a null character" if "\0" in str(path) else reason,
            fix="without a file `spillover simulate --out DIR` draws the demo's system",
        )
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, numbers of 5,000 digits
        raise FileError(
            f"{str(path)!r} is not a TOML file",
            got=str(error)[:200],
            expected="lines such as n_regions = 100 below a line [system]",
            causes=("a table was given instead", "text without quotes", "the same key twice"),
        ) from None
    except OSError as error:
        raise FileError(f"the simulation file {str(path)!r} cannot be read", got=error.strerror) from None


def read_seed(value: Any) -> tuple[int, list[str]]:
    """The seed, and what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return 0, [f"seed = {shown(value)} is not a whole number of zero or more"]
    return value, []
