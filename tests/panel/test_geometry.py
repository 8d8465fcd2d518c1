"""Maps: matched by id, repaired aloud, measured, and small enough for a report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from spillover.errors import AlignmentError, FileError, OptionError, PanelError, UnknownColumnError, ValueDomainError
from spillover.panel import areas_km2, centroids, read_panel, to_geojson

# WGS84 (NIMA TR8350.2): semi-major axis in km and flattening.
A_KM, FLATTENING = 6378.137, 1 / 298.257223563


def table(ids=("01", "02")):
    return pd.DataFrame({"code": list(ids), "x": np.arange(len(ids), dtype=float)})


def squares(ids=("01", "02", "03"), crs="EPSG:4326", size=1.0, **columns):
    boxes = [shapely.box(k * size, 0, (k + 1) * size, size) for k in range(len(ids))]
    return gpd.GeoDataFrame({"code": list(ids), **columns}, geometry=boxes, crs=crs)


def read(geometry, ids=("01", "02"), policy="table", **options):
    return read_panel(table(ids), region="code", geometry=geometry, geometry_policy=policy, **options)


def ellipsoid_zone_area(degrees):
    """km² between the equator and a latitude, over one degree of longitude (Snyder 1987, eq. 3-12)."""
    e = np.sqrt(FLATTENING * (2 - FLATTENING))
    s = np.sin(np.radians(degrees))
    q = (1 - e**2) * (s / (1 - e**2 * s**2) + np.arctanh(e * s) / e)
    return A_KM**2 * q / 2 * np.radians(1.0)


# -- matching -----------------------------------------------------------------------------------


def test_the_map_follows_the_panel_by_id_whatever_its_order():
    panel = read(squares().iloc[[2, 1, 0]])
    assert list(panel.geometry.index) == ["01", "02"]
    assert list(panel.geometry.columns) == ["geometry"]
    np.testing.assert_array_equal(panel.geometry.bounds.minx, [0, 1])
    assert "1 region of the map not in the table left out: 03" in panel.log


def test_surplus_regions_are_an_error_unless_chosen():
    with pytest.raises(AlignmentError, match=r"only on the map: 03(.|\n)*geometry_policy"):
        read(squares(), policy="error")


def test_a_region_without_shape_is_always_an_error():
    with pytest.raises(AlignmentError, match="only in the table: 04; only on the map: 02, 03"):
        read(squares(), ids=("01", "04"))
    hollow = squares()
    hollow.loc[1, "geometry"] = None
    with pytest.raises(AlignmentError, match=r"1 region without a shape(.|\n)*02"):
        read(hollow)


def test_lost_zeros_are_recognised():
    with pytest.raises(AlignmentError, match="'01' is '1' on the map"):
        read(squares((1, 2, 3)))
    with pytest.raises(AlignmentError, match=r"'01' is '1.0' on the map"):
        read(squares(("1.0", "2.0")))


def test_repeated_shapes_are_an_error():
    with pytest.raises(AlignmentError, match=r"1 region with more than one shape(.|\n)*02(.|\n)*dissolve"):
        read(squares(("01", "02", "02")))


def test_the_id_column_is_found_or_named():
    other = squares().rename(columns={"code": "nuts"})
    assert "regions were found on the map by its column 'nuts'" in read(other).log
    assert list(read(other, geometry_id="nuts").geometry.index) == ["01", "02"]
    assert list(read(other.set_index("nuts")).geometry.index) == ["01", "02"]
    assert list(read(squares().set_index("code").geometry).geometry.index) == ["01", "02"]
    with pytest.raises(UnknownColumnError, match="Did you mean 'nuts'"):
        read(other, geometry_id="nutz")
    with pytest.raises(UnknownColumnError, match=r"got: +nuts, twin"):
        read(other.assign(twin=["02", "01", "03"]))
    with pytest.raises(UnknownColumnError, match="no column of the map holds"):
        read(other.assign(nuts=["A", "B", "C"]))


def test_whole_number_ids_of_a_map_match_texts():
    assert read(squares((11.0, 12.0)), ids=("11", "12")).regions == ("11", "12")


def test_names_may_come_from_the_map():
    panel = read(squares(label=["Île", "<b>", "c"]), name="label")
    assert panel.names == ("Île", "<b>")
    assert "display names were taken from the map, column 'label'" in panel.log


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp"])
def test_map_files(tmp_path, suffix):
    squares().to_file(tmp_path / f"m.{suffix}")
    panel = read(tmp_path / f"m.{suffix}")
    # a file changes neither shapes nor places; 1e-9 is the rounding of GeoJSON coordinates
    np.testing.assert_allclose(centroids(panel)[0], centroids(read(squares()))[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.geojson", b"", "is empty"),
        ("m.geojson", b'{"a": 1}', "cannot be read as a map"),
        ("m.geojson", b'{"type": "FeatureCollection", "features": []}', "no shapes"),
        ("m.gpkg", b"\x00\x01" * 99, "cannot be read as a map"),
        ("m.shp", b"\x00\x01" * 99, r"cannot be read as a map(.|\n)*\.shx"),
        ("m.csv", b"a,b\n1,2\n", "not a kind of map"),
    ],
)
def test_bad_map_files(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=words):
        read(tmp_path / name)


def test_things_that_are_no_maps(tmp_path):
    with pytest.raises(FileError, match="is not there"):
        read(tmp_path / "m.geojson")
    with pytest.raises(OptionError, match="neither a path nor a GeoDataFrame"):
        read(3)
    with pytest.raises(FileError, match="no shapes"):
        read(gpd.GeoDataFrame({"code": ["01"]}))


def test_second_layers_are_mentioned(tmp_path):
    squares().to_file(tmp_path / "m.gpkg", layer="regions")
    squares().to_file(tmp_path / "m.gpkg", layer="rivers")
    assert "only the first layer of m.gpkg was read (regions); others: rivers" in read(tmp_path / "m.gpkg").log


# -- shapes and places --------------------------------------------------------------------------


def test_self_crossing_shapes_are_repaired_aloud():
    broken = squares()
    broken.loc[0, "geometry"] = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])  # a bow tie of area ½
    panel = read(broken)
    assert panel.geometry.is_valid.all()
    assert panel.geometry.geometry.iloc[0].area == 0.5
    assert "self-crossing shapes repaired, of 1 region: 01" in panel.log


def test_of_a_spike_only_the_polygon_stays_aloud():
    spiked = shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (-5, -5), (0, 0)])
    frame = squares()
    frame.loc[0, "geometry"] = spiked
    frame.loc[1, "geometry"] = shapely.GeometryCollection(
        [shapely.box(1, 0, 2, 1), shapely.MultiPolygon([shapely.box(5, 5, 6, 6)])]
    )
    panel = read(frame)
    assert panel.geometry.geom_type.tolist() == ["Polygon", "MultiPolygon"]
    assert shapely.area(panel.geometry.geometry.to_numpy()).tolist() == [1.0, 2.0]
    assert panel.geometry.crs == frame.crs
    assert any("only the polygons were kept of the shapes of 2 regions: 01, 02" in line for line in panel.log)


def test_a_map_that_does_not_say_where_it_is():
    degrees = read(squares(crs=None))
    assert degrees.geometry.crs.to_epsg() == 4326
    assert any("taken for longitude and latitude" in line for line in degrees.log)
    plane = read(squares(crs=None, size=500.0))
    assert plane.geometry.crs is None
    assert any("take it for km" in line for line in plane.log)
    np.testing.assert_array_equal(areas_km2(plane), [250_000, 250_000])
    coordinates, lonlat = centroids(plane)
    assert not lonlat
    np.testing.assert_array_equal(coordinates, [[250, 250], [750, 250]])


def test_a_plane_map_in_a_geojson_is_not_taken_for_degrees(tmp_path):
    # the format says longitude and latitude (RFC 7946), the numbers cannot be
    path = tmp_path / "m.geojson"
    path.write_text(squares(crs=None, size=500.0).to_json())
    assert read(path).geometry.crs is None


def test_areas_on_the_ellipsoid():
    # a degree square at the equator and one at 60° north; edges drawn along parallels with many vertices
    low = shapely.box(10, 0, 11, 1)
    high = shapely.segmentize(shapely.box(10, 60, 11, 61), 0.01)
    frame = gpd.GeoDataFrame({"code": ["01", "02"]}, geometry=[low, high], crs="EPSG:4326")
    expected = [ellipsoid_zone_area(1), ellipsoid_zone_area(61) - ellipsoid_zone_area(60)]
    # straight edges in the projection instead of parallels: a sliver of less than 1e-4 of the area
    np.testing.assert_allclose(areas_km2(read(frame)), expected, rtol=1e-4)


def test_swapped_degrees_are_refused():
    """China's coordinates are 73–135 east and 18–54 north: with the axes swapped the second of them is beyond 90."""
    boxes = [shapely.box(30.0 + k, 100.0, 31.0 + k, 101.0) for k in range(3)]
    china = gpd.GeoDataFrame({"code": ["01", "02", "03"]}, geometry=boxes, crs="EPSG:4326")
    with pytest.raises(PanelError, match="longitude and latitude are swapped"):
        read_panel(table(("01", "02", "03")), region="code", geometry=china)
    assert read_panel(table(("01", "02", "03")), region="code", geometry=china.set_crs(None, allow_override=True))


