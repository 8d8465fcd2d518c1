"""`spillover power`: its options, and nothing computed here. Wired into the command line by `app.command()(power)`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spillover.errors import check_option


def power(
    design: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML file with [panel] or [system], as for `spillover simulate`; without one the options describe "
            "the design."
        ),
    ] = None,
    regions: Annotated[int | None, typer.Option("--regions", help="Number of regions; 30, or those of W.")] = None,
    years: Annotated[int | None, typer.Option("--years", help="Number of years; 10.")] = None,
    effect: Annotated[
        str, typer.Option("--effect", help="indirect (the spillover), direct, total or rho.")
    ] = "indirect",
    share: Annotated[
        str | None,
        typer.Option(
            "--share",
            help="A channel's share of --effect in the regional innovation system: talent, cooperation or informal.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="A value of q beyond which the effect of x differs. Panels are drawn then."),
    ] = None,
    shift: Annotated[
        float | None, typer.Option("--shift", help="By how much beta is larger beyond the threshold; .5.")
    ] = None,
    neighbour_shift: Annotated[
        float | None, typer.Option("--neighbour-shift", help="By how much theta is larger beyond it; 0.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="ols, slx, sar, sdm (the default), sem, sdem, sac or gns.")
    ] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="True coefficient of x; .3.")] = None,
    theta: Annotated[float | None, typer.Option("--theta", help="True coefficient of W x; half of beta.")] = None,
    rho: Annotated[
        float | None, typer.Option("--rho", help="True coefficient of W y; .3 where the model has it.")
    ] = None,
    lam: Annotated[float | None, typer.Option("--lambda", help="True coefficient of W u; 0.")] = None,
    tau: Annotated[
        float | None, typer.Option("--tau", help="True coefficient of last year's y; 0. Panels are drawn then.")
    ] = None,
    eta: Annotated[float | None, typer.Option("--eta", help="True coefficient of W of last year's y; 0.")] = None,
    counts: Annotated[
        bool | None, typer.Option("--counts", help="y is a Poisson count with mean exp(·). Panels are drawn then.")
    ] = None,
    intercept: Annotated[
        float | None, typer.Option("--intercept", help="Of counts: the logarithm of the usual count; 0.")
    ] = None,
    sigma: Annotated[
        float | None, typer.Option("--sigma", help="Sd of the error; 1 (counts: 0). x varies by 1 within a region.")
    ] = None,
    persistence: Annotated[
        float | None, typer.Option("--persistence", help="AR(1) coefficient of x in time; .8.")
    ] = None,
    effects: Annotated[
        str | None, typer.Option("--effects", help="none, individual, time or two-way (the default).")
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option("--neighbours", help="Nearest neighbours of the synthetic map; 5.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="A W of your own: edge list, square table, GAL or GWT.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the two-sided test.")] = 0.05,
    target: Annotated[float, typer.Option("--target", help="Power that is wanted.")] = 0.8,
    covariance: Annotated[str, typer.Option("--covariance", help="default, information or cluster.")] = "default",
    grid_regions: Annotated[str, typer.Option("--grid-regions", help="Also a grid: numbers such as 30,100,300.")] = "",
    grid_years: Annotated[str, typer.Option("--grid-years", help="Also a grid: numbers such as 5,10,20.")] = "",
    rounds: Annotated[
        int,
        typer.Option("--rounds", min=0, help="Panels to draw: a check of the closed form, or all there is (then 200)."),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the drawn panels; that of the design file, or 1.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """How many regions and years show a spillover of this size?"""
    import json

    from spillover.screen import progress_on_screen, say
    from spillover.simulation.power_answer import answer_power
    from spillover.study.power_request import DesignOptions, read_power_request

    check_option("--format", form, ("table", "json"))
    options = DesignOptions(
        regions=regions,
        years=years,
        model=model,
        beta=beta,
        theta=theta,
        rho=rho,
        lam=lam,
        tau=tau,
        eta=eta,
        counts=counts or None,
        intercept=intercept,
        sigma=sigma,
        persistence=persistence,
        effects=effects,
        neighbours=neighbours,
        weights=weights,
        threshold=threshold,
        shift=shift,
        neighbour_shift=neighbour_shift,
    )
    question = {"effect": effect, "alpha": alpha, "target": target, "covariance": covariance}
    request = read_power_request(
        options,
        design,
        question=question,
        share=share,
        grid_regions=grid_regions,
        grid_years=grid_years,
        rounds=rounds,
        seed=seed,
    )
    with progress_on_screen() as progress:
        answer = answer_power(
            request.config,
            request.question,
            rounds=rounds,
            grid_regions=request.grid_regions,
            grid_periods=request.grid_periods,
            seed=request.seed,
            progress=progress,
        )
    say(json.dumps(answer.as_dict(), ensure_ascii=False, indent=1) if form == "json" else answer.text())
