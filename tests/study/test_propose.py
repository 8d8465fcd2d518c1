"""A proposed study file: what lies beside the table is used, what cannot be meant is not proposed."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spillover.study.check import check_study
from spillover.study.propose import propose_study

STATES = [f"S{i:02d}" for i in range(12)]


def write(folder: Path, columns: dict[str, Sequence[Any]], name: str = "table.csv") -> Path:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder / name


def table(folder: Path, **more: Sequence[Any]) -> Path:
    """12 regions × 4 years: a code, a name, patents, high-tech firms, population, rates, a national series, a place."""
    rng = np.random.default_rng(5)
    rows = [(i, name, year) for i, name in enumerate(STATES, start=1) for year in range(2001, 2005)]
    n = len(rows)
    columns: dict[str, Sequence[Any]] = {
        "code": [f"{i}.0" for i, _, _ in rows],
        "state_name": [name for _, name, _ in rows],
        "year": [year for _, _, year in rows],
        "patents": rng.integers(1, 900, n),
        "hti_firms": rng.integers(1, 400, n),
        "population": rng.integers(10_000, 90_000, n),
        "cpi": [year - 1900 for _, _, year in rows],
        "centroid_lon": [10.5 + i for i, _, _ in rows],
        "area_km2": [100.5 * i for i, _, _ in rows],
        "rd": np.exp(rng.normal(0, 1.5, n)).round(4),
    }
    return write(folder, {**columns, **more})


def proposed(path: Path) -> dict[str, Any]:
    text = propose_study(path, path.parent)
    (path.parent / "study.toml").write_text(text, encoding="utf-8")
    return tomllib.loads(text)


def ring(ids: Sequence[str]) -> dict[str, Sequence[Any]]:
    return {"i": ids, "j": [*ids[1:], ids[0]]}


def test_weights_beside_the_table_decide_the_region_column(tmp_path: Path) -> None:
    write(tmp_path, ring(STATES), "pairs.csv")
    path = table(tmp_path)
    found = proposed(path)
    assert found["data"]["region"] == "state_name"
    (weights,) = found["weights"]
    assert weights["file"] == "pairs.csv"
    assert weights["edge_columns"] == ["i", "j"]
    assert weights["both_ways"] is True
    assert check_study(tmp_path / "study.toml", {}).problems == ()


def test_codes_written_as_floats_are_matched_as_whole_numbers(tmp_path: Path) -> None:
    ids = [str(i) for i in range(1, 13)]
    square = {"": ids} | {a: [int(abs(int(a) - int(b)) == 1) for b in ids] for a in ids}
    write(tmp_path, square, "w.csv")
    found = proposed(table(tmp_path))
    assert found["data"]["region"] == "code"
    assert found["data"]["name"] == "state_name"
    assert found["weights"][0]["file"] == "w.csv"
    assert "both_ways" not in found["weights"][0]
    assert check_study(tmp_path / "study.toml", {}).problems == ()


def test_weights_of_other_ids_are_shown_and_nothing_is_invented(tmp_path: Path) -> None:
    ids = ["Rome", "Milan", "Turin"]
    write(tmp_path, {"": ids, **{a: [int(a != b) for b in ids] for a in ids}}, "w.csv")
    found = proposed(table(tmp_path))
    assert found["weights"][0]["file"] == "w.csv"
    assert "no column of it has its ids" in (tmp_path / "study.toml").read_text(encoding="utf-8")


def test_places_areas_codes_and_national_series_explain_nothing(tmp_path: Path) -> None:
    found = proposed(table(tmp_path))
    text = found["models"][0]["formula"] + found["agglomeration"]["column"] + found["innovation"]["column"]
    for name in ("centroid_lon", "area_km2", "cpi", "code"):
        assert name not in text


def test_counts_are_proposed_per_person_and_skewed_ones_in_logs(tmp_path: Path) -> None:
    found = proposed(table(tmp_path))
    assert [item["expression"] for item in found["derive"]] == [
        "1e4 * patents / population",
        "1e4 * hti_firms / population",
    ]
    assert found["agglomeration"]["column"] == "hti_firms_per_10000"
    assert found["models"][0]["formula"] == "log(patents_per_10000) ~ log(agglomeration) + log(rd)"
    with_zeros = table(tmp_path, rd=[0.0] * 3 + [5.0 + k for k in range(45)])
    assert proposed(with_zeros)["models"][0]["formula"].endswith("log(agglomeration) + rd")


def controls_of(path: Path) -> list[str]:
    return proposed(path)["models"][0]["formula"].split("log(agglomeration) + ")[1].split(" + ")


def test_a_total_and_its_part_are_not_proposed_together(tmp_path: Path) -> None:
    """By name and size (basic research is R&D), by a third column that makes up the rest, and not by size alone."""
    rng = np.random.default_rng(2)
    rd, roads, schools = rng.uniform(4, 5, 48), rng.uniform(1, 2, 48), rng.uniform(0.2, 0.9, 48)
    basic = rd * rng.uniform(0.1, 0.3, 48)
    named = table(tmp_path, rd=rd, rd_basic=basic, roads=roads)
    assert controls_of(named) == ["rd", "roads"]
    summed = table(tmp_path, rd=rd, universities=basic, firms=rd - basic, roads=roads)
    assert controls_of(summed) == ["rd", "roads"]
    smaller = table(tmp_path, rd=rd, schools=schools)
    assert controls_of(smaller) == ["rd", "schools"]
    source = table(tmp_path, rd=roads, money_public=basic, money_spent=rd)
    assert controls_of(source) == ["rd", "money_public"]
    rate = table(tmp_path, rd=rd, rd_share=basic)  # no part of the money, though smaller
    assert controls_of(rate) == ["rd", "rd_share"]
    twice = table(tmp_path, rd=rd, research=rd, roads=roads)
    assert controls_of(twice) == ["rd", "roads"]


def test_blanks_are_told_with_the_policy_that_keeps_more(tmp_path: Path) -> None:
    blanks = ["" if k in (1, 5) else 3 + k for k in range(48)]  # two regions, in the second year of each
    write(tmp_path, ring(STATES), "pairs.csv")
    found = proposed(table(tmp_path, patents=blanks))
    # Dropping two regions keeps 10 · 4 cells, dropping one period 12 · 3.
    assert found["data"]["missing"] == "drop-regions"
    assert "touch 2 of 12 regions and 1 of 4 periods" in (tmp_path / "study.toml").read_text(encoding="utf-8")
    one_year = ["" if k % 4 == 0 else 3 + k for k in range(48)]
    assert proposed(table(tmp_path, patents=one_year))["data"]["missing"] == "drop-periods"


def test_the_title_speaks_of_high_tech_only_where_the_table_does(tmp_path: Path) -> None:
    assert "high-tech" in proposed(table(tmp_path))["study"]["title"]
    path = write(
        tmp_path,
        {
            "region": [name for name in STATES for _ in range(3)],
            "year": [2001, 2002, 2003] * 12,
            "premiums": [k * 7 % 31 + 1.5 for k in range(36)],
            "banks": [k * 5 % 29 + 0.5 for k in range(36)],
        },
    )
    assert "high-tech" not in proposed(path)["study"]["title"].lower()


def test_a_table_of_distances_is_not_taken_for_weights(tmp_path: Path) -> None:
    # 12 places on a line, 30 km apart: 30 to 330 km, whatever the file is called; their inverses are weights
    km = 30.0 * np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    near = np.divide(1.0, km, out=np.zeros_like(km), where=km > 0)
    for name, numbers in (("rail.csv", km), ("w.csv", near)):
        folder = tmp_path / name[:-4]
        folder.mkdir()
        write(folder, {"id": STATES, **dict(zip(STATES, numbers.T.tolist(), strict=True))}, name)
        proposed = tomllib.loads(propose_study(table(folder), folder))["weights"]
        assert [w["kind"] for w in proposed if w.get("file") == name] == [
            "distance-file" if name == "rail.csv" else "file"
        ]
