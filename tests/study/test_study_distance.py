"""[distance] in a study file: checked with the rest, equal to the Python interface, shown in the report."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import spillover as so
from spillover.errors import SpilloverError
from spillover.report.write import write_report
from spillover.study.check import check_study
from spillover.study.result import StudyResult
from spillover.study.run import prepare, run_study
from study.grid_study import STUDY, write_study

WITH = (
    STUDY
    + """
[distance]
rings = [0, 60, 120]
thresholds = [60, 120]
kernels = ["exponential", "power"]
"""
)


def simulated(folder, section):
    """A study of 60 simulated regions in which the spillover halves over 77.7 km, in files."""
    config = folder / "system.toml"
    config.write_text("seed = 5\n[system]\nn_regions = 60\nn_periods = 10\ninformal_decay_ratio = 1.0\n")
    from spillover.study.simulated import write_simulation
    from spillover.study.simulation_file import read_simulation

    study, _ = write_simulation(read_simulation(config, None), folder / "sim")
    study.write_text("audit = false\n" + study.read_text(encoding="utf-8") + section, encoding="utf-8")
    return study


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> StudyResult:
    return run_study(simulated(tmp_path_factory.mktemp("found"), '\n[distance]\nkernels = ["exponential", "power"]\n'))


def test_check_says_what_it_found(tmp_path):
    report = check_study(write_study(tmp_path, WITH))
    assert report.problems == ()
    assert "distance: great-circle distance between centroids, rings 0–60–120 km, 30 regions, 5 periods" in report.facts


def test_equals_the_python_interface(tmp_path):
    """The study and direct calls on the panel that it prepares give the same numbers."""
    path = write_study(tmp_path, WITH)
    result = run_study(path).distance
    from spillover.study.load import load_study

    panel = prepare(load_study(path).config).panel
    formula = "log(patents_pc) ~ log(lq) + log(rd)"
    decay = so.fit_decay(formula, panel, seed=7)
    assert result.decay["half_distance"] == pytest.approx(decay.half_distance, rel=1e-12)
    assert result.null_test["p_value"] == decay.null_test.p_value
    rings = so.fit_rings(formula, panel, edges=(0, 60, 120), seed=7)
    assert [row["estimate"] for row in result.rings] == pytest.approx(rings.estimates.values.tolist(), rel=1e-12)
    boundary = so.fit_boundary(formula, panel, thresholds=(60, 120), seed=7)
    assert [row["p_step_down"] for row in result.boundary] == pytest.approx(boundary.step_down.tolist())
    laws = so.compare_kernels(formula, panel, kernels=("exponential", "power"), seed=7).table()
    assert [row["aic"] for row in result.kernels] == pytest.approx(laws["aic"].tolist(), rel=1e-12)
    # nothing is identified on this map: no map of who gives to whom
    assert (result.sent, result.links) == ((), ())
    assert result.no_links.startswith("The data do not identify")


def test_json_round_trip_and_same_numbers_again(found, tmp_path):
    again = StudyResult.from_json(found.to_json())
    assert again == found


def test_links_add_up_to_what_is_sent(found):
    """A half-distance within two standard errors of the true 77.7 km, and a map in which nothing is lost."""
    d = found.distance
    assert d.decay["identified"]
    assert d.decay["half_low"] < 77.7 < d.decay["half_high"]
    effects = {row["effect"]: row["estimate"] for row in d.effects}
    assert effects["total"] == pytest.approx(effects["direct"] + effects["indirect"])
    sent = np.array(d.sent, dtype=float)
    assert np.isfinite(sent).all()
    assert len(d.links) == 40
    sizes = [abs(row["effect"]) for row in d.links]
    assert sizes == sorted(sizes, reverse=True)
    # the strongest link is one of the sender's own pairs: it cannot exceed what it sends when all links have its sign
    first = d.links[0]
    place = found.panel.regions.index(first["sender"])
    assert abs(sent[place]) > abs(first["effect"])
    assert np.sign(sent[place]) == np.sign(first["effect"])


def test_the_report_shows_it(found, tmp_path):
    page = write_report(found, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="distance"' in page
    assert "<strong>How far:</strong> half-distance " in page
    for text in ("How far it reaches", "Where power ends is not where spillover ends", "Which law:"):
        assert text in page
    for key in ("distance-decay", "distance-rings", "distance-boundary", "distance-profile", "distance-sent"):
        assert f'data-figure="{key}"' in page
    for name in ("distance-decay", "distance-rings", "distance-boundary", "distance-profile", "map-distance-sent"):
        assert (tmp_path / "out" / "figures" / f"{name}.svg").stat().st_size > 1000
    with (tmp_path / "out" / "tables" / "distance_rings.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["ring"] for row in rows] == [row["ring"] for row in found.distance.rings]


def test_lag_models_have_a_curve_relative_to_zero(tmp_path):
    study = simulated(tmp_path, '\n[distance]\nmodel = "sar"\nkernels = []\nrings = [0, 100, 200]\n')
    d = run_study(study).distance
    assert d.relative
    assert any("SLX tells the two apart" in note for note in d.notes)
    assert d.kernels == ()
    assert d.curve[0]["estimate"] == 1.0
    for row in d.curve:
        assert row["conf_low"] <= row["estimate"] <= row["conf_high"]
    # e^(−δd) at the limits of the interval of the half-distance
    last = d.curve[-1]
    assert last["conf_high"] == pytest.approx(0.5 ** (last["distance"] / d.decay["half_high"]), rel=1e-9)


@pytest.fixture
def rail(tmp_path):
    """The grid study with distances from a file: ten times as long as steps between cells."""
    path = write_study(tmp_path, WITH)
    cells = [(i, j) for i in range(5) for j in range(6)]
    lines = ["from,to,km"]
    lines += [
        f"R{i}{j},R{k}{m},{10 * (abs(i - k) + abs(j - m))}" for i, j in cells for k, m in cells if (i, j) != (k, m)
    ]
    (tmp_path / "rail.csv").write_text("\n".join(lines) + "\n")
    return path


RAIL = """[distance]
kind = "file"
file = "rail.csv"
what = "rail"
rings = [0, 10, 30]
thresholds = [10, 30]
kernels = []
"""


def test_distances_of_a_file(rail):
    rail.write_text(STUDY + RAIL, encoding="utf-8")
    d = run_study(rail, out=rail.parent / "out").distance
    assert d.distances == "rail"
    assert [row["pairs"] for row in d.rings] == [98, 334]  # a 5 × 6 grid: 49 borders; 78 pairs at 20 and 89 at 30
    again = rail.parent / "out" / "study.toml"
    assert run_study(again).distance == d
    assert (
        "rail.csv"
        in json.loads(StudyResult.from_json((rail.parent / "out" / "results.json").read_text()).to_json())[
            "provenance"
        ]["hashes"]
    )


def test_travel_times_over_a_network(rail):
    """Edges of six minutes between neighbouring cells, regions on their nodes: rings hold what Manhattan times say."""
    cells = [(i, j) for i in range(5) for j in range(6)]
    edges = ["from,to,minutes"]
    edges += [f"n{i}{j},n{i}{j + 1},6" for i, j in cells if j < 5] + [
        f"n{i}{j},n{i + 1}{j},6" for i, j in cells if i < 4
    ]
    (rail.parent / "roads.csv").write_text("\n".join(edges) + "\n")
    connect = ["region,node,minutes"] + [f"R{i}{j},n{i}{j},1" for i, j in cells]
    (rail.parent / "connect.csv").write_text("\n".join(connect) + "\n")
    section = (
        '[distance]\nkind = "network"\nedges = "roads.csv"\nconnectors = "connect.csv"\n'
        "rings = [0, 9, 21]\nthresholds = [9, 21]\nkernels = []\n"
    )
    rail.write_text(STUDY + section, encoding="utf-8")
    d = run_study(rail).distance
    assert d.unit == "minutes"
    assert [row["pairs"] for row in d.rings] == [98, 334]  # 6 minutes a step and 2 for both ends: 8, then 14 and 20


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rings = [0, 60, 120]", "rings = [0, 120, 60]", "[distance] rings = [0.0, 120.0, 60.0]: expected two or more"),
        ("rings = [0, 60, 120]", "rings = [0, 5, 10]", "rings in which no region has any other"),
        ("rings = [0, 60, 120]", "rings = [0, 60, 2000]", "the rings cover every pair of regions"),
        ("thresholds = [60, 120]", "thresholds = [60, 9000]", "fewer than two thresholds lie within the map"),
        ('["exponential", "power"]', '["exponential"]', "kernels names two or more different laws, or none"),
        ('["exponential", "power"]', '["exponential", "cubic"]', "expected one of"),
        ("[distance]", '[distance]\ntreatment = "log(lqq)"', "'log(lqq)' is not in the terms of its formula"),
        ("[distance]", '[distance]\nformula = "log(patents_pc) ~ log(lqq)"', "'lqq' is not in the table"),
        ("[distance]", '[distance]\nformula = "log(patents_pc ~ log(lq)"', "[distance] formula: "),
        ("[distance]", '[distance]\nkind = "file"', 'kind = "file" needs file'),
        ("[distance]", '[distance]\nkind = "network"', 'kind = "network" needs edges'),
        ("[distance]", '[distance]\nfile = "map.geojson"', 'file is for kind = "file", not for kind = "straight"'),
        ("[distance]", '[distance]\nkind = "file"\nfile = "none.csv"', "there is no such file"),
        ("[distance]", "[distance]\nreach_km = -3", "reach_km = -3.0: expected a number above zero"),
        ("[distance]", "[distance]\nreach_km = 20", "regions that nothing connects with the others"),
        ("[distance]", "[distance]\nreech_km = 20", "unknown key 'reech_km'"),
        ("[distance]", "[distance]\nquasi_difference = 1.5", "expected a coefficient between −1 and 1"),
        ("[distance]", '[distance]\ncovariance = "cluster"\ncutoff = 5', 'cutoff is for covariance = "conley"'),
        ("[distance]", "[distance]\nsearch = [90, 10]", "search = [90.0, 10.0]: expected two or more increasing"),
        ("[distance]", "[distance]\nexclude = ['R99']", "R99"),
        ("[distance]", '[distance]\nmodel = "sar"\nlagged = ["log(rd)"]', "lagged is for models with W x"),
    ],
)
def test_mistakes_are_found_before_anything_is_estimated(tmp_path, old, new, says):
    path = write_study(tmp_path, WITH.replace(old, new))
    report = check_study(path)
    told = "\n".join(report.problems)
    assert any(part in told for part in says.split("|")), told
    with pytest.raises(SpilloverError):
        run_study(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_region_without_distances_is_named(rail):
    text = (rail.parent / "rail.csv").read_text().splitlines()
    (rail.parent / "rail.csv").write_text("\n".join(line for line in text if "R00" not in line) + "\n")
    rail.write_text(STUDY + RAIL, encoding="utf-8")
    (problem,) = check_study(rail).problems
    assert "1 region has no distances" in problem
    assert "R00" in problem
    rail.write_text(STUDY + RAIL + 'exclude = ["R00"]\n', encoding="utf-8")
    assert check_study(rail).problems == ()


def test_a_study_without_it_has_none(tmp_path):
    assert run_study(write_study(tmp_path)).distance is None
