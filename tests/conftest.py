"""Fixtures shared by all tests: a grid, a panel on it, the folder with regional data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulated import lattice, named_weights, row_standardised, simulate_sdm
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder with the regional data, or a skip that says what is missing."""
    folder = Path(os.environ.get("SPILLOVER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the regional data are not here: set SPILLOVER_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    return data_folder()


@pytest.fixture(scope="session")
def queen_grid() -> SpatialWeights:
    """Row-standardised queen neighbours of a 7 × 6 grid."""
    return named_weights(row_standardised(lattice(7, 6, queen=True)))


@pytest.fixture(scope="session")
def grid_panel(queen_grid: SpatialWeights) -> Panel:
    """SDM panel of 42 regions × 6 periods on `queen_grid`."""
    return simulate_sdm(queen_grid, 6, seed=1)
