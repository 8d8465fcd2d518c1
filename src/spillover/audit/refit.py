"""`refit`: the same model with another panel, another W or another setting; everything else stays."""

from __future__ import annotations

from typing import Any

from spillover.models.fit import fit_spec
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def refit(
    fit: SpatialFit,
    *,
    panel: Panel | None = None,
    weights: SpatialWeights | None = None,
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
    **changes: Any,
) -> SpatialFit:
    """The model of `fit` estimated again with some things changed.

    Parameters
    ----------
    panel : another panel, a part of it, or one with more variables; where it has fewer regions every W is cut to them
        (rows standardised anew), and regions left without a neighbour drop out of W and panel.
    weights : one W in place of all that the fit used, of the same regions as the panel.
    weights_x, weights_error : as in `fit`; that of the fit by default, unless `weights` replaces it.
    changes : fields of `ModelSpec`: formula, model, effects, groups, segments, covariance, lagged, …

    Raises what `spillover.fit` raises. AlignmentError for a W of other regions.
    """
    chosen = fit.panel if panel is None else panel
    spec = fit.spec.with_changes(**changes)
    roles = fit.roles
    given: dict[str, SpatialWeights | None] = dict(roles.outcome) if weights is None else {"W": weights}
    if not given and roles.regressors is not None:
        given = {"W": roles.regressors}
    if not given and roles.error is not None:
        given = {"W": roles.error}
    w_x = weights_x if weights_x is not None else None if weights is not None else roles.regressors
    w_error = weights_error if weights_error is not None else None if weights is not None else roles.error
    every = [w for w in [*given.values(), w_x, w_error] if w is not None]
    if panel is not None and set(panel.regions) < set(fit.panel.regions):
        chosen, cut = cut_to(panel, *every)
        swap = {id(w): part for w, part in zip(every, cut, strict=True)}
        given = {name: swap[id(w)] for name, w in given.items() if w is not None}
        w_x = None if w_x is None else swap[id(w_x)]
        w_error = None if w_error is None else swap[id(w_error)]
    return fit_spec(
        spec,
        chosen,
        {name: w for name, w in given.items() if w is not None} or None,
        weights_x=w_x if spec.has_lagged_regressors else None,
        weights_error=w_error if spec.has_spatial_error else None,
    )


def cut_to(panel: Panel, *weights: SpatialWeights) -> tuple[Panel, tuple[SpatialWeights, ...]]:
    """(panel, every W) among the regions of a panel; regions that lose all neighbours in one W drop out of all.

    The log of the panel names what dropped out.
    """
    regions = panel.regions
    unique = {id(w): w for w in weights}
    while True:
        parts = {key: w if w.regions == regions else w.subset(regions, islands="drop") for key, w in unique.items()}
        left = set(regions).intersection(*(part.regions for part in parts.values())) if parts else set(regions)
        if len(left) == len(regions):
            break
        regions = tuple(region for region in regions if region in left)
    if regions != panel.regions:
        gone = [region for region in panel.regions if region not in left]
        panel = panel.select(regions=regions, note="regions without neighbours left dropped: " + ", ".join(gone))
    return panel, tuple(parts[id(w)].align(panel.regions) for w in weights)
