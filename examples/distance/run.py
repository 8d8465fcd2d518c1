"""How far? Three maps: China's provinces, Germany's districts, the EU's regions.

    SPILLOVER_DATA=../shared/data python examples/distance/run.py

Computes every table of README.md beside this file and writes it there, between its markers, and the figures. The data
are not part of this repository.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import shortest_path

import spillover as so
from spillover.inference.hypotheses import HypothesisTest
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.distances import Distances
from spillover.panel.panel import Panel

ROOT = Path(__file__).resolve().parents[2]
FIGURES = Path(__file__).parent / "figures"
CHI2 = 3.841  # 95 % quantile of χ²(1)
PAGE = Path(__file__).parent / "README.md"


def main() -> None:
    """All tables, then the page."""
    data = Path(os.environ.get("SPILLOVER_DATA", ROOT.parent / "shared" / "data"))
    page = PAGE.read_text(encoding="utf-8")
    seen = Seen()
    for name, text in {**china(data, seen), **germany(data, seen), **europe(data, seen)}.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, rest = page.split(begin)
        page = before + begin + text.strip() + "\n" + end + rest.split(end)[1]
    PAGE.write_text(page, encoding="utf-8", newline="\n")
    draw(seen)


class Seen:
    """What the figures are drawn from."""

    def __init__(self) -> None:
        self.profiles: dict[str, tuple[DecayFit, str]] = {}
        self.correlograms: list[Any] = []
        self.boundaries: dict[str, Any] = {}


# -- China: rail, great circles, contiguity --------------------------------------------------------------

CHINA = "log(patent_apps_invention / population) ~ log(hti_firms / population) + log(budget_exp_science / budget_exp)"
YEARS = (2011, 2012, 2013, 2014, 2015, 2016, 2018, 2019, 2020, 2021, 2022, 2023)  # 2017 was never published


def china(data: Path, seen: Seen | None = None) -> dict[str, str]:
    """Decay by three distances on the same 29 provinces, in levels and quasi-differenced; rings; contiguity."""
    folder = data / "cn_province_hti"
    rail = so.read_distances(folder / "rail_distance_km_29.csv", what="rail distance between capitals")
    panel = so.read_panel(
        folder / "cn_province_panel_2010_2023.csv",
        region="adcode",
        period="year",
        geometry=folder / "cn_provinces.geojson",
        geometry_id="adcode",
    ).select(periods=YEARS, regions=rail.regions)
    capitals = pd.read_csv(folder / "cn_provinces.csv", dtype={"adcode": str})
    straight = so.measure_distances(
        capitals, regions="adcode", coordinates=("capital_lon", "capital_lat"), lonlat=True
    ).subset(panel.regions)
    queen = so.weights.from_file(folder / "W_queen_binary_31.csv", standardise="none", islands="keep")
    queen = queen.subset(panel.regions, "keep")
    count = shortest_path(queen.matrix, unweighted=True)
    steps = so.read_distances(
        pd.DataFrame(count, index=list(queen.regions), columns=list(queen.regions)),
        what="provinces to cross",
        unit="steps",
    )
    rows = []
    kinds = {"rail": rail, "great circle": straight, "contiguity steps": steps}
    for name, distances in kinds.items():
        for label, asked in (("levels", None), ("quasi-differenced", "auto")):
            fit = quietly(CHINA, panel, distances=distances, quasi_difference=asked)
            rows.append(f"| {name}, {label} | {describe(fit)} |")
            if seen is not None and fit.design.unit == "km":
                seen.profiles[f"China, {name}, {label}"] = (fit, "China")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contiguity = so.fit(CHINA, panel, queen, model="slx", lagged=["log(hti_firms / population)"])
        spill = contiguity.effects().set_index("term").loc["indirect: log(hti_firms / population)"]
        rings = so.fit_rings(CHINA, panel, distances=straight, edges=(0, 400, 800, 1200, 2000), quasi_difference="auto")
    rows.append(
        f"| contiguity itself, levels | no decay: neighbours only | {number(spill['estimate'])} "
        f"({number(spill['conf_low'])}, {number(spill['conf_high'])}) | "
        f"{number(contiguity.statistics['log_likelihood'])} | |"
    )
    return {
        "china": table(("distance", "half-distance (95 %)", "spillover (95 %)", "ℓ", "p, no spillover"), rows),
        "china-rings": ring_table(rings),
    }


# -- Germany: description only ---------------------------------------------------------------------------


def germany(data: Path, seen: Seen | None = None) -> dict[str, str]:
    """Co-movement of patents by distance; no regressor, no regression."""
    folder = data / "de_nuts3_patents"
    panel = so.read_panel(folder / "epo_patents_nuts3_1995_2012.csv", region="nuts3", period="year")
    panel = panel.complete(["epo_patents"], policy="drop-regions")
    metres = so.read_distances(folder / "distance_m_gN3dist.csv", what="distance between centroids").subset(
        panel.regions
    )
    distances = Distances(metres.regions, np.asarray(metres.matrix) / 1000.0, metres.what)
    states = {region: region[:3] for region in panel.regions}
    found = [
        so.fit_correlogram(
            "log(epo_patents)", panel, transform=kind, distances=distances, groups=states, reach_km=400, bins=16
        )
        for kind in ("level", "growth", "within")
    ]
    if seen is not None:
        seen.correlograms = found
    rows = [
        f"| {each.transform} | {each.half_distance:.0f} km ({each.low:.0f} to {each.high:.0f}) | "
        + " | ".join(f"{number(each.correlation[b])} ({number(each.std_error[b])})" for b in (0, 1, 2, 4, 7))
        + " |"
        for each in found
    ]
    heads = [f"{found[0].distance[b]:.0f} km" for b in (0, 1, 2, 4, 7)]
    return {"germany": table(("log patents", "half-distance (95 %)", *heads), rows)}


# -- Europe ----------------------------------------------------------------------------------------------

EUROPE = (
    "log(1e6 * epo_patents / population)"
    " ~ log(emp_hti) + log(gdp_meur / population) + log(hrst / population) + unemp_rate"
)


def europe(data: Path, seen: Seen | None = None) -> dict[str, str]:
    """Decay, rings and boundary with year effects, and with country × year effects."""
    folder = data / "eu_nuts2_hti"
    panel = so.read_panel(
        folder / "eu_nuts2_balanced_2008_2012.csv",
        region="nuts2",
        period="year",
        geometry=folder / "nuts2_2016_20M.geojson",
        groups=["country"],
        geometry_policy="table",
    )
    members = pd.Series(panel.groups["country"]).value_counts()
    several = [region for region, land in zip(panel.regions, panel.groups["country"], strict=True) if members[land] > 1]
    inside = panel.select(regions=several)
    rows, curve = [], []
    for label, part, options in (
        ("region and year effects", panel, {}),
        ("region and country × year effects", inside, {"groups": "country"}),
    ):
        fit = quietly(EUROPE, part, **options)
        rows.append(f"| {label}, {part.shape[0]} regions | {describe(fit)} |")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            edge = so.fit_boundary(EUROPE, part, thresholds=(100, 200, 300, 500, 700, 1000), **options)
        if seen is not None:
            seen.profiles[f"Europe, {label}"] = (fit, "Europe")
            seen.boundaries[label] = edge
        curve.append(f"- {label}: {edge.sentence().split(' Where power')[0]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rings = so.fit_rings(EUROPE, panel, edges=(0, 100, 200, 300, 500, 1000))
        together = [
            so.fit_correlogram(
                "log(1e6 * epo_patents / population)", panel, transform=kind, groups="country", reach_km=1500, bins=15
            )
            for kind in ("level", "within")
        ]
    return {
        "europe": table(("effects", "half-distance (95 %)", "spillover (95 %)", "ℓ", "p, no spillover"), rows),
        "europe-rings": ring_table(rings),
        "europe-boundary": "\n".join(curve),
        "europe-together": "\n".join(f"- {each.sentence()}" for each in together),
    }


# -- words -----------------------------------------------------------------------------------------------


def quietly(formula: str, panel: Panel, **options: Any) -> DecayFit:
    """`fit_decay`; what it warns of is in its sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return so.fit_decay(formula, panel, **options)


