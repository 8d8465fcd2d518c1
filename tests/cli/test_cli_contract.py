"""The command line as scripts rely on it: exit codes, what goes to stdout and stderr, the JSON of `fit`."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_study import STUDY, write_study

from spillover import cli


class Answer:
    """Exit code and what was written."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        code = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as leave:
            code = int(leave.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


def write_table(folder: Path, seed: int = 1, text: str | None = None) -> Path:
    """20 regions × 6 years whose ids are numbers, with y = x + noise."""
    rng = np.random.default_rng(seed)
    rows = ["region,year,y,x,z"]
    for region in range(1, 21):
        for year in range(2001, 2007):
            x, z = rng.normal(size=2)
            rows.append(f"{region},{year},{x + rng.normal():.6f},{x:.6f},{np.exp(z):.6f}")
    path = folder / "table.csv"
    path.write_text("\n".join(rows) if text is None else text, encoding="utf-8")
    return path


def write_ring(folder: Path, name: str = "edges.csv", regions: int = 20) -> Path:
    lines = ["focal,neighbor,weight"]
    for i in range(1, regions + 1):
        lines += [f"{i},{i % regions + 1},1", f"{i % regions + 1},{i},1"]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder / name


def fit_arguments(folder: Path, formula: str = "y ~ x + log(z)") -> list[object]:
    table, edges = write_table(folder), write_ring(folder)
    return ["fit", formula, "--data", table, "--region", "region", "--period", "year", "--weights", edges]


# -- the JSON of fit ------------------------------------------------------------------------------


def test_fit_writes_one_json_object_without_nan(run: Any, tmp_path: Path) -> None:
    answer = run(*fit_arguments(tmp_path), "--format", "json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert {"coefficients", "effects", "statistics", "tests", "provenance"} <= set(found)
    assert [row["term"] for row in found["coefficients"]] == ["x", "log(z)", "W*x", "W*log(z)", "rho"]
    tidy = {"term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"}
    assert all(tidy <= set(row) for row in (*found["coefficients"], *found["effects"]))
    assert [(row["variable"], row["effect"]) for row in found["effects"] if row["variable"] == "x"] == [
        ("x", "direct"),
        ("x", "indirect"),
        ("x", "total"),
    ]
    assert {row["horizon"] for row in found["effects"]} <= {"short", "long"}
    assert found["statistics"]["n_regions"] == 20
    assert found["statistics"]["n_periods"] == 6
    assert {"log_likelihood", "sigma2"} <= set(found["statistics"])
    assert {"version", "hashes", "created"} <= set(found["provenance"])
    assert set(found["provenance"]["hashes"]) == {"table.csv", "edges.csv", "weights"}


def test_ols_has_no_indirect_effect_and_null_instead_of_nan(run: Any, tmp_path: Path) -> None:
    arguments = [*fit_arguments(tmp_path)[:-2], "--model", "ols", "--format", "json"]
    answer = run(*arguments)
    indirect = [row for row in json.loads(answer.out)["effects"] if row["effect"] == "indirect"]
    assert all(row["estimate"] == 0.0 and row["p_value"] is None for row in indirect)


def test_the_json_is_that_of_the_python_interface(run: Any, tmp_path: Path) -> None:
    from spillover.models.fit import fit
    from spillover.panel.read import read_panel
    from spillover.weights.interchange import from_file

    found = json.loads(run(*fit_arguments(tmp_path), "--format", "json").out)
    panel = read_panel(tmp_path / "table.csv", region="region", period="year")
    expected = fit("y ~ x + log(z)", panel, from_file(tmp_path / "edges.csv"))
    estimates = [row["estimate"] for row in found["coefficients"]]
    np.testing.assert_array_equal(estimates, expected.estimates.values)


def test_fit_writes_a_file_and_nothing_to_the_screen(run: Any, tmp_path: Path) -> None:
    answer = run(*fit_arguments(tmp_path), "--format", "json", "--out", "fit.json")
    assert answer.code == 0
    assert answer.out == ""
    assert json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))["statistics"]["n_regions"] == 20


