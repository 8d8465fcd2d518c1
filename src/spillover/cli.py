"""The command line. It reads options, calls the study or a model, and shows what comes back; it computes nothing.

Exit codes: 0 fine, 2 bad input (the message says what, got, expected, usual causes and fix), 1 anything else.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from spillover.distance_command import distance
from spillover.errors import SpilloverError, check_option
from spillover.power_command import power

app = typer.Typer(
    name="spillover",
    help="Spatial spillovers of high-tech agglomeration on regional innovation: from a regional table to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results.", show_default=False)]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random.", show_default=False)]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that ${SPILLOVER_DATA} in the study file stands for.", show_default=False),
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", help="Of a text table, when it is not UTF-8: gb18030, latin-1.", show_default=False),
]
Format = Annotated[str, typer.Option("--format", help="table or json.")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; a traceback is shown only with --debug."""
    from spillover import screen

    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    _open_streams()
    screen.write_utf8()
    try:
        with _stops(), screen.warnings_as_sentences(everything=debug):
            app(args=given, prog_name="spillover")
    except SpilloverError as error:
        if debug:
            raise
        screen.say(f"error: {error}", error=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of a pipe has left (`spillover fit … | head`): no message could arrive.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KeyboardInterrupt, Stopped) as stop:
        number = stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT
        with suppress(OSError):  # the terminal may be gone
            screen.say("stopped", error=True)
        sys.exit(128 + number)
    except Exception as error:
        if debug:
            raise
        problem = _screen_problem(error)
        screen.say(_unexpected(error) if problem is None else problem, error=True)
        sys.exit(1)


class Stopped(BaseException):
    """The process was asked to end: Ctrl-C, SIGTERM or a terminal that closed. Temporary folders go, then it ends."""


@contextmanager
def _stops() -> Iterator[None]:
    """Within the block the first signal to stop becomes `Stopped`; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A signal that is ignored from outside (nohup) stays ignored.
    before = {number: now for number in numbers if (now := signal.getsignal(number)) not in (signal.SIG_IGN, None)}

    def stop(number: int, _: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(number)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, now in before.items():
            signal.signal(number, now)


def _open_streams() -> None:
    """Streams that the caller closed (>&-) take what is written and lose it; a result file must not become one."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def _screen_problem(error: Exception) -> str | None:
    """What to say when standard output itself cannot be written (a full disk behind it); None for other errors."""
    from spillover import screen

    called = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
    if not isinstance(error, OSError) or called.isdisjoint((screen.say.__code__, screen.show_headlines.__code__)):
        return None
    with suppress(OSError, ValueError):  # nothing more is tried at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"standard output cannot be written: {error.strerror}"


