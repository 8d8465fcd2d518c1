"""SAR and SDM whose W decays by a law with unknown parameters: profile likelihood, scores and effects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spillover.errors import DesignError
from spillover.models.columns import least_squares
from spillover.models.covariance import Point, SpatialTerm
from spillover.models.design import Design
from spillover.models.likelihood import ConcentratedLikelihood, Solution, check_solution, check_variance, maximise
from spillover.moderators.decay_slx import normalised_slope
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.kernel_determinant import KernelDeterminants
from spillover.numerics.least_squares import Projection
from spillover.numerics.within import Centring, Transformation
from spillover.typing import FloatArray

LAG_LIMIT = 5_000
"""Regions up to which dense n × n work is done (200 MB an array)."""


@dataclass(frozen=True, eq=False)
class CentredPeriods(Transformation):
    """Means removed from the equation of a W whose rows do not sum to one, with the counts n* = n − 1, T* = t − 1.

    With Wι = ι the transformation of Lee & Yu (2010) takes a unit root out of ln|S|. Without it the score of ρ has mean
    σ²(tr JG − tr G) per period once period means are removed: of order one, and not small against its spread for a W
    that links all regions. Taking tr(J ln S) for ln|S| centres the score, and equals Lee & Yu's ln|S| − ln(1 − ρ) when
    Wι = ι. The log-determinant carries the correction, so that no unit root is left to be taken out here.
    """

    @property
    def unit_roots(self) -> int:
        """None on top of what tr(J ln S) takes out."""
        return 0

    @property
    def n_star(self) -> int:
        """n less the period means removed."""
        return self.n - len(self.group_means)

    @cached_property
    def centring(self) -> Centring:
        """J: operators of scores stand between period means."""
        return Centring(self.n, self.group_means)


def centred_periods(plain: Transformation) -> Transformation:
    """The transformation for a W whose rows do not sum to one."""
    return CentredPeriods(plain.effects, plain.correction, plain.n, plain.t, plain.groups, plain.segments)


@dataclass(frozen=True, eq=False)
class DenseOperator:
    """A square operator that is held as an array."""

    dense: FloatArray

    @property
    def n(self) -> int:
        """Number of regions."""
        return len(self.dense)

    @property
    def small(self) -> bool:
        """It is here already."""
        return True

    def trace(self) -> float:
        """tr A."""
        return float(np.trace(self.dense))

    def apply(self, right: FloatArray) -> FloatArray:
        """A B."""
        return np.asarray(self.dense @ right)

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """A' B."""
        return np.asarray(self.dense.T @ right)


@dataclass(frozen=True, eq=False)
class LagPoint:
    """The model at its maximum.

    Attributes
    ----------
    point : for covariances; its last spatial terms are the parameters of the law.
    values : coefficients, ρ, then rate (and shape).
    inverse : (n, n) S^{-1}.   multiplier : (n, n) G = W S^{-1}.
    weights, slopes : (n, n) W and ∂W/∂(rate, shape) at a fixed scale.   images : slopes times S^{-1}.
    scale : what κ(D) was divided by; 1 for row sums.
    """

    point: Point
    values: FloatArray
    inverse: FloatArray
    multiplier: FloatArray
    weights: FloatArray
    slopes: tuple[FloatArray, ...]
    images: tuple[FloatArray, ...]
    scale: float


