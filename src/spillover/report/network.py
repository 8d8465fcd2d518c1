"""A picture of a W: its links on the map, how many neighbours regions have, its strongest links, and the facts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import OptionError, show_labels
from spillover.report.palette import EFFECTS, INK, MUTED
from spillover.report.printing import Lettering, print_style
from spillover.study.numbers import compact
from spillover.typing import FloatArray
from spillover.weights.labels import positions_of
from spillover.weights.weights import SpatialWeights

SUFFIXES = (".svg", ".pdf", ".png")
OUTLINE = "#b8c2cc"


def draw_weights(
    weights: SpatialWeights,
    source: Any = None,
    path: str | os.PathLike[str] | None = None,
    *,
    strongest: int = 12,
    links: int = 2_000,
    coordinates: tuple[str, str] | None = None,
    regions: str | None = None,
    bounds: bool | None = None,
) -> Any:
    """The picture of a W as a matplotlib figure, and as a file.

    Parameters
    ----------
    source : panel, map or table that says where the regions are (`coordinates`, `regions` as in the builders); without
        it the matrix itself is drawn instead of the map.
    path : .svg, .pdf or .png to write.
    strongest : links to name, "from → to". links : strongest links to draw on the map.
    bounds : whether to compute the interval of ρ above 1,000 regions.

    Raises
    ------
    OptionError : another ending. AlignmentError : a source without some of the regions.
    """
    import matplotlib
    from matplotlib.figure import Figure

    target = None if path is None else Path(path)
    if target is not None and target.suffix.lower() not in SUFFIXES:
        raise OptionError("a picture has another ending", got=target.name, expected=show_labels(SUFFIXES))
    letters = Lettering()
    facts = weights.describe(bounds)
    with matplotlib.rc_context(print_style(letters)):
        figure = Figure(figsize=(9.6, 6.8), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1), height_ratios=(1.5, 1))
        _draw_links(figure.add_subplot(grid[0, 0]), weights, source, coordinates, regions, links, letters)
        _draw_degrees(figure.add_subplot(grid[0, 1]), facts)
        _write(figure.add_subplot(grid[1, 0]), "Strongest links, from → to", _strongest(weights, strongest), letters)
        _write(figure.add_subplot(grid[1, 1]), "Facts", _facts(facts), letters)
        figure.suptitle(letters.text(weights.kind, 90), fontsize=12, fontweight="bold", x=0.01, ha="left")
        if target is not None:
            metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[target.suffix.lower()]
            figure.savefig(target, metadata=metadata, dpi=150)
    return figure


def _draw_links(
    axes: Any,
    weights: SpatialWeights,
    source: Any,
    coordinates: tuple[str, str] | None,
    regions: str | None,
    links: int,
    letters: Lettering,
) -> None:
    if source is None:
        axes.set_title("W: receivers down, senders across", loc="left", fontsize=10)
        axes.spy(weights.matrix, markersize=max(0.3, min(3.0, 200.0 / max(weights.n, 1))), color=EFFECTS["direct"])
        axes.set_aspect("equal")
        axes.grid(False)
        return
    from matplotlib.collections import LineCollection

    from spillover.weights.locate import locate

    points = locate(source, coordinates=coordinates, regions=regions)
    order = np.array(positions_of(weights.regions, points.regions, "places of the regions of W"), dtype=np.int64)
    places = points.coordinates[order]
    stretch = float(np.cos(np.radians(places[:, 1].mean()))) if points.lonlat else 1.0
    for outline in _outlines(source, points.lonlat):
        axes.plot(outline[:, 0], outline[:, 1], color=OUTLINE, linewidth=0.6, zorder=1)
    chosen = weights.strongest(links)
    position = {region: k for k, region in enumerate(weights.regions)}
    pieces = np.array([[places[position[a]], places[position[b]]] for a, b, _ in chosen]).reshape(-1, 2, 2)
    strength = np.array([weight for _, _, weight in chosen])
    share = strength / strength.max() if len(strength) else strength
    axes.add_collection(
        LineCollection(list(pieces), linewidths=0.3 + 1.7 * share, colors=EFFECTS["direct"], alpha=0.55, zorder=2)
    )
    lonely = np.isin(weights.regions, weights.islands)
    size = max(2.0, min(18.0, 3_000.0 / max(weights.n, 1)))
    axes.scatter(*places[~lonely].T, s=size, color=INK, zorder=3, linewidths=0)
    axes.scatter(*places[lonely].T, s=4 * size, color=EFFECTS["indirect"], marker="x", zorder=3)
    axes.set_aspect(1.0 / max(stretch, 0.1))
    axes.set_axis_off()
    drawn = "all links" if len(chosen) == weights.matrix.nnz else f"the {len(chosen):,} strongest links"
    title = f"{drawn}; wider is stronger" + ("; × islands" if lonely.any() else "")
    axes.set_title(letters.text(title, 80), loc="left", fontsize=10)


def _outlines(source: Any, lonlat: bool) -> Iterator[FloatArray]:
    """Outlines of the map in the coordinates of the points; none where the points have other coordinates."""
    frame = getattr(source, "geometry", None)
    if frame is None or not hasattr(frame, "boundary") or not hasattr(frame, "crs"):
        return
    import shapely

    shapes = frame.boundary
    if lonlat:
        if frame.crs is None:
            return
        shapes = shapes.to_crs(4326)
    elif frame.crs is not None:
        return
    for line in shapely.get_parts(shapely.get_parts(shapes.to_numpy())):
        yield shapely.get_coordinates(line)


def _draw_degrees(axes: Any, facts: dict[str, Any]) -> None:
    """How many regions have how many neighbours; wide ranges are drawn in twenty classes."""
    degrees, counts = np.array(facts["degrees"]).T
    if len(degrees) <= 25:
        axes.bar(degrees, counts, width=0.9, color=EFFECTS["direct"])
    else:
        axes.hist(degrees, bins=20, weights=counts, color=EFFECTS["direct"])
    axes.axvline(facts["neighbours_mean"], color=MUTED, linestyle="--", linewidth=1)
    axes.set_xlabel("neighbours (senders) of a region")
    axes.set_ylabel("regions")
    axes.set_title(f"Neighbours: mean {facts['neighbours_mean']:.1f}", loc="left", fontsize=10)


def _strongest(weights: SpatialWeights, count: int) -> list[str]:
    return [f"{weights.told(a)} → {weights.told(b)}: {compact(w)}" for a, b, w in weights.strongest(count)]


def _facts(facts: dict[str, Any]) -> list[str]:
    interval = "not computed (bounds=True does)"
    if facts["rho_low"] is not None:
        interval = f"{compact(facts['rho_low'])} to {compact(facts['rho_high'])}"
    return [
        f"{facts['regions']:,} regions, {facts['links']:,} links, {100 * facts['density']:.3g} % of all pairs",
        f"{facts['neighbours_min']} to {facts['neighbours_max']} neighbours",
        f"components: {facts['components']}; islands: {len(facts['islands'])} ({facts['island_policy']})",
        f"standardised: {facts['standardisation']}; symmetric: {'yes' if facts['symmetric'] else 'no'}",
        f"admissible ρ: {interval}",
        *(f"{note[:1].upper()}{note[1:]}." for note in facts["notes"]),
    ]


def _write(axes: Any, title: str, lines: list[str], letters: Lettering) -> None:
    import textwrap

    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=10)
    wrapped = [part for line in lines for part in textwrap.wrap(letters.text(line, 220), 62, subsequent_indent="   ")]
    shown = wrapped[:16] + (["…"] if len(wrapped) > 16 else [])
    axes.text(0.0, 1.0, "\n".join(shown), transform=axes.transAxes, va="top", fontsize=8, linespacing=1.35)
