"""`SpatialWeights`: who is whose neighbour, aligned by region id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, IslandError, WeightsError, show_labels
from spillover.panel.wording import count_of, near_misses
from spillover.typing import FloatArray, IslandPolicy, Standardisation

if TYPE_CHECKING:
    import pandas as pd

    from spillover.numerics.engine import WeightsEngine


@dataclass(frozen=True, eq=False, repr=False)
class SpatialWeights:
    """A sparse spatial weights matrix W with labels. Row = receiver, column = sender: (Wx)_i = Σ_j w_ij x_j.

    Made by `spillover.weights.build_*` (from geometry) and `from_*` (from files and other objects).

    Attributes
    ----------
    matrix : (n, n) CSR, float, zero diagonal, no negative and no non-finite entries.
    regions : n region ids, text, unique, in the order of rows and columns.
    kind : what a link means, in words ("queen contiguity", "4 nearest neighbours").
    standardisation : "none", "row", "spectral", "scalar" or "min-max".
    island_policy : what was chosen for regions without neighbours.
    notes : what was done when W was made (islands linked, distances truncated), one sentence each.
    names : id → display name, where one is known; messages and notes show it beside the id.
    added : (region, region, how) of links that are there because someone chose them: "by hand", "nearest".
    """

    matrix: sp.csr_matrix
    regions: tuple[str, ...]
    kind: str
    standardisation: Standardisation = "none"
    island_policy: IslandPolicy = "error"
    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    added: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        matrix = sp.csr_matrix(self.matrix, dtype=float, copy=True)
        matrix.sum_duplicates()
        n = len(self.regions)
        if len(set(self.regions)) != n:
            repeated = sorted({r for r in self.regions if self.regions.count(r) > 1})
            raise WeightsError("region ids of W are not unique", got=show_labels(repeated))
        if matrix.shape != (n, n):
            raise WeightsError(
                "W does not have one row and one column per region",
                got=f"a {matrix.shape[0]} × {matrix.shape[1]} matrix for {n} regions",
                expected=f"{n} × {n}",
            )
        if not np.isfinite(matrix.data).all():
            rows = np.unique(sp.coo_matrix(matrix).row[~np.isfinite(sp.coo_matrix(matrix).data)])
            raise WeightsError(
                "W has weights that are not finite numbers",
                got="rows of " + show_labels(self.regions[i] for i in rows),
                causes=("two regions at the same point and an inverse distance", "blank cells in the file"),
            )
        if (matrix.data < 0).any():
            rows = np.unique(sp.coo_matrix(matrix).row[sp.coo_matrix(matrix).data < 0])
            raise WeightsError(
                "W has negative weights",
                got="rows of " + show_labels(self.regions[i] for i in rows),
                expected="weights of zero or more",
                fix="give proximities, not differences; drop or rescale the negative links",
            )
        diagonal = matrix.diagonal()
        if (diagonal != 0).any():
            raise WeightsError(
                "W has non-zero weights on its diagonal: a region would be its own neighbour",
                got=show_labels(self.regions[i] for i in np.flatnonzero(diagonal)),
                expected="a zero diagonal",
                fix="remove the self-links (rows in which focal equals neighbor)",
            )
        matrix.eliminate_zeros()
        matrix.sort_indices()
        matrix.data.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        if self.islands and self.island_policy == "error":
            raise self._island_error()

    def _island_error(self) -> IslandError:
        causes: tuple[str, ...] = (
            "real islands",
            "a distance band that is too short",
            "borders that do not quite touch",
        )
        fix = 'choose islands="nearest" (link to the nearest region), "drop" or "keep" (their spatial lag is 0)'
        if self.runs_one_way:
            one_way = "the links are listed one way only: not one of them is returned in the other direction"
            causes = (one_way, *causes)
            fix = f"read the list with both_ways=True if each pair stands in it once; or {fix}"
        many = len(self.islands) > 1
        return IslandError(
            f"{len(self.islands)} regions have no neighbour (islands)"
            if many
            else "1 region has no neighbour (an island)",
            got=show_labels(map(self.told, self.islands)),
            causes=causes,
            fix=fix,
        )

    # -- what W is ------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of regions."""
        return len(self.regions)

    @property
    def islands(self) -> tuple[str, ...]:
        """Ids of regions whose row is empty."""
        return tuple(self.regions[i] for i in np.flatnonzero(np.diff(self.matrix.indptr) == 0))

    def told(self, region: str) -> str:
        """A region as messages show it: its id, and its name where one is known.

        >>> empty = sp.csr_matrix((2, 2))
        >>> SpatialWeights(empty, ("a", "b"), "none", island_policy="keep", names={"a": "Hainan"}).told("a")
        'a (Hainan)'
        """
        name = self.names.get(region, region)
        return region if name == region else f"{region} ({name})"

    def tell(self, regions: Iterable[str], limit: int = 5) -> str:
        """Regions by id and name, up to `limit` of them."""
        return show_labels(map(self.told, regions), limit)

    @property
    def runs_one_way(self) -> bool:
        """Whether there are links and not one of them is returned in the other direction."""
        return self.matrix.nnz > 0 and self.matrix.multiply(self.matrix.T).nnz == 0

    @cached_property
    def row_sums(self) -> FloatArray:
        """(n,) sums over senders."""
        return np.asarray(self.matrix.sum(axis=1)).ravel()

    @property
    def rows_sum_to_one(self) -> bool:
        """Whether Wι = ι, which the shortcuts of row-stochastic W and exact time effects need."""
        return bool(np.allclose(self.row_sums, 1.0, rtol=0.0, atol=1e-10))

    @cached_property
    def engine(self) -> WeightsEngine:
        """Log-determinant, traces and solves of I − ρW; prepared once, on first use."""
        from spillover.numerics.engine import prepare_engine

        return prepare_engine(self.matrix)

    def bounds(self) -> tuple[float, float]:
        """The open interval of ρ around 0 on which I − ρW is invertible."""
        return self.engine.bounds

    def lag(self, values: FloatArray) -> FloatArray:
        """W x for an array whose first axis is the regions of W, in the order of W."""
        return np.asarray(self.matrix @ values)

    # -- changes return copies ------------------------------------------------------------------

    def align(self, regions: Sequence[str]) -> SpatialWeights:
        """W for exactly these regions in this order; `AlignmentError` shows both sides otherwise."""
        wanted = tuple(regions)
        if wanted == self.regions:
            return self
        missing = sorted(set(wanted) - set(self.regions))
        surplus = sorted(set(self.regions) - set(wanted))
        if missing or surplus or len(wanted) != self.n:
            raise AlignmentError(
                "the regions of W and of the panel are not the same",
                got=f"only in the panel: {show_labels(missing) or 'none'}; only in W: {show_labels(surplus) or 'none'}",
                expected=f"the same {len(set(wanted))} ids on both sides",
                causes=(
                    *near_misses(missing, surplus, "in W"),
                    "ids read as numbers lost their leading zeros",
                    "different code lists or vintages",
                    "regions without data were dropped from the table only",
                ),
                fix="use panel.select(regions=…) or W.subset(regions) so that both sides agree; "
                "dropping neighbours changes W, so it is never done in silence",
            )
        position = {region: i for i, region in enumerate(self.regions)}
        order = np.array([position[region] for region in wanted])
        return replace(self, matrix=self.matrix[order][:, order], regions=wanted)

    def subset(self, regions: Sequence[str], islands: IslandPolicy | None = None, source: Any = None) -> SpatialWeights:
        """W among a part of its regions; links to others are lost, and a standardised W is standardised anew.

        islands : policy for regions that lose all their neighbours; that of W by default.
        source : panel or map with the places of the regions, for islands="nearest".
        """
        from spillover.weights.standardise import standardise

        unknown = sorted(set(regions) - set(self.regions))
        if unknown:
            raise AlignmentError(
                "regions that W does not have",
                got=show_labels(unknown),
                expected="ids such as " + show_labels(self.regions),
            )
        position = {region: i for i, region in enumerate(self.regions)}
        order = np.array([position[region] for region in regions])
        kept = set(regions)
        lost = int(self.matrix[order].nnz - self.matrix[order][:, order].nnz)
        policy = self.island_policy if islands is None else islands
        part = SpatialWeights(
            matrix=self.matrix[order][:, order],
            regions=tuple(regions),
            kind=self.kind,
            island_policy="keep",
            notes=(
                *self.notes,
                f"restricted to {len(order)} of {self.n} regions; {count_of(lost, 'link')} to the others lost",
            ),
            names=self.names,
            added=tuple(link for link in self.added if link[0] in kept and link[1] in kept),
        )
        part = _with_policy(part, policy, source)
        return part if self.standardisation == "none" else standardise(part, self.standardisation)

    def standardise(self, method: Standardisation) -> SpatialWeights:
        """W scaled by "row", "spectral", "scalar" (largest row sum), "min-max" or "none"."""
        from spillover.weights.standardise import standardise

        return standardise(self, method)

    # -- looking at it --------------------------------------------------------------------------

    def strongest(self, count: int = 5) -> list[tuple[str, str, float]]:
        """The `count` largest weights as (sender, receiver, weight): read "from → to"."""
        links = sp.coo_matrix(self.matrix)
        order = np.lexsort((links.col, links.row, -links.data))[:count]
        return [(self.regions[links.col[i]], self.regions[links.row[i]], float(links.data[i])) for i in order]

    def describe(self, bounds: bool | None = None) -> dict[str, Any]:
        """Facts about W: links, neighbours, components, islands, symmetry, standardisation, strongest links.

        degrees : [neighbours, regions that have so many], the histogram. density : links by possible links.
        rho_low, rho_high : the admissible interval of ρ; None above 1,000 regions unless `bounds` or already known.
        """
        from spillover.weights.describe import describe

        return describe(self, bounds)

    def __repr__(self) -> str:
        neighbours = np.diff(self.matrix.indptr)
        return (
            f"SpatialWeights: {self.kind}, {self.n} regions, {self.matrix.nnz} links "
            f"(mean {neighbours.mean():.1f}), standardised: {self.standardisation}, islands: {len(self.islands)}"
        )

    def to_frame(self) -> pd.DataFrame:
        """Edge list with columns focal (receiver), neighbor (sender), weight."""
        import pandas as pd

        links = sp.coo_matrix(self.matrix)
        ids = np.array(self.regions, dtype=object)
        return pd.DataFrame({"focal": ids[links.row], "neighbor": ids[links.col], "weight": links.data})


def _with_policy(weights: SpatialWeights, policy: IslandPolicy, source: Any) -> SpatialWeights:
    """The island policy on a part of a W, with the places of its regions where they are needed and known."""
    from spillover.weights.islands import apply_island_policy

    if policy != "nearest" or source is None or not weights.islands:
        return apply_island_policy(weights, policy)
    from spillover.weights.labels import positions_of
    from spillover.weights.locate import locate

    points = locate(source)
    order = np.array(positions_of(weights.regions, points.regions, "places of the regions of W"))
    return apply_island_policy(weights, policy, points.coordinates[order], points.lonlat)
