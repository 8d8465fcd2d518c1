"""Portfolios, technological proximity and ties of firms with universities: by hand and by brute force."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from spillover.errors import AlignmentError, IslandError, OptionError, PanelError, ValueDomainError, WeightsError
from spillover.panel.industry import read_industry
from spillover.weights import build_knn
from spillover.weights.portfolios import Portfolio, read_portfolio
from spillover.weights.strongest import strongest_of
from spillover.weights.technological import build_technological
from spillover.weights.ties import build_university_ties, read_ties

LONG = pd.DataFrame(
    {"id": ["b", "a", "a", "c"], "ipc": ["H04", "H04", "G06", "A61"], "n": [2, 3, 4, 1]}
)  # fmt: skip


def portfolio(values, regions=None):
    values = np.asarray(values, dtype=float)
    ids = tuple(regions or "abcdefghij"[: len(values)])
    return Portfolio(ids, tuple(f"k{j}" for j in range(values.shape[1])), sp.csr_matrix(values))


# -- portfolios -----------------------------------------------------------------------------------


def test_long_and_wide_tables_are_the_same():
    long = read_portfolio(LONG, region="id", class_="ipc", value="n")
    wide = pd.DataFrame({"A61": [0, 0, 1], "G06": [4, 0, 0], "H04": [3, 2, 0]}, index=["a", "b", "c"])
    assert long.regions == ("a", "b", "c")
    assert np.array_equal(long.values.toarray(), read_portfolio(wide).values.toarray())
    assert long.shares().toarray()[0].tolist() == [0, 4 / 7, 3 / 7]


def test_portfolio_of_an_industry_table():
    rows = [(r, s, t, 10 * t + s) for r in (1, 2) for s in (1, 2) for t in (1, 2)]
    table = read_industry(
        pd.DataFrame(rows, columns=["r", "s", "t", "v"]), region="r", industry="s", period="t", value="v"
    )
    assert read_portfolio(table, period=2).values.toarray().tolist() == [[21, 22], [21, 22]]
    assert read_portfolio(table, period=(1, 2)).values.toarray().tolist() == [[32, 34], [32, 34]]
    with pytest.raises(OptionError, match="several periods"):
        read_portfolio(table)
    holes = read_industry(
        pd.DataFrame(rows[:-1], columns=["r", "s", "t", "v"]), region="r", industry="s", period="t", value="v"
    )
    with pytest.raises(ValueDomainError, match="2 of 2 in 2"):
        read_portfolio(holes, period=2)


def test_regroup_adds_up_and_tells_what_is_left_out():
    made = portfolio([[1, 2, 3], [4, 5, 6]]).regroup({"k0": "X", "k1": "X", "k2": ""})
    assert made.values.toarray().tolist() == [[3], [9]]
    assert "42.9 %" in made.notes[-1]  # 9 of 21
    with pytest.raises(AlignmentError, match="1 classes have no group"):
        portfolio([[1, 2]]).regroup({"k0": "X"})


def test_bad_portfolios():
    with pytest.raises(ValueDomainError, match="k1 of a: -1"):
        portfolio([[1, -1]])
    with pytest.raises(PanelError, match="H04 of a"):
        read_portfolio(pd.concat([LONG, LONG.iloc[[1]]]), region="id", class_="ipc", value="n")
    with pytest.raises(OptionError, match="both class_= and value="):
        read_portfolio(LONG, region="id", class_="ipc")


# -- technological proximity ----------------------------------------------------------------------


def test_jaffe_by_hand():
    # (3, 4) and (4, 3): cosine 24/25; scale does not matter; (0, 5) with (3, 4): 4/5.
    weights = build_technological(portfolio([[3, 4], [400, 300], [0, 5]]), standardise="none", top=None)
    assert np.allclose(weights.matrix.toarray(), [[0, 0.96, 0.8], [0.96, 0, 0.6], [0.8, 0.6, 0]], rtol=1e-14)


def test_mahalanobis_by_brute_force():
    rng = np.random.default_rng(1)
    counts = rng.poisson(1.2, (12, 7)).astype(float) + np.eye(12, 7)
    f = counts / counts.sum(axis=1, keepdims=True)
    columns = f / np.linalg.norm(f, axis=0)
    unit = f / np.linalg.norm(f, axis=1, keepdims=True)
    expected = unit @ (columns.T @ columns) @ unit.T
    np.fill_diagonal(expected, 0.0)
    weights = build_technological(
        portfolio(counts, [f"r{i:02d}" for i in range(12)]), "mahalanobis", top=None, standardise="none"
    )
    assert np.allclose(weights.matrix.toarray(), expected, rtol=1e-12, atol=0)


def test_mahalanobis_is_jaffe_where_classes_are_never_found_together():
    # One class per region, some shared: Ω is the identity, so that both are the same.
    counts = np.eye(4)[[0, 0, 1, 1, 2]]
    with pytest.raises(IslandError, match="e"):
        build_technological(portfolio(counts), "mahalanobis")
    one = build_technological(portfolio(counts), "mahalanobis", islands="keep", standardise="none")
    two = build_technological(portfolio(counts), "jaffe", islands="keep", standardise="none")
    assert np.allclose(one.matrix.toarray(), two.matrix.toarray(), rtol=1e-15)  # (1/√2)² is ½ but for the last digit


def test_empty_portfolios_are_named():
    with pytest.raises(WeightsError, match=r"1 regions have an empty portfolio[\s\S]*got:      b"):
        build_technological(portfolio([[1, 2], [0, 0], [2, 1]]))
    kept = build_technological(portfolio([[1, 2], [0, 0], [2, 1]]), islands="keep")
    assert kept.islands == ("b",)


def test_the_strongest_links_and_what_is_left_out():
    weights = build_technological(portfolio([[3, 4], [4, 3], [0, 5]]), top=1, standardise="none")
    # a: b .96 (loses .8); b: a .96 (loses .6); c: a .8 (loses .6): 2 of 4.72 are lost.
    assert np.allclose(weights.matrix.toarray(), [[0, 0.96, 0], [0.96, 0, 0], [0.8, 0, 0]], rtol=1e-14)
    assert "42.4 % of all proximity is left out" in weights.notes[-1]


def test_strongest_in_chunks_with_ties_by_id(monkeypatch):
    from spillover.weights import strongest

    rng = np.random.default_rng(5)
    table = rng.integers(0, 4, (30, 30)).astype(float)
    np.fill_diagonal(table, 0)
    ids = tuple(f"r{i:02d}" for i in rng.permutation(30))
    whole, _ = strongest_of(lambda part: table[part].copy(), ids, 4, None)
    monkeypatch.setattr(strongest, "CHUNK", 100)
    parts, _ = strongest_of(lambda part: table[part].copy(), ids, 4, None)
    assert (whole != parts).nnz == 0
    for i in range(30):
        expected = sorted(range(30), key=lambda j: (-table[i, j], ids[j]))[:4]
        expected = {j for j in expected if table[i, j] > 0}
        assert set(whole[[i]].indices.tolist()) == expected


def test_only_the_links_of_another_w():
    near = build_knn(np.array([[0.0, 0], [1, 0], [5, 0]]), 1, regions=["a", "b", "c"], lonlat=False)
    weights = build_technological(portfolio([[3, 4], [4, 3], [0, 5]]), top=None, support=near, standardise="none")
    assert weights.matrix.toarray()[2].tolist() == [0, pytest.approx(0.6), 0]
    with pytest.raises(OptionError, match="two different things"):
        build_technological(portfolio([[3, 4], [4, 3], [0, 5]]), support=near)


def test_technological_never_dense_by_accident():
    rng = np.random.default_rng(6)
    many = sp.random_array((6_000, 40), density=0.1, rng=rng, format="csr")
    ids = tuple(f"r{i:04d}" for i in range(6_000))
    shares = Portfolio(ids, tuple(f"k{j}" for j in range(40)), sp.csr_matrix(many))
    with pytest.raises(WeightsError, match="top="):
        build_technological(shares, top=None, islands="keep")
    assert build_technological(shares, top=8, islands="keep").matrix.nnz <= 48_000


# -- ties -----------------------------------------------------------------------------------------

PAPERS = [
    # d1: two firms (A, B), one university (C): A–C ½, B–C ½.
    ("d1", "A", "firm", 2015), ("d1", "B", "firm", 2015), ("d1", "C", "university", 2015),
    # d2: one firm (A), two universities (A, C): A–A ½, A–C ½.
    ("d2", "A", "firm", 2016), ("d2", "A", "university", 2016), ("d2", "C", "institute", 2016),
    # d3: firms only; d4: an individual and a university.
    ("d3", "B", "firm", 2016), ("d4", "C", "person", 2016), ("d4", "B", "university", 2016),
    ("d5", "C", "firm", 2018), ("d5", "A", "university", 2018),
]  # fmt: skip
COLUMNS = ["id", "place", "who", "year"]
READ = {"document": "id", "region": "place", "role": "who"}


def test_ties_in_fractions():
    ties = read_ties(pd.DataFrame(PAPERS, columns=COLUMNS), **READ)
    assert ties.regions == ("A", "B", "C")
    assert ties.joint.toarray().tolist() == [[0.5, 0, 1.0], [0, 0, 0.5], [1.0, 0, 0]]
    assert ties.joint.sum() == 3.0  # d1, d2, d5 count one each
    assert ties.documents.tolist() == [3, 3, 4]  # A: d1 d2 d5; B: d1 d3 d4; C: d1 d2 d4 d5
    assert ties.tie_share().tolist() == [0.5, 0.5 / 3, 0.25]


def test_window_before_the_outcome():
    frame = pd.DataFrame(PAPERS, columns=COLUMNS)
    early = read_ties(frame, **READ, period="year", window=(2015, 2017), outcome_from=2018)
    assert early.joint.toarray().tolist() == [[0.5, 0, 1.0], [0, 0, 0.5], [0, 0, 0]]
    assert early.window == (2015, 2016, 2017)
    with pytest.raises(OptionError, match="made of what it explains"):
        read_ties(frame, **READ, period="year", window=(2016, 2018), outcome_from=2018)
    with pytest.raises(OptionError, match="made of what it explains"):
        read_ties(frame, **READ, period="year", outcome_from=2018)
    with pytest.raises(ValueDomainError, match="no row is in the window"):
        read_ties(frame, **READ, period="year", window=(1990, 1999))


def test_w_of_ties():
    ties = read_ties(pd.DataFrame(PAPERS, columns=COLUMNS), **READ)
    weights = build_university_ties(ties, islands="keep", standardise="none")
    assert weights.matrix.toarray().tolist() == [[0, 0, 1.0], [0, 0, 0.5], [1.0, 0, 0]]
    both = build_university_ties(ties, direction="both", standardise="none")
    assert both.matrix.toarray().tolist() == [[0, 0, 2.0], [0, 0, 0.5], [2.0, 0.5, 0]]
    salton = build_university_ties(ties, "salton", islands="keep", standardise="none")
    assert salton.matrix[0, 2] == pytest.approx(1 / np.sqrt(12))
    assert salton.matrix.max() <= 1.0


def test_ties_of_a_part_of_the_regions_keep_their_fractions():
    ties = read_ties(pd.DataFrame(PAPERS, columns=COLUMNS), **READ, regions=["A", "C"])
    assert ties.joint.toarray().tolist() == [[0.5, 1.0], [1.0, 0]]  # B's half of d1 is nobody's
    assert "1 region outside of the study" in ties.notes[-1]


def test_bad_roles():
    frame = pd.DataFrame(PAPERS, columns=COLUMNS)
    with pytest.raises(ValueDomainError, match="no participant has a role of firms"):
        read_ties(frame, **READ, firms=["company"])
    with pytest.raises(OptionError, match="firm and university at once"):
        read_ties(frame, **READ, firms=["firm"], universities=["firm"])
    with pytest.raises(ValueDomainError, match="no document joins"):
        read_ties(frame.assign(id=range(len(frame))), **READ)
