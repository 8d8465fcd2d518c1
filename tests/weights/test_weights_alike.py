"""Gravity, economic and institutional proximity, membership, steps over a W, symmetric nearest neighbours: by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from spillover.errors import AlignmentError, IslandError, OptionError, ValueDomainError, WeightsError
from spillover.panel.panel import Panel
from spillover.weights import (
    SpatialWeights,
    build_economic,
    build_gravity,
    build_institutional,
    build_knn,
    build_same_group,
    neighbours_of_order,
)
from spillover.weights.alike import most_alike

ABC = SimpleNamespace(regions=("a", "b", "c"))


def plane(*places):
    return {"source": np.array(places, dtype=float), "regions": list("abcdefghij"[: len(places)]), "lonlat": False}


def panel(**variables):
    shape = next(iter(variables.values())).shape
    return Panel(tuple("abcdefgh"[: shape[0]]), tuple(range(2000, 2000 + shape[1])), variables)


# -- gravity --------------------------------------------------------------------------------------


def test_gravity_by_hand():
    # 3-4-5 triangle, masses 1, 2, 3 with mean 2, so scaled ½, 1, 1½: w_ij = m_i^b m_j^a / d².
    mass = {"a": 1, "b": 2, "c": 3}
    weights = build_gravity(**plane((0, 0), (3, 0), (3, 4)), mass=mass, standardise="none")
    expected = [[0, 1 / 9, 1.5 / 25], [0.5 / 9, 0, 1.5 / 16], [0.5 / 25, 1 / 16, 0]]
    assert np.allclose(weights.matrix.toarray(), expected, rtol=1e-14, atol=0)
    both = build_gravity(**plane((0, 0), (3, 0), (3, 4)), mass=mass, receiver_power=1, standardise="none")
    assert both.matrix[0, 1] == pytest.approx(0.5 * 1 / 9)
    assert (abs(both.matrix - both.matrix.T)).max() < 1e-16  # a = b: symmetric


def test_gravity_does_not_depend_on_the_unit_of_mass():
    mass = {"a": 1, "b": 2, "c": 3}
    one = build_gravity(**plane((0, 0), (3, 0), (3, 4)), mass=mass, standardise="none")
    other = build_gravity(
        **plane((0, 0), (3, 0), (3, 4)), mass={k: 1e6 * v for k, v in mass.items()}, standardise="none"
    )
    assert np.allclose(one.matrix.toarray(), other.matrix.toarray(), rtol=1e-13, atol=0)


def test_gravity_mass_of_the_first_period_by_default():
    data = panel(x=np.array([[0.0, 0], [1, 1], [3, 3]]), y=np.zeros((3, 2)), gdp=np.array([[1.0, 9], [2, 9], [3, 9]]))
    where = {"coordinates": ("x", "y"), "lonlat": False, "standardise": "none", "power": 1}
    first = build_gravity(data, "gdp", **where)
    assert first.matrix[0, 1] == pytest.approx(2 / 2)
    assert "mass is gdp of 2000, the first period" in first.notes
    assert build_gravity(data, "gdp", period=2001, **where).matrix[0, 1] == pytest.approx(1.0)
    with pytest.raises(OptionError, match="no period 1999"):
        build_gravity(data, "gdp", period=1999, **where)


@pytest.mark.parametrize(
    ("mass", "error", "words"),
    [
        ({"a": 1, "b": 0, "c": 2}, ValueDomainError, "b: 0"),
        ({"a": 1, "b": -2, "c": 2}, ValueDomainError, "b: -2"),
        ({"a": 1, "b": np.nan, "c": 2}, ValueDomainError, "got:      b"),
        ({"a": 1, "b": 2}, AlignmentError, "got:      c"),
        ([1, 2, 3], OptionError, "by region id"),
    ],
)
def test_gravity_refuses_masses(mass, error, words):
    with pytest.raises(error, match=words):
        build_gravity(**plane((0, 0), (3, 0), (3, 4)), mass=mass)


def test_gravity_refuses_coincident_regions():
    with pytest.raises(WeightsError, match="a and b"):
        build_gravity(**plane((0, 0), (0, 0), (3, 4)), mass={"a": 1, "b": 1, "c": 1})
    floored = build_gravity(
        **plane((0, 0), (0, 0), (3, 4)), mass={"a": 1, "b": 1, "c": 1}, minimum_km=2, standardise="none"
    )
    assert floored.matrix[0, 1] == pytest.approx(0.25)


# -- economic and institutional -------------------------------------------------------------------


def test_economic_by_hand():
    # g = 1, 2, 4: deviations −4/3, −1/3, 5/3, sd √(14/9).
    weights = build_economic(ABC, {"a": 1, "b": 2, "c": 4}, standardise="none")
    sd = np.sqrt(14) / 3
    assert np.allclose(weights.matrix.toarray(), sd * np.array([[0, 1, 1 / 3], [1, 0, 1 / 2], [1 / 3, 1 / 2, 0]]))
    assert any("endogenous" in note for note in weights.notes)


def test_economic_floor():
    # a and b have the same g: their difference counts as 1 % of the sd (½ here), so w = 100.
    weights = build_economic(ABC, {"a": 0, "b": 0, "c": 1}, standardise="none")
    assert weights.matrix[0, 1] == pytest.approx(100.0)
    assert "2 links of differences below 1 %" in weights.notes[0]
    with pytest.raises(WeightsError, match="same in all regions"):
        build_economic(ABC, {"a": 1, "b": 1, "c": 1})


def test_economic_on_the_links_of_another_w_only():
    ring = build_knn(**plane((0, 0), (1, 0), (5, 0)), k=1)
    weights = build_economic(ABC, {"a": 1, "b": 2, "c": 4}, support=ring, standardise="none")
    assert (weights.matrix != 0).toarray().tolist() == (ring.matrix != 0).toarray().tolist()
    other = SpatialWeights(sp.csr_matrix([[0, 1.0], [1.0, 0]]), ("a", "z"), "other")
    with pytest.raises(AlignmentError):
        build_economic(ABC, {"a": 1, "b": 2, "c": 4}, support=other)


def test_economic_needs_a_limit_on_large_maps_and_keeps_it():
    rng = np.random.default_rng(1)
    ids = tuple(f"r{i:04d}" for i in range(6_000))
    g = dict(zip(ids, rng.normal(size=6_000), strict=True))
    with pytest.raises(WeightsError, match="nearest="):
        build_economic(SimpleNamespace(regions=ids), g)
    assert build_economic(SimpleNamespace(regions=ids), g, nearest=4).matrix.nnz == 24_000


def test_most_alike_against_brute_force():
    rng = np.random.default_rng(2)
    values, ranks = rng.integers(0, 40, 60).astype(float), rng.permutation(60)
    rows, columns = most_alike(values, 5, ranks)
    for i in range(60):
        mine = np.sort(np.abs(values[columns[rows == i]] - values[i]))
        brute = np.sort(np.abs(np.delete(values, i) - values[i]))[:5]
        assert np.array_equal(mine, brute)
        assert i not in columns[rows == i]


def test_most_alike_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(4)
    values, ranks = rng.integers(0, 6, 30).astype(float), np.arange(30)
    order = rng.permutation(30)
    one, two = most_alike(values, 4, ranks), most_alike(values[order], 4, ranks[order])
    links = set(zip(one[0].tolist(), one[1].tolist(), strict=True))
    assert links == set(zip(order[two[0]].tolist(), order[two[1]].tolist(), strict=True))


def test_institutional_by_hand():
    weights = build_institutional(ABC, {"a": 0, "b": 1, "c": 3}, scale=2, standardise="none")
    assert np.allclose(weights.matrix.toarray()[0], [0, np.exp(-0.5), np.exp(-1.5)], rtol=1e-14)
    # By default one sd of q: √(14)/3.
    assert build_institutional(ABC, {"a": 0, "b": 1, "c": 3}, standardise="none").matrix[0, 1] == pytest.approx(
        np.exp(-3 / np.sqrt(14)), rel=1e-14
    )


def test_same_group():
    source = SimpleNamespace(regions=tuple("abcde"))
    groups = {"a": "X", "b": "Y", "c": "X", "d": "X", "e": "Z"}
    with pytest.raises(IslandError, match="2 regions have no neighbour"):
        build_same_group(source, groups)
    weights = build_same_group(source, groups, islands="keep", standardise="none")
    assert {(r.focal, r.neighbor) for r in weights.to_frame().itertuples()} == {
        (i, j) for i in "acd" for j in "acd" if i != j
    }
    with pytest.raises(AlignmentError, match="2 regions have no group"):
        build_same_group(source, {"a": "X", "b": "X", "c": "X"})


def test_same_group_is_never_dense_by_accident():
    ids = tuple(f"r{i:05d}" for i in range(20_000))
    with pytest.raises(WeightsError, match="399,980,000 links"):
        build_same_group(SimpleNamespace(regions=ids), dict.fromkeys(ids, "all"))


# -- steps and symmetry ---------------------------------------------------------------------------


def lattice(side):
    i = np.arange(side * side).reshape(side, side)
    u, v = np.r_[i[:-1].ravel(), i[:, :-1].ravel()], np.r_[i[1:].ravel(), i[:, 1:].ravel()]
    one = sp.csr_matrix((np.ones(len(u)), (u, v)), shape=(side * side, side * side))
    ids = tuple(f"r{k // side}{k % side}" for k in range(side * side))
    return SpatialWeights(sp.csr_matrix(one + one.T), ids, "rook lattice")


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_steps_on_a_rook_lattice_are_manhattan_distances(order):
    # On a lattice the shortest way over rook links from (a, b) to (c, d) has |a − c| + |b − d| steps.
    weights = lattice(6)
    far = [[abs(int(a[1]) - int(b[1])) + abs(int(a[2]) - int(b[2])) for b in weights.regions] for a in weights.regions]
    ring = neighbours_of_order(weights, order, islands="keep", standardise="none")
    within = neighbours_of_order(weights, order, exclusive=False, standardise="none")
    assert np.array_equal(ring.matrix.toarray() > 0, np.array(far) == order)
    assert np.array_equal(within.matrix.toarray() > 0, (np.array(far) <= order) & (np.array(far) > 0))


def test_steps_follow_links_from_receiver_to_sender():
    # a ← b ← c: two steps back from a is c; nobody is two steps back from b or c.
    one_way = SpatialWeights(sp.csr_matrix([[0, 1.0, 0], [0, 0, 1.0], [0, 0, 0]]), ("a", "b", "c"), "x", "none", "keep")
    assert neighbours_of_order(one_way, 2, islands="keep").to_frame().values.tolist() == [["a", "c", 1.0]]
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="number of steps"):
            neighbours_of_order(one_way, wrong)


def test_nearest_neighbours_made_symmetric():
    # At 0, 1, 3: a → b, b → a, c → b. Either side: a–b, b–c; both sides: a–b only.
    where = plane((0, 0), (1, 0), (3, 0))
    either = build_knn(**where, k=1, symmetrise="max", standardise="none").matrix.toarray()
    assert either.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    both = build_knn(**where, k=1, symmetrise="min", standardise="none", islands="keep")
    assert both.matrix.toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert both.islands == ("c",)
    with pytest.raises(OptionError, match="symmetrise"):
        build_knn(**where, k=1, symmetrise="mean")
