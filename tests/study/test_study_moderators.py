"""[moderators] in a study file: checked with the rest, equal to the Python interface, shown in the report."""

from __future__ import annotations

import csv
import io
import json
import math
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from grid_study import STUDY, write_study

import spillover as so
from simulated import lattice, row_standardised
from spillover import cli
from spillover.errors import EstimationError
from spillover.report.moderators import bands, moderations, round_values
from spillover.report.write import write_report
from spillover.study.check import check_study
from spillover.study.result import StudyResult
from spillover.study.run import run_study

WITH = (
    STUDY
    + """
[[derive]]
name = "rd_share"
expression = "rd / population"

[[derive]]
name = "level"
expression = "0 * rd + 2"

[moderators]

[[moderators.interactions]]
name = "研发 <b>"
moderator = "log(rd_share)"

[[moderators.interactions]]
name = "nearness"
linkage = "near"

[moderators.environment]
parts = {policy = "rd", infrastructure = "jobs", culture = "population"}

[[moderators.thresholds]]
name = "R&D per head"
variable = "rd_share"
draws = 99

[[moderators.strengths]]
name = "R&D per head in 2011"
moderator = "log(rd_share)"
base = 2011
"""
)
INTERACTION = """
[moderators]

[[moderators.interactions]]
name = "z"
moderator = "log(rd_share)"
"""
FORMULA = "log(patents_pc) ~ log(lq) + log(rd)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def result(folder: Path) -> StudyResult:
    path = write_study(folder, WITH)
    report = check_study(path)
    assert report.problems == ()
    assert any("moderators: 研发 <b>, nearness, environment, threshold in R&D per head" in f for f in report.facts)
    return run_study(path)


@pytest.fixture(scope="module")
def panel(folder: Path, result: StudyResult) -> so.Panel:
    read = so.read_panel(folder / "regions.csv", region="region", period="year", geometry=folder / "map.geojson")
    lq = next(measure for measure in result.measures if measure.name == "lq")
    made = {"patents_pc": 1e4 * read["patents"] / read["population"], "rd_share": read["rd"] / read["population"]}
    return read.with_variables({**made, "lq": lq.values})


def test_interactions_equal_the_python_interface(result: StudyResult, panel: so.Panel) -> None:
    assert result.moderators is not None
    w, near = so.weights.build_contiguity(panel), so.weights.build_knn(panel, 4)
    shared = {"treatment": "log(lq)"}
    by_hand = (
        so.moderate(FORMULA, panel, w, moderators={"z": "log(rd_share)"}, **shared),
        so.moderate(FORMULA, panel, w, pairs={"z": near}, **shared),
    )
    for found, expected in zip(result.moderators.interactions, by_hand, strict=True):
        rows = expected.effects(seed=7)
        for key in ("estimate", "std_error", "band_low", "value"):
            assert [row[key] for row in found.effects] == pytest.approx(list(rows[key]), rel=1e-8)
        assert found.p_value == pytest.approx(expected.hypothesis_tests()[-1].p_value, rel=1e-8)
    # Holm over three moderators, none below a third of .05 here: every adjusted p is at least the plain one
    environment = result.moderators.environment
    assert environment is not None
    looked_at = (*result.moderators.interactions, environment.index)
    assert max(each.p_adjusted or 0.0 for each in looked_at) == pytest.approx(
        min(1.0, max(3.0 * min(each.p_value or 1.0 for each in looked_at), max(e.p_value or 0.0 for e in looked_at)))
    )


