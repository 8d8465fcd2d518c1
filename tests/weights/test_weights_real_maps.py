"""Against neighbour lists and distances published with real maps."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spillover.weights import build_contiguity, build_inverse_distance, from_file

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data():
    folder = Path(os.environ.get("SPILLOVER_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the regional data folder is absent; set SPILLOVER_DATA")
    return folder


@pytest.fixture(scope="module")
def germany(data):
    import geopandas

    return geopandas.read_file(data / "de_nuts3_patents" / "de_nuts3_2016.geojson")


def test_chinese_provinces_queen(data):
    import geopandas

    frame = geopandas.read_file(data / "cn_province_hti" / "cn_provinces.geojson")
    published = from_file(data / "cn_province_hti" / "W_queen_binary_31.csv", islands="keep", standardise="none")
    ours = build_contiguity(frame, regions="adcode", islands="keep", standardise="none")
    assert ours.matrix.nnz == 136
    assert (ours.align(published.regions).matrix != published.matrix).nnz == 0
    assert ours.islands == ("460000",)  # Hainan
    linked = build_contiguity(frame, regions="adcode", links=[("460000", "440000")])
    assert linked.rows_sum_to_one
    assert linked.matrix.nnz == 138


def test_german_districts_queen(data, germany):
    path = data / "de_nuts3_patents" / "queen_pairs.csv"
    published = from_file(path, focal="i", neighbor="j", both_ways=True, standardise="none")
    ours = build_contiguity(germany, regions="nuts3", standardise="none")
    assert (ours.n, ours.matrix.nnz) == (401, 2078)
    assert (ours.align(published.regions).matrix != published.matrix).nnz == 0


def test_german_districts_distances(data, germany):
    ours = build_inverse_distance(germany, regions="nuts3", standardise="none")
    table = pd.read_csv(data / "de_nuts3_patents" / "distance_m_gN3dist.csv", index_col=0)
    published = table.loc[list(ours.regions), list(ours.regions)].to_numpy() / 1000
    off = ~np.eye(401, dtype=bool)
    ratio = 1 / ours.matrix.toarray()[off] / published[off]
    # The published centroids come from another, finer map: median equal, 1st to 99th percentile within 2.5 %.
    assert np.median(ratio) == pytest.approx(1, abs=0.005)
    assert np.percentile(ratio, [1, 99]) == pytest.approx([1, 1], abs=0.025)


def test_european_islands_are_found_and_named(data):
    import geopandas

    frame = geopandas.read_file(data / "eu_nuts2_hti" / "nuts2_2016_20M.geojson")
    weights = build_contiguity(frame, regions="nuts2", islands="nearest")
    assert weights.islands == ()
    assert "PT20" in weights.notes[-1]  # the Azores
    assert "22 regions without neighbours" in weights.notes[-1]


@pytest.mark.parametrize(
    ("name", "regions", "links"),
    [
        ("us_cigar/W_usa46_binary.csv", 46, 188),
        ("us_produc/W_usaww_rowstd.csv", 48, 214),
        ("it_province_insurance/W_itaww_rowstd.csv", 103, 460),
    ],
)
def test_labelled_squares_of_other_packages(data, name, regions, links):
    weights = from_file(data / name)
    assert (weights.n, weights.matrix.nnz) == (regions, links)
    assert weights.rows_sum_to_one


def test_county_codes_keep_their_zeros(data):
    path = data / "us_county_patents" / "county_queen_pairs_lower48.csv"
    weights = from_file(path, focal="stco_i", neighbor="stco_j", both_ways=True)
    assert weights.matrix.nnz == 2 * 8121
    assert weights.regions[0] == "01001"
