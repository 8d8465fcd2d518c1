"""Effects of groups and segments from a study file and from the command line, equal to the Python interface."""

import json
from pathlib import Path
from typing import Any

import pytest
from grid_study import STUDY, write_study

import spillover as so
from spillover import cli
from spillover.study.check import check_study
from spillover.study.run import run_study
from spillover.weights.groups import within_groups

WITHIN = STUDY.replace('kind = "queen"', 'kind = "queen"\nwithin = "country"', 1)
GROUPED = WITHIN.replace(
    "main = true",
    'main = true\ngroups = "country"\n\n[models.segments]\n'
    '2011 = "before"\n2012 = "before"\n2013 = "after"\n2014 = "after"\n2015 = "after"',
    1,
)


def test_a_study_with_country_year_effects_equals_the_fit(tmp_path: Path) -> None:
    path = write_study(tmp_path, GROUPED)
    assert check_study(path).problems == ()
    result = run_study(path)
    model = result.model("SDM")
    assert (model.groups, model.segments, model.effects) == ("country", True, "two-way")
    assert model.statistics["n_groups"] == 2
    assert model.statistics["n_segments"] == 2
    assert any("2 groups (regions): C0 18, C1 12." in note for note in model.notes)
    panel = so.read_panel(
        tmp_path / "regions.csv", region="region", period="year", groups=["country"], geometry=tmp_path / "map.geojson"
    )
    quotient = panel["hti"] / panel["jobs"] / (panel["hti"].sum(axis=0) / panel["jobs"].sum(axis=0))
    panel = panel.with_variables({"lq": quotient, "patents_pc": 1e4 * panel["patents"] / panel["population"]})
    w = so.weights.contiguity.build_contiguity(panel, "queen")
    cut = within_groups(w, dict(zip(panel.regions, panel.groups["country"], strict=True)))
    formula = "log(patents_pc) ~ log(lq) + log(rd)"
    fit = so.fit(formula, panel, cut, groups="country", segments=("b", "b", "a", "a", "a"))
    # JSON has 17 digits; the study's quotient is computed in another order.
    found = [row["estimate"] for row in model.coefficients]
    assert found == pytest.approx(list(fit.estimates.values), rel=1e-8)
    assert [row["std_error"] for row in model.coefficients] == pytest.approx(list(fit.estimates.std_errors), rel=1e-7)


@pytest.mark.parametrize(
    ("study", "said"),
    [
        (GROUPED.replace('groups = "country"', 'groups = "county"'), "'county' is not in [data] groups"),
        (WITHIN.replace('within = "country"', 'within = "macro"'), "'macro' is not in [data] groups"),
        (
            STUDY.replace("main = true", 'main = true\ncovariance = "cluster-group"'),
            'covariance = "cluster-group" needs groups',
        ),
        (GROUPED.replace("main = true", 'main = true\neffects = "time"'), "segments are for region effects"),
        (GROUPED.replace('2015 = "after"', ""), "some periods have no segment"),
        (
            STUDY.replace("main = true", 'main = true\ngroups = "country"'),
            'use within = "…" for this W, which cuts them',
        ),
    ],
)
def test_what_is_wrong_with_groups_is_found_before_the_run(study: str, said: str, tmp_path: Path) -> None:
    problems = check_study(write_study(tmp_path, study)).problems
    assert any(said in problem for problem in problems), problems


def leave(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    return int(left.value.code or 0)


def test_groups_on_the_command_line(capsys: Any, tmp_path: Path) -> None:
    write_study(tmp_path)
    formula = "log(patents) ~ log(hti) + log(rd)"
    arguments = ["fit", formula, "--data", str(tmp_path / "regions.csv"), "--region", "region", "--period", "year"]
    arguments += ["--weights", str(tmp_path / "map.geojson"), "--weights-kind", "rook", "--groups", "country"]
    assert leave(arguments) == 2
    assert "use --within COLUMN, which cuts them" in capsys.readouterr().err
    assert leave([*arguments, "--within", "country", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["statistics"]["n_groups"] == 2
    assert found["statistics"]["effects"] == "region and country × period"
    panel = so.read_panel(
        tmp_path / "regions.csv", region="region", period="year", groups=["country"], geometry=tmp_path / "map.geojson"
    )
    w = so.weights.contiguity.build_contiguity(panel, "rook")
    cut = within_groups(w, dict(zip(panel.regions, panel.groups["country"], strict=True)))
    fit = so.fit(formula, panel, cut, groups="country")
    assert [row["estimate"] for row in found["coefficients"]] == pytest.approx(list(fit.estimates.values), rel=1e-12)
    assert leave([*arguments, "--within", "country", "--effects", "random"]) == 2
    assert "maximum likelihood" in capsys.readouterr().err
