"""The sensitivity analyses of a mediation as tables, one row per channel or coefficient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.inference.hypotheses import NotApplicable
from spillover.mechanisms.confounding import filtered_response
from spillover.mechanisms.robustness import e_value, oster_delta, robustness_value
from spillover.models.formula import plain

if TYPE_CHECKING:
    import pandas as pd

    from spillover.mechanisms.result import MediationResult

SENSITIVITIES = ("confounding", "robustness", "oster", "e-value")


def sensitivity_table(result: MediationResult, kind: str, level: float) -> pd.DataFrame:
    """The table of one kind; what does not apply says why in the column "says"."""
    import pandas as pd

    tables = {
        "confounding": _confounding,
        "robustness": _robustness,
        "oster": _oster,
        "e-value": _e_values,
    }
    return pd.DataFrame(tables[kind](result, level))


def _confounding(result: MediationResult, level: float) -> list[dict[str, Any]]:
    rows = []
    for channel in result.channels:
        curve = result.confounding(channel)
        if isinstance(curve, NotApplicable):
            rows.append({"channel": channel, "says": f"not told: {curve.reason}"})
            continue
        own, spillover, total = curve.break_even
        rows.append(
            {
                "channel": channel,
                "break_even_own": own,
                "break_even_spillover": spillover,
                "break_even_total": total,
                "explained_product": curve.explained[2],
                "says": curve.sentence(),
            }
        )
    return rows


def _arrows(result: MediationResult) -> list[tuple[int, str, str]]:
    """(equation, its name, term) of every slope on the treatment or on a mediator."""
    return [
        (i, equation.name, term.name)
        for i, equation in enumerate(result.system.equations)
        for term in equation.terms
        if any(plain(factor) in result.system.nodes for factor in term.factors)
    ]


def _robustness(result: MediationResult, level: float) -> list[dict[str, Any]]:
    values = [robustness_value(result.fits[i], name, term, level) for i, name, term in _arrows(result)]
    return [
        {
            **vars(value),
            "says": f"{value.term} in the equation of {value.equation} would be zero if something unmeasured explained "
            f"{100 * value.value:.1f} % of what is left of both; inside its interval at "
            f"{100 * value.value_significant:.1f} %.",
        }
        for value in values
    ]


def _oster(result: MediationResult, level: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i, name, term in _arrows(result):
        found = oster_delta(result.fits[i], name, term)
        if found is None:
            rows.append({"equation": name, "term": term, "says": "not told: the equation has no other regressor"})
            continue
        said = f"{term} in the equation of {name} would be zero if selection on the unmeasured were "
        said += f"{abs(found.delta):.2f} times that on the other regressors"
        said += ", and the other way round: they strengthen it." if found.delta < 0 else "."
        rows.append({**vars(found), "says": said})
    return rows


def _e_values(result: MediationResult, level: float) -> list[dict[str, Any]]:
    """Of own, spillover and total of every channel and of the whole effect."""
    outer = result.fits[-1]
    treatment = result.treatment_variation
    scale = treatment / float(np.sqrt(np.mean(filtered_response(outer) ** 2)))
    rows = []
    for row in result.effects(level).itertuples():
        value = e_value(str(row.term), float(row.estimate), float(row.std_error), scale)
        rows.append({"channel": row.channel, "effect": row.effect, **vars(value)})
    return rows
