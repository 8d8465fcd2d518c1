"""Covariance of random-effects estimates: expected information, the observed Hessian, or clustered by region.

Order of parameters: δ (k,), the spatial parameter s (none for OLS and SLX), σ², σ_μ². With Ω the covariance of the
filtered errors, θ₁ = σ² within and θ₂ = σ² + Tσ_μ² between regions:
    lag and "both": I_δδ = Z'Ω⁻¹Z, I_δs = Z'Ω⁻¹g (lag only, g = GZδ), I_ss = g'Ω⁻¹g + T tr(G² + G'G),
    I_sθ₁ = (T − 1) tr G/θ₁, I_sθ₂ = tr G/θ₂, I_θ₁θ₁ = n(T − 1)/(2θ₁²), I_θ₂θ₂ = n/(2θ₂²);
    "idiosyncratic": ½ tr(Σ⁻¹∂Σ Σ⁻¹∂Σ), T − 1 times within (Σ = σ²(B'B)⁻¹) and once between (Tσ_μ²I + σ²(B'B)⁻¹).
With σ_μ² = 0 at its bound it has no covariance: θ₁ = θ₂.

Clustered: with e = v − (1 − φ)v̄ the whitened residuals times σ, region i's rows of the score are
    δ: Σ_t z_it e_it/θ₁;   s: Σ_t (e_it g_it + G_ii(e_it² − θ₁))/θ₁, and Σ_{i≠j} H_ij e_i'e_j/θ₁ as in decision 003;
    θ₁: (Σ_t (v_it − v̄_i)² − (T − 1)θ₁)/(2θ₁²);   θ₂: (T v̄_i² − θ₂)/(2θ₂²).
They ask for independent regions only: any variance and serial correlation within them. Where only ε is filtered
("idiosyncratic") the region effects and ε of all neighbours are mixed, and no sum by region is independent of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spillover.errors import EstimationError, OptionError
from spillover.models.quadratic import off_diagonal_variance, quadratic_parts
from spillover.models.random_likelihood import IdiosyncraticError, RandomLikelihood, SharedFilter, quasi_demeaned
from spillover.numerics.operators import GOperator, g_traces, traces
from spillover.numerics.within import Centring
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where the likelihood is largest: s, φ, σ² and the slopes of the orthonormal columns."""

    likelihood: RandomLikelihood
    s: float
    phi: float
    sigma2: float
    slopes: FloatArray

    @property
    def bounded(self) -> bool:
        """φ = 1: no variance between regions is left."""
        return self.phi >= 1.0

    @property
    def sigma2_mu(self) -> float:
        """σ_μ² = σ²(1/φ² − 1)/T."""
        return self.sigma2 * (1.0 / self.phi**2 - 1.0) / self.likelihood.stack.shape[1]


def information_covariance(at: Maximum) -> FloatArray:
    """(p, p) inverse expected information of (δ, s, σ², σ_μ²); rows of what is at its bound are zero."""
    likelihood = at.likelihood
    if isinstance(likelihood, IdiosyncraticError):
        slopes, rest = _idiosyncratic(at, likelihood)
        covariance = np.zeros((len(slopes) + len(rest), len(slopes) + len(rest)))
        k = len(slopes)
        covariance[:k, :k], covariance[k:, k:] = np.linalg.inv(slopes), _inverse(rest, at)
        return _in_terms_of_z(covariance, likelihood)
    assert isinstance(likelihood, SharedFilter)
    return _in_terms_of_z(_inverse(_shared(at, likelihood), at), likelihood)


def cluster_covariance(at: Maximum) -> FloatArray:
    """(p, p) clustered by region, with the factor n/(n − 1) · m/(m − k)."""
    likelihood = at.likelihood
    if not isinstance(likelihood, SharedFilter):
        raise OptionError(
            'errors clustered by region do not exist for error="idiosyncratic"',
            causes=("region effects are not filtered and ε is: their sum has no part of its own for each region",),
            fix='use error="both", covariance="information" or "hessian", or effects="individual" in spillover.fit',
        )
    stack, k = likelihood.stack, len(likelihood.stack.columns) - 1
    n, t = stack.shape
    bread = _inverse(_shared(at, likelihood), at)
    rows, spatial = _region_scores(at, likelihood)
    meat = rows.T @ rows
    if likelihood.engine is not None:
        meat[k, k] += spatial
    factor = n / (n - 1) * stack.m / (stack.m - k)
    return _in_terms_of_z(factor * bread @ meat @ bread.T, likelihood)