def test_fit_as_a_table_shows_coefficients_and_tests(run: Any, tmp_path: Path) -> None:
    answer = run(*fit_arguments(tmp_path))
    assert answer.code == 0
    assert "W*log(z)" in answer.out
    assert "LM lag" in answer.out


def test_the_table_tells_small_p_values_and_errors_that_differ(run: Any, tmp_path: Path) -> None:
    # Regressor and error drift within regions, so that clustered errors are far larger than those that ignore it.
    rng = np.random.default_rng(2)
    rows = ["region,year,y,x,z"]
    for region in range(1, 21):
        drift_x, drift_e = rng.normal(size=2)
        for year in range(2001, 2007):
            x, e = drift_x * (year - 2003.5), drift_e * (year - 2003.5)
            rows.append(f"{region},{year},{3 * x + e:.6f},{x:.6f},{np.exp(rng.normal()):.6f}")
    arguments = fit_arguments(tmp_path)
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    answer = run(*arguments)
    assert answer.code == 0, answer.err
    assert "information-matrix errors of effects differ by more than a third" in answer.out
    assert "--covariance information" in answer.out
    assert "< 0.001" in answer.out
    assert " 0.0000 " not in answer.out
    assert "see --covariance" not in run(*arguments, "--covariance", "information").out


def test_lagged_takes_terms_with_commas_and_blanks(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path, "y ~ x + log(z) + lag(z, 1)")
    arguments += ["--model", "slx", "--lagged", "x, lag(z,1)", "--format", "json"]
    answer = run(*arguments)
    # The first year has no lag: that is a missing cell and an error, never a dropped year.
    assert answer.code == 2
    assert "missing" in answer.err
    answer = run(*fit_arguments(tmp_path), "--model", "slx", "--lagged", "log( z )", "--format", "json")
    assert [row["term"] for row in json.loads(answer.out)["coefficients"]] == ["x", "log(z)", "W*log(z)"]


