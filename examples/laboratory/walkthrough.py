"""The numbers and figures of docs/laboratory.md.

    python examples/laboratory/wrong_weights.py --panels 200 --workers 2     # first, for the last section
    python examples/laboratory/walkthrough.py

Writes SVG files into docs/figures/ and, between the markers of each section, the numbers into the page. Every number
is computed here; the parameters are an illustrative calibration, not evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from spillover.report.palette import signed_classes
from spillover.simulation.channels import competition_patents
from spillover.simulation.config import SystemConfig
from spillover.simulation.experiment import do
from spillover.simulation.laboratory import Laboratory, open_laboratory
from spillover.simulation.system import draw_system

ROOT = Path(__file__).resolve().parents[2]
PAGE, FIGURES = ROOT / "docs" / "laboratory.md", ROOT / "docs" / "figures"
TABLE = Path(__file__).parent / "wrong_weights.csv"
SYSTEM = SystemConfig(n_regions=100, n_periods=10, environment_elasticity=0.5, linkage_strength=0.5)
SEED = 1
COLOURS = {"talent": "#1b5e93", "cooperation": "#c05a12", "informal": "#3f8f8a"}
NOTE = "illustrative calibration, not evidence"


def main() -> None:
    """All sections, then the page."""
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "spillover", "svg.fonttype": "none", "font.size": 9, "path.simplify": True})
    FIGURES.mkdir(exist_ok=True)
    lab = open_laboratory(SYSTEM, SEED)
    sections = {
        "system": describe(lab),
        "mobility": mobility(lab),
        "doses": doses(),
        "competition": competition(lab),
        "capital": capital(lab),
        "distance": distance(lab),
        "railway": railway(lab),
        "environment": environment(lab),
        "linkage": linkage(lab),
        "wrong-weights": wrong_weights(),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, text in sections.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, rest = page.split(begin)
        page = before + begin + text.strip() + "\n" + end + rest.split(end)[1]
    PAGE.write_text(page, encoding="utf-8", newline="\n")


# -- the paper's §3: how agglomeration reaches other regions -----------------------------------


def describe(lab: Laboratory) -> str:
    """The system before anything is changed."""
    parts = {name: float(values.mean()) for name, values in lab.channel_patents().items()}
    truth = lab.truth
    shares = truth.shares()
    return (
        f"A region has {lab.patents.mean():.0f} expected patents a year: {parts['other']:.0f} of its own, "
        f"{parts['talent']:.0f} through people who move in, {parts['cooperation']:.0f} through projects and "
        f"{parts['informal']:.0f} through informal exchange. One more cluster at home is worth "
        f"{truth.direct:.0f} patents "
        f"a year there (direct effect); one more in each of the other 99 regions {truth.spillover:.0f} (spillover), of "
        f"which talent carries {100 * shares['talent']:.0f} %, cooperation {100 * shares['cooperation']:.0f} % and "
        f"informal exchange {100 * shares['informal']:.0f} %."
    )


def mobility(lab: Laboratory) -> str:
    """Each channel doubled in turn."""
    changes = {
        "mobility doubles": lab.change(mobility=2.0),
        "cooperation doubles": lab.change(cooperation=2.0),
        "informal exchange doubles": lab.change(informal=2.0),
    }
    rows = ["| | patents a year and region | change | spillover |", "|---|---|---|---|"]
    rows.append(f"| before | {lab.patents.mean():.1f} | | {lab.truth.spillover:.0f} |")
    for name, after in changes.items():
        change = after.compare(lab).percent
        rows.append(f"| {name} | {after.patents.mean():.1f} | {change:+.1f} % | {after.truth.spillover:.0f} |")
    estimate, error = changes["mobility doubles"].compare(lab).simulate(draws=100, seed=2).mean()
    expected = changes["mobility doubles"].compare(lab).difference.mean()
    bars({"before": lab, **changes})
    return "\n".join(rows) + (
        f"\n\nThe same difference from 100 pairs of simulated worlds with common random numbers: {estimate:.2f} "
        f"patents (standard error {error:.2f}); in closed form {expected:.2f}.\n\n"
        f"![Patents by channel when each channel doubles](figures/laboratory-channels.svg)"
    )


def doses() -> str:
    """Table 1 as an experiment on a whole system."""
    drawn = draw_system(SystemConfig(n_regions=300, n_periods=5), seed=SEED)
    table = {"talent": (25.0, 75.0), "cooperation": (2.5, 7.5), "informal": (1.0, 3.0)}
    rows = ["| channel | dose | mean patents | dose | mean patents | per unit |", "|---|---|---|---|---|---|"]
    for channel, (low, high) in table.items():
        means = [float(do(drawn, hold_others=True, **{channel: dose}).patents.mean()) for dose in (low, high)]
        slope = (means[1] - means[0]) / (high - low)
        rows.append(f"| {channel} | {low:g} | {means[0]:.1f} | {high:g} | {means[1]:.1f} | {slope:.2f} |")
    return "\n".join(rows)


def competition(lab: Laboratory) -> str:
    """The inverted U, and what more firms do in a region on either side of its peak."""
    pressures = np.linspace(0.0, 2.5, 101)
    figure, axes = new_figure(4.2, 2.6)
    axes.plot(pressures, competition_patents(pressures, 20.0, 1.0), color="#1b5e93")
    axes.axvline(1.0, color="#5b6875", linewidth=0.7, linestyle=":")
    finish(figure, axes, "competition", "competition Q (1 = its best level)", "patents a year")
    with_it = lab.change(competition=20.0)
    crowded = int((lab.system.pressure(lab.hti).mean(axis=1) > 1).sum())
    tenth = 0.1 * lab.hti.mean(axis=1) * with_it.truth.parts["competition"].own
    return (
        f"With `competition=20` the mean region gains {with_it.compare(lab).difference.mean():.1f} patents. "
        f"Firms are given, "
        f"so ten per cent more agglomeration means fewer firms for what there is. Where firms crowd ({crowded} of 100 "
        f"regions have Q above 1) that helps, up to {tenth.max():+.1f} patents a year; where competition is slack it "
        f"harms, down to {tenth.min():+.1f}. Nothing of it crosses a border: its spillover is "
        f"{with_it.truth.parts['competition'].received.sum():.0f}.\n\n"
        f"![Competition and innovation: an inverted U](figures/laboratory-competition.svg)"
    )


def capital(lab: Laboratory) -> str:
    """Backwash: what one region draws in, the others lose."""
    chosen = middling_region(lab)
    with_capital = lab.change(capital=2.0)
    growth = {chosen: 1.5}
    with_it = with_capital.change(agglomeration=growth).compare(with_capital)
    without = lab.change(agglomeration=growth).compare(lab)
    backwash = (with_it.difference - without.difference).mean(axis=1)
    at = lab.system.geography.regions.index(chosen)
    others = np.arange(len(backwash)) != at
    net = with_it.difference.mean(axis=1)
    draw_map(lab, backwash, "capital", "patents a year from capital that moves")
    loses = int((net[others] < 0).sum())
    return (
        f"Region {chosen} grows by half. Capital brings it {backwash[at]:+.2f} patents a year and takes "
        f"{backwash[others].sum():.2f} from the other 99 together: the sum is {abs(backwash.sum()):.2f}. "
        f"Knowledge that "
        f"spills over brings the others {without.difference.mean(axis=1)[others].sum():+.2f} at the same time; "
        f"{loses} of the "
        f"99 lose on balance, those too far away to learn from it. The truth has it as a channel of its own: direct "
        f"{with_capital.truth.parts['capital'].own.mean():+.1f}, spillover "
        f"{with_capital.truth.parts['capital'].received.mean():+.1f} patents per cluster.\n\n"
        f"![Who loses capital when one region grows](figures/laboratory-capital.svg)"
    )


# -- the paper's §4: what strengthens or weakens it ---------------------------------------------


def distance(lab: Laboratory) -> str:
    """The effect of one cluster at a distance."""
    c = lab.system.config
    km = np.linspace(0.0, 400.0, 161)
    curves = {
        "talent": c.patents_per_person * c.talent_per_cluster * np.exp(-c.decay_per_km * km),
        "cooperation": c.patents_per_project
        * c.cooperation_share
        * c.transfers_per_cluster
        * np.exp(-c.decay_per_km * km),
        "informal": c.patents_per_activity * c.informal_per_cluster * np.exp(-c.informal_decay_per_km * km),
    }
    figure, axes = new_figure(5.0, 2.8)
    axes.stackplot(km, *curves.values(), labels=list(curves), colors=[COLOURS[name] for name in curves])
    axes.axvline(lab.truth.half_distance_km, color="#1b2733", linewidth=0.8, linestyle=":")
    axes.legend(frameon=False, loc="upper right")
    finish(figure, axes, "distance", "distance from a cluster, km (dotted: half)", "patents a year")
    rows = ["| km apart | patents a year per pair of regions | share of the spillover |", "|---|---|---|"]
    for band in lab.truth.bands:
        name = f"{band.low_km:g}–{band.high_km:g}" if np.isfinite(band.high_km) else f"above {band.low_km:g}"
        rows.append(f"| {name} | {band.effect_per_pair:.1f} | {100 * band.share:.1f} % |")
    halves = lab.truth.half_distances_km
    return "\n".join(rows) + (
        f"\n\nHalf-distances: {halves['talent']:.1f} km for talent and cooperation, {halves['informal']:.1f} km for "
        f"informal exchange, {lab.truth.half_distance_km:.1f} km for all together.\n\n"
        f"![Patents by distance from a cluster](figures/laboratory-distance.svg)"
    )


def railway(lab: Laboratory) -> str:
    """A fast line from the strongest cluster to a remote region."""
    cluster, far = strongest(lab), remote(lab)
    change = lab.change(railway=[cluster, far], time_ratio=0.5).compare(lab)
    gains = change.by_region().set_index("region")
    draw_map(lab, gains["difference"].to_numpy(), "railway", "patents a year gained", marked=(cluster, far))
    places = lab.system.geography
    i, j = (np.array([places.regions.index(region)]) for region in (cluster, far))
    before, after = lab.truth, change.after.truth
    touched = int((gains["difference"] > 0.5).sum())
    return (
        f"A line from {cluster}, the strongest cluster, to {far}, the region that had least from others: "
        f"{places.distances(i, j)[0]:.0f} km become {change.after.system.geography.distances(i, j)[0]:.0f}. "
        f"{far} gains "
        f"{gains.loc[far, 'difference']:.1f} patents a year ({gains.loc[far, 'percent']:+.1f} %), {cluster} "
        f"{gains.loc[cluster, 'difference']:.1f} ({gains.loc[cluster, 'percent']:+.1f} %); {touched} regions, "
        f"those around "
        f"both ends, gain more than half a patent, and all patents together rise by {change.percent:.2f} %. No region "
        f"loses in this system, because capital stays where it is. The mean spillover rises from "
        f"{before.spillover:.0f} to "
        f"{after.spillover:.0f}.\n\n![Where a railway helps](figures/laboratory-railway.svg)"
    )


def environment(lab: Laboratory) -> str:
    """A better innovation environment, everywhere and where it is worst."""
    level = pd.Series(lab.system.environment.level, index=list(lab.system.geography.regions))
    worst = level.nsmallest(20).index
    everywhere = lab.change(environment=1.2).compare(lab)
    targeted = lab.change(environment=dict.fromkeys(worst, 1.2)).compare(lab)
    gain = everywhere.by_region()
    received = lab.patents.mean(axis=1) - SYSTEM.base_patents
    figure, axes = new_figure(4.2, 2.8)
    axes.scatter(received, gain["difference"], s=9, color="#1b5e93")
    finish(figure, axes, "environment", "patents a year through the channels before", "patents a year gained")
    return (
        f"Twenty per cent better everywhere multiplies what is absorbed by 1.2^0.5 = {1.2**0.5:.3f}: patents rise by "
        f"{everywhere.percent:.1f} %, and the spillover from {lab.truth.spillover:.0f} to "
        f"{everywhere.after.truth.spillover:.0f}. The same in the 20 regions with the worst environment only: "
        f"these gain "
        f"{targeted.difference.mean(axis=1)[level.index.isin(worst)].mean():.1f} patents a year each, the "
        f"others nothing; "
        f"the spillover rises to {targeted.after.truth.spillover:.0f}. An environment pays where there is something to "
        f"absorb: gains run from {gain['difference'].min():.1f} to {gain['difference'].max():.1f} patents a year.\n\n"
        f"![A better environment pays where knowledge arrives](figures/laboratory-environment.svg)"
    )


def linkage(lab: Laboratory) -> str:
    """Closer industrial ties between the clusters and the regions around the strongest."""
    places = lab.system.geography
    near = np.argsort(np.linalg.norm(places.points - places.points[places.regions.index(strongest(lab))], axis=1))[:20]
    partners = [places.regions[k] for k in near]
    change = lab.change(linkage=0.5, partners=partners).compare(lab)
    inside = np.isin(np.arange(100), near)
    table = change.by_channel().set_index("channel")["difference"]
    return (
        f"The 20 regions around {strongest(lab)} become partners, which raises L by 0.5 between them: each of "
        f"them gains "
        f"{change.difference.mean(axis=1)[inside].mean():.1f} patents a year, all through cooperation (other channels: "
        f"{table.drop('cooperation').abs().max():.1f}), and the 80 others nothing "
        f"({np.abs(change.difference[~inside]).max():.1f}). The mean spillover rises from {lab.truth.spillover:.0f} to "
        f"{change.after.truth.spillover:.0f}."
    )


# -- a wrong W ----------------------------------------------------------------------------------


def wrong_weights() -> str:
    """The table of `wrong_weights.py`, and its figure."""
    draws = pd.read_csv(TABLE)
    draws["error"] = 100.0 * (draws["estimate"] / draws["truth"] - 1.0)
    rows = ["| W | direct: bias, coverage | spillover: bias, sd, coverage |", "|---|---|---|"]
    names = list(dict.fromkeys(draws["weights"]))
    for name in names:
        own, other = (draws[(draws["weights"] == name) & (draws["effect"] == e)] for e in ("direct", "indirect"))
        rows.append(
            f"| {name} | {own['error'].mean():+.1f} %, {own['covered'].mean():.2f} | {other['error'].mean():+.1f} %, "
            f"{other['error'].std():.1f} %, {other['covered'].mean():.2f} |"
        )
    figure, axes = new_figure(6.2, 2.6)
    errors = [draws[(draws["weights"] == name) & (draws["effect"] == "indirect")]["error"] for name in names]
    axes.boxplot(errors[::-1], orientation="horizontal", showfliers=False, medianprops={"color": "#c05a12"})
    axes.set_yticks(range(1, len(names) + 1), names[::-1])
    axes.axvline(0.0, color="#1b2733", linewidth=0.8)
    finish(figure, axes, "wrong-weights", "error of the estimated spillover, % of the truth", "")
    return "\n".join(rows) + (
        f"\n\n{draws['seed'].nunique()} panels of the demo's system; coverage is that of 95 % intervals.\n\n"
        f"![What a wrong W finds](figures/laboratory-wrong-weights.svg)"
    )


# -- regions, figures ---------------------------------------------------------------------------


def strongest(lab: Laboratory) -> str:
    """The region with most agglomeration."""
    return lab.system.geography.regions[int(np.argmax(lab.hti.mean(axis=1)))]


def remote(lab: Laboratory) -> str:
    """The region that receives least through the channels."""
    return lab.system.geography.regions[int(np.argmin(lab.patents.mean(axis=1)))]


def middling_region(lab: Laboratory) -> str:
    """A region in the middle of the map that is no cluster."""
    places = lab.system.geography
    central = np.argsort(np.linalg.norm(places.points - places.side / 2, axis=1))
    return next(places.regions[k] for k in central if lab.hti[k].mean() < 0.5)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """One plain pair of axes, inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def finish(figure: Any, axes: Any, name: str, x: str, y: str) -> None:
    """Labels, the note that this is a calibration, and the file."""
    axes.set_xlabel(f"{x}\n{NOTE}")
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, name)