def test_environment_threshold_and_strength_equal_the_python_interface(result: StudyResult, panel: so.Panel) -> None:
    assert result.moderators is not None
    w = so.weights.build_contiguity(panel)
    parts = {"policy": "rd", "infrastructure": "jobs", "culture": "population"}
    environment = so.moderate_environment(FORMULA, panel, w, treatment="log(lq)", parts=parts)
    found = result.moderators.environment
    assert found is not None
    assert [each.name for each in found.parts] == list(parts)
    expected = environment.together.effects(seed=7)
    assert [row["estimate"] for row in found.index.effects] == pytest.approx(list(expected["estimate"]), rel=1e-8)
    assert [row["p_value"] for row in found.tests] == pytest.approx(
        [test.p_value for test in environment.hypothesis_tests()], rel=1e-8
    )
    split = so.fit_threshold(
        FORMULA, panel, w, threshold={"q": "rd_share"}, switching=("log(lq)", "W*log(lq)"), draws=99, seed=7,
        with_level=True,
        centred=True,
    )  # fmt: skip
    (threshold,) = result.moderators.thresholds
    assert threshold.profiles[0].value == split.thresholds[0].value
    assert threshold.tests[0]["p_value"] == split.threshold_tests[0].test.p_value
    assert threshold.counts == split.counts
    strength = so.fit_moderated_rho(FORMULA, panel, w, moderators={"z": "log(rd_share)"}, base=2011)
    (moved,) = result.moderators.strengths
    assert [row["estimate"] for row in moved.coefficients] == pytest.approx(list(strength.estimates.values), rel=1e-8)


def test_sentences_say_where_an_effect_can_be_told_from_zero(result: StudyResult) -> None:
    """Against the band itself: the sentence names the end of the stretch in which the band excludes zero."""
    assert result.moderators is not None
    for found in moderations(result.moderators):
        for curve in found.curves:
            sure = [row for row in curve.ranges if row["kind"] == "simultaneous"]
            outside = [low > 0 or high < 0 for low, high in zip(curve.band_low, curve.band_high, strict=True)]
            if not sure:
                assert not any(outside)
                assert "at no value of" in curve.sentence
            elif all(outside):
                assert "at every value of" in curve.sentence
            else:
                assert "cannot be told from zero" in curve.sentence
                share = sum(row["share"] for row in sure)
                assert 0 < share < 1
            ends = (found.curves[0].values[0], found.curves[0].values[-1])
            assert found.quantiles[0] == pytest.approx(ends[0])
            assert found.quantiles[-1] == pytest.approx(ends[1])
    assert any("clustered by 30 regions, which are few" in limit for limit in result.moderators.limits)
    (threshold,) = result.moderators.thresholds
    assert threshold.supported == 0
    assert "No threshold in R&D per head is supported" in threshold.sentences[0]


def test_the_report_shows_the_moderators(result: StudyResult, tmp_path: Path) -> None:
    assert result.moderators is not None
    assert StudyResult.from_json(result.to_json()) == result
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="moderators"' in page
    assert "研发 &lt;b&gt;" in page
    assert "研发 <b>" not in page
    text = unescape(page)
    for found in moderations(result.moderators):
        for sentence in found.sentences:
            assert sentence.partition(":")[2].strip() in text
    for limit in result.moderators.limits:
        assert limit in text
    assert "Econometrica 68: 575" in text
    assert "Psychometrika 15: 349" in text
    for name in ("moderation-0", "moderation-2", "threshold-0", "strength-0"):
        assert (tmp_path / "out" / "figures" / f"{name}.svg").stat().st_size > 1000
    with io.StringIO((tmp_path / "out" / "tables" / "strengths.csv").read_text(encoding="utf-8-sig")) as stream:
        rows = list(csv.DictReader(stream))
    assert [row["region"] for row in rows] == list(result.panel.regions)
    # a moderator in logarithms is drawn without them
    drawn = bands(result.moderators.interactions[0])[0]
    assert drawn.x[0] == pytest.approx(math.exp(result.moderators.interactions[0].curves[0].values[0]))


