"""One case with spreg, run by `against_peers.py` in spreg's own environment: python with_spreg.py FOLDER."""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import spreg
from libpysal.weights import W


def neighbours(folder: Path) -> dict[int, list[int]]:
    """Region → its neighbours."""
    found: dict[int, list[int]] = {}
    for first, second in np.loadtxt(folder / "links.csv", delimiter=",", dtype=int) - 1:
        found.setdefault(int(first), []).append(int(second))
    return found


def main() -> None:
    """Fit and print one line of JSON."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    links = neighbours(folder)
    y, x0, x1 = np.loadtxt(folder / "data.csv", delimiter=",").T
    kind = (folder / "kind.txt").read_text()
    start = time.perf_counter()
    w = W(links, silence_warnings=True)
    w.transform = "r"
    if kind == "cross-section":
        x = np.stack([x0, x1], axis=1)
        fit = spreg.ML_Lag(y[:, None], x, w, slx_lags=1, method="LU", spat_impacts="full")
        rho, direct = float(fit.rho), float("nan")
    else:
        lags = [(w.sparse @ v.reshape(-1, w.n).T).T.ravel() for v in (x0, x1)]
        x = np.stack([x0, x1, *lags], axis=1)
        rho, direct = float(spreg.Panel_FE_Lag(y[:, None], x, w).rho), float("nan")
    seconds = time.perf_counter() - start
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "rho": rho, "direct": direct, "gigabytes": gigabytes}))


if __name__ == "__main__":
    main()
