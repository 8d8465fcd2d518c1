"""Gravity weights: large senders near by weigh most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import ValueDomainError, show_labels
from spillover.panel.panel import Period
from spillover.typing import FloatArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.attributes import region_values
from spillover.weights.labels import names_of
from spillover.weights.locate import locate
from spillover.weights.pairs import check_apart, finite, pairs_up_to, positive, tell_floor
from spillover.weights.truncation import loss_note
from spillover.weights.weights import SpatialWeights


def build_gravity(
    source: Any,
    mass: Any,
    power: float = 2.0,
    threshold_km: float | None = None,
    minimum_km: float | None = None,
    *,
    sender_power: float = 1.0,
    receiver_power: float = 0.0,
    period: Period | None = None,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Gravity: w_ij = m_i^b m_j^a d_ij^(−power) before standardisation, i the receiver, j the sender, d in km.

    Masses are scaled to mean one, so that weights do not depend on their unit. Row standardisation cancels m_i.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    mass : name of a variable of the panel, or numbers by region id; above zero.
    power : α, above zero.
    threshold_km, minimum_km : as in `build_inverse_distance`.
    sender_power, receiver_power : a and b, zero or more.
    period : of the panel variable; the first by default, so that W is older than the outcome. Noted.
    islands, standardise, links : as in `build_contiguity`; a link by hand gets the kernel of distance times the masses'
        median.

    Raises
    ------
    ValueDomainError : masses of zero or less, by region. Others as in `build_inverse_distance`.

    Cost: n² without a threshold, else n log n + links.

    >>> where = {"regions": ["a", "b", "c"], "lonlat": False, "standardise": "row"}
    >>> w = build_gravity([[0, 0], [1, 0], [-1, 0]], {"a": 1, "b": 3, "c": 1}, 1, **where)
    >>> w.matrix.toarray()[0].tolist()  # b and c are equally near to a, b has three times the mass
    [0.0, 0.75, 0.25]
    """
    check_choices(islands, standardise)
    alpha = positive("power", power)
    a, b = finite("sender_power", sender_power), finite("receiver_power", receiver_power)
    threshold = None if threshold_km is None else positive("threshold_km", threshold_km)
    floor = None if minimum_km is None else positive("minimum_km", minimum_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    masses, notes = region_values(mass, points.regions, "mass", source=source, period=period)
    _check_masses(masses, points.regions)
    i, j, km = pairs_up_to(points, threshold, "gravity")
    if floor is None:
        check_apart(points, i, j, km)
    else:
        notes = (*notes, tell_floor(km, floor))

    def kernel(far: FloatArray) -> FloatArray:
        return np.asarray((far if floor is None else np.maximum(far, floor)) ** -alpha)

    n = len(points.regions)
    near = sp.csr_matrix((np.r_[kernel(km), kernel(km)], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
    scaled = masses / masses.mean()
    matrix = sp.diags_array(scaled**b) @ near @ sp.diags_array(scaled**a)
    if threshold is not None:
        notes = (*notes, *loss_note(points, kernel, threshold, len(i), names_of(source)))
    kind = f"gravity, sender mass^{a:g}" + (f", receiver mass^{b:g}" if b else "") + f", distance power {alpha:g}"
    kind += "" if threshold is None else f", up to {threshold:g} km"
    raw = SpatialWeights(
        sp.csr_matrix(matrix), points.regions, kind, island_policy="keep", notes=(*points.notes, *notes)
    )
    middle = float(np.median(scaled)) ** (a + b)
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: points,
        kernel=lambda far: middle * kernel(far),
        names=names_of(source),
    )


def _check_masses(masses: FloatArray, regions: Sequence[str]) -> None:
    low = masses <= 0.0
    if low.any():
        raise ValueDomainError(
            "masses of a gravity W are above zero",
            got=show_labels(f"{regions[k]}: {masses[k]:g}" for k in np.flatnonzero(low).tolist()),
            expected="a number above zero for every region",
            causes=("a region without the industry", "logarithms or growth rates were given"),
            fix="take a mass that no region lacks (population, GDP), or leave these regions out",
        )
