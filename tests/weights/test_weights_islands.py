"""Island policies and links by hand."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from spillover.errors import AlignmentError, IslandError, OptionError, WeightsError
from spillover.weights import SpatialWeights, apply_island_policy, build_distance_band, from_object
from spillover.weights.points import Points

# On a line, in km: a and b are 3 apart; c is 10 from b; d is 1 from c.
PLACES = np.array([[0.0, 0.0], [3.0, 0.0], [13.0, 0.0], [14.0, 0.0]])
IDS = ("a", "b", "c", "d")


def with_links(links, ids=IDS, weight=1.0):
    matrix = sp.lil_matrix((len(ids), len(ids)))
    for receiver, sender in links:
        matrix[ids.index(receiver), ids.index(sender)] = weight
    return SpatialWeights(matrix.tocsr(), tuple(ids), "example", island_policy="keep")


def links_of(weights):
    return {(row.focal, row.neighbor) for row in weights.to_frame().itertuples()}


AB = [("a", "b"), ("b", "a")]


def test_error_names_the_islands():
    with pytest.raises(IslandError, match="c, d"):
        apply_island_policy(with_links(AB), "error")


def test_keep_notes_the_names():
    kept = apply_island_policy(with_links(AB), "keep")
    assert kept.islands == ("c", "d")
    assert "c, d" in kept.notes[-1]


def test_nearest_links_both_ways_and_once():
    linked = apply_island_policy(with_links(AB), "nearest", PLACES)
    assert links_of(linked) == {*AB, ("c", "d"), ("d", "c")}  # c and d are each other's nearest: one pair
    assert set(linked.matrix.data) == {1.0}
    assert linked.island_policy == "nearest"
    assert "c with d (1 km)" in linked.notes[-1]


def test_new_links_of_weights_on_another_scale_get_the_median():
    linked = apply_island_policy(with_links(AB, weight=40.0), "nearest", PLACES)
    assert linked.matrix[2, 3] == 40.0


def test_nearest_without_places_says_what_to_do():
    with pytest.raises(IslandError, match="source=panel"):
        apply_island_policy(with_links(AB), "nearest")


def test_drop_goes_on_until_nobody_is_alone_and_tells_about_the_panel():
    # b listens to a, a listens to c, c listens to nobody: dropping c leaves a alone, and then b.
    chain = with_links([("b", "a"), ("a", "c"), ("d", "e"), ("e", "d")], ids=("a", "b", "c", "d", "e"))
    dropped = apply_island_policy(chain, "drop")
    assert dropped.regions == ("d", "e")
    assert "a, b, c" in dropped.notes[-1]
    assert "panel.select(regions=W.regions)" in dropped.notes[-1]
    with pytest.raises(AlignmentError, match=r"only in the panel: a, b, c; only in W: none"):
        dropped.align(("a", "b", "c", "d", "e"))


def test_dropping_everybody_is_an_error():
    with pytest.raises(IslandError, match="no region at all"):
        apply_island_policy(with_links([("b", "a")]), "drop")


def test_policy_is_recorded_when_there_is_nothing_to_do():
    full = with_links([*AB, ("c", "d"), ("d", "c")])
    for policy in ("error", "keep", "nearest", "drop"):
        same = apply_island_policy(full, policy)
        assert same.island_policy == policy
        assert same.notes == ()
        assert links_of(same) == links_of(full)


def test_kernel_weighs_the_link_to_an_island():
    # Band of 5 km with weights 1/d: c and d are 1 km apart; a, b 3 km; e at 114 is 100 km from d.
    places, ids = np.vstack([PLACES, [114.0, 0.0]]), [*IDS, "e"]
    weights = build_distance_band(
        places, 5, binary=False, regions=ids, lonlat=False, islands="nearest", standardise="none"
    )
    dense = weights.matrix.toarray()
    assert dense[4, 3] == dense[3, 4] == pytest.approx(1 / 100, rel=1e-15)


def test_links_by_hand_come_before_the_policy():
    dense = np.zeros((3, 3))
    dense[0, 1] = dense[1, 0] = 1
    weights = from_object(dense, regions=["a", "b", "c"], links=[("c", "a")], standardise="none")
    assert links_of(weights) == {*AB, ("a", "c"), ("c", "a")}
    assert "c with a" in weights.notes[0]


def test_a_link_that_is_there_keeps_its_weight():
    dense = np.array([[0, 7.0], [0, 0]])
    weights = from_object(dense, regions=["a", "b"], links=[("a", "b")], standardise="none")
    assert weights.matrix.toarray().tolist() == [[0, 7], [7, 0]]


@pytest.mark.parametrize(
    ("links", "error", "text"),
    [
        ([("a", "zz")], AlignmentError, "zz"),
        ([("a", "a")], WeightsError, "two different regions"),
        (["ab"], WeightsError, "two different regions"),
        ([("a", "b", "c")], WeightsError, "two different regions"),
    ],
)
def test_wrong_links(links, error, text):
    with pytest.raises(error, match=text):
        from_object(np.array([[0, 1], [1, 0]]), regions=["a", "b"], links=links)


def test_unknown_policy_comes_before_any_work():
    with pytest.raises(OptionError, match="nearest"):
        from_object(np.array([[0, 1], [1, 0]]), regions=["a", "b"], islands="neares")


def test_names_stand_beside_ids_in_messages_and_notes():
    named = replace(with_links(AB), names={"c": "Hainan", "d": "Guangdong"})
    with pytest.raises(IslandError, match=r"c \(Hainan\), d \(Guangdong\)"):
        apply_island_policy(named, "error")
    linked = apply_island_policy(named, "nearest", PLACES)
    assert "c (Hainan) with d (Guangdong) (1 km)" in linked.notes[-1]
    assert ("c", "d", "nearest") in linked.added


def test_one_link_is_one_link():
    found = from_object(np.eye(4)[::-1], regions=IDS, links=[("a", "b")])
    assert "1 link was added by hand, both ways: a with b" in found.notes
    assert found.added == (("a", "b", "by hand"),)
    assert found.subset(("b", "c", "d"), islands="keep").added == ()


def test_links_that_are_listed_one_way_are_told():
    with pytest.raises(IslandError, match="listed one way only") as caught:
        apply_island_policy(with_links([("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")]), "error")
    assert "both_ways=True" in str(caught.value)
    with pytest.raises(IslandError) as caught:
        apply_island_policy(with_links(AB), "error")
    assert "one way" not in str(caught.value)


def test_a_part_of_a_w_links_its_new_islands_when_it_knows_the_places():
    full = apply_island_policy(with_links([*AB, ("c", "b"), ("b", "c"), ("d", "c")]), "nearest")
    places = Points(IDS, PLACES, lonlat=False)
    # Without b, a and c have nobody left: the nearest of the others is c for a (13 km), d for c (1 km).
    found = full.subset(("a", "c", "d"), source=places)
    assert links_of(found) == {("a", "c"), ("c", "a"), ("c", "d"), ("d", "c")}
    with pytest.raises(IslandError, match="coordinates"):
        full.subset(("a", "c", "d"))
