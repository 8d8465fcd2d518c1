"""Where regions are: one point per region from a panel, a map, a table or an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, WeightsError, did_you_mean, show_labels
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.labels import as_region_ids
from spillover.weights.points import Points

_LONGITUDE = ("lon", "lng", "long", "longitude")
_LATITUDE = ("lat", "latitude")


def locate(
    source: Any,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
) -> Points:
    """One point per region, in the order of the source.

    Parameters
    ----------
    source : one of
        `Panel` with a map (centroids) or with two variables named by `coordinates`;
        GeoDataFrame (centroids; ids from its index, or a column named by `regions`);
        any data frame, with its two columns named by `coordinates`, ids as above;
        (n, 2) array, with the ids in `regions`;
        `Points`, returned as they are.
    coordinates : names of the two columns, east first ("lon", "lat").
    regions : name of the id column, or the n ids of an array.
    lonlat : whether coordinates are degrees (else plane km). Needed for arrays and for columns whose names do not
        say it; maps say it by their coordinate reference system, and a projected map is measured on the globe like
        any other. A map without a reference system counts as degrees where its numbers can be degrees, else as plane
        km, as in `read_panel`; noted. `lonlat=False` says that small numbers are km.

    Raises
    ------
    WeightsError : no map and no coordinates, blanks, regions twice. OptionError : `lonlat` is needed.
    UnknownColumnError : a column that does not exist.
    """
    if isinstance(source, Points):
        return source
    if isinstance(source, Panel):
        return _locate_panel(source, coordinates, lonlat)
    if isinstance(source, np.ndarray | list | tuple):
        return _locate_array(np.asarray(source, dtype=float), regions, lonlat)
    frame = as_frame(source)
    ids = frame_ids(frame, regions)
    if coordinates is None:
        if not hasattr(frame, "crs"):
            raise WeightsError(
                "a table without a map says nowhere where its regions are",
                got="columns " + show_labels(map(str, frame.columns), 8),
                fix='name the two columns with coordinates=("lon", "lat")',
            )
        return _locate_map(frame, ids, lonlat)
    columns = _two_columns(coordinates, [str(name) for name in frame.columns])
    table = np.column_stack([_as_numbers(frame[name], name, ids) for name in columns])
    return Points(ids, table, _says_degrees(columns, lonlat))


def as_frame(source: Any) -> Any:
    """A pandas data frame (or GeoDataFrame) from any data frame; `WeightsError` for what is none."""
    import narwhals as nw
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source
    if nw.dependencies.is_into_dataframe(source):
        return nw.from_native(source, eager_only=True).to_pandas()
    raise WeightsError(
        "weights cannot be built from this object",
        got=f"an object of type {type(source).__name__}",
        expected="a Panel, a GeoDataFrame, a data frame, or an array of coordinates",
    )


def frame_ids(frame: Any, regions: str | Sequence[Any] | None) -> tuple[str, ...]:
    """Region ids of a frame: a column by name, a sequence, or its index."""
    if regions is None:
        import pandas as pd

        if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
            raise WeightsError(
                "the table does not say which row is which region",
                got="rows that are only numbered",
                fix='name the id column with regions="…", or set it as the index',
            )
        return as_region_ids(frame.index, "the index of the table")
    if isinstance(regions, str):
        if regions not in frame.columns:
            raise UnknownColumnError(
                f"no column {regions!r} in the table",
                expected="one of " + show_labels(map(str, frame.columns), 12),
                fix=did_you_mean(regions, map(str, frame.columns)) or None,
            )
        return as_region_ids(frame[regions], f"column {regions!r}")
    if len(regions) != len(frame):
        raise WeightsError("not one id per row", got=f"{len(regions)} ids for {len(frame)} rows")
    return as_region_ids(regions, "regions=")


def _locate_panel(panel: Panel, coordinates: Sequence[str] | None, lonlat: bool | None) -> Points:
    if coordinates is not None:
        columns = _two_columns(coordinates, list(panel.variables))
        for name in columns:
            moving = np.ptp(panel[name], axis=1) > 0
            if moving.any():
                raise WeightsError(
                    f"the coordinate {name!r} is not constant in time",
                    got=show_labels(np.array(panel.regions, dtype=object)[moving]),
                    expected="one place per region",
                )
        table = np.column_stack([panel[name][:, 0] for name in columns])
        return Points(panel.regions, table, _says_degrees(columns, lonlat))
    if panel.geometry is None:
        raise WeightsError(
            "the panel has no map, so nothing says where its regions are",
            got=repr(panel),
            fix='read it with read_panel(…, geometry="regions.geojson"), or name two variables with '
            'coordinates=("lon", "lat")',
        )
    return _centroids(panel, lonlat)


def _locate_map(frame: Any, ids: tuple[str, ...], lonlat: bool | None) -> Points:
    """Centroids of a GeoDataFrame, in its own order; read and computed as those of a panel."""
    from spillover.panel.geometry import settle_crs

    labels = np.array(ids, dtype=object)
    missing = (frame.geometry.isna() | frame.geometry.is_empty).to_numpy()
    if missing.any():
        raise WeightsError("some regions have no shape on the map", got=show_labels(labels[missing]))
    order = np.argsort(labels, kind="stable")
    notes: list[str] = []
    found = settle_crs(frame.geometry.iloc[order], "the map", notes) if lonlat is None else frame.iloc[order]
    shapes = found[[found.geometry.name]].set_axis([ids[k] for k in order], axis=0)
    panel = Panel(regions=tuple(shapes.index), periods=(0,), variables={}, geometry=shapes, is_panel=False)
    points = _centroids(panel, lonlat)
    at = points.coordinates[np.argsort(order)]
    return replace(points, regions=ids, coordinates=at, notes=tuple(notes) or points.notes)


def _centroids(panel: Panel, lonlat: bool | None) -> Points:
    from spillover.panel.geometry import centroids

    table, degrees = centroids(panel)
    if panel.geometry.crs is not None or lonlat:
        return Points(panel.regions, table, degrees or bool(lonlat))
    note = "the map has no coordinate reference system; its coordinates are taken as plane km"
    return Points(panel.regions, table, False, (note,))


def _locate_array(table: FloatArray, regions: str | Sequence[Any] | None, lonlat: bool | None) -> Points:
    if regions is None or isinstance(regions, str):
        raise WeightsError(
            "an array of coordinates does not say which row is which region",
            got=f"an array of shape {table.shape}",
            fix="give the ids in the same order with regions=[…]",
        )
    ids = as_region_ids(regions, "regions=")
    points = Points(ids, table, False)
    return replace(points, lonlat=_says_degrees((), lonlat))


def _two_columns(coordinates: Sequence[str], available: list[str]) -> tuple[str, str]:
    if isinstance(coordinates, str) or len(coordinates) != 2:
        raise OptionError(
            "coordinates= needs the names of two columns",
            got=repr(coordinates),
            expected='two names, east first: ("lon", "lat")',
        )
    for name in coordinates:
        if name not in available:
            raise UnknownColumnError(
                f"no column {name!r} in the table",
                expected="one of " + show_labels(available, 12),
                fix=did_you_mean(str(name), available) or None,
            )
    return str(coordinates[0]), str(coordinates[1])


def _as_numbers(column: Any, name: str, ids: tuple[str, ...]) -> FloatArray:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if np.isnan(numbers).any():
        raise WeightsError(
            f"column {name!r} has coordinates that are blank or not numbers",
            got=show_labels(np.array(ids, dtype=object)[np.isnan(numbers)]),
            expected="a number for every region",
        )
    return numbers


def _says_degrees(columns: Sequence[str], lonlat: bool | None) -> bool:
    """Whether coordinates are degrees: as told, or as both column names say; never guessed from the numbers."""
    if lonlat is not None:
        return lonlat
    words = [set(name.lower().replace("-", "_").split("_")) for name in columns]
    if len(words) == 2:
        if words[0] & set(_LONGITUDE) and words[1] & set(_LATITUDE):
            return True
        if words[0] & set(_LATITUDE) and words[1] & set(_LONGITUDE):
            raise OptionError(
                "coordinates are named north first",
                got=repr(tuple(columns)),
                expected="longitude first, latitude second",
            )
    raise OptionError(
        "it is not clear whether the coordinates are degrees or plane km",
        got=f"columns {', '.join(columns)}" if columns else "an array",
        expected="lonlat=True (longitude, latitude in degrees) or lonlat=False (plane coordinates in km)",
    )
