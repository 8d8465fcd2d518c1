"""What `spillover power` is asked: options or a design file, with everything that is wrong with them told at once."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from spillover.errors import ConfigurationError, did_you_mean, show_labels
from spillover.simulation.admissible import Problems, is_number
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.channel_shares import CHANNELS, ShareOf, share_name, share_problems
from spillover.simulation.config import SystemConfig
from spillover.simulation.designs import ready_estimator, resize, weights_of
from spillover.simulation.power import PowerCovariance, PowerQuestion
from spillover.simulation.reference import demo_config
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    LAG_MODELS,
    ErrorLaw,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.simulation.spatial_world import DENSE_LIMIT
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.study.phrasing import phrase
from spillover.study.power_wording import NO_MAP, OPTIONS, in_options
from spillover.study.simulation_file import SECTIONS, AnyConfig, parse_toml, read_config, read_seed
from spillover.study.simulation_sections import panel_world_problems, read_map, unknown_key

_SHARE_OF: dict[str, ShareOf] = {"direct": "own", "indirect": "spillover", "total": "total"}


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
    threshold: float | None = None
    shift: float | None = None
    neighbour_shift: float | None = None


@dataclass(frozen=True, eq=False)
class PowerRequest:
    """A design, a question, and the sizes of a grid; all admissible."""

    config: AnyConfig
    question: PowerQuestion
    grid_regions: tuple[int, ...] = ()
    grid_periods: tuple[int, ...] = ()
    seed: int = 1


def read_power_request(
    options: DesignOptions,
    design: Path | None = None,
    *,
    question: dict[str, Any] | None = None,
    share: str | None = None,
    grid_regions: str = "",
    grid_years: str = "",
    rounds: int = 0,
    seed: int | None = None,
) -> PowerRequest:
    """The request; ConfigurationError with every mistake, in the words of the command line.

    Parameters
    ----------
    options : the design as options. design : a simulation file that describes it instead.
    question : keywords of `PowerQuestion`. share : a channel, whose share of the effect is asked for.
    grid_regions, grid_years : numbers separated by commas.
    rounds : panels that will be drawn. seed : of everything drawn; that of the design file by default, else 1.
    """
    problems = Problems()
    chosen = 1 if seed is None else seed
    if design is not None:
        written = parse_toml(design)
        chosen, seed_problems = read_seed(written.get("seed", 1) if seed is None else seed)
        problems.add(*seed_problems)
        config: AnyConfig | None = _config_of_file(written, design, options, chosen, problems)
    elif share is not None:
        config = _system_of(options, problems)
    else:
        config = _config_of(options, problems)
    asked = problems.attempt(PowerQuestion, **(question or {}))
    if config is not None:
        about = _quantity(asked or PowerQuestion(), share, config, problems)  # its own mistakes are told in any case
        asked = None if asked is None else about
    if asked is not None and config is not None:
        problems.attempt(asked.term, config)
    chosen_regions = _numbers("regions", grid_regions, problems)
    chosen_years = _numbers("years", grid_years, problems)
    if rounds == 1:
        problems.add("--rounds 1: at least 2 panels are needed")
    covariance = "default" if asked is None or asked.quantity is not None else asked.covariance
    problems.add(*_cell_problems(config, chosen_regions, chosen_years, covariance, drawn=rounds > 0))
    if chosen_regions and (options.weights is not None or _has_given_w(config)):
        problems.add("--grid-regions beside a W of your own, which has its number of regions")
    if config is not None and not problems.found:
        problems.add(*_world_problems(config, chosen))
    told = (phrase(text, "command line").replace(*NO_MAP) for text in problems.found)
    found = list(dict.fromkeys(map(in_options, told)))
    if found:
        raise ConfigurationError(
            f"power cannot be computed: {len(found)} mistake{'s' if len(found) > 1 else ''}",
            problems=found,
            fix="change what is named above; spillover power --help has all options",
        )
    assert config is not None
    assert asked is not None
    return PowerRequest(config, asked, chosen_regions, chosen_years, chosen)


def _quantity(
    question: PowerQuestion, share: str | None, config: AnyConfig, problems: Problems
) -> PowerQuestion | None:
    """The question with the quantity that the design is about: a channel's share, a threshold, or an effect."""
    if isinstance(config, ThresholdPanelConfig):
        if share is not None:
            problems.add("--share beside a threshold: ask one question at a time")
        if question.effect != "indirect":
            problems.add(f"--effect {question.effect} beside a threshold, whose test is that of all that switches")
        if question.covariance != "default":
            problems.add(f"--covariance {question.covariance} beside a threshold, which has its bootstrap test")
        name = config.panel.regressors[0].name
        only_next_door = config.neighbour_shift and not config.shift
        return replace(question, quantity=f"shift: {f'W*{name}' if only_next_door else name}")
    if share is None:
        return question
    if isinstance(config, SpatialPanelConfig):
        problems.add("--share is of a channel of the regional innovation system: give a design file with [system]")
        return None
    if share not in CHANNELS:
        problems.add(f"--share {share!r} is not one of {', '.join(CHANNELS)}. {did_you_mean(share, CHANNELS)}".strip())
    if question.covariance != "default":
        problems.add(f"--covariance {question.covariance} beside --share, which has a test of its own")
    if question.effect == "rho":
        problems.add("--share is of an --effect: indirect (the spillover), direct or total")
        return None
    system = config.system if isinstance(config, AgentConfig) else config
    problems.add(*(f"--share: no estimator for {text}" for text in share_problems(system)))
    return replace(question, quantity=share_name(_SHARE_OF[question.effect], share))