def test_a_plane_map_may_say_its_unit():
    metres = read(squares(crs='LOCAL_CS["grid", UNIT["metre", 1]]', size=500.0))
    np.testing.assert_array_equal(areas_km2(metres), [0.25, 0.25])
    np.testing.assert_array_equal(centroids(metres)[0], [[0.25, 0.25], [0.75, 0.25]])
    assert not centroids(metres)[1]


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:3857"])
def test_projected_maps_give_the_same_places_and_areas(crs):
    fine = squares()
    fine["geometry"] = fine.geometry.segmentize(0.02)
    one, other = read(fine), read(fine.to_crs(crs))
    assert centroids(other)[1]
    # the same vertices through another projection: what is left is the straightness of short edges
    np.testing.assert_allclose(centroids(other)[0], centroids(one)[0], atol=1e-5)
    np.testing.assert_allclose(areas_km2(other), areas_km2(one), rtol=1e-5)


def test_a_region_across_the_date_line_keeps_its_place():
    two = shapely.MultiPolygon([shapely.box(178, -18, 180, -16), shapely.box(-180, -18, -178, -16)])
    frame = gpd.GeoDataFrame({"code": ["01", "02"]}, geometry=[two, shapely.box(176, -18, 178, -16)], crs="EPSG:4326")
    coordinates, _ = centroids(read(frame))
    assert abs(coordinates[0, 0]) == pytest.approx(180, abs=1e-3)  # on the line; edges bend a little
    areas = areas_km2(read(frame))
    assert areas[0] / areas[1] == pytest.approx(2, rel=1e-3)  # twice as wide


