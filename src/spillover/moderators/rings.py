"""`fit_rings`: the spillover by ring of distance, with a band that holds for all rings together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spillover.errors import DesignError, check_option
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.inference.multiplicity import SimultaneousBand, simultaneous_band
from spillover.models.spec import Groups, Segments
from spillover.moderators.cautions import differencing_of, resolve_errors, tell_residuals
from spillover.moderators.distance_design import DistanceDesign, build_distance_design
from spillover.moderators.monotone import monotone_tests
from spillover.moderators.residual_checks import ResidualChecks, check_residuals
from spillover.moderators.ring_exposure import (
    FEW_PAIRS_SHARE,
    Exposure,
    Rings,
    build_rings,
    empty_columns,
    expose,
    mass_of,
)
from spillover.moderators.stacked import DistanceCovariance, ErrorModel, Regression, regress, stacked_covariance
from spillover.panel.panel import Panel
from spillover.typing import Effects, FloatArray

if TYPE_CHECKING:
    import pandas as pd

PAPER_EDGES = (0.0, 50.0, 100.0, 200.0, 300.0, 500.0)
"""The bands of the paper's Table 2, and one placebo ring beyond."""


@dataclass(frozen=True, eq=False)
class RingEstimates:
    """The rings of one kind of exposure.

    Attributes
    ----------
    exposure : "sum", "mean" or "mass".
    coefficients : own regressors and rings.
    estimates : the B ring coefficients θ_b: for sums, what one more unit in one region of the ring adds; for means,
        what one more unit in all of them adds.
    received : (B,) what a region receives on average when every region of the ring has one more unit.
    band : the simultaneous band.
    tests : zero beyond each edge, and monotone decay.
    """

    exposure: Exposure
    coefficients: Estimates
    estimates: Estimates
    received: Estimates
    band: SimultaneousBand
    tests: tuple[HypothesisTest, ...]


