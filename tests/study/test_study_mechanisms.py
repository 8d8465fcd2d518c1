"""[mechanisms] in a study file: checked with the rest, equal to the Python interface, shown in the report."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from grid_study import STUDY, write_study

import spillover as so
from simulated import lattice, row_standardised
from spillover.report.write import write_report
from spillover.study.check import check_study
from spillover.study.result import StudyResult
from spillover.study.run import run_study

WITH = (
    STUDY
    + """
[mechanisms]
outcome = "log(patents)"
treatment = "log(hti)"
controls = []
lag = 0

[[mechanisms.channels]]
name = "capital allocation"
mediator = "log(rd)"

[[mechanisms.channels]]
name = "competition"
mediator = "log(population)"
weights = "near"
shape = "inverted-u"
"""
)
PARTS = ("not through a channel", "capital allocation", "competition")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def result(folder: Path) -> StudyResult:
    path = write_study(folder, WITH)
    report = check_study(path)
    assert report.problems == ()
    assert any("channels: capital allocation, competition" in fact for fact in report.facts)
    return run_study(path)


def test_a_study_equals_the_python_interface(result: StudyResult, folder: Path) -> None:
    found = result.mechanisms
    assert found is not None
    panel = so.read_panel(folder / "regions.csv", region="region", period="year", geometry=folder / "map.geojson")
    by_hand = so.mediate(
        "log(patents)",
        {"capital allocation": "log(rd)", "competition": so.EquationOptions("log(population)", shape="inverted-u")},
        "log(hti)",
        panel,
        {"W": so.weights.build_contiguity(panel), "competition": so.weights.build_knn(panel, 4)},
        lag=0,
    )
    table = by_hand.effects()
    assert [row["term"] for row in found.effects] == list(table["term"])
    assert [row["estimate"] for row in found.effects] == pytest.approx(list(table["estimate"]), rel=1e-9)
    assert [row["std_error"] for row in found.effects] == pytest.approx(list(table["std_error"]), rel=1e-8)
    rows = {row["term"]: row["estimate"] for row in found.effects}
    for kind in ("own", "spillover", "total"):
        assert sum(rows[f"{kind}: {name}"] for name in PARTS) == pytest.approx(rows[f"{kind}: total"], abs=1e-10)
    assert {row["channel"]: row["mechanism"] for row in found.effects}["capital allocation"] == "factor allocation"
    assert [point["channel"] for point in found.turning_points] == ["competition"]
    assert StudyResult.from_json(result.to_json()) == result


def test_the_report_shows_the_channels(result: StudyResult, tmp_path: Path) -> None:
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="channels"' in page
    assert '"type":"sankey"' in page
    assert "capital allocation" in page
    assert "Statistical Science 25: 51" in page
    assert "products of matrices along the paths" in page
    assert result.mechanisms is not None
    for text in result.mechanisms.assumptions:
        assert text in unescape(page)
    with io.StringIO((tmp_path / "out" / "tables" / "channels.csv").read_text(encoding="utf-8-sig")) as stream:
        rows = list(csv.DictReader(stream))
    assert [row["term"] for row in rows] == [row["term"] for row in result.mechanisms.effects]
    for name in ("channel-flow", "channel-effects", "channel-confounding"):
        assert (tmp_path / "out" / "figures" / f"{name}.svg").stat().st_size > 1000


def test_what_is_not_said_comes_from_the_main_model(tmp_path: Path) -> None:
    start = WITH.index("[mechanisms]")
    brief = WITH[:start] + '[mechanisms]\n\n[[mechanisms.channels]]\nname = "capital"\nmediator = "log(rd)"\n'
    found = run_study(write_study(tmp_path, brief)).mechanisms
    assert found is not None
    assert (found.outcome, found.treatment) == ("log(patents_pc)", "log(lq)")
    formulas = {row["equation"]: row["formula"] for row in found.equations}
    assert formulas["capital"] == "log(rd) ~ log(lq) + W*log(lq)"  # log(rd) is a channel now and no control
    assert "queen" in next(iter(found.equations))["weights"]
    assert found.n_periods == 4  # the treatment comes a year earlier


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('mediator = "log(rd)"', 'mediator = "log(rdd)"', "[mechanisms]: 'rdd' is not in"),
        ('weights = "near"', 'weights = "far"', "[mechanisms] 'competition' weights: 'far' is not in [[weights]]"),
        ('mediator = "log(rd)"', 'mediator = "log(patents / jobs)"', "patents is part of the mediator"),
        ('mediator = "log(rd)"', 'mediator = "log(rd) ~ log(jobs)"', "does not stand in its equation"),
        ('mediator = "log(rd)"', 'mediator = "log(rd"', "[mechanisms]: "),
        ('mediator = "log(rd)"', 'mediator = "log(hti)"', "'log(hti)' is the treatment and the mediator 'capital"),
        (
            'mediator = "log(rd)"',
            'mediator = "log(rd) ~ log(hti) + rail*log(hti)"',
            "[mechanisms] 'capital allocation': 'rail' is not in [[weights]]. known: queen, near",
        ),
        (
            'mediator = "log(rd)"',
            'mediator = "log(rd) ~ log(hti) + log(rd)"',
            "equation of 'capital allocation': 'log(rd)' explains 'log(rd)' by itself",
        ),
        ('mediator = "log(rd)"', 'mediator = "log(rd) - log(rd) + 2"', "equation of 'capital allocation': "),
        ('name = "competition"', 'name = "capital allocation"', "is used 2 times"),
        ("lag = 0", "lag = 9", "lag is not a possible number of periods"),
        ("lag = 0", "lags = 0", "unknown key 'lags'"),
        ("lag = 0", 'covariance = "conley"', "needs cutoff_km"),
        ('outcome = "log(patents)"', 'outcome = "log(innovation_index)"', "part of the outcome index"),
    ],
)
def test_what_is_wrong_is_found_before_the_run(old: str, new: str, said: str, tmp_path: Path) -> None:
    study = WITH.replace(old, new)
    assert study != WITH
    problems = check_study(write_study(tmp_path, study)).problems
    assert any(said in problem for problem in problems), problems


def test_a_study_without_the_section_has_no_channels(tmp_path: Path) -> None:
    result = run_study(write_study(tmp_path, STUDY))
    assert result.mechanisms is None
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="channels"' not in page


PLANTED = """
audit = false

