"""Recovery of the estimators that docs/recovery.md's first table does not hold, through the project's own harness.

    python benchmarks/recovery_others.py [--rounds 300] [--workers 2] [--out docs/recovery-others.md]

Grouped effects, missing outcomes, random effects, counts, two-stage least squares and GMM, the control function, the
heteroskedasticity-robust moments for λ, GNS with two W, shares of channels, thresholds. Same numbers whatever the
number of workers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import spillover as so
from spillover.models.control_function import fit_control_function
from spillover.models.generalised_moments import fit_error_moments
from spillover.simulation.config import SystemConfig
from spillover.simulation.designs import ready_estimator
from spillover.simulation.estimators import CountEstimator, FitEstimator, RandomEstimator, TwoStageEstimator
from spillover.simulation.harness import recover_estimator
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.weights.weights import SpatialWeights

X = (Regressor("x0", 1.0, 0.5),)
OWN = (Regressor("x0", 1.0),)
BESIDE = (Regressor("x0", 1.0, 0.5), Regressor("x1", 1.0, 0.5))  # the second is exogenous and helps to identify ρ
TERMS = ("x0", "W*x0", "rho", "lambda", "direct: x0", "indirect: x0", "threshold", "shift: x0", "shift: W*x0")
SYSTEM = SystemConfig(n_regions=100, n_periods=8, n_clusters=20)
NOTES = """

The three estimators for an endogenous x0 have an exogenous regressor beside it, whose lags are the further
instruments of ρ. Without one, the three instruments B, WB and W²B meet three endogenous terms (x, W x, W y), ρ is
weakly identified and its bias is −0.11, 3.7 Monte Carlo standard errors, with the indirect effect covered in 88.8 %
of 197 panels (three were refused). The effect at home, which the instrument identifies, is right either way. With
no exogenous regressor at hand, estimate ρ by the control function. Only these rows: `--only endogenous`.