def test_round_values_are_round_and_inside() -> None:
    assert round_values(0.3, 40.0) == (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
    for low, high in ((1.13, 18.2), (0.0989, 0.222), (21.3, 5905.0), (0.19, 6.83), (3e-5, 7e-4), (1.0, 1.0001)):
        values = round_values(low, high)
        assert 2 <= len(values) <= 6
        assert all(low <= value <= high for value in values)


def test_a_finding_among_many_moderators_says_so(tmp_path: Path) -> None:
    """One p below .05 and an adjusted one above: chance is not ruled out, and the page says it."""
    from spillover.study.moderation_values import _with_adjusted

    found = run_study(write_study(tmp_path, WITH[: WITH.index("[moderators]")] + INTERACTION)).moderators
    assert found is not None
    told = _with_adjusted(found.interactions[0].model_copy(update={"p_value": 0.03}), 0.12, 4)
    assert told.sentences[-1] == "One of 4 moderators looked at: adjusted for that, p = 0.120; it may be chance."
    clear = _with_adjusted(found.interactions[0].model_copy(update={"p_value": 0.003}), 0.012, 4)
    assert clear.sentences == found.interactions[0].sentences


def add_rating(table: Path) -> None:
    """A column of three values: ties everywhere."""
    head, *lines = table.read_text(encoding="utf-8").splitlines()
    rated = [f"{line},{1 + i % 3}" for i, line in enumerate(lines)]
    table.write_text("\n".join([f"{head},rating", *rated]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'name = "研发 <b>"\nmoderator = "log(rd_share)"',
            'name = "研发 <b>"\nmoderator = "log(rd_shar)"',
            "[moderators]: 'rd_shar' is not in",
        ),
        (
            'linkage = "near"',
            'linkage = "far"',
            "[[moderators.interactions]] 'nearness' linkage: 'far' is not in [[weights]]",
        ),
        ('linkage = "near"', 'linkage = "near"\nmoderator = "rd"', "one of the two"),
        ('linkage = "near"', 'moderator = "level"', "'nearness': the moderator 'nearness' is the same everywhere"),
        ('linkage = "near"', 'moderator = "log(rd"', "[moderators]: "),
        (
            'linkage = "near"',
            'moderator = "log(patents)"',
            "[[moderators.interactions]] 'nearness': patents is part of the moderator and of the outcome",
        ),
        (
            "[moderators]\n",
            '[moderators]\noutcome = "log(innovation_index)"\n',
            "rd is part of the moderator and of the outcome",
        ),
        ('name = "nearness"', 'name = "研发 <b>"', "is used 2 times"),
        ('name = "nearness"', 'name = "log(rd)"', "has the name of a regressor that is another variable"),
        ('culture = "population"', 'culture = "population - 1e9"', "is not positive everywhere"),
        (', infrastructure = "jobs", culture = "population"', "", "parts needs two or more"),
        ('variable = "rd_share"', 'variable = "level"', "the moderator 'R&D per head' is the same everywhere"),
        ('variable = "rd_share"', 'variable = "rating"', "too few distinct values"),
        ('variable = "rd_share"', 'variable = "rd_share"\ntrim = 0.7', "expected a share from 0.01 to 0.4"),
        (
            'variable = "rd_share"',
            'variable = "rd_share"\nswitching = ["W*log(population)"]',
            "is to switch but is not",
        ),
        ('variable = "rd_share"', 'variable = "rd_share"\nbootstrap = "period"', "ten periods or more"),
        ("draws = 99", "draws = 20", "expected 99 or more"),
        ("draws = 99", "draws = 1000000000", "expected 100000 or less"),
        ("base = 2011\n", "", "changes over time"),
        ("base = 2011\n", "base = 1999\n", "1999"),
        ("[moderators]\n", '[moderators]\nweights = "far"\n', "[moderators] weights: 'far' is not in [[weights]]"),
        ("[moderators]\n", '[moderators]\nmodel = "ols"\n', "a linkage moderates W x, and an ols model has none"),
        ("[moderators]\n", '[moderators]\ncovariance = "conley"\n', "needs cutoff_km"),
        ("[moderators]\n", '[moderators]\nsides = "both"\n', "unknown key 'sides'"),
        (
            "[moderators]\n",
            '[moderators]\ntreatment = "log(population)"\nperiods = [2011]\n',
            "need at least two periods",
        ),
    ],
)
def test_what_is_wrong_is_found_before_the_run(old: str, new: str, said: str, tmp_path: Path) -> None:
    study = WITH.replace(old, new, 1)
    assert study != WITH
    path = write_study(tmp_path, study)
    add_rating(tmp_path / "regions.csv")
    problems = check_study(path).problems
    assert any(said in problem for problem in problems), problems


def test_a_study_without_the_section_has_no_moderators(tmp_path: Path) -> None:
    result = run_study(write_study(tmp_path, STUDY))
    assert result.moderators is None
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="moderators"' not in page


