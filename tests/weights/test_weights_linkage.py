"""Input–output tables: identities, Miller and Blair's example, China's tables, linkage of sectors and regions."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import AlignmentError, OptionError, UnknownColumnError, WeightsError
from spillover.panel.panel import Panel
from spillover.weights.linkage import (
    InputOutputTable,
    add_linkage,
    build_input_output,
    link_sectors,
    read_input_output,
)
from spillover.weights.portfolios import Portfolio

# Miller and Blair (2009), table 2.3: flows (150, 500; 200, 100), output 1000 and 2000.
TWO = InputOutputTable(("1", "2"), np.array([[150.0, 500], [200, 100]]), np.array([1000.0, 2000]))


def random_table(seed, s=6):
    rng = np.random.default_rng(seed)
    flows = rng.exponential(1.0, (s, s))
    final = rng.exponential(2.0, s) + 0.5
    output = flows.sum(axis=1) + final
    return InputOutputTable(tuple(f"s{k}" for k in range(s)), flows, output, final_use=final)


# -- inverses -------------------------------------------------------------------------------------


def test_two_sectors_of_miller_and_blair():
    assert TWO.input_coefficients.tolist() == [[0.15, 0.25], [0.20, 0.05]]
    assert np.allclose(TWO.leontief, [[1.2541, 0.3300], [0.2640, 1.1221]], atol=5e-5)  # printed with four digits
    # By hand: det(I − A) = .85 × .95 − .25 × .20 = .7575.
    assert np.allclose(TWO.leontief, np.array([[0.95, 0.25], [0.20, 0.85]]) / 0.7575, rtol=1e-14)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_identities(seed):
    table = random_table(seed)
    a, b, x = table.input_coefficients, table.allocation_coefficients, np.diag(table.output)
    inverse = np.diag(1 / table.output)
    # 1e-9: the inverses of tables with a spectral radius near one lose some digits.
    assert np.allclose(b, inverse @ a @ x, rtol=1e-12)
    assert np.allclose(table.ghosh, inverse @ table.leontief @ x, rtol=1e-9)
    assert np.allclose(table.leontief @ table.final_use, table.output, rtol=1e-9)  # x = L f
    added = table.output - table.flows.sum(axis=0)
    assert np.allclose(added @ table.ghosh, table.output, rtol=1e-9)  # x' = v' G
    assert np.allclose(table.leontief, sum(np.linalg.matrix_power(a, k) for k in range(600)), rtol=1e-6)


def test_upstreamness_of_a_chain():
    # Ore is sold to steel only, steel to cars only, cars to consumers: 3, 2 and 1 stages from final use.
    chain = InputOutputTable(
        ("ore", "steel", "cars"), np.array([[0.0, 4, 0], [0, 0, 6], [0, 0, 0]]), np.array([4.0, 6, 9])
    )
    assert chain.upstreamness.tolist() == [3.0, 2.0, 1.0]
    # One unit of cars needs 6/9 of steel, and that 4/6 × 6/9 of ore.
    assert chain.downstreamness[2] == pytest.approx(1 + 6 / 9 + 4 / 9)


# -- what is refused ------------------------------------------------------------------------------


def test_not_productive():
    with pytest.raises(WeightsError, match=r"not productive[\s\S]*spectral radius 1\.[\s\S]*Hawkins and Simon"):
        InputOutputTable(("a", "b"), np.array([[5.0, 6], [6, 5]]), np.array([10.0, 10]))


def test_no_output_and_negative_flows():
    with pytest.raises(WeightsError, match="b: 0"):
        InputOutputTable(("a", "b"), np.zeros((2, 2)), np.array([10.0, 0]))
    with pytest.raises(WeightsError, match="a → b: -1"):
        InputOutputTable(("a", "b"), np.array([[0.0, -1], [0, 0]]), np.array([10.0, 10]))
    with pytest.raises(WeightsError, match="no finite numbers"):
        InputOutputTable(("a", "b"), np.array([[0.0, np.nan], [0, 0]]), np.array([10.0, 10]))
    frame = pd.DataFrame({"Code": ["a", "b"], "a": [0, 2], "b": [-1, 0], "GO": [10, 10]})
    clipped = read_input_output(frame, negatives="clip")
    assert clipped.flows.tolist() == [[0, 0], [2, 0]]
    assert "1 negative flows became zero, -1 in sum" in clipped.notes


def test_balance_by_how_much():
    frame = pd.DataFrame(
        {"Code": ["a", "b", "VA"], "a": [10.0, 20, 68], "b": [30.0, 0, 70], "F": [60.0, 90, np.nan],
         "GO": [100.0, 100, np.nan]}
    )  # fmt: skip
    # Rows: a 10 + 30 + 60 = 100, b 20 + 0 + 90 = 110 (+10 %); columns: a 10 + 20 + 68 = 98 (−2 %), b 100.
    with pytest.raises(WeightsError, match=r"row of b: \+10 % of output, column of a: -2 % of output"):
        read_input_output(frame, final_use="F", other_inputs="VA")
    table = read_input_output(frame, final_use="F", other_inputs="VA", tolerance=None)
    assert table.balance()["row_gap"].tolist() == [0, 10]
    assert table.balance()["column_gap"].tolist() == [-2, 0]
    read_input_output(frame, final_use="F", other_inputs="VA", tolerance=0.1)


def test_reading_with_wrong_names():
    frame = pd.DataFrame({"Code": [1, 2], "01": [1.0, 2], "02": [2.0, 1], "GO": [9.0, 9]})
    with pytest.raises(UnknownColumnError, match="leading zeros"):
        read_input_output(frame)
    frame["Code"] = ["01", "02"]
    with pytest.raises(UnknownColumnError, match="neither a column nor a row called 'X'"):
        read_input_output(frame, output="X")
    with pytest.raises(OptionError, match="several rows"):
        read_input_output(pd.concat([frame, frame]))
    with pytest.raises(UnknownColumnError, match="no row with the code 'VA'"):
        read_input_output(frame, other_inputs="VA")


def test_aggregation_keeps_the_balance():
    table = random_table(3)
    merged = table.aggregate({"s0": "X", "s1": "X", "s2": "Y", "s3": "Z", "s4": "Z", "s5": "Z"})
    assert merged.flows.sum() == pytest.approx(table.flows.sum(), rel=1e-14)
    assert np.allclose(merged.leontief @ merged.final_use, merged.output, rtol=1e-12)
    with pytest.raises(AlignmentError, match="1 sectors have no group"):
        table.aggregate({f"s{k}": "X" for k in range(5)})


# -- China ----------------------------------------------------------------------------------------

CHINA = {
    "label": "Description", "rows": ("Origin", "Domestic"), "output": "GO", "final_use": "TFU",
    "other_inputs": "TVA", "imported": ("Origin", "Imports"),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("year", [2017, 2018, 2020])
def test_tables_of_china_balance(data, year):
    # Published in whole 10⁴ yuan of about 10⁹: ten digits in the file.
    table = read_input_output(data / "io_tables" / f"china_{year}_42.csv", **CHINA, tolerance=1e-8)
    assert len(table.sectors) == 42
    worst = table.balance()[["row_share", "column_share"]].abs().to_numpy().max()
    assert worst < 1e-9
    assert (table.leontief >= 0).all()
    # README of the data: domestic input coefficients add up to .25–.80 by column.
    assert 0.2 < table.input_coefficients.sum(axis=0).min() < table.input_coefficients.sum(axis=0).max() < 0.81


@pytest.mark.data
def test_upstreamness_of_china_is_sane(data):
    table = read_input_output(data / "io_tables" / "china_2017_42.csv", **CHINA)
    found = table.to_frame().set_index("label")["upstreamness"]
    # Miners and power plants sell to those who sell to others; schools, hospitals, offices and builders to users.
    first = found.nlargest(4).index.tolist()
    assert first == [
        "Mining and washing of coal",
        "Exploitation of petroleum and natural gas",
        "Mining and processing of metal ores",
        "Production and supply of electric power and heat power",
    ]
    last = set(found.nsmallest(5).index)
    assert last == {
        "Research and experimental development",
        "Health care and social work",
        "Construction",
        "Public administration, social security, and social organizations",
        "Education",
    }
    assert found.min() >= 1.0  # everything is one stage from final use at least
    smelting, machines, cars = (
        found["Smelting and processing of metals"],
        found["Manufacture of general purpose machinery"],
        found["Manufacture of transport equipment"],
    )
    assert smelting > machines > cars


@pytest.mark.data
def test_tables_of_the_oecd_and_the_detailed_table(data):
    folder = data / "io_tables"
    uses = ["HFCE", "NPISH", "GGFC", "GFCF", "INVNT", "CONS_ABR", "CONS_NONRES", "EXPO", "IMPO"]
    options = {"label": "Description", "output": "OUTPUT", "other_inputs": ["TXS_IMP_FNL", "TXS_INT_FNL", "VALU"]}
    with pytest.raises(WeightsError, match=r'without an output[\s\S]*empty="drop"'):
        read_input_output(folder / "oecd2021_chn_2018_45.csv", **options, final_use=uses)
    table = read_input_output(folder / "oecd2021_chn_2018_45.csv", **options, final_use=uses, empty="drop")
    assert len(table.sectors) == 44
    detailed = read_input_output(
        folder / "china_2012_139.csv", label="Description", output="GO", final_use=["TFU", "-IM", "ERR"],
        other_inputs="TVA", tolerance=1e-6,
    )  # fmt: skip
    assert len(detailed.sectors) == 139


# -- regions --------------------------------------------------------------------------------------


def employment(values, classes, regions="abc"):
    return Portfolio(tuple(regions[: len(values)]), tuple(classes), sp.csr_matrix(np.asarray(values, dtype=float)))


def test_linkage_with_a_sector_by_hand():
    # Region a works in sector 1 only, b in 2 only, c half and half. With h = 2: u = e_1 L_12, v = e_1 G_21, without
    # the link of sector 2 with itself. L_12 = .25/.7575; G_21 = L_21 x_1/x_2 = .20/.7575/2.
    found = link_sectors(TWO, employment([[5, 0], [0, 3], [2, 2]], ["1", "2"]), ["2"])
    up, down = 0.25 / 0.7575, 0.20 / 0.7575 / 2
    assert found["upstream"].tolist() == pytest.approx([up, 0, up / 2], rel=1e-13)
    assert found["downstream"].tolist() == pytest.approx([down, 0, down / 2], rel=1e-13)
    assert found["own"].tolist() == [0, 1, 0.5]


def test_several_sectors_are_averaged_by_output_without_their_links_among_each_other():
    table = random_table(8)
    shares = np.random.default_rng(1).dirichlet(np.ones(6), 3)
    found = link_sectors(table, employment(shares, table.sectors), ["s1", "s4"])
    weight = table.output[[1, 4]] / table.output[[1, 4]].sum()
    for i in range(3):
        up = sum(
            shares[i, s] * sum(weight[k] * table.leontief[s, h] for k, h in enumerate((1, 4)))
            for s in range(6) if s not in (1, 4)
        )  # fmt: skip
        assert found["upstream"][i] == pytest.approx(up, rel=1e-12)


def test_linkage_in_the_panel():
    work = employment([[2, 2], [5, 0], [0, 3]], ["1", "2"], "cab")
    panel = Panel(("a", "b", "c"), (2000, 2001), {"x": np.zeros((3, 2))})
    made = add_linkage(panel, TWO, work, ["2"])
    up = 0.25 / 0.7575
    assert np.allclose(made["upstream"], [[up, up], [0, 0], [up / 2, up / 2]])
    with pytest.raises(AlignmentError, match="d"):
        add_linkage(Panel(("a", "d"), (2000,), {"x": np.zeros((2, 1))}), TWO, work, ["2"])


def brute(shares, inner):
    n, s = shares.shape
    made = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            made[i, j] = sum(
                shares[i, p] * inner[p, q] * shares[j, q] for p in range(s) for q in range(s) if p != q
            ) * (i != j)  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("inverse", "matrix"), [("leontief", "leontief"), ("ghosh", "ghosh"), ("direct", "input_coefficients")]
)
def test_region_pairs_by_brute_force(inverse, matrix):
    table = random_table(4)
    shares = np.random.default_rng(2).dirichlet(np.ones(6), 5)
    work = employment(shares, table.sectors, "abcde")
    expected = brute(shares, getattr(table, matrix))
    customers = build_input_output(table, work, "customers", inverse, top=None, standardise="none").matrix.toarray()
    suppliers = build_input_output(table, work, "suppliers", inverse, top=None, standardise="none").matrix.toarray()
    both = build_input_output(table, work, "both", inverse, top=None, standardise="none").matrix.toarray()
    assert np.allclose(customers, expected, rtol=1e-12)
    assert np.allclose(suppliers, expected.T, rtol=1e-12)
    assert np.allclose(both, (expected + expected.T) / 2, rtol=1e-12)


def test_direction_of_linkage():
    # Ore is sold to steel only. Region m mines, region f forges: m supplies f.
    chain = InputOutputTable(("ore", "steel"), np.array([[0.0, 4], [0, 0]]), np.array([4.0, 6]))
    work = employment([[1, 0], [0, 1]], ["ore", "steel"], "mf")
    received = build_input_output(chain, work, "customers", islands="keep", standardise="none").matrix
    assert (received[0, 1] > 0, received[1, 0]) == (True, 0)  # the mine receives from its customer
    received = build_input_output(chain, work, "suppliers", islands="keep", standardise="none").matrix
    assert (received[0, 1], received[1, 0] > 0) == (0, True)


def test_classes_that_are_no_sectors_and_regions_without_employment():
    with pytest.raises(AlignmentError, match="C26"):
        link_sectors(TWO, employment([[1, 2]], ["1", "C26"]), ["2"])
    with pytest.raises(WeightsError, match="b"):
        link_sectors(TWO, employment([[1, 2], [0, 0]], ["1", "2"]), ["2"])
    with pytest.raises(UnknownColumnError, match="got:      3"):
        link_sectors(TWO, employment([[1, 2]], ["1", "2"]), ["3"])


def test_sectors_without_a_class_count_as_nobody_works_there():
    found = link_sectors(TWO, employment([[7]], ["1"]), ["2"])
    assert found["upstream"].tolist() == pytest.approx([0.25 / 0.7575])
