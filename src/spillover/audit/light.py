"""The panel of a fit without what estimating it again does not need."""

from __future__ import annotations

from dataclasses import replace

from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit
from spillover.panel.expressions import names_in
from spillover.panel.panel import Panel


def light(fit: SpatialFit) -> Panel:
    """The panel with the variables of the formula only and without its map, which every selection would cut."""
    formula = parse_formula(fit.spec.formula)
    used = {name for text in (formula.response, *sum(formula.terms, ())) for name in names_in(text)}
    variables = {name: values for name, values in fit.panel.variables.items() if name in used}
    return replace(fit.panel, variables=variables, geometry=None, log=())
