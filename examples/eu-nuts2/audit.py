"""Europe's spillover, or Europe's nations? All numbers and figures of this page.

    python examples/eu-nuts2/audit.py --data ../shared/data --out results/eu-nuts2-audit

Writes into the folder: models.csv and models.md (every model with two kinds of errors), clusters.csv,
cross_section.csv, refused.txt, audit.txt, audit.json and one table per part of the audit, the same for the model inside
countries (inside_…), shuffles.csv, moran.csv, correlogram.csv, and figures/ (SVG and PNG). The data are not part of
this repository; SPILLOVER_DATA or --data names their folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import drawing
import writing

import spillover as so
from spillover.audit.part import AuditPart
from spillover.audit.permutation import audit_permutation
from spillover.diagnostics.autocorrelation import moran_by_period, within_two_way
from spillover.errors import WeightsError
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights

FORMULA = "log(patents_pm) ~ log(emp_hti) + log(gdp_per_head) + log(hrst_per_head) + unemp_rate"
FOCUS = "log(emp_hti)"
WINDOWS = {
    "2008–2012": [2008, 2009, 2010, 2011, 2012],
    "2008–2011": [2008, 2009, 2010, 2011],
    "2008–2010": [2008, 2009, 2010],
}
LAEA = "EPSG:3035"  # European equal-area grid
NOTICE = "© EuroGeographics for the administrative boundaries"


def read(data: Path) -> so.Panel:
    """206 regions of 24 countries, 2008–2012, with the measures of the study."""
    folder = data / "eu_nuts2_hti"
    panel = so.read_panel(
        folder / "eu_nuts2_balanced_2008_2012.csv",
        region="nuts2",
        period="year",
        name="name",
        groups=["country"],
        geometry=folder / "nuts2_2016_20M.geojson",
        geometry_policy="table",
    )
    people = panel["population"]
    return panel.with_variables(
        {
            "patents_pm": 1e6 * panel["epo_patents"] / people,
            "gdp_per_head": 1e6 * panel["gdp_meur"] / people,
            "hrst_per_head": 1000.0 * panel["hrst"] / people,
        },
        labels={"epo_patents": "EPO patents"},
    )


def countries(panel: so.Panel) -> dict[str, str]:
    """Region → country."""
    return dict(zip(panel.regions, panel.groups["country"], strict=True))


def build_weights(panel: so.Panel) -> dict[str, SpatialWeights]:
    """Across borders; regions without a neighbour within 500 km are linked to the nearest one."""
    return {
        "6 nearest": so.weights.build_knn(panel, 6),
        "10 nearest": so.weights.build_knn(panel, 10),
        "inverse squared distance, 500 km": so.weights.build_inverse_distance(panel, 2, 500, islands="nearest"),
    }


def fit_models(panel: so.Panel, weights: dict[str, SpatialWeights]) -> dict[str, tuple[str, so.SpatialFit]]:
    """Label → (group of the forest, fit)."""
    made: dict[str, tuple[str, so.SpatialFit]] = {}
    made["OLS"] = ("", so.fit(FORMULA, panel, model="ols"))
    near = {k: within_groups(so.weights.build_knn(panel, k), countries(panel)) for k in (3, 4)}
    for span, years in WINDOWS.items():
        part = panel.select(periods=years)
        group = f"neighbours across borders, {span}"
        for name, w in weights.items():
            made[f"SDM, {name}, {span}"] = (group, so.fit(FORMULA, part, w))
        made[f"SLX, 6 nearest, {span}"] = (group, so.fit(FORMULA, part, weights["6 nearest"], model="slx"))
        group = f"neighbours inside countries only, {span}"
        for k, w in near.items():
            kept = part.select(regions=w.regions)
            made[f"SDM, {k} nearest inside, year, {span}"] = (group, so.fit(FORMULA, kept, w))
            made[f"SDM, {k} nearest inside, country × year, {span}"] = (
                group,
                so.fit(FORMULA, kept, w, groups="country"),
            )
    return made


def compare_clusters(models: dict[str, tuple[str, so.SpatialFit]]) -> pd.DataFrame:
    """Errors by region and by country where W links no two countries; elsewhere clustering by country is refused."""
    rows = []
    for span in WINDOWS:
        fit = models[f"SDM, 4 nearest inside, country × year, {span}"][1]
        for covariance in ("information", "cluster", "cluster-group"):
            found = fit.with_covariance(covariance).effects(variables=[FOCUS])
            rows += [{"periods": span, "covariance": covariance, **row} for row in found.to_dict("records")]
    return pd.DataFrame(rows).query("effect != 'total'")


def refuse(panel: so.Panel, w: SpatialWeights) -> str:
    """What the library says to country × year effects beside neighbours across borders."""
    try:
        so.fit(FORMULA, panel, w, groups="country")
    except WeightsError as error:
        return str(error)
    raise AssertionError("a W across borders was accepted beside country × year effects")


def cross_section(panel: so.Panel, weights: dict[str, SpatialWeights]) -> pd.DataFrame:
    """2012: differences between regions, with and without country dummies."""
    last = panel.select(periods=[2012])
    inside = within_groups(so.weights.build_knn(panel, 4), countries(panel))
    kept = last.select(regions=inside.regions)
    models = {
        "OLS": so.fit(FORMULA, last, model="ols", covariance="hc"),
        "OLS, country dummies": so.fit(FORMULA, kept, model="ols", effects="time", groups="country", covariance="hc"),
        "SDM, 6 nearest": so.fit(FORMULA, last, weights["6 nearest"], covariance="sandwich"),
        "SDM, 4 nearest inside": so.fit(FORMULA, kept, inside, covariance="sandwich"),
        "SDM, 4 nearest inside, country dummies": so.fit(
            FORMULA, kept, inside, effects="time", groups="country", covariance="sandwich"
        ),
    }
    return pd.DataFrame([writing.effect_row(fit, FOCUS, label) for label, fit in models.items()])


def shuffle(models: dict[str, tuple[str, so.SpatialFit]], draws: int, seed: int) -> dict[str, AuditPart]:
    """Neighbours shuffled over Europe and inside countries."""
    chosen = [f"SDM, {name}, {span}" for span in WINDOWS for name in ("6 nearest",)]
    chosen += ["SDM, 10 nearest, 2008–2012", "SDM, 4 nearest inside, year, 2008–2012"]
    chosen += ["SDM, 4 nearest inside, country × year, 2008–2012"]
    return {
        label: audit_permutation(models[label][1], FOCUS, groups="country", draws=draws, seed=seed) for label in chosen
    }


def without_nations(panel: so.Panel, values: np.ndarray) -> np.ndarray:
    """Net of region means and of country × year means."""
    left = within_two_way(values)
    labels = np.array(panel.groups["country"], dtype=object)
    for label in set(labels):
        left[labels == label] -= left[labels == label].mean(axis=0)
    return left


def moran_of(panel: so.Panel, w: SpatialWeights, values: np.ndarray) -> tuple[float, float]:
    """Moran's I of one value per region with its permutation p-value."""
    one = panel.select(periods=[panel.periods[0]]).with_variables({"one": values[:, None]})
    found = moran_by_period(one, "one", w, transforms=["level"])[0]
    return float(found.statistic), float(found.permutation.p_value)


