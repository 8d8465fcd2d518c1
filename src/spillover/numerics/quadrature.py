"""Sums of f(eigenvalue) over the spectrum of W by stochastic quadrature, with their standard errors.

For a random vector z of ±1, E z'f(W)z = tr f(W). Lanczos (symmetric W) or Arnoldi (any W) turns each z'f(W)z into
m nodes and weights that serve every f: Ubaru, Chen & Saad (2017, SIAM J. Matrix Anal. Appl. 38:1075). A polynomial
whose trace is known exactly, because tr W, tr W², … are, is taken off f before averaging and put back exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from spillover.typing import FloatArray

BLOCK_NUMBERS = 20_000_000  # numbers in one block of probes: 160 MB
PRODUCT_LIMIT = 3e8  # multiplications in W·W beyond which tr W³ and tr W⁴ are not worth their cost
SEED = 20_260_117


@dataclass(frozen=True, eq=False)
class SpectralQuadrature:
    """Nodes and weights of p probes.

    Attributes
    ----------
    n : number of regions.
    nodes, weights : (p, m), real or complex; the weights of a probe sum to one.
    moments : (q,) exact tr W^0, tr W^1, …, the control variates.
    """

    n: int
    nodes: np.ndarray
    weights: np.ndarray
    moments: FloatArray

    @property
    def probes(self) -> int:
        """Number of random vectors."""
        return int(self.nodes.shape[0])

    def sums(self, f: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
        """(Σ f(ω_i), its standard error between probes) for an f that is real on the real line."""
        values = f(self.nodes)
        coefficients = self._polynomial(values)
        powers = self.nodes[..., None] ** np.arange(self.moments.size)
        left = self.n * np.sum(self.weights * (values - powers @ coefficients), axis=1).real
        error = float(left.std(ddof=1)) / np.sqrt(self.probes) if self.probes > 1 else float("inf")
        return float(left.mean() + coefficients @ self.moments), error

    def _polynomial(self, values: np.ndarray) -> FloatArray:
        """The polynomial closest to f on the spectrum: it leaves the least for the probes to find."""
        root = np.sqrt(np.abs(self.weights)).ravel()
        powers = self.nodes.ravel()[:, None] ** np.arange(self.moments.size) * root[:, None]
        target = values.ravel() * root
        if np.iscomplexobj(powers):
            powers = np.concatenate([powers.real, powers.imag])
            target = np.concatenate([target.real, target.imag])
        return np.asarray(np.linalg.lstsq(powers, target, rcond=None)[0])

    def extended(self, other: SpectralQuadrature) -> SpectralQuadrature:
        """The probes of both."""
        nodes, weights = (np.concatenate(pair) for pair in ((self.nodes, other.nodes), (self.weights, other.weights)))
        return SpectralQuadrature(self.n, nodes, weights, self.moments)


def quadrature(
    matrix: sp.csr_matrix, symmetric: bool, probes: int, steps: int, moments: FloatArray, first: int = 0
) -> SpectralQuadrature:
    """Quadrature of `probes` random vectors after `steps` multiplications by W each.

    Parameters
    ----------
    matrix : (n, n) CSR; when `symmetric`, a symmetric matrix similar to W.
    first : number of probes drawn before; the k-th probe is the same whatever the calls.

    Cost: probes × steps products with W; memory of a block of probes about 0.5 GB at most when symmetric,
    steps × n numbers when not.
    """
    n = matrix.shape[0]
    steps = min(steps, n)
    if not symmetric:
        found = [_arnoldi(matrix, _probe(n, first + q), steps) for q in range(probes)]
        nodes, weights = (np.stack(part) for part in zip(*found, strict=True))
        return SpectralQuadrature(n, nodes, weights, moments)
    width = max(1, BLOCK_NUMBERS // n)
    blocks = []
    for start in range(0, probes, width):
        block = [_probe(n, first + q) for q in range(start, min(start + width, probes))]
        blocks.append(_lanczos(matrix, np.stack(block, axis=1), steps))
    nodes, weights = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return SpectralQuadrature(n, nodes, weights, moments)


def exact_moments(matrix: sp.csr_matrix, most: int = 4) -> FloatArray:
    """(n, tr W, tr W², and tr W³, tr W⁴ where W·W is cheap)."""
    transposed = sp.csr_matrix(matrix.T)
    moments = [float(matrix.shape[0]), float(matrix.diagonal().sum()), float(matrix.multiply(transposed).sum())]
    work = float(np.diff(matrix.indptr)[matrix.indices].sum())
    if most >= 4 and work <= PRODUCT_LIMIT:
        square = sp.csr_matrix(matrix @ matrix)
        moments += [float(square.multiply(transposed).sum()), float(square.multiply(square.T).sum())]
    return np.array(moments)


def quadrature_of_ones(matrix: Any, symmetric: bool, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (m,) with ι'f(W)ι / n = Σ w f(x), ι all ones.

    Exact for polynomials of degree 2m − 1 (m − 1 when W is not symmetric).
    """
    ones = np.ones(matrix.shape[0])
    steps = min(steps, ones.size)
    if symmetric:
        nodes, weights = _lanczos(matrix, ones[:, None], steps)
        return nodes[0], weights[0]
    nodes, weights = _arnoldi(matrix, ones, steps)
    return nodes, weights