@pytest.mark.parametrize("model", ["ols", "sar", "slx"])
def test_other_models_tell_what_they_have(model: str, tmp_path: Path) -> None:
    """Without W there is no spillover to moderate: no curve of zeros, and a page all the same."""
    study = WITH.replace("[moderators]\n", f'[moderators]\nmodel = "{model}"\n')
    study = study.replace('[[moderators.interactions]]\nname = "nearness"\nlinkage = "near"\n\n', "")
    result = run_study(write_study(tmp_path, study))
    assert result.moderators is not None
    (found,) = result.moderators.interactions
    curves = [curve.effect for curve in found.curves]
    assert curves == (["direct", "total"] if model == "ols" else ["direct", "indirect", "total"])
    assert found.side == ("both" if model == "slx" else "none")
    needs = f"A strength of the feedback needs W y: this model is sdm, the others are {model}."
    assert (needs in result.moderators.strengths[0].notes) is (model != "sar")
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert ("Next door, by 研发" in page) is (model != "ols")


def test_an_empty_section_is_told(tmp_path: Path) -> None:
    problems = check_study(write_study(tmp_path, STUDY + "\n[moderators]\n")).problems
    assert any("[moderators] needs [[moderators.interactions]]" in problem for problem in problems)


EXPLOSIVE = """
audit = false

[study]
title = "Feedback that explodes"

[data]
table = "table.csv"
region = "region"
period = "year"

[agglomeration]
measure = "column"
column = "x"

[innovation]
column = "y"

[[weights]]
name = "W"
kind = "file"
file = "links.csv"

[[models]]
name = "SLX"
formula = "y ~ x"
model = "slx"

[moderators]
model = "sar"

[[moderators.strengths]]
name = "half"
moderator = "z"
"""


def test_a_strength_that_leaves_the_stable_region_stops_the_run_before_anything_is_written(tmp_path: Path) -> None:
    """ρ_i = 2 in one half of an 8 × 6 lattice, .2 in the other: S is invertible, but the feedback explodes."""
    links = row_standardised(lattice(8, 6, queen=True)).toarray()
    rng = np.random.default_rng(3)
    z = np.repeat([0.0, 1.0], 24)
    y = np.linalg.solve(np.eye(48) - np.diag(np.where(z > 0, 2.0, 0.2)) @ links, 0.3 * rng.normal(size=(48, 30)))
    x = rng.normal(size=(48, 30))
    cells = [f"r{i:02d},{2000 + t},{float(y[i, t])!r},{float(x[i, t])!r},{z[i]}" for i in range(48) for t in range(30)]
    (tmp_path / "table.csv").write_text("\n".join(["region,year,y,x,z", *cells]) + "\n", encoding="utf-8")
    pairs = [f"r{i:02d},r{j:02d},{float(links[i, j])!r}" for i, j in np.argwhere(links > 0)]
    (tmp_path / "links.csv").write_text("\n".join(["focal,neighbor,weight", *pairs]) + "\n", encoding="utf-8")
    (tmp_path / "study.toml").write_text(EXPLOSIVE, encoding="utf-8")
    assert check_study(tmp_path / "study.toml").problems == ()
    with pytest.raises(EstimationError, match=r"\[\[moderators.strengths\]\] 'half': "):
        run_study(tmp_path / "study.toml", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_line_tells_the_same(result: StudyResult, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert result.moderators is not None
    with pytest.raises(SystemExit) as leave:
        cli.main(["moderate", str(folder / "study.toml")])
    assert not leave.value.code
    shown = capsys.readouterr().out
    for found in moderations(result.moderators):
        assert all(sentence in shown for sentence in found.sentences[:2])
    with pytest.raises(SystemExit) as leave:
        cli.main(["moderate", str(folder / "study.toml"), "--format", "json"])
    assert not leave.value.code
    assert json.loads(capsys.readouterr().out) == result.moderators.model_dump(mode="json")


def test_the_command_line_refuses_a_study_without_the_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leave:
        cli.main(["moderate", str(write_study(tmp_path, STUDY))])
    assert leave.value.code == 2
    assert "has no section [moderators]" in capsys.readouterr().err


def test_one_mistake_is_told_once(tmp_path: Path) -> None:
    """The part with the mistake is left out; that it is then missing is no second mistake."""
    part = '[moderators]\n[[moderators.thresholds]]\nname = "q"\nvariable = "rd"\nthresholds = 5\n'
    (problem,) = check_study(write_study(tmp_path, STUDY + part)).problems
    assert problem == "[moderators] thresholds.1.thresholds = 5: expected one of 1, 2, 3"
