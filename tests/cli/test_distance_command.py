"""`spillover distance`: a study file, or a formula with a table and a map or a table of distances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from grid_study import STUDY, write_study
from test_cli_contract import run  # noqa: F401

FORMULA = "log(rd) ~ log(hti) + log(jobs)"
TABLE = ("--data", "regions.csv", "--region", "region", "--period", "year")


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    return write_study(tmp_path, STUDY + '\n[distance]\nrings = [0, 60, 120]\nkernels = ["exponential", "power"]\n')


def test_a_study_file_and_its_json(run: Any, grid: Path) -> None:  # noqa: F811
    from spillover.study.run import run_study

    answer = run("distance", "study.toml", "--format", "json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    whole = run_study(grid).distance.model_dump(mode="json")
    assert found == json.loads(json.dumps(whole))


def test_a_formula_with_a_map_on_one_screen(run: Any, grid: Path) -> None:  # noqa: F811
    answer = run("distance", FORMULA, *TABLE, "--map", "map.geojson", "--rings", "0,60,120")
    assert answer.code == 0, answer.err
    assert "How fast it falls:" in answer.out
    assert "Where power ends is not where spillover ends." in " ".join(answer.out.split())
    assert "0–60 km" in answer.out
    assert len(max(answer.out.splitlines(), key=len)) <= 110


def test_a_table_of_distances_and_a_file_to_write(run: Any, grid: Path) -> None:  # noqa: F811
    cells = [f"R{i}{j}" for i in range(5) for j in range(6)]
    lines = ["from,to,km"] + [
        f"{a},{b},{10 * (abs(int(a[1]) - int(b[1])) + abs(int(a[2]) - int(b[2])))}"
        for a in cells
        for b in cells
        if a != b
    ]
    (grid.parent / "rail.csv").write_text("\n".join(lines))
    answer = run("distance", FORMULA, *TABLE, "--distances", "rail.csv", "--format", "json", "--out", "found.json")
    assert (answer.code, answer.out) == (0, "")
    found = json.loads((grid.parent / "found.json").read_text(encoding="utf-8"))
    assert found["distances"] == "distances of the file"
    assert found["rings"][0]["pairs"] == 98  # 49 borders of a 5 × 6 grid, the only pairs at 10 km


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("distance", "x"), "neither a study file nor a formula"),
        (("distance", FORMULA), "a formula needs --data"),
        (("distance", FORMULA, "--data", "regions.csv"), "--region is missing"),
        (("distance", FORMULA, *TABLE), "give --map, or a table with --distances"),
        (("distance", "log(rd) ~ log(htj)", *TABLE, "--map", "map.geojson"), "Did you mean 'hti'?"),
        (("distance", FORMULA, *TABLE, "--map", "map.geojson", "--rings", "60,0"), "increasing distances"),
        (("distance", FORMULA, *TABLE, "--map", "map.geojson", "--rings", "near"), "numbers such as 0,50,100,200"),
        (("distance", FORMULA, *TABLE, "--map", "map.geojson", "--kernel", "cubic"), "--kernel 'cubic'"),
        (("distance", FORMULA, *TABLE, "--map", "map.geojson", "--quasi-difference", "a"), "auto, or a number"),
        (("distance", FORMULA, *TABLE, "--distances", "map.geojson", "--edges", "e.csv"), "give one of them"),
        (("distance", FORMULA, *TABLE, "--map", "map.geojson", "--out", "regions.csv"), "regions.csv"),
        (("distance", "study.toml", "--rings", "0,50"), "stands in the study file"),
        (("distance", "none.toml"), "there is no study file"),
    ],
)
def test_bad_input_leaves_with_two(run: Any, grid: Path, arguments: tuple[str, ...], says: str) -> None:  # noqa: F811
    before = sorted(path.name for path in grid.parent.iterdir())
    answer = run(*arguments)
    assert answer.code == 2
    assert says in answer.err
    assert answer.out == ""
    assert sorted(path.name for path in grid.parent.iterdir()) == before


def test_mistakes_speak_of_options(run: Any, grid: Path) -> None:  # noqa: F811
    (grid.parent / "two.csv").write_text("from,to,km\nR00,R01,9\nR01,R00,9\n", encoding="utf-8")
    answer = run("distance", FORMULA, *TABLE, "--distances", "two.csv")
    assert answer.code == 2
    assert "(--exclude ID)" in answer.err
    (grid.parent / "once.csv").write_text("from,to,km\nR00,R01,9\nR01,R02,9\n", encoding="utf-8")
    answer = run("distance", FORMULA, *TABLE, "--distances", "once.csv")
    assert "say --both-ways, or add the ways back" in " ".join(answer.err.split())