def _unexpected(error: Exception) -> str:
    return (
        f"unexpected {type(error).__name__}: {str(error)[:500]}\n"
        "This is a mistake of spillover and not yours. Run the same command with --debug and report what it shows,\n"
        "with the command and the version (spillover --version), to the issue tracker of the project."
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        from spillover import __version__
        from spillover.screen import say

        say(f"spillover {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Spatial spillovers of high-tech agglomeration on regional innovation."""


@app.command()
def demo(out: Out = None, seed: Seed = None) -> None:
    """The whole study on the built-in reference system, with estimates beside the truth."""
    from spillover.report.write import check_output
    from spillover.screen import progress_on_screen

    folder = Path("spillover-demo") if out is None else out
    check_output(folder)
    with progress_on_screen() as progress:
        from spillover.study.demo import DEMO_SEED, run_demo

        result = run_demo(DEMO_SEED if seed is None else seed, progress)
    from spillover.study.demo_files import demo_files

    _write_and_tell(result, folder, demo_files(DEMO_SEED if seed is None else seed))


@app.command()
def init(
    table: Annotated[Path, typer.Argument(help="A CSV, Parquet, Excel or Stata table, one row per region and period.")],
    out: Annotated[Path, typer.Option("--out", help="The study file to write.")] = Path("study.toml"),
    encoding: Encoding = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a study file that is there.")] = False,
) -> None:
    """Look at a table and propose a study file."""
    from spillover.errors import OutputError
    from spillover.screen import say
    from spillover.study.output import require_writable_file, write_file
    from spillover.study.phrasing import in_words_of
    from spillover.study.propose import propose_study

    target = require_writable_file(out, inputs=[table])
    if target.exists() and target.suffix.lower() != ".toml":
        raise OutputError(
            f"{str(out)!r} is there and is no study file; nothing was written",
            expected="a new name, or with --force the name of a .toml file",
        )
    if target.exists() and not force:
        raise OutputError(
            f"there is already a file {str(out)!r}; nothing was written",
            fix="choose another name with --out, or replace it with --force",
        )
    with in_words_of("command line"):
        text = propose_study(table, target.parent, encoding)
    write_file(target, text)
    say(f"Wrote {out}. Read it, change what is not meant, then: spillover check {out}")


@app.command()
def check(study: Annotated[Path, typer.Argument(help="A study file.")], data: Data = None) -> None:
    """All problems of a study at once; nothing is computed."""
    from spillover.screen import say
    from spillover.study.check import check_study

    report = check_study(study, _environment(data))
    for sentence in report.facts:
        say(sentence)
    report.raise_problems()
    say(f"{study}: no problem found")


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study file.")],
    out: Out = None,
    data: Data = None,
    seed: Seed = None,
) -> None:
    """The study: progress on screen, results in a folder."""
    from spillover.report.write import check_output
    from spillover.screen import progress_on_screen
    from spillover.study.as_run import study_as_run
    from spillover.study.load import load_study
    from spillover.study.output import output_path

    loaded = load_study(study, _environment(data))
    folder = Path("results") / study.stem if out is None else out
    check_output(folder, inputs=loaded.inputs())
    with progress_on_screen() as progress:
        from spillover.study.run import run_study

        result = run_study(loaded, progress=progress, seed=seed)
    text = study_as_run(loaded, output_path(folder), result.provenance.seed)
    _write_and_tell(result, folder, {"study.toml": text}, loaded.inputs())


@app.command()
def audit(
    study: Annotated[Path, typer.Argument(help="A study file.")],
    data: Data = None,
    seed: Seed = None,
    draws: Annotated[
        int | None, typer.Option("--draws", min=99, help="Permutations and bootstrap replications.", show_default=False)
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option("--part", help="Only this part; may be repeated.", show_default=False)
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Rules of the verdict in place of the package's.", show_default=False)
    ] = None,
    form: Format = "table",
) -> None:
    """Is it a spillover? The audit of a study's main model, without the rest of the study."""
    from spillover.screen import progress_on_screen, say
    from spillover.study.audited import audit_study
    from spillover.study.load import load_study
    from spillover.study.rows import plain

    check_option("--format", form, ("table", "json"))
    loaded = load_study(study, _environment(data))
    with progress_on_screen() as progress:
        found = audit_study(loaded, seed=seed, draws=draws, parts=part, rules=rules, progress=progress)
    say(_json(plain(found.to_dict())) if form == "json" else found.summary())


@app.command()
def moderate(
    study: Annotated[Path, typer.Argument(help="A study file with [moderators].")],
    data: Data = None,
    seed: Seed = None,
    form: Format = "table",
) -> None:
    """Under what conditions? The moderators of a study, without the rest of it."""
    from spillover.screen import progress_on_screen, say
    from spillover.study.load import load_study
    from spillover.study.moderated import moderate_study, moderators_as_text

    check_option("--format", form, ("table", "json"))
    loaded = load_study(study, _environment(data))
    with progress_on_screen() as progress:
        found = moderate_study(loaded, seed=seed, progress=progress)
    say(_json(found.model_dump(mode="json")) if form == "json" else moderators_as_text(found))


@app.command()
def fit(
    formula: Annotated[str, typer.Argument(help='For example "log(patents) ~ log(lq) + log(rd)".')],
    data: Annotated[Path, typer.Option("--data", help="The table.")],
    region: Annotated[str, typer.Option("--region", help="Column with region ids.")],
    encoding: Encoding = None,
    period: Annotated[
        str | None, typer.Option("--period", help="Column with periods; without it, a cross-section.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Edge list, labelled square table, GAL/GWT, or a map.")
    ] = None,
    weights_kind: Annotated[
        str | None,
        typer.Option(
            "--weights-kind",
            help="For a map: queen[:STEPS], rook[:STEPS], knn:K, distance-band:KM, inverse-distance[:POWER], "
            "exponential:DECAY, gaussian:KM, shared-border.",
        ),
    ] = None,
    geometry_id: Annotated[str | None, typer.Option("--geometry-id", help="Column of the map with region ids.")] = None,
    order: Annotated[
        Path | None, typer.Option("--order", help="File with the region order of an unlabelled square matrix.")
    ] = None,
    edge_columns: Annotated[
        str | None,
        typer.Option("--edge-columns", help="Columns of an edge list, when they are not focal,neighbor,weight."),
    ] = None,
    both_ways: Annotated[
        bool, typer.Option("--both-ways", help="The edge list names every pair once; links run both ways.")
    ] = False,
    missing: Annotated[
        str, typer.Option("--missing", help="Where cells are blank: error, drop-regions or drop-periods.")
    ] = "error",
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Regions to leave out: ids separated by commas.")
    ] = None,
    standardise: Annotated[str, typer.Option("--standardise", help="row, none, spectral, scalar or min-max.")] = "row",
    islands: Annotated[str, typer.Option("--islands", help="error, keep, nearest or drop.")] = "error",
    model: Annotated[str, typer.Option("--model", help="ols, slx, sar, sdm, sem, sdem, sac or gns.")] = "sdm",
    effects: Annotated[
        str | None,
        typer.Option("--effects", help="none, individual, time, two-way (the default of a panel) or random."),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Column that is constant within a region: period effects are one per group."),
    ] = None,
    within: Annotated[
        str | None, typer.Option("--within", help="Column of groups: links of W between them are cut.")
    ] = None,
    correction: Annotated[str, typer.Option("--correction", help="lee-yu or none.")] = "lee-yu",
    dynamic: Annotated[str | None, typer.Option("--dynamic", help="tau, eta: not in this version.")] = None,
    covariance: Annotated[
        str,
        typer.Option(
            "--covariance",
            help="default, information, hessian, sandwich, hc, cluster, cluster-group, two-way-cluster, "
            "driscoll-kraay or conley.",
        ),
    ] = "default",
    cutoff_km: Annotated[
        float | None, typer.Option("--cutoff-km", help="Distance at which Conley's kernel reaches zero.")
    ] = None,
    time_lags: Annotated[
        int | None, typer.Option("--time-lags", help="Lags of Driscoll-Kraay and Conley errors.")
    ] = None,
    lagged: Annotated[
        list[str] | None, typer.Option("--lagged", help="Terms that also enter as W x; all by default.")
    ] = None,
    tests: Annotated[
        str,
        typer.Option(
            "--tests", help="Form of the LM tests: all (the table shows the valid ones), valid, conventional."
        ),
    ] = "all",
    form: Format = "table",
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of the screen.")] = None,
) -> None:
    """Fit one model."""
    from spillover.screen import say
    from spillover.study.output import require_writable_file, write_file
    from spillover.study.single import FitRequest, fit_single

    check_option("--format", form, ("table", "json"))
    target = None if out is None else require_writable_file(out, inputs=[data, weights, order])
    request = FitRequest(
        formula=formula,
        data=data,
        region=region,
        encoding=encoding,
        period=period,
        weights=weights,
        weights_kind=weights_kind,
        geometry_id=geometry_id,
        order=order,
        edge_columns=edge_columns,
        both_ways=both_ways,
        missing=missing,
        exclude=exclude or (),
        standardise=standardise,
        islands=islands,
        model=model,
        effects=effects,
        groups=groups,
        within=within,
        correction=correction,
        dynamic=dynamic,
        covariance=covariance,
        lagged=lagged,
        tests=tests,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
    )
    answer = fit_single(request)
    text = _json(answer.as_dict()) if form == "json" else answer.summary()
    if target is None:
        say(text)
    else:
        write_file(target, text + "\n")


