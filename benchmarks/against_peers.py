"""The same models on the same data with spreg and, where R is on the PATH, with spatialreg and splm: ratios in one run.

    python benchmarks/against_peers.py [--large]

spreg is installed into a virtual environment of its own under a temporary folder, which is removed afterwards.
--large adds the sizes at which the peers need minutes and gigabytes: N = 10,000 and the panel of 3,000 regions.
Ours includes W, its log-determinant, standard errors and effects with theirs; so do the peers as far as they have
them: spreg gives no errors of effects, and its panel model is one-way without effects of W x.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import spillover as so
from cross_section import delaunay_links, rook_links, row_standardised, simulated
from spillover.panel.panel import Panel
from spillover.typing import Effects
from spillover.weights.weights import SpatialWeights

HERE = Path(__file__).resolve().parent
T = 20


def panel_data(matrix: sp.csr_matrix, seed: int, kind: str) -> dict[str, np.ndarray]:
    """y, x0, x1 (n, T) of an SDM with region effects and, for a two-way model, period effects."""
    rng = np.random.default_rng(seed)
    n = matrix.shape[0]
    x = rng.normal(size=(2, n, T)) + rng.normal(size=(2, n, 1))
    mean = x[0] - 0.5 * x[1] + 0.4 * (matrix @ x[0]) + rng.normal(size=(n, T))
    mean = mean + rng.normal(size=(n, 1)) + (rng.normal(size=(1, T)) if kind == "two-way" else 0.0)
    y = mean
    for _ in range(60):
        y = mean + 0.4 * (matrix @ y)
    return {"y": y, "x0": x[0], "x1": x[1]}


def ours(links: sp.csr_matrix, data: dict[str, np.ndarray], effects: Effects) -> dict[str, float]:
    """Seconds, ρ and the direct effect of x0; the best of three, each with a new W."""
    ids = tuple(f"{i:07d}" for i in range(links.shape[0]))
    panel = Panel(ids, tuple(range(2000, 2000 + data["y"].shape[1])), data)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        weights = SpatialWeights(row_standardised(links), ids, "neighbours", "row")
        fit = so.fit("y ~ x0 + x1", panel, weights, model="sdm", effects=effects)
        direct = fit.effects()["estimate"].iloc[0]
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "rho": float(fit.rho), "direct": float(direct)}


def peer(command: list[str], folder: Path) -> dict[str, float] | str:
    """What a peer says on its last line (seconds, rho, direct or nan, gigabytes), or why it failed."""
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return next((line for line in lines if line.startswith("Error")), lines[-1])  # R ends with "Execution halted"
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def write_case(folder: Path, links: sp.csr_matrix, data: dict[str, np.ndarray], kind: str) -> None:
    """The case as files that both Python and R read."""
    pairs = sp.coo_matrix(links)
    np.savetxt(folder / "links.csv", np.stack([pairs.row + 1, pairs.col + 1], axis=1), fmt="%d", delimiter=",")
    stacked = np.stack([data[name].T.ravel() for name in ("y", "x0", "x1")], axis=1)  # period after period
    np.savetxt(folder / "data.csv", stacked, delimiter=",", fmt="%.17g")
    (folder / "kind.txt").write_text(kind)


def spreg_python(folder: Path) -> str | None:
    """The interpreter of a virtual environment with spreg, or None when it cannot be installed."""
    venv.create(folder / "spreg", with_pip=True)
    python = folder / "spreg" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "spreg", "libpysal"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return str(python)
    print("spreg could not be installed: " + (done.stderr.strip().splitlines() or ["no message"])[-1])
    return None


def compare(
    name: str, links: sp.csr_matrix, data: dict[str, np.ndarray], kind: str, peers: dict[str, list[str]]
) -> None:
    """One case: ours, then every peer with its ratio to ours."""
    own = ours(links, data, "none" if kind == "cross-section" else "two-way" if kind == "two-way" else "individual")
    print(f"{name}, {kind}\n  spillover   {own['seconds']:9.3f} s   ρ {own['rho']:.6f}   direct {own['direct']:.6f}")
    with tempfile.TemporaryDirectory() as place:
        write_case(Path(place), links, data, kind)
        for label, command in peers.items():
            found = peer(command, Path(place))
            if isinstance(found, str):
                print(f"  {label:11} failed: {found}")
                continue
            line = f"  {label:11} {found['seconds']:9.3f} s   ρ {found['rho']:.6f}   direct {found['direct']:.6f}   "
            ratio = found["seconds"] / own["seconds"]
            print(line + f"{ratio:8.1f} × ours   {found['gigabytes']:.1f} GB", flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--large", action="store_true")
    large = options.parse_args().large
    with tempfile.TemporaryDirectory() as place:
        python = spreg_python(Path(place))
        peers = {} if python is None else {"spreg": [python, str(HERE / "peers" / "with_spreg.py")]}
        rscript = shutil.which("Rscript")
        if rscript is None:
            print("Rscript is not on the PATH: spatialreg and splm are left out")
        else:
            peers["R"] = [rscript, str(HERE / "peers" / "with_r.R")]
        ours(rook_links(40), simulated(row_standardised(rook_links(40)), 0), "none")  # imports
        for side in (32, 100) if large else (32,):
            links = rook_links(side)
            compare(f"N = {side**2:,}", links, simulated(row_standardised(links), 1), "cross-section", peers)
        for n in (300, 1_000, 3_000) if large else (300, 1_000):
            links = delaunay_links(n)
            for kind, label in (("individual", "spreg"), ("two-way", "R")):
                data = panel_data(row_standardised(links), 1, kind)
                able = {name: command for name, command in peers.items() if name == label}
                compare(f"N = {n:,}, T = {T}", links, data, kind, able)


if __name__ == "__main__":
    main()