@dataclass(frozen=True, eq=False)
class LagLikelihood:
    """ℓ_p(rate, shape) of  y = ρ W y + X β + θ W x + effects + ε  with W = κ(D)/c.

    c is the largest eigenvalue of κ(D) at every trial: a scalar leaves ℓ, the decay and all effects as they are, and
    the admissible ρ end at 1 at every decay.
    """

    design: DistanceDesign
    determinants: KernelDeterminants
    durbin: bool

    def __post_init__(self) -> None:
        n = self.design.shape[0]
        if n > LAG_LIMIT:
            raise DesignError(
                "a lag model with an estimated decay works on n × n arrays",
                got=f"{n} regions",
                expected=f"at most {LAG_LIMIT}",
                fix='use model="slx", which needs no log-determinant',
            )

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the slopes."""
        lagged = tuple(f"W*{name}" for name in self.design.lagged) if self.durbin else ()
        return (*self.design.own_terms, *lagged)

    @cached_property
    def null_value(self) -> float:
        """ℓ with ρ = 0 and θ = 0."""
        from spillover.moderators.decay_slx import SlxLikelihood

        return SlxLikelihood(self.design, self.determinants.kernel).null_value

    def block(self, weights: FloatArray) -> FloatArray:
        """(k + 2, n, t) slopes' columns, y and W y, demeaned."""
        transformation = self.design.transformation
        parts = [self.design.x, *([self.design.expose(weights)] if self.durbin else [])]
        lag = transformation.remove_means(np.asarray(weights @ self.design.outcome))
        return np.concatenate([*parts, self.design.y[None], lag[None]])

    def solve(self, rate: float, shape: float) -> tuple[Solution, float, Projection, FloatArray, float]:
        """(maximum over ρ, ℓ there, regression, W, scale)."""
        weights, scale, engine = self.determinants.weights(rate, shape)
        block = self.block(weights)  # type: ignore[arg-type]
        projection = least_squares(block.reshape(len(block), -1).T, self.terms)
        transformation = self.design.transformation
        likelihood = ConcentratedLikelihood(
            projection.residual_products,
            transformation.m,
            transformation.t_star,
            engine,  # type: ignore[arg-type]
            transformation.unit_roots,
        )
        solution = maximise(likelihood)
        return solution, float(likelihood.value(solution.value)), projection, weights, scale  # type: ignore[return-value]

    def __call__(self, rate: float, shape: float) -> float:
        """ℓ maximised over everything else."""
        return self.solve(rate, shape)[1]

    def at(self, rate: float, shape: float, free: int) -> LagPoint:
        """Everything that errors and effects need at the maximum, with scores of `free` parameters of the law."""
        solution, _, projection, weights, scale = self.solve(rate, shape)
        check_solution(solution)
        rho = solution.value
        weights = weights if isinstance(weights, np.ndarray) else weights.toarray()
        slopes = self._slopes(rate, shape, scale, free)
        design, k = self.design, len(self.terms)
        block = self.block(weights)
        coefficients = projection.coefficients[:, 0] - rho * projection.coefficients[:, 1]
        residuals = block[k] - rho * block[k + 1] - np.tensordot(coefficients, block[:k], axes=1)
        sigma2 = float(np.sum(residuals**2)) / design.transformation.m
        check_variance(sigma2, self.design.outcome)
        inverse = np.asarray(np.linalg.inv(np.eye(len(weights)) - rho * weights), dtype=float)
        theta = coefficients[len(design.x) :]
        multiplier = weights @ inverse
        images = tuple(slope @ inverse for slope in slopes)
        columns, terms = [], [SpatialTerm("rho", rho, DenseOperator(multiplier), k + 1)]
        for i, (name, value, slope) in enumerate(zip(("rate", "shape"), (rate, shape), slopes, strict=False)):
            change = rho * design.transformation.remove_means(slope @ self.design.outcome)
            if self.durbin:
                change = change + np.tensordot(theta, design.expose(slope), axes=1)
            columns.append(change)
            terms.append(SpatialTerm(name, value, DenseOperator(rho * images[i]), k + 2 + i))
        whole = np.concatenate([block, *(column[None] for column in columns)])
        holder = Design(
            regions=design.columns.regions,
            periods=design.periods,
            block=whole,
            y_raw=self.design.outcome,
            x_raw=design.columns.x_raw,
            terms=self.terms,
            own=design.columns.own,
            neighbour={name: len(design.x) + i for i, name in enumerate(design.lagged)} if self.durbin else {},
            response=design.columns.response,
            transformation=design.transformation,
        )
        point = Point(holder, whole, residuals, projection.inverse_gram, sigma2, tuple(terms))
        values = np.concatenate([coefficients, [term.value for term in terms]])
        return LagPoint(point, values, inverse, multiplier, weights, tuple(slopes), images, scale)

    def _slopes(self, rate: float, shape: float, scale: float, free: int) -> list[FloatArray]:
        """∂W/∂rate and ∂W/∂shape with the scale held fixed."""
        kernel, distances = self.determinants.kernel, self.design.distances
        parts = [distances.weigh(lambda d: kernel.rate_slope(d, rate, shape) / rate)] if free else []
        if free > 1:
            parts.append(distances.weigh(lambda d: kernel.shape_slope(d, rate, shape)))
        if self.determinants.row:
            plain = self.determinants.plain(rate, shape)
            parts = [normalised_slope(plain, part) for part in parts]
        dense = [part if isinstance(part, np.ndarray) else part.toarray() for part in parts]
        return [part / scale for part in dense]


def with_centred_periods(design: DistanceDesign) -> DistanceDesign:
    """The design with the counts of a W whose rows do not sum to one; its demeaned arrays are the same."""
    return replace(design, transformation=centred_periods(design.transformation))
