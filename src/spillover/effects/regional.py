"""Who gives to whom: the effect matrix by region, with errors, without keeping n × n numbers.

M = β(I + ρG) + θG. A region receives (Mι)_i − M_ii, its own effect is M_ii, and it emits (M'ι)_i − M_ii:
what all others get when the regressor rises by one unit in it alone. ∂M/∂ρ = GM = (ρβ + θ)G² + βG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spillover.effects.impacts import check_variables
from spillover.errors import OptionError
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray, Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.result import SpatialFit

CHUNK = 512  # columns of G that are held at a time


@dataclass(frozen=True, eq=False)
class RegionalEffects:
    """Effects by region of one regressor; all arrays (n,), in the order of `regions`."""

    variable: str
    regions: tuple[str, ...]
    own: FloatArray
    own_se: FloatArray
    received: FloatArray
    received_se: FloatArray
    emitted: FloatArray
    emitted_se: FloatArray


@dataclass(frozen=True)
class Link:
    """The effect on `receiver` of one unit more in `sender`."""

    sender: str
    receiver: str
    effect: float


@dataclass(frozen=True, eq=False)
class _RegionalG:
    """Diagonals, row sums and column sums of G and of G²; all (n,)."""

    diagonal: FloatArray
    diagonal2: FloatArray
    rows: FloatArray
    rows2: FloatArray
    columns: FloatArray
    columns2: FloatArray


def regional_effects(fit: SpatialFit, variable: str, progress: Progress = no_progress) -> RegionalEffects:
    """Own, received and emitted effect of every region with delta-method errors.

    Cost: 2 n sparse solves in chunks of 512 columns; memory O(512 n).
    """
    (name,) = check_variables(fit, [variable])
    g = _regional_g(fit, progress)
    beta, theta, block = _parameters(fit, name)
    rho = fit.rho
    strength = rho * beta + theta

    def combine(level: FloatArray, square: FloatArray, identity: float) -> tuple[FloatArray, FloatArray]:
        values = beta * identity + strength * level
        gradient = np.stack([identity + rho * level, level, beta * level + strength * square], axis=1)
        errors = np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", gradient, block, gradient), 0.0))
        return values, errors

    own, own_se = combine(g.diagonal, g.diagonal2, 1.0)
    received, received_se = combine(g.rows - g.diagonal, g.rows2 - g.diagonal2, 0.0)
    emitted, emitted_se = combine(g.columns - g.diagonal, g.columns2 - g.diagonal2, 0.0)
    regions = fit.design.regions
    return RegionalEffects(name, regions, own, own_se, received, received_se, emitted, emitted_se)


def regional_table(fit: SpatialFit, variables: Sequence[str] | None = None, level: float = 0.95) -> pd.DataFrame:
    """Tidy rows by region and effect ("own", "received", "emitted") for each variable."""
    import pandas as pd

    tables = []
    for name in check_variables(fit, variables):
        found = regional_effects(fit, name)
        for kind in ("own", "received", "emitted"):
            errors = getattr(found, f"{kind}_se")
            estimates = Estimates(
                names=tuple(f"{kind}: {name}" for _ in found.regions),
                values=getattr(found, kind),
                cov=np.diag(errors**2),
                df=fit.estimates.df,
                method=f"delta method, {fit.estimates.method}",
                labels={
                    "variable": (name,) * len(found.regions),
                    "effect": (kind,) * len(found.regions),
                    "region": found.regions,
                },
            )
            tables.append(estimates.tidy(level))
    return pd.concat(tables, ignore_index=True)


def strongest_links(fit: SpatialFit, variable: str, count: int = 20) -> tuple[Link, ...]:
    """The `count` largest effects, in size, of one region on another."""
    if count < 1:
        raise OptionError("the number of links is at least 1", got=str(count))
    (name,) = check_variables(fit, [variable])
    beta, theta, _ = _parameters(fit, name)
    strength = fit.rho * beta + theta
    if fit.weights is None:
        return ()
    regions = fit.design.regions
    found: list[tuple[float, int, int]] = []
    for start, columns in _columns_of_g(fit):
        effects = strength * columns
        effects[np.arange(start, start + columns.shape[1]), np.arange(columns.shape[1])] = 0.0
        keep = min(count, effects.size)
        best = np.argpartition(-np.abs(effects).ravel(), keep - 1)[:keep]
        for flat in best:
            i, j = divmod(int(flat), effects.shape[1])
            if effects[i, j] != 0.0:
                found.append((float(effects[i, j]), start + j, i))
    # Ties are broken by region id, so that the order of regions does not matter.
    found.sort(key=lambda link: (-round(abs(link[0]), 12), regions[link[1]], regions[link[2]]))
    return tuple(Link(regions[j], regions[i], effect) for effect, j, i in found[:count])


def _parameters(fit: SpatialFit, name: str) -> tuple[float, float, FloatArray]:
    """(β, θ, their (3, 3) covariance with ρ); absent parameters are zero with zero variance."""
    design, estimates = fit.design, fit.estimates
    positions = [design.own[name], design.neighbour.get(name)]
    positions.append(design.k if fit.point.engine is not None else None)
    block = np.zeros((3, 3))
    present = [(slot, at) for slot, at in enumerate(positions) if at is not None]
    for slot, at in present:
        for other, there in present:
            block[slot, other] = estimates.cov[at, there]
    theta = estimates.values[positions[1]] if positions[1] is not None else 0.0
    return float(estimates.values[positions[0]]), float(theta), block


def _columns_of_g(fit: SpatialFit) -> Iterator[tuple[int, FloatArray]]:
    """(first column, columns (n, c)) of G in chunks; G = W when W y is not in the model."""
    assert fit.weights is not None
    n, engine = fit.weights.n, fit.point.engine
    for start in range(0, n, CHUNK):
        width = min(CHUNK, n - start)
        if engine is None:
            yield start, fit.weights.matrix[:, start : start + width].toarray()
            continue
        unit = np.zeros((n, width), order="F")
        unit[np.arange(start, start + width), np.arange(width)] = 1.0
        yield start, engine.multiplier(fit.rho).apply_g(unit)


def _regional_g(fit: SpatialFit, progress: Progress) -> _RegionalG:
    weights, engine = fit.weights, fit.point.engine
    n = len(fit.design.regions)
    zero = np.zeros(n)
    if weights is None:
        return _RegionalG(zero, zero, zero, zero, zero, zero)
    ones = np.ones(n)
    if engine is None:
        columns = np.asarray(weights.matrix.sum(axis=0)).ravel()
        return _RegionalG(zero, zero, weights.row_sums, zero, columns, zero)
    multiplier = engine.multiplier(fit.rho)
    rows, columns = multiplier.apply_g(ones), multiplier.apply_g_transposed(ones)
    diagonal, diagonal2 = np.empty(n), np.empty(n)
    for start, block in _columns_of_g(fit):
        width = block.shape[1]
        at = np.arange(start, start + width)
        diagonal[at] = block[at, np.arange(width)]
        diagonal2[at] = multiplier.apply_g(block)[at, np.arange(width)]
        progress("effects by region", (start + width) / n)
    return _RegionalG(
        diagonal, diagonal2, rows, multiplier.apply_g(rows), columns, multiplier.apply_g_transposed(columns)
    )


def effect_matrix(fit: SpatialFit, variable: str) -> FloatArray:
    """The whole (n, n) effect matrix M, receiver by sender; only for n ≤ 5,000."""
    (name,) = check_variables(fit, [variable])
    n = len(fit.design.regions)
    if n > 5_000:
        raise OptionError(
            "the whole effect matrix would be too large",
            got=f"{n} regions: {n * n * 8 / 2**30:.1f} GB",
            fix="ask for regional_effects() or strongest_links(), which need no n × n matrix",
        )
    beta, theta, _ = _parameters(fit, name)
    matrix = beta * np.eye(n)
    if fit.weights is not None:
        for start, columns in _columns_of_g(fit):
            matrix[:, start : start + columns.shape[1]] += (fit.rho * beta + theta) * columns
    return matrix
