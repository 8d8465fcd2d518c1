"""Covariances under grouped effects: information matrix, clustered by region, clustered by group.

The formulas are those of ordinary effects with J W J replaced by its blocks J_g W_g J_g, so that traces are sums over
groups of exact dense ones. A quadratic score Σ_g e_g'H_g e_g never links two groups: clustering by group takes the
whole form of a group as one term, and is valid under any dependence inside a group. Clustering by region uses the
closed-form variance of the terms shared by two regions (docs/decisions/003).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.grouped import GroupedTransformation, transformed_blocks
from spillover.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class GroupedPoint:
    """The maximum at which a covariance is evaluated.

    Attributes
    ----------
    z, wy, residuals : (k, n, t), (n, t), (n, t), demeaned.
    slopes : (k,) estimates of (β, θ).
    inverse_gram : (k, k) (Z'Z)^{-1}.
    engine, rho : None when W y is not in the model.
    """

    transformation: GroupedTransformation
    z: FloatArray
    wy: FloatArray
    residuals: FloatArray
    slopes: FloatArray
    inverse_gram: FloatArray
    sigma2: float
    engine: WeightsEngine | None
    rho: float | None


@dataclass(frozen=True, eq=False)
class _Information:
    """Inverse information of (δ, ρ); g = demeaned G(Zδ + effects); V_σρ = slope · V_ρρ; blocks of J G J."""

    covariance: FloatArray
    g: FloatArray
    slope: float
    blocks: tuple[tuple[IntArray, FloatArray], ...]


def information_covariance(point: GroupedPoint) -> FloatArray:
    """Inverse of the expected information of (δ, ρ), or of δ with the unbiased error variance."""
    if point.engine is None:
        k = point.inverse_gram.shape[0]
        return point.inverse_gram * float(np.sum(point.residuals**2)) / (point.transformation.m - k)
    return _information(point, point.engine).covariance


def cluster_covariance(point: GroupedPoint, clusters: tuple[IntArray, ...] | None) -> FloatArray:
    """Sandwich clustered by region (clusters None) or by the given sets of regions, with the factor C/(C − 1)."""
    by_region = np.einsum("knt,nt->nk", point.z, point.residuals)
    n = by_region.shape[0]
    sets = tuple(np.array([i]) for i in range(n)) if clusters is None else clusters
    factor = len(sets) / (len(sets) - 1)
    if point.engine is None:
        rows = np.array([by_region[members].sum(axis=0) for members in sets])
        return point.inverse_gram @ (rows.T @ rows) @ point.inverse_gram * factor
    found = _information(point, point.engine)
    quadratic, off_diagonal = _quadratic(point, found, clusters)
    scores = _scores(point, found, by_region, quadratic, sets)
    meat = scores.T @ scores
    k = by_region.shape[1]
    meat[k, k] += off_diagonal / point.sigma2**2
    bread = np.concatenate([found.covariance, (found.slope * found.covariance[:, k])[:, None]], axis=1)
    return bread @ meat @ bread.T * factor


def _information(point: GroupedPoint, engine: WeightsEngine) -> _Information:
    assert point.rho is not None
    transformation, sigma2 = point.transformation, point.sigma2
    # G(Zδ + effects) = W y − G e whatever the effects are.
    g = point.wy - transformation.remove_means(engine.multiplier(point.rho).apply_g(point.residuals))
    blocks = tuple(transformed_blocks(sp.csr_matrix(engine.matrix), transformation, point.rho))
    trace = sum(float(np.trace(block)) for _, block in blocks)
    pairs = sum(float(np.sum(block * block.T) + np.sum(block * block)) for _, block in blocks)
    slope = point.inverse_gram @ np.einsum("knt,nt->k", point.z, g)
    spread = g - np.tensordot(slope, point.z, axes=1)
    t_star, m = transformation.t_star, transformation.m
    variance = 1.0 / (float(np.sum(spread**2)) / sigma2 + t_star * pairs - 2.0 * (t_star * trace) ** 2 / m)
    k = slope.size
    covariance = np.empty((k + 1, k + 1))
    covariance[:k, :k] = sigma2 * point.inverse_gram + variance * np.outer(slope, slope)
    covariance[:k, k] = covariance[k, :k] = -slope * variance
    covariance[k, k] = variance
    return _Information(covariance, g, -2.0 * sigma2 * t_star * trace / m, blocks)


def _quadratic(
    point: GroupedPoint, found: _Information, clusters: tuple[IntArray, ...] | None
) -> tuple[FloatArray, float]:
    """(n,) centred quadratic terms by region, and the variance of what two clusters share.

    By region a term is H_ii(e_i'e_i − T*σ²), and the rest of e'He has variance 2 Σ_{i≠j} H_ij²(e_i'e_j)². By cluster
    the whole e_i'(He)_i belongs to region i: blocks of H lie inside clusters, so nothing is shared.
    """
    e, t_star, sigma2 = point.residuals, point.transformation.t_star, point.sigma2
    terms, shared = np.empty(e.shape[0]), 0.0
    for regions, block in found.blocks:
        h, part = (block + block.T) / 2.0, e[regions]
        if clusters is None:
            products = part @ part.T
            terms[regions] = np.diag(h) * (np.diag(products) - t_star * sigma2)
            cross = (h * products) ** 2
            shared += 2.0 * float(cross.sum() - np.trace(cross))
        else:
            terms[regions] = np.sum(part * (h @ part), axis=1) - t_star * sigma2 * np.diag(h)
    return terms, shared


def _scores(
    point: GroupedPoint,
    found: _Information,
    by_region: FloatArray,
    quadratic: FloatArray,
    sets: tuple[IntArray, ...],
) -> FloatArray:
    """(C, k + 2) scores of (δ, ρ, σ²) by cluster."""
    sigma2, transformation = point.sigma2, point.transformation
    n, k = by_region.shape
    rows = np.empty((n, k + 2))
    rows[:, :k] = by_region / sigma2
    rows[:, k] = (np.sum(point.residuals * found.g, axis=1) + quadratic) / sigma2
    share = np.empty(n)  # of the m effective observations
    for regions in transformation.blocks():
        free = regions.size - int(transformation.removes_periods)
        share[regions] = transformation.t_star * free / regions.size
    rows[:, k + 1] = (np.sum(point.residuals**2, axis=1) - share * sigma2) / (2.0 * sigma2**2)
    return np.array([rows[members].sum(axis=0) for members in sets])
