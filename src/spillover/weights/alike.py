"""Who is alike: economic distance, institutional quality, membership of the same group. Never dense by accident."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError, show_labels
from spillover.panel.panel import Period
from spillover.typing import FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.attributes import region_labels, region_values, source_regions
from spillover.weights.labels import names_of
from spillover.weights.pairs import ALL_PAIRS_LIMIT, LINK_LIMIT, positive
from spillover.weights.weights import SpatialWeights

ENDOGENOUS = (
    "W is built from {what}: if {what} moves with the outcome, W is endogenous; "
    "see spillover.models.endogenous_weights.weights_exogeneity"
)


def build_economic(
    source: Any,
    variable: Any,
    power: float = 1.0,
    floor: float = 0.01,
    *,
    nearest: int | None = None,
    support: SpatialWeights | None = None,
    period: Period | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Economic proximity: w_ij = |g_i − g_j|^(−power) before standardisation, differences in standard deviations of g.

    Parameters
    ----------
    source : the panel, or a W whose regions are meant.
    variable : g, the name of a panel variable, or numbers by region id (GDP per head, say).
    power : above zero.
    floor : differences below this share of g's standard deviation count as that much; above zero.
    nearest : link each region with this many of the most alike only, needed above 5,000 regions without `support`.
    support : another W; only its links are weighed, so that W has at most as many.
    period : of the panel variable; the first by default, so that W is older than the outcome. Noted.
    islands, standardise, links : as in `build_contiguity`; islands="nearest" needs places, which this W does not have.

    Raises
    ------
    ValueDomainError : g is the same everywhere, or missing. WeightsError : too many regions for all pairs.

    Cost: links; n² without `nearest` and `support`. A W of this kind is endogenous if g is; noted.

    >>> from types import SimpleNamespace
    >>> w = build_economic(SimpleNamespace(regions=("a", "b", "c")), {"a": 1, "b": 2, "c": 4})
    >>> w.matrix.toarray()[0].round(3).tolist()  # differences of 1 and 3
    [0.0, 0.75, 0.25]
    """
    check_choices(islands, standardise)
    alpha, share = positive("power", power), positive("floor", floor)
    regions = source_regions(source)
    what = variable if isinstance(variable, str) else "the variable"
    values, notes = region_values(variable, regions, what, source=source, period=period)
    spread = float(values.std())
    if not spread > 0.0:
        raise WeightsError(f"{what} is the same in all regions, so nobody is more alike than others")
    least = share * spread

    def kernel(gap: FloatArray) -> FloatArray:
        return np.asarray((np.maximum(gap, least) / spread) ** -alpha)

    rows, columns = _who(values, regions, nearest, support)
    gaps = np.abs(values[rows] - values[columns])
    floored = int((gaps < least).sum())
    notes = (*notes, ENDOGENOUS.format(what=what))
    if floored:
        notes = (
            f"{floored} links of differences below {100 * share:g} % of a standard deviation count as that",
            *notes,
        )
    kind = f"economic proximity in {what}, power {alpha:g}{_among(nearest, support)}"
    return _finish(source, regions, rows, columns, kernel(gaps), kind, notes, islands, standardise, links)


def build_institutional(
    source: Any,
    quality: Any,
    scale: float | None = None,
    *,
    nearest: int | None = None,
    support: SpatialWeights | None = None,
    period: Period | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Institutional proximity: w_ij = exp(−|q_i − q_j| / scale) before standardisation.

    Parameters
    ----------
    quality : q, the name of a panel variable, or numbers by region id (an index of institutions).
    scale : in units of q; one standard deviation of q by default.
    Others as in `build_economic`.

    >>> from types import SimpleNamespace
    >>> w = build_institutional(SimpleNamespace(regions=("a", "b")), {"a": 1, "b": 2}, 1.0, standardise="none")
    >>> round(float(w.matrix[0, 1]), 6)  # exp(−1)
    0.367879
    """
    check_choices(islands, standardise)
    regions = source_regions(source)
    what = quality if isinstance(quality, str) else "the quality of institutions"
    values, notes = region_values(quality, regions, what, source=source, period=period)
    spread = float(values.std()) if scale is None else positive("scale", scale)
    if not spread > 0.0:
        raise WeightsError(f"{what} is the same in all regions, so nobody is more alike than others")
    rows, columns = _who(values, regions, nearest, support)
    weights = np.exp(-np.abs(values[rows] - values[columns]) / spread)
    notes = (*notes, ENDOGENOUS.format(what=what))
    kind = f"institutional proximity in {what}, scale {spread:.4g}{_among(nearest, support)}"
    return _finish(source, regions, rows, columns, weights, kind, notes, islands, standardise, links)


def build_same_group(
    source: Any,
    groups: Any,
    *,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Membership: w_ij = 1 before standardisation if i and j are in the same group (province, treaty, system).

    Parameters
    ----------
    source : the panel, or a W whose regions are meant.
    groups : name of one of the panel's groups, or a mapping region id → label.

    Every group is a block of equal weights. With period effects such a W tells ρ from a scale only where groups differ
    in size (Lee 2007, J. Econometrics 140:333); `spillover.weights.identification` measures it.

    Raises
    ------
    AlignmentError : regions without a group. IslandError : groups of one region and no policy.
    WeightsError : the blocks would have more than 10⁸ links.

    >>> from types import SimpleNamespace
    >>> w = build_same_group(SimpleNamespace(regions=("a", "b", "c", "d")), {"a": "X", "b": "X", "c": "X", "d": "Y"},
    ...                      islands="keep")
    >>> w.matrix.toarray()[0].tolist(), w.islands
    ([0.0, 0.5, 0.5, 0.0], ('d',))
    """
    check_choices(islands, standardise)
    regions = source_regions(source)
    labels = region_labels(groups, regions, "group", source=source)
    names, codes, sizes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True, return_counts=True)
    links_needed = int((sizes.astype(np.int64) * (sizes - 1)).sum())
    if links_needed > LINK_LIMIT:
        largest = [f"{names[g]} ({sizes[g]:,} regions)" for g in np.argsort(-sizes)[:3]]
        raise WeightsError(
            "groups so large that their links do not fit in memory",
            got=f"{links_needed:,} links; the largest: {show_labels(largest)}",
            expected=f"at most {LINK_LIMIT:,} links",
            fix="use smaller groups, or group × period effects (fit(…, groups=…)) instead of a W",
        )
    order = np.argsort(codes, kind="stable")
    blocks = np.split(order, np.cumsum(sizes)[:-1])
    rows = np.concatenate([np.repeat(block, len(block)) for block in blocks])
    columns = np.concatenate([np.tile(block, len(block)) for block in blocks])
    apart = rows != columns
    kind = f"same {groups}" if isinstance(groups, str) else "same group"
    weights = np.ones(int(apart.sum()))
    return _finish(source, regions, rows[apart], columns[apart], weights, kind, (), islands, standardise, links)