@dataclass(frozen=True, eq=False, repr=False)
class RingFit:
    """Spillovers by ring of distance.

    Attributes
    ----------
    formula, treatment : what was asked for.
    rings : edges, patterns and counts.
    exposures : kind of exposure → its estimates.
    checks : of the residuals of the fit on sums.
    notes : what a careful reader should know.
    """

    formula: str
    treatment: str
    rings: Rings
    exposures: Mapping[str, RingEstimates]
    checks: ResidualChecks
    design: DistanceDesign
    notes: tuple[str, ...]
    level: float

    def __getitem__(self, exposure: str) -> RingEstimates:
        check_option("exposure", exposure, tuple(self.exposures))
        return self.exposures[exposure]

    @property
    def estimates(self) -> Estimates:
        """θ_b of the sums."""
        return self["sum"].estimates

    def table(self, exposure: Exposure = "sum") -> pd.DataFrame:
        """One row per ring: edges, pairs, share of empty rings, θ with pointwise and simultaneous limits, received."""
        part = self[exposure]
        received = part.received.confint(self.level)
        return part.band.tidy().assign(
            near=self.rings.edges[:-1],
            far=self.rings.edges[1:],
            pairs=self.rings.pairs,
            empty_share=self.rings.empty,
            mean_regions=self.rings.counts.mean(axis=1),
            received=part.received.values,
            received_low=received[:, 0],
            received_high=received[:, 1],
        )

    def tests(self, exposure: Exposure = "sum") -> pd.DataFrame:
        """Tests of "no spillover beyond" each edge and of monotone decay, one row each."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self[exposure].tests])

    @cached_property
    def reach(self) -> float:
        """Outer edge of the farthest ring whose simultaneous band excludes zero; 0 when none does.

        Where power ends is not where spillover ends.
        """
        limits = self["sum"].band.limits()
        seen = np.flatnonzero((limits[:, 0] > 0) | (limits[:, 1] < 0))
        return float(self.rings.edges[seen[-1] + 1]) if seen.size else 0.0

    def __repr__(self) -> str:
        n, t = self.design.shape
        return f"RingFit: {self.formula}, {self.treatment} in {len(self.rings.names)} rings; {n} regions × {t} periods"


def fit_rings(
    formula: str,
    panel: Panel,
    *,
    edges: Sequence[float] = PAPER_EDGES,
    distances: Any = None,
    treatment: str | None = None,
    mass: str | None = None,
    effects: Effects | None = None,
    groups: Groups = None,
    segments: Segments = None,
    covariance: DistanceCovariance = "conley",
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    quasi_difference: float | Literal["auto"] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 1,
) -> RingFit:
    """y = X β + Σ_b θ_b R_b x + effects + u: how much of the spillover comes from how far, without a law of decay.

    Parameters
    ----------
    formula, panel : "log(patents) ~ log(lq) + log(rd)"; arithmetic of panel variables.
    edges : increasing ends of the rings, near < d ≤ far; the paper's bands and a placebo by default.
    distances : `Distances`, `TravelTimes`, a table of rail km or travel minutes, or its path; great circles between
        the centroids of the panel's map by default.
    treatment : the regressor x whose spillover is asked for; the first one by default.
    mass : panel variable; adds the exposure "mass", means over the ring weighted with it.
    effects, groups, segments : as in `fit`.
    covariance : "conley" (related over distance), "cluster" (by region) or "period". Errors that are related over space
        need the first: clusters by region then cover the truth in one case of two.
    cutoff_km : of Conley's kernel; twice the outer edge by default, at most the longest distance.
    time_lags : of Conley's kernel; none where errors are serially uncorrelated, else a rule of thumb, by default.
    quasi_difference : a of z_t − a z_{t−1}; "auto" estimates it. With errors related both over space and in time no
        covariance covers with T ≤ 20; difference first.
    level, draws, seed : of the simultaneous band.

    Returns
    -------
    RingFit with exposures "sum" (total influence of the ring) and "mean" (intensity).

    Raises
    ------
    DesignError : an empty ring, rings that are collinear, too few regions. AlignmentError : ids that differ.

    Cost: O(pairs · t) and one regression per exposure.
    Source: the sup-t band of Montiel Olea & Plagborg-Møller (2019), J. Applied Econometrics 34:1, with T − 1 degrees of
    freedom where errors are Conley's (1999, J. Econometrics 92:1).
    """
    options: dict[str, Any] = {
        "treatment": treatment,
        "effects": effects,
        "groups": groups,
        "segments": segments,
    }
    design = build_distance_design(formula, panel, distances, **options)
    rings = build_rings(design.distances, edges)
    check_reference(rings, design)
    first = _regression(design, rings, "sum", None)[0]
    a = differencing_of(quasi_difference, first.residuals, design)
    if a:
        design = build_distance_design(formula, panel, design.distances, **options, differencing=a)
        first = _regression(design, rings, "sum", None)[0]
    checks = check_residuals(first.residuals, first.z, design.geography, design.transformation, design.periods)
    cutoff = min(2.0 * float(rings.edges[-1]), design.geography.longest)
    errors = resolve_errors(ErrorModel(covariance, cutoff_km, time_lags), cutoff, checks)
    kinds: list[Exposure] = ["sum", "mean", *(["mass"] if mass is not None else [])]  # type: ignore[list-item]
    weight = None if mass is None else mass_of(panel, mass)
    found: dict[str, RingEstimates] = {
        kind: _estimate(design, rings, kind, weight if kind == "mass" else None, errors, level, draws, seed)
        for kind in kinds
    }
    return RingFit(
        formula=formula,
        treatment=design.treatment,
        rings=rings,
        exposures=found,
        checks=checks,
        design=design,
        notes=_notes(design, rings, errors, checks),
        level=level,
    )


def check_reference(rings: Rings, design: DistanceDesign) -> None:
    """Refuse rings that cover every pair: with the region itself they add up to the total, which effects absorb."""
    n = len(rings.regions)
    if design.transformation.removes_periods and sum(rings.pairs) == n * (n - 1):
        raise DesignError(
            "the rings cover every pair of regions, and with the region itself they add up to the total of the period, "
            "which the period effects absorb",
            got=f"an outer edge of {rings.edges[-1]:g} {rings.unit}; the longest distance is "
            f"{design.distances.longest:.4g} {rings.unit}",
            fix="end the rings nearer, so that what lies beyond is the reference",
        )


def _regression(
    design: DistanceDesign, rings: Rings, kind: Exposure, mass: FloatArray | None
) -> tuple[Regression, tuple[str, ...], int]:
    """(regression, names of its terms, position of the first ring)."""
    columns = design.transformation.remove_means(expose(rings, design.senders[0], kind, mass))
    blocks, names = [design.x], list(design.own_terms)
    if kind != "sum" and not design.transformation.removes_regions:
        void, labels = empty_columns(rings)
        if len(void):
            t = design.shape[1]
            blocks.append(design.transformation.apply(np.repeat(void[:, :, None], t, axis=2)))
            names += labels
    at = len(names)
    names += [f"{design.treatment} at {name}" for name in rings.names]
    return regress(design.y, np.concatenate([*blocks, columns]), tuple(names)), tuple(names), at


def _estimate(
    design: DistanceDesign,
    rings: Rings,
    kind: Exposure,
    mass: FloatArray | None,
    errors: ErrorModel,
    level: float,
    draws: int,
    seed: int,
) -> RingEstimates:
    regression, names, at = _regression(design, rings, kind, mass)
    rows = regression.influence(range(len(names)))
    cov, df, method = stacked_covariance(rows, errors, design.geography)
    every = Estimates(names, regression.coefficients, cov, df, method)
    own = every.subset(names[at:])
    thetas = Estimates(names[at:], own.values, own.cov, df, method, {"ring": rings.names})
    per_region = rings.counts.mean(axis=1) if kind == "sum" else 1.0 - rings.empty
    received = Estimates(
        thetas.names, thetas.values * per_region, thetas.cov * np.outer(per_region, per_region), df, method
    )
    band = simultaneous_band(thetas, level=level, draws=draws, seed=seed)
    tests = (*_zero_beyond(thetas, rings, draws, seed, level), *monotone_tests(thetas, 2_000, seed))
    return RingEstimates(kind, every, thetas, received, band, tests)


def _zero_beyond(thetas: Estimates, rings: Rings, draws: int, seed: int, level: float) -> list[HypothesisTest]:
    """For every inner edge: no spillover from further away, by a Wald test and by the largest |t|."""
    found = []
    count = len(rings.names)
    for b in range(count):
        edge = f"beyond {rings.edges[b]:g} {rings.unit}"
        null = f"there is no spillover {edge}"
        part = thetas.subset(thetas.names[b:])
        wald = part.wald(np.eye(count - b), null)
        found.append(
            HypothesisTest(
                f"zero {edge}, Wald", wald.statistic, null, wald.distribution, wald.p_value, wald.df, wald.reference
            )
        )
        band = simultaneous_band(part, level=level, draws=draws, seed=seed)
        largest = float(np.max(np.abs(part.values / part.std_errors)))
        law = "normal" if band.df is None else f"multivariate t({band.df:g})"
        found.append(
            HypothesisTest(
                name=f"zero {edge}, sup-t",
                statistic=largest,
                null=null,
                distribution=f"max of {count - b} |t|, {law}",
                p_value=float(np.min(band.p_values())),
                reference=thetas.method,
            )
        )
    return found


def _notes(design: DistanceDesign, rings: Rings, errors: ErrorModel, checks: ResidualChecks) -> tuple[str, ...]:
    notes = [f"Distances: {design.distances.what}, in {design.unit}.", *design.distances.notes]
    for name, share in zip(rings.names, rings.empty, strict=True):
        if share > FEW_PAIRS_SHARE:
            notes.append(f"{100 * share:.0f} % of regions have nobody at {name}.")
    return (*notes, *tell_residuals(design, errors, checks))