def _system_of(options: DesignOptions, problems: Problems) -> SystemConfig | None:
    """The demo's system in the size that is asked for; it has no other options."""
    said = [field.name for field in fields(options) if getattr(options, field.name) is not None]
    others = [name for name in said if name not in ("regions", "years")]
    if others:
        names = ", ".join(f"--{OPTIONS.get(name, name)}" for name in others)
        problems.add(f"{names} beside --share: parameters of the system stand in a design file, under [system]")
    n, t = (30 if options.regions is None else options.regions), (10 if options.years is None else options.years)
    return problems.attempt(resize, demo_config(), n_regions=n, n_periods=t)


def _config_of(options: DesignOptions, problems: Problems) -> SpatialPanelConfig | ThresholdPanelConfig | None:
    panel = _panel_of(options, problems)
    asked = {name: getattr(options, name) for name in ("threshold", "shift", "neighbour_shift")}
    said = {name: value for name, value in asked.items() if value is not None}
    if not said:
        return panel
    if options.threshold is None:
        problems.add("--shift and --neighbour-shift happen at a --threshold: say where")
        return None
    planted = problems.attempt(ThresholdPanelConfig, panel=panel or SpatialPanelConfig(), **said)
    return None if panel is None else planted


def _panel_of(options: DesignOptions, problems: Problems) -> SpatialPanelConfig | None:
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


def _config_of_file(
    written: dict[str, Any], path: Path, options: DesignOptions, seed: int, problems: Problems
) -> AnyConfig | None:
    said = [field.name for field in fields(options) if getattr(options, field.name) is not None]
    said = [name for name in said if name not in ("regions", "years")]
    if said:
        names = ", ".join(f"--{OPTIONS.get(name, name)}" for name in said)
        problems.add(f"{names} beside a design file: say it in the file, or leave the file out")
    problems.add(*(unknown_key(key, SECTIONS) for key in written if key not in SECTIONS))
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
    config: AnyConfig | None,
    grid_regions: tuple[int, ...],
    grid_years: tuple[int, ...],
    covariance: PowerCovariance,
    *,
    drawn: bool,
) -> tuple[str, ...]:
    """Sizes of the design and of the grid that cannot be, or for which no estimator is ready."""
    problems = Problems()
    if config is not None:
        for n in (() if _has_given_w(config) else grid_regions) or (None,):
            for t in grid_years or (None,):
                cell = problems.attempt(resize, config, n_regions=n, n_periods=t)
                if cell is not None:
                    problems.attempt(ready_estimator, cell, covariance)
    if isinstance(config, SpatialPanelConfig) and config.n_regions <= DENSE_LIMIT and not drawn:
        large = [n for n in grid_regions if n > DENSE_LIMIT]
        if large:
            problems.add(f"{show_labels(large)} regions: the closed form has at most {DENSE_LIMIT}; draw with --rounds")
    where = "grid: " if grid_regions or grid_years else ""
    return tuple(where + text for text in dict.fromkeys(problems.found))


def _world_problems(config: AnyConfig, seed: int) -> list[str]:
    """Whether the design is stationary on its W, where that W is small enough to look at."""
    panel = config.panel if isinstance(config, ThresholdPanelConfig) else config
    if not isinstance(panel, SpatialPanelConfig) or panel.n_regions > DENSE_LIMIT:
        return []
    return panel_world_problems(panel, seed)


def _has_given_w(config: AnyConfig | None) -> bool:
    from spillover.weights.weights import SpatialWeights

    return config is not None and isinstance(weights_of(config), SpatialWeights)


def _numbers(name: str, text: str, problems: Problems) -> tuple[int, ...]:
    """ "30,100" as (30, 100)."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    bad = [part for part in parts if not (part.isascii() and part.isdigit() and 0 < len(part) < 8 and int(part) > 0)]
    if bad or (text.strip() and not parts):
        problems.add(f"--grid-{name} {text[:60]!r} is no list of whole numbers such as 30,100,300")
        return ()
    return tuple(dict.fromkeys(int(part) for part in parts))
