"""`HypothesisTest`: a statistic that states its null in words, and `NotApplicable` with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scipy import stats


@dataclass(frozen=True)
class HypothesisTest:
    """A test result.

    `null` is the hypothesis in words; `distribution` is the law of the statistic under it
    ("chi2(1)", "N(0, 1)", "permutation (999)"); `p_value` comes from a survival function;
    `form` tells versions of the same test apart ("valid", "conventional").
    """

    name: str
    statistic: float
    null: str
    distribution: str
    p_value: float
    df: float | None = None
    reference: str = ""
    form: str = ""
    null_model: str = ""

    @classmethod
    def chi2(
        cls,
        name: str,
        statistic: float,
        *,
        df: int,
        null: str,
        reference: str = "",
        form: str = "",
        null_model: str = "",
    ) -> HypothesisTest:
        """A test whose statistic is χ²(df) under the null."""
        return cls(
            name=name,
            statistic=float(statistic),
            null=null,
            distribution=f"chi2({df})",
            p_value=float(stats.chi2.sf(statistic, df)),
            df=float(df),
            reference=reference,
            form=form,
            null_model=null_model,
        )

    @classmethod
    def wald(
        cls, name: str, statistic: float, *, df: int, df_residual: float | None, null: str, reference: str = ""
    ) -> HypothesisTest:
        """A Wald statistic: χ²(q), or W/q as F(q, d) where the estimates have d degrees of freedom, as their t does."""
        if df_residual is None:
            return cls.chi2(name, statistic, df=df, null=null, reference=reference)
        value = float(statistic) / df
        return cls(
            name=name,
            statistic=value,
            null=null,
            distribution=f"F({df}, {df_residual:g})",
            p_value=float(stats.f.sf(value, df, df_residual)),
            df=float(df),
            reference=reference,
        )

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the null is rejected at `level`."""
        return self.p_value < level

    def sentence(self, level: float = 0.05) -> str:
        """What the result says, in words."""
        verdict = "rejected" if self.rejects(level) else "not rejected"
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        return f"“{self.null}” is {verdict} at the {100 * level:g} % level ({p})."

    def row(self) -> dict[str, Any]:
        """The test as one row of a table."""
        return {
            "test": self.name,
            "form": self.form,
            "null_model": self.null_model,
            "statistic": self.statistic,
            "df": self.df,
            "distribution": self.distribution,
            "p_value": self.p_value,
            "null": self.null,
            "says": self.sentence(),
            "reference": self.reference,
        }


@dataclass(frozen=True)
class NotApplicable:
    """A test or effect that does not exist here, and why."""

    name: str
    reason: str
