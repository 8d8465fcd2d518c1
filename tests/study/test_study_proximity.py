"""Kinds of W in a study file and on the command line: each is the W that Python builds; mistakes have their words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from grid_study import STUDY, write_study

from spillover.errors import OptionError, StudyFileError
from spillover.study.as_run import study_as_run
from spillover.study.load import load_study
from spillover.study.run import prepare
from spillover.study.single import FitRequest, fit_single
from spillover.weights import (
    build_contiguity,
    build_economic,
    build_gaussian,
    build_gravity,
    build_input_output,
    build_institutional,
    build_same_group,
    build_shared_border,
    build_technological,
    build_travel_time,
    connect_nearest,
    find_travel_times,
    neighbours_of_order,
    read_input_output,
    read_network,
    read_portfolio,
    read_travel_times,
)

OLD = '[[weights]]\nname = "near"\nkind = "knn"\nk = 4\n'


def study_with(folder: Path, section: str) -> Path:
    """The grid study with another second W; its tables lie beside."""
    text = STUDY.replace(OLD, f'[[weights]]\nname = "near"\n{section}\n')
    path = write_study(folder, text)
    rng = np.random.default_rng(5)
    ids = [f"R{row}{column}" for row in range(5) for column in range(6)]
    rows = [(r, c, int(n)) for r in ids for c, n in zip("123", rng.integers(1, 20, 3), strict=True)]
    pd.DataFrame(rows, columns=["place", "class", "n"]).to_csv(folder / "classes.csv", index=False)
    pd.DataFrame(
        {"Code": ["1", "2", "3"], "1": [10, 20, 5], "2": [5, 10, 15], "3": [8, 2, 30], "GO": [100, 100, 100]}
    ).to_csv(folder / "flows.csv", index=False)
    nodes = [(f"n{r}{c}", 10.25 + 0.5 * c, 45.25 + 0.5 * r) for r in range(5) for c in range(6)]
    pd.DataFrame(nodes, columns=["node", "lon", "lat"]).to_csv(folder / "nodes.csv", index=False)
    edges = [(f"n{r}{c}", f"n{r}{c + 1}", 30.0) for r in range(5) for c in range(5)]
    edges += [(f"n{r}{c}", f"n{r + 1}{c}", 40.0) for r in range(4) for c in range(6)]
    pd.DataFrame(edges, columns=["from", "to", "minutes"]).to_csv(folder / "edges.csv", index=False)
    times = pd.DataFrame(rng.uniform(10, 200, (30, 30)), index=ids, columns=ids)
    times.to_csv(folder / "times.csv", index_label="id")
    return path


def built(folder, panel):
    """Kind and settings → the W that Python makes of them."""
    portfolio = read_portfolio(folder / "classes.csv", region="place", class_="class", value="n")
    network = read_network(folder / "edges.csv", folder / "nodes.csv", minutes="minutes")
    times = find_travel_times(network, connect_nearest(panel, network, 40))
    return {
        'kind = "gaussian"\nbandwidth_km = 60': lambda: build_gaussian(panel, 60),
        'kind = "shared-border"': lambda: build_shared_border(panel),
        'kind = "queen"\nsteps = 2': lambda: neighbours_of_order(build_contiguity(panel), 2),
        'kind = "gravity"\nvariable = "jobs"\npower = 2.0': lambda: build_gravity(panel, "jobs", 2.0),
        'kind = "economic"\nvariable = "rd"\nk = 5': lambda: build_economic(panel, "rd", nearest=5),
        'kind = "institutional"\nvariable = "patents_pc"': lambda: build_institutional(panel, "patents_pc"),
        'kind = "same-group"\ngroup = "country"': lambda: build_same_group(panel, "country"),
        'kind = "technological"\nfile = "classes.csv"\ncolumns = ["place", "class", "n"]\nk = 6':
            lambda: build_technological(portfolio, top=6),
        'kind = "input-output"\nfile = "classes.csv"\ncolumns = ["place", "class", "n"]\nio_table = "flows.csv"\n'
        'receives_from = "both"':
            lambda: build_input_output(read_input_output(folder / "flows.csv"), portfolio, "both"),
        'kind = "travel-time"\nedges = "edges.csv"\nnodes = "nodes.csv"\ndecay_per_minute = 0.02':
            lambda: build_travel_time(times, "exponential", 0.02),
        'kind = "time-file"\nfile = "times.csv"\ndecay_per_minute = 0.02':
            lambda: build_travel_time(read_travel_times(folder / "times.csv"), "exponential", 0.02),
    }  # fmt: skip


KINDS = (
    "gaussian", "shared-border", "queen", "gravity", "economic", "institutional", "same-group", "technological",
    "input-output", "travel-time", "time-file",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_the_w_that_python_builds(tmp_path: Path, kind: str) -> None:
    first = prepare(load_study(study_with(tmp_path, 'kind = "queen"')).config)
    section, make = next((s, m) for s, m in built(tmp_path, first.panel).items() if f'kind = "{kind}"' in s)
    found = prepare(load_study(study_with(tmp_path, section)).config).weights["near"]
    expected = make().align(found.regions)
    assert np.array_equal(found.matrix.toarray(), expected.matrix.toarray())
    assert found.kind == expected.kind


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('kind = "gaussian"', "needs bandwidth_km"),
        ('kind = "gravity"', "needs variable"),
        ('kind = "gravity"\nvariable = "job"', "'job' is not in the table"),
        ('kind = "same-group"\ngroup = "nation"', "'nation' is not in \\[data\\] groups"),
        ('kind = "travel-time"\nedges = "edges.csv"', "needs decay_per_minute"),
        ('kind = "travel-time"\nedges = "edgs.csv"\ndecay_per_minute = 0.1', "no such file"),
        ('kind = "technological"\nfile = "classes.csv"', "needs columns"),
        ('kind = "technological"\nfile = "classes.csv"\ncolumns = ["a", "b"]', "three columns"),
        ('kind = "input-output"\nfile = "classes.csv"\ncolumns = ["a", "b", "c"]', "needs io_table"),
        ('kind = "gaussian"\nbandwidth_km = -3', "bandwidth_km = -3"),
        ('kind = "gaussian"\nbandwidth_km = 50\nsteps = 2', "not for kind"),
        ('kind = "queen"\nsteps = 0', "steps = 0"),
    ],
)
def test_mistakes_have_their_words(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(StudyFileError, match=words):
        load_study(study_with(tmp_path, section))


def test_a_study_folder_finds_the_tables_again(tmp_path: Path) -> None:
    section = 'kind = "travel-time"\nedges = "edges.csv"\nnodes = "nodes.csv"\ndecay_per_minute = 0.02'
    study = load_study(study_with(tmp_path, section))
    text = study_as_run(study, tmp_path / "out", 7)
    assert 'edges = "../edges.csv"' in text
    assert 'nodes = "../nodes.csv"' in text
    assert {Path(path).name for path in study.files().values()} >= {"edges.csv", "nodes.csv"}


def request(folder: Path, kind: str) -> FitRequest:
    return FitRequest(
        "log(patents) ~ log(rd)", data=folder / "regions.csv", region="region", period="year",
        weights=folder / "map.geojson", weights_kind=kind,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words"),
    [("queen:2", "queen contiguity, order 2"), ("gaussian:60", "Gaussian distance, bandwidth 60 km"),
     ("shared-border", "shared border")],
)  # fmt: skip
def test_kinds_on_the_command_line(tmp_path: Path, kind: str, words: str) -> None:
    write_study(tmp_path)
    assert words in fit_single(request(tmp_path, kind)).as_dict()["statistics"]["weights"]


@pytest.mark.parametrize("kind", ["gaussian", "gaussian:x", "queen:1.5", "shared-border:3", "gravity:2"])
def test_wrong_kinds_on_the_command_line(tmp_path: Path, kind: str) -> None:
    write_study(tmp_path)
    with pytest.raises(OptionError, match="--weights-kind"):
        fit_single(request(tmp_path, kind))


def test_a_w_that_cannot_identify_rho_is_a_caution(tmp_path: Path) -> None:
    # The countries of the grid have 18 and 12 regions; a W of equal weights within closed groups.
    from spillover.study.run import run_study

    text = STUDY.replace('name = "queen"\nkind = "queen"', 'name = "queen"\nkind = "same-group"\ngroup = "country"')
    text = text.replace("main = true", 'main = true\nmodel = "slx"')
    result = run_study(write_study(tmp_path, text))
    told = [caution for caution in result.cautions if "equal weights within 2 closed groups" in caution]
    assert len(told) == 1
    assert told[0].startswith("W “queen”: ")
    assert "only group sizes differ" in told[0]