@app.command()
def simulate(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML file with [panel] (an exact spatial panel), [system] (the regional innovation system) or "
            "[agents], and optionally seed and [map]; the demo's system without one."
        ),
    ] = None,
    out: Out = None,
    seed: Seed = None,
) -> None:
    """Draw regions whose truth is known: their table, map and truth, and a study file ready to run."""
    from spillover.screen import progress_on_screen, say
    from spillover.study.simulation_file import default_simulation, read_simulation

    simulation = default_simulation(seed) if config is None else read_simulation(config, seed)
    folder = Path("spillover-simulation") if out is None else out
    with progress_on_screen() as progress:
        from spillover.study.simulated import write_simulation

        study, drawn = write_simulation(simulation, folder, progress)
    n, t = drawn.panel.shape
    say(f"Wrote {n} regions × {t} years into {folder}, seed {drawn.seed} (illustrative calibration).")
    say(drawn.headline)
    say(f"Next: spillover run {folder / study.name}")


app.command()(power)
app.command()(distance)


@app.command("paper-tables")
def paper_tables(form: Format = "table", seed: Seed = None) -> None:
    """The paper's Table 1 and Table 2 beside what the simulator gives (illustrative calibration)."""
    from spillover.screen import paper_tables_text, say
    from spillover.simulation.paper_tables import paper_table_comparison
    from spillover.study.rows import plain

    check_option("--format", form, ("table", "json"))
    tables = paper_table_comparison(1 if seed is None else seed)
    say(_json(plain(tables.to_dict())) if form == "json" else paper_tables_text(tables))


def _write_and_tell(
    result: Any, folder: Path, files: dict[str, str] | None = None, inputs: list[Path] | None = None
) -> None:
    from spillover.report.audit import verdict_sentences
    from spillover.report.words import headlines
    from spillover.report.write import write_report
    from spillover.screen import show_headlines

    report = write_report(result, folder, files=files, inputs=inputs or ())
    show_headlines(result.title, (*verdict_sentences(result), *headlines(result)), result.cautions, report)


def _environment(data: Path | None) -> dict[str, str]:
    """The process environment, with the data folder given on the command line."""
    from spillover.study.paths import data_environment

    return data_environment(data)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)


if __name__ == "__main__":
    main()
