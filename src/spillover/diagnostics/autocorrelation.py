"""Moran's I by period: do regions resemble their neighbours, in levels and in changes?"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from spillover.errors import (
    DesignError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
    WeightsError,
    check_option,
    show_labels,
)
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import scipy.sparse as sp

Transform = Literal["level", "within"]

_CLIFF_ORD = "Cliff & Ord (1981), Spatial Processes, by esda"
# Arrays of permuted values are built in blocks of about this many numbers (32 MB).
_BLOCK = 4_000_000


@dataclass(frozen=True)
class MoranResult:
    """Moran's I of one variable in one period.

    Attributes
    ----------
    transform : "level", or "within" (minus the region's mean and the period's mean, plus the overall mean).
    statistic, expected, variance : I, −1/(n − 1), and the variance under randomisation; None if not applicable.
    test : two-sided normal test under randomisation, or `NotApplicable` with the reason.
    permutation : two-sided permutation test, or `NotApplicable`.
    note : what was done to W, and what a reader should know; may be empty.
    """

    variable: str
    label: str
    period: Period
    transform: Transform
    statistic: float | None
    expected: float
    variance: float | None
    test: HypothesisTest | NotApplicable
    permutation: HypothesisTest | NotApplicable
    note: str = ""

    @property
    def z(self) -> float | None:
        """Standard deviate under randomisation."""
        return self.test.statistic if isinstance(self.test, HypothesisTest) else None

    def row(self) -> dict[str, Any]:
        """The result as one row of a table; None where not applicable."""
        permuted = self.permutation if isinstance(self.permutation, HypothesisTest) else None
        return {
            "variable": self.variable,
            "label": self.label,
            "period": self.period,
            "transform": self.transform,
            "statistic": self.statistic,
            "expected": self.expected,
            "variance": self.variance,
            "z": self.z,
            "p_value": self.test.p_value if isinstance(self.test, HypothesisTest) else None,
            "p_permutation": permuted.p_value if permuted else None,
            "null": self.test.null if isinstance(self.test, HypothesisTest) else "",
            "says": self.test.sentence() if isinstance(self.test, HypothesisTest) else self.test.reason,
            "note": self.note,
            "reference": _CLIFF_ORD,
        }


@dataclass(frozen=True, eq=False)
class MoranScatterPoints:
    """Points of a Moran scatter plot: z against its spatial lag, in the order of `regions`.

    `slope` is the slope of the least-squares line; it equals Moran's I when no region is an island.
    """

    variable: str
    period: Period
    transform: Transform
    regions: tuple[str, ...]
    z: FloatArray
    lag: FloatArray
    slope: float

    def quadrants(self) -> tuple[str, ...]:
        """n texts "high-high", "low-low", "high-low" or "low-high": the region, then its neighbours."""
        own, near = np.where(self.z > 0, "high", "low"), np.where(self.lag > 0, "high", "low")
        return tuple(f"{a}-{b}" for a, b in zip(own, near, strict=True))


def moran_by_period(
    panel: Panel,
    variable: str,
    weights: SpatialWeights,
    permutations: int = 999,
    seed: int = 1,
    transforms: Sequence[Transform] | None = None,
) -> tuple[MoranResult, ...]:
    """Moran's I = (n / S0) Σ_ij w_ij z_i z_j / Σ_i z_i² in every period, W row-standardised.

    In levels it says where things are; within (region and period means removed) it says whether neighbours
    change together, which is what a model with region and period effects can use.

    Parameters
    ----------
    panel, variable : complete for this variable.
    weights : aligned by region id; row-standardised here if it is not, which the note says.
    permutations : number of random relabellings, 0 for none; the smallest p-value is 1 / (permutations + 1).
    seed : of the permutations; each period has its own stream, so a subset of periods gives the same numbers.
    transforms : "level", "within" or both; by default both, and only levels if there is one period.

    Returns
    -------
    One result per transform and period, levels first. A period in which the variable does not vary gives
    `NotApplicable` with that reason.

    Errors
    ------
    UnknownColumnError, MissingCellError, ValueDomainError : no such variable, missing or infinite cells.
    AlignmentError, WeightsError : other regions in W, or W without links. DesignError : fewer than four regions.
    OptionError : unknown transform, "within" with one period, permutations below 0.

    Cost: O(links × permutations) per period.

    Source: Cliff & Ord (1981), Spatial Processes: Models & Applications; computed by esda.
    """
    if permutations < 0:
        raise OptionError("the number of permutations is negative", got=str(permutations), expected="0 or more")
    values = {name: _values(panel, variable, name) for name in _transforms(panel, transforms)}
    graph, matrix, note = _prepare(panel, weights)
    results = []
    for transform, columns in values.items():
        subject = panel.label(variable) + (", net of region and period means," if transform == "within" else "")
        remark = _join(note, _two_period_note(panel, transform))
        for j, period in enumerate(panel.periods):
            when = f" in {period}" if panel.is_panel else ""
            null = f"{subject}{when} is arranged at random over the regions"
            rng = _stream(seed, variable, transform, period)
            moments = _moments(columns[:, j], graph, panel[variable])
            deviate, permuted = _tests(moments, columns[:, j], matrix, permutations, rng, null)
            results.append(
                MoranResult(
                    variable=variable,
                    label=panel.label(variable),
                    period=period,
                    transform=transform,
                    statistic=None if isinstance(moments, str) else moments[0],
                    expected=-1.0 / (len(panel.regions) - 1),
                    variance=None if isinstance(moments, str) else moments[1],
                    test=deviate,
                    permutation=permuted,
                    note=remark,
                )
            )
    return tuple(results)


def moran_scatter(
    panel: Panel, variable: str, weights: SpatialWeights, period: Period, transform: Transform = "level"
) -> MoranScatterPoints:
    """Standardised values (mean 0, population standard deviation 1) and their row-standardised spatial lags.

    Errors
    ------
    As `moran_by_period`; UnknownColumnError for a period that the panel does not have, ValueDomainError if the
    variable does not vary in it.

    Source: Anselin (1996), The Moran scatterplot, in Spatial Analytical Perspectives on GIS.
    """
    if period not in panel.periods:
        raise UnknownColumnError(
            f"the panel has no period {period!r}", expected="one of " + show_labels(panel.periods, 30)
        )
    _transforms(panel, (transform,))
    x = _values(panel, variable, transform)[:, panel.periods.index(period)]
    if _is_flat(x, panel[variable]):
        raise ValueDomainError(
            f"{variable!r} does not vary in {period}, so there is nothing to plot",
            got=f"the same value in all {len(x)} regions",
            fix="choose another period",
        )
    _, matrix, _ = _prepare(panel, weights)
    z = (x - x.mean()) / x.std()
    lag = np.asarray(matrix @ z)
    return MoranScatterPoints(variable, period, transform, panel.regions, z, lag, float(z @ lag / (z @ z)))


def within_two_way(values: FloatArray) -> FloatArray:
    """x_it − mean_t(x_i·) − mean_i(x_·t) + mean(x): what region and period effects leave, (n, t)."""
    return values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()


# -- preparation ----------------------------------------------------------------------------------


def _transforms(panel: Panel, asked: Sequence[Transform] | None) -> tuple[Transform, ...]:
    t = panel.shape[1]
    if asked is None:
        return ("level", "within") if t > 1 else ("level",)
    for transform in asked:
        check_option("transform", transform, ("level", "within"))
    if "within" in asked and t < 2:
        raise OptionError(
            "with one period nothing is left after removing the regions' means",
            got=f"periods {show_labels(panel.periods)}",
            fix='use transforms=("level",)',
        )
    return tuple(asked)


def _values(panel: Panel, variable: str, transform: Transform) -> FloatArray:
    panel.complete([variable])
    values = panel[variable]
    infinite = np.argwhere(np.isinf(values))
    if infinite.size:
        raise ValueDomainError(
            f"{variable!r} has infinite cells",
            got=show_labels(f"{panel.regions[i]} in {panel.periods[j]}" for i, j in infinite),
            causes=("the logarithm of zero", "a division by zero"),
        )
    return values if transform == "level" else within_two_way(values)


def _prepare(panel: Panel, weights: SpatialWeights) -> tuple[Any, sp.csr_matrix, str]:
    """(libpysal graph, row-standardised CSR matrix, note), in the order of the panel's regions."""
    from libpysal.graph import Graph

    n = len(panel.regions)
    if n < 4:
        raise DesignError(
            "Moran's I has no variance under randomisation with fewer than four regions",
            got=f"{n} regions: {show_labels(panel.regions)}",
        )
    aligned = weights.align(panel.regions)
    if aligned.matrix.nnz == 0:
        raise WeightsError("W has no links, so no region has neighbours to resemble", got=repr(weights))
    # Positions serve as ids of the graph: alignment by region id is done, and no name can be misread.
    graph = Graph.from_sparse(aligned.matrix).transform("r")
    note = ""
    linked = aligned.row_sums[aligned.row_sums > 0]
    if not np.allclose(linked, 1.0, rtol=0.0, atol=1e-10):
        note = f"W ({weights.kind}) was row-standardised for Moran's I"
    if aligned.islands:
        note = _join(note, f"without neighbours, so with a spatial lag of zero: {show_labels(aligned.islands)}")
    return graph, graph.sparse.tocsr(), note


