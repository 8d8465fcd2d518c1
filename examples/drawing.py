"""The five figures of the example studies, drawn from numbers that the studies computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from spillover.panel.panel import Panel
from spillover.report.palette import GRID, INK, MUTED, level_classes, signed_classes
from spillover.weights.locate import locate

BLUE, ORANGE, GREEN, GREY = "#1b5e93", "#c05a12", "#3f8f8a", "#8a94a0"


def prepare() -> None:
    """One style, files that do not change when nothing else does."""
    mpl.use("agg")
    mpl.rcParams.update(
        {
            "svg.hashsalt": "spillover",
            "svg.fonttype": "none",
            "font.family": "DejaVu Sans",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.titlecolor": INK,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "legend.frameon": False,
        }
    )


def save(figure: Any, folder: Path, name: str, formats: Sequence[str] = ("svg", "png")) -> None:
    """`name`.svg and .png."""
    for ending in formats:
        metadata = {"Date": None} if ending == "svg" else {}
        box = "tight" if ending == "png" else None
        figure.savefig(folder / f"{name}.{ending}", dpi=150, metadata=metadata, facecolor="white", bbox_inches=box)
    import matplotlib.pyplot as plt

    plt.close(figure)


# -- 1: maps -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MapPanel:
    """One map: title (Moran's I is put behind it), (n,) values, whether zero is the middle, unit of the legend."""

    title: str
    values: np.ndarray
    signed: bool
    unit: str
    moran: float
    p_value: float


def draw_maps(
    panel: Panel,
    maps: Sequence[MapPanel],
    folder: Path,
    name: str,
    crs: str,
    note: str = "",
    frame: tuple[float, float, float, float] | None = None,
) -> None:
    """Maps side by side in a projection (EPSG code), Moran's I in the titles.

    frame : west, south, east, north in units of the projection; everything by default.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    shapes = panel.geometry.to_crs(crs)
    west, south, east, north = shapes.total_bounds if frame is None else frame
    ratio = float((north - south) / (east - west))
    figure, axes = plt.subplots(1, len(maps), figsize=(3.6 * len(maps), 3.5 * ratio + 1.9), layout="constrained")
    for axis, each in zip(np.atleast_1d(axes), maps, strict=True):
        classes = (signed_classes if each.signed else level_classes)(each.values.tolist())
        colours = [classes.colours[classes.place(float(value))] for value in each.values]
        shapes.plot(ax=axis, color=colours, edgecolor="white", linewidth=0.25)
        axis.set_xlim(west, east)
        axis.set_ylim(south, north)
        axis.set_axis_off()
        p = "p < 0.001" if each.p_value < 0.001 else f"p = {each.p_value:.3f}"
        axis.set_title(f"{each.title}\nMoran's I {minus(each.moran)} ({p})", loc="center")
        handles = [Patch(color=colour, label=text) for colour, text in zip(classes.colours, classes.texts, strict=True)]
        axis.legend(
            handles=handles,
            title=each.unit,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=2 if len(handles) > 4 else 1,
            fontsize=7,
            title_fontsize=7.5,
        )
    if note:
        figure.supxlabel(note, fontsize=7, color=MUTED)
    save(figure, folder, name, ("png",))


# -- 2: Moran by year --------------------------------------------------------------------------------------


def draw_moran(lines: Mapping[str, pd.DataFrame], folder: Path, name: str) -> None:
    """One panel per variable; frames with period, transform (level, within), statistic, p_value."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(lines), figsize=(4.1 * len(lines), 3.1), sharey=True, layout="constrained", squeeze=False
    )
    styles = {"level": (BLUE, "level"), "within": (ORANGE, "net of region and year means")}
    for axis, (title, frame) in zip(axes[0], lines.items(), strict=True):
        axis.axhline(0.0, color=MUTED, linewidth=0.8)
        for transform, (colour, label) in styles.items():
            part = frame[frame["transform"] == transform]
            axis.plot(part["period"], part["statistic"], color=colour, linewidth=1.6, label=label)
            sure = part["p_value"].to_numpy() < 0.05
            axis.scatter(part["period"][sure], part["statistic"][sure], s=26, color=colour, zorder=3)
            axis.scatter(
                part["period"][~sure], part["statistic"][~sure], s=26, color="white", edgecolor=colour, zorder=3
            )
        axis.set_title(title)
        axis.grid(axis="y", color=GRID)
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes[0][0].set_ylabel("Moran's I")
    axes[0][0].legend(loc="best", fontsize=8)
    figure.supxlabel("filled: p < 0.05 by permutation", fontsize=7.5, color=MUTED)
    save(figure, folder, name)


# -- 3: forest ---------------------------------------------------------------------------------------------


