"""How fast a quantity falls with distance, from a table of ranges by distance band.

The ranges of such a table can be read in five ways; each is an estimator of its own, with its own uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from spillover.errors import OptionError, check_option
from spillover.moderators.decay_bands import band_law, fit_intervals, fit_joint_intervals, fit_midpoints, fit_set
from spillover.moderators.decay_edges import fit_edges, fit_joint_edges, fit_rings_of_table
from spillover.moderators.decay_fits import DecayTableFit, JointDecayTableFit
from spillover.moderators.kernels import LAWS, Law
from spillover.moderators.range_table import read_table

Reading = Literal["edge", "midpoint", "interval", "set", "ring"]
Averaging = Literal["distance", "area", "midpoint"]

READINGS = ("edge", "midpoint", "interval", "set", "ring")


def fit_decay_table(
    bands: Sequence[tuple[float, float]],
    low: Sequence[float],
    high: Sequence[float],
    reading: Reading = "edge",
    law: Law = "exponential",
    averaging: Averaging | None = None,
    size: float | None = None,
) -> DecayTableFit:
    """Fit a decay law to ranges by distance band.

    Parameters
    ----------
    bands : (nearest, farthest) km of each of b ≥ 3 bands, increasing; gaps are fine except for the edge reading.
    low, high : (b,) the range of the quantity in each band, 0 ≤ low ≤ high; a single number is a range with low = high.
    reading : how the ranges are read
        "edge" : values of a decreasing function at the band edges; the ranges must tile (the upper end of a band
        is the lower end of the next nearer one). Least squares on logs, t interval.
        "midpoint" : one Poisson count per band at the middle of its range, whose mean is the band average of the law.
        "interval" : one Poisson count per band, known only to lie in its range; profile-likelihood interval.
        "set" : all decays for which some scale puts the band averages inside all ranges; no distribution.
        "ring" : totals of a whole ring, divided by its area; log-log slope of the density over ring midpoints.
    law : "exponential" a e^(−δd); "power" a d^(−α), which leaves out d = 0; "shifted" a (1 + d/d0)^(−α) and
        "stretched" a e^(−(δd)^κ), which need five bands where they are averaged over bands.
    averaging : how a band average is taken for the "midpoint", "interval" and "set" readings: over "distance", over
        "area" (of the ring), or as the value at the "midpoint" of the band. By default over distance, and at midpoints
        for the power law, whose average over the first band is infinite from α = 1 (area: 2) on.
    size : of a negative binomial count in the interval reading, var = mean + mean²/size; Poisson by default.

    Returns
    -------
    DecayTableFit. What an author assumed for an example calibrates a model and is evidence for nothing: see `label`.

    Raises
    ------
    OptionError : an unknown or impossible combination, or a table that cannot be read this way.
    EstimationError : no admissible solution.

    Examples
    --------
    >>> bands = [(0, 50), (50, 100), (100, 200), (200, 300)]
    >>> fit = fit_decay_table(bands, [50, 30, 15, 5], [80, 50, 30, 15])
    >>> round(fit.value, 5), round(fit.half_distance_km, 1)
    (0.00899, 77.1)
    """
    check_option("reading", reading, READINGS)
    check_option("law", law, LAWS)
    averaging = averaging or ("midpoint" if law == "power" else "distance")
    check_option("averaging", averaging, ("distance", "area", "midpoint"))
    if size is not None and (reading != "interval" or not size > 0):
        raise OptionError(
            "size is that of a negative binomial count in the interval reading",
            got=f"size={size!r}, reading={reading!r}",
            expected='a number above zero with reading="interval", or None',
        )
    table = read_table(bands, low, high)
    if reading == "edge":
        return fit_edges(table, law)
    if law in ("shifted", "stretched") and (reading == "ring" or len(table.low) < 5):
        raise OptionError(
            f"the {law} law has more parameters than the {reading!r} reading of {len(table.low)} bands can carry",
            expected='reading="edge", or at least five bands read as "midpoint", "interval" or "set"',
        )
    if reading == "ring":
        return fit_rings_of_table(table)
    averages = band_law(table, law, averaging)
    if reading == "midpoint":
        return fit_midpoints(table, averages)
    return fit_intervals(table, averages, size) if reading == "interval" else fit_set(table, averages)


def fit_joint_decay(
    bands: Sequence[tuple[float, float]],
    columns: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    reading: Literal["edge", "interval"] = "edge",
) -> JointDecayTableFit:
    """One exponential decay for several columns (name → low, high), read at the edges or as intervals.

    The t interval of the edge reading counts every point of every column as independent. `residual_correlation`
    says how far that is from true for two columns.
    """
    check_option("reading", reading, ("edge", "interval"))
    tables = {name: read_table(bands, low, high) for name, (low, high) in columns.items()}
    return fit_joint_edges(tables) if reading == "edge" else fit_joint_intervals(tables)