def describe(fit: DecayFit) -> str:
    """Half-distance, spillover, ℓ and p as cells of a table."""
    low, high = fit.half_interval
    unit = fit.design.unit
    digits = 1 if unit == "steps" else 0
    ends = f"{'–' if low is None else f'{low:.{digits}f}'} to {'–' if high is None else f'{high:.{digits}f}'}"
    half = f"{fit.half_distance:.{digits}f} {unit}" if not fit.profile.at_edge else "at the edge of the search"
    open_ends = "open on both sides" if low is None and high is None else ends
    name = f"indirect: {fit.treatment}"
    effects = fit.effect_estimates
    if fit.profile.at_edge:
        spill = "–"
    else:
        bottom, top = effects.confint()[effects.index(name)]
        spill = f"{number(effects[name])} ({number(bottom)}, {number(top)})"
    p = f"{fit.null_test.p_value:.2f}" if isinstance(fit.null_test, HypothesisTest) else "too few periods"
    return f"{half} ({open_ends}) | {spill} | {number(fit.statistics['log_likelihood'])} | {p}"


def ring_table(fit: Any) -> str:
    """Rings with what is received and its band."""
    part = fit["sum"]
    half = part.band.critical * part.received.std_errors
    rows = [
        f"| {name} | {number(value)} ({number(value - reach)}, {number(value + reach)}) | {p:.2f} | "
        f"{100 * empty:.0f} % |"
        for name, value, reach, p, empty in zip(
            fit.rings.names, part.received.values, half, part.band.p_values(), fit.rings.empty, strict=True
        )
    ]
    return table(("ring", "received (95 %, all rings together)", "p, adjusted", "regions with nobody there"), rows)


