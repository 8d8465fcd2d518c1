"""`spillover distance`: its options, and nothing computed here. Wired in by `app.command()(distance)`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spillover.errors import OptionError, check_option, show_labels

File = Path | None
Text = str | None


def distance(
    target: Annotated[str, typer.Argument(help='A study file, or a formula such as "log(patents) ~ log(lq)".')],
    data: Annotated[
        File,
        typer.Option("--data", help="The table (formula), or the folder ${SPILLOVER_DATA} stands for (study file)."),
    ] = None,
    region: Annotated[Text, typer.Option("--region", help="Column with region ids.")] = None,
    period: Annotated[Text, typer.Option("--period", help="Column with periods; without it, a cross-section.")] = None,
    encoding: Annotated[Text, typer.Option("--encoding", help="Of a text table, when it is not UTF-8.")] = None,
    geometry: Annotated[File, typer.Option("--map", help="The map: straight distances between its regions.")] = None,
    geometry_id: Annotated[Text, typer.Option("--map-id", help="Column of the map with region ids.")] = None,
    distances: Annotated[
        File, typer.Option("--distances", help="Table of distances: square, rows are origins, or from,to,km.")
    ] = None,
    distance_columns: Annotated[
        Text, typer.Option("--distance-columns", help="Columns of a list of distances: from,to,distance.")
    ] = None,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="The list names every pair once.")] = False,
    unit: Annotated[Text, typer.Option("--unit", help="Of the table of distances; km by default.")] = None,
    edges: Annotated[
        File, typer.Option("--edges", help="Edges of a transport network: from,to,minutes (or length_km,speed_kmh).")
    ] = None,
    nodes: Annotated[File, typer.Option("--nodes", help="Nodes of the network: node,lon,lat.")] = None,
    connectors: Annotated[
        File, typer.Option("--connectors", help="region,node,minutes; else the nearest node.")
    ] = None,
    reach_km: Annotated[float | None, typer.Option("--reach-km", help="Leave out pairs further apart.")] = None,
    treatment: Annotated[Text, typer.Option("--treatment", help="Whose spillover; the first term by default.")] = None,
    model: Annotated[Text, typer.Option("--model", help="slx (the default), sar or sdm.")] = None,
    effects: Annotated[
        Text, typer.Option("--effects", help="none, individual, time or two-way (the default of a panel).")
    ] = None,
    groups: Annotated[
        Text, typer.Option("--groups", help="Column of groups: period effects are one per group.")
    ] = None,
    kernel: Annotated[Text, typer.Option("--kernel", help="exponential, power, shifted or stretched.")] = None,
    kernels: Annotated[Text, typer.Option("--kernels", help="Laws to compare, separated by commas.")] = None,
    rings: Annotated[Text, typer.Option("--rings", help="Edges of rings: 0,50,100,200.")] = None,
    thresholds: Annotated[Text, typer.Option("--thresholds", help="Of the boundary curve: 50,100,200.")] = None,
    covariance: Annotated[Text, typer.Option("--covariance", help="conley, cluster or period.")] = None,
    cutoff: Annotated[float | None, typer.Option("--cutoff", help="Of Conley errors, in the unit of distance.")] = None,
    quasi_difference: Annotated[
        Text, typer.Option("--quasi-difference", help="auto, or a coefficient: for errors related in time.")
    ] = None,
    missing: Annotated[Text, typer.Option("--missing", help="error, drop-regions or drop-periods.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Regions to leave out, by commas.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.")] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    out: Annotated[File, typer.Option("--out", help="File to write instead of the screen.")] = None,
) -> None:
    """How far does the spillover reach, and how fast does it fall?"""
    import json

    from spillover.screen import progress_on_screen, say
    from spillover.study.distance_request import (
        DistanceRequest,
        is_study_file,
        reach_of_study,
        reach_of_table,
        read_target,
    )
    from spillover.study.distance_text import reach_text
    from spillover.study.output import require_writable_file, write_file

    check_option("--format", form, ("table", "json"))
    problem = read_target(target, data)
    if problem is not None:
        raise problem
    request = DistanceRequest(
        region=region, period=period, encoding=encoding, geometry=geometry, geometry_id=geometry_id,
        distances=distances, distance_columns=distance_columns, both_ways=both_ways or None, unit=unit, edges=edges,
        nodes=nodes, connectors=connectors, reach_km=reach_km, treatment=treatment, model=model, effects=effects,
        groups=groups, kernel=kernel, kernels=kernels, rings=rings, thresholds=thresholds, covariance=covariance,
        cutoff=cutoff, quasi_difference=quasi_difference, missing=missing, exclude=exclude or None,
    )  # fmt: skip
    read = [Path(target)] if is_study_file(target) else [data, geometry, distances, edges, nodes, connectors]
    place = None if out is None else require_writable_file(out, inputs=read)
    if is_study_file(target):
        from spillover.study.load import load_study
        from spillover.study.paths import data_environment

        if request.given:
            raise OptionError(
                f"{show_labels(request.given, 6)} stands in the study file, not beside it",
                fix="write it into [distance], or give a formula with --data in the place of the study file",
            )
        loaded = load_study(target, data_environment(data))
        with progress_on_screen() as progress:
            found = reach_of_study(loaded, seed=seed, progress=progress)
    else:
        assert data is not None
        found = reach_of_table(target, data, request, seed=1 if seed is None else seed)
    text = (
        json.dumps(found.model_dump(mode="json"), ensure_ascii=False, allow_nan=False, indent=1)
        if form == "json"
        else reach_text(found)
    )
    if place is None:
        say(text)
    else:
        write_file(place, text + "\n")
