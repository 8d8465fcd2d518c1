"""`FitViews`: what every fit shows. All views derive from the estimates, so they cannot disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover import __version__
from spillover.errors import check_option
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

    from spillover.audit.result import Audit
    from spillover.inference.estimates import Estimates


class FitViews:
    """Tables, texts and hashes of a fit that has `estimates`, `statistics`, `notes`, `weights` and a `point`.

    `point` holds the design and the residuals (n, t). Effects come after models, so the methods that show them open a
    door to the later step when they are called (docs/decisions/002).
    """

    if TYPE_CHECKING:
        estimates: Estimates
        point: Any
        weights: Any  # SpatialWeights | None, a field of some fits and a property of others

    @property
    def design(self) -> Any:
        """The arrays the model was estimated on."""
        return self.point.design

    @property
    def residuals(self) -> FloatArray:
        """(n, t) residuals, means removed."""
        return np.asarray(self.point.residuals)

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients with their intervals."""
        return self.estimates.tidy(level)

    def effects(
        self, by: str | None = None, *, variables: Sequence[str] | None = None, level: float = 0.95
    ) -> pd.DataFrame:
        """Direct, indirect and total effects (by=None), or what each region has, receives and emits (by="region")."""
        from spillover.effects.impacts import average_effects
        from spillover.effects.regional import regional_table

        check_option("by", by or "average", ("average", "region"))
        fit: Any = self
        return regional_table(fit, variables, level) if by == "region" else average_effects(fit, variables).tidy(level)

    def summary(self) -> str:
        """The fit on one screen, as text."""
        from spillover.effects.summary import summarise

        fit: Any = self
        return summarise(fit)

    def audit(self, variable: str | None = None, **options: Any) -> Audit:
        """Is it a spillover? Every part of the audit of one regressor (the first by default), and two verdicts.

        options : those of `spillover.audit.audit.audit_fit`: parts, groups, weights, draws, seed, rules, executor, ….

        Raises OptionError for other fits than those of `spillover.fit` by maximum likelihood without random effects.
        """
        from spillover.audit.audit import audit_fit

        fit: Any = self
        return audit_fit(fit, variable, **options)

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Version and hashes of the data and of W that the fit used."""
        design = self.design
        labels = [*design.regions, *map(str, design.periods), *design.terms]
        return describe_origin(labels, (design.y_raw, design.x_raw), self.weights)


def describe_origin(
    labels: Iterable[str], arrays: Iterable[np.ndarray], weights: SpatialWeights | None
) -> dict[str, str]:
    """Version, and the first 16 hexadecimal digits of SHA-256 of labelled data and of W."""
    found = {"version": __version__, "data_sha256": _digest("\x1f".join(labels), arrays)}
    if weights is not None:
        matrix = weights.matrix
        parts = (matrix.indptr, matrix.indices, matrix.data)
        found["weights_sha256"] = _digest("\x1f".join(weights.regions), parts)
    return found


def _digest(labels: str, arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256(labels.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