def number(value: float) -> str:
    """Two decimals with a minus sign."""
    return f"{value:.2f}".replace("-", "−")


def table(head: tuple[str, ...], rows: list[str]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *rows])


# -- figures ---------------------------------------------------------------------------------------------


def draw(seen: Seen) -> None:
    """Profiles of the likelihood, the German correlograms, the European boundary curves."""
    import matplotlib.pyplot as plt

    sys.path.insert(0, str(ROOT / "examples"))
    from drawing import BLUE, GREEN, GREY, ORANGE, prepare, save

    prepare()
    FIGURES.mkdir(exist_ok=True)
    colours = (BLUE, ORANGE, GREEN, GREY)
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained", sharey=True)
    for axis, land in zip(axes, ("China", "Europe"), strict=True):
        mine = {name: fit for name, (fit, where) in seen.profiles.items() if where == land}
        for colour, (name, fit) in zip(colours, mine.items(), strict=False):
            frame = fit.profile_frame()
            axis.plot(frame["half_distance"], frame["deviance"], color=colour, label=name.partition(", ")[2])
        axis.axhline(CHI2, color=GREY, linestyle=":", linewidth=1.2)
        axis.set_xscale("log")
        axis.set_ylim(-0.2, 8.0)
        axis.set_xlabel("half-distance (km, log scale)")
        axis.set_title(land)
        axis.legend(fontsize=7, loc="upper center")
    axes[0].set_ylabel("twice the loss in log-likelihood")
    save(figure, FIGURES, "profiles", ("svg",))
    figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for colour, each in zip((BLUE, GREY, ORANGE), seen.correlograms, strict=True):
        reach = 1.96 * each.std_error
        axis.fill_between(each.distance, each.correlation - reach, each.correlation + reach, color=colour, alpha=0.15)
        axis.plot(each.distance, each.correlation, color=colour, marker="o", markersize=3, label=each.transform)
    axis.axhline(0.0, color=GREY, linewidth=0.8)
    axis.set_xlabel("distance between districts (km)")
    axis.set_ylabel("correlation of log patents")
    axis.legend(fontsize=8)
    save(figure, FIGURES, "germany", ("svg",))
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.0), layout="constrained")
    for axis, (label, edge) in zip(axes, seen.boundaries.items(), strict=True):
        limits = edge.band.limits()
        axis.fill_between(edge.thresholds, limits[:, 0], limits[:, 1], color=BLUE, alpha=0.15, linewidth=0)
        axis.plot(edge.thresholds, edge.estimates.values, color=BLUE, marker="o", markerfacecolor="white")
        axis.axhline(0.0, color=GREY, linewidth=0.8)
        axis.set_xlabel("threshold (km)")
        axis.set_title(label, fontsize=9)
    axes[0].set_ylabel("from beyond the threshold")
    save(figure, FIGURES, "europe-boundary", ("svg",))


if __name__ == "__main__":
    main()
