"""`MediationResult`: the channels of an effect; every view derives from its estimates and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.mechanisms.decomposition import KINDS, PathNumbers
from spillover.mechanisms.estimate import Settings
from spillover.mechanisms.sample import Sample
from spillover.mechanisms.system import DIRECT, Path, System
from spillover.models.result import SpatialFit
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

ALL = "all channels"
TOTAL = "total"


@dataclass(frozen=True, eq=False, repr=False)
class MediationResult:
    """A fitted mediation system.

    Attributes
    ----------
    system : the equations in causal order. fits : one per equation.
    estimates : all coefficients as "equation: term", with their joint covariance.
    numbers : the tables of the paths.
    additivity : gap between the whole effect and the sum of its paths, rounding only.
    """

    system: System
    sample: Sample
    settings: Settings
    fits: tuple[SpatialFit, ...]
    estimates: Estimates
    numbers: PathNumbers
    additivity: float

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels through which paths enter the outcome, in causal order."""
        used = {path.channel for path in self.system.paths}
        return tuple(name for name in self.system.channels if name in used)

    def fit(self, equation: str) -> SpatialFit:
        """The fit of one equation: a channel, or "outcome"."""
        return self.fits[self.system.equations.index(self.system.equation(equation))]

    @cached_property
    def path_estimates(self) -> Estimates:
        """Own, spillover and total of every path, jointly, by the delta method; labels path, channel, effect."""
        theta = self.estimates.values
        return self._estimates(self.numbers.values(theta), self.numbers.gradients(theta), *self._path_labels())

    @cached_property
    def effect_estimates(self) -> Estimates:
        """Own, spillover and total by channel, of all channels and in total, jointly; labels channel, effect."""
        theta, sums = self.estimates.values, self._sums
        values = np.tensordot(sums, self.numbers.values(theta), axes=1)
        gradients = np.tensordot(sums, self.numbers.gradients(theta), axes=1)
        return self._estimates(values, gradients, *self._group_labels())

    def effects(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table by channel: the effect at home ("own"), that of and on other regions ("spillover"), and their sum.

        Rows: not through a channel, each channel, all channels together, total. A path of several mediators counts
        for the last one, through which it enters the outcome. Units: outcome per unit of the treatment.
        """
        return self.effect_estimates.tidy(level)

    def paths(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table by path."""
        return self.path_estimates.tidy(level)

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of all coefficients."""
        return self.estimates.tidy(level)

    # -- parts --------------------------------------------------------------------------------------

    @cached_property
    def _groups(self) -> tuple[tuple[str, tuple[Path, ...]], ...]:
        """(row, paths it sums)."""
        paths = self.system.paths
        direct = [(DIRECT, paths[:1])] if paths[0].name == DIRECT else []
        own = [(name, tuple(p for p in paths if p.channel == name)) for name in self.channels]
        return (*direct, *own, (ALL, tuple(p for p in paths if p.mediators)), (TOTAL, paths))

    @property
    def _sums(self) -> FloatArray:
        """(rows, paths) of zeros and ones."""
        return np.array([[float(path in members) for path in self.system.paths] for _, members in self._groups])

    def _group_labels(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        rows = [(name, kind) for name, _ in self._groups for kind in KINDS]
        return tuple(f"{kind}: {name}" for name, kind in rows), {
            "channel": tuple(name for name, _ in rows),
            "effect": tuple(kind for _, kind in rows),
        }

    def _path_labels(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        rows = [(path, kind) for path in self.system.paths for kind in KINDS]
        return tuple(f"{kind}: {path.name}" for path, kind in rows), {
            "path": tuple(path.name for path, _ in rows),
            "channel": tuple(path.channel for path, _ in rows),
            "effect": tuple(kind for _, kind in rows),
        }

    def _estimates(
        self, values: FloatArray, gradients: FloatArray, names: Sequence[str], labels: dict[str, tuple[str, ...]]
    ) -> Estimates:
        jacobian = gradients.reshape(-1, gradients.shape[-1])
        return Estimates(
            names=tuple(names),
            values=values.ravel(),
            cov=jacobian @ self.estimates.cov @ jacobian.T,
            df=self.estimates.df,
            method=f"delta method, {self.estimates.method}",
            labels=labels,
        )