def _among(nearest: int | None, support: SpatialWeights | None) -> str:
    if support is not None:
        return f", among the links of {support.kind}"
    return "" if nearest is None else f", the {nearest} most alike"


def _who(
    values: FloatArray, regions: tuple[str, ...], nearest: int | None, support: SpatialWeights | None
) -> tuple[IntArray, IntArray]:
    """Receivers and senders to weigh: of another W, the most alike, or all."""
    n = len(regions)
    if nearest is not None and support is not None:
        raise OptionError("nearest= and support= say two different things about who is linked", fix="give one of them")
    if support is not None:
        links = sp.coo_matrix(support.align(regions).matrix)
        return links.row.astype(np.int64), links.col.astype(np.int64)
    if nearest is not None:
        if isinstance(nearest, bool) or not isinstance(nearest, int | np.integer) or not 1 <= nearest < n:
            raise OptionError(
                "nearest is not a possible number of neighbours", got=f"{nearest!r}", expected=f"from 1 to {n - 1}"
            )
        return most_alike(values, int(nearest), np.argsort(np.argsort(np.array(regions, dtype=object))))
    if n > ALL_PAIRS_LIMIT:
        raise WeightsError(
            "proximity between all pairs of so many regions does not fit in memory",
            got=f"{n:,} regions, {n * (n - 1):,} links",
            expected=f"at most {ALL_PAIRS_LIMIT:,} regions when all pairs are linked",
            fix="link only the most alike with nearest=…, or only the neighbours of another W with support=W",
        )
    i, j = np.triu_indices(n, 1)
    return np.r_[i, j], np.r_[j, i]


def most_alike(values: FloatArray, k: int, ranks: IntArray) -> tuple[IntArray, IntArray]:
    """(n·k,) receivers and the k regions with the nearest values; ties go to the nearest id.

    Cost: n k, by sorting: the k nearest of a value are among the k before and the k after it.
    """
    n = len(values)
    order = np.lexsort((ranks, values))
    place = np.arange(n)[:, None] + np.r_[-k:0, 1 : k + 1][None, :]
    inside = (place >= 0) & (place < n)
    candidates = order[np.clip(place, 0, n - 1)]
    gap = np.where(inside, np.abs(values[candidates] - values[order][:, None]), np.inf)
    by_id = np.abs(ranks[candidates] - ranks[order][:, None])
    best = np.lexsort((by_id, gap), axis=1)[:, :k]
    return np.repeat(order, k), np.take_along_axis(candidates, best, axis=1).ravel()


def _finish(
    source: Any,
    regions: tuple[str, ...],
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
    kind: str,
    notes: tuple[str, ...],
    islands: IslandPolicy,
    standardise: Standardisation,
    links: Links,
) -> SpatialWeights:
    vanished = ~(values > 0.0) | ~np.isfinite(values)
    if vanished.any():
        far = [f"{regions[a]} ← {regions[b]}" for a, b in zip(rows[vanished], columns[vanished], strict=True)]
        raise WeightsError(
            "weights are so small or so large that the computer cannot hold them",
            got=f"{kind}: {show_labels(far, 3)}",
            fix="choose a smaller power or a larger scale, or link the most alike only",
        )
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(len(regions), len(regions)))
    raw = SpatialWeights(matrix, regions, kind, island_policy="keep", notes=notes)
    return assemble(raw, links=links, islands=islands, standardise=standardise, names=names_of(source))
