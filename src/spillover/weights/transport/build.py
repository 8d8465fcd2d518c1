"""W from travel times: the less time it takes to come from j to i, the more i receives from j."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeightsError, check_option, show_labels
from spillover.typing import FloatArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.pairs import positive
from spillover.weights.transport.times import TravelTimes
from spillover.weights.truncation import exponential_reach, gaussian_reach
from spillover.weights.weights import SpatialWeights

TimeKernel = Literal["exponential", "power", "gaussian", "band"]


def build_travel_time(
    times: TravelTimes,
    kernel: TimeKernel = "exponential",
    parameter: float | None = None,
    *,
    threshold: float | None = None,
    minimum: float | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
    names: Mapping[str, str] | None = None,
) -> SpatialWeights:
    """Travel time: w_ij = k(t_ji) before standardisation, t_ji the time from the sender j to the receiver i.

    ============  =======================  ==================================================
    kernel        k(t)                     parameter
    ============  =======================  ==================================================
    exponential   exp(−δ t)                δ per minute
    power         t^(−α)                   α, above zero
    gaussian      exp(−t² / 2h²)           h in minutes
    band          1 for t ≤ parameter      minutes
    ============  =======================  ==================================================

    Parameters
    ----------
    times : from `find_travel_times`, `read_travel_times` or `combine_modes`; their unit is that of the parameter.
    threshold : times beyond are left out; by default where 1 % of the exponential or Gaussian kernel's mass on a
        uniform plane lies beyond. What these regions themselves lose is measured where the times have no cut-off.
    minimum : shorter times count as this.
    islands, standardise, links : as in `build_contiguity`; "nearest" is not possible.

    Raises
    ------
    WeightsError : times of zero and a power kernel (pairs are named). IslandError : regions that reach nobody.

    >>> times = TravelTimes(("a", "b"), sp.csr_matrix(np.array([[0, 20.0], [10, 0]])))
    >>> build_travel_time(times, "power", 1, standardise="none").matrix.toarray().tolist()  # a receives in 10 minutes
    [[0.0, 0.1], [0.05, 0.0]]
    """
    check_option("kernel", kernel, ("exponential", "power", "gaussian", "band"))
    check_choices(islands, standardise)
    value = positive("parameter", parameter)
    limit = _limit(kernel, value, threshold)
    entries = sp.coo_matrix(times.matrix)
    minutes = entries.data if minimum is None else np.maximum(entries.data, positive("minimum", minimum))
    if kernel == "power" and (minutes == 0.0).any():
        _raise_zero(times, entries, minutes)
    inside = minutes <= limit * (1.0 + 1e-12)
    mass = _mass(kernel, value, minutes)
    notes = [*times.notes, *_cut_notes(times, entries, mass, inside, limit, kernel, value)]
    if minimum is not None:
        notes.append(f"{int((entries.data < minimum).sum())} times below {minimum:g} {times.unit} count as that")
    matrix = sp.csr_matrix((mass[inside], (entries.col[inside], entries.row[inside])), shape=(times.n, times.n))
    sign = {"exponential": "δ", "power": "power", "gaussian": "h", "band": "up to"}[kernel]
    kind = f"{kernel} of {times.kind}, {sign} {value:g}" + (f" {times.unit}" if kernel in ("gaussian", "band") else "")
    raw = SpatialWeights(matrix, times.regions, kind, island_policy="keep", notes=tuple(notes))
    return assemble(raw, links=links, islands=islands, standardise=standardise, names=names or times.names)


def _limit(kernel: TimeKernel, value: float, threshold: float | None) -> float:
    if threshold is not None:
        return positive("threshold", threshold)
    if kernel == "exponential":
        return exponential_reach(0.01) / value
    if kernel == "gaussian":
        return gaussian_reach(0.01) * value
    return value if kernel == "band" else float("inf")


def _mass(kernel: TimeKernel, value: float, minutes: FloatArray) -> FloatArray:
    if kernel == "exponential":
        return np.asarray(np.exp(-value * minutes))
    if kernel == "gaussian":
        return np.asarray(np.exp(-0.5 * (minutes / value) ** 2))
    return np.asarray(minutes**-value) if kernel == "power" else np.ones_like(minutes)


def _cut_notes(
    times: TravelTimes,
    entries: sp.coo_matrix,
    mass: FloatArray,
    inside: np.ndarray,
    limit: float,
    kernel: TimeKernel,
    value: float,
) -> list[str]:
    """What the threshold, or the cut-off of the times before it, leaves out."""
    notes = []
    if times.cutoff is not None and times.cutoff < limit:
        beyond = f"; {_beyond(kernel, value, times.cutoff)}" if kernel in ("exponential", "gaussian") else ""
        notes.append(f"times beyond {times.cutoff:g} {times.unit} were never looked for{beyond}")
    elif np.isfinite(limit) and kernel != "band":
        notes.append(f"times beyond {limit:.4g} {times.unit} are left out")
        if times.cutoff is None and not inside.all():
            whole = np.bincount(entries.col, weights=mass, minlength=times.n)
            lost = np.bincount(entries.col[~inside], weights=mass[~inside], minlength=times.n)
            share = np.divide(lost, whole, out=np.zeros(times.n), where=whole > 0.0)
            worst = int(np.argmax(share))
            notes.append(
                f"of these regions' own kernel mass {100 * share.mean():.3g} % is left out on average, "
                f"at most {100 * share[worst]:.3g} % ({times.regions[worst]})"
            )
    return notes


def _beyond(kernel: TimeKernel, value: float, cutoff: float) -> str:
    reach = value * cutoff if kernel == "exponential" else cutoff / value
    share = (1.0 + reach) * np.exp(-reach) if kernel == "exponential" else np.exp(-0.5 * reach**2)
    return f"on a uniform plane {100 * share:.3g} % of the kernel mass lie there"


def _raise_zero(times: TravelTimes, entries: sp.coo_matrix, minutes: FloatArray) -> None:
    zero = np.flatnonzero(minutes == 0.0)
    raise WeightsError(
        "regions without any time between them have no power of it",
        got=show_labels(f"{times.regions[entries.row[k]]} → {times.regions[entries.col[k]]}" for k in zero),
        causes=("two regions are connected with the same node without access time",),
        fix="give access times, a smallest time with minimum=…, or another kernel",
    )
