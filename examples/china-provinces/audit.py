"""The map clusters. Do the changes spill over? All numbers and figures of this page.

    python examples/china-provinces/audit.py --data ../shared/data --out results/china-provinces-audit

Writes into the folder: models.csv and models.md (every model with two kinds of errors), audit.txt, audit.json and one
table per part of the audit, the same for the model inside economic regions (inside_…), shuffles.csv, dynamics.csv,
channel.csv, measures_to_2020.csv, moran.csv, correlogram.csv, and figures/ (SVG and PNG).
The data are not part of this repository; SPILLOVER_DATA or --data names their folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import drawing
import writing

import spillover as so
from spillover.audit.measures import audit_measures
from spillover.audit.permutation import audit_permutation
from spillover.diagnostics.autocorrelation import moran_by_period, within_two_way
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights

YEARS = [2011, 2012, 2013, 2014, 2015, 2016, 2018, 2019, 2020, 2021, 2022, 2023]
TO_2020 = YEARS[:9]
SEGMENTS = {year: "before" if year < 2017 else "after" for year in YEARS}
FORMULA = "log(inventions) ~ log(lq) + log(science_share)"
NO_RAIL = ["460000", "540000"]  # Hainan and Tibet have no railway distance
MACRO = {  # the four economic regions of the National Bureau of Statistics, by the first two digits of the code
    "East": ("11", "12", "13", "31", "32", "33", "35", "37", "44", "46"),
    "Central": ("14", "34", "36", "41", "42", "43"),
    "West": ("15", "45", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65"),
    "Northeast": ("21", "22", "23"),
}
ALBERS = "ESRI:102025"  # Asia North Albers equal area


def read(data: Path, years: list[int] | None = None) -> so.Panel:
    """The panel with the measures of the study; 2017 stays a gap."""
    folder = data / "cn_province_hti"
    panel = so.read_panel(
        folder / "cn_province_panel_2010_2023.csv",
        region="adcode",
        period="year",
        name="name_en",
        geometry=folder / "cn_provinces.geojson",
        geometry_id="adcode",
    ).select(periods=YEARS if years is None else years)
    people, firms = panel["population"], panel["hti_firms"]
    return panel.with_variables(
        {
            "inventions": panel["patent_apps_invention"] / people,
            "grants": panel["patent_grants_invention"] / people,
            "lq": (firms / people) / (firms.sum(axis=0) / people.sum(axis=0)),
            "science_share": 100.0 * panel["budget_exp_science"] / panel["budget_exp"],
            "gdp_per_head": panel["gdp"] / people,
            "revenue_share": 100.0 * panel["hti_revenue"] / panel["gdp"],
            "rd_people": panel["rd_fte"] / people,
        },
        labels={"hti_firms": "high-tech firms"},
    )


def macro_of(regions: tuple[str, ...]) -> dict[str, str]:
    """Province → economic region."""
    return {region: next(name for name, codes in MACRO.items() if region[:2] in codes) for region in regions}


def with_economic_regions(panel: so.Panel) -> so.Panel:
    """The panel with the four economic regions as a grouping."""
    return replace(panel, groups={"economic region": tuple(macro_of(panel.regions).values())})


def fit_inside(panel: so.Panel, queen: SpatialWeights) -> so.SpatialFit:
    """One effect per economic region and year, exactly: queen neighbours inside economic regions only."""
    inside = within_groups(queen, macro_of(panel.regions))
    kept = with_economic_regions(panel).select(regions=inside.regions)
    return so.fit(FORMULA, kept, inside, groups="economic region")


def build_weights(panel: so.Panel, data: Path) -> dict[str, SpatialWeights]:
    """Every W of the study; Hainan, an island, is linked with Guangdong by hand."""
    rail = pd.read_csv(data / "cn_province_hti" / "rail_distance_km_29.csv", dtype={"adcode": str}).set_index("adcode")
    close = rail.to_numpy(dtype=float)
    np.fill_diagonal(close, np.inf)
    return {
        "queen": so.weights.build_contiguity(panel, links=[("460000", "440000")]),
        "4 nearest": so.weights.build_knn(panel, 4),
        "inverse squared distance": so.weights.build_inverse_distance(panel, 2),
        "rail, inverse squared": so.weights.from_object(close**-2.0, regions=list(rail.index), kind="railway, power 2"),
    }


def fit_models(panel: so.Panel, weights: dict[str, SpatialWeights]) -> dict[str, tuple[str, str, so.SpatialFit]]:
    """Label → (group of the forest, regressor, fit)."""
    queen = weights["queen"]
    kept = [region for region in panel.regions if region not in NO_RAIL]
    part = panel.select(regions=kept)
    made: dict[str, tuple[str, str, so.SpatialFit]] = {}

    def add(group: str, label: str, fit: so.SpatialFit, variable: str = "log(lq)") -> None:
        made[label] = (group, variable, fit)

    all_years = "31 provinces, 2011–2016 and 2018–2023"
    add(all_years, "OLS", so.fit(FORMULA, panel, model="ols"))
    add(all_years, "SLX, queen", so.fit(FORMULA, panel, queen, model="slx"))
    for name in ("queen", "4 nearest", "inverse squared distance"):
        add(all_years, f"SDM, {name}", so.fit(FORMULA, panel, weights[name]))
    segmented = so.fit(FORMULA, panel, queen, segments=SEGMENTS)
    add(all_years, "SDM, queen, province × segment", segmented)
    add(all_years, "SDM, queen inside economic regions, region × year", fit_inside(panel, queen))
    rail = "the 29 provinces with a railway"
    for name in ("rail, inverse squared", "queen", "4 nearest", "inverse squared distance"):
        w = weights[name] if name.startswith("rail") else weights[name].subset(kept)
        add(rail, f"SDM, {name}, 29 provinces", so.fit(FORMULA, part, w))
    halves = "by segment, and to 2020"
    add(halves, "SDM, queen, 2011–2016", so.fit(FORMULA, panel.select(periods=YEARS[:6]), queen))
    add(halves, "SDM, queen, 2018–2023", so.fit(FORMULA, panel.select(periods=YEARS[6:]), queen))
    short = panel.select(periods=TO_2020)
    with_gdp = FORMULA + " + log(gdp_per_head)"
    add(halves, "SDM, queen, with GDP per head, to 2020", so.fit(with_gdp, short, queen))
    revenue = with_gdp.replace("log(lq)", "log(revenue_share)")
    add(halves, "SDM, queen, revenue share of GDP, to 2020", so.fit(revenue, short, queen), "log(revenue_share)")
    granted = FORMULA.replace("inventions", "grants")
    for name in ("queen", "4 nearest", "inverse squared distance"):
        add("grants instead of applications", f"SDM, {name}, grants", so.fit(granted, panel, weights[name]))
    return made


def estimate_dynamics(data: Path, queen: SpatialWeights) -> pd.DataFrame:
    """y(t) on y(t − 1) and x(t − 1): patents are observed in 2017, so 2012–2017 and 2019–2023 have both."""
    full = read(data, list(range(2011, 2024)))
    later = [year for year in full.periods if year != 2011 and year != 2018]
    at = {year: full.periods.index(year) for year in full.periods}
    before = {year: at[int(year) - 1] for year in later}
    shifted = {
        "past_inventions": full["inventions"][:, list(before.values())],
        "past_lq": full["lq"][:, list(before.values())],
        "past_science_share": full["science_share"][:, list(before.values())],
    }
    panel = full.select(periods=later).with_variables(shifted)
    rows = []
    for label, formula in (
        ("x of the year before", "log(inventions) ~ log(past_lq) + log(past_science_share)"),
        ("and y of the year before", "log(inventions) ~ log(past_lq) + log(past_science_share) + log(past_inventions)"),
    ):
        fit = so.fit(formula, panel, queen, lagged=["log(past_lq)", "log(past_science_share)"])
        row = writing.effect_row(fit, "log(past_lq)", label)
        if "past_inventions" in formula:
            row["persistence"] = fit.estimates["log(past_inventions)"]
        rows.append(row)
    return pd.DataFrame(rows)


def follow_channel(panel: so.Panel, queen: SpatialWeights) -> pd.DataFrame:
    """The own side of one channel: agglomeration → R&D personnel → applications. R&D is in no other model."""
    rows = []
    for label, formula in (
        ("R&D personnel per head on the quotient", "log(rd_people) ~ log(lq) + log(science_share)"),
        ("applications on the quotient", FORMULA),
        ("applications, R&D personnel held fixed", FORMULA + " + log(rd_people)"),
    ):
        rows.append(writing.effect_row(so.fit(formula, panel, queen), "log(lq)", label))
    return pd.DataFrame(rows)


def moran_frames(panel: so.Panel, w: SpatialWeights, variables: dict[str, str]) -> dict[str, pd.DataFrame]:
    """Moran's I by year of the logarithms, level and net of region and year means."""
    logs = panel.with_variables({f"log_{name}": np.log(panel[name]) for name in variables})
    frames = {}
    for name, words in variables.items():
        found = moran_by_period(logs, f"log_{name}", w)
        frames[words] = pd.DataFrame(
            {
                "period": [each.period for each in found],
                "transform": [each.transform for each in found],
                "statistic": [each.statistic for each in found],
                "p_value": [each.permutation.p_value for each in found],
            }
        )
    return frames