def _is_flat(x: FloatArray, scale: FloatArray) -> bool:
    """Whether the spread is at the level of rounding error (demeaning leaves about 1e-16 of the variable's size)."""
    return bool(np.ptp(x) <= 1e-12 * np.abs(scale).max())


def _two_period_note(panel: Panel, transform: Transform) -> str:
    if transform == "within" and panel.shape[1] == 2:
        return "with two periods the second within-transformed period is the first with the sign changed: one test"
    return ""


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _stream(seed: int, variable: str, transform: str, period: Period) -> np.random.Generator:
    """Own random numbers for each variable, transform and period; numpy's global state is not touched."""
    key = zlib.crc32(f"{variable}|{transform}|{period}".encode())
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(key,)))


# -- statistics -----------------------------------------------------------------------------------


def _moments(x: FloatArray, graph: Any, scale: FloatArray) -> tuple[float, float] | str:
    """(I, variance under randomisation), or the reason why there is no test."""
    from esda.moran import Moran

    if _is_flat(x, scale):
        return "the variable has the same value in every region"
    # esda's own permutations draw from numpy's global state, which two threads would share: we draw below.
    moran = Moran(x, graph, permutations=0)
    # 1e-12: of a statistic of order one; a complete graph leaves only rounding error.
    if not moran.VI_rand > 1e-12:
        return "every arrangement of the values gives the same I: all regions are equally neighbours of all others"
    return float(moran.I), float(moran.VI_rand)


