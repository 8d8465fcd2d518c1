"""Who gives to whom: the effect matrix by region, with errors, without keeping n × n numbers.

M = S^{-1}(βI + θW). A region receives (Mι)_i − M_ii, its own effect is M_ii, and it emits (M'ι)_i − M_ii:
what all others get when the regressor rises by one unit in it alone. ∂M/∂ρ = S^{-1}WM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spillover.effects.impacts import check_variables
from spillover.effects.kernel import EffectKernel, Vectors
from spillover.errors import OptionError
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray, Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.result import SpatialFit


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


def regional_effects(fit: SpatialFit, variable: str, progress: Progress = no_progress) -> RegionalEffects:
    """Own, received and emitted effect of every region with delta-method errors.

    Cost: 4 n sparse solves in chunks of 512 columns; memory O(512 n).
    """
    (name,) = check_variables(fit, [variable])
    kernel = EffectKernel(fit)
    beta, theta, block = _parameters(fit, name)
    progress("effects by region", 0.0)
    own, rows, columns = kernel.diagonals, kernel.row_sums, kernel.column_sums
    progress("effects by region", 1.0)

    def evaluate(parts: Vectors) -> tuple[FloatArray, FloatArray]:
        values = beta * parts.own + theta * parts.neighbour
        bends = beta * parts.own_slopes + theta * parts.neighbour_slopes
        gradient = np.column_stack([parts.own, parts.neighbour, *bends])
        errors = np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", gradient, block, gradient), 0.0))
        return values, errors

    return RegionalEffects(
        name,
        fit.design.regions,
        *evaluate(own),
        *evaluate(_less(rows, own)),
        *evaluate(_less(columns, own)),
    )


def _less(whole: Vectors, part: Vectors) -> Vectors:
    return Vectors(
        whole.own - part.own,
        whole.neighbour - part.neighbour,
        whole.own_slopes - part.own_slopes,
        whole.neighbour_slopes - part.neighbour_slopes,
    )


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
    regions = fit.design.regions
    found: list[tuple[float, int, int]] = []
    for start, effects in effect_columns(fit, name):
        effects[np.arange(start, start + effects.shape[1]), np.arange(effects.shape[1])] = 0.0
        keep = min(count, effects.size)
        best = np.argpartition(-np.abs(effects).ravel(), keep - 1)[:keep]
        for flat in best:
            i, j = divmod(int(flat), effects.shape[1])
            if effects[i, j] != 0.0:
                found.append((float(effects[i, j]), start + j, i))
    # Ties are broken by region id, so that the order of regions does not matter.
    found.sort(key=lambda link: (-round(abs(link[0]), 12), regions[link[1]], regions[link[2]]))
    return tuple(Link(regions[j], regions[i], effect) for effect, j, i in found[:count])


def effect_columns(fit: SpatialFit, name: str) -> Iterator[tuple[int, FloatArray]]:
    """(first sender, columns (n, c) of M): what each region receives from c senders."""
    kernel = EffectKernel(fit)
    beta, theta, _ = _parameters(fit, name)
    for start, unit in kernel.chunks():
        yield start, np.array(kernel.solve(beta * unit + theta * np.asarray(kernel.w_x @ unit)))


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
    return np.concatenate([columns for _, columns in effect_columns(fit, name)], axis=1)


def _parameters(fit: SpatialFit, name: str) -> tuple[float, float, FloatArray]:
    """(β, θ, their (2 + q, 2 + q) covariance with the lags' ρ); an absent θ is zero with zero variance."""
    design, estimates = fit.design, fit.estimates
    lags = [i for i, term in enumerate(fit.point.terms) if term.lag_column is not None]
    positions = [design.own[name], design.neighbour.get(name), *(design.k + i for i in lags)]
    block = np.zeros((len(positions), len(positions)))
    present = [(slot, at) for slot, at in enumerate(positions) if at is not None]
    for slot, at in present:
        for other, there in present:
            block[slot, other] = estimates.cov[at, there]
    neighbour = positions[1]
    theta = estimates.values[neighbour] if neighbour is not None else 0.0
    return float(estimates.values[design.own[name]]), float(theta), block
