"""Words that every part of an audit uses alike: which test, what varies, what a cell of groups is."""

from __future__ import annotations

from spillover.audit.grouping import Grouping
from spillover.models.result import SpatialFit

ERRORS = {
    "information": "errors from the information matrix",
    "hessian": "errors from the observed Hessian",
    "sandwich": "quasi-maximum-likelihood errors",
    "hc": "heteroskedasticity-robust errors",
    "cluster": "errors clustered by region",
    "cluster-group": "errors clustered by group",
    "two-way-cluster": "errors clustered by region and period",
    "driscoll-kraay": "Driscoll–Kraay errors",
    "conley": "Conley errors",
}


def with_errors(fit: SpatialFit) -> str:
    """ "5 % test with errors clustered by region": the test behind "told apart from zero"."""
    kind = fit.spec.resolved_covariance
    return f"5 % test with {ERRORS.get(kind, kind)}"


def is_cross_section(fit: SpatialFit) -> bool:
    """One period."""
    return fit.design.shape[1] == 1


def varies(fit: SpatialFit) -> str:
    """What the effects of a model leave: "varies within regions", or "differs between regions" without region means."""
    return "varies within regions" if fit.spec.has_region_effects else "differs between regions"


def cells(grouping: Grouping, fit: SpatialFit) -> str:
    """ "country × period", or "country" where there is one period."""
    return grouping.name if is_cross_section(fit) else f"{grouping.name} × period"


def one_effect(grouping: Grouping, fit: SpatialFit) -> str:
    """ "one effect per country and period"."""
    return f"one effect per {grouping.name}" + ("" if is_cross_section(fit) else " and period")


def too_few(periods: int, least: int) -> str:
    """ "3 periods are too few, 8 are needed"; a cross-section is named as one."""
    if periods == 1:
        return "a cross-section has one period" if least > 1 else "one period"
    return f"{periods} periods are too few, {least} are needed"