def draw_forest(rows: pd.DataFrame, folder: Path, name: str, xlabel: str, kinds: Mapping[str, str]) -> None:
    """Indirect effects: rows with group, label, estimate and for each kind of error {kind}_low, {kind}_high.

    kinds : kind → words of the legend; the first is drawn thin and long behind, the second thick.
    """
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(rows["group"]))
    height = 0.27 * len(rows) + 0.42 * len(groups) + 1.0
    figure, axis = plt.subplots(figsize=(7.6, height), layout="constrained")
    axis.axvline(0.0, color=MUTED, linewidth=0.9)
    at, ticks, labels = 0.0, [], []
    first, second = list(kinds)
    for group in groups:
        axis.text(
            0.0,
            at,
            group,
            transform=axis.get_yaxis_transform(),
            fontsize=8.5,
            fontweight="bold",
            va="center",
            ha="left",
        )
        at -= 1.0
        for row in rows[rows["group"] == group].itertuples():
            given = row._asdict()
            axis.plot([given[f"{first}_low"], given[f"{first}_high"]], [at, at], color=BLUE, linewidth=1.3)
            if np.isfinite(given[f"{second}_low"]):
                axis.plot(
                    [given[f"{second}_low"], given[f"{second}_high"]], [at, at], color=ORANGE, linewidth=4.5, alpha=0.55
                )
            axis.scatter([row.estimate], [at], s=22, color=INK, zorder=3)
            ticks.append(at)
            labels.append(row.label)
            at -= 1.0
        at -= 0.35
    axis.set_yticks(ticks, labels, fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(at + 0.4, 0.8)
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)
    axis.set_xlabel(xlabel)
    handles = [
        mpl.lines.Line2D([], [], color=BLUE, linewidth=1.3, label=kinds[first]),
        mpl.lines.Line2D([], [], color=ORANGE, linewidth=4.5, alpha=0.55, label=kinds[second]),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8)
    save(figure, folder, name)


# -- 4: ρ with neighbours shuffled -------------------------------------------------------------------------


def draw_shuffles(panels: Sequence[tuple[str, Mapping[str, np.ndarray], float]], folder: Path, name: str) -> None:
    """Histograms: (axis label, shuffle in words → values, value of the real map)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(4.3 * len(panels), 3.0), layout="constrained", squeeze=False)
    for axis, (label, shuffles, real) in zip(axes[0], panels, strict=True):
        everything = np.concatenate([*shuffles.values(), [real]])
        bins = np.linspace(everything.min(), everything.max(), 50)
        for (words, values), colour in zip(shuffles.items(), (GREY, ORANGE), strict=False):
            axis.hist(values, bins=bins, color=colour, alpha=0.6, label=words)
        axis.axvline(real, color=BLUE, linewidth=2.0, label=f"the real map: {minus(real)}")
        axis.set_xlabel(label)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        top = axis.get_ylim()[1]
        axis.set_ylim(0, 1.45 * top)
        axis.legend(fontsize=8, loc="upper left")
    save(figure, folder, name)


# -- 5: correlogram ----------------------------------------------------------------------------------------


def correlogram(
    panel: Panel, values: np.ndarray, bands: Sequence[float], draws: int = 499, seed: int = 1
) -> pd.DataFrame:
    """Moran's I by band of distance in km, periods pooled, with 95 % of regions shuffled over the map.

    values : (n, t); period means are removed here.
    """
    i, j, km = locate(panel).all_pairs()
    z = values - values.mean(axis=0)
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(z)), *(rng.permutation(len(z)) for _ in range(draws))]
    products = z @ z.T
    mean = float(np.trace(products)) / len(z)
    rows = []
    for low, high in pairwise(bands):
        inside = (km > low) & (km <= high)
        if not inside.any():
            continue
        drawn = [float(products[order[i[inside]], order[j[inside]]].mean()) / mean for order in orders]
        limits = np.quantile(drawn[1:], [0.025, 0.975])
        rows.append(
            {"from_km": low, "to_km": high, "pairs": int(inside.sum()), "statistic": drawn[0],
             "low": limits[0], "high": limits[1]}
        )  # fmt: skip
    return pd.DataFrame(rows)


def draw_correlogram(lines: Mapping[str, pd.DataFrame], folder: Path, name: str, title: str = "") -> None:
    """Moran's I against distance; grey: 95 % of maps on which the regions of the second line are shuffled."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.2, 3.4), layout="constrained")
    axis.axhline(0.0, color=MUTED, linewidth=0.8)
    second = list(lines.values())[1]
    middle = (second["from_km"] + second["to_km"]) / 2.0
    axis.fill_between(
        middle, second["low"], second["high"], color=GREY, alpha=0.25, linewidth=0, label="95 % if regions are shuffled"
    )
    for (words, frame), colour in zip(lines.items(), (BLUE, ORANGE, GREEN), strict=False):
        at = (frame["from_km"] + frame["to_km"]) / 2.0
        axis.plot(at, frame["statistic"], color=colour, marker="o", markersize=4.5, linewidth=1.6, label=words)
    axis.set_xlabel("distance between regions, km")
    axis.set_ylabel("Moran's I in the band")
    axis.set_title(title)
    axis.grid(axis="y", color=GRID)
    axis.legend(fontsize=8)
    save(figure, folder, name)


def minus(value: float, digits: int = 2) -> str:
    """Two decimals with a real minus sign.

    >>> minus(-0.256)
    '−0.26'
    """
    return f"{value:.{digits}f}".replace("-", "−")
