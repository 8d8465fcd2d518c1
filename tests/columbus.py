"""The 49 tracts of Columbus (Ohio) with queen neighbours, for comparisons with spatialreg and spreg."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import spillover as so
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

FORMULA = "CRIME ~ INC + HOVAL"


def read_columbus() -> tuple[Panel, SpatialWeights]:
    """The cross-section and its row-standardised W, or a skip that says what is missing."""
    import pandas as pd

    default = Path(__file__).resolve().parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("SPILLOVER_REFERENCE", default))
    if not (folder / "data" / "columbus.csv").is_file():
        pytest.skip("the Columbus tracts are not here: set SPILLOVER_REFERENCE to the folder with data/columbus.csv")
    table = pd.read_csv(folder / "data" / "columbus.csv", skipinitialspace=True)
    table["tract"] = [f"{i:02d}" for i in range(1, len(table) + 1)]
    edges = pd.read_csv(folder / "data" / "columbus_queen_edges_1based.csv")
    links = pd.DataFrame({"focal": edges["row"].map("{:02d}".format), "neighbor": edges["col"].map("{:02d}".format)})
    return so.read_panel(table, region="tract"), so.weights.from_object(links).standardise("row")