def _region_scores(at: Maximum, likelihood: SharedFilter) -> tuple[FloatArray, float]:
    """((n, p) rows of the score, variance of what pairs of regions add to that of s)."""
    stack, engine = likelihood.stack, likelihood.engine
    (n, t), share = stack.shape, stack.n_star / stack.shape[0]
    first = at.sigma2
    second = first / at.phi**2
    filtered = stack.columns - at.s * likelihood._lagged
    v = filtered[-1] - np.tensordot(at.slopes, filtered[:-1], axes=1)
    e = quasi_demeaned(v, at.phi)
    rows = [np.einsum("knt,nt->nk", quasi_demeaned(filtered[:-1], at.phi), e) / first]
    pairs = 0.0
    if engine is not None:
        operators = (GOperator(engine, at.s),)
        centring = Centring(n, (np.arange(n),) * stack.unit_roots)
        parts = quadratic_parts(operators, e, centring, traces(operators, centring, lambda: np.ones((n, 1))))
        own = parts.diagonals[0] * (np.sum(e**2, axis=1) - first * t)
        if not likelihood.filters_regressors:
            own = own + np.sum(e * quasi_demeaned(_reach(at, likelihood), at.phi), axis=1)
        rows.append(own[:, None] / first)
        pairs = float(off_diagonal_variance(parts, e, first, np.ones((t, t)))[0, 0])
    means = v.mean(axis=1)
    within = np.sum((v - means[:, None]) ** 2, axis=1)
    in_first = (within - (t - 1) * first * share) / (2.0 * first**2)
    in_second = (t * means**2 - second * share) / (2.0 * second**2)
    rows.append(np.column_stack([in_first + in_second, t * in_second]))
    return np.concatenate(rows, axis=1), pairs


def _inverse(information: FloatArray, at: Maximum) -> FloatArray:
    """Inverse without the parameter at its bound, whose rows are zero."""
    p = len(information)
    free = np.arange(p - int(at.bounded))
    block = information[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.diag(block))
    scaled = block * np.outer(scale, scale)
    if np.linalg.eigvalsh(scaled).min() <= 1e-12:
        raise EstimationError(
            "the information matrix of the random-effects model is not positive definite; nothing is returned",
            causes=("too few periods", "a W with which ρ or λ cannot be told from the region effects"),
            fix="use effects='individual', or a model with fewer terms",
        )
    covariance = np.zeros((p, p))
    covariance[np.ix_(free, free)] = np.linalg.inv(scaled) * np.outer(scale, scale)
    return covariance


def _shared(at: Maximum, likelihood: SharedFilter) -> FloatArray:
    stack, engine = likelihood.stack, likelihood.engine
    k, (_, t) = len(stack.columns) - 1, stack.shape
    n, s, first = stack.n_star, at.s, at.sigma2
    second = first / at.phi**2
    filtered = stack.columns - s * likelihood._lagged
    z = quasi_demeaned(filtered[:-1], at.phi).reshape(k, -1).T
    own = k if engine is None else k + 1
    information = np.zeros((own + 2, own + 2))
    information[:k, :k] = z.T @ z / first
    # θ₁ = σ², θ₂ = σ² + Tσ_μ²; then by the chain rule to (σ², σ_μ²).
    variances = np.diag([n * (t - 1) / (2.0 * first**2), n / (2.0 * second**2)])
    chain = np.array([[1.0, 0.0], [1.0, float(t)]])
    information[own:, own:] = chain.T @ variances @ chain
    if engine is not None:
        trace, squared, gram = g_traces(engine, s, Centring(engine.n, (np.arange(engine.n),) * stack.unit_roots))
        information[k, k] = t * (squared + gram)
        information[k, own:] = np.array([(t - 1) * trace / first, trace / second]) @ chain
        information[own:, k] = information[k, own:]
        if not likelihood.filters_regressors:
            g = quasi_demeaned(_reach(at, likelihood), at.phi).ravel()
            information[k, k] += float(g @ g) / first
            information[:k, k] = information[k, :k] = z.T @ g / first
    return information


