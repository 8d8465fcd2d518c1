"""The drawn panel of the demo as files of an ordinary study: `spillover run study.toml` beside them repeats it."""

from __future__ import annotations

import csv
import io
import json

import shapely

from spillover.panel.panel import Panel
from spillover.simulation.reference import DEMO_SEED, demo_config
from spillover.simulation.system import simulate
from spillover.study.config import StudyConfig
from spillover.study.demo import demo_study
from spillover.study.toml_text import section

TABLE, MAP = "demo-table.csv", "demo-map.geojson"


def demo_files(seed: int = DEMO_SEED) -> dict[str, str]:
    """File name → text: the study file, the table and the map of the demo with this seed."""
    panel, _ = simulate(demo_config(), seed)
    return {"study.toml": _study_text(demo_study(seed), panel), TABLE: _table_text(panel), MAP: _map_text(panel)}


def _table_text(panel: Panel) -> str:
    """One row per region and period; numbers with all their digits, so that the same estimates come out."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["region", "name", "year", *panel.variables])
    for i, (region, name) in enumerate(zip(panel.regions, panel.names, strict=True)):
        for j, period in enumerate(panel.periods):
            cells = [repr(float(values[i, j])) for values in panel.variables.values()]
            writer.writerow([region, name, period, *cells])
    return stream.getvalue()


def _map_text(panel: Panel) -> str:
    """The whole map in plane km: a coordinate system of null says that it has no place on the earth."""
    features = [
        {
            "type": "Feature",
            "properties": {"region": region, "name": name},
            "geometry": shapely.geometry.mapping(shape),
        }
        for region, name, shape in zip(panel.regions, panel.names, panel.geometry.geometry, strict=True)
    ]
    return json.dumps({"type": "FeatureCollection", "crs": None, "features": features}, ensure_ascii=False)


def _study_text(config: StudyConfig, panel: Panel) -> str:
    data = {"table": TABLE, "region": "region", "period": "year", "name": "name", "geometry": MAP}
    used = [name for name in panel.variables if name in panel.units]
    parts = [
        "# The demo as a study of its own: the drawn table and map are the files named below.\n"
        "#   spillover run study.toml\n\n",
        section("[study]", config.study.model_dump()),
        section("[data]", data),
        section("[data.units]", {name: panel.units[name] for name in used}),
        section("[data.labels]", {name: panel.labels[name] for name in panel.variables if name in panel.labels}),
        section("[agglomeration]", config.agglomeration.model_dump(exclude_defaults=True) | {"measure": "column"}),
        section("[innovation]", config.innovation.model_dump(include={"column", "label"})),
        *(section("[[innovation.indicators]]", item.model_dump()) for item in config.innovation.indicators),
        *(section("[[weights]]", item.model_dump(exclude_defaults=True)) for item in config.weights),
        *(section("[[models]]", item.model_dump(exclude_defaults=True)) for item in config.models),
        *(
            []
            if config.distance is None
            else [section("[distance]", config.distance.model_dump(exclude_defaults=True))]
        ),
    ]
    return "".join(parts)
