"""`spillover power`: its options, and nothing computed here. Wired into the command line by `app.command()(power)`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spillover.errors import OptionError, check_option


def power(
    regions: Annotated[int, typer.Option("--regions", help="Number of regions.")] = 30,
    years: Annotated[int, typer.Option("--years", help="Number of years.")] = 10,
    effect: Annotated[
        str, typer.Option("--effect", help="indirect (the spillover), direct, total or rho.")
    ] = "indirect",
    model: Annotated[str, typer.Option("--model", help="ols, slx, sar, sdm, sem, sdem, sac or gns.")] = "sdm",
    beta: Annotated[float, typer.Option("--beta", help="True coefficient of x.")] = 0.3,
    theta: Annotated[float | None, typer.Option("--theta", help="True coefficient of W x; half of beta.")] = None,
    rho: Annotated[
        float | None, typer.Option("--rho", help="True coefficient of W y; .3 where the model has it.")
    ] = None,
    lam: Annotated[float, typer.Option("--lambda", help="True coefficient of W u.")] = 0.0,
    sigma: Annotated[float, typer.Option("--sigma", help="Sd of the error; x varies by 1 within a region.")] = 1.0,
    persistence: Annotated[float, typer.Option("--persistence", help="AR(1) coefficient of x in time.")] = 0.8,
    effects: Annotated[str, typer.Option("--effects", help="none, individual, time or two-way.")] = "two-way",
    neighbours: Annotated[int, typer.Option("--neighbours", help="Nearest neighbours of the synthetic map.")] = 5,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A W of your own: edge list, square table, GAL or GWT.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the two-sided test.")] = 0.05,
    target: Annotated[float, typer.Option("--target", help="Power that is wanted.")] = 0.8,
    covariance: Annotated[str, typer.Option("--covariance", help="default, information or cluster.")] = "default",
    grid_regions: Annotated[str, typer.Option("--grid-regions", help="Also a grid: numbers such as 30,100,300.")] = "",
    grid_years: Annotated[str, typer.Option("--grid-years", help="Also a grid: numbers such as 5,10,20.")] = "",
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Also draw so many panels as a check.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawn panels.")] = 1,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """How many regions and years show a spillover of this size?"""
    import json

    from spillover.screen import progress_on_screen, say
    from spillover.simulation.power import PowerQuestion
    from spillover.simulation.power_answer import answer_power
    from spillover.simulation.spatial_config import (
        DURBIN_MODELS,
        LAG_MODELS,
        ErrorLaw,
        Regressor,
        SpatialPanelConfig,
        SyntheticWeights,
    )

    check_option("--format", form, ("table", "json"))
    given: Any = SyntheticWeights(neighbours=neighbours) if weights is None else _read_weights(weights)
    neighbour = (beta / 2.0 if model in DURBIN_MODELS else 0.0) if theta is None else theta
    lag = (0.3 if model in LAG_MODELS else 0.0) if rho is None else rho
    config = SpatialPanelConfig(
        model=model,  # type: ignore[arg-type]
        n_regions=regions if weights is None else given.n,
        n_periods=years,
        regressors=(Regressor("x", beta, neighbour, persistence=persistence),),
        rho=lag,
        lam=lam,
        effects=effects,  # type: ignore[arg-type]
        errors=ErrorLaw(sigma),
        weights=given,
    )
    question = PowerQuestion(effect, None, alpha, target, covariance)  # type: ignore[arg-type]
    sizes = {
        name: _numbers(name, text) for name, text in (("--grid-regions", grid_regions), ("--grid-years", grid_years))
    }
    with progress_on_screen() as progress:
        answer = answer_power(
            config,
            question,
            rounds=rounds,
            grid_regions=sizes["--grid-regions"],
            grid_periods=sizes["--grid-years"],
            seed=seed,
            progress=progress,
        )
    say(json.dumps(answer.as_dict(), ensure_ascii=False, indent=1) if form == "json" else answer.text())


def _read_weights(path: Path) -> Any:
    from spillover.weights.interchange import from_file

    return from_file(path, standardise="row")


def _numbers(name: str, text: str) -> tuple[int, ...]:
    """ "30,100" as (30, 100)."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() for part in parts):
        raise OptionError(f"{name} is no list of numbers", got=repr(text), expected="for example 30,100,300")
    return tuple(int(part) for part in parts)