def _reach(at: Maximum, likelihood: SharedFilter) -> FloatArray:
    """(n, t) G Zδ = W y − G(S y − Zδ)."""
    assert likelihood.engine is not None
    filtered = likelihood.stack.columns - at.s * likelihood._lagged
    errors = filtered[-1] - np.tensordot(at.slopes, filtered[:-1], axes=1)
    image = likelihood.engine.multiplier(at.s).apply_g(errors)
    if likelihood.stack.unit_roots:
        image = image - image.mean(axis=0)
    return np.asarray(likelihood._lagged[-1] - image)


def _idiosyncratic(at: Maximum, likelihood: IdiosyncraticError) -> tuple[FloatArray, FloatArray]:
    """(information of δ, that of (λ, σ², σ_μ²)), by dense algebra."""
    engine, stack = likelihood.engine, likelihood.stack
    if not engine.dense:
        raise EstimationError(
            "the expected information of this random-effects model needs n × n work",
            got=f"{engine.n} regions",
            fix="use covariance='hessian', or error='both'",
        )
    n, t = stack.shape
    basis = np.eye(n)
    if stack.unit_roots:
        basis = np.linalg.svd(np.eye(n) - 1.0 / n)[0][:, : n - 1]
    w = basis.T @ engine.matrix.toarray() @ basis
    b = np.eye(len(w)) - at.s * w
    spread = np.linalg.inv(b.T @ b)
    slope = spread @ (w.T @ b + b.T @ w) @ spread  # ∂(B'B)⁻¹/∂λ
    identity = np.eye(len(w))
    inner = np.linalg.inv(at.sigma2 * spread)
    outer = np.linalg.inv(t * at.sigma2_mu * identity + at.sigma2 * spread)
    moves = [at.sigma2 * slope, spread, t * identity]
    rest = np.empty((3, 3))
    within = [inner @ moves[0], inner @ moves[1], np.zeros_like(inner)]
    between = [outer @ move for move in moves]
    for i in range(3):
        for j in range(3):
            rest[i, j] = 0.5 * ((t - 1) * np.sum(within[i] * within[j].T) + np.sum(between[i] * between[j].T))
    columns = np.einsum("nr,knt->krt", basis, stack.columns[:-1])
    means = columns.mean(axis=2)
    left = columns - means[:, :, None]
    slopes = np.einsum("krt,rq,lqt->kl", left, inner, left, optimize=True) + t * means @ outer @ means.T
    return np.asarray(slopes), rest


def hessian_covariance(at: Maximum) -> FloatArray:
    """The same from the observed Hessian of ℓ(δ, s, φ, σ²).

    With slopes concentrated out ℓ = −(m/2) ln σ² + a(s, φ) − q(s, φ)/(2σ²): derivatives of a, q and δ̂ in (s, φ) by
    central differences, those in σ² exactly; V_δδ = (Z'Ω⁻¹Z)⁻¹ + D V D' with D = ∂δ̂/∂(s, φ).
    """
    likelihood, m = at.likelihood, at.likelihood.stack.m
    free = [*([0] if likelihood.engine is not None else []), *([] if at.bounded else [1])]
    a, q, moves = _differences(at, free)
    r = len(free)
    hessian = np.zeros((r + 1, r + 1))
    hessian[:r, :r] = a - q[1] / (2.0 * at.sigma2)
    hessian[:r, r] = hessian[r, :r] = q[0] / (2.0 * at.sigma2**2)
    hessian[r, r] = m / (2.0 * at.sigma2**2) - q[2] / at.sigma2**3
    inner = _checked_inverse(-hessian)
    # (s, φ, σ²) → (s, σ², σ_μ²)
    t = likelihood.stack.shape[1]
    chain = np.zeros((3, r + 1))
    chain[1, r] = 1.0
    for column, which in enumerate(free):
        if which == 0:
            chain[0, column] = 1.0
        else:
            chain[2, column] = -2.0 * at.sigma2 / (t * at.phi**3)
            chain[2, r] = (1.0 / at.phi**2 - 1.0) / t
    rows = [0, 1, 2] if likelihood.engine is not None else [1, 2]
    chain = chain[rows]
    k = at.slopes.size
    covariance = np.empty((k + len(rows), k + len(rows)))
    wide = np.column_stack([moves, np.zeros(k)])
    covariance[:k, :k] = at.sigma2 * _inverse_gram(at) + wide @ inner @ wide.T
    covariance[:k, k:] = wide @ inner @ chain.T
    covariance[k:, :k] = covariance[:k, k:].T
    covariance[k:, k:] = chain @ inner @ chain.T
    return _in_terms_of_z(covariance, likelihood)


