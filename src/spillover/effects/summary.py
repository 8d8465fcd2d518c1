"""A fit as text, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.instruments import InstrumentalFit
    from spillover.models.random_effects import RandomEffectsFit
    from spillover.models.result import SpatialFit

NAMES = {
    "ols": "OLS",
    "slx": "SLX (spatial lag of X)",
    "sar": "SAR (spatial lag)",
    "sdm": "SDM (spatial Durbin)",
    "sem": "SEM (spatial error)",
    "sdem": "SDEM (spatial Durbin error)",
    "sac": "SAC (spatial lag and error)",
    "gns": "GNS (general nesting)",
}


def summarise(fit: SpatialFit | RandomEffectsFit | InstrumentalFit) -> str:
    """Header, coefficients, effects, statistics, notes and sources."""
    spec, statistics = fit.spec, fit.statistics
    effects = getattr(spec, "effects_in_words", getattr(spec, "effects", "random"))
    correction = f", correction: {spec.correction}" if hasattr(spec, "correction") else ""
    lines = [
        f"{NAMES[spec.model]} · {spec.formula}",
        f"effects: {effects}{correction}; {statistics['n_regions']} regions × "
        f"{statistics['n_periods']} periods; errors: {fit.estimates.method}",
    ]
    if fit.weights is not None and spec.uses_weights:
        lines.append(f"W: {fit.weights.kind}, {fit.weights.standardisation}-standardised")
    lines += ["", "Coefficients", tell_table(fit.coefficients())]
    lines += ["", "Effects (average over regions)", tell_table(fit.effects())]
    lines += ["", "   ".join(_figure(name, statistics) for name in FIGURES if name in statistics)]
    lines += [f"note: {note}" for note in fit.notes]
    lines.append("effects: LeSage & Pace (2009, §2.7); fixed effects: Lee & Yu (2010, J. Econometrics 154:165)")
    return "\n".join(lines)


FIGURES = {
    "log_likelihood": ("log-likelihood", ".4f"),
    "sigma2": ("σ²", ".6g"),
    "sigma2_mu": ("σ²(region effects)", ".6g"),
    "aic": ("AIC", ".2f"),
    "bic": ("BIC", ".2f"),
    "r_squared": ("R²", ".4f"),
}


def _figure(name: str, statistics: Mapping[str, Any]) -> str:
    label, form = FIGURES[name]
    return f"{label} {statistics[name]:{form}}"


def tell_table(frame: pd.DataFrame) -> str:
    """A tidy table as aligned text."""
    width = max(len(term) for term in frame["term"]) + 2
    head = f"{'':{width}}{'estimate':>12}{'std. error':>12}{'p-value':>10}   {'95 % interval':>23}"
    rows = [
        f"{row.term:{width}}{row.estimate:>12.5g}"
        if row.std_error == 0.0  # a term that the model sets to zero has no error and no interval
        else f"{row.term:{width}}{row.estimate:>12.5g}{row.std_error:>12.4g}{_p(row.p_value):>10}   "
        f"[{row.conf_low:>10.4g}, {row.conf_high:>10.4g}]"
        for row in frame.itertuples()
    ]
    return "\n".join([head, *rows])


def _p(value: float) -> str:
    return "" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"
