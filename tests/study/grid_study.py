"""A small regional system on a grid, written to files as a user would have them: table, map, study file."""

import json
from pathlib import Path

import numpy as np

ROWS, COLUMNS, PERIODS = 5, 6, (2011, 2012, 2013, 2014, 2015)

STUDY = """
audit = false

[study]
title = "A grid of regions"
seed = 7

[data]
table = "regions.csv"
region = "region"
period = "year"
name = "name"
groups = ["country"]
geometry = "map.geojson"

[[derive]]
name = "patents_pc"
expression = "1e4 * patents / population"
label = "patents per 10 000 persons"

[agglomeration]
measure = "location-quotient"
name = "lq"
sector = "hti"
total = "jobs"

[innovation]
column = "patents_pc"

[[innovation.indicators]]
column = "patents"
dimension = "creation"

[[innovation.indicators]]
column = "rd"
dimension = "enterprise"

[[weights]]
name = "queen"
kind = "queen"

[[weights]]
name = "near"
kind = "knn"
k = 4

[[models]]
name = "SDM"
formula = "log(patents_pc) ~ log(lq) + log(rd)"
main = true

[[models]]
name = "OLS"
formula = "log(patents_pc) ~ log(lq) + log(rd)"
model = "ols"

[[models]]
name = "SLX, later years"
formula = "log(patents_pc) ~ log(lq) + log(rd)"
model = "slx"
weights = "near"
lagged = ["log(lq)"]
periods = [2012, 2013, 2014, 2015]
"""


def region_id(row: int, column: int) -> str:
    return f"R{row}{column}"


def write_study(folder: Path, study: str = STUDY, drop: tuple[str, int] | None = None) -> Path:
    """Table, map and study file in `folder`; `drop` leaves one (region, year) row out."""
    rng = np.random.default_rng(3)
    lines = ["region,name,country,year,patents,population,hti,jobs,rd"]
    features = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            region = region_id(row, column)
            x, y = 10 + 0.5 * column, 45 + 0.5 * row
            ring = [[x, y], [x + 0.5, y], [x + 0.5, y + 0.5], [x, y + 0.5], [x, y]]
            features.append(
                {
                    "type": "Feature",
                    "properties": {"region": region},
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                }
            )
            for year in PERIODS:
                if (region, year) == drop:
                    continue
                jobs = 1e5 * np.exp(rng.normal(0, 0.3))
                hti = jobs * 0.05 * np.exp(rng.normal(0, 0.4))
                rd = 50 * np.exp(rng.normal(0, 0.4))
                patents = 200 * np.exp(0.5 * np.log(hti / jobs) + 0.3 * np.log(rd) + rng.normal(0, 0.2))
                cells = (f"{v:.6f}" for v in (patents, 3 * jobs * (1 + 0.1 * np.sin(len(lines))), hti, jobs, rd))
                # Names with markup, accents and Chinese characters are names.
                name = {"R00": "<b>Łódź</b>", "R01": "北京"}.get(region, region)
                lines.append(",".join([region, name, f"C{row % 2}", str(year), *cells]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "regions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "study.toml").write_text(study, encoding="utf-8")
    return folder / "study.toml"