def moran_frames(panel: so.Panel, w: SpatialWeights) -> dict[str, pd.DataFrame]:
    """Moran's I by year of the logarithms, level and net of region and year means."""
    names = {"patents_pm": "EPO patents per million", "emp_hti": "High-tech share of employment"}
    logs = panel.with_variables({f"log_{name}": np.log(panel[name]) for name in names})
    frames = {}
    for name, words in names.items():
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


def draw(
    panel: so.Panel, w: SpatialWeights, rows: list[dict[str, Any]], shuffles: dict[str, AuditPart], out: Path
) -> None:
    """The five figures, and the tables behind those that have one."""
    drawing.prepare()
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    patents = np.log(panel["patents_pm"])
    change = patents[:, -1] - patents[:, 0]
    labels = np.array(panel.groups["country"], dtype=object)
    home = np.array([change[i] - change[labels == labels[i]].mean() for i in range(len(change))])
    rest = np.array([(labels == label).sum() > 1 for label in labels])
    maps = [
        drawing.MapPanel("Patents, level", panel["patents_pm"].mean(axis=1), False, "EPO applications per million",
                         *moran_of(panel, w, patents.mean(axis=1))),
        drawing.MapPanel("Patents, change 2008–2012", change - change.mean(), True, "log points against the mean",
                         *moran_of(panel, w, change)),
        drawing.MapPanel("Change, net of the country's", home, True, "log points against the country's mean",
                         *moran_of(panel, w, home)),
    ]  # fmt: skip
    note = (
        f"2012 is truncated. Right: {int((~rest).sum())} countries of one region are zero, and Moran's I is a little "
        f"below zero, by construction. Canary Islands not shown. {NOTICE}"
    )
    drawing.draw_maps(panel, maps, figures, "maps", LAEA, note, frame=(2_500_000, 1_350_000, 6_600_000, 5_450_000))
    frames = moran_frames(panel, w)
    pd.concat([frame.assign(variable=name) for name, frame in frames.items()]).to_csv(out / "moran.csv", index=False)
    drawing.draw_moran(frames, figures, "moran")
    drawing.draw_forest(
        writing.forest_rows(rows),
        figures,
        "forest",
        "spillover: elasticity of patents to the high-tech share of all others",
        {"clustered": "95 %, clustered by region", "textbook": "95 %, information matrix"},
    )
    panels = []
    part = shuffles["SDM, 6 nearest, 2008–2012"]
    for key, label in (("rho", "ρ"), ("spillover", "spillover")):
        drawn = {
            "across Europe": part.draws[f"permutation_whole_map.{key}"],
            "inside countries": part.draws[f"permutation_within_groups.{key}"],
        }
        observed = part.table.query(f"statistic == '{key}'")["observed"].iloc[0]
        panels.append((f"{label} with neighbours shuffled", drawn, float(observed)))
    drawing.draw_shuffles(panels, figures, "shuffles")
    bands = [0, 150, 300, 500, 750, 1000, 1500, 2000, 2500]
    lines = {
        "patents, level": drawing.correlogram(panel, patents, bands),
        "net of region and year": drawing.correlogram(panel, within_two_way(patents), bands),
        "net of region and country × year": drawing.correlogram(panel, without_nations(panel, patents), bands),
    }
    pd.concat([frame.assign(line=name) for name, frame in lines.items()]).to_csv(out / "correlogram.csv", index=False)
    drawing.draw_correlogram(lines, figures, "correlogram")


