"""How much of what varies within regions is shared by the regions of a group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spillover.audit.grouping import Grouping
from spillover.models.result import SpatialFit
from spillover.typing import FloatArray


@dataclass(frozen=True)
class GroupShare:
    """Share of the within variance of a variable that group × period means account for.

    period : None for all periods together.
    chance : the share that groups without anything in common would have, (G − 1)/(n − 1).
    """

    variable: str
    period: object
    share: float
    chance: float

    @property
    def beyond(self) -> float:
        """Share beyond chance, as a part of what chance leaves; an adjusted R²."""
        return (self.share - self.chance) / (1.0 - self.chance)


def group_shares(fit: SpatialFit, grouping: Grouping, variable: str) -> list[GroupShare]:
    """Shares of the outcome, the regressors and W × the examined regressor; outcome and regressor by period too.

    "Within" is net of region means (of segments) and of period means common to all regions.
    """
    design = fit.design
    plain = replace(design.transformation, effects="two-way", groups=None)
    if design.shape[1] == 1:
        plain = replace(plain, effects="time", segments=None)
    values = {design.response: design.y_raw}
    values |= dict(zip(design.own, design.x_raw, strict=True))
    if fit.weights is not None:
        values[f"W*{variable}"] = fit.weights.lag(values[variable])
    found = []
    for name, raw in values.items():
        left = plain.apply(raw)
        means = _group_means(left, grouping)
        found.append(_share(name, None, left, means, grouping))
        if name in (design.response, variable) and design.shape[1] > 1:
            found += [
                _share(name, period, left[:, [s]], means[:, [s]], grouping) for s, period in enumerate(design.periods)
            ]
    return found


def _group_means(values: FloatArray, grouping: Grouping) -> FloatArray:
    means = np.empty_like(values)
    for at in grouping.members.values():
        means[at] = values[at].mean(axis=0)
    return means


def _share(name: str, period: object, values: FloatArray, means: FloatArray, grouping: Grouping) -> GroupShare:
    total = float(np.sum(values**2))
    chance = (len(grouping.members) - 1) / (len(grouping.labels) - 1)
    return GroupShare(name, period, float(np.sum(means**2)) / total if total > 0 else 0.0, chance)
