"""Channel shares of the reference system: which specification finds them, and what the others do to them.

    nice -n 15 python benchmarks/mediation_recovery.py [--rounds 200] [--workers 2] [--out docs/mechanisms-recovery.md]

Each round draws a panel of the default system (three channels with kernels of their own, truth in closed form) and
estimates every specification on it. Same numbers whatever the number of workers.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

import spillover as so
from spillover.errors import SpilloverError
from spillover.mechanisms.exposure import build_exposure
from spillover.mechanisms.mediate import EquationOptions, mediate
from spillover.mechanisms.result import MediationResult
from spillover.simulation.config import SystemConfig
from spillover.simulation.truth import Truth
from spillover.weights.distance import build_exponential, build_knn

CHANNELS = ("talent", "cooperation", "informal")
KINDS = ("own", "spillover", "total")
DECAY = SystemConfig.decay_per_km
QUICK = SystemConfig().informal_decay_per_km
OUTCOME = "patents ~ talent_inflow + cooperation + informal"
RATIO = EquationOptions("cooperation ~ transfers - 1", {"effects": "none"})


def _slx(lag: str = "W") -> dict[str, str]:
    return {
        "talent": f"talent_inflow ~ hti + {lag}*hti",
        "informal": f"informal ~ hti + {lag}*hti",
    }


def structural(panel: so.Panel) -> MediationResult:
    """Each channel its kernel, cooperation as a share of transfers, patents on the channels alone."""
    weights = {
        "W": build_exponential(panel, DECAY, standardise="none"),
        "informal": build_exponential(panel, QUICK, standardise="none"),
    }
    mediators = {**_slx(), "transfers": "transfers ~ hti + W*hti", "cooperation": RATIO}
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def within_ratio(panel: so.Panel) -> MediationResult:
    """As the structural one, but the share of transfers from changes within regions."""
    weights = {
        "W": build_exponential(panel, DECAY, standardise="none"),
        "informal": build_exponential(panel, QUICK, standardise="none"),
    }
    mediators = {**_slx(), "transfers": "transfers ~ hti + W*hti", "cooperation": "cooperation ~ transfers"}
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def exposure(panel: so.Panel) -> MediationResult:
    """As the structural one, home and next door under one coefficient: kernels include the region itself."""
    weights = {"W": build_exposure(panel, DECAY), "informal": build_exposure(panel, QUICK)}
    mediators = {
        "talent": "talent_inflow ~ W*hti",
        "informal": "informal ~ W*hti",
        "transfers": "transfers ~ W*hti",
        "cooperation": RATIO,
    }
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def estimated_decays(panel: so.Panel) -> MediationResult:
    """Kernels with home, their two decays chosen by least squares on the same panel."""
    weights = {
        "W": build_exposure(panel, _best_decay(panel, ("talent_inflow", "transfers"))),
        "informal": build_exposure(panel, _best_decay(panel, ("informal",))),
    }
    mediators = {
        "talent": "talent_inflow ~ W*hti",
        "informal": "informal ~ W*hti",
        "transfers": "transfers ~ W*hti",
        "cooperation": RATIO,
    }
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def _best_decay(panel: so.Panel, flows: tuple[str, ...]) -> float:
    """δ that leaves the least of several flows unexplained, regions and years demeaned."""

    def left(log_decay: float) -> float:
        exposure = build_exposure(panel, float(np.exp(log_decay)))
        reached = panel.with_variables({"reached": exposure.lag(panel["hti"])})
        fits = [so.fit(f"{flow} ~ reached", reached, model="ols", covariance="information") for flow in flows]
        return sum(float(np.log(fit.statistics["sigma2"])) for fit in fits)

    found = minimize_scalar(left, bounds=(np.log(0.004), np.log(0.03)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def projects_directly(panel: so.Panel) -> MediationResult:
    """Right kernels, but cooperation measured by its few projects."""
    weights = {
        "W": build_exponential(panel, DECAY, standardise="none"),
        "informal": build_exponential(panel, QUICK, standardise="none"),
    }
    mediators = {**_slx(), "cooperation": "cooperation ~ hti + W*hti"}
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def one_kernel(panel: so.Panel) -> MediationResult:
    """One kernel for all channels: that of talent."""
    mediators = {**_slx(), "transfers": "transfers ~ hti + W*hti", "cooperation": RATIO}
    return mediate(OUTCOME, mediators, "hti", panel, build_exponential(panel, DECAY, standardise="none"), lag=0)


def row_standardised(panel: so.Panel) -> MediationResult:
    """Right kernels, standardised by row."""
    weights = {"W": build_exponential(panel, DECAY), "informal": build_exponential(panel, QUICK)}
    mediators = {**_slx(), "transfers": "transfers ~ hti + W*hti", "cooperation": RATIO}
    return mediate(OUTCOME, mediators, "hti", panel, weights, lag=0)


def nearest_neighbours(panel: so.Panel) -> MediationResult:
    """Fifteen nearest neighbours for all channels."""
    mediators = {**_slx(), "transfers": "transfers ~ hti + W*hti", "cooperation": RATIO}
    return mediate(OUTCOME, mediators, "hti", panel, build_knn(panel, 15), lag=0)


def everything_free(panel: so.Panel) -> MediationResult:
    """The generic system on row-standardised kernels of each channel: every ρ and every lag is free."""
    weights = {"W": build_exponential(panel, DECAY), "informal": build_exponential(panel, QUICK)}
    return _generic(panel, weights)


def everything_free_nearest(panel: so.Panel) -> MediationResult:
    """The generic system on fifteen nearest neighbours."""
    return _generic(panel, {"W": build_knn(panel, 15)})


def _generic(panel: so.Panel, weights: dict[str, so.SpatialWeights]) -> MediationResult:
    mediators = {"talent": "talent_inflow", "cooperation": "cooperation", "informal": "informal"}
    return mediate("patents", mediators, "hti", panel, weights, model="sdm", lag=0)


SPECIFICATIONS: dict[str, Callable[[so.Panel], MediationResult]] = {
    "structural": structural,
    "structural, ratio within regions": within_ratio,
    "structural, kernels include home": exposure,
    "structural, kernels include home, decays estimated": estimated_decays,
    "projects measured directly": projects_directly,
    "row-standardised kernels": row_standardised,
    "one kernel for all": one_kernel,
    "15 nearest neighbours": nearest_neighbours,
    "all ρ free, own kernels by row": everything_free,
    "all ρ free, 15 nearest": everything_free_nearest,
}


def true_shares(truth: Truth) -> np.ndarray:
    """(3 kinds, 3 channels) in percent."""
    shares = [truth.shares(kind) for kind in ("direct", "spillover", "total")]
    return 100.0 * np.array([[share[name] for name in CHANNELS] for share in shares])


def estimated(result: MediationResult) -> tuple[np.ndarray, np.ndarray]:
    """((3, 3) shares in percent, (3,) level of the whole effect by kind)."""
    table = result.effects().set_index(["channel", "effect"])["estimate"]
    whole = np.array([table["total", kind] for kind in KINDS])
    parts = np.array([[table[name, kind] for name in CHANNELS] for kind in KINDS])
    return 100.0 * parts / whole[:, None], whole


def play(task: tuple[int, SystemConfig, tuple[str, ...]]) -> dict[str, list[float]]:
    """Errors of the shares (nine numbers, kind by channel) and of the levels in percent (three) by specification."""
    seed, config, names = task
    panel, truth = so.simulate(config, seed)
    known = true_shares(truth)
    levels = np.array([truth.direct, truth.spillover, truth.total])
    found = {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                shares, whole = estimated(SPECIFICATIONS[name](panel))
            except SpilloverError:
                found[name] = [float("nan")] * 12
                continue
        found[name] = [*(shares - known).ravel(), *(100.0 * (whole / levels - 1.0))]
    return found


def table(name: str, errors: np.ndarray) -> str:
    """One row: bias and sd of spillover shares, rounds within three points, level of the spillover."""
    kept = errors[np.isfinite(errors).all(axis=1)]
    shares = kept[:, :9].reshape(-1, 3, 3)
    bias, sd = shares.mean(axis=0), shares.std(axis=0, ddof=1)
    near = (np.abs(shares) <= 3.0).all(axis=2).mean(axis=0)
    told = " ".join(f"{b:+.1f}" for b in bias[1])
    spread = " ".join(f"{s:.1f}" for s in sd[1])
    return (
        f"| {name} | {told} | {spread} | {near[1]:.2f} | {near[0]:.2f} | {near[2]:.2f} | "
        f"{kept[:, 10].mean():+.0f} % | {len(kept)} |"
    )


def main() -> None:
    """Run all specifications and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--regions", type=int, default=300)
    parser.add_argument("--periods", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", default="", help="specifications whose name holds this text")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    names = tuple(name for name in SPECIFICATIONS if arguments.only in name)
    config = SystemConfig(n_regions=arguments.regions, n_periods=arguments.periods)
    tasks = [(arguments.first_seed + i, config, names) for i in range(arguments.rounds)]
    with ProcessPoolExecutor(arguments.workers) as pool:
        rounds = list(pool.map(play, tasks, chunksize=2))
    lines = [
        "| specification | bias of spillover shares (talent, cooperation, informal), points | sd | "
        "spillover within 3 | direct within 3 | total within 3 | level of the spillover | panels |",
        "|---|---|---|---|---|---|---|---|",
        *(table(name, np.array([found[name] for found in rounds])) for name in names),
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
