"""How alike regions are by how far apart they are: correlations by distance, for description and for residuals.

A correlogram describes co-movement. Places that move together may share a shock, an industry or a history; nothing in
it says that one moves the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from spillover.errors import DesignError, OptionError, UnknownColumnError, check_option, did_you_mean, show_labels
from spillover.models.complete import check_complete
from spillover.models.formula import evaluate_term
from spillover.moderators.distances import Distances, distances_of
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, IntArray
from spillover.weights.groups import labels_of

if TYPE_CHECKING:
    import pandas as pd

CoMovement: TypeAlias = Literal["level", "growth", "within"]
BINS = 25
LEAST_GROUPS = 5
LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class PairProducts:
    """Mean products over periods of standardised values of every pair of regions, in bins of distance.

    Attributes
    ----------
    receiver, sender : (m,) positions.   distance, product : (m,).
    at : (m,) bin of each pair; pairs beyond the last bin have number `bins`.
    """

    receiver: IntArray
    sender: IntArray
    distance: FloatArray
    product: FloatArray
    at: IntArray
    bins: int

    def table(self, keep: np.ndarray | None = None) -> FloatArray:
        """(filled bins, 3) mean distance, correlation less its mean over all pairs, pairs; of the pairs to keep."""
        distance, product, at = self.distance, self.product, self.at
        if keep is not None:
            distance, product, at = distance[keep], product[keep], at[keep]
        count = np.bincount(at, minlength=self.bins + 1)[: self.bins].astype(float)
        sums = np.bincount(at, weights=product, minlength=self.bins + 1)[: self.bins]
        away = np.bincount(at, weights=distance, minlength=self.bins + 1)[: self.bins]
        filled = count > 0
        centre = float(product.mean()) if product.size else 0.0
        return np.column_stack([away[filled] / count[filled], sums[filled] / count[filled] - centre, count[filled]])


def pair_products(values: FloatArray, distances: Distances, bins: int, reach: float) -> PairProducts:
    """Products of values (n, t), scaled to a mean square of one, in bins of equal width up to `reach`."""
    links = distances.links
    scaled = values / np.sqrt(np.mean(values**2))
    product = np.empty(links.data.size)
    block = max(1, 20_000_000 // scaled.shape[1])
    for start in range(0, links.data.size, block):
        part = slice(start, start + block)
        product[part] = np.einsum("ij,ij->i", scaled[links.row[part]], scaled[links.col[part]]) / scaled.shape[1]
    edges = np.linspace(0.0, reach, bins + 1)
    at = np.digitize(links.data, edges[1:])
    at[links.data == reach] = bins - 1
    return PairProducts(links.row, links.col, links.data, product, at, bins)


def correlation_range(table: FloatArray, *, offset: bool) -> float:
    """r of c·e^(−d/r) fitted to a correlogram by least squares weighted with the pairs.

    offset : fit c·e^(−d/r) − b, b ≥ 0. Removing period means takes the mean correlation of the map away from every
        pair: without b the range of a field comes out a quarter too short on a map ten ranges wide, and two fifths too
        short on one of seven. Without b, r describes likeness above that of the average pair.
    """
    d, correlation, pairs = table.T
    low, high = float(d[0]) / 3.0, 3.0 * float(d[-1])
    root = np.sqrt(pairs)

    def loss(log_r: float) -> float:
        shape = np.exp(-d / np.exp(log_r))
        fit = np.array([max(np.sum(pairs * shape * correlation) / np.sum(pairs * shape**2), 0.0), 0.0])
        if offset:
            both = np.column_stack([shape, np.ones_like(d)]) * root[:, None]
            free = np.linalg.lstsq(both, correlation * root, rcond=None)[0]
            fit = free if free[1] <= 0 <= free[0] else fit
        return float(np.sum(pairs * (correlation - fit[0] * shape - fit[1]) ** 2))

    found = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True, eq=False, repr=False)
class Correlogram:
    """Co-movement by distance.

    Attributes
    ----------
    variable, transform : what was described.
    distance, correlation, pairs : (b,) by band.
    std_error : (b,) from leaving one group of regions out at a time; None without groups.
    half_distance : distance at which an exponential fitted to the correlations, above that of the average pair, has
        halved.
    low, high : its interval from the same leaving out; None without groups.
    """

    variable: str
    transform: CoMovement
    distance: FloatArray
    correlation: FloatArray
    pairs: FloatArray
    std_error: FloatArray | None
    half_distance: float
    low: float | None
    high: float | None
    unit: str
    method: str

    def table(self) -> pd.DataFrame:
        """One row per band of distance."""
        import pandas as pd

        return pd.DataFrame(
            {
                "distance": self.distance,
                "correlation": self.correlation,
                "std_error": np.nan if self.std_error is None else self.std_error,
                "pairs": self.pairs.astype(int),
            }
        )

    def sentence(self) -> str:
        """The half-distance in words, and what it is not."""
        said = "" if self.low is None or self.high is None else f" (95 % {self.low:.0f} to {self.high:.0f})"
        head = f"The correlation of {self.variable} ({self.transform}) halves over {self.half_distance:.0f} {self.unit}"
        return f"{head}{said}. This is co-movement, not spillover."

    def __repr__(self) -> str:
        return f"Correlogram: {self.variable} ({self.transform}), {len(self.distance)} bands"


def fit_correlogram(
    variable: str,
    panel: Panel,
    *,
    transform: CoMovement = "within",
    distances: Any = None,
    reach_km: float | None = None,
    bins: int = BINS,
    groups: str | Mapping[str, str] | None = None,
    level: float = 0.95,
) -> Correlogram:
    """Correlations of one variable by distance: a description, without a regressor and without a claim of cause.

    Parameters
    ----------
    variable : panel variable or expression, such as "log(patents)".
    transform : "level" (less the period's mean), "growth" (change on the period before, less the mean change) or
        "within" (less the region's and the period's mean).
    distances : as in `fit_rings`.
    reach_km, bins : bands of equal width up to the reach; half of all pairs lie within by default.
    groups : column of `panel.groups`, or region → group (state, country): errors come from leaving out one group of
        neighbouring regions at a time, t(groups − 1). At least five.

    Raises
    ------
    MissingCellError : blanks. DesignError : too few regions, periods or groups. OptionError, UnknownColumnError.
    """
    check_option("transform", transform, get_args(CoMovement))
    values = _values(variable, panel, transform)
    apart = distances_of(panel, distances)
    reach = float(np.quantile(apart.links.data, 0.5)) if reach_km is None else float(reach_km)
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 4 or not 0 < reach <= apart.longest:
        raise OptionError(
            "these bands of distance cannot be made",
            got=f"bins={bins!r}, reach_km={reach_km!r}",
            expected=f"four bins or more, up to {apart.longest:.4g} {apart.unit}",
        )
    products = pair_products(values, apart, bins, reach)
    whole = products.table()
    r = correlation_range(whole, offset=False)
    error: FloatArray | None = None
    low = high = None
    method = "no errors without groups"
    if groups is not None:
        members = _groups(panel, groups)
        count = int(members.max()) + 1
        keeps = [(members[products.receiver] != g) & (members[products.sender] != g) for g in range(count)]
        tables = [products.table(keep) for keep in keeps]
        factor = (count - 1) / count
        if all(len(table) == len(whole) for table in tables):
            spread = np.array([table[:, 1] for table in tables])
            error = np.sqrt(factor * np.sum((spread - spread.mean(axis=0)) ** 2, axis=0))
        logs = np.log([correlation_range(table, offset=False) for table in tables])
        half_width = stats.t.isf((1.0 - level) / 2.0, count - 1) * np.sqrt(factor * np.sum((logs - logs.mean()) ** 2))
        low, high = float(LN2 * r * np.exp(-half_width)), float(LN2 * r * np.exp(half_width))
        method = f"{count} groups left out one at a time, t({count - 1})"
    return Correlogram(
        variable=variable,
        transform=transform,
        distance=whole[:, 0],
        correlation=whole[:, 1],
        pairs=whole[:, 2],
        std_error=error,
        half_distance=LN2 * r,
        low=low,
        high=high,
        unit=apart.unit,
        method=method,
    )


def _values(variable: str, panel: Panel, transform: CoMovement) -> FloatArray:
    values = evaluate_term((variable,), panel)
    check_complete(
        {variable: values},
        panel,
        causes=("the table has blanks", "the logarithm of zero"),
        fix='keep the complete part: panel.complete([...], policy="drop-regions")',
        of="the description",
    )
    n, t = values.shape
    if n < 10 or (transform != "level" and t < 2):
        raise DesignError("too little to describe", got=f"{n} regions, {t} periods", expected="10 regions, 2 periods")
    if transform == "growth":
        values = np.diff(values, axis=1)
    if transform == "within":
        values = values - values.mean(axis=1, keepdims=True)
    values = values - values.mean(axis=0, keepdims=True)
    if not np.abs(values).max() > 0:
        raise DesignError(f"{variable!r} does not vary", got=transform)
    return values


def _groups(panel: Panel, groups: str | Mapping[str, str]) -> IntArray:
    if isinstance(groups, str):
        if groups not in panel.groups:
            raise UnknownColumnError(
                f"the panel has no grouping {groups!r}",
                expected=show_labels(panel.groups) or "a grouping named when the panel was read",
                fix=did_you_mean(groups, panel.groups) or "give groups={region: group}",
            )
        labels: tuple[str, ...] = panel.groups[groups]
    else:
        labels = labels_of(panel.regions, groups)
    _, members = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    if members.max() + 1 < LEAST_GROUPS:
        raise DesignError("too few groups to leave one out", got=f"{members.max() + 1}", expected=f"{LEAST_GROUPS}")
    return members.astype(np.int64)