def test_measures_need_a_map_with_areas():
    plain = read_panel(table(), region="code")
    for measure in (areas_km2, centroids, to_geojson):
        with pytest.raises(PanelError, match="geometry="):
            measure(plain)
    points = squares().set_geometry(squares().geometry.representative_point())
    assert centroids(read(points))[0].shape == (2, 2)
    with pytest.raises(ValueDomainError, match=r"no area(.|\n)*01, 02"):
        areas_km2(read(points))


# -- display ------------------------------------------------------------------------------------


def wiggly_grid(side=10, points=150):
    """side² squares whose shared borders have many vertices: a sea of detail on a small map."""
    steps = np.linspace(0, 1, points)
    wave = 0.02 * np.sin(2 * np.pi * 9 * steps) * np.sin(np.pi * steps)
    shapes = []
    for i in range(side):
        for j in range(side):
            south = np.column_stack([i + steps, j + wave])
            east = np.column_stack([i + 1 + wave, j + steps])
            north, west = south + np.array([0, 1]), east - np.array([1, 0])
            shapes.append(shapely.Polygon(np.vstack([south, east, north[::-1], west[::-1]])))
    ids = [f"{k:03d}" for k in range(len(shapes))]
    return gpd.GeoDataFrame({"code": ids}, geometry=shapes, crs="EPSG:4326"), ids


def test_geojson_is_small_and_borders_stay_shared():
    frame, ids = wiggly_grid()
    panel = read(frame, ids=tuple(ids))
    collection = to_geojson(panel)
    text = json.dumps(collection, ensure_ascii=False, separators=(",", ":"))
    assert shapely.get_num_coordinates(frame.geometry.to_numpy()).sum() == 60_000  # 100 × 4 × 150: too many for display
    assert len(text) < 400_000 * len(ids) / 300
    assert [feature["id"] for feature in collection["features"]] == ids
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    # neighbours share their border: no gap and no overlap but what rounding to 3 digits leaves
    assert shapely.union_all(shapes).area == pytest.approx(sum(shape.area for shape in shapes), rel=1e-4)
    assert shapely.union_all(frame.geometry.to_numpy()).symmetric_difference(shapely.union_all(shapes)).area < 0.5


