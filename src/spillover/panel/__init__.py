"""STEP 1a: from a table and a map to a `Panel`."""

from spillover.panel.expressions import evaluate, names_in
from spillover.panel.geometry import areas_km2, centroids, to_geojson
from spillover.panel.industry import IndustryTable, read_industry
from spillover.panel.panel import Panel, Period
from spillover.panel.read import read_panel

__all__ = [
    "IndustryTable",
    "Panel",
    "Period",
    "areas_km2",
    "centroids",
    "evaluate",
    "names_in",
    "read_industry",
    "read_panel",
    "to_geojson",
]