[study]
title = "竞争与资本"

[data]
table = "table.csv"
region = "region"
period = "year"
name = "name"

[data.labels]
x = "高技术产业集聚"

[agglomeration]
measure = "column"
name = "x"
column = "x"

[innovation]
column = "y"

[[weights]]
name = "W"
kind = "file"
file = "links.csv"

[[models]]
name = "SDM"
formula = "y ~ x"

[mechanisms]
lag = 0

[[mechanisms.channels]]
name = "capital allocation"
mediator = "capital"

[[mechanisms.channels]]
name = "competition"
mediator = "firms"
shape = "inverted-u"
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """Capital comes from the neighbours (−.6 W x), and competition helps up to 1.2/(2 · .4) = 1.5 and hurts beyond."""
    folder, n, t = tmp_path_factory.mktemp("planted"), 60, 8
    links = row_standardised(lattice(10, 6)).toarray()
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    capital = 0.5 * x - 0.6 * links @ x + 0.5 * rng.normal(size=(n, t))
    firms = 1.5 + 0.6 * x + 0.8 * rng.normal(size=(n, t))
    y = 0.8 * capital + 1.2 * firms - 0.4 * firms**2 + 0.5 * rng.normal(size=(n, t))
    y = y + rng.normal(size=(n, 1)) + rng.normal(size=(1, t))
    columns = (y, x, capital, firms)
    cells = [
        ",".join([f"r{i:02d}", f"第{i}区", str(2000 + j), *(repr(float(c[i, j])) for c in columns)])
        for i in range(n)
        for j in range(t)
    ]
    head = "region,name,year,y,x,capital,firms"
    (folder / "table.csv").write_text("\n".join([head, *cells]) + "\n", encoding="utf-8")
    pairs = [f"r{i:02d},r{j:02d},{float(links[i, j])!r}" for i, j in np.argwhere(links > 0)]
    (folder / "links.csv").write_text("\n".join(["focal,neighbor,weight", *pairs]) + "\n", encoding="utf-8")
    (folder / "study.toml").write_text(PLANTED, encoding="utf-8")
    return run_study(folder / "study.toml")


def test_backwash_and_an_inverted_u_are_found_and_told(planted: StudyResult, tmp_path: Path) -> None:
    found = planted.mechanisms
    assert found is not None
    rows = {row["term"]: row for row in found.effects}
    drawn = rows["spillover: capital allocation"]
    assert drawn["conf_high"] < 0
    assert drawn["conf_low"] <= -0.48 <= drawn["conf_high"]  # .8 · (−.6)
    (turn,) = found.turning_points
    assert turn["shape"] == "inverted U"
    assert abs(turn["point"] - 1.5) < 3 * turn["std_error"]
    assert turn["p_value"] < 0.001
    page = unescape(write_report(planted, tmp_path / "out").read_text(encoding="utf-8"))
    assert "It draws from the neighbours (finance moves to where it earns most, from somewhere)." in page
    assert f"competition helps up to {turn['point']:.4g} and hurts beyond it (p < 0.001)." in page
    told = next(sentence for sentence in found.sentences if sentence.startswith("Competition: "))
    # firms ~ N(1.5, .6² · 2 + .8²): at the mean the curve is flat, ± 1.28 · 1.17 = 1.5 away its slope is ∓ 1.2
    assert told.startswith("Competition: no visible effect at home")
    low, high = (float(text.replace("−", "-")) for text in re.findall(r"\((−?[\d.]+), [19]0 % quantile\): ", told))
    assert (low, high) == pytest.approx((0.0, 3.0), abs=0.15)
    first, second = told.partition("Where it is high")[0].partition("Where it is low")[2], told.partition("high")[2]
    assert "raises it at home" in first
    assert "lowers it at home" in second
    assert "高技术产业集聚" in page
