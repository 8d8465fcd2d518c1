"""Standardisations of W, and what each means for ρ.

==========  ==========================================  =============================================
method      definition (P = weights as built)           ρ with I − ρW invertible, around 0
==========  ==========================================  =============================================
row         w_ij = p_ij / Σ_j p_ij                      (1/ω_min, 1); |ρ| < 1 is always safe
spectral    W = P / ω_max(P)                            (1/ω_min, 1)
scalar      W = P / max_i Σ_j p_ij                      contains (−1, 1)
min-max     W = P / min(max_i Σ_j p_ij, max_j Σ_i p_ij)  contains (−1, 1)
none        W = P                                       (1/ω_min, 1/ω_max)
==========  ==========================================  =============================================

ω are eigenvalues of the standardised W; ω_min is the smallest real one. The interval that an
estimator uses is computed from W itself: `SpatialWeights.bounds()`.

Row standardisation makes Wx an average over neighbours and destroys absolute distance: a remote
region gets the same total weight as a central one. The other forms are one number for all links,
so they keep distance decay. Source of min-max: Kelejian and Prucha (2010), Journal of Econometrics
157, 53–67.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeightsError, check_option
from spillover.typing import Standardisation
from spillover.weights.weights import SpatialWeights

# Blocks up to this size take all eigenvalues: dense is faster there and cannot fail to converge.
_DENSE_BLOCK = 400

_ONE_NUMBER = ("none", "spectral", "scalar", "min-max")


def standardise(weights: SpatialWeights, method: Standardisation) -> SpatialWeights:
    """W scaled by one of the standardisations; the links, regions and notes stay.

    Parameters
    ----------
    weights : SpatialWeights, n regions.
    method : "row", "spectral", "scalar", "min-max" or "none"; see the table of this module.

    Returns
    -------
    SpatialWeights with `standardisation` set. Rows of islands that were kept stay empty.

    Raises
    ------
    OptionError : unknown method.
    WeightsError : W has no links; W is row-standardised and another form is asked for (its raw
        weights are gone); the spectral radius is zero (links only run one way, without a circle).

    Cost: proportional to links; spectral needs the largest eigenvalue.

    >>> from scipy.sparse import csr_matrix
    >>> w = SpatialWeights(csr_matrix([[0, 2.0], [6.0, 0]]), ("a", "b"), "example")
    >>> standardise(w, "row").matrix.toarray().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    >>> standardise(w, "scalar").matrix.toarray().round(3).tolist()
    [[0.0, 0.333], [1.0, 0.0]]
    """
    check_option("standardise", method, get_args(Standardisation))
    if method == weights.standardisation:
        return weights
    if weights.standardisation == "row" or (method == "none" and weights.standardisation != "none"):
        raise WeightsError(
            f"W is already standardised ({weights.standardisation!r}); the weights it was made from are gone",
            got=f"standardise={method!r} of a W that is {weights.standardisation!r}-standardised",
            expected='a W that was built with standardise="none"',
            fix=f"build or read W again with standardise={method!r}",
        )
    if weights.matrix.nnz == 0:
        raise WeightsError(
            "W has no links, so it cannot be standardised",
            got=f"{weights.n} regions and 0 links ({weights.kind})",
            causes=("a threshold shorter than every distance", "all weights in the file are zero"),
        )
    if method == "row":
        return replace(weights, matrix=_by_row(weights.matrix), standardisation="row")
    scale = scale_of(weights.matrix, method)
    return replace(weights, matrix=weights.matrix / scale, standardisation=method)


def _by_row(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Each row divided by its sum; empty rows stay empty."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scaled = matrix.copy()
    scaled.data = matrix.data / np.repeat(sums, np.diff(matrix.indptr))
    return scaled


def scale_of(matrix: sp.csr_matrix, method: str) -> float:
    """The one number that W is divided by."""
    if method == "spectral":
        return spectral_radius(matrix)
    largest_row = float(matrix.sum(axis=1).max())
    if method == "scalar":
        return largest_row
    return min(largest_row, float(matrix.sum(axis=0).max()))


def spectral_radius(matrix: sp.csr_matrix) -> float:
    """Largest eigenvalue of a non-negative (n, n) CSR matrix, which is real (Perron–Frobenius).

    Taken over the strongly connected blocks, whose eigenvalues together are those of the matrix: inside a block the
    largest one is simple, so that the iteration is safe also for W with one-way links.

    Raises `WeightsError` if it is zero or cannot be computed.
    """
    for sums in (matrix.sum(axis=1), matrix.sum(axis=0)):
        # The root lies between the smallest and the largest row sum (and column sum): k nearest neighbours have k.
        if 0.0 < sums.max() == sums.min():
            return float(sums.max())
    count, labels = sp.csgraph.connected_components(matrix, directed=True, connection="strong")
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(labels, minlength=count))[:-1])
    radii = [_block_radius(matrix[rows][:, rows]) for rows in members if len(rows) > 1]
    radius = max(radii, default=0.0)
    if radius <= 0.0:
        raise WeightsError(
            "W has spectral radius zero, so it cannot be divided by it",
            causes=("links run one way only and never come back",),
            fix='use standardise="row" or "scalar"',
        )
    return radius


def _block_radius(block: sp.csr_matrix) -> float:
    """Largest eigenvalue of a strongly connected block."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigs, eigsh

    symmetric = (block != block.T).nnz == 0
    if block.shape[0] <= _DENSE_BLOCK:
        dense = block.toarray()
        values = np.linalg.eigvalsh(dense) if symmetric else np.linalg.eigvals(dense)
        return float(np.max(values.real))
    # A fixed start makes the same W give the same digits every time. Forty vectors: almost regular W have their
    # largest eigenvalues close together, and the default of twenty takes ten times as long.
    start, vectors = np.ones(block.shape[0]), 40
    try:
        if symmetric:
            return float(eigsh(block, k=1, which="LA", v0=start, ncv=vectors, return_eigenvectors=False)[0])
        return float(eigs(block, k=1, which="LR", v0=start, ncv=vectors, return_eigenvectors=False)[0].real)
    except ArpackNoConvergence as error:
        raise WeightsError(
            "the largest eigenvalue of W could not be computed",
            got=f"no convergence on {block.shape[0]} connected regions",
            fix='use standardise="scalar" or "min-max", which need no eigenvalue',
        ) from error
