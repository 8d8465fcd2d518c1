"""Wild bootstrap in spatial blocks: the whole system is drawn anew and estimated anew.

In each equation each block of neighbouring regions gets one sign ξ for all periods, so that dependence within a block
and over time stays as it is, W stays as it is, and no variance is assumed. Mediators are rebuilt in causal order and
then the outcome, M* = M + S^{-1}[(Z* − Z)δ̂ + c ξ û − û], and every equation is fitted again. Signs of different
equations are independent: a common one would leave û'ε̂, which moves the slope on a mediator, as it is in every draw.
Resampling regions with W held fixed would break W and is not offered.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from spillover.errors import (
    AssumptionWarning,
    EstimationError,
    OptionError,
    SpilloverError,
    SpilloverWarning,
    show_labels,
)
from spillover.inference.seeds import check_seed
from spillover.mechanisms.equation import Equation
from spillover.mechanisms.estimate import Settings, fit_equation
from spillover.mechanisms.sample import Sample, Weights, column_name, term_column
from spillover.mechanisms.system import System
from spillover.models.formula import plain
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.panel.periods import count_periods
from spillover.typing import FloatArray, IntArray, Progress, no_progress

CHUNK = 20  # draws that a worker takes at a time
REGIONS_PER_BLOCK = 8
LEAST_BLOCKS = 12  # below it 2^blocks signs are too few, and six values take their place
SIX_VALUES = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])
MOST_FAILED = 0.1


@dataclass(frozen=True, eq=False)
class Resampled:
    """(r, k) coefficients of all equations in r draws, how many draws had none, and the number of blocks."""

    coefficients: FloatArray
    failed: int
    blocks: int


def resample(
    system: System,
    sample: Sample,
    settings: Settings,
    fits: Sequence[SpatialFit],
    panel: Panel,
    draws: int,
    seed: int,
    blocks: Mapping[str, str] | int | None = None,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> Resampled:
    """Draw and estimate the system `draws` times.

    Parameters
    ----------
    blocks : region → block, or their number; by default one for eight regions, cut on the map, at least twelve, and
        single regions where there is no map or an equation has a ρ: pairs of regions inside a block never change sign
        against each other, so that their part in the variance of ρ̂ would be lost (a warning says so when asked for).
    executor : any `concurrent.futures` executor; the numbers do not depend on it.

    Raises
    ------
    OptionError : fewer than 99 draws; blocks that leave regions out.
    EstimationError : more than a tenth of the draws could not be estimated.
    """
    if draws < 99:
        raise OptionError("too few bootstrap draws for an interval", got=str(draws), expected="at least 99")
    has_rho = any(equation.feedback is not None for equation in system.equations)
    labels = np.arange(len(panel.regions)) if blocks is None and has_rho else _assign_blocks(panel, blocks)
    if has_rho and labels.max() + 1 < len(labels):
        warnings.warn(
            "with blocks of several regions the part of neighbours in the variance of ρ is lost: intervals of "
            "spillovers through a lag of the response are too short",
            AssumptionWarning,
            stacklevel=3,
        )
    plan = _Plan(
        system,
        replace(sample, weights=_fresh(sample.weights), panel=replace(sample.panel, geometry=None)),
        replace(settings, covariance="information"),
        tuple(fit.estimates.values for fit in fits),
        tuple(fit.residuals for fit in fits),
        tuple(_scale(fit) for fit in fits),
        labels,
    )
    children = np.random.SeedSequence(check_seed(seed)).spawn(draws)
    tasks = [children[i : i + CHUNK] for i in range(0, draws, CHUNK)]
    found: list[FloatArray | None] = []
    results = map(plan.play, tasks) if executor is None else executor.map(plan.play, tasks)
    for done, part in enumerate(results, 1):
        found += part
        progress(f"bootstrap draw {len(found)} of {draws}", done / len(tasks))
    kept = [values for values in found if values is not None]
    failed = draws - len(kept)
    if failed > MOST_FAILED * draws:
        raise EstimationError(
            "many bootstrap draws could not be estimated",
            got=f"{failed} of {draws}",
            causes=("a ρ next to its bound", "few regions for the number of coefficients"),
            fix='use method="delta", or fewer coefficients',
        )
    return Resampled(np.array(kept), failed, int(labels.max()) + 1)


def _fresh(weights: Mapping[tuple[str, str], Weights]) -> dict[tuple[str, str], Weights]:
    """Copies without prepared factors, which do not travel to other processes; one copy for one W."""
    copies = {id(w): replace(w) for w in weights.values()}
    return {key: copies[id(w)] for key, w in weights.items()}


def _scale(fit: SpatialFit) -> float:
    """What makes demeaned residuals as large as errors."""
    return float(np.sqrt(fit.residuals.size / fit.design.transformation.free_observations))


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything a worker needs."""

    system: System
    sample: Sample
    settings: Settings
    coefficients: tuple[FloatArray, ...]
    residuals: tuple[FloatArray, ...]
    scales: tuple[float, ...]
    labels: IntArray

    def play(self, children: Sequence[np.random.SeedSequence]) -> list[FloatArray | None]:
        """Coefficients of some draws; None where an equation could not be fitted."""
        return [self._one(np.random.default_rng(child)) for child in children]

    def _one(self, rng: np.random.Generator) -> FloatArray | None:
        count = int(self.labels.max()) + 1
        values = SIX_VALUES if count < LEAST_BLOCKS else np.array([-1.0, 1.0])
        panel = self._draw([rng.choice(values, count)[self.labels][:, None] for _ in self.coefficients])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpilloverWarning)
                fits = [fit_equation(e, self.sample, panel, self.settings) for e in self.system.equations]
        except SpilloverError:
            return None
        return np.concatenate([fit.estimates.values for fit in fits])

    def _draw(self, signs: Sequence[FloatArray]) -> Panel:
        sample, columns = self.sample, dict(self.sample.panel.variables)
        drawn: dict[str, FloatArray] = {}
        rows = zip(self.system.equations, self.coefficients, self.residuals, self.scales, signs, strict=True)
        for equation, theta, residuals, scale, sign in rows:
            shift = (scale * sign - 1.0) * residuals
            slopes = theta[len(theta) - len(equation.terms) - int(equation.feedback is not None) :]
            for term, slope in zip(equation.terms, slopes, strict=False):
                if any(plain(factor) in drawn for factor in term.factors):
                    name = term_column(equation, term)
                    values = np.prod([self._factor(equation, factor, drawn) for factor in term.factors], axis=0)
                    values = values if term.lag is None else sample.weights[equation.name, term.lag].lag(values)
                    shift = shift + slope * (values - columns[name])
                    columns[name] = values
            own = sample.feedback(equation)
            if own is not None:
                shift = own.engine.multiplier(float(theta[-1])).solve(shift)
            name = column_name(equation.response)
            columns[name] = columns[name] + shift
            drawn[plain(equation.response)] = columns[name]
        return replace(sample.panel, variables=columns)

    def _factor(self, equation: Equation, factor: str, drawn: Mapping[str, FloatArray]) -> FloatArray:
        """A factor with its drawn values; those of periods before the sample are as observed."""
        observed = self.sample.factors[equation.name, factor]
        if plain(factor) not in drawn:
            return observed
        back = self.sample.timing.shift("mediator", equation.name)
        if not back:
            return drawn[plain(factor)]
        counts = count_periods(self.sample.panel.periods) or []
        values = observed.copy()
        for j, count in enumerate(counts):
            if count - back in counts:
                values[:, j] = drawn[plain(factor)][:, counts.index(count - back)]
        return values


