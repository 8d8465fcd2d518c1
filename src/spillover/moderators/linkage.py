"""Industrial correlation: does the spillover run along geography, along industrial linkage, or along both?

Two ways to let linkage L_ij (input–output tables, joint projects of industry, universities and research) matter: it
moderates the geographic link, θ W x + θ_L W∘(L − L̄) x (`spillover.moderate(pairs=…)`); or it is a road of its own,
θ_g W_geo x + θ_io W_io x, which is what is compared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.moderators.columns import Column, find_term, fit_columns, plain_columns
from spillover.moderators.loads import EffectSums
from spillover.moderators.observed import regional_sums
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class RoadsFit:
    """A model in which a treatment spills over along several networks.

    Attributes
    ----------
    fit : with all networks. alone : name of a network → the model with it alone.
    treatment : the regressor. roads : names of the networks. matrices : their W (n, n).
    """

    fit: SpatialFit
    alone: Mapping[str, SpatialFit]
    treatment: str
    roads: tuple[str, ...]
    matrices: tuple[sp.csr_matrix, ...]

    @property
    def estimates(self) -> Estimates:
        """Coefficients of the model with all networks: "W_geo*x", "W_io*x", …"""
        return self.fit.estimates

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def effects(self, *, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect and total effect, and the part of each that comes along every network; column road.

        M = S^{-1}(βI + Σ_r θ_r W_r): "own" is S^{-1}β, of which a part spills over through W y alone.
        """
        import pandas as pd

        names = [self.treatment, *(f"W_{road}*{self.treatment}" for road in self.roads)]
        labels = ["all", "own", *self.roads]
        tables = []
        kernel = EffectSums(self.fit).kernel
        operators = [sp.identity(kernel.n, format="csr"), *self.matrices]
        at = np.array([self.estimates.index(name) for name in names])
        for i, label in enumerate(labels):
            chosen = slice(None) if i == 0 else slice(i - 1, i)
            found = regional_sums(
                kernel,
                operators[chosen],
                at[chosen],
                self.estimates,
                self.fit.design.k,
                self.treatment,
                self.fit.design.regions,
            )
            tables.append(found.average.tidy(level).assign(road=label))
        return pd.concat(tables, ignore_index=True)

    def compare(self) -> pd.DataFrame:
        """Log-likelihood, AIC, BIC and the model probability that BIC implies, for each network alone and for all."""
        import pandas as pd

        fits = {**self.alone, "all": self.fit}
        bic = np.array([fitted.statistics["bic"] for fitted in fits.values()])
        weight = np.exp(-0.5 * (bic - bic.min()))
        return pd.DataFrame(
            {
                "network": list(fits),
                "log_likelihood": [fitted.statistics["log_likelihood"] for fitted in fits.values()],
                "aic": [fitted.statistics["aic"] for fitted in fits.values()],
                "bic": bic,
                "probability": weight / weight.sum(),
            }
        )

    def hypothesis_tests(self) -> tuple[HypothesisTest, ...]:
        """Wald: nothing comes along a network beside the others; all bring the same."""
        size = self.estimates.values.size
        at = [self.estimates.index(f"W_{road}*{self.treatment}") for road in self.roads]
        tests = []
        for road, position in zip(self.roads, at, strict=True):
            null = f"nothing comes along {road} beside the other networks"
            found = self.estimates.wald(np.eye(size)[[position]], null)
            tests.append(replace(found, name=f"network {road}"))
        return tuple(tests)

    def tests(self) -> pd.DataFrame:
        """`hypothesis_tests` as a table."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self.hypothesis_tests()])

    def __repr__(self) -> str:
        return f"RoadsFit: {self.treatment} along {', '.join(self.roads)}; {self.fit!r}"


def compare_networks(
    formula: str,
    panel: Panel,
    networks: Mapping[str, SpatialWeights],
    *,
    treatment: str,
    weights: SpatialWeights | None = None,
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    cutoff_km: float | None = None,
    time_lags: int | None = None,
) -> RoadsFit:
    """Fit y = [ρ W y +] x β + Σ_r θ_r W_r x + controls + effects + ε with several networks W_r.

    Parameters
    ----------
    networks : name → W_r, two or more: {"geo": contiguity, "io": linkage}. Linkages should be measured before the
        period: those that follow innovation would be endogenous.
    treatment : the regressor that spills over; the others are controls without spatial lags.
    weights : W of the outcome; without it the model has no W y (SLX).

    Raises
    ------
    OptionError : fewer than two networks. DesignError : networks that carry the same. Everything of `spillover.fit`.
    """
    model: ModelName = "sar" if weights is not None else "ols"
    check_kinds(panel, networks, weights)
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        covariance=covariance,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
    )
    if not isinstance(networks, Mapping) or len(networks) < 2:
        raise OptionError("networks are two or more named W", got=repr(networks)[:80], fix='{"geo": W, "io": L}')
    parsed = parse_formula(formula)
    name = find_term(parsed, treatment, "the treatment")
    aligned = {road: w.align(panel.regions) for road, w in networks.items()}
    plain = plain_columns(parsed, panel, None, model)
    x = next(column.values for column in plain if column.name == name)
    lags = {road: _lag(road, w, name, x) for road, w in aligned.items()}
    fits = {road: fit_columns(spec, [*plain, lag], panel, weights) for road, lag in lags.items()}
    together = fit_columns(spec, [*plain, *lags.values()], panel, weights)
    matrices = tuple(w.matrix for w in aligned.values())
    return RoadsFit(together, fits, name, tuple(networks), matrices)


def _lag(road: str, w: SpatialWeights, name: str, x: FloatArray) -> Column:
    return Column(f"W_{road}*{name}", w.lag(x), name, "lag", road, "road")
