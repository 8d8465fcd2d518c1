"""Location quotients and density."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spillover.errors import (
    AlignmentError,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
)
from spillover.measures.agglomeration import (
    add_density,
    add_industry_sum,
    add_location_quotient,
    add_location_quotient_of,
    density,
    industry_total,
    location_quotient,
    location_quotient_of,
    symmetric_location_quotient,
)
from spillover.measures.classification import covers, overlapping_codes
from spillover.panel.industry import IndustryTable, read_industry
from spillover.panel.panel import Panel
from spillover.panel.read import read_panel


def table(codes: dict[str, list[list[float]]], regions=("北京", "Île", "c"), periods=(2010, 2011)) -> IndustryTable:
    values = np.stack([np.array(rows, dtype=float) for rows in codes.values()], axis=1)
    return IndustryTable(tuple(regions), tuple(codes), tuple(periods), values)


# Three regions, two periods. Sums in 2010: 26 → 40, 27 → 60, total 100; in 2011: 26 → 20, 27 → 80.
TWO = {"26": [[30, 10], [10, 5], [0, 5]], "27": [[20, 40], [10, 15], [30, 25]]}


def panel(**variables: list[list[float]]) -> Panel:
    return Panel(
        regions=("a", "b", "北京"),
        periods=(2010, 2011),
        variables={name: np.array(rows, dtype=float) for name, rows in variables.items()},
    )


def test_location_quotient_by_hand():
    # Shares of 26 in 2010: 30/50, 10/20, 0/30 against 40/100; in 2011: 10/50, 5/20, 5/30 against 20/100.
    expected = [[1.5, 1.0], [1.25, 1.25], [0.0, 5.0 / 6.0]]
    sector = np.array(TWO["26"], dtype=float)
    total = sector + np.array(TWO["27"], dtype=float)
    np.testing.assert_allclose(location_quotient(sector, total), expected, rtol=1e-15)  # three divisions
    np.testing.assert_allclose(location_quotient_of(table(TWO), "26"), expected, rtol=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, (5, 3), elements=st.floats(0.0, 1e6)),
    arrays(float, (5, 3), elements=st.floats(1e-3, 1e6)),
    st.floats(1e-6, 1e6),
)
def test_quotients_average_to_one_and_have_no_unit(sector, rest, unit):
    sector = sector + 1e-3  # so that the sector is somewhere in every period
    total = sector + rest
    quotient = location_quotient(sector, total)
    # Σ_i (X_i/X) (x_i/X_i)/(x/X) = Σ_i x_i/x = 1; five terms of rounding error.
    np.testing.assert_allclose((total / total.sum(axis=0) * quotient).sum(axis=0), 1.0, rtol=1e-13)
    np.testing.assert_allclose(location_quotient(unit * sector, total), quotient, rtol=1e-13)
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(location_quotient(sector[order], total[order]), quotient[order], rtol=1e-13)


def test_arrays_give_nan_where_the_quotient_is_not_defined():
    quotient = location_quotient(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [2.0, 1.0]]))
    # Region 1 has no activity in period 1; the sector exists nowhere in period 2.
    np.testing.assert_array_equal(np.isnan(quotient), [[True, True], [False, True]])
    assert quotient[1, 0] == 1.0
    missing = location_quotient(np.array([[np.nan, 1.0], [1.0, 1.0]]), np.ones((2, 2)))
    np.testing.assert_array_equal(np.isnan(missing), [[True, False], [True, False]])


def test_arrays_refuse_negative_infinite_and_mismatched():
    with pytest.raises(ValueDomainError, match="negative or infinite"):
        location_quotient(np.array([-1.0]), np.array([1.0]))
    with pytest.raises(ValueDomainError, match="negative or infinite"):
        location_quotient(np.array([1.0]), np.array([np.inf]))
    with pytest.raises(ValueDomainError, match="same shape"):
        location_quotient(np.ones((2, 1)), np.ones((3, 1)))


def test_symmetric_quotient_is_odd_in_logs():
    # LQ and 1/LQ are equally far from the average share: (1/q − 1)/(1/q + 1) = −(q − 1)/(q + 1).
    q = np.array([0.2, 1.0, 5.0])
    np.testing.assert_allclose(symmetric_location_quotient(1 / q), -symmetric_location_quotient(q), atol=1e-15)


def test_density_divides_each_region_by_its_own_area():
    np.testing.assert_array_equal(density(np.array([[10.0, 20.0], [9.0, 3.0]]), np.array([5.0, 3.0])), [[2, 4], [3, 1]])
    for area in ([5.0, 0.0], [5.0, np.nan], [-1.0, 5.0]):
        with pytest.raises(ValueDomainError, match="areas"):
            density(np.ones((2, 2)), np.array(area))
    with pytest.raises(ValueDomainError, match="same regions"):
        density(np.ones((2, 3)), np.ones(3))


def test_total_row_is_used_when_named_and_refused_when_it_would_be_summed():
    plain = location_quotient_of(table(TWO), ["26"])
    whole = (np.array(TWO["26"]) + np.array(TWO["27"])).tolist()
    for name in ("TOTAL", "合计", "everything"):
        with_total = table({**TWO, name: whole})
        with pytest.raises(ValueDomainError, match="counted twice") as error:
            location_quotient_of(with_total, "26")
        assert f"pass total='{name}'" in str(error.value)
        np.testing.assert_allclose(location_quotient_of(with_total, "26", total=name), plain, rtol=1e-15)
        np.testing.assert_array_equal(industry_total(with_total, ["26", "27"]), whole)


def test_parents_and_children_are_not_counted_twice():
    nested = table({**TWO, "26.1": [[20, 5], [10, 5], [0, 5]]})
    with pytest.raises(ValueDomainError, match="parts of others") as error:
        location_quotient_of(nested, ["26", "26.1"], total=["26", "27"])
    assert "26 contains 26.1" in str(error.value)
    with pytest.raises(ValueDomainError, match="the total would count the same activity twice"):
        location_quotient_of(nested, ["26"])
    assert location_quotient_of(nested, ["26"], total=["26", "27"]).shape == (3, 2)


def test_codes_that_only_count_are_not_a_hierarchy():
    # Industries numbered 1, 2, …, 12: "1" begins "10", but its numbers cannot contain it.
    values = np.array([[[1.0], [5.0]], [[2.0], [1.0]]])
    assert overlapping_codes(["1", "10"], values) == {}
    assert overlapping_codes(["1", "10"], values + np.array([[4.0], [0.0]])) == {"1": ("10",)}
    # Grandchildren are not added to their own parents: C = C26 + C27 and C26 = C261.
    family = np.array([[[7.0], [4.0], [4.0], [3.0]]])
    assert overlapping_codes(["C", "C26", "C261", "C27"], family) == {"C": ("C26", "C261", "C27"), "C26": ("C261",)}


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ("C", "C26", True),
        ("26", "261", True),
        ("3254", "325412", True),  # NAICS
        ("B-E", "C", True),  # Eurostat's ranges of sections
        ("B-E", "C26", True),
        ("B-E", "F", False),
        ("M_N", "N", True),
        ("B", "B-E", False),  # the range is the parent
        ("C10-C12", "C11", True),
        ("10-12", "12", True),
        ("C10-C12", "C13", False),
        ("26", "26", False),
        ("26", "62", False),
        ("Pharma", "Pharmaceuticals", False),  # words
    ],
)
def test_what_a_code_says_about_its_parts(parent, child, expected):
    assert covers(parent, child) is expected


def test_unknown_codes_are_named_with_a_suggestion():
    with pytest.raises(UnknownColumnError, match="999") as error:
        location_quotient_of(table({**TWO, "C26": TWO["26"]}), ["c26", "999"])
    assert "'C26'" in str(error.value)
    with pytest.raises(OptionError, match="twice"):
        location_quotient_of(table(TWO), ["26", "26"])
    with pytest.raises(OptionError, match="no industry code"):
        location_quotient_of(table(TWO), [])


def test_table_cells_that_break_the_quotient_are_named():
    zero = {"26": [[30, 10], [0, 5], [0, 5]], "27": [[20, 40], [0, 15], [30, 25]]}
    with pytest.raises(ValueDomainError, match="Île in 2010"):
        location_quotient_of(table(zero), "26")
    nowhere = {"26": [[0, 10], [0, 5], [0, 5]], "27": [[20, 40], [1, 15], [30, 25]]}
    with pytest.raises(ValueDomainError, match="periods 2010"):
        location_quotient_of(table(nowhere), "26")
    blank = {"26": [[np.nan, 10], [0, 5], [0, 5]], "27": [[20, 40], [1, 15], [30, 25]]}
    with pytest.raises(MissingCellError, match="北京 in 2010"):
        location_quotient_of(table(blank), "26")
    with pytest.raises(ValueDomainError, match="exceeds the total"):
        location_quotient_of(table(TWO), ["26", "27"], total="27")


def test_panel_gets_the_quotient_with_unit_label_and_note():
    source = panel(hti=[[30, 10], [10, 5], [0, 5]], all=[[50, 50], [20, 20], [30, 30]])
    result = add_location_quotient(source, "lq", "hti", "all", label="LQ of HTI")
    np.testing.assert_allclose(result["lq"], [[1.5, 1.0], [1.25, 1.25], [0.0, 5.0 / 6.0]], rtol=1e-15)
    assert result.label("lq") == "LQ of HTI"
    assert "ratio" in result.units["lq"]
    assert "hti relative to all" in result.log[-1]
    assert "zero and have no logarithm: 1" in result.log[-1]
    assert "lq" not in source
    with pytest.raises(OptionError, match="already has"):
        add_location_quotient(result, "lq", "hti", "all")


def test_panel_mistakes_name_region_and_period():
    with pytest.raises(ValueDomainError, match="北京 in 2011"):
        add_location_quotient(panel(x=[[1, 1], [1, 1], [1, 1]], all=[[2, 2], [2, 2], [2, 0]]), "lq", "x", "all")
    with pytest.raises(MissingCellError, match="x of b in 2010"):
        add_location_quotient(panel(x=[[1, 1], [np.nan, 1], [1, 1]], all=[[2, 2]] * 3), "lq", "x", "all")
    with pytest.raises(ValueDomainError, match="a in 2010"):
        add_location_quotient(panel(x=[[-1, 1], [1, 1], [1, 1]], all=[[2, 2]] * 3), "lq", "x", "all")
    with pytest.raises(UnknownColumnError, match="Did you mean 'all'"):
        add_location_quotient(panel(x=[[1, 1]] * 3, all=[[2, 2]] * 3), "lq", "x", "al")


def test_a_part_may_exceed_the_total_only_in_another_unit():
    # Firms per person: the "total" is a base of comparison, not a whole.
    source = panel(x=[[3, 1], [1, 1], [1, 1]], all=[[2, 2]] * 3)
    assert add_location_quotient(source, "lq", "x", "all")["lq"].shape == (3, 2)
    same = source.with_variables({}, units={"x": "persons", "all": "persons"})
    with pytest.raises(ValueDomainError, match="a in 2010"):
        add_location_quotient(same, "lq", "x", "all")


def test_table_is_matched_to_the_panel_by_id():
    source = panel(y=[[1, 2], [3, 4], [5, 6]])
    shuffled = table(TWO, regions=("北京", "b", "a"), periods=(2011, 2010))
    result = add_location_quotient_of(source, "lq", shuffled, "26")
    # The rows of TWO now belong to 北京, b, a and its columns to 2011, 2010.
    np.testing.assert_allclose(result["lq"], [[5.0 / 6.0, 0.0], [1.25, 1.25], [1.0, 1.5]], rtol=1e-15)
    smaller = source.select(regions=["a", "b"])
    assert "not in the panel: 北京" in add_location_quotient_of(smaller, "lq", shuffled, "26").log[-1]
    with pytest.raises(AlignmentError, match="only in the panel: a; only in the industry table: z"):
        add_location_quotient_of(source, "lq", table(TWO, regions=("北京", "b", "z")), "26")


def test_blank_cells_of_other_periods_are_no_obstacle():
    blank = {"26": [[30, 10], [10, 5], [0, np.nan]], "27": TWO["27"]}
    source = panel(y=[[1, 2], [3, 4], [5, 6]])
    wide = table(blank, regions=("a", "b", "北京"))
    result = add_location_quotient_of(source.select(periods=[2010]), "lq", wide, "26")
    np.testing.assert_allclose(result["lq"], [[1.5], [1.25], [0.0]], rtol=1e-15)
    with pytest.raises(MissingCellError, match="北京 in 2011"):
        add_location_quotient_of(source, "lq", wide, "26")
    summed = add_industry_sum(source.select(regions=["a", "b"]), "hti", wide, ["26", "27"])
    np.testing.assert_array_equal(summed["hti"], [[50, 50], [20, 20]])
    with pytest.raises(MissingCellError, match="北京 in 2011"):
        add_industry_sum(source, "hti", wide, "26")


def test_panel_density():
    source = panel(hti=[[10, 20], [9, 3], [0, 1]], km2=[[5, 5], [3, 3], [1, 1]]).with_variables(
        {}, units={"hti": "persons", "km2": "km²"}
    )
    result = add_density(source, "dens", "hti", "km2")
    np.testing.assert_array_equal(result["dens"], [[2, 4], [3, 1], [0, 1]])
    assert result.units["dens"] == "persons per km²"
    with pytest.raises(OptionError, match="square kilometres"):
        add_density(source.with_variables({}, units={"km2": "ha"}), "dens", "hti", "km2")
    with pytest.raises(ValueDomainError, match="b in 2010"):
        add_density(panel(hti=[[1, 1]] * 3, km2=[[5, 5], [0, 3], [1, 1]]), "dens", "hti", "km2")


# -- real tables: nothing of them is kept here -----------------------------------------------------


def data_folder(name: str) -> Path:
    folder = Path(os.environ.get("SPILLOVER_DATA", Path(__file__).parents[3] / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"the data folder {name} is not here; set SPILLOVER_DATA to the folder that holds it")
    return folder


@pytest.mark.data
def test_european_table_with_its_total_row_and_suppressed_cells():
    folder = data_folder("eu_nuts2_sector_employment")
    source = read_industry(
        folder / "lfs_employment_nuts2_nace_2008_2015.csv",
        region="nuts2_2013",
        industry="nace_r2",
        period="year",
        value="employment_ths",
    )
    with pytest.raises(ValueDomainError, match=r"got:\s+TOTAL"):
        location_quotient_of(source, "J")
    with pytest.raises(MissingCellError, match="high-tech industry has missing cells"):
        location_quotient_of(source, "J", total="TOTAL")
    j, total = (source.values[:, source.industries.index(code), :] for code in ("J", "TOTAL"))
    complete = ~np.isnan(j + total).any(axis=1)
    part = IndustryTable(
        tuple(np.array(source.regions)[complete]), source.industries, source.periods, source.values[complete]
    )
    quotient = location_quotient_of(part, "J", total="TOTAL")
    shares = total[complete] / total[complete].sum(axis=0)
    # The identity of every location quotient, over some 200 regions.
    np.testing.assert_allclose((shares * quotient).sum(axis=0), 1.0, rtol=1e-12)


@pytest.mark.data
def test_chinese_provinces_firms_per_person():
    folder = data_folder("cn_province_hti")
    source = read_panel(folder / "cn_province_panel_2010_2023.csv", region="adcode", period="year")
    with pytest.raises(MissingCellError, match="in 2017"):
        add_location_quotient(source, "lq", "hti_firms", "population")
    years = [*range(2011, 2017), *range(2018, 2024)]
    result = add_location_quotient(source.select(periods=years), "lq", "hti_firms", "population")
    population = result["population"]
    np.testing.assert_allclose((population / population.sum(axis=0) * result["lq"]).sum(axis=0), 1.0, rtol=1e-12)
    # In logs with year effects ln LQ is ln (firms per person): the national ratio is a year effect.
    gap = np.log(result["lq"]) - np.log(result["hti_firms"] / population)
    np.testing.assert_allclose(gap - gap.mean(axis=0), 0.0, atol=1e-12)
