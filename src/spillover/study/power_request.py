"""What `spillover power` is asked: options or a design file, with everything that is wrong with them told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from spillover.errors import ConfigurationError, show_labels
from spillover.simulation.admissible import Problems, is_number
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.designs import ready_estimator, resize
from spillover.simulation.power import PowerQuestion
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    LAG_MODELS,
    ErrorLaw,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.simulation.spatial_world import DENSE_LIMIT
from spillover.study.phrasing import phrase
from spillover.study.simulation_file import AnyConfig, parse_toml, read_config
from spillover.study.simulation_sections import panel_world_problems, read_map, unknown_key


@dataclass(frozen=True)
class DesignOptions:
    """The design as options say it; None is what was not said."""

    regions: int | None = None
    years: int | None = None
    model: str | None = None
    beta: float | None = None
    theta: float | None = None
    rho: float | None = None
    lam: float | None = None
    tau: float | None = None
    eta: float | None = None
    counts: bool | None = None
    intercept: float | None = None
    sigma: float | None = None
    persistence: float | None = None
    effects: str | None = None
    neighbours: int | None = None
    weights: Path | None = None


@dataclass(frozen=True, eq=False)
class PowerRequest:
    """A design, a question, and the sizes of a grid; all admissible."""

    config: AnyConfig
    question: PowerQuestion
    grid_regions: tuple[int, ...] = ()
    grid_periods: tuple[int, ...] = ()


def read_power_request(
    options: DesignOptions,
    design: Path | None = None,
    *,
    question: dict[str, Any] | None = None,
    grid_regions: str = "",
    grid_years: str = "",
    rounds: int = 0,
    seed: int = 1,
) -> PowerRequest:
    """The request; ConfigurationError with every mistake, in the words of the command line.

    Parameters
    ----------
    options : the design as options. design : a simulation file that describes it instead.
    question : keywords of `PowerQuestion`. grid_regions, grid_years : numbers separated by commas.
    rounds : panels that will be drawn. seed : of an invented map that the design file draws anew for every panel.
    """
    problems = Problems()
    if design is None:
        config: AnyConfig | None = _config_of(options, problems)
    else:
        config = _config_of_file(design, options, seed, problems)
    asked = problems.attempt(PowerQuestion, **(question or {}))
    if asked is not None and config is not None:
        problems.attempt(asked.term, config)
    sizes = [_numbers(name, text, problems) for name, text in (("regions", grid_regions), ("years", grid_years))]
    if rounds == 1:
        problems.add("--rounds 1: at least 2 panels are needed")
    problems.add(*_cell_problems(config, *sizes, drawn=rounds > 0))
    if sizes[0] and (options.weights is not None or _has_given_w(config)):
        problems.add("--grid-regions beside a W of your own, which has its number of regions")
    if config is not None and not problems.found:
        problems.add(*_world_problems(config, seed))
    told = (phrase(text, "command line").replace(*_NO_MAP) for text in problems.found)
    found = list(dict.fromkeys(map(in_options, told)))
    if found:
        raise ConfigurationError(
            f"power cannot be computed: {len(found)} mistake{'s' if len(found) > 1 else ''}",
            problems=found,
            fix="change what is named above; spillover power --help has all options",
        )
    assert config is not None
    assert asked is not None
    return PowerRequest(config, asked, *sizes)


def _config_of(options: DesignOptions, problems: Problems) -> SpatialPanelConfig | None:
    counts = bool(options.counts)
    model = options.model or ("slx" if counts else "sdm")
    beta = 0.3 if options.beta is None else options.beta
    theta = options.theta
    if theta is None:
        theta = beta / 2.0 if model in DURBIN_MODELS and is_number(beta) else 0.0
    rho = options.rho
    if rho is None:
        rho = 0.3 if model in LAG_MODELS else 0.0
    w, regions = _weights_of(options, problems)
    sigma = options.sigma
    if sigma is None:
        sigma = 0.0 if counts else 1.0
    return problems.attempt(
        SpatialPanelConfig,
        model=model,  # type: ignore[arg-type]
        n_regions=regions,
        n_periods=10 if options.years is None else options.years,
        regressors=(
            Regressor("x", beta, theta, persistence=0.8 if options.persistence is None else options.persistence),
        ),
        rho=rho,
        lam=options.lam or 0.0,
        tau=options.tau or 0.0,
        eta=options.eta or 0.0,
        intercept=options.intercept or 0.0,
        effects=options.effects or "two-way",  # type: ignore[arg-type]
        errors=ErrorLaw(sigma),
        counts=counts,
        weights=w,
    )


def _weights_of(options: DesignOptions, problems: Problems) -> tuple[Any, int]:
    """W and the number of regions: of the file where there is one, and then no other number is taken in silence."""
    regions = 30 if options.regions is None else options.regions
    if options.weights is None:
        usual = max(min(5, regions - 2), 1)
        return SyntheticWeights(neighbours=usual if options.neighbours is None else options.neighbours), regions
    from spillover.weights.interchange import from_file

    if options.neighbours is not None:
        problems.add("--neighbours is of an invented map, and --weights gives a W")
    w = problems.attempt(from_file, options.weights, standardise="row", islands="keep")
    if w is None:
        return SyntheticWeights(neighbours=1), regions
    if w.islands:
        have = "has" if len(w.islands) == 1 else "have"
        problems.add(
            f"--weights: {show_labels(w.islands)} {have} no neighbour (islands), and a power is that of a map in which "
            "every region has one: give each a link in the file, or leave its rows out"
        )
    if options.regions not in (None, w.n):
        problems.add(f"--regions {options.regions}, but the W of --weights has {w.n} regions: leave --regions out")
    return w, w.n


def _config_of_file(path: Path, options: DesignOptions, seed: int, problems: Problems) -> AnyConfig | None:
    said = [field.name for field in fields(options) if getattr(options, field.name) is not None]
    said = [name for name in said if name not in ("regions", "years")]
    if said:
        names = ", ".join(f"--{_OPTIONS.get(name, name)}" for name in said)
        problems.add(f"{names} beside a design file: say it in the file, or leave the file out")
    written = parse_toml(path)
    known = ("seed", "system", "agents", "truth", "panel", "map")
    problems.add(*(unknown_key(key, known) for key in written if key not in known))
    folder = path.resolve().parent
    section = "panel" if "panel" in written else "system"
    for key, value in (("n_regions", options.regions), ("n_periods", options.years)):
        if value is not None and isinstance(written.setdefault(section, {}), dict):
            written[section][key] = value
    geography, _ = read_map(written.get("map"), folder, problems)
    if geography is not None and section == "system":
        problems.add("[map]: panels of the system are drawn on invented maps here; leave it out")
    config = read_config(written, folder, geography, seed, problems)[0]
    if isinstance(config, AgentConfig) and not config.is_like_system:
        problems.add("[agents] outside the special case of tier 2 have no true values to be seen: use [system]")
    return config


def _cell_problems(
    config: AnyConfig | None, grid_regions: tuple[int, ...], grid_years: tuple[int, ...], *, drawn: bool
) -> tuple[str, ...]:
    """Sizes of the design and of the grid that cannot be."""
    problems = Problems()
    if config is not None and not _has_given_w(config):
        for n in grid_regions or (None,):
            for t in grid_years or (None,):
                cell = problems.attempt(resize, config, n_regions=n, n_periods=t)
                if isinstance(cell, SpatialPanelConfig):
                    problems.attempt(ready_estimator, cell)
    if isinstance(config, SpatialPanelConfig) and config.n_regions <= DENSE_LIMIT and not drawn:
        large = [n for n in grid_regions if n > DENSE_LIMIT]
        if large:
            problems.add(f"{show_labels(large)} regions: the closed form has at most {DENSE_LIMIT}; draw with --rounds")
    where = "grid: " if grid_regions or grid_years else ""
    return tuple(where + text for text in dict.fromkeys(problems.found))


def _world_problems(config: AnyConfig, seed: int) -> list[str]:
    """Whether the design is stationary on its W, where that W is small enough to look at."""
    if not isinstance(config, SpatialPanelConfig) or config.n_regions > DENSE_LIMIT:
        return []
    return panel_world_problems(config, seed)


def _has_given_w(config: AnyConfig | None) -> bool:
    from spillover.weights.weights import SpatialWeights

    return isinstance(getattr(config, "weights", None), SpatialWeights)


def _numbers(name: str, text: str, problems: Problems) -> tuple[int, ...]:
    """ "30,100" as (30, 100)."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    bad = [part for part in parts if not (part.isascii() and part.isdigit() and 0 < len(part) < 8 and int(part) > 0)]
    if bad or (text.strip() and not parts):
        problems.add(f"--grid-{name} {text[:60]!r} is no list of whole numbers such as 30,100,300")
        return ()
    return tuple(dict.fromkeys(int(part) for part in parts))


_NO_MAP = (
    "give the map in --weights with --weights-kind",
    "power reads no map: name it in a design file (docs/simulate.md), or give a table of weights",
)
_OPTIONS = {
    "n_regions": "regions",
    "n_periods": "years",
    "lam": "lambda",
    "weights: neighbours": "neighbours",
}
_SAME = ("model", "effects", "beta", "theta", "rho", "tau", "eta", "sigma", "persistence", "intercept")
_ASKED = ("effect", "covariance", "alpha", "target")


def in_options(problem: str) -> str:
    """A problem of the configuration in the words of the command line.

    >>> in_options("n_regions = 3: at least 5 regions are needed")
    '--regions 3: at least 5 regions are needed'
    """
    names = "|".join([*map(re.escape, _OPTIONS), *_SAME, *_ASKED])
    return re.sub(
        rf"(?<![\w\[.])({names}) = ", lambda match: f"--{_OPTIONS.get(match.group(1), match.group(1))} ", problem
    )