def test_columns_of_an_edge_list_may_have_other_names(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    expected = json.loads(run(*arguments, "--format", "json").out)
    text = (tmp_path / "edges.csv").read_text(encoding="utf-8").replace("focal,neighbor,weight", "row,col,w")
    (tmp_path / "edges.csv").write_text(text, encoding="utf-8")
    assert run(*arguments).code == 2
    answer = run(*arguments, "--edge-columns", "row, col, w", "--format", "json")
    assert json.loads(answer.out)["coefficients"] == expected["coefficients"]
    assert run(*arguments, "--edge-columns", "row").code == 2


def test_without_a_period_the_table_is_a_cross_section(run: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [f"{i},{x + e:.6f},{x:.6f}" for i, (x, e) in enumerate(rng.normal(size=(40, 2)), start=1)]
    (tmp_path / "table.csv").write_text("\n".join(["region,y,x", *rows]), encoding="utf-8")
    edges = write_ring(tmp_path, regions=40)
    answer = run("fit", "y ~ x", "--data", "table.csv", "--region", "region", "--weights", edges, "--format", "json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["statistics"]["n_periods"] == 1
    assert found["statistics"]["effects"] == "none"
    assert found["coefficients"][0]["term"] == "(Intercept)"


def test_a_map_as_weights(run: Any, tmp_path: Path) -> None:
    write_study(tmp_path)
    arguments = ["fit", "log(patents) ~ log(rd)", "--data", "regions.csv", "--region", "region", "--period", "year"]
    arguments += ["--weights", "map.geojson", "--format", "json"]
    queen = run(*arguments, "--weights-kind", "queen")
    nearest = run(*arguments, "--weights-kind", "knn:4")
    assert (queen.code, nearest.code) == (0, 0), queen.err + nearest.err
    assert "queen contiguity" in json.loads(queen.out)["statistics"]["weights"]
    assert "4 nearest neighbours" in json.loads(nearest.out)["statistics"]["weights"]


@pytest.mark.parametrize("options", [["--model", "sem"], ["--model", "sdem"], ["--model", "sac"], ["--model", "gns"]])
def test_error_models_report_lambda(run: Any, tmp_path: Path, options: list[str]) -> None:
    answer = run(*fit_arguments(tmp_path), *options, "--format", "json")
    assert answer.code == 0, answer.err
    terms = [row["term"] for row in json.loads(answer.out)["coefficients"]]
    assert "lambda" in terms
    assert ("rho" in terms) == (options[1] in ("sac", "gns"))


def test_random_effects_come_with_the_test_of_mundlak(run: Any, tmp_path: Path) -> None:
    answer = run(*fit_arguments(tmp_path), "--effects", "random", "--model", "sar", "--format", "json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["statistics"]["effects"] == "random"
    assert found["statistics"]["sigma2_mu"] >= 0
    assert any("unrelated to the regressors" in row["null"] for row in found["tests"])


def test_instruments_behind_a_bar_give_two_stage_least_squares(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    position = next(i for i, text in enumerate(arguments) if "~" in str(text))
    outcome, terms = str(arguments[position]).split("~")
    first, *others = [term.strip() for term in terms.split("+")]
    arguments[position] = f"{outcome} ~ 1 | {first} ~ {others[0]}"
    answer = run(*arguments, "--model", "ols", "--format", "json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert [row["term"] for row in found["coefficients"]] == [first]
    assert found["tests"]


@pytest.mark.parametrize("covariance", ["hessian", "sandwich", "two-way-cluster"])
def test_every_covariance_is_an_option(run: Any, tmp_path: Path, covariance: str) -> None:
    answer = run(*fit_arguments(tmp_path), "--covariance", covariance, "--format", "json")
    assert answer.code in (0, 2), answer.err
    if answer.code == 0:
        assert json.loads(answer.out)["statistics"]["covariance"] == covariance


# -- bad input: exit code 2, a message with what to do, no traceback, nothing written --------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["--dynamic", "tau,eta"], "dynamic models (--dynamic) are not available in this version"),
        (["--model", "sac", "--effects", "random"], "sac"),
        (["--covariance", "conley"], "distance beyond which"),
        (["--covariance", "driscoll-kraay"], "at least 10"),
        (["--model", "sdn"], "Did you mean"),
        (["--effects", "twoway"], "Did you mean"),
        (["--standardise", "rows"], "Did you mean 'row'"),
        (["--islands", "kept"], "Did you mean 'keep'"),
        (["--format", "jsn"], "Did you mean 'json'"),
        (["--tests", "valids"], "Did you mean 'valid'"),
        (["--weights-kind", "queen"], "--weights-kind goes with a map"),
        (["--out", "no/such/folder/fit.json"], "does not exist"),
        (["--region", "regoin"], "Did you mean 'region'"),
        (["--lagged", "w"], "'w' is to be lagged in space but is not a regressor"),
    ],
)
def test_a_wrong_option_is_told_in_words(run: Any, tmp_path: Path, change: list[str], expected: str) -> None:
    answer = run(*fit_arguments(tmp_path), *change)
    assert answer.code == 2
    assert expected in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y ~ xx", "the formula names columns that table.csv does not have"),
        ("y ~", "formula"),
        ("y", "formula"),
        ("log(y) ~ x", "log of zero or negative"),
        ("y ~ x + __import__('os').system('true')", "cannot be understood"),
    ],
)
def test_a_wrong_formula_is_told_in_words(run: Any, tmp_path: Path, formula: str, expected: str) -> None:
    answer = run(*fit_arguments(tmp_path, formula))
    assert answer.code == 2
    assert expected in answer.err
    assert answer.out == ""


def test_a_model_in_space_needs_weights(run: Any, tmp_path: Path) -> None:
    answer = run(*fit_arguments(tmp_path)[:-2])
    assert answer.code == 2
    assert "a sdm model needs spatial weights" in answer.err


def test_a_map_needs_a_kind(run: Any, tmp_path: Path) -> None:
    write_study(tmp_path)
    arguments = ["fit", "patents ~ rd", "--data", "regions.csv", "--region", "region", "--period", "year"]
    answer = run(*arguments, "--weights", "map.geojson")
    assert answer.code == 2
    assert "add --weights-kind" in answer.err
    for kind in (
        "knn",
        "knn:0",
        "knn:x",
        "queen:0",
        "queen:1.5",
        "shared-border:3",
        "exponential:-1",
        "exponential:inf",
        "nearest",
    ):
        answer = run(*arguments, "--weights", "map.geojson", "--weights-kind", kind)
        assert answer.code == 2, kind
        assert "--weights-kind" in answer.err


def test_ids_that_do_not_match_are_shown_on_both_sides(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    write_ring(tmp_path, regions=21)
    answer = run(*arguments)
    assert answer.code == 2
    assert "21" in answer.err


def test_a_region_that_the_edge_list_does_not_mention_is_an_island(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    write_ring(tmp_path, regions=19)
    answer = run(*arguments)
    assert answer.code == 2
    assert "island" in answer.err
    assert "20" in answer.err
    kept = run(*arguments, "--islands", "keep", "--model", "slx", "--format", "json")
    assert kept.code == 0, kept.err
    dropped = run(*arguments, "--islands", "drop", "--format", "json")
    assert json.loads(dropped.out)["statistics"]["n_regions"] == 19


def test_pairs_listed_once_are_told_with_the_option_and_read_with_it(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    lines = ["focal,neighbor,weight", *(f"{i},{i + 1},1" for i in range(1, 20))]
    (tmp_path / "edges.csv").write_text("\n".join(lines), encoding="utf-8")
    answer = run(*arguments)
    assert answer.code == 2
    assert "listed one way only" in answer.err
    assert "--both-ways" in answer.err
    assert "--islands nearest" in answer.err
    found = run(*arguments, "--both-ways", "--format", "json")
    assert "38 links" in json.loads(found.out)["statistics"]["weights"]


def test_blank_cells_name_the_options_and_are_dropped_by_them(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    text = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    region, year, _, x, z = text[7].split(",")
    text[7] = f"{region},{year},,{x},{z}"  # the first year of region 2
    (tmp_path / "table.csv").write_text("\n".join(text), encoding="utf-8")
    answer = run(*arguments)
    assert answer.code == 2
    assert "y of 2 in 2001" in answer.err
    assert "--missing drop-regions" in answer.err
    assert "panel." not in answer.err
    for options, regions, periods in (
        (["--missing", "drop-regions"], 19, 6),
        (["--missing", "drop-periods"], 20, 5),
        (["--exclude", "2, 3"], 18, 6),
    ):
        found = json.loads(run(*arguments, *options, "--format", "json").out)
        assert (found["statistics"]["n_regions"], found["statistics"]["n_periods"]) == (regions, periods)
        assert any("dropped" in note or "left out" in note for note in found["notes"])
    assert run(*arguments, "--exclude", "99").code == 2
    assert run(*arguments, "--missing", "drop").code == 2


@pytest.mark.parametrize("content", ["", "\0\1\2binary", "region,year,y,x,z\n"])
def test_a_table_that_is_none(run: Any, tmp_path: Path, content: str) -> None:
    arguments = fit_arguments(tmp_path)
    (tmp_path / "table.csv").write_text(content, encoding="utf-8")
    answer = run(*arguments)
    assert answer.code == 2
    assert "table.csv" in answer.err


def test_duplicate_keys_are_named(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    rows = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "table.csv").write_text("\n".join([*rows, rows[1]]), encoding="utf-8")
    answer = run(*arguments)
    assert answer.code == 2
    assert "2001" in answer.err


def test_an_option_that_does_not_exist_leaves_with_2(run: Any) -> None:
    assert run("fit", "--nothing").code == 2
    assert run("nothing").code == 2


# -- the other commands ---------------------------------------------------------------------------


def test_run_writes_the_folder_and_tells_the_headlines(run: Any, tmp_path: Path) -> None:
    path = write_study(tmp_path / "study", STUDY.replace("[[innovation.indicators]]", "[[innovation.indicators]]"))
    answer = run("run", path, "--out", "out")
    assert answer.code == 0, answer.err
    assert {item.name for item in (tmp_path / "out").iterdir()} >= {
        "report.html",
        "results.json",
        "tables",
        "figures",
        "study.toml",
    }
    assert 'table = "../study/regions.csv"' in (tmp_path / "out" / "study.toml").read_text(encoding="utf-8")
    assert run("check", "out/study.toml").code == 0
    again = run("run", "out/study.toml", "--out", "out")
    assert again.code == 2
    assert "holds what the study reads" in again.err
    assert "Before you quote a number" in answer.out
    assert answer.out.rstrip().endswith("report.html")
    # A name with markup is text in the report.
    assert "<b>Łódź</b>" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_run_refuses_a_folder_with_other_things_before_it_computes(run: Any, tmp_path: Path) -> None:
    path = write_study(tmp_path / "study")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    answer = run("run", path, "--out", "out")
    assert answer.code == 2
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("")
    assert run("run", path, "--out", "file/out").code == 2


@pytest.mark.parametrize("out", [".", "study", "study/deep/.."])
def test_run_never_writes_where_its_inputs_are(run: Any, tmp_path: Path, out: str) -> None:
    path = write_study(tmp_path / "study")
    before = {item: item.read_bytes() for item in path.parent.iterdir()}
    answer = run("run", path, "--out", out)
    assert answer.code == 2
    assert "holds what the study reads" in answer.err
    assert {item: item.read_bytes() for item in path.parent.iterdir()} == before


def test_no_command_overwrites_its_input(run: Any, tmp_path: Path) -> None:
    arguments = fit_arguments(tmp_path)
    (tmp_path / "link.csv").symlink_to("table.csv")
    for out in ("table.csv", "edges.csv", "link.csv", "./x/../table.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        before = (tmp_path / "table.csv").read_bytes(), (tmp_path / "edges.csv").read_bytes()
        answer = run(*arguments, "--out", out)
        assert answer.code == 2
        assert "is an input" in answer.err
        assert ((tmp_path / "table.csv").read_bytes(), (tmp_path / "edges.csv").read_bytes()) == before
    assert "is an input" in run("init", "table.csv", "--out", "table.csv", "--force").err
    assert "is no study file" in run("init", "table.csv", "--out", "edges.csv", "--force").err


def test_a_seed_is_zero_or_more(run: Any, tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.replace("seed = 7", "seed = -7"))
    answer = run("run", path, "--out", "out")
    assert answer.code == 2
    assert "[study] seed = -7" in answer.err
    for command in (("run", path), ("demo",), ("paper-tables",)):
        assert run(*command, "--seed", "-1").code == 2


def test_check_lists_all_mistakes_and_leaves_with_2(run: Any, tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.replace('kind = "knn"', 'kind = "kn"').replace("log(rd)", "log(rdd)", 1))
    answer = run("check", path)
    assert answer.code == 2
    assert "has 2 mistakes" in answer.err
    good = run("check", write_study(tmp_path))
    assert good.code == 0
    assert "no problem found" in good.out


def test_the_data_folder_is_an_option(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPILLOVER_DATA", raising=False)
    study = STUDY.replace('"regions.csv"', '"${SPILLOVER_DATA}/regions.csv"')
    path = write_study(tmp_path / "data", study.replace('"map.geojson"', '"${SPILLOVER_DATA}/map.geojson"'))
    moved = tmp_path / "study.toml"
    path.rename(moved)
    answer = run("check", moved)
    assert answer.code == 2
    assert "the environment variable SPILLOVER_DATA is not set" in answer.err
    assert run("check", moved, "--data", "data").code == 0
    assert run("check", moved, "--data", "nowhere").code == 2


def test_init_proposes_a_study_that_can_be_checked(run: Any, tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "study.toml").unlink()
    answer = run("init", "regions.csv")
    assert answer.code == 0, answer.err
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    for line in ('region = "region"', 'period = "year"', 'name = "name"', 'geometry = "map.geojson"', 'column = "hti"'):
        assert line in text, line
    checked = run("check", "study.toml")
    assert checked.code == 0, checked.err
    again = run("init", "regions.csv")
    assert again.code == 2
    assert "nothing was written" in again.err
    assert run("init", "regions.csv", "--force").code == 0


def test_init_of_a_table_without_regions_says_what_is_wrong(run: Any, tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("a,b\n1,2\n1,2\n", encoding="utf-8")
    answer = run("init", "wide.csv")
    assert answer.code == 2
    assert "tells the regions apart" in answer.err
    assert not (tmp_path / "study.toml").exists()


def test_paper_tables_as_json(run: Any) -> None:
    found = json.loads(run("paper-tables", "--format", "json").out)
    # The paper's Table 2 with a joint exponential decay: 0.00892 per km, half-distance ln 2 / 0.00892 = 77.7 km.
    assert found["decay"]["decay_per_km"] == pytest.approx(0.00892, abs=5e-6)
    assert found["decay"]["half_distance_km"] == pytest.approx(77.7, abs=0.05)
    assert [round(row["slope"], 6) for row in found["doses"]] == [1.0, 10.0, 25.0]
    assert "illustrative calibration" in found["label"]
    assert run("paper-tables").out.count("yes") == 20


# -- the process ----------------------------------------------------------------------------------


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "spillover.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)


STOP_IN_THE_REPORT = """
import os, signal, sys
import spillover.report.write as write
from spillover import cli

def stop(*_):
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    raise SystemExit("the signal was not taken")

write.write_figures = stop
cli.main(["run", "study.toml", "--out", "out"])
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_leaves_nothing_half_done(tmp_path: Path, name: str) -> None:
    write_study(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", STOP_IN_THE_REPORT, name],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr.decode().strip() == "stopped"
    assert {item.name for item in tmp_path.iterdir()} == {"study.toml", "regions.csv", "map.geojson"}


@pytest.mark.parametrize("target", ["/dev/full", ">&-"])
def test_a_screen_that_cannot_be_written_is_told_in_short(tmp_path: Path, target: str) -> None:
    if target == "/dev/full" and not Path(target).exists():
        pytest.skip("this system has no /dev/full")
    command = f"{sys.executable} -m spillover.cli paper-tables " + (target if target[0] == ">" else f"> {target}")
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == (1 if target == "/dev/full" else 0)
    assert b"Traceback" not in done.stderr
    assert b"mistake of spillover" not in done.stderr
    assert (b"No space left" in done.stderr) == (target == "/dev/full")


def test_text_is_utf8_where_the_locale_is_c(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = STUDY.replace("A grid of regions", "Regionen: Łódź, 北京")
    path = write_study(tmp_path, study.replace('region = "region"\n', 'region = "region"\nexclude = ["北京"]\n'))
    done = process("check", path, LC_ALL="C", LANG="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2
    assert "北京" in done.stderr.decode("utf-8")


def test_an_unexpected_error_is_short_and_leaves_with_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import spillover.simulation.paper_tables as tables

    def broken(seed: int) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(tables, "paper_table_comparison", broken)
    answer = run("paper-tables")
    assert answer.code == 1
    assert "unexpected ZeroDivisionError: a mistake of ours" in answer.err
    assert "--debug" in answer.err
    assert "Traceback" not in answer.err
    with pytest.raises(ZeroDivisionError):
        cli.main(["paper-tables", "--debug"])


def test_warnings_are_sentences(run: Any, tmp_path: Path) -> None:
    import warnings

    from spillover.errors import AssumptionWarning
    from spillover.screen import warnings_as_sentences

    with warnings_as_sentences():
        warnings.warn("one thing to know", AssumptionWarning, stacklevel=1)
        warnings.warn("one thing to know", AssumptionWarning, stacklevel=1)
    answer = run("--version")
    assert answer.err == "warning: one thing to know\n"
    assert answer.out.startswith("spillover ")


def test_control_characters_do_not_reach_the_terminal(run: Any, tmp_path: Path) -> None:
    path = write_study(
        tmp_path, STUDY.replace('region = "region"\n', 'region = "region"\nexclude = ["\\u001b[31mR99"]\n')
    )
    answer = run("check", path)
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "R99" in answer.err


@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "estimates", "log_likelihood"),
    [
        ("ols", [68.6189611, -1.5973108, -0.2739315], -187.3772388),
        ("slx", [74.5534269, -1.0973898, -0.2943898, -1.3987457, 0.2148410], -183.9705992),
        ("sar", [45.6032482, -1.0487281, -0.2663348, 0.4233254], -182.6739720),
        ("sdm", [44.3200039, -0.9199061, -0.2971294, -0.5839133, 0.2576843, 0.4034626], -181.6392544),
    ],
)
def test_columbus_gives_the_reference_numbers(
    run: Any, data: Path, model: str, estimates: list[float], log_likelihood: float
) -> None:
    """Columbus, CRIME ~ INC + HOVAL, queen: spatialreg 1.2-6; its optimiser agrees to about 1e-7 relative."""
    folder = data.parent / "reference" / "data"
    if not folder.is_dir():
        pytest.skip("the reference data are not beside the regional data")
    answer = run(
        *("fit", "CRIME ~ INC + HOVAL", "--data", folder / "columbus.csv", "--region", "POLYID", "--model", model),
        *("--weights", folder / "columbus_queen_edges_1based.csv", "--edge-columns", "row,col", "--format", "json"),
    )
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    np.testing.assert_allclose([row["estimate"] for row in found["coefficients"]], estimates, atol=1e-5)
    assert found["statistics"]["log_likelihood"] == pytest.approx(log_likelihood, abs=1e-5)


@pytest.mark.data
def test_cigarettes_give_the_reference_numbers(run: Any, data: Path) -> None:
    """The cigarette panel of Baltagi and Elhorst, two-way SDM with the Lee–Yu transformation.

    Numbers: exact ML computed twice by independent code, given to these digits; tolerance 1e-5, 1e-3 for the
    log-likelihood. LM statistics are given to four decimals.
    """
    folder = data / "us_cigar"
    answer = run(
        "fit",
        "log(sales) ~ log(price/cpi) + log(ndi/cpi)",
        *("--data", folder / "cigar.csv", "--region", "state_name", "--period", "year"),
        *("--weights", folder / "W_usa46_binary.csv", "--covariance", "information", "--format", "json"),
    )
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    estimates = [row["estimate"] for row in found["coefficients"]]
    np.testing.assert_allclose(estimates, [-0.999737, 0.599235, 0.107092, -0.308974, 0.271178], atol=1e-5)
    effects = [row["estimate"] for row in found["effects"]]
    expected = [-1.012168, -0.212611, -1.224779, 0.588134, -0.189873, 0.398261]
    np.testing.assert_allclose(effects, expected, atol=1e-5)
    assert found["statistics"]["log_likelihood"] == pytest.approx(1571.2485, abs=1e-3)
    valid = [row["statistic"] for row in found["tests"] if row["form"] == "valid"][:4]
    np.testing.assert_allclose(valid, [60.4098, 73.0574, 1.1081, 13.7557], atol=1e-4)
    conventional = [row["statistic"] for row in found["tests"] if row["form"] == "conventional"][:4]
    np.testing.assert_allclose(conventional, [46.9005, 54.6548, 1.1563, 8.9106], atol=1e-4)
