"""`Estimates`: the only carrier of uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.errors import EstimationError, UnknownColumnError, check_level, did_you_mean
from spillover.inference.hypotheses import HypothesisTest
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Estimates:
    """Named estimates with their joint covariance.

    Parameters
    ----------
    names : k term names, unique within the labels.
    values : (k,) point estimates.
    cov : (k, k) covariance of the estimates.
    df : degrees of freedom of the t distribution, or None for the normal.
    method : how the covariance was obtained, in words ("clustered by region", …).
    labels : further columns for `tidy()`, each with k entries ("variable", "effect", …).
    """

    names: tuple[str, ...]
    values: FloatArray
    cov: FloatArray
    df: float | None
    method: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k = len(self.names)
        if len(set(self.names)) != k and not self.labels:
            raise EstimationError("estimates have names that are not unique", got=", ".join(self.names))
        if self.values.shape != (k,) or self.cov.shape != (k, k):
            raise EstimationError(
                "estimates, names and covariance do not have the same length",
                got=f"{k} names, values {self.values.shape}, covariance {self.cov.shape}",
            )
        size = float(np.abs(np.diag(self.cov)).max(initial=0.0))
        if k and float(np.diag(self.cov).min()) < -1e-10 * size:
            raise EstimationError(
                "a variance is negative; nothing is returned",
                got=f"{float(np.diag(self.cov).min()):.3g} for {self.names[int(np.argmin(np.diag(self.cov)))]!r}",
                causes=("a covariance that is not positive definite (two-way clusters, few periods)",),
                fix='use covariance="cluster" or "information"',
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.cov).all()):
            raise EstimationError(
                "an estimate or its covariance is not a finite number; nothing is returned",
                causes=(
                    "collinear or constant regressors",
                    "a variable of extreme scale",
                    "too few observations",
                ),
                fix="check the columns of the design with panel.describe()",
            )

    @property
    def std_errors(self) -> FloatArray:
        """(k,) square roots of the diagonal of the covariance."""
        return np.sqrt(np.maximum(np.diag(self.cov), 0.0))

    def index(self, name: str) -> int:
        """Position of a term; raises `UnknownColumnError` with a suggestion."""
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownColumnError(
                f"there is no estimate named {name!r}",
                expected=", ".join(self.names[:12]),
                fix=did_you_mean(name, self.names) or None,
            ) from None

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.index(name)])

    def p_values(self) -> FloatArray:
        """(k,) two-sided p-values of "the term is zero", by the survival function."""
        errors = self.std_errors
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.abs(np.where(errors > 0, self.values / errors, np.nan))
        if self.df is None:
            return np.asarray(2.0 * stats.norm.sf(statistic))
        return np.asarray(2.0 * stats.t.sf(statistic, self.df))

    def confint(self, level: float = 0.95) -> FloatArray:
        """(k, 2) confidence limits at `level`, a share strictly between 0 and 1."""
        check_level(level)
        tail = (1.0 - level) / 2.0
        quantile = stats.norm.isf(tail) if self.df is None else stats.t.isf(tail, self.df)
        half = quantile * self.std_errors
        return np.column_stack([self.values - half, self.values + half])

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row per term: term, estimate, std_error, statistic, p_value, conf_low, conf_high, labels."""
        import pandas as pd

        errors = self.std_errors
        limits = self.confint(level)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.where(errors > 0, self.values / errors, np.nan)
        return pd.DataFrame(
            {
                "term": list(self.names),
                "estimate": self.values,
                "std_error": errors,
                "statistic": statistic,
                "p_value": self.p_values(),
                "conf_low": limits[:, 0],
                "conf_high": limits[:, 1],
                **{name: list(column) for name, column in self.labels.items()},
            }
        )

    def wald(self, restriction: FloatArray, null: str, target: FloatArray | None = None) -> HypothesisTest:
        """Wald test of R b = r: F(rows of R, df), or χ² without degrees of freedom.

        Parameters
        ----------
        restriction : (q, k) matrix R.
        null : the null hypothesis in words.
        target : (q,) vector r, zero by default.
        """
        matrix = np.atleast_2d(restriction)
        gap = matrix @ self.values - (0.0 if target is None else target)
        statistic = float(gap @ np.linalg.solve(matrix @ self.cov @ matrix.T, gap))
        return HypothesisTest.wald(
            "Wald",
            statistic,
            df=matrix.shape[0],
            df_residual=self.df,
            null=null,
            reference=f"Wald test, {self.method}",
        )

    def subset(self, names: Sequence[str]) -> Estimates:
        """The named terms with their block of the covariance."""
        rows = np.array([self.index(name) for name in names], dtype=int)
        return Estimates(
            names=tuple(names),
            values=self.values[rows],
            cov=self.cov[np.ix_(rows, rows)],
            df=self.df,
            method=self.method,
            labels={key: tuple(column[i] for i in rows) for key, column in self.labels.items()},
        )