def moran_of(panel: so.Panel, w: SpatialWeights, values: np.ndarray) -> tuple[float, float]:
    """Moran's I of one value per region with its permutation p-value."""
    one = panel.select(periods=[panel.periods[0]]).with_variables({"one": values[:, None]})
    found = moran_by_period(one, "one", w, transforms=["level"])[0]
    return float(found.statistic), float(found.permutation.p_value)


def draw(
    panel: so.Panel, weights: dict[str, SpatialWeights], rows: list[dict[str, Any]], shuffles: Any, out: Path
) -> None:
    """The five figures, and the tables behind those that have one."""
    drawing.prepare()
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    queen = weights["queen"]
    logs = {name: np.log(panel[name]) for name in ("inventions", "lq")}
    change = {name: values[:, -3:].mean(axis=1) - values[:, :3].mean(axis=1) for name, values in logs.items()}
    shown = [
        ("Inventions, level", panel["inventions"].mean(axis=1), False, "applications per 10 000 persons"),
        ("Inventions, change", change["inventions"] - change["inventions"].mean(), True, "log points against the mean"),
        ("High-tech quotient, change", change["lq"] - change["lq"].mean(), True, "log points against the mean"),
    ]
    maps = []
    for title, values, signed, unit in shown:
        tested = np.log(values) if not signed else values
        maps.append(drawing.MapPanel(title, values, signed, unit, *moran_of(panel, queen, tested)))
    note = "change: mean of 2021–2023 less mean of 2011–2013. Boundaries: Natural Earth"
    drawing.draw_maps(panel, maps, figures, "maps", ALBERS, note)
    frames = moran_frames(panel, queen, {"inventions": "Invention applications", "lq": "High-tech quotient"})
    pd.concat([frame.assign(variable=name) for name, frame in frames.items()]).to_csv(out / "moran.csv", index=False)
    drawing.draw_moran(frames, figures, "moran")
    drawing.draw_forest(
        writing.forest_rows(rows),
        figures,
        "forest",
        "spillover: elasticity of inventions (grants) to the measure in all others",
        {"clustered": "95 %, clustered by province", "textbook": "95 %, information matrix"},
    )
    over, inside = "permutation_whole_map", "permutation_within_groups"
    panels = []
    for key, label in (("rho", "ρ"), ("spillover", "spillover")):
        shuffled = {
            "over the whole map": shuffles.draws[f"{over}.{key}"],
            "inside economic regions": shuffles.draws[f"{inside}.{key}"],
        }
        observed = shuffles.table.query(f"statistic == '{key}'")["observed"].iloc[0]
        panels.append((f"{label} with neighbours shuffled", shuffled, float(observed)))
    drawing.draw_shuffles(panels, figures, "shuffles")
    bands = [0, 500, 1000, 1500, 2000, 2500, 3000]
    lines = {
        "inventions, level": drawing.correlogram(panel, logs["inventions"], bands),
        "inventions, net of province and year": drawing.correlogram(panel, within_two_way(logs["inventions"]), bands),
        "high-tech quotient, net of province and year": drawing.correlogram(panel, within_two_way(logs["lq"]), bands),
    }
    pd.concat([frame.assign(line=name) for name, frame in lines.items()]).to_csv(out / "correlogram.csv", index=False)
    drawing.draw_correlogram(lines, figures, "correlogram")


