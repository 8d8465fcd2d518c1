"""`spillover simulate`: files that a study can run on, and configurations that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spillover as so
from spillover.cli import main
from spillover.errors import FileError, OptionError, OutputError
from spillover.simulation.config import SystemConfig
from spillover.simulation.system import simulate
from spillover.study.check import check_study
from spillover.study.load import load_study
from spillover.study.run import run_study
from spillover.study.simulated import write_simulation
from spillover.study.simulation_file import SimulationFile, default_simulation, read_simulation, simulation_toml

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
    again = read_simulation(study.parent / "system.toml")
    write_simulation(again, tmp_path / "again")
    for name in ("regions.csv", "truth.json", "study.toml", "regions.geojson", "system.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (study.parent / name).read_bytes()
    config = SystemConfig(n_clusters=None, patent_size=7.5)
    assert read_simulation(write(tmp_path / "x.toml", simulation_toml(config, 1))).config == config


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
    import geopandas as gpd
    import shapely

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
        '[map]\nfile = "nowhere.geojson"\n',
    )
    with pytest.raises(OptionError) as caught:
        read_simulation(path)
    message = str(caught.value)
    for part in (
        "seed = -1",
        "'systm'",
        "'system'",
        "'capitl'",
        "'capital'",
        "persistence = 'high'",
        "nowhere.geojson",
    ):
        assert part in message
    path = write(tmp_path / "wrong2.toml", "[system]\nn_regions = 5\nfeedback = 0.9\ncooperation_share = 1.5\n")
    with pytest.raises(OptionError, match=r"(?s)3 mistakes.*n_regions.*cooperation_share.*feedback"):
        read_simulation(path)
    with pytest.raises(FileError, match="no simulation file"):
        read_simulation(tmp_path / "absent.toml")
    with pytest.raises(FileError, match="not a TOML file"):
        read_simulation(write(tmp_path / "t.csv", "a,b\n1,2\n"))


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
