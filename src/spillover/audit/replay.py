"""The same small model thousands of times: other outcomes, or regions shuffled over the map, in blocks of arrays.

Permuting W over the regions and permuting the regions of the data over a fixed W are the same experiment, so the
spectrum of W, its log-determinant and everything made of it are computed once. What depends on ρ beyond the
log-determinant (the operator of the score, the sums of the effect matrix) is interpolated between a few nodes
(`operator_nodes`). Tests compare every number with `fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp

from spillover.audit.focus import choose_variable
from spillover.audit.operator_nodes import Nodes, Sums, chunks
from spillover.errors import OptionError
from spillover.models.fit import fit_spec
from spillover.models.likelihood import GRID, chebyshev_grid
from spillover.models.result import SpatialFit
from spillover.models.robust import cluster_factor
from spillover.numerics.engine import DENSE_LIMIT, WeightsEngine
from spillover.numerics.logdet import SpectralLogDeterminant
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray, IntArray

NEWTON_STEPS = 40

ErrorKind = Literal["cluster", "information"]
REPLAYED_MODELS = ("ols", "slx", "sar", "sdm")


@dataclass(frozen=True, eq=False)
class Replayed:
    """Estimates of R replications; NaN where the maximum was at the bound of ρ.

    Attributes
    ----------
    rho : (R,).   own, spillover : (R,) effects.
    own_errors, spillover_errors : kind of standard error → (R,).
    """

    rho: FloatArray
    own: FloatArray
    spillover: FloatArray
    own_errors: dict[str, FloatArray]
    spillover_errors: dict[str, FloatArray]

    def value(self, effect: str) -> FloatArray:
        """(R,) of "own" or "spillover"."""
        return self.own if effect == "own" else self.spillover

    def t_ratio(self, effect: str, kind: str = "cluster") -> FloatArray:
        """(R,) effect in standard errors."""
        errors = self.own_errors if effect == "own" else self.spillover_errors
        return self.value(effect) / errors[kind]


@dataclass(frozen=True, eq=False)
class Replay:
    """The arrays of a fit that do not change between replications.

    Attributes
    ----------
    y, x : (n, t) and (kx, n, t) as they came.   lagged : positions of the regressors that enter as W x.
    z : (k, n, t) demeaned columns of the design, intercept first where there is one.
    own, neighbour : positions of β and θ of the focus in the slopes.
    w, w_x : W of the outcome and of the regressors, each None where the model has none.
    """

    y: FloatArray
    x: FloatArray
    z: FloatArray
    lagged: tuple[int, ...]
    intercept: bool
    own: int
    neighbour: int | None
    w: sp.csr_matrix | None
    w_x: sp.csr_matrix | None
    engine: WeightsEngine | None
    transformation: Transformation
    clusters: int

    @classmethod
    def of(cls, fit: SpatialFit, variable: str | None = None) -> Replay:
        """Prepare a fit of an OLS, SLX, SAR or SDM model with one W of the outcome.

        Raises OptionError for other models, whose likelihood has no cheap form.
        """
        name = choose_variable(fit, variable)
        if not can_replay(fit):
            raise OptionError(
                f"a {fit.spec.model} model with {len(fit.roles.outcome)} spatial lags cannot be replayed",
                expected=", ".join(REPLAYED_MODELS) + " with one W of the outcome",
                fix="use refit, one at a time",
            )
        design = fit.design
        names = tuple(design.own)
        outcome = fit.roles.outcome[0][1] if fit.roles.outcome else None
        regressors = fit.roles.regressors if design.neighbour else None
        return cls(
            y=design.y_raw,
            x=design.x_raw,
            z=design.block[: design.k],
            lagged=tuple(names.index(each) for each in design.neighbour),
            intercept="(Intercept)" in design.terms,
            own=design.own[name],
            neighbour=design.neighbour.get(name),
            w=None if outcome is None else outcome.matrix,
            w_x=None if regressors is None else regressors.matrix,
            engine=None if outcome is None else outcome.engine,
            transformation=design.transformation,
            clusters=design.shape[0],
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.transformation.n, self.transformation.t

    @property
    def k(self) -> int:
        """Number of slopes."""
        return len(self.z)

    @property
    def has_errors(self) -> bool:
        """Whether standard errors can be replayed: n × n work must be affordable where the outcome is lagged."""
        return self.engine is None or self.shape[0] <= DENSE_LIMIT

    def outcomes(self, outcomes: FloatArray, errors: Sequence[ErrorKind] = ("cluster",)) -> Replayed:
        """Estimates for (R, n, t) other outcomes, regressors and W as they are."""
        blocks = []
        for rows in chunks(len(outcomes), (self.k + 4) * self.y.size):
            y = np.asarray(outcomes[rows])
            wy = self.lag(self.w, y)
            blocks.append(self._estimate(self.z[None], self.demean(y), self.demean(wy), errors))
        return _join(blocks)

    def permutations(self, orders: IntArray, errors: Sequence[ErrorKind] = ("cluster",)) -> Replayed:
        """Estimates with the regions shuffled over the map: row r of (R, n) `orders` puts region orders[r, i] at i.

        Which region a row of the data belongs to stays known; only who its neighbours are changes. With effects of
        groups the orders must shuffle inside groups.
        """
        blocks = []
        for rows in chunks(len(orders), (2 * self.k + 6) * self.y.size):
            order = orders[rows]
            y = self.y[order]
            x = np.moveaxis(self.x[:, order], 0, 1)  # (R, kx, n, t)
            columns = [x]
            if self.intercept:
                columns.insert(0, np.ones((len(order), 1, *self.shape)))
            if self.lagged:
                columns.append(self.lag(self.w_x, x[:, list(self.lagged)]))
            z = self.demean(np.concatenate(columns, axis=1))
            blocks.append(self._estimate(z, self.demean(y.copy()), self.demean(self.lag(self.w, y)), errors))
        return _join(blocks)

    def with_data(self, y: FloatArray, x: FloatArray) -> Replay:
        """The same model, W and effects with another outcome (n, t) and other regressors (kx, n, t)."""
        columns = [np.ones((1, *self.shape))] if self.intercept else []
        columns.append(x)
        if self.lagged:
            columns.append(self.lag(self.w_x, x[list(self.lagged)]))
        return replace(self, y=y, x=x, z=self.demean(np.concatenate(columns)))

    def estimate(self) -> FloatArray:
        """(k,) slopes, and ρ where the outcome is lagged; NaN where the maximum is at the bound of ρ."""
        z = self.z.reshape(self.k, -1)
        both = np.stack([self.demean(self.y).ravel(), self.demean(self.lag(self.w, self.y)).ravel()])
        slopes = np.linalg.lstsq(z.T, both.T, rcond=None)[0]
        if self.engine is None:
            return np.asarray(slopes[:, 0])
        rest = both - slopes.T @ z
        rho = float(self._rho((rest @ rest.T)[None])[0])
        return np.append(slopes[:, 0] - rho * slopes[:, 1], rho)

    # -- pieces ------------------------------------------------------------------------------------------

    def demean(self, values: FloatArray) -> FloatArray:
        """Means of regions and periods removed from a copy of (…, n, t)."""
        return self.transformation.remove_means(np.array(values, dtype=float))

    @staticmethod
    def lag(matrix: sp.csr_matrix | None, values: FloatArray) -> FloatArray:
        """W applied to the region axis of (…, n, t); zeros without W."""
        if matrix is None:
            return np.zeros_like(values)
        n, t = values.shape[-2:]
        front = np.moveaxis(values, -2, 0)
        lagged = np.asarray(matrix @ front.reshape(n, -1)).reshape(front.shape)
        return np.moveaxis(lagged, 0, -2)

    def _estimate(self, z: FloatArray, y: FloatArray, wy: FloatArray, errors: Sequence[ErrorKind]) -> Replayed:
        """One block. z : (R or 1, k, n, t).   y, wy : (R, n, t)."""
        r, k, size = len(y), self.k, self.y.size
        flat = z.reshape(len(z), k, size)
        length = np.sqrt(np.einsum("rki,rki->rk", flat, flat))
        unit = flat / length[:, :, None]
        gram = np.linalg.inv(unit @ unit.transpose(0, 2, 1))
        both = np.stack([y.reshape(r, size), wy.reshape(r, size)], axis=1)  # (R, 2, N)
        slopes = gram @ (unit @ both.transpose(0, 2, 1))  # (R, k, 2)
        rest = both - slopes.transpose(0, 2, 1) @ unit
        rho = self._rho(np.einsum("rai,rbi->rab", rest, rest))
        coefficients = (slopes[:, :, 0] - rho[:, None] * slopes[:, :, 1]) / length
        residuals = (rest[:, 0] - rho[:, None] * rest[:, 1]).reshape(r, *self.shape)
        sums = self._sums(rho)
        beta = coefficients[:, self.own]
        theta = coefficients[:, self.neighbour] if self.neighbour is not None else np.zeros(r)
        direct = beta * sums.direct[0] + theta * sums.direct[1]
        total = beta * sums.total[0] + theta * sums.total[1]
        found = Replayed(rho, direct, total - direct, {}, {})
        if errors:
            gradients = self._gradients(beta, theta, sums)
            inverse = gram / length[:, :, None] / length[:, None, :]
            self._add_errors(found, flat, inverse, wy, residuals, gradients, errors)
        return found

    def _rho(self, products: FloatArray) -> FloatArray:
        """(R,) maxima of ℓ(ρ) for (R, 2, 2) cross-products: a grid for the bracket, then guarded Newton steps."""
        r = len(products)
        if self.engine is None:
            return np.zeros(r)
        grid, level = self._grid
        a, b, c = products[:, 0, 0], products[:, 0, 1], products[:, 1, 1]
        m, copies = self.transformation.m, self.transformation.t_star
        squares = a[:, None] - 2.0 * b[:, None] * grid + c[:, None] * grid**2
        best = np.argmax(-0.5 * m * np.log(squares) + copies * level, axis=1)
        edge = (best == 0) | (best == grid.size - 1)
        inner = np.clip(best, 1, grid.size - 2)
        low, high, rho = grid[inner - 1], grid[inner + 1], grid[inner]
        moving = ~edge
        for _ in range(NEWTON_STEPS):
            first, second = self._determinant_slopes(rho)
            q = a - 2.0 * b * rho + c * rho**2
            lean = b - rho * c
            score = m * lean / q + copies * first
            bend = m * (-c / q + 2.0 * lean**2 / q**2) + copies * second
            low, high = np.where(score > 0, rho, low), np.where(score > 0, high, rho)
            newton = rho - score / np.where(bend < 0, bend, -np.inf)
            step = np.where((bend < 0) & (newton > low) & (newton < high), newton, 0.5 * (low + high))
            moved = np.abs(step - rho)
            rho = np.where(moving, step, rho)
            moving = moving & (moved > 1e-11)
            if not moving.any():
                break
        return np.where(edge, np.nan, rho)

    @cached_property
    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """Points of ρ and the (rough) log-determinant there."""
        assert self.engine is not None
        rough = self.engine.rough.log_determinant
        grid = chebyshev_grid(rough.interval, GRID)
        roots = self.transformation.unit_roots  # none where ρ may pass 1: rows of W that do not sum to one
        return grid, rough.value(grid) - (roots * np.log1p(-grid) if roots else 0.0)

    def _determinant_slopes(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert self.engine is not None
        exact = self.engine.log_determinant
        if isinstance(exact, SpectralLogDeterminant):
            g = exact.eigenvalues / (1.0 - rho[:, None] * exact.eigenvalues)
            first, second = -g.sum(axis=1).real, -(g * g).sum(axis=1).real
        else:
            first, second = np.array([exact.derivatives(float(each)) for each in rho]).T
        if self.transformation.unit_roots:
            one = 1.0 / (1.0 - rho)
            first = first + self.transformation.unit_roots * one
            second = second + self.transformation.unit_roots * one**2
        return np.asarray(first), np.asarray(second)

    def _sums(self, rho: FloatArray) -> Sums:
        """Averages of the effect matrix and their slopes at every ρ."""
        n = self.shape[0]
        if self.engine is None:
            one, zero = np.ones_like(rho), np.zeros_like(rho)
            spread = 0.0 if self.w_x is None else float(self.w_x.sum()) / n
            return Sums(np.array([one, zero, zero, zero]), np.array([one, spread * one, zero, zero]))
        if n <= DENSE_LIMIT:
            return self._nodes(rho).sums(rho)
        stochastic = self.engine.stochastic and (self.w_x is None or self.w_x is self.w)
        if not stochastic:
            raise OptionError(
                "effects of many replications need one W with rows of sum one above 1,200 regions",
                fix='use weights.standardise("row") for outcome and regressors',
            )
        pairs = np.array([self.engine.log_determinant.derivatives(float(each)) for each in np.nan_to_num(rho)])
        trace, square = -pairs[:, 0] / n, -pairs[:, 1] / n
        unit = 1.0 / (1.0 - rho)
        direct = np.array([1.0 + rho * trace, trace, trace + rho * square, square])
        return Sums(direct, np.array([unit, unit, unit**2, unit**2]))

    def _gradients(self, beta: FloatArray, theta: FloatArray, sums: Sums) -> FloatArray:
        """(2, R, k + 1) of own effect and spillover in (δ, ρ); without the last column where there is no ρ."""
        r, q = len(beta), int(self.engine is not None)
        found = np.zeros((2, r, self.k + q))
        for i, part in enumerate((sums.direct, sums.total - sums.direct)):
            found[i, :, self.own] = part[0]
            if self.neighbour is not None:
                found[i, :, self.neighbour] = part[1]
            if q:
                found[i, :, -1] = beta * part[2] + theta * part[3]
        return found

    def _nodes(self, rho: FloatArray) -> Nodes:
        """Dense operators at nodes that cover every ρ; kept while they do."""
        known = rho[np.isfinite(rho)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        held = self._held
        if held and held[0].covers(low, high):
            return held[0]
        assert self.engine is not None
        assert self.w is not None
        held[:] = [Nodes.build(self.engine, self.w, self.w_x, self.transformation, low, high)]
        return held[0]

    @cached_property
    def _held(self) -> list[Nodes]:
        return []

    def _add_errors(
        self,
        found: Replayed,
        z: FloatArray,
        inverse: FloatArray,
        wy: FloatArray,
        residuals: FloatArray,
        gradients: FloatArray,
        errors: Sequence[ErrorKind],
    ) -> None:
        """Standard errors of the two effects, as `models.covariance` and `models.robust` define them."""
        if not self.has_errors:
            raise OptionError(f"standard errors of replications stop at {DENSE_LIMIT} regions", fix="ask for none")
        n, t = self.shape
        r, k = len(residuals), self.k
        transformation = self.transformation
        columns = z.reshape(len(z), k, n, t)
        if self.engine is None:
            free = transformation.free_observations - k
            for name, gradient in (("own", gradients[0]), ("spillover", gradients[1])):
                into = found.own_errors if name == "own" else found.spillover_errors
                direction = np.einsum("rk,rkl->rl", gradient, np.broadcast_to(inverse, (r, k, k)))
                if "information" in errors:
                    sigma2 = np.einsum("rnt,rnt->r", residuals, residuals) / free
                    into["information"] = np.sqrt(sigma2 * np.einsum("rk,rk->r", direction, gradient))
                if "cluster" in errors:
                    weight = np.einsum("rk,rknt->rnt", direction, np.broadcast_to(columns, (r, k, n, t)))
                    rows = np.einsum("rnt,rnt->rn", weight, residuals)
                    into["cluster"] = np.sqrt(np.sum(rows**2, axis=1) * cluster_factor(transformation, self.k))
            return
        sigma2 = np.einsum("rnt,rnt->r", residuals, residuals) / transformation.m
        rho = found.rho
        nodes = self._nodes(rho)
        share = nodes.shares(rho)  # (R, K)
        image = nodes.apply(share, residuals)
        linear = wy - transformation.remove_means(image)  # (R, n, t)
        flat = linear.reshape(r, -1)
        pull = np.einsum("rki,ri->rk", np.broadcast_to(z, (r, k, n * t)), flat)
        slope = np.einsum("rkl,rl->rk", np.broadcast_to(inverse, (r, k, k)), pull)
        traces = share @ nodes.traces  # (R, 2): tr A, tr AA + tr A'A
        first = transformation.t_star * traces[:, 0]
        spread = np.einsum("ri,ri->r", flat, flat) - np.einsum("rk,rk->r", pull, slope)
        inner = spread / sigma2 + transformation.t_star * traces[:, 1] - 2.0 * first**2 / transformation.m
        variance = 1.0 / inner
        diagonals = share @ nodes.diagonals
        gap = np.einsum("rnt,rnt->rn", residuals, residuals) - sigma2[:, None] * transformation.t_star
        score_rho = np.einsum("rnt,rnt->rn", linear, residuals) + diagonals * gap
        score_sigma = gap + sigma2[:, None] * transformation.t_star * (1.0 - transformation.region_shares)
        off = nodes.off_diagonal(share, residuals) if "cluster" in errors else np.zeros(r)
        for name, gradient in (("own", gradients[0]), ("spillover", gradients[1])):
            into = found.own_errors if name == "own" else found.spillover_errors
            d, g = gradient[:, :k], gradient[:, k]
            # a'V for a = (d, g): the inverse information by blocks, with its column for σ²
            reach = g - np.einsum("rk,rk->r", d, slope)
            on_rho = reach * variance
            on_delta = np.einsum("rk,rkl->rl", d, np.broadcast_to(inverse, (r, k, k))) * sigma2[:, None]
            on_delta = on_delta - on_rho[:, None] * slope
            on_sigma = -(2.0 * sigma2 / transformation.m) * on_rho * first
            if "information" in errors:
                into["information"] = np.sqrt(np.einsum("rk,rk->r", on_delta, d) + on_rho * g)
            if "cluster" in errors:
                weight = np.einsum("rk,rknt->rnt", on_delta, np.broadcast_to(columns, (r, k, n, t)))
                rows = np.einsum("rnt,rnt->rn", weight, residuals) / sigma2[:, None]
                rows += on_rho[:, None] * score_rho / sigma2[:, None]
                rows += on_sigma[:, None] * score_sigma / (2.0 * sigma2[:, None] ** 2)
                meat = np.sum(rows**2, axis=1) + on_rho**2 * off / sigma2**2
                into["cluster"] = np.sqrt(meat * cluster_factor(transformation, self.k))


def can_replay(fit: SpatialFit) -> bool:
    """Whether the model has a cheap form: least squares or one lag of the outcome, no spatial error."""
    return fit.spec.model in REPLAYED_MODELS and len(fit.roles.outcome) <= 1


def refit_outcome(fit: SpatialFit, outcome: FloatArray) -> SpatialFit:
    """The model of a fit for another outcome (n, t), one at a time; for what `Replay` does not know."""
    name = "_".join(["outcome", *fit.panel.variables])[:60]
    right = fit.spec.formula.split("~", 1)[1]
    return fit_spec(
        fit.spec.with_changes(formula=f"{name} ~{right}"),
        fit.panel.with_variables({name: outcome}),
        dict(fit.roles.outcome) or fit.roles.main,
        weights_x=fit.roles.regressors if fit.spec.has_lagged_regressors else None,
        weights_error=fit.roles.error,
    )


def _join(blocks: Sequence[Replayed]) -> Replayed:
    if len(blocks) == 1:
        return blocks[0]

    def each(parts: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        return {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}

    return Replayed(
        np.concatenate([block.rho for block in blocks]),
        np.concatenate([block.own for block in blocks]),
        np.concatenate([block.spillover for block in blocks]),
        each([block.own_errors for block in blocks]),
        each([block.spillover_errors for block in blocks]),
    )
