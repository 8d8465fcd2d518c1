"""[mechanisms] in a study file: checked with the rest, equal to the Python interface, shown in the report."""

from __future__ import annotations

import csv
import io
from html import unescape
from pathlib import Path

import pytest
from grid_study import STUDY, write_study

import spillover as so
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
