"""`spillover simulate`: files that a study can run on, and configurations that are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import spillover as so
from spillover.cli import main
from spillover.errors import ConfigurationError, FileError, OutputError
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.config import SystemConfig
from spillover.simulation.simulate import simulate as simulate_any
from spillover.simulation.system import simulate
from spillover.study.check import check_study
from spillover.study.load import load_study
from spillover.study.run import run_study
from spillover.study.simulated import draw_simulation, write_simulation
from spillover.study.simulation_file import SimulationFile, default_simulation, read_simulation
from spillover.study.simulation_text import simulation_toml

SMALL = "seed = 3\n[system]\nn_regions = 40\nn_periods = 4\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def make(tmp_path: Path, text: str) -> Path:
    study, _ = write_simulation(read_simulation(write(tmp_path / "system.toml", text)), tmp_path / "out")
    return study


def test_the_study_file_passes_check_and_run(tmp_path):
    study = make(tmp_path, SMALL)
    report = check_study(study)
    report.raise_problems()
    result = run_study(load_study(study))
    truth = json.loads((study.parent / "truth.json").read_text(encoding="utf-8"))
    estimates = {row["effect"]: row for row in result.model().impacts}
    # the main model is the right one: estimates lie within four standard errors of the truth
    for name, key in (("direct", "direct"), ("indirect", "spillover")):
        row = estimates[name]
        assert abs(row["estimate"] - truth["truth"][key]) < 4 * row["std_error"]
    assert truth["seed"] == 3
    assert "illustrative" in truth["label"]


def test_files_are_what_simulate_gives(tmp_path):
    study = make(tmp_path, SMALL)
    panel, truth = simulate(read_simulation(tmp_path / "system.toml").config, 3)
    read = so.read_panel(
        study.parent / "regions.csv", region="region", period="period", geometry=study.parent / "regions.geojson"
    )
    assert read.regions == panel.regions
    for name in ("hti", "patents", "informal", "total_employment"):
        assert read[name] == pytest.approx(panel[name], rel=1e-15)
    # the map has every digit, so that a W built from the files is the W of the truth
    weights = so.weights.distance.build_exponential(read, 0.00892, standardise="none").matrix
    same = so.weights.distance.build_exponential(panel, 0.00892, standardise="none").matrix
    assert abs(weights - same).max() < 1e-12
    by_region = pd.read_csv(study.parent / "truth_regions.csv").query("channel == 'all'")
    assert by_region["received"].to_numpy() == pytest.approx(truth.received)
    bands = pd.read_csv(study.parent / "truth_distance.csv")
    assert bands.query("channel == 'all'")["per_region"].sum() == pytest.approx(truth.spillover)


def test_system_toml_draws_the_same_again(tmp_path):
    study = make(tmp_path, SMALL + "capital = 0.5\nperiphery = [0.2, 0.5]\n")
    again = read_simulation(study.parent / "simulation.toml")
    write_simulation(again, tmp_path / "again")
    for name in ("regions.csv", "truth.json", "study.toml", "regions.geojson", "simulation.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (study.parent / name).read_bytes()
    config = SystemConfig(n_clusters=None, patent_size=7.5)
    assert read_simulation(write(tmp_path / "x.toml", simulation_toml(SimulationFile(config, 1)))).config == config


def test_roads_have_a_weights_file(tmp_path):
    study = make(tmp_path, SMALL + 'distance = "road"\n')
    check_study(study).raise_problems()
    links = pd.read_csv(study.parent / "weights.csv")
    geography = read_simulation(tmp_path / "system.toml")
    from spillover.simulation.system import draw_system

    travel = draw_system(geography.config, 3).system.geography.travel
    first = links.iloc[0]
    i, j = int(first["focal"][1:]) - 1, int(first["neighbor"][1:]) - 1
    assert first["weight"] == pytest.approx(np.exp(-0.00892 * travel[i, j]))
    assert run_study(load_study(study)).model().name == "SLX with distance decay"


def test_a_real_map(tmp_path):
    boxes = [shapely.box(5 + a, 45 + b, 6 + a, 46 + b) for a in range(4) for b in range(4)]
    codes = [f"X{k:02d}" for k in range(16)][::-1]
    frame = gpd.GeoDataFrame({"code": codes, "label": [f"Place {c}" for c in codes]}, geometry=boxes, crs="EPSG:4326")
    frame.to_file(tmp_path / "places.geojson")
    text = 'seed = 1\n[system]\nn_periods = 3\n[map]\nfile = "places.geojson"\nid = "code"\nname = "label"\n'
    study = make(tmp_path, text)
    check_study(study).raise_problems()
    table = pd.read_csv(study.parent / "regions.csv")
    assert set(table["region"]) == set(codes)
    assert set(table["name"]) == set(frame["label"])
    run_study(load_study(study))


def test_every_mistake_is_told_at_once(tmp_path):
    path = write(
        tmp_path / "wrong.toml",
        'seed = -1\nsystm = 2\n[system]\nn_regions = 5\ncapitl = 1\nfeedback = 0.9\npersistence = "high"\n'
        "[agents]\nsector_shares = [0.5, 0.4]\ndepreciation = 0\nclosur = 1\n"
        "[truth]\ndraws = 1\nstep = -0.1\nseed = 2\n"
        '[map]\nfile = "nowhere.geojson"\n',
    )
    with pytest.raises(ConfigurationError) as caught:
        read_simulation(path)
    message = str(caught.value)
    for part in (
        "seed = -1",
        "'systm'",
        "'system'",
        "'capitl'",
        "'capital'",
        "persistence = 'high'",
        "n_regions = 5",
        "feedback = 0.9",
        "sum to 0.9, not 1",
        "depreciation = 0",
        "'closur' is unknown. Did you mean 'closure'",
        "draws = 1",
        "step = -0.1",
        "[truth] 'seed' is unknown",
        "nowhere.geojson",
    ):
        assert part in message
    path = write(tmp_path / "wrong2.toml", "[system]\nn_regions = 5\nfeedback = 0.9\ncooperation_share = 1.5\n")
    with pytest.raises(ConfigurationError, match=r"(?s)3 mistakes.*n_regions.*cooperation_share.*feedback"):
        read_simulation(path)
    with pytest.raises(FileError, match="no simulation file"):
        read_simulation(tmp_path / "absent.toml")
    with pytest.raises(FileError, match="not a TOML file"):
        read_simulation(write(tmp_path / "t.csv", "a,b\n1,2\n"))
    with pytest.raises(FileError, match="not a TOML file"):  # Python does not read numbers of so many digits
        read_simulation(write(tmp_path / "big.toml", "seed = " + "9" * 5000 + "\n"))


def test_every_mistake_of_a_panel_is_told_at_once(tmp_path):
    path = write(
        tmp_path / "wrong.toml",
        '[panel]\nmodel = "sdm"\nrho = 1.2\nn_periods = "ten"\neffect = "none"\n'
        '[[panel.regressors]]\nname = "rho"\nbeta = "large"\npersistence = 2\nbta = 1\n'
        "[panel.errors]\nsigma = -1\n"
        '[panel.weights]\nkind = "rook"\nneighbours = 200\nneighbors = 3\n'
        '[panel.weights_error]\nkind = "knn"\n'
        "[truth]\ndraws = 3\n[system]\nn_regions = 40\n",
    )
    with pytest.raises(ConfigurationError) as caught:
        read_simulation(path)
    message = str(caught.value)
    for part in (
        "[panel] is tier 1",
        "rho = 1.2",
        "n_periods = 'ten'",
        "'effect' is unknown. Did you mean 'effects'",
        "called 'rho'",
        "beta = 'large'",
        "persistence = 2",
        "'bta' is unknown",
        "sigma = -1",
        "kind = 'rook'",
        "'neighbors' is unknown. Did you mean 'neighbours'",
        "'sdm' has no W u",
        "[truth] is for [agents]",
    ):
        assert part in message
    for text, told in (
        ("panel = 3\n", "panel is not a section"),
        ("[panel]\nregressors = 3\n", "write .*panel.regressors"),
        ("[panel]\nweights = 3\n", "panel.weights is not a section"),
        ('[panel]\n[panel.weights]\nfile = "none.csv"\n', "there is no such file"),
        ('[panel]\nrho = 0.5\n[panel.weights]\nstandardise = "none"\n', "outside the interval"),
        ("[panel]\ntau = 0.99999\n", "so near one"),
        ("[panel]\nn_periods = 1\n", "two periods at least"),
        ("[panel]\nn_periods = 2\ntau = 0.3\n", "besides the first, which is used up"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            read_simulation(write(tmp_path / "one.toml", text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[system]\nn_regions = 10\nn_periods = 2\n", "10 regions × 2 periods for 2 slopes"),
        ("[system]\nn_regions = 40\ndecay_per_km = 5.0\n", "no region would reach another"),
        ("[panel]\nn_regions = 6\n[panel.weights]\nneighbours = 2\n", "6 regions: it needs at least 10"),
        ("[panel]\nn_regions = 12\nn_periods = 1\neffects = 'none'\n", "12 regions × 1 periods for 3 slopes"),
        (
            "[panel]\nmodel = 'sem'\nlam = 0.2\n[panel.weights]\nkind='exponential'\nstandardise = 'scalar'\n",
            "rows do not sum to one",
        ),
    ],
)
def test_tiny_and_impossible_worlds_are_told_before_anything_is_drawn(tmp_path, text, told):
    with pytest.raises(ConfigurationError, match=told):
        read_simulation(write(tmp_path / "tiny.toml", text))


def boxes(codes, crs="EPSG:4326", twice=False):
    shapes = [shapely.box(5 + a, 45 + b, 6 + a, 46 + b) for a in range(4) for b in range(4)][: len(codes)]
    if twice:
        shapes[-1] = shapes[0]
    return gpd.GeoDataFrame({"code": codes}, geometry=shapes, crs=crs)


def test_identical_polygons_are_told_with_everything_else(tmp_path):
    boxes([f"X{k:02d}" for k in range(16)], twice=True).to_file(tmp_path / "places.geojson")
    text = '[{}]\nn_periods = 3\nn_regions = 20\n[map]\nfile = "places.geojson"\nid = "code"\n'
    for tier in ("system", "panel"):
        with pytest.raises(ConfigurationError) as caught:
            read_simulation(write(tmp_path / "s.toml", text.format(tier)))
        assert "one and the same centre: X00 and X15" in str(caught.value)
        assert "n_regions = 20, but the map has 16 regions" in str(caught.value)


TIERS = {
    "sdm": "rho = 0.4\n[[panel.regressors]]\nname = 'rd'\nbeta = 1.0\ntheta = 0.5\n",
    "two W": "model = 'sem'\nlam = 0.4\n[panel.weights_error]\nkind = 'knn'\nneighbours = 4\nmap_seed = 7\n",
    "uneven W": "model = 'sar'\nrho = 0.4\n[panel.weights]\nkind = 'exponential'\nstandardise = 'scalar'\n",
    "dynamic": "model = 'sar'\nrho = 0.3\ntau = 0.3\neta = 0.1\nn_periods = 25\n",
    "counts": "model = 'slx'\ncounts = true\nintercept = 1.5\n[panel.errors]\nsigma = 0.0\n",
    "ols": "model = 'ols'\nendogeneity = 0.4\ninstrument = 0.5\n",
    "cross-section": "rho = 0.3\nn_periods = 1\neffects = 'none'\n[panel.weights]\nmap_seed = 'none'\n",
}


@pytest.mark.filterwarnings("ignore::spillover.errors.AssumptionWarning")
@pytest.mark.parametrize("name", TIERS)
def test_a_panel_of_every_kind_is_written_checked_run_and_drawn_again(tmp_path, name):
    text = "seed = 4\n[panel]\nn_regions = 60\n" + TIERS[name]
    study = make(tmp_path, text if "n_periods" in text else text.replace("[panel]", "[panel]\nn_periods = 8"))
    check_study(study).raise_problems()
    result = run_study(load_study(study)).model()
    truth = json.loads((study.parent / "truth.json").read_text(encoding="utf-8"))
    again = read_simulation(study.parent / "simulation.toml")
    write_simulation(again, tmp_path / "again")
    for file in study.parent.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    panel, known = simulate_any(again.config, 4)
    table = pd.read_csv(study.parent / "regions.csv")
    assert table["y"].to_numpy() == pytest.approx(panel["y"].ravel())
    assert truth["truth"]["effects"] == pytest.approx({k: v for k, v in known.targets().items() if ": " in k})
    by_region = pd.read_csv(study.parent / "truth_regions.csv").query("horizon == 'short'")
    first = by_region.query("variable == @result.treatment")
    assert first["received"].mean() == pytest.approx(known.indirect(result.treatment))
    if name in ("counts", "ols"):  # the file says that its model is not exactly right
        assert "not exactly the model" in study.read_text(encoding="utf-8")
        return
    estimates = {row["effect"]: row for row in result.impacts if row["variable"] == result.treatment}
    for effect in ("direct", "indirect"):
        row, value = estimates[effect], known.targets()[f"{effect}: {result.treatment}"]
        # the study's model is the one that was drawn; 25 years of a dynamic panel leave a bias of a few per cent
        assert abs(row["estimate"] - value) < 4 * (row["std_error"] or 0) + (0.1 if name == "dynamic" else 1e-9)


def test_a_panel_on_a_real_map_and_with_a_w_of_the_user(tmp_path):
    codes = [f"X{k:02d}" for k in range(16)]
    boxes(codes).to_file(tmp_path / "places.geojson")
    head = "[panel]\nmodel = 'sar'\nrho = 0.4\nn_periods = 8\n"
    place = '[map]\nfile = "places.geojson"\nid = "code"\n'
    study = make(tmp_path, head + "[panel.weights]\nkind = 'queen'\n" + place)
    assert set(pd.read_csv(study.parent / "regions.csv")["region"]) == set(codes)
    run_study(load_study(study))
    w = so.weights.build_contiguity(so.read_panel(study.parent / "regions.csv", region="region", period="period",
                                                  geometry=study.parent / "regions.geojson"))  # fmt: skip
    written = so.weights.from_file(study.parent / "weights.csv", standardise="none").align(w.regions)
    assert abs(written.matrix - w.matrix).max() < 1e-12
    assert not (study.parent / "simulation.toml").exists()  # it could not find the map again
    # a W of the user, with and without the map
    rows = [f"{a},{b},{1 + i % 3}" for i, a in enumerate(codes) for b in (codes[i - 1], codes[i - 2], codes[i - 5])]
    write(tmp_path / "links.csv", "focal,neighbor,weight\n" + "\n".join(rows) + "\n")
    own = "[panel.weights]\nfile = 'links.csv'\n"
    for number, text in enumerate((head + own, head + own + place)):
        simulation = read_simulation(write(tmp_path / "own.toml", text))
        assert (tmp_path / "links.csv").resolve() in simulation.inputs
        study, _ = write_simulation(simulation, tmp_path / f"own{number}")
        run_study(load_study(study))
        if number == 0:
            assert not (study.parent / "regions.geojson").exists()
            again, _ = write_simulation(read_simulation(study.parent / "simulation.toml"), tmp_path / "again")
            assert (again.parent / "regions.csv").read_bytes() == (study.parent / "regions.csv").read_bytes()
    for wrong, told in (
        ("n_regions = 12\n" + own, "n_regions = 12, but the given weights are of 16 regions"),
        (own + "neighbours = 4\n", "'neighbours' is unknown"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            read_simulation(write(tmp_path / "own.toml", head + wrong))
    boxes([f"Y{k:02d}" for k in range(16)]).to_file(tmp_path / "places.geojson")
    with pytest.raises(ConfigurationError):
        read_simulation(write(tmp_path / "own.toml", head + own + place))


@pytest.mark.parametrize("tier", ["panel", "system"])
def test_a_plane_map_is_a_map_too(tmp_path, tier):
    """Files of `simulate` are in plane km and say nothing of it: their map is a [map] like any other."""
    first = make(tmp_path, "[system]\nn_regions = 12\nn_periods = 3\n").parent
    before = gpd.read_file(first / "regions.geojson").set_index("region").geometry
    text = f"[{tier}]\nn_periods = 4\n[map]\nfile = '{(first / 'regions.geojson').as_posix()}'\nid = 'region'\n"
    source = write(tmp_path / "again.toml", text)
    study, _ = write_simulation(read_simulation(source), tmp_path / "again")
    run_study(load_study(study))
    after = gpd.read_file(study.parent / "regions.geojson").set_index("region").geometry
    assert after.to_wkt().to_dict() == before.to_wkt().to_dict()
    write(tmp_path / "table.csv", "region\nR001\n")
    with pytest.raises(ConfigurationError, match=r"\[map\] file = 'table.csv': .*not a kind of map"):
        read_simulation(write(tmp_path / "s.toml", "[system]\n[map]\nfile = 'table.csv'\nid = 'region'\n"))


def test_islands_of_a_real_map(tmp_path):
    frame = boxes([f"X{k:02d}" for k in range(16)])
    frame.loc[15, "geometry"] = shapely.box(20, 60, 21, 61)
    frame.to_file(tmp_path / "places.geojson")
    text = "[panel]\nn_periods = 8\n[panel.weights]\nkind = 'queen'\n{}[map]\nfile = 'places.geojson'\nid = 'code'\n"
    with pytest.raises(ConfigurationError, match=r"X15[\s\S]*islands"):
        read_simulation(write(tmp_path / "s.toml", text.format("")))
    study = make(tmp_path, text.format("islands = 'nearest'\n"))
    run_study(load_study(study))
    with pytest.raises(ConfigurationError, match="islands = 'away' is not one of"):
        read_simulation(write(tmp_path / "s.toml", text.format("islands = 'away'\n")))


def test_agents_are_written_with_their_truth(tmp_path):
    text = "[system]\nn_regions = 20\nn_periods = 3\n[agents]\npersons_per_researcher = 40.0\n[truth]\ndraws = 2\n"
    study = make(tmp_path, text)
    run_study(load_study(study))
    truth = json.loads((study.parent / "truth.json").read_text(encoding="utf-8"))["truth"]
    assert truth["closed_form"] is False
    assert truth["direct"] + truth["spillover"] == pytest.approx(truth["total"])
    assert truth["draws"] == 2
    by_region = pd.read_csv(study.parent / "truth_regions.csv")
    assert by_region["own_and_received"].mean() == pytest.approx(truth["total"])
    again = read_simulation(study.parent / "simulation.toml")
    assert again.config == read_simulation(tmp_path / "system.toml").config
    assert "closed form" in make_drawn(again, draws=0).headline
    # the special case has tier 2's truth
    special = AgentConfig.like_system(SystemConfig(n_regions=20, n_periods=3), persons_per_researcher=40.0)
    drawn = make_drawn(SimulationFile(special, 1), draws=0)
    assert drawn.truth["spillover"] == pytest.approx(simulate_agents(special, 1)[1].closed_form.spillover)
    again = read_simulation(write(tmp_path / "x.toml", simulation_toml(SimulationFile(special, 1))))
    assert again.config == special


def make_drawn(simulation, draws):
    return draw_simulation(replace(simulation, draws=draws))


def test_only_an_own_simulation_is_replaced(tmp_path):
    small = SimulationFile(SystemConfig(n_regions=12, n_periods=2), 1)
    folder = tmp_path / "out"
    write_simulation(small, folder)
    mine = write(folder / "mine.txt", "keep")
    write_simulation(SimulationFile(small.config, 2), folder)
    assert mine.read_text() == "keep"
    write(folder / "study.toml", "edited")
    with pytest.raises(OutputError, match="changed since"):
        write_simulation(small, folder)
    other = tmp_path / "other"
    other.mkdir()
    write(other / "thesis.txt", "years of work")
    with pytest.raises(OutputError, match="not an earlier simulation"):
        write_simulation(small, other)
    with pytest.raises(OutputError, match="holds what the study reads"):
        write_simulation(read_simulation(write(tmp_path / "s.toml", SMALL)), tmp_path)


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "s.toml", SMALL)
    main_code(["simulate", "s.toml", "--out", "lab", "--seed", "5"], 0)
    assert "spillover run lab/study.toml" in capsys.readouterr().out.replace("\\", "/")
    assert json.loads((tmp_path / "lab" / "truth.json").read_text(encoding="utf-8"))["seed"] == 5
    write(tmp_path / "bad.toml", "[system]\nfeedback = 2\n")
    main_code(["simulate", "bad.toml", "--out", "bad"], 2)
    assert not (tmp_path / "bad").exists()
    assert default_simulation(9).seed == 9


def main_code(arguments: list[str], expected: int) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert (left.value.code or 0) == expected
