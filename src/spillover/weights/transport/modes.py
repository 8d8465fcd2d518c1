"""One cost of several ways to travel: the logsum over modes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeightsError, show_labels
from spillover.weights.labels import check_same_ids
from spillover.weights.pairs import positive
from spillover.weights.transport.times import TravelTimes


def combine_modes(times: Mapping[str, TravelTimes], mu: float) -> TravelTimes:
    """Generalised cost −(1/μ) ln Σ_m exp(−μ c_m) of a choice between modes.

    Parameters
    ----------
    times : mode → its times, for the same regions in any order and in one unit. A mode that does not reach a pair
        drops out of its sum; a pair that no mode reaches stays out.
    mu : per minute; the larger, the closer the cost is to the quickest mode.

    Returns
    -------
    TravelTimes. A choice is worth something: the cost lies below the quickest mode, by ln(number of modes) / μ at most.

    Raises
    ------
    AlignmentError : other regions. WeightsError : costs that are not above zero, where μ is too small for the times.

    >>> one = TravelTimes(("a", "b"), sp.csr_matrix(np.array([[0, 60.0], [60, 0]])))
    >>> round(combine_modes({"road": one, "rail": one}, 0.1).between("a", "b"), 4)  # 60 − 10 ln 2
    53.0685
    """
    scale = positive("mu", mu)
    if len(times) < 2:
        raise WeightsError("a choice of modes needs two or more", got=show_labels(times))
    names = list(times)
    first = times[names[0]]
    for name in names[1:]:
        check_same_ids(first.regions, times[name].regions, names[0], name)
        if times[name].unit != first.unit:
            raise WeightsError(
                "modes in different units cannot be added up", got=f"{first.unit} and {times[name].unit}"
            )
    aligned = [times[name].align(first.regions).matrix for name in names]
    n = first.n
    rows = [np.repeat(np.arange(n), np.diff(matrix.indptr)) for matrix in aligned]
    keys = [row * n + matrix.indices for row, matrix in zip(rows, aligned, strict=True)]
    pairs = np.unique(np.concatenate(keys))
    costs = np.full((len(aligned), len(pairs)), np.inf)
    for k, (key, matrix) in enumerate(zip(keys, aligned, strict=True)):
        costs[k, np.searchsorted(pairs, key)] = matrix.data
    least = costs.min(axis=0)
    values = least - np.log(np.exp(-scale * (costs - least)).sum(axis=0)) / scale
    low = values <= 0.0
    if low.any():
        ids = first.regions
        told = [f"{ids[p // n]} → {ids[p % n]}: {least[k]:.3g} by the quickest" for k, p in enumerate(pairs) if low[k]]
        raise WeightsError(
            "a choice of modes makes some costs zero or less",
            got=f"μ = {scale:g}; {show_labels(told)}",
            expected=f"times above ln({len(names)}) / μ = {np.log(len(names)) / scale:.3g} {first.unit}",
            fix="choose a larger mu",
        )
    cutoffs = [each.cutoff for each in times.values() if each.cutoff is not None]
    return TravelTimes(
        first.regions,
        sp.csr_matrix((values, (pairs // n, pairs % n)), shape=(n, n)),
        max(cutoffs) if len(cutoffs) == len(names) else None,
        f"logsum of {', '.join(names)}, μ = {scale:g} per {first.unit.removesuffix('s')}",
        first.unit,
        tuple(dict.fromkeys(note for each in times.values() for note in each.notes)),
        first.names,
    )
