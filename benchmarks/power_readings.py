"""One cell of the power table, N = 30 and T = 5, under every reading of its design that the words leave open.

    python benchmarks/power_readings.py [--rounds 4000] [--workers 2] [--periods 5]

The design: SDM, ρ = .3, β = .3, θ = .15, σ = 1, W of 5 nearest neighbours, x AR(.8), two-way effects. What is left
open: how regions are scattered, how x starts and how large its innovations are, which errors are used, and whether
the effects are removed by transformation or by dummies. The reading of docs/power.md is the first line.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

import spillover as so
from spillover.panel.panel import Panel
from spillover.simulation.geography import build_geography
from spillover.simulation.power import PowerQuestion, compute_power
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig
from spillover.weights.distance import build_knn
from spillover.weights.weights import SpatialWeights

RHO, BETA, THETA = 0.3, 0.3, 0.15
CONFIG = SpatialPanelConfig("sdm", rho=RHO, regressors=(Regressor("x0", BETA, THETA, persistence=0.8),))


def scattered(n: int, rng: np.random.Generator) -> SpatialWeights:
    """Centres at least 0.7 of the mean spacing apart, as the simulator has them."""
    ids = tuple(f"R{i:03d}" for i in range(n))
    return build_knn(build_geography(ids, rng).to_geodataframe(), 5)


def uniform(n: int, rng: np.random.Generator) -> SpatialWeights:
    """Centres uniform in a square."""
    import geopandas as gpd

    points = rng.uniform(0.0, 1000.0, (n, 2))
    frame = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*points.T), index=[f"R{i:03d}" for i in range(n)])
    return build_knn(frame, 5)


def stationary(n: int, t: int, rng: np.random.Generator) -> np.ndarray:
    """AR(.8) of variance 1 from its first period on."""
    x = rng.standard_normal((n, t))
    for s in range(1, t):
        x[:, s] = 0.8 * x[:, s - 1] + 0.6 * x[:, s]
    return x


def unit_innovations(n: int, t: int, rng: np.random.Generator, *, run_in: int) -> np.ndarray:
    """AR(.8) with innovations of variance 1, from 0 and after so many periods."""
    x = np.zeros((n, t + run_in))
    shocks = rng.standard_normal(x.shape)
    for s in range(x.shape[1]):
        x[:, s] = (0.8 * x[:, s - 1] if s else 0.0) + shocks[:, s]
    return x[:, run_in:]


READINGS: dict[str, tuple[Callable[..., SpatialWeights], Callable[..., np.ndarray], str, str]] = {
    "as in docs/power.md": (scattered, stationary, "lee-yu", "information"),
    "centres uniform in the square": (uniform, stationary, "lee-yu", "information"),
    "x with innovations of variance 1": (scattered, partial(unit_innovations, run_in=100), "lee-yu", "information"),
    "the same, started at zero": (scattered, partial(unit_innovations, run_in=0), "lee-yu", "information"),
    "sandwich errors (QML)": (scattered, stationary, "lee-yu", "sandwich"),
    "errors clustered by region, t(n − 1)": (scattered, stationary, "lee-yu", "cluster"),
    "dummies without correction": (scattered, stationary, "none", "information"),
    "uniform centres and sandwich": (uniform, stationary, "lee-yu", "sandwich"),
    "uniform centres, dummies": (uniform, stationary, "none", "information"),
}


def play(reading: str, n: int, t: int, seeds: list[int]) -> np.ndarray:
    """One row per panel: ρ̂, its p-value, indirect effect, its error, its p-value, its truth."""
    scatter, path, correction, covariance = READINGS[reading]
    rows = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 1313])
        w = scatter(n, rng)
        x = path(n, t, rng)
        spread = np.linalg.inv(np.eye(n) - RHO * w.matrix.toarray())
        mean = BETA * x + THETA * w.lag(x) + rng.standard_normal((n, 1)) + rng.standard_normal((1, t))
        panel = Panel(w.regions, tuple(range(1, t + 1)), {"y": spread @ (mean + rng.standard_normal((n, t))), "x0": x})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = so.fit("y ~ x0", panel, w, correction=correction, covariance=covariance)
            rho = fit.coefficients().set_index("term").loc["rho"]
            indirect = fit.effects().set_index("effect").loc["indirect"]
        effect = spread @ (BETA * np.eye(n) + THETA * w.matrix.toarray())
        truth = (effect.sum() - np.trace(effect)) / n
        rows.append([rho.estimate, rho.p_value, indirect.estimate, indirect.std_error, indirect.p_value, truth])
    return np.array(rows)


def table(n: int, t: int, rounds: int, pool: Executor) -> pd.DataFrame:
    """One line per reading: the power for ρ and for the indirect effect, and the mean error of the latter."""
    lines = []
    for reading in READINGS:
        chunks = [list(range(start, min(start + 50, rounds))) for start in range(0, rounds, 50)]
        found = np.vstack(list(pool.map(partial(play, reading, n, t), chunks)))
        rho, p_rho, _, error, p_indirect, truth = found.T
        seen = float((p_rho < 0.05).mean())
        lines.append(
            {
                "reading": reading,
                "power ρ": seen,
                "mc se": np.sqrt(seen * (1.0 - seen) / rounds),
                "mean ρ": rho.mean(),
                "power indirect": (p_indirect < 0.05).mean(),
                "mean SE indirect": error.mean(),
                "true indirect": truth.mean(),
            }
        )
        print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def maps(n: int, t: int, count: int = 200) -> str:
    """How much the power for ρ, in closed form, differs between maps of either kind."""
    text = []
    for name, scatter in (("scattered", scattered), ("uniform", uniform)):
        powers, mutual = [], []
        for seed in range(count):
            w = scatter(n, np.random.default_rng([seed, 77]))
            design = CONFIG.with_changes(n_periods=t, weights=w)
            powers.append(compute_power(design, PowerQuestion("rho", covariance="information")).power)
            mutual.append(float((w.matrix.multiply(w.matrix.T)).sum() / (w.matrix.multiply(w.matrix)).sum()))
        low, middle, high = np.quantile(powers, (0.025, 0.5, 0.975))
        text.append(f"{name} maps: {middle:.3f} ({low:.3f}–{high:.3f}), mutual links {np.mean(mutual):.2f}")
    return "\n".join(text)


def main() -> None:
    """Run and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--regions", type=int, default=30)
    parser.add_argument("--periods", type=int, default=5)
    given = parser.parse_args()
    print(maps(given.regions, given.periods))
    with ProcessPoolExecutor(given.workers) as pool:
        frame = table(given.regions, given.periods, given.rounds, pool)
    print(frame.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
