"""Effects with the moderators as they were observed: by region, and averaged.

M = S^{-1} Σ_k b_k N_k with N_k one of I, diag(z), W, W diag(z), diag(z)W, W∘(L − L̄). A region has M_ii of its own,
receives (Mι)_i − M_ii and emits (M'ι)_i − M_ii. ∂M/∂b_k = S^{-1}N_k, ∂M/∂ρ = S^{-1}W M.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spillover.effects.impacts import KINDS
from spillover.effects.kernel import EffectKernel
from spillover.inference.estimates import Estimates
from spillover.moderators.columns import Column
from spillover.moderators.loads import EffectSums
from spillover.moderators.moderator import Moderator, PairModerator
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.moderators.moderated import ModeratedFit


@dataclass(frozen=True, eq=False)
class ObservedEffects:
    """Effects of one treatment by region.

    Attributes
    ----------
    regions : n ids.
    own, received, emitted : (n,).
    own_gradient, received_gradient, emitted_gradient : (n, k + q) derivatives in all parameters.
    estimates : the parameters with their covariance.
    """

    variable: str
    regions: tuple[str, ...]
    own: FloatArray
    received: FloatArray
    emitted: FloatArray
    own_gradient: FloatArray
    received_gradient: FloatArray
    emitted_gradient: FloatArray
    estimates: Estimates

    @property
    def average(self) -> Estimates:
        """Direct, indirect and total effect, averaged over regions."""
        gradient = np.stack([self.own_gradient.mean(axis=0), self.received_gradient.mean(axis=0)])
        gradient = np.vstack([gradient, gradient.sum(axis=0)])
        direct, indirect = float(self.own.mean()), float(self.received.mean())
        return Estimates(
            tuple(f"{kind}: {self.variable}" for kind in KINDS),
            np.array([direct, indirect, direct + indirect]),
            gradient @ self.estimates.cov @ gradient.T,
            self.estimates.df,
            f"delta method, {self.estimates.method}",
            {"variable": (self.variable,) * 3, "effect": KINDS},
        )

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Rows by effect ("own", "received", "emitted") and region."""
        tables = []
        for kind in ("own", "received", "emitted"):
            gradient = getattr(self, f"{kind}_gradient")
            variance = np.einsum("ip,pq,iq->i", gradient, self.estimates.cov, gradient)
            estimates = Estimates(
                names=tuple(f"{kind}: {self.variable}" for _ in self.regions),
                values=getattr(self, kind),
                cov=np.diag(np.maximum(variance, 0.0)),
                df=self.estimates.df,
                method=f"delta method, {self.estimates.method}",
                labels={
                    "variable": (self.variable,) * len(self.regions),
                    "effect": (kind,) * len(self.regions),
                    "region": self.regions,
                },
            )
            tables.append(estimates.tidy(level))
        return pd.concat(tables, ignore_index=True)


def observed_effects(moderated: ModeratedFit, variable: str) -> ObservedEffects:
    """Effects of `variable` with every moderator at its mean over time in every region.

    Cost: (K + q) n sparse solves in chunks of 512 columns, K coefficients that carry the variable.
    """
    fit = moderated.fit
    columns = [column for column in moderated.columns if column.variable == variable]
    kernel = EffectSums(fit).kernel
    operators = [_operator(column, moderated, kernel.w_x) for column in columns]
    at = np.array([fit.estimates.index(column.name) for column in columns])
    return regional_sums(kernel, operators, at, fit.estimates, fit.design.k, variable, fit.design.regions)


def regional_sums(
    kernel: EffectKernel,
    operators: list[sp.csr_matrix],
    at: FloatArray,
    estimates: Estimates,
    first: int,
    variable: str,
    regions: tuple[str, ...],
) -> ObservedEffects:
    """Own, received and emitted effects of M = S^{-1} Σ_k b_k N_k with their derivatives.

    operators : N_k (n, n). at : positions of their b_k in the parameters. first : position of the first ρ.
    """
    n, q = kernel.n, len(kernel.lags)
    b = estimates.values[at]
    whole = sp.csr_matrix(sum(float(weight) * matrix for weight, matrix in zip(b, operators, strict=True)))
    diagonal, rows, sums = (np.zeros((n, estimates.values.size)) for _ in range(3))

    def fill(target: FloatArray, part: Callable[[sp.csr_matrix], FloatArray], slope: list[FloatArray]) -> None:
        for position, matrix in zip(at, operators, strict=True):
            target[:, position] = part(matrix)
        for i, values in enumerate(slope):
            target[:, first + i] = values

    ones = np.ones(n)
    received = kernel.solve(np.asarray(whole @ ones))
    fill(rows, lambda m: kernel.solve(np.asarray(m @ ones)), [kernel.slope(i, received) for i in range(q)])
    left = kernel.solve_transposed(ones)
    bent = [kernel.solve_transposed(np.asarray(matrix.T @ left)) for matrix in kernel.lags]
    fill(sums, lambda m: np.asarray(m.T @ left), [np.asarray(whole.T @ values) for values in bent])
    for start, unit in kernel.chunks():
        width = unit.shape[1]
        cells = (np.arange(start, start + width), np.arange(width))
        for position, matrix in zip(at, operators, strict=True):
            diagonal[cells[0], position] = kernel.solve(np.asarray(matrix @ unit))[cells]
        if q:
            effect = kernel.solve(np.asarray(whole @ unit))
            for i in range(q):
                diagonal[cells[0], first + i] = kernel.slope(i, effect)[cells]
    own = diagonal[:, at] @ b
    return ObservedEffects(
        variable,
        regions,
        own,
        rows[:, at] @ b - own,
        sums[:, at] @ b - own,
        diagonal,
        rows - diagonal,
        sums - diagonal,
        estimates,
    )


def _operator(column: Column, moderated: ModeratedFit, w_x: sp.csr_matrix) -> sp.csr_matrix:
    """N_k of one coefficient."""
    n = w_x.shape[0]
    if not column.moderator:
        return sp.identity(n, format="csr") if column.part == "own" else w_x
    z = moderated.find_moderator(column.moderator)
    if isinstance(z, PairModerator):
        return z.matrix
    assert isinstance(z, Moderator)
    diagonal = sp.diags(z.centred.mean(axis=1), format="csr")
    return {"own": diagonal, "sender": sp.csr_matrix(w_x @ diagonal), "receiver": sp.csr_matrix(diagonal @ w_x)}[
        column.side
    ]