def run(data: Path, out: Path, draws: int, seed: int) -> None:
    """Everything, into the folder."""
    out.mkdir(parents=True, exist_ok=True)
    panel = read(data)
    weights = build_weights(panel)
    models = fit_models(panel, weights)
    rows = [writing.effect_row(fit, FOCUS, label, group) for label, (group, fit) in models.items()]
    pd.DataFrame(rows).to_csv(out / "models.csv", index=False, float_format="%.10g")
    (out / "models.md").write_text(writing.markdown(rows) + "\n", encoding="utf-8")
    compare_clusters(models).to_csv(out / "clusters.csv", index=False, float_format="%.10g")
    cross_section(panel, weights).to_csv(out / "cross_section.csv", index=False, float_format="%.10g")
    (out / "refused.txt").write_text(refuse(panel, weights["6 nearest"]) + "\n", encoding="utf-8")
    inside = models["SDM, 4 nearest inside, country × year, 2008–2012"][1]
    writing.write_audit(
        models["SDM, 6 nearest, 2008–2012"][1],
        out,
        "audit",
        groups="country",
        weights={name: w for name, w in weights.items() if name != "6 nearest"},
        within=inside.weights,
        counts="epo_patents",
        draws=draws,
        seed=seed,
    )
    writing.write_audit(inside, out, "inside", groups="country", counts="epo_patents", draws=draws, seed=seed)
    shuffles = shuffle(models, draws, seed)
    table = pd.concat([part.table.assign(model=label) for label, part in shuffles.items()])
    table.to_csv(out / "shuffles.csv", index=False, float_format="%.10g")
    draw(panel, weights["6 nearest"], rows, shuffles, out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPILLOVER_DATA"))
    parser.add_argument("--out", type=Path, default=Path("results/eu-nuts2-audit"))
    parser.add_argument("--draws", type=int, default=999)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.data is None or not Path(given.data).is_dir():
        parser.error("name the folder of the regional data: --data DIR or SPILLOVER_DATA")
    run(Path(given.data), given.out, given.draws, given.seed)


if __name__ == "__main__":
    main()
