"""What a wrong W does: panels whose truth decays exponentially with distance, studied with other weights.

    python examples/laboratory/wrong_weights.py [--panels 100] [--workers 2]

Writes wrong_weights.csv beside this file; the walk-through reads it. Illustrative calibration.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal

import pandas as pd

import spillover as so
from spillover.simulation.reference import demo_config
from spillover.simulation.system import simulate
from spillover.weights.distance import build_exponential, build_knn
from spillover.weights.weights import SpatialWeights

DECAY = 0.00892
TABLE = Path(__file__).parent / "wrong_weights.csv"


def study(seed: int) -> list[dict[str, float | str]]:
    """One panel of the demo's system, and what each W finds in it."""
    panel, truth = simulate(demo_config(), seed)
    choices: dict[str, tuple[SpatialWeights, Literal["slx", "sdm"]]] = {
        "the truth's: e^(-δd), absolute": (build_exponential(panel, DECAY, standardise="scalar"), "slx"),
        "e^(-δd), rows sum to one": (build_exponential(panel, DECAY, standardise="row"), "slx"),
        "15 nearest, rows sum to one": (build_knn(panel, 15), "slx"),
        "6 nearest, rows sum to one": (build_knn(panel, 6), "slx"),
        "6 nearest, rows sum to one, SDM": (build_knn(panel, 6), "sdm"),
    }
    known = {"direct": truth.direct, "indirect": truth.spillover}
    rows: list[dict[str, float | str]] = []
    for name, (weights, model) in choices.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = so.fit("patents ~ hti", panel, weights, model=model, effects="two-way", covariance="cluster")
            found = fit.effects().set_index("effect")
        for effect, value in known.items():
            row = found.loc[effect]
            covered = float(row["conf_low"] <= value <= row["conf_high"])
            rows.append(
                {
                    "weights": name,
                    "seed": seed,
                    "effect": effect,
                    "truth": value,
                    "estimate": float(row["estimate"]),
                    "covered": covered,
                }
            )
    return rows


def main() -> None:
    """All panels; the numbers do not depend on the number of workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--panels", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.workers) as pool:
        rows = [row for part in pool.map(study, range(given.panels)) for row in part]
    pd.DataFrame(rows).to_csv(TABLE, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
