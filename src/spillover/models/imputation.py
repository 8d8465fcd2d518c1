"""Seeded multiple imputation of missing cells by chained regressions with region and period effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from spillover.errors import DesignError, OptionError, ValueDomainError, check_option, show_labels
from spillover.panel.panel import Panel
from spillover.typing import BoolArray, Effects, FloatArray
from spillover.weights.weights import SpatialWeights

LARGEST = 2_500  # effects and predictors in one regression; its Cholesky factor is taken in every round


@dataclass(frozen=True, eq=False)
class _Effects:
    """Sparse 0/1 columns (n t, p) for regions and periods, rows as periods within regions."""

    columns: sp.csr_matrix

    @classmethod
    def of(cls, n: int, t: int, effects: Effects) -> _Effects:
        parts = [sp.csr_matrix(np.ones((n * t, 1)))]
        if effects in ("individual", "two-way"):
            parts.append(sp.kron(sp.identity(n), np.ones((t, 1)), format="csr")[:, 1:])
        if effects in ("time", "two-way"):
            parts.append(sp.kron(np.ones((n, 1)), sp.identity(t), format="csr")[:, 1:])
        return cls(sp.csr_matrix(sp.hstack(parts)))


def impute(
    panel: Panel,
    columns: Sequence[str],
    *,
    seed: int,
    count: int = 20,
    rounds: int = 10,
    effects: Effects = "two-way",
    logs: Sequence[str] = (),
    weights: SpatialWeights | None = None,
) -> tuple[Panel, ...]:
    """`count` completed copies of a panel; fit each and pool the fits with `spillover.inference.pooling.pool`.

    Each column with missing cells is regressed on all other columns and on region and period effects where it is
    observed; coefficients and variance are drawn from their posterior, the missing cells from the regression with
    those; the columns take turns for `rounds` rounds (chained equations). Nothing is filled in silence: the log of
    every copy names the columns and the number of cells.

    Parameters
    ----------
    columns : every variable of the analysis, the outcome included: an imputation that leaves the outcome out pulls
        coefficients towards zero.
    seed : same seed, same copies; each copy has its own stream.
    count : number of copies, 20 by default.
    effects : "none", "individual", "time" or "two-way" effects in the regressions.
    logs : columns that are imputed in logarithms, so that they stay positive.
    weights : where given, the spatial lags of the other columns are predictors too.

    Raises
    ------
    DesignError : a region (or period) in which a column with gaps is never observed, named; too few observations.
    ValueDomainError : a column of `logs` with values of zero or less.

    Sources: Rubin (1987); van Buuren (2018), Flexible Imputation of Missing Data.
    """
    check_option("effects", effects, get_args(Effects))
    if count < 2 or rounds < 1:
        raise OptionError(
            "multiple imputation needs two copies or more and one round or more", got=f"{count}, {rounds}"
        )
    w = None if weights is None else weights.align(panel.regions)
    values = {name: _scaled(panel, name, name in logs) for name in dict.fromkeys(columns)}
    holes = {name: np.isnan(array) for name, array in values.items() if np.isnan(array).any()}
    if not holes:
        raise OptionError(
            "none of the columns has a missing cell", got=show_labels(columns), fix="fit the panel as it is"
        )
    _check(panel, holes, effects, len(values) * (1 if w is None else 2))
    dummies = _Effects.of(*panel.shape, effects)
    said = ", ".join(f"{name} ({int(mask.sum())} cells)" for name, mask in holes.items())
    copies = []
    for number, child in enumerate(np.random.SeedSequence(seed).spawn(count), start=1):
        rng = np.random.Generator(np.random.PCG64(child))
        filled = _chain(values, holes, dummies, w, rounds, rng)
        variables = {name: np.exp(filled[name]) if name in logs else filled[name] for name in holes}
        variables = {name: np.where(mask, variables[name], panel[name]) for name, mask in holes.items()}
        note = f"imputation {number} of {count} (seed {seed}): {said}, {effects} effects, {rounds} rounds"
        copies.append(panel.with_variables(variables, note=note))
    return tuple(copies)


def _scaled(panel: Panel, name: str, log: bool) -> FloatArray:
    values = np.array(panel[name])
    if not log:
        return values
    if (values <= 0).any():
        cells = [f"{panel.regions[i]} in {panel.periods[j]}" for i, j in np.argwhere(values <= 0)]
        raise ValueDomainError(
            f"{name!r} cannot be imputed in logarithms: it has values of zero or less",
            got=show_labels(cells),
            fix="leave it out of logs=…",
        )
    return np.log(values)


def _check(panel: Panel, holes: dict[str, BoolArray], effects: Effects, predictors: int) -> None:
    n, t = panel.shape
    size = (
        predictors
        + 1
        + (n if effects in ("individual", "two-way") else 0)
        + (t if effects in ("time", "two-way") else 0)
    )
    if size > LARGEST:
        raise OptionError(
            "too many effects for the imputation regressions",
            got=f"{size} coefficients",
            expected=f"at most {LARGEST}",
            fix='use effects="time" with region averages among the columns',
        )
    for name, mask in holes.items():
        lost = (
            [panel.regions[i] for i in np.flatnonzero(mask.all(axis=1))] if effects in ("individual", "two-way") else []
        )
        lost += (
            [str(panel.periods[j]) for j in np.flatnonzero(mask.all(axis=0))] if effects in ("time", "two-way") else []
        )
        if lost:
            raise DesignError(
                f"{name!r} is never observed in some regions or periods, so their effect is unknown",
                got=show_labels(lost),
                fix='drop them by name, or impute without these effects, e.g. effects="time"',
            )
        if int((~mask).sum()) < size + 10:
            raise DesignError(
                f"{name!r} has too few observed cells for its imputation regression",
                got=f"{int((~mask).sum())} cells for {size} coefficients",
                fix="name fewer columns, or use fewer effects",
            )


def _chain(
    values: dict[str, FloatArray],
    holes: dict[str, BoolArray],
    dummies: _Effects,
    w: SpatialWeights | None,
    rounds: int,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    filled = {name: np.where(np.isnan(array), np.nanmean(array), array) for name, array in values.items()}
    for _ in range(rounds):
        for name, mask in holes.items():
            others = [array for other, array in filled.items() if other != name]
            if w is not None:
                others += [w.lag(array) for array in others]
            filled[name] = _draw(filled[name], mask, others, dummies, rng)
    return filled


def _draw(
    values: FloatArray, mask: BoolArray, others: list[FloatArray], dummies: _Effects, rng: np.random.Generator
) -> FloatArray:
    """The column with its missing cells drawn anew from the posterior predictive distribution."""
    seen = ~mask.ravel()
    predictors = np.column_stack([other.ravel() for other in others]) if others else np.zeros((values.size, 0))
    centre, scale = predictors[seen].mean(axis=0), predictors[seen].std(axis=0)
    predictors = (predictors - centre) / np.where(scale > 0, scale, 1.0)
    design = sp.csr_matrix(sp.hstack([dummies.columns, sp.csr_matrix(predictors)]))
    observed = design[seen]
    gram = (observed.T @ observed).toarray()
    gram[np.diag_indices_from(gram)] += 1e-8 * np.diag(gram).mean()  # a proper posterior when columns are collinear
    factor = scipy.linalg.cholesky(gram, lower=True)
    y = values.ravel()
    level = y[seen].mean()
    mean = scipy.linalg.cho_solve((factor, True), observed.T @ (y[seen] - level))
    rest = y[seen] - level - observed @ mean
    sigma = np.sqrt(float(rest @ rest) / rng.chisquare(int(seen.sum()) - mean.size))
    drawn = mean + sigma * scipy.linalg.solve_triangular(factor.T, rng.standard_normal(mean.size), lower=False)
    result = y.copy()
    result[~seen] = level + design[~seen] @ drawn + sigma * rng.standard_normal(int((~seen).sum()))
    return result.reshape(values.shape)
