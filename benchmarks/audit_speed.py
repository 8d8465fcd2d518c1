"""How long the whole audit takes: panels of the sizes of China's provinces, Europe's regions and American counties.

    OMP_NUM_THREADS=1 python benchmarks/audit_speed.py [--only NAME …] [--out FILE]

Simulated panels with macro-regions and several W; every part, one process, everything drawn. Seconds by the clock and
of computing, memory of the process at its peak.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import spillover as so
from audit_confusion import design, macro_regions
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True)
class Size:
    """name; n regions, t periods; strips × parts macro-regions; W beside the fit's own (nearest); draws."""

    name: str
    n: int
    t: int
    cells: tuple[int, int]
    nearest: tuple[int, ...]
    draws: int


SIZES = (
    Size("provinces", 31, 12, (2, 3), (3, 4, 6, 8), 999),
    Size("regions", 206, 5, (4, 6), (4, 8, 10), 999),
    Size("counties", 3_000, 20, (5, 6), (), 199),
)


def play(size: Size) -> str:
    """One line of the table."""
    panel, truth = so.simulate(design(size.n, size.t, 0.5, 0.3), 1)
    panel = replace(panel, groups={"macro": macro_regions(panel, *size.cells)})
    fit = so.fit("y ~ x + c", panel, truth.weights)
    others: dict[str, SpatialWeights] = {f"{k} nearest": so.weights.build_knn(panel, k) for k in size.nearest}
    clock, computing = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit.audit("x", weights=others or None, draws=size.draws, seed=1)
    clock, computing = time.perf_counter() - clock, time.process_time() - computing
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    assert found.spillover is not None
    count = len(size.nearest) + 1
    return (
        f"| {size.n:,} × {size.t}, {size.cells[0] * size.cells[1]} groups | {size.draws} | {count} | {clock:.1f} "
        f"| {computing:.1f} | {peak:,.0f} MB |"
    )


def rows(chosen: list[str] | None) -> Iterator[str]:
    """The table."""
    yield "| panel | draws | W | clock | computing | memory |"
    yield "|---|---|---|---|---|---|"
    for size in SIZES:
        if not chosen or size.name in chosen:
            yield play(size)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[size.name for size in SIZES])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = []
    for line in rows(given.only):
        print(line, flush=True)
        lines.append(line)
    if given.out is not None:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
