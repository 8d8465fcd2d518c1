"""Which linkage carries it? Several W side by side on three real panels.

    SPILLOVER_DATA=../shared/data python examples/linkages/which_linkage.py [china|europe|america]

README.md beside this file says what comes out and what cannot be said.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

import spillover as so
from spillover.models.linkages import compare_linkages
from spillover.panel.expressions import evaluate
from spillover.panel.panel import Panel
from spillover.weights import SpatialWeights

DATA = Path(os.environ.get("SPILLOVER_DATA", "../shared/data"))


def china() -> tuple[str, Panel, dict[str, SpatialWeights]]:
    """29 provinces with railways: borders, the crow, the train."""
    folder = DATA / "cn_province_hti"
    panel = so.read_panel(
        folder / "cn_province_panel_2010_2023.csv",
        region="adcode", period="year", name="name_en",
        columns=["patent_apps_invention", "population", "hti_firms", "budget_exp", "budget_exp_science"],
        geometry=folder / "cn_provinces.geojson", geometry_id="adcode", geometry_policy="table",
    )  # fmt: skip
    rail = so.weights.read_travel_times(folder / "rail_distance_km_29.csv", unit="km")
    years = [2011, 2012, 2013, 2014, 2015, 2016, 2018, 2019, 2020, 2021, 2022, 2023]
    panel = panel.select(periods=years, regions=rail.regions)
    panel = panel.with_variables(
        {
            "inventions": evaluate("patent_apps_invention / population", panel),
            "hti": evaluate("hti_firms / population", panel),
            "science": evaluate("budget_exp_science / budget_exp", panel),
        }
    )
    capitals = (
        pd.read_csv(folder / "cn_provinces.csv", dtype={"adcode": str}).set_index("adcode").loc[list(panel.regions)]
    )
    where = {"coordinates": ("capital_lon", "capital_lat"), "lonlat": True}
    weights = {
        "border": so.weights.build_contiguity(panel),
        "crow": so.weights.build_inverse_distance(capitals, 2, **where),
        "rail": so.weights.build_travel_time(rail, "power", 2),
    }
    return "log(inventions) ~ log(hti) + log(science)", panel, weights


def europe() -> tuple[str, Panel, dict[str, SpatialWeights]]:
    """NUTS-2: near, of the same nation, of similar industries."""
    folder = DATA / "eu_nuts2_hti"
    panel = so.read_panel(
        folder / "eu_nuts2_balanced_2008_2012.csv", region="nuts2", period="year", groups=["country"],
        columns=["epo_patents", "population", "emp_hti", "gdp_meur", "hrst"],
        geometry=folder / "nuts2_2016_20M.geojson", geometry_policy="table",
    )  # fmt: skip
    jobs = employment_2008()
    alone = pd.Series(panel.groups["country"]).value_counts()
    kept = [
        region
        for region, country in zip(panel.regions, panel.groups["country"], strict=True)
        if region in set(jobs.index) and alone[country] > 1
    ]
    panel = panel.select(regions=kept)
    panel = panel.with_variables(
        {
            "patents_pm": evaluate("1e6 * epo_patents / population", panel),
            "income": evaluate("gdp_meur / population", panel),
            "skilled": evaluate("hrst / population", panel),
        }
    )
    industries = so.weights.read_portfolio(jobs.loc[list(panel.regions)])
    weights = {
        "near": so.weights.build_knn(panel, 8),
        "nation": so.weights.build_same_group(panel, "country"),
        "industry": so.weights.build_technological(industries, top=8),
    }
    return "log(patents_pm) ~ log(emp_hti) + log(income) + log(skilled)", panel, weights


def employment_2008() -> pd.DataFrame:
    """Employment by NACE section in 2008, before the outcome's changes; sections with blanks are left out."""
    table = pd.read_csv(DATA / "eu_nuts2_sector_employment" / "lfs_employment_nuts2_nace_2008_2015.csv")
    table = table[(table["year"] == 2008) & table["nuts2_2016"].notna()]
    wide = table.pivot_table(index="nuts2_2016", columns="nace_r2", values="employment_ths")
    return wide[["A", "B-E", "F", "G-I", "K", "M_N", "O-Q", "R-U"]].dropna()


def america() -> tuple[str, Panel, dict[str, SpatialWeights]]:
    """Metropolitan areas: near, of similar industries, and as the sources of graduates would have it."""
    folder = DATA / "us_cbsa_hti"
    panel = so.read_panel(
        folder / "metro_panel_2009_2015.csv", region="cbsa_code", period="year",
        columns=["patents_issued", "fromdiffstate_edu_baplus", "fromabroad_edu_baplus", "fromdiffstate_total"],
    )  # fmt: skip
    jobs = pd.read_csv(folder / "cbp2019_metro_naics2_naics4.csv", dtype={"cbsa_code": str, "naics_code": str})
    jobs = jobs[(jobs["naics_level"] == 4) & jobs["cbsa_code"].isin(panel.regions)]
    places = pd.read_csv(folder / "metro_regions.csv", dtype={"cbsa_code": str}).set_index("cbsa_code")
    kept = [region for region in panel.regions if region in set(jobs["cbsa_code"]) and region in places.index]
    panel = panel.select(regions=kept)
    panel = panel.with_variables(
        {
            "patents": evaluate("patents_issued + 1", panel),
            "graduates": evaluate("fromdiffstate_edu_baplus + fromabroad_edu_baplus + 1", panel),
            "movers": evaluate("fromdiffstate_total + 1", panel),
        }
    )
    portfolio = so.weights.read_portfolio(jobs, region="cbsa_code", class_="naics_code", value="employment")
    where = {"coordinates": ("centroid_lon", "centroid_lat"), "lonlat": True}
    weights = {
        "near": so.weights.build_knn(places.loc[list(panel.regions)], 8, **where),
        "far": so.weights.build_inverse_distance(places.loc[list(panel.regions)], 2, **where),
        "industry": so.weights.build_technological(portfolio.align(panel.regions), top=8),
    }
    return "log(patents) ~ log(graduates) + log(movers)", panel, weights


def say(*parts: object) -> None:
    """One line on the screen."""
    sys.stdout.write(" ".join(map(str, parts)) + "\n")


def show(name: str, formula: str, panel: Panel, weights: Mapping[str, SpatialWeights]) -> None:
    """Everything that is known about one panel, on screen."""
    say(f"\n== {name}: {panel!r}; {formula}")
    for label, w in weights.items():
        found = so.weights.examine_identification(w, "two-way", panel.shape[1])
        say(f"   {label:9} {w.matrix.nnz / w.n:6.1f} neighbours, se of ρ from noise {found.std_error:.3f}  {w.kind}")
    for model in ("slx", "sdm"):
        result = compare_linkages(formula, panel, weights, model=model)
        say(f"\n-- {model}: {' '.join(result.verdict())}")
        say(result.compare().round(3).to_string(index=False))
        say(result.tests()[["test", "statistic", "df", "p_value"]].round(3).to_string(index=False))
        if model == "slx":
            columns = ["term", "linkage", "beside", "estimate", "std_error", "p_value"]
            first = result.spillovers()
            say(first[first["term"] == result.lags[0]][columns].round(3).to_string(index=False))
            say("   correlations of W x:", result.correlations.round(2).tolist())


def main() -> None:
    """All three panels, or the one that is named."""
    makers = {"china": china, "europe": europe, "america": america}
    for name in sys.argv[1:] or list(makers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            show(name, *makers[name]())


if __name__ == "__main__":
    main()
