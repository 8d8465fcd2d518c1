"""The kinds of W of a study that need more than a map: masses, similarity, networks, portfolios, industries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spillover.errors import AlignmentError, show_labels
from spillover.panel.panel import Panel
from spillover.study.config import DistanceSection, WeightsSection
from spillover.weights.labels import names_of
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.weights.portfolios import Portfolio
    from spillover.weights.transport import TravelTimes

NEEDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "gaussian": (("bandwidth_km", "the distance at which weights have fallen to 61 %"),),
    "gravity": (("variable", "the mass of the senders"),),
    "economic": (("variable", "the variable in which regions are alike"),),
    "institutional": (("variable", "the variable in which regions are alike"),),
    "same-group": (("group", "one of [data] groups"),),
    "travel-time": (
        ("edges", "a table with columns from, to and minutes (or length_km and speed_kmh)"),
        ("decay_per_minute", "the decay per minute"),
    ),
    "time-file": (("file", "a table of travel times"), ("decay_per_minute", "the decay per minute")),
    "technological": (
        ("file", "a table of patents by region and class"),
        ("columns", "its columns: region, class, value"),
    ),
    "input-output": (
        ("file", "a table of employment by region and sector"),
        ("columns", "its columns: region, sector, value"),
        ("io_table", "an input–output table"),
    ),
}
"""What each kind cannot do without."""

MAPLESS = ("economic", "institutional", "same-group", "time-file", "technological", "input-output")
"""Kinds that need no map."""

PATHS = ("file", "order", "edges", "nodes", "connectors", "io_table")
"""Keys of [[weights]] that hold a path."""

DISTANCE_PATHS = ("file", "edges", "nodes", "connectors")
"""Keys of [distance] that hold a path."""


def build_proximity(item: WeightsSection, panel: Panel) -> SpatialWeights:
    """One W among the regions of the panel, of a kind in `NEEDS` or "shared-border"."""
    from spillover.weights import alike, borders, distance, gravity

    shared: dict[str, Any] = {"standardise": item.standardise, "islands": item.islands, "links": item.links}
    if item.kind == "shared-border":
        return borders.build_shared_border(panel, **shared)
    if item.kind == "gaussian":
        assert item.bandwidth_km is not None
        return distance.build_gaussian(panel, item.bandwidth_km, item.threshold_km, **shared)
    if item.kind == "gravity":
        return gravity.build_gravity(panel, item.variable, item.power, item.threshold_km, **shared)
    if item.kind == "economic":
        return alike.build_economic(panel, item.variable, item.power, nearest=item.k, **shared)
    if item.kind == "institutional":
        return alike.build_institutional(panel, item.variable, nearest=item.k, **shared)
    if item.kind == "same-group":
        return alike.build_same_group(panel, item.group, **shared)
    if item.kind in ("travel-time", "time-file"):
        return _by_time(item, panel, shared)
    return _by_portfolio(item, panel, shared)


def _by_time(item: WeightsSection, panel: Panel, shared: dict[str, Any]) -> SpatialWeights:
    from spillover.weights.transport import build_travel_time, read_travel_times

    assert item.decay_per_minute is not None
    times = read_travel_times(item.file) if item.kind == "time-file" else travel_times(item, panel)
    return build_travel_time(
        _among(times, panel),
        "exponential",
        item.decay_per_minute,
        threshold=item.cutoff_minutes,
        names=names_of(panel),
        **shared,
    )


def _among(times: TravelTimes, panel: Panel) -> TravelTimes:
    absent = sorted(set(panel.regions) - set(times.regions))
    if absent:
        raise AlignmentError(
            f"{len(absent)} regions have no travel times",
            got=show_labels(absent),
            expected="ids such as " + show_labels(times.regions),
            fix="leave these regions out, or take the table of all regions",
        )
    return times.align(panel.regions)


def travel_times(item: WeightsSection | DistanceSection, panel: Panel) -> TravelTimes:
    """Travel times among the regions of the panel over the network that a section names."""
    from spillover.panel.tables import open_table
    from spillover.weights.transport import connect_nearest, find_travel_times, read_connectors, read_network

    columns = set(open_table(item.edges).columns)
    network = read_network(
        item.edges,
        item.nodes,
        minutes="minutes" if "minutes" in columns else None,
        length_km="length_km" if "length_km" in columns else None,
        speed_kmh="speed_kmh" if "speed_kmh" in columns and "minutes" not in columns else None,
        mode="mode" if "mode" in columns else None,
        both_ways="both_ways" if "both_ways" in columns else True,
        transfers=item.transfer_minutes,
    )
    if item.connectors is not None:
        connectors = read_connectors(item.connectors, network)
    else:
        connectors = connect_nearest(panel, network, item.access_kmh)
    return find_travel_times(network, connectors, cutoff_minutes=item.cutoff_minutes)


def _by_portfolio(item: WeightsSection, panel: Panel, shared: dict[str, Any]) -> SpatialWeights:
    from spillover.weights.linkage import build_input_output, read_input_output
    from spillover.weights.technological import build_technological

    portfolio = _portfolio(item, panel)
    top = item.k if item.k is not None else 50
    if item.kind == "technological":
        return build_technological(portfolio, top=top, names=names_of(panel), **shared)
    rows = None if not item.io_rows else (item.io_rows[0], item.io_rows[1])
    table = read_input_output(item.io_table, code=item.io_code, rows=rows, output=item.io_output)
    return build_input_output(table, portfolio, item.receives_from, top=top, names=names_of(panel), **shared)


def _portfolio(item: WeightsSection, panel: Panel) -> Portfolio:
    from spillover.weights.portfolios import read_portfolio

    region, class_, value = item.columns
    return read_portfolio(item.file, region=region, class_=class_, value=value).align(panel.regions)