Shares of channels are those of the spillover in the reference system (`spillover.mediate`). A threshold has a
confidence set and no standard error; a shift has neither, and its test is the bootstrap's. The shift is measured at
the place that fits best, and so exaggerates a little: by 1 % of .5 at home, by 5 % of .8 next door.
"""


def ring_weights(n: int, size: int) -> SpatialWeights:
    """Groups of `size` regions, each linked to the two before and after it on the ring of its group."""
    links = np.zeros((n, n))
    for start in range(0, n, size):
        for i in range(size):
            for step in (1, 2):
                links[start + i, start + (i + step) % size] = links[start + i, start + (i - step) % size] = 0.25
    return SpatialWeights(sp.csr_matrix(links), tuple(f"r{i:03d}" for i in range(n)), "rings", "row")


def fit_rings(panel: so.Panel, weights: SpatialWeights | None) -> Any:
    """SDM with one effect per group of ten regions and period."""
    groups = {region: f"g{i // 10:02d}" for i, region in enumerate(panel.regions)}
    return so.fit("y ~ x0", panel, weights, groups=groups)


def fit_with_holes(panel: so.Panel, weights: SpatialWeights | None) -> Any:
    """SDM with 15 % of the outcomes taken away at random."""
    rng = np.random.default_rng(int(1e6 * abs(float(panel["y"][0, 0]))))
    holes = np.where(rng.random(panel.shape) < 0.15, np.nan, panel["y"])
    return so.fit_missing("y ~ x0", panel.with_variables({"y": holes}), weights)


def fit_by_control_function(panel: so.Panel, weights: SpatialWeights | None) -> Any:
    """SDM by maximum likelihood on first-stage residuals, errors from 99 bootstrap draws."""
    return fit_control_function("y ~ x1 | x0 ~ instrument", panel, weights, draws=99)


def fit_moments(panel: so.Panel, weights: SpatialWeights | None) -> Any:
    """SEM of a cross-section by generalised moments."""
    assert weights is not None
    return fit_error_moments("y ~ x0", panel, weights)


@dataclass(frozen=True)
class Case:
    """A named design and its estimator."""

    name: str
    config: SpatialPanelConfig | SystemConfig | ThresholdPanelConfig
    estimator: Callable[..., Any]


def cases() -> tuple[Case, ...]:
    """All designs."""
    rings = ring_weights(100, 10)
    grouped = SpatialPanelConfig("sdm", 100, 8, regressors=X, rho=0.4, weights=rings)
    other = ring_weights(100, 20)
    panel = SpatialPanelConfig("sdm", 100, 8, regressors=X, rho=0.4)
    endogenous = {"endogeneity": 0.6, "instrument": 0.7}
    return (
        Case("grouped effects, SDM", grouped, fit_rings),
        Case("missing outcomes, SDM", SpatialPanelConfig("sdm", 60, 8, regressors=X, rho=0.4), fit_with_holes),
        Case(
            "random effects, SAR",
            SpatialPanelConfig("sar", 60, 8, regressors=OWN, rho=0.4, effects="individual"),
            RandomEstimator("y ~ x0", "sar"),
        ),
        Case(
            "random effects, SEM",
            SpatialPanelConfig("sem", 60, 8, regressors=OWN, lam=0.4, effects="individual"),
            RandomEstimator("y ~ x0", "sem"),
        ),
        Case(
            "Poisson SLX",
            SpatialPanelConfig(
                "slx", 100, 8, regressors=(Regressor("x0", 0.3, 0.2),), counts=True, intercept=1.0, errors=ErrorLaw(0.0)
            ),
            CountEstimator("y ~ x0"),
        ),
        Case(
            "2SLS, endogenous x, SDM",
            SpatialPanelConfig("sdm", 100, 10, regressors=BESIDE, rho=0.3, **endogenous),
            TwoStageEstimator("y ~ x1 | x0 ~ instrument", "sdm"),
        ),
        Case(
            "two-step GMM, endogenous x, SDM",
            SpatialPanelConfig("sdm", 100, 10, regressors=BESIDE, rho=0.3, **endogenous),
            TwoStageEstimator("y ~ x1 | x0 ~ instrument", "sdm", estimator="gmm"),
        ),
        Case(
            "control function, endogenous x, SDM",
            SpatialPanelConfig("sdm", 100, 10, regressors=BESIDE, rho=0.3, **endogenous),
            fit_by_control_function,
        ),
        Case(
            "moments for λ, heteroskedastic SEM",
            SpatialPanelConfig(
                "sem", 300, 1, regressors=OWN, lam=0.4, effects="none", errors=ErrorLaw(heteroskedastic=0.5)
            ),
            fit_moments,
        ),
        Case(
            "GNS, two W",
            SpatialPanelConfig("gns", 100, 10, regressors=X, rho=0.4, lam=0.3, weights=rings, weights_error=other),
            FitEstimator("y ~ x0", "gns"),
        ),
        Case("mediation", SYSTEM, ready_estimator(SYSTEM, quantity="share of spillover: talent")),
        Case("threshold, SDM", (planted := ThresholdPanelConfig(panel, 0.3, 0.5)), ready_estimator(planted)),
        Case(
            "threshold in the spillover, SDM",
            (next_door := ThresholdPanelConfig(panel, 0.3, 0.0, 0.8)),
            ready_estimator(next_door),
        ),
    )


def rows(case: Case, rounds: int, pool: ProcessPoolExecutor) -> list[str]:
    """Table rows of one case."""
    table = recover_estimator(case.config, case.estimator, rounds=rounds, seed=20_261_122, executor=pool)
    lines = []
    for line in table.lines:
        if (line.term in TERMS or line.term.startswith("share of ")) and line.sd > 0:
            error = f"{line.mean_std_error:.4f}" if np.isfinite(line.mean_std_error) else "–"
            numbers = f"{line.bias:+.4f} ({line.bias_error:.4f}) | {line.sd:.4f} | {error}"
            coverage = "–" if line.term.startswith("shift") else f"{line.coverage:.3f}"  # shifts have no interval
            lines.append(f"| {case.name} | {line.term} | {numbers} | {coverage} | {line.rounds} |")
    return lines


def main() -> None:
    """Run all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--out", type=Path, default=Path("docs/recovery-others.md"))
    arguments = parser.parse_args()
    error = 100 * np.sqrt(0.95 * 0.05 / arguments.rounds)
    lines = [
        "# Recovery of the other estimators",
        "",
        f"`python benchmarks/recovery_others.py --rounds {arguments.rounds}`: panels with known truth through the",
        f"harness (`simulation/harness.py`), 95 % intervals; one binomial standard error is {error:.1f} points.",
        "Maximum likelihood with every covariance is in [recovery.md](recovery.md).",
        "",
        "| estimator | term | bias (se) | sd | mean SE | coverage | panels |",
        "|---|---|---|---|---|---|---|",
    ]
    with ProcessPoolExecutor(arguments.workers) as pool:
        for case in (case for case in cases() if arguments.only in case.name):
            lines += rows(case, arguments.rounds, pool)
            arguments.out.write_text("\n".join(lines) + "\n" + NOTES, encoding="utf-8")


if __name__ == "__main__":
    main()
