"""A whole study on a small grid: every step, the same numbers again, and the misuse of each part."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from grid_study import COLUMNS, PERIODS, ROWS, STUDY, write_study

from spillover.errors import (
    AlignmentError,
    MissingCellError,
    OptionError,
    OutputError,
    SpilloverError,
    UnknownColumnError,
)
from spillover.study.check import check_study
from spillover.study.demo import demo_study, truth_rows
from spillover.study.estimate import restrict
from spillover.study.load import load_study
from spillover.study.phrasing import phrase
from spillover.study.provenance import created, hash_file, hash_weights
from spillover.study.result import StudyResult
from spillover.study.rows import plain
from spillover.study.run import prepare, run_study

N = ROWS * COLUMNS


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run_study(write_study(tmp_path_factory.mktemp("study")))


def test_every_step_is_in_the_result(result: StudyResult) -> None:
    assert result.panel.regions == tuple(f"R{r}{c}" for r in range(ROWS) for c in range(COLUMNS))
    assert result.panel.names[:2] == ("<b>Łódź</b>", "北京")
    assert result.panel.geometry is not None
    assert len(result.panel.geometry["features"]) == N
    assert [w.name for w in result.weights] == ["queen", "near"]
    assert [(m.name, m.role) for m in result.measures] == [
        ("lq", "agglomeration"),
        ("patents_pc", "innovation"),
        ("innovation_index", "innovation"),
    ]
    assert result.index is not None
    # Weights of an index sum to one by definition.
    assert math.isclose(sum(row["weight"] for row in result.index.weights), 1.0, rel_tol=1e-12)
    # Moran's I of three measures, in levels and within, in five years.
    assert len(result.diagnostics.moran) == 3 * 2 * len(PERIODS)
    assert [m.name for m in result.models] == ["SDM", "OLS", "SLX, later years"]
    assert result.main == "SDM"
    assert result.model().covariance == "cluster"
    assert result.regional is not None
    assert len(result.regional.received) == N


def test_mean_received_is_the_indirect_effect(result: StudyResult) -> None:
    # By definition the average indirect effect is the mean over regions of what they receive (LeSage & Pace 2009, 2.7).
    row = next(r for r in result.model().impacts if r["variable"] == "log(lq)" and r["effect"] == "indirect")
    assert result.regional is not None
    assert math.isclose(np.mean(result.regional.received), row["estimate"], rel_tol=1e-9)  # rounding only
    assert math.isclose(np.mean(result.regional.emitted), row["estimate"], rel_tol=1e-9)


def test_lagged_and_periods_of_one_model(result: StudyResult) -> None:
    model = result.model("SLX, later years")
    assert [row["term"] for row in model.coefficients] == ["log(lq)", "log(rd)", "W*log(lq)"]
    assert model.statistics["n_periods"] == 4
    assert any("2012, 2013, 2014, 2015" in note for note in model.notes)


def test_the_location_quotient_is_the_one_of_the_table(result: StudyResult, tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(write_study(tmp_path).parent / "regions.csv")
    year = table[table["year"] == 2013].set_index("region").sort_index()
    # Isard's definition, written out here independently of the package.
    expected = (year["hti"] / year["jobs"]) / (year["hti"].sum() / year["jobs"].sum())
    values = [row[2] for row in result.measures[0].values]
    np.testing.assert_allclose(values, expected, rtol=1e-12)  # the same arithmetic in another order


def test_the_result_survives_json_and_holds_no_nan(result: StudyResult) -> None:
    text = result.to_json()
    assert StudyResult.from_json(text) == result
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


def test_the_same_file_gives_the_same_numbers(
    result: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    again = run_study(write_study(tmp_path))
    # 1 700 000 000 s after 1970-01-01 is 2023-11-14 22:13:20 UTC.
    assert again.provenance.created == "2023-11-14T22:13:20+00:00"
    assert again.model_copy(update={"provenance": result.provenance}) == result
    assert again.provenance.hashes == result.provenance.hashes


def test_the_order_of_rows_changes_nothing(result: StudyResult, tmp_path: Path) -> None:
    path = write_study(tmp_path)
    head, *rows = (tmp_path / "regions.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "regions.csv").write_text("\n".join([head, *reversed(rows)]), encoding="utf-8")
    again = run_study(path)
    assert again.model().coefficients == result.model().coefficients


def test_another_seed_changes_only_what_is_random(result: StudyResult, tmp_path: Path) -> None:
    again = run_study(write_study(tmp_path), seed=8)
    assert again.provenance.seed == 8
    assert again.models == result.models
    permuted = [row["p_permutation"] for row in again.diagnostics.moran]
    assert permuted != [row["p_permutation"] for row in result.diagnostics.moran]


def test_out_holds_the_result_and_the_study_as_run(tmp_path: Path) -> None:
    result = run_study(write_study(tmp_path), out=tmp_path / "out")
    assert StudyResult.from_json((tmp_path / "out" / "results.json").read_text(encoding="utf-8")) == result
    assert (tmp_path / "out" / "study.toml").read_text(encoding="utf-8") == STUDY.replace(
        '"regions.csv"', '"../regions.csv"'
    ).replace('"map.geojson"', '"../map.geojson"')


def test_an_output_folder_that_cannot_be_is_found_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        run_study(tmp_path / "no such study.toml", out=tmp_path / "file" / "out")


def test_progress_goes_up_and_ends_at_one(tmp_path: Path) -> None:
    shares: list[float] = []
    run_study(write_study(tmp_path), progress=lambda text, share: shares.append(share))
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0


# -- bad data -------------------------------------------------------------------------------------


def test_a_missing_row_is_an_error_that_names_it_and_is_never_filled(tmp_path: Path) -> None:
    path = write_study(tmp_path, drop=("R23", 2013))
    with pytest.raises(MissingCellError, match="R23 in 2013"):
        run_study(path)


def test_dropping_by_name_is_recorded(tmp_path: Path) -> None:
    study = STUDY.replace("[[derive]]", 'missing = "drop-regions"\n\n[[derive]]', 1).replace(
        'geometry = "map.geojson"\n\nmissing', 'geometry = "map.geojson"\nmissing'
    )
    result = run_study(write_study(tmp_path, study, drop=("R23", 2013)))
    assert len(result.panel.regions) == N - 1
    assert any("R23" in line for line in result.panel.log)


def test_an_unknown_region_to_leave_out_is_named(tmp_path: Path) -> None:
    study = STUDY.replace('region = "region"\n', 'region = "region"\nexclude = ["R99"]\n')
    with pytest.raises(AlignmentError, match="R99"):
        run_study(write_study(tmp_path, study))


def test_an_error_of_a_model_names_the_model(tmp_path: Path) -> None:
    study = STUDY.replace("periods = [2012, 2013, 2014, 2015]", "periods = [2012, 2030]")
    with pytest.raises(UnknownColumnError, match="model 'SLX, later years': periods that are not in the panel"):
        run_study(write_study(tmp_path, study))


def test_check_finds_the_problems_of_all_steps_together(tmp_path: Path) -> None:
    study = STUDY.replace('kind = "queen"', 'kind = "distance-band"\nthreshold_km = 1').replace(
        "periods = [2012, 2013, 2014, 2015]", "periods = [2012, 2030]"
    )
    study = study.replace("log(patents_pc) ~ log(lq) + log(rd)", "log(patents_pc) ~ log(lq) + log(rd - 60)", 1)
    report = check_study(write_study(tmp_path, study))
    text = "\n".join(report.problems)
    assert "[[weights]] 'queen'" in text
    assert "islands" in text
    assert "[[models]] 'SDM' log(rd - 60)" in text
    assert "2030" in text
    assert len(report.problems) == 3


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("main = true", "main = true", ""),
        ("log(rd)", "log(rd) + area", "the regressor 'area' is a sum of a region part"),
        ("log(rd)", "log(rd) + log(rd ** 2)", "exact combinations of others"),
        ('period = "year"', 'period = "year"\nperiods = [2012]', "need at least two periods"),
        ('period = "year"', 'period = "year"\nregions = ["R00", "R01", "R10", "R11", "R02"]', "too few regions"),
        ("main = true", "main = true\nlagged = []", "no lagged regressor"),
    ],
)
def test_check_sees_what_a_model_cannot_estimate(tmp_path: Path, old: str, new: str, expected: str) -> None:
    study = STUDY.replace(
        "[agglomeration]", '[[derive]]\nname = "area"\nexpression = "0 * patents + 7"\n\n[agglomeration]'
    )
    study = study.split('[[models]]\nname = "OLS"')[0].replace(
        'name = "near"\nkind = "knn"\nk = 4', 'name = "near"\nkind = "rook"'
    )
    problems = "\n".join(check_study(write_study(tmp_path, study.replace(old, new))).problems)
    assert expected in problems


def test_check_of_a_good_study_finds_nothing(tmp_path: Path) -> None:
    report = check_study(write_study(tmp_path))
    assert report.problems == ()
    assert report.facts[0] == "30 regions, 5 periods (2011–2015)"
    report.raise_problems()


# -- weights of a study ---------------------------------------------------------------------------


def write_weights(folder: Path, regions: list[str], weight: float = 1.0) -> None:
    """A ring: every region is linked with the next."""
    pairs = zip(regions, regions[1:] + regions[:1], strict=True)
    lines = [f"{a},{b},{weight}\n{b},{a},{weight}" for a, b in pairs]
    (folder / "w.csv").write_text("focal,neighbor,weight\n" + "\n".join(lines), encoding="utf-8")


REGIONS = [f"R{r}{c}" for r in range(ROWS) for c in range(COLUMNS)]
FILE_STUDY = STUDY.replace('kind = "queen"', 'kind = "file"\nfile = "w.csv"')


def test_weights_from_a_file_may_not_have_unknown_regions(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY)
    write_weights(tmp_path, [*REGIONS, "X1"])
    with pytest.raises(AlignmentError, match="only in W: X1"):
        run_study(path)


def test_weights_of_regions_that_the_study_left_out_are_restricted_and_say_so(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY.replace('region = "region"\n', 'region = "region"\nexclude = ["R00"]\n'))
    write_weights(tmp_path, REGIONS)
    prepared = prepare(load_study(path, {}).config)
    assert "R00" not in prepared.weights["queen"].regions
    assert any("29 of 30" in note for note in prepared.weights["queen"].notes)


def test_a_model_on_more_regions_than_its_weights_says_which_to_leave_out(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY)
    write_weights(tmp_path, REGIONS[:-1])
    study = load_study(path, {})
    prepared = prepare(study.config)
    with pytest.raises(AlignmentError, match=r"exclude = \['R45'\]"):
        restrict(study.config.models[0], prepared.panel, prepared.weights["queen"])
    fixed = study.config.models[0].model_copy(update={"exclude": ("R45",)})
    panel, weights = restrict(fixed, prepared.panel, prepared.weights["queen"])
    assert weights is not None
    assert weights.regions == panel.regions


def test_distances_from_a_file_become_weights(tmp_path: Path) -> None:
    study = STUDY.replace('kind = "queen"', 'kind = "distance-file"\nfile = "w.csv"\npower = 2\nstandardise = "none"')
    path = write_study(tmp_path, study)
    write_weights(tmp_path, REGIONS, weight=4.0)
    found = prepare(load_study(path, {}).config).weights["queen"]
    # 4 to the power −2 is 1/16 for every one of the 60 links of the ring.
    assert found.matrix.nnz == 60
    np.testing.assert_allclose(found.matrix.data, 1 / 16, rtol=1e-15)


def write_line(folder: Path, regions: list[str]) -> None:
    """A chain with every pair listed once."""
    lines = [f"{a},{b},1" for a, b in pairwise(regions)]
    (folder / "w.csv").write_text("focal,neighbor,weight\n" + "\n".join(lines), encoding="utf-8")


def test_pairs_listed_once_are_read_both_ways(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY.replace('file = "w.csv"', 'file = "w.csv"\nboth_ways = true'))
    write_line(tmp_path, REGIONS)
    assert prepare(load_study(path, {}).config).weights["queen"].matrix.nnz == 2 * (N - 1)


def test_pairs_listed_once_are_told_with_the_key_of_the_study_file(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY)
    write_line(tmp_path, REGIONS)
    report = check_study(path)
    assert len([text for text in report.problems if "listed one way only" in text]) == 1
    text = " ".join(report.problems)
    assert "both_ways = true" in text
    assert 'islands = "nearest"' in text
    assert "both_ways=True" not in text


def test_check_sees_that_a_kept_island_does_not_go_with_the_model(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY.replace('file = "w.csv"', 'file = "w.csv"\nislands = "keep"'))
    write_weights(tmp_path, REGIONS[:-1])
    report = check_study(path)
    assert [text for text in report.problems if "[[models]] 'SDM'" in text and "rows sum to one" in text]
    assert "R45" in " ".join(report.problems)
    with pytest.raises(OptionError, match='islands = "nearest"'):
        run_study(path)


def test_check_sees_that_unscaled_weights_do_not_go_with_the_model(tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.replace('kind = "queen"', 'kind = "queen"\nstandardise = "none"'))
    assert 'standardise = "row"' in " ".join(check_study(path).problems)


@pytest.mark.parametrize("policy", ["nearest", "drop"])
def test_what_check_finds_fine_after_dropping_regions_runs(tmp_path: Path, policy: str) -> None:
    # Dropping R01 for its missing cell leaves R00 at the end of the chain without a neighbour.
    study = FILE_STUDY.replace('period = "year"', 'period = "year"\nmissing = "drop-regions"')
    study = study.replace('file = "w.csv"', f'file = "w.csv"\nboth_ways = true\nislands = "{policy}"')
    path = write_study(tmp_path, study, drop=("R01", 2013))
    write_line(tmp_path, REGIONS)
    report = check_study(path)
    assert report.problems == ()
    result = run_study(path)
    gone = {"R01"} if policy == "nearest" else {"R00", "R01"}
    assert set(result.panel.regions) == set(REGIONS) - gone
    if policy == "nearest":
        assert ["R00", "R10", "nearest"] in result.weights[0].facts["added"] or ["R00", "R02", "nearest"] in (
            result.weights[0].facts["added"]
        )


def test_regions_left_out_of_one_model_leave_no_island_behind(tmp_path: Path) -> None:
    study = FILE_STUDY.replace('file = "w.csv"', 'file = "w.csv"\nboth_ways = true\nislands = "nearest"')
    path = write_study(tmp_path, study.replace("main = true", 'exclude = ["R01"]\nmain = true'))
    write_line(tmp_path, REGIONS)
    assert check_study(path).problems == ()
    assert run_study(path).model().statistics["n_regions"] == N - 1


def test_check_sees_a_lag_that_reaches_before_the_first_period(tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.replace("log(lq) + log(rd)", "log(lq) + lag(rd, 1)", 1))
    problems = check_study(path).problems
    assert len(problems) == 1
    assert "[[models]] 'SDM' lag(rd, 1)" in problems[0]
    assert "2011" in problems[0]
    with pytest.raises(MissingCellError, match="periods = "):
        run_study(path)


@pytest.mark.parametrize(
    ("python", "study", "command"),
    [
        ('islands="nearest"', 'islands = "nearest"', "--islands nearest"),
        ("use effects='none' here", 'use effects = "none" here', "use --effects none here"),
        ("with geometry_id=…", "with geometry_id = …", "with --geometry-id …"),
        ('use weights.standardise("row")', 'use standardise = "row"', "use --standardise row"),
        ("log(x)=1 is no option", "log(x)=1 is no option", "log(x)=1 is no option"),
    ],
)
def test_messages_name_what_the_user_can_write(python: str, study: str, command: str) -> None:
    assert phrase(python, "study file") == study
    assert phrase(python, "command line") == command


# -- parts ----------------------------------------------------------------------------------------


def test_hashes_tell_files_and_weights_apart(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "a").write_bytes(b"spillover")
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"spillover").hexdigest()[:16]
    weights = prepare(load_study(write_study(tmp_path), {}).config).weights
    assert hash_weights(weights["queen"]) != hash_weights(weights["near"])
    assert hash_weights(weights["queen"]) == hash_weights(weights["queen"].align(weights["queen"].regions))


def test_a_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(SpilloverError, match="SOURCE_DATE_EPOCH"):
        created()


def test_plain_values_have_no_nan() -> None:
    assert plain({"a": [np.float64("nan"), np.int64(1), True, None, "x", float("inf")]}) == {
        "a": [None, 1, True, None, "x", None]
    }


def test_the_study_of_the_demo_is_the_recommended_one() -> None:
    config = demo_study(3)
    assert config.models[0].main
    assert config.models[0].model == "slx"
    assert config.study.seed == 3


def test_truth_rows_say_whether_the_interval_covers(result: StudyResult) -> None:
    class Known:
        direct, spillover, total = 0.0, 1e6, 0.0

    rows = truth_rows(result.model(), Known())  # type: ignore[arg-type]
    by_name = {row.quantity: row for row in rows}
    assert set(by_name) == {"direct effect", "indirect effect", "total effect"}
    assert not by_name["indirect effect"].covered
    direct = by_name["direct effect"]
    assert direct.covered == (direct.conf_low <= 0.0 <= direct.conf_high)


# -- other kinds of study -------------------------------------------------------------------------


def test_a_small_demo_has_truth_beside_its_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    from spillover.simulation.config import SystemConfig
    from spillover.study import demo

    small = SystemConfig(n_regions=60, n_periods=3, n_clusters=20, periphery=(0.1, 0.6), informal_decay_ratio=1.0)
    monkeypatch.setattr(demo, "demo_config", lambda: small)
    result = demo.run_demo(5)
    assert result.kind == "demo"
    assert result.panel.planar
    assert [row.quantity for row in result.truth] == ["direct effect", "indirect effect", "total effect"]
    # 333.2 patents at distance 0 per unit of HTI is the sum of the three channels; a region's own distance lowers it.
    assert 200.0 < result.truth[0].truth < 333.2
    assert StudyResult.from_json(result.to_json()) == result
    assert demo.run_demo(5).models == result.models


def test_a_study_without_a_map_uses_weights_from_a_file(tmp_path: Path) -> None:
    study = FILE_STUDY.replace('geometry = "map.geojson"\n', "").replace(
        'kind = "knn"\nk = 4', 'kind = "file"\nfile = "w.csv"'
    )
    path = write_study(tmp_path, study)
    write_weights(tmp_path, REGIONS)
    result = run_study(path)
    assert result.panel.geometry is None
    assert result.weights[0].facts["links"] == 2 * N


def test_a_cross_section_has_no_within_and_no_effects(tmp_path: Path) -> None:
    study = STUDY.replace('period = "year"\n', "").replace("main = true", 'effects = "none"\nmain = true')
    study = study.replace('model = "ols"', 'model = "ols"\neffects = "none"')
    study = study[: study.rindex("[[models]]")]
    path = write_study(tmp_path, study)
    head, *rows = (tmp_path / "regions.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "regions.csv").write_text("\n".join([head, *(r for r in rows if ",2013," in r)]), encoding="utf-8")
    result = run_study(path)
    assert {row["transform"] for row in result.diagnostics.moran} == {"level"}
    assert result.model().covariance == "information"
    assert any("cross-section" in caution for caution in result.cautions)


def write_industries(folder: Path) -> None:
    """Two industries, 30 and 70 jobs in every region but R00, which has 60 and 40."""
    lines = ["region,year,industry,jobs"]
    for region in REGIONS:
        for year in PERIODS:
            high = 60 if region == "R00" else 30
            lines += [f"{region},{year},26,{high}", f"{region},{year},10,{100 - high}"]
    (folder / "industries.csv").write_text("\n".join(lines), encoding="utf-8")


INDUSTRY = 'table = "industries.csv"\nindustry = "industry"\nvalue = "jobs"\nhigh_tech = ["26"]'


def test_a_quotient_from_a_table_by_industry(tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.replace('sector = "hti"\ntotal = "jobs"', INDUSTRY))
    write_industries(tmp_path)
    prepared = prepare(load_study(path, {}).config)
    # Share 0.6 in R00 over the share of all, (60 + 29 · 30) / 3000 = 0.31.
    np.testing.assert_allclose(prepared.panel["lq"][0], 0.6 / 0.31, rtol=1e-12)
    np.testing.assert_allclose(prepared.panel["lq"][1], 0.3 / 0.31, rtol=1e-12)


@pytest.mark.parametrize("source", ['sector = "hti"', INDUSTRY])
def test_a_density_measures_its_areas_on_the_map(tmp_path: Path, source: str) -> None:
    study = STUDY.replace('"location-quotient"', '"density"').replace('sector = "hti"\ntotal = "jobs"', source)
    path = write_study(tmp_path, study)
    write_industries(tmp_path)
    prepared = prepare(load_study(path, {}).config)
    # A cell of 0.5° × 0.5° at 45° north: (0.5 · 111.2 km) · (0.5 · 111.2 km · cos 45.25°) ≈ 2,180 km²; within 1 %, the
    # difference between the sphere and the ellipsoid.
    area = prepared.panel["area_km2"][0, 0]
    assert area == pytest.approx((0.5 * 111.2) ** 2 * math.cos(math.radians(45.25)), rel=0.01)
    activity = 60.0 if "industries" in source else prepared.panel["hti"][0, 0]
    assert prepared.panel["lq"][0, 0] == pytest.approx(activity / area, rel=1e-12)


def test_an_industry_table_without_a_region_is_refused(tmp_path: Path) -> None:
    study = STUDY.replace('"location-quotient"', '"density"').replace('sector = "hti"\ntotal = "jobs"', INDUSTRY)
    path = write_study(tmp_path, study)
    write_industries(tmp_path)
    text = (tmp_path / "industries.csv").read_text(encoding="utf-8")
    (tmp_path / "industries.csv").write_text(
        "\n".join(line for line in text.splitlines() if not line.startswith("R45")), encoding="utf-8"
    )
    with pytest.raises(AlignmentError, match="R45"):
        run_study(path)


def test_islands_dropped_from_the_main_weights_leave_the_study_and_are_named(tmp_path: Path) -> None:
    path = write_study(tmp_path, FILE_STUDY.replace('file = "w.csv"', 'file = "w.csv"\nislands = "drop"'))
    write_weights(tmp_path, REGIONS[:-1])
    result = run_study(path)
    assert len(result.panel.regions) == N - 1
    assert any("R45" in line for line in result.panel.log)
    assert result.regional is not None


def test_the_files_of_the_demo_repeat_it(tmp_path: Path) -> None:
    from spillover.study.demo import run_demo
    from spillover.study.demo_files import demo_files

    for name, text in demo_files(4).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert check_study(tmp_path / "study.toml").problems == ()
    again, drawn = run_study(tmp_path / "study.toml"), run_demo(4)
    assert again.panel.planar
    assert again.model().coefficients == drawn.model().coefficients
    assert again.measures == drawn.measures
    assert again.diagnostics == drawn.diagnostics