def test_simplified_neighbours_leave_no_gap_at_a_corner_of_three():
    # A wavy border with 01 on its left and 02, 03 on its right, which meet on a crest of the wave: simplified
    # one by one, 01 would lose the corner that 02 and 03 keep.
    y = np.linspace(0, 2, 401)
    border = np.column_stack([1 + 0.01 * np.sin(2.5 * np.pi * y), y])
    left = shapely.Polygon([(0, 2), (0, 0), *border])
    lower = shapely.Polygon([*border[:201], (2, 1), (2, 0)])
    upper = shapely.Polygon([*border[200:], (2, 2), (2, 1)])
    frame = gpd.GeoDataFrame({"code": ["01", "02", "03"]}, geometry=[left, lower, upper], crs="EPSG:4326")
    collection = to_geojson(read(frame, ids=("01", "02", "03")), tolerance=0.05)
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    assert shapely.get_num_coordinates(shapes).sum() < 40  # of 804
    # together they still fill the 2 × 2 square, once: 1e-9 is the rounding of sums
    assert shapely.union_all(shapes).area == pytest.approx(4, abs=1e-9)
    assert sum(shape.area for shape in shapes) == pytest.approx(4, abs=1e-9)


def test_geojson_keeps_small_regions_names_and_ring_directions():
    tiny = shapely.box(0.5, 0.5, 0.5004, 0.5004)
    frame = gpd.GeoDataFrame({"code": ["01", "02"]}, geometry=[tiny, shapely.box(1, 0, 40, 30)], crs="EPSG:4326")
    panel = read_panel(
        table().assign(n=["<script>", "北京"]), region="code", name="n", geometry=frame, geometry_policy="table"
    )
    collection = to_geojson(panel, tolerance=5.0)
    assert [feature["properties"] for feature in collection["features"]] == [{"name": "<script>"}, {"name": "北京"}]
    for feature in collection["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        x, y = ring.T
        # shoelace formula: positive for counter-clockwise outer rings (RFC 7946), zero for a region that vanished
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0
    json.dumps(collection)


def test_geojson_of_plane_maps_and_points():
    plane = to_geojson(read(squares(crs=None, size=500.0)))
    assert shapely.geometry.shape(plane["features"][1]["geometry"]).bounds == (500, 0, 1000, 500)
    points = squares().set_geometry(squares().geometry.representative_point())
    assert to_geojson(read(points))["features"][0]["geometry"] == {"type": "Point", "coordinates": [0.5, 0.5]}
    with pytest.raises(OptionError, match="tolerance"):
        to_geojson(read(points), tolerance=-1.0)


def test_display_does_not_change_the_panel():
    panel = read(wiggly_grid(3)[0], ids=tuple(wiggly_grid(3)[1]))
    before = panel.geometry.geometry.to_wkb().tolist()
    to_geojson(panel, tolerance=0.1)
    assert panel.geometry.geometry.to_wkb().tolist() == before


# -- the regional data folder -------------------------------------------------------------------


@pytest.fixture
def data():
    folder = Path(os.environ.get("SPILLOVER_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the regional data folder is absent; set SPILLOVER_DATA to read it")
    return folder


@pytest.mark.data
def test_china_provinces(data):
    folder = data / "cn_province_hti"
    panel = read_panel(
        folder / "cn_province_panel_2010_2023.csv",
        region="adcode",
        period="year",
        name="name_zh",
        geometry=folder / "cn_provinces.geojson",
    )
    assert (panel.shape, panel.regions[0], panel.names[0]) == ((31, 14), "110000", "北京")
    published = (
        pd.read_csv(folder / "cn_provinces.csv", dtype={"adcode": str}).set_index("adcode").loc[list(panel.regions)]
    )
    # the file gives whole km² computed by another equal-area projection of the same polygons
    np.testing.assert_allclose(areas_km2(panel), published["area_km2"], rtol=2e-4)
    # provinces are up to 2,400 km wide: centroids of two equal-area projections differ by a few km (0.05°)
    np.testing.assert_allclose(centroids(panel)[0], published[["centroid_lon", "centroid_lat"]], atol=0.06)


@pytest.mark.data
def test_european_regions(data):
    folder = data / "eu_nuts2_hti"
    panel = read_panel(
        folder / "eu_nuts2_panel_2008_2018.csv",
        region="nuts2",
        period="year",
        groups=["country"],
        name="name",
        geometry=folder / "nuts2_2016_20M.geojson",
        geometry_policy="table",
    )
    assert panel.shape == (284, 11)
    assert panel.groups["country"][panel.regions.index("AT13")] == "AT"
    assert panel.names[panel.regions.index("AT13")] == "Wien"
    text = json.dumps(to_geojson(panel), ensure_ascii=False, separators=(",", ":"))
    assert len(text) < 400_000