def save(figure: Any, name: str) -> None:
    """One SVG file, the same whenever it is made."""
    figure.savefig(FIGURES / f"laboratory-{name}.svg", metadata={"Date": None})


def bars(labs: dict[str, Laboratory]) -> None:
    """Expected patents by channel, one bar for each laboratory."""
    figure, axes = new_figure(5.4, 2.6)
    left = np.zeros(len(labs))
    for channel, colour in {"other": "#c9d1d9", **COLOURS}.items():
        width = np.array([float(lab.channel_patents()[channel].mean()) for lab in labs.values()])
        axes.barh(list(labs), width, left=left, color=colour, label="base" if channel == "other" else channel)
        left = left + width
    axes.invert_yaxis()
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    finish(figure, axes, "channels", "expected patents a year, mean region", "")


def draw_map(lab: Laboratory, values: np.ndarray, name: str, label: str, marked: tuple[str, ...] = ()) -> None:
    """Regions coloured by a signed quantity; purple below zero, orange above."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    places = lab.system.geography
    classes = signed_classes(np.round(values, 3).tolist())
    figure, axes = new_figure(5.2, 3.6)
    shapes = [np.round(np.asarray(cell.exterior.coords), 1) for cell in places.cells]
    colours = [classes.colours[classes.place(float(value))] for value in np.round(values, 3)]
    axes.add_collection(PolyCollection(shapes, facecolors=colours, edgecolors="white", linewidths=0.4))
    for region in marked:
        axes.plot(*places.points[places.regions.index(region)], "o", color="#1b2733", markersize=4)
    if len(marked) == 2:
        line = np.array([places.points[places.regions.index(region)] for region in marked])
        axes.plot(line[:, 0], line[:, 1], color="#1b2733", linewidth=1.0)
    axes.set_xlim(0, places.side)
    axes.set_ylim(0, places.side)
    axes.set_aspect("equal")
    axes.axis("off")
    keys = [Patch(color=colour, label=text) for colour, text in zip(classes.colours, classes.texts, strict=True)]
    axes.legend(handles=keys, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title=f"{label}\n{NOTE}")
    save(figure, name)


if __name__ == "__main__":
    main()