def _checked_inverse(matrix: FloatArray) -> FloatArray:
    scale = 1.0 / np.sqrt(np.abs(np.diag(matrix)))
    scaled = matrix * np.outer(scale, scale)
    if np.linalg.eigvalsh(scaled).min() <= 0:
        raise EstimationError(
            "the observed Hessian of the random-effects likelihood is not negative definite; nothing is returned",
            causes=("too few periods", "a spatial parameter that the data do not identify"),
            fix="use covariance='information', or effects='individual'",
        )
    return np.asarray(np.linalg.inv(scaled) * np.outer(scale, scale))


def _differences(at: Maximum, free: list[int]) -> tuple[FloatArray, tuple[FloatArray, FloatArray, float], FloatArray]:
    """(Hessian of a, (gradient, Hessian, value) of q, ∂δ̂) in the free ones of (s, φ); fourth order on the axes."""
    point = np.array([at.s, at.phi])
    room = 0.25 * min(1.0 - at.phi, at.phi) if not at.bounded else 1.0
    h = np.array([1e-3, min(1e-3, room)])

    def look(i: float, j: float) -> FloatArray:
        found = at.likelihood.profile(point[0] + i * h[0], point[1] + j * h[1])
        return np.array([found.determinants, found.squares, *found.slopes])

    centre = look(0, 0)
    r = len(free)
    gradient, second = np.zeros((r, centre.size)), np.zeros((r, r, centre.size))
    for row, which in enumerate(free):
        far_down, down, up, far_up = (look(*(step * np.eye(2)[which])) for step in (-2, -1, 1, 2))
        gradient[row] = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * h[which])
        second[row, row] = (16.0 * (up + down) - (far_up + far_down) - 30.0 * centre) / (12.0 * h[which] ** 2)
    if r == 2:
        second[0, 1] = second[1, 0] = _cross(look) / (4.0 * h[0] * h[1])
    return second[:, :, 0], (gradient[:, 1], second[:, :, 1], float(centre[1])), gradient[:, 2:].T


def _cross(look: Callable[[float, float], FloatArray]) -> FloatArray:
    """4h₁h₂ ∂²/∂s∂φ to fourth order, from two squares of steps."""
    near = look(1, 1) - look(1, -1) - look(-1, 1) + look(-1, -1)
    far = look(2, 2) - look(2, -2) - look(-2, 2) + look(-2, -2)
    return (16.0 * near - far) / 12.0


def _inverse_gram(at: Maximum) -> FloatArray:
    """(Q'Ω⁻¹Q)⁻¹ σ⁻² by the response of δ̂ to the outcome: from the shared or the idiosyncratic factor."""
    likelihood = at.likelihood
    rows = likelihood.rows(at.s, at.phi)
    inverse = np.linalg.inv(np.asarray(np.linalg.qr(rows[:, :-1], mode="r")))
    return np.asarray(inverse @ inverse.T)


def _in_terms_of_z(covariance: FloatArray, likelihood: RandomLikelihood) -> FloatArray:
    """From slopes of the orthonormal columns to δ = R⁻¹ slopes."""
    inverse = np.linalg.inv(likelihood.stack.factor)
    k = len(inverse)
    turn = np.eye(len(covariance))
    turn[:k, :k] = inverse
    return np.asarray(turn @ covariance @ turn.T)
