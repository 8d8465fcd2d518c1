"""Is W identified? Whether I, W and W² are independent, and how much a map can tell about ρ at all."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeakIdentificationWarning, check_option
from spillover.numerics.powers import power_products
from spillover.panel.wording import count_of
from spillover.typing import Effects, IntArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

DEPENDENT = 1e-6
"""Smallest singular value below which matrices are dependent: rounding leaves 10⁻⁸."""

NEAR = 0.05
"""Below it they are nearly dependent."""

DENSE = 0.25
"""Share of all pairs above which W is called dense."""

BLIND = 0.25
"""Standard error of ρ from pure noise above which a map is called blind: an interval of ±0.5 holds most of (−1, 1)."""


@dataclass(frozen=True)
class Identification:
    """What a W can identify. Made by `examine_identification`.

    Attributes
    ----------
    effects : of the model; period means turn I, W, W² into J, J W J, J W² J with J = I − ιι'/n.
    pair : smallest singular value of the first two, at unit length; 0 where W y is a multiple of y.
    triple : of all three; 0 where slopes of X and W X cannot tell ρ from θ, and instruments W² X add nothing.
    density : links by possible links. neighbours : mean number of neighbours h.
    blocks : sizes of the groups if W is equal weights within closed groups, else ().
    periods : periods that were counted, after region means.
    std_error : of ρ̂ at ρ = 0 where y is pure noise, from all periods together; regressors with a spillover reduce it.
    exact : whether W² was formed or estimated.
    concerns : what to worry about, one sentence each.
    """

    effects: Effects
    pair: float
    triple: float
    density: float
    neighbours: float
    blocks: tuple[int, ...]
    periods: int
    std_error: float
    exact: bool
    concerns: tuple[str, ...]

    @property
    def identified(self) -> bool:
        """Whether neither pair nor triple is dependent."""
        return min(self.pair, self.triple) >= DEPENDENT

    def to_frame(self) -> pd.DataFrame:
        """One row per measure, with what it means."""
        import pandas as pd

        matrices = "J, JWJ" if self.effects in ("time", "two-way") else "I, W"
        square = "JW²J" if self.effects in ("time", "two-way") else "W²"
        return pd.DataFrame(
            [
                ("pair", self.pair, f"smallest singular value of {matrices}"),
                ("triple", self.triple, f"smallest singular value of {matrices}, {square}"),
                ("density", self.density, "links by possible links"),
                ("neighbours", self.neighbours, "mean number of neighbours"),
                ("std_error", self.std_error, f"of ρ from pure noise in {count_of(self.periods, 'period')}"),
            ],
            columns=["measure", "value", "meaning"],
        )

    def __repr__(self) -> str:
        state = "identified" if self.identified else "not identified"
        return (
            f"Identification: {state} with effects {self.effects!r}; triple {self.triple:.3g}, standard error of ρ "
            f"from noise {self.std_error:.3g}, {count_of(len(self.concerns), 'concern')}"
        )


def examine_identification(
    weights: SpatialWeights, effects: Effects = "two-way", periods: int = 1, *, warn: bool = False
) -> Identification:
    """Whether W can identify a spatial model, before any data are seen.

    Parameters
    ----------
    weights : n regions. effects : of the model. periods : t of the panel, at least 2 with region effects.
    warn : also warn (`WeakIdentificationWarning`) of every concern.

    What is looked at
    -----------------
    Independence of I, W, W² (with period effects of J, J W J, J W² J), on which instruments and the slopes of a Durbin
    model rest: Bramoullé, Djebbari and Fortin (2009), Journal of Econometrics 150, 41–55.
    Closed groups of equal weights: Lee (2007), Journal of Econometrics 140, 333–374.
    Density: with h neighbours estimates of ρ converge like √(n/h), Lee (2004), Econometrica 72, 1899–1925, and are
    biased downwards in dense W, Smith (2009), Geographical Analysis 41, 307–325.
    The information K on ρ of one period of noise; 1/√(T* K) is the standard error it leaves, T* = t − 1 with region
    effects. Group × period effects have checks of their own in `fit`.

    Cost: one sparse product W W, or 256 probes for a filled W.

    >>> complete = SpatialWeights(sp.csr_matrix((np.ones((4, 4)) - np.eye(4)) / 3), tuple("abcd"), "all", "row")
    >>> examine_identification(complete, "time").concerns[0]
    'W y is a multiple of y: every region is the equal neighbour of every other, and period effects absorb it'
    """
    check_option("effects", effects, ("none", "individual", "time", "two-way"))
    centred, regional = effects in ("time", "two-way"), effects in ("individual", "two-way")
    products = power_products(weights.matrix, centred)
    counted = max(int(periods) - (1 if regional and periods > 1 else 0), 1)
    information = counted * products.information
    noise = 1.0 / math.sqrt(information) if information > 1e-12 * weights.n else math.inf
    density = weights.matrix.nnz / max(weights.n * (weights.n - 1), 1)
    blocks = equal_blocks(weights)
    found = Identification(
        effects=effects,
        pair=products.pair,
        triple=products.triple,
        density=density,
        neighbours=weights.matrix.nnz / weights.n,
        blocks=blocks,
        periods=counted,
        std_error=noise,
        exact=products.exact,
        concerns=tuple(_concerns(weights, products.pair, products.triple, density, blocks, noise, counted, centred)),
    )
    if warn:
        for concern in found.concerns:
            warnings.warn(concern, WeakIdentificationWarning, stacklevel=2)
    return found


def _concerns(
    weights: SpatialWeights,
    pair: float,
    triple: float,
    density: float,
    blocks: tuple[int, ...],
    noise: float,
    periods: int,
    centred: bool,
) -> list[str]:
    found = []
    if centred and pair < DEPENDENT:
        found.append(
            "W y is a multiple of y: every region is the equal neighbour of every other, and period effects absorb it"
        )
    elif triple < DEPENDENT:
        names = "J, JWJ and JW²J" if centred else "I, W and W²"
        found.append(
            f"{names} are linearly dependent: slopes cannot tell ρ from θ, W²X adds no instrument, and ρ rests on the "
            "variances of the errors alone"
        )
    elif triple < NEAR:
        found.append(f"I, W and W² are nearly dependent (smallest singular value {triple:.2g})")
    if len(blocks) > 1:
        sizes = sorted(set(blocks))
        same = f"all {len(blocks)} groups have {sizes[0]} regions" if len(sizes) == 1 else "only group sizes differ"
        found.append(f"W is equal weights within {len(blocks)} closed groups; {same}, which is all that can identify ρ")
    if density > DENSE and len(blocks) < 1:
        mean = weights.matrix.nnz / weights.n
        found.append(
            f"W is dense: {100 * density:.0f} % of all pairs are linked, {mean:.0f} neighbours of {weights.n} regions "
            "on average; estimates of ρ are biased downwards and slow to improve with n"
        )
    if noise > BLIND and not (centred and pair < DEPENDENT):
        found.append(
            f"this map says little about ρ by itself: from noise in {count_of(periods, 'period')} its standard error "
            f"is {noise:.2f}, so that an interval spans ±{1.96 * noise:.1f}"
        )
    return found


def equal_blocks(weights: SpatialWeights) -> tuple[int, ...]:
    """Sizes of the components if each is complete and its weights are equal within every row; () otherwise."""
    matrix = weights.matrix
    if matrix.nnz == 0:
        return ()
    count, labels = sp.csgraph.connected_components(matrix, directed=False)
    sizes: IntArray = np.bincount(labels, minlength=count)
    linked = np.diff(matrix.indptr)
    if not np.array_equal(linked, sizes[labels] - 1):
        return ()
    mean = np.divide(weights.row_sums, linked, out=np.zeros(weights.n), where=linked > 0)
    gap = np.abs(matrix.data - np.repeat(mean, linked))
    if (gap > 1e-9 * np.repeat(mean, linked)).any():
        return ()
    return tuple(sorted(int(size) for size in sizes if size > 1))