def _probe(n: int, index: int) -> FloatArray:
    """The (n,) vector of ±1 number `index`."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(SEED, spawn_key=(index,))))
    return np.asarray(generator.integers(0, 2, size=n, dtype=np.int8) * 2.0 - 1.0, dtype=float)


def _lanczos(matrix: sp.csr_matrix, start: FloatArray, steps: int) -> tuple[FloatArray, FloatArray]:
    """(nodes, weights), both (p, steps), of p columns advanced together; quadrature needs no re-orthogonalisation."""
    n, p = start.shape
    alphas, betas = np.zeros((steps, p)), np.zeros((steps, p))
    current = start / np.sqrt(n)
    before = np.zeros_like(current)
    beta = np.zeros(p)
    for j in range(steps):
        image = matrix @ current
        image -= beta * before
        alphas[j] = np.einsum("ij,ij->j", image, current)
        image -= alphas[j] * current
        beta = np.sqrt(np.einsum("ij,ij->j", image, image))
        beta[beta < 1e-10] = 0.0  # an invariant subspace: what follows has weight zero
        betas[j] = beta
        image /= np.where(beta > 0.0, beta, np.inf)
        before, current = current, image
    nodes, weights = np.empty((p, steps)), np.empty((p, steps))
    for q in range(p):
        nodes[q], vectors = scipy.linalg.eigh_tridiagonal(alphas[:, q], betas[:-1, q])
        weights[q] = vectors[0] ** 2
    return nodes, weights


def _arnoldi(matrix: sp.csr_matrix, start: FloatArray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(nodes, weights), both (steps,) complex: z'f(W)z ≈ |z|² e₁'f(H)e₁ with the Hessenberg matrix H."""
    n = start.size
    basis = np.zeros((steps + 1, n))
    basis[0] = start / np.sqrt(n)
    hessenberg = np.zeros((steps + 1, steps))
    for j in range(steps):
        image = matrix @ basis[j]
        for _ in range(2):  # Gram–Schmidt twice is orthogonal to machine accuracy
            along = basis[: j + 1] @ image
            image -= along @ basis[: j + 1]
            hessenberg[: j + 1, j] += along
        length = float(np.linalg.norm(image))
        if length < 1e-10:
            break
        hessenberg[j + 1, j] = length
        basis[j + 1] = image / length
    values, vectors = scipy.linalg.eig(hessenberg[:steps])
    unit = np.zeros(steps)
    unit[0] = 1.0
    return values, vectors[0] * np.linalg.solve(vectors, unit.astype(complex))