def _tests(
    moments: tuple[float, float] | str,
    x: FloatArray,
    matrix: sp.csr_matrix,
    permutations: int,
    rng: np.random.Generator,
    null: str,
) -> tuple[HypothesisTest | NotApplicable, HypothesisTest | NotApplicable]:
    """The normal test under randomisation and the permutation test, both two-sided."""
    name = "Moran's I"
    if isinstance(moments, str):
        return NotApplicable(name, moments), NotApplicable(f"{name}, permutation", moments)
    statistic, variance = moments
    expected = -1.0 / (len(x) - 1)
    deviate = (statistic - expected) / np.sqrt(variance)
    normal = HypothesisTest(
        name=name,
        statistic=float(deviate),
        null=null,
        distribution="N(0, 1)",
        p_value=float(2.0 * stats.norm.sf(abs(deviate))),
        reference=_CLIFF_ORD,
        form="randomisation",
    )
    if permutations == 0:
        return normal, NotApplicable(f"{name}, permutation", "no permutations were asked for")
    simulated = _permuted_morans(x, matrix, permutations, rng)
    # The observed arrangement is one of those the null makes equally likely: hence + 1. The margin keeps ties
    # (the same arrangement, summed in another order) on the side of the null.
    extreme = np.abs(simulated - expected) >= abs(statistic - expected) - 1e-12
    permuted = HypothesisTest(
        name=name,
        statistic=statistic,
        null=null,
        distribution=f"permutation ({permutations})",
        p_value=float((1 + extreme.sum()) / (permutations + 1)),
        reference=_CLIFF_ORD,
        form="permutation",
    )
    return normal, permuted


def _permuted_morans(x: FloatArray, matrix: sp.csr_matrix, permutations: int, rng: np.random.Generator) -> FloatArray:
    """(permutations,) values of I after random relabelling of the regions."""
    z = x - x.mean()
    scale = len(z) / matrix.sum() / (z @ z)
    block = max(1, _BLOCK // len(z))
    found = []
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        shuffled = rng.permuted(np.tile(z, (size, 1)), axis=1).T
        found.append(scale * (shuffled * (matrix @ shuffled)).sum(axis=0))
    return np.concatenate(found)
