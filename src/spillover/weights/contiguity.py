"""Contiguity weights from a map: who shares a border, or a corner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError, check_option, show_labels
from spillover.panel.panel import Panel
from spillover.typing import IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.labels import names_of
from spillover.weights.locate import as_frame, frame_ids, locate
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from geopandas import GeoSeries

Pairs = tuple[IntArray, IntArray]


def build_contiguity(
    source: Any,
    rule: Literal["queen", "rook"] = "queen",
    *,
    regions: str | Sequence[Any] | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
    snap_km: float | None = None,
) -> SpatialWeights:
    """Binary contiguity: w_ij = 1 before standardisation if regions i and j share a border.

    Parameters
    ----------
    source : `Panel` with a map of polygons, or a GeoDataFrame. Borders are compared in the map's own coordinates.
    rule : "queen" (a common point is enough) or "rook" (a common stretch of border).
    regions : for a GeoDataFrame, the id column or the n ids; its index by default.
    islands : policy for regions without neighbours: "error", "nearest", "keep", "drop".
    standardise : "row", "spectral", "scalar", "min-max" or "none".
    links : pairs of ids linked by hand, both ways, before the island policy: [("460000", "440000")].
    snap_km : also link regions whose borders are at most this far apart, for maps whose borders do not quite meet
        (queen only; km measured in an equal-area projection centred on the map). The added pairs are noted.

    Returns
    -------
    SpatialWeights, symmetric before standardisation. Shapes that overlap count as neighbours and are noted.

    Raises
    ------
    WeightsError : no map, points instead of polygons, missing or invalid shapes, ids that are blank or repeated.
    IslandError : regions without neighbours and no policy. OptionError, AlignmentError : a wrong option or link.

    Cost: n log n for a map of n polygons.

    >>> import geopandas, shapely
    >>> squares = [shapely.box(x, y, x + 1, y + 1) for y in range(2) for x in range(2)]
    >>> lattice = geopandas.GeoDataFrame(geometry=squares, index=["sw", "se", "nw", "ne"])
    >>> build_contiguity(lattice, "rook", standardise="none").matrix.toarray().astype(int).tolist()
    [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
    """
    check_option("rule", rule, ("queen", "rook"))
    check_choices(islands, standardise)
    _check_snap(snap_km, rule)
    ids, shapes = map_polygons(source, regions)
    pairs = _contiguous(shapes, rule)
    notes: list[str] = []
    overlapping = _without(_overlapping(shapes), pairs, len(ids))
    if len(overlapping[0]):
        notes.append(_tell(ids, overlapping, "pairs of regions overlap on the map and count as neighbours"))
    near: Pairs = (overlapping[0][:0], overlapping[1][:0])
    if snap_km is not None:
        near = _without(_without(_near(shapes, snap_km), pairs, len(ids)), overlapping, len(ids))
        notes.append(_tell(ids, near, f"pairs of regions were linked across gaps of at most {snap_km:g} km"))
    rows, columns = (np.concatenate([pairs[a], overlapping[a], near[a]]) for a in (0, 1))
    matrix = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(ids), len(ids)))
    raw = SpatialWeights(matrix, ids, f"{rule} contiguity", island_policy="keep", notes=tuple(notes))
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: locate(source, regions=regions),
        names=names_of(source),
    )


def _check_snap(snap_km: float | None, rule: str) -> None:
    if snap_km is None:
        return
    if not (np.isfinite(snap_km) and snap_km > 0):
        raise OptionError("snap_km is not a distance", got=repr(snap_km), expected="km above zero")
    if rule == "rook":
        raise OptionError(
            'snap_km goes with rule="queen" only',
            got=f'snap_km={snap_km:g} with rule="rook"',
            causes=("across a gap a corner cannot be told from a border",),
            fix='use rule="queen", or link the regions by hand with links=[(a, b)]',
        )


def map_polygons(source: Any, regions: str | Sequence[Any] | None) -> tuple[tuple[str, ...], GeoSeries]:
    """Ids and shapes of the source, checked, with positions as the index."""
    if isinstance(source, Panel):
        if source.geometry is None:
            raise WeightsError(
                "the panel has no map, so contiguity cannot be built",
                got=repr(source),
                fix='read it with read_panel(…, geometry="regions.geojson")',
            )
        ids, frame = source.regions, source.geometry
    else:
        frame = as_frame(source)
        if not hasattr(frame, "crs"):
            raise WeightsError(
                "contiguity needs a map, and this table has no shapes",
                got="columns " + show_labels(map(str, frame.columns), 8),
                expected="a GeoDataFrame, or a panel that was read with geometry=…",
            )
        ids = frame_ids(frame, regions)
    shapes = frame.geometry.reset_index(drop=True)
    _check_shapes(ids, shapes)
    return ids, shapes


def _check_shapes(ids: tuple[str, ...], shapes: GeoSeries) -> None:
    labels = np.array(ids, dtype=object)
    missing = (shapes.isna() | shapes.is_empty).to_numpy()
    if missing.any():
        raise WeightsError("some regions have no shape on the map", got=show_labels(labels[missing]))
    other = ~shapes.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    if other.any():
        kinds = ", ".join(sorted(set(shapes.geom_type[other])))
        raise WeightsError(
            "contiguity needs polygons",
            got=f"{kinds} for {show_labels(labels[other])}",
            fix="use build_knn or build_distance_band for points",
        )
    invalid = ~shapes.is_valid.to_numpy()
    if invalid.any():
        raise WeightsError(
            "some shapes on the map are not valid polygons (their borders cross themselves)",
            got=show_labels(labels[invalid]),
            fix="repair the map first, for example with GeoDataFrame.make_valid()",
        )


def _contiguous(shapes: GeoSeries, rule: str) -> Pairs:
    """Pairs of positions, both ways. Geometric relations, not shared vertices: borders need not share vertices."""
    from libpysal.graph import Graph

    links = Graph.build_contiguity(shapes, rook=rule == "rook", strict=True).adjacency
    links = links[links > 0]
    focal = links.index.get_level_values("focal").to_numpy(dtype=np.int64)
    return focal, links.index.get_level_values("neighbor").to_numpy(dtype=np.int64)


def _overlapping(shapes: GeoSeries) -> Pairs:
    """Pairs whose interiors meet: the strict relation "touches" leaves them out, and no link would be a silent loss."""
    rows, columns = shapes.sindex.query(shapes, predicate="intersects")
    rows, columns = rows[rows != columns], columns[rows != columns]
    import shapely

    values = shapes.to_numpy()
    inside = ~shapely.touches(values[rows], values[columns])
    return rows[inside], columns[inside]


def _near(shapes: GeoSeries, km: float) -> Pairs:
    """Pairs at most `km` apart, in an equal-area projection centred on the map."""
    metres = 1000.0
    if shapes.crs is None:
        metres = 1.0  # plane coordinates in km
    elif shapes.crs.is_geographic:
        west, south, east, north = shapes.total_bounds
        centre = f"+proj=laea +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +units=m"
        shapes = shapes.to_crs(centre)
    else:
        metres = 1000.0 / float(shapes.crs.axis_info[0].unit_conversion_factor)
    rows, columns = shapes.sindex.query(shapes, predicate="dwithin", distance=km * metres)
    return rows[rows != columns], columns[rows != columns]


def _without(pairs: Pairs, known: Pairs, n: int) -> Pairs:
    """Pairs that are not among the known ones."""
    new = ~np.isin(pairs[0] * n + pairs[1], known[0] * n + known[1])
    return pairs[0][new], pairs[1][new]


def _tell(ids: tuple[str, ...], pairs: Pairs, what: str) -> str:
    """A note that names pairs once."""
    once = [f"{ids[i]}–{ids[j]}" for i, j in zip(*pairs, strict=True) if i < j]
    return f"{len(once)} {what}" + (f": {show_labels(sorted(once), 60)}" if once else "")