def _assign_blocks(panel: Panel, blocks: Mapping[str, str] | int | None) -> IntArray:
    """(n,) number of each region's block."""
    n = len(panel.regions)
    if isinstance(blocks, Mapping):
        lost = [region for region in panel.regions if region not in blocks]
        if lost:
            raise OptionError("regions without a block", got=show_labels(lost), fix="name a block for each region")
        names = {name: i for i, name in enumerate(dict.fromkeys(blocks[region] for region in panel.regions))}
        return np.array([names[blocks[region]] for region in panel.regions], dtype=np.int64)
    count = max(LEAST_BLOCKS, round(n / REGIONS_PER_BLOCK)) if blocks is None else blocks
    if isinstance(count, bool) or not 2 <= count <= n:
        raise OptionError("not a possible number of blocks", got=repr(blocks), expected=f"a whole number from 2 to {n}")
    if count == n:
        return np.arange(n)
    if panel.geometry is None:
        if blocks is None:
            return np.arange(n)  # no map: every region is a block of its own
        raise OptionError(
            "blocks of neighbouring regions need a map",
            got="a panel without geometry",
            fix="give blocks={region: name}, or read the panel with geometry=…",
        )
    from spillover.panel.geometry import centroids

    coordinates, lonlat = centroids(panel)
    if lonlat:
        coordinates = coordinates * np.array([np.cos(np.radians(coordinates[:, 1].mean())), 1.0])
    labels = np.zeros(n, dtype=np.int64)
    for number, members in enumerate(cut_blocks(coordinates, count)):
        labels[members] = number
    return labels


def cut_blocks(coordinates: FloatArray, count: int) -> list[IntArray]:
    """Positions of `count` compact blocks of points (n, 2): halve the block with most points along its longer side."""
    blocks = [np.arange(len(coordinates))]
    while len(blocks) < count:
        largest = max(range(len(blocks)), key=lambda i: (blocks[i].size, -i))
        members = blocks.pop(largest)
        side = int(np.argmax(np.ptp(coordinates[members], axis=0)))
        order = members[np.lexsort((members, coordinates[members, side]))]
        half = order.size // 2
        blocks += [np.sort(order[:half]), np.sort(order[half:])]
    return blocks