def run(data: Path, out: Path, draws: int, seed: int) -> None:
    """Everything, into the folder."""
    out.mkdir(parents=True, exist_ok=True)
    panel = read(data)
    weights = build_weights(panel, data)
    models = fit_models(panel, weights)
    rows = [writing.effect_row(fit, variable, label, group) for label, (group, variable, fit) in models.items()]
    pd.DataFrame(rows).to_csv(out / "models.csv", index=False, float_format="%.10g")
    (out / "models.md").write_text(writing.markdown(rows) + "\n", encoding="utf-8")
    main = models["SDM, queen"][2]
    others = {name: weights[name] for name in ("4 nearest", "inverse squared distance")}
    options: dict[str, Any] = {"draws": draws, "seed": seed}
    writing.write_audit(
        main,
        out,
        "audit",
        weights=others,
        counts="hti_firms",
        measures=["log(hti_firms / population)", "log(hti_firms)"],
        channels=["rd_exp", "rd_fte"],
        **options,
    )
    inside = fit_inside(panel, weights["queen"])
    shuffles = audit_permutation(so.fit(FORMULA, with_economic_regions(panel), weights["queen"]), **options)
    shuffles.table.to_csv(out / "shuffles.csv", index=False, float_format="%.10g")
    writing.write_audit(inside, out, "inside", counts="hti_firms", **options)
    estimate_dynamics(data, weights["queen"]).to_csv(out / "dynamics.csv", index=False, float_format="%.10g")
    follow_channel(panel, weights["queen"]).to_csv(out / "channel.csv", index=False, float_format="%.10g")
    short = models["SDM, queen, with GDP per head, to 2020"][2]
    measured = audit_measures(short, measures=["log(hti_firms / gdp)", "log(revenue_share)"])
    measured.table.to_csv(out / "measures_to_2020.csv", index=False, float_format="%.10g")
    (out / "measures_to_2020.txt").write_text("\n".join(measured.sentences) + "\n", encoding="utf-8")
    draw(panel, weights, rows, shuffles, out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPILLOVER_DATA"))
    parser.add_argument("--out", type=Path, default=Path("results/china-provinces-audit"))
    parser.add_argument("--draws", type=int, default=999)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.data is None or not Path(given.data).is_dir():
        parser.error("name the folder of the regional data: --data DIR or SPILLOVER_DATA")
    run(Path(given.data), given.out, given.draws, given.seed)


if __name__ == "__main__":
    main()
