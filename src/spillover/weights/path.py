"""`WeightsPath`: a W that changes over time, on one scale."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from spillover.errors import AssumptionWarning, OptionError, WeightsError, check_option, show_labels
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray, Standardisation
from spillover.weights.labels import check_same_ids
from spillover.weights.standardise import scale_of, standardise
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

CANCELS = (
    "row standardisation of a W that changes over time takes common changes away: with a power kernel any proportional "
    "speed-up, with an exponential kernel any equal saving of time, leaves W exactly as it was"
)


@dataclass(frozen=True, eq=False, repr=False)
class WeightsPath:
    """One W for each of t periods. Made by `standardise_path`.

    Attributes
    ----------
    periods : t periods. weights : t W of the same regions in the same order.
    standardisation : of all of them. base : the period whose constant scales all; None for "row" and "none".
    """

    periods: tuple[Period, ...]
    weights: tuple[SpatialWeights, ...]
    standardisation: Standardisation
    base: Period | None
    raw_mass: FloatArray

    @property
    def regions(self) -> tuple[str, ...]:
        """n region ids."""
        return self.weights[0].regions

    def at(self, period: Period) -> SpatialWeights:
        """The W of one period."""
        if period not in self.periods:
            raise OptionError(f"there is no W for {period!r}", expected=show_labels(self.periods, 20))
        return self.weights[self.periods.index(period)]

    def lag(self, values: FloatArray, periods: Sequence[Period]) -> FloatArray:
        """(n, t) W_t x_t, column by column; values in the order of `regions`."""
        return np.column_stack([self.at(period).lag(values[:, k]) for k, period in enumerate(periods)])

    def add_lags(self, panel: Panel, variables: Sequence[str], prefix: str = "near_") -> Panel:
        """The panel with W_t x_t of some variables as further variables, for SLX models: near_x beside x.

        Raises `AlignmentError` for other regions, `OptionError` for periods without a W.
        """
        check_same_ids(panel.regions, self.regions, "the panel", "the W of the path")
        aligned = replace(self, weights=tuple(w.align(panel.regions) for w in self.weights))
        kind = self.weights[0].kind
        return panel.with_variables(
            {f"{prefix}{name}": aligned.lag(panel[name], panel.periods) for name in variables},
            labels={f"{prefix}{name}": f"{panel.label(name)} near by" for name in variables},
            note=f"{', '.join(variables)} lagged with the W of each period ({kind})",
        )

    def changes(self) -> pd.DataFrame:
        """One row per period: links, mean row sum before and after standardisation relative to the first period.

        Where the raw row sums grow and the standardised ones do not, standardisation has taken the change away.
        """
        import pandas as pd

        scaled = np.array([w.row_sums.mean() for w in self.weights])
        return pd.DataFrame(
            {
                "period": list(self.periods),
                "links": [int(w.matrix.nnz) for w in self.weights],
                "raw": self.raw_mass / self.raw_mass[0],
                "standardised": scaled / scaled[0],
            }
        )

    def __repr__(self) -> str:
        span = f"{self.periods[0]}–{self.periods[-1]}"
        return (
            f"WeightsPath: {self.weights[0].kind}, {len(self.regions)} regions × {len(self.periods)} periods ({span}), "
            f"standardised: {self.standardisation}" + (f", base {self.base}" if self.base is not None else "")
        )


def standardise_path(
    weights: Mapping[Period, SpatialWeights], method: Standardisation = "scalar", *, base: Period | None = None
) -> WeightsPath:
    """A W for each period on one scale: divided by the constant of the base period, so that changes stay visible.

    Parameters
    ----------
    weights : period → W of the same regions, built with standardise="none".
    method : "scalar", "spectral" or "min-max" with the constant of the base period; "row" period by period, which is
        warned of; "none".
    base : the first period by default.

    Raises
    ------
    AlignmentError : other regions. WeightsError : W that are standardised already, each with its own constant.
    """
    check_option("method", method, get_args(Standardisation))
    if not weights:
        raise OptionError("a path needs a W for each period", got="none")
    periods = tuple(weights)
    first = weights[periods[0]]
    for period in periods:
        w = weights[period]
        check_same_ids(first.regions, w.regions, f"W of {periods[0]}", f"W of {period}")
        if w.standardisation != "none":
            raise WeightsError(
                "a W of the path is standardised already, with a constant of its own",
                got=f"{period}: {w.standardisation}",
                fix='build each with standardise="none"',
            )
    aligned = [weights[period].align(first.regions) for period in periods]
    mass = np.array([w.row_sums.mean() for w in aligned])
    if method in ("row", "none"):
        if method == "row":
            warnings.warn(CANCELS, AssumptionWarning, stacklevel=2)
        made = tuple(w if method == "none" else standardise(w, "row") for w in aligned)
        return WeightsPath(periods, made, method, None, mass)
    chosen = periods[0] if base is None else base
    if chosen not in periods:
        raise OptionError(f"there is no W for the base period {chosen!r}", expected=show_labels(periods, 20))
    constant = scale_of(aligned[periods.index(chosen)].matrix, method)
    note = f"divided by {constant:.6g}, the {method} constant of {chosen}"
    scaled = tuple(
        replace(w, matrix=w.matrix / constant, standardisation=method, notes=(*w.notes, note)) for w in aligned
    )
    return WeightsPath(periods, scaled, method, chosen, mass)
