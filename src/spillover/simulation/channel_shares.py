"""The estimator of channel shares that is right for the reference system: each channel with the kernel that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from spillover.panel.panel import Panel
from spillover.simulation.config import SystemConfig
from spillover.simulation.recovery_round import Finding
from spillover.weights.weights import SpatialWeights

ShareOf = Literal["own", "spillover", "total"]

CHANNELS = ("talent", "cooperation", "informal")
"""Channels that every reference system has."""

_MORE = {
    "competition": "competition, whose effect is not linear",
    "capital": "capital, which is drawn from all other regions",
    "feedback": "feedback of last year's innovation",
    "environment_elasticity": "an environment that moderates every channel",
    "linkage_strength": "linkage that moderates transfers",
    "university_strength": "universities that moderate transfers",
    "endogeneity": "high-tech industry that follows innovation",
}


def share_problems(config: SystemConfig) -> list[str]:
    """What in a system the estimator of shares knows nothing of; empty where it is right."""
    found = [f"{name} = {getattr(config, name):g}: {words}" for name, words in _MORE.items() if getattr(config, name)]
    if config.distance != "straight":
        found.append(f"distance = {config.distance!r}: distances along roads, which the map does not know")
    return found


def share_name(of: ShareOf, channel: str) -> str:
    """The name of a share as truth and estimator report it: "share of spillover: talent"."""
    return f"share of {of}: {channel}"


def read_share(name: str | None) -> ShareOf | None:
    """Of which effect a quantity is a share; None where it is something else.

    >>> read_share("share of spillover: talent"), read_share("threshold")
    ('spillover', None)
    """
    for of in get_args(ShareOf):
        if name is not None and name.startswith(share_name(of, "")):
            return of  # type: ignore[no-any-return]
    return None


@dataclass(frozen=True)
class ShareEstimator:
    """`spillover.mediate` with the structure of the reference system: shares of its three channels.

    People and transfers reach as far as one kernel, informal exchange as far as another; projects are a share of
    transfers; patents depend on the channels alone. A channel's share counts as seen where shares are defined at all
    (the whole is told from zero, no path works against it) and the channel's own part is told from zero.

    decay_per_km, informal_decay_per_km : of the kernels, taken as known. of : of which effect the shares are.
    """

    decay_per_km: float
    informal_decay_per_km: float
    of: ShareOf = "spillover"

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Sequence[Finding]:
        """Shares by channel. Raises UndefinedShareError where they mean nothing."""
        from spillover.mechanisms.mediate import EquationOptions, mediate
        from spillover.weights.distance import build_exponential

        kernels = {
            "W": build_exponential(panel, self.decay_per_km, standardise="none"),
            "informal": build_exponential(panel, self.informal_decay_per_km, standardise="none"),
        }
        mediators: dict[str, str | EquationOptions] = {
            "talent": "talent_inflow ~ hti + W*hti",
            "informal": "informal ~ hti + W*hti",
            "transfers": "transfers ~ hti + W*hti",
            "cooperation": EquationOptions("cooperation ~ transfers - 1", {"effects": "none"}),
        }
        found = mediate("patents ~ talent_inflow + cooperation + informal", mediators, "hti", panel, kernels, lag=0)
        levels = found.effects().set_index(["channel", "effect"])["p_value"]
        shares = found.shares(self.of)
        return [
            Finding(
                share_name(self.of, str(row["channel"])),
                float(row["estimate"]),
                float(row["std_error"]),
                float(row["conf_low"]),
                float(row["conf_high"]),
                float(levels[row["channel"], self.of]),
            )
            for row in shares.to_dict("records")
        ]
