"""Parameters of the reference system and their checks."""

from __future__ import annotations

import pytest

from spillover.errors import OptionError
from spillover.simulation.config import TRUNCATION, SystemConfig
from spillover.weights import distance


def test_all_mistakes_are_reported_together():
    with pytest.raises(OptionError) as caught:
        SystemConfig(
            n_regions=9,
            n_periods=1,
            talent_per_cluster=-1.0,
            feedback=0.5,
            cooperation_share=1.2,
            persistence=1.0,
            periphery=(0.2, 0.1),
            patent_size=0.0,
            hti_law="cluster",  # type: ignore[arg-type]
            n_clusters=400,
        )
    message = str(caught.value)
    for name in (
        "n_regions",
        "n_periods",
        "talent_per_cluster",
        "feedback",
        "cooperation_share",
        "persistence",
        "periphery",
        "patent_size",
        "hti_law",
        "n_clusters",
    ):
        assert name in message
    assert "10 inadmissible parameters" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"decay_per_km": 0.0},
        {"decay_per_km": float("nan")},
        {"decay_per_km": "fast"},
        {"n_regions": 50.0},
        {"n_regions": True},
        {"periphery": 0.1},
        {"feedback": -0.5},
        {"linkage_strength": 2.5},
        {"innovation_sd": float("inf")},
    ],
)
def test_one_mistake_is_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        SystemConfig(**wrong)


def test_too_large_a_gaussian_field_is_refused():
    with pytest.raises(OptionError, match="gaussian-process"):
        SystemConfig(n_regions=6000, hti_law="gaussian-process")


def test_number_of_clusters_by_default():
    # max(3, ⌈N/30⌉)
    assert [SystemConfig(n_regions=n).clusters for n in (10, 90, 91, 300)] == [3, 3, 4, 10]


def test_region_ids_sort_as_text():
    ids = SystemConfig(n_regions=1200).region_ids
    assert list(ids) == sorted(ids)
    assert (ids[0], ids[-1]) == ("R0001", "R1200")
    assert SystemConfig(n_regions=12).region_ids[-1] == "R012"


def test_the_kernel_is_cut_where_exponential_weights_are():
    # otherwise a W with the true decay would not hold the true kernel
    assert TRUNCATION == distance.TRUNCATION
