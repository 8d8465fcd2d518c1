"""The channels of the paper by their names, so that results speak of personnel mobility and not of M1.

The paper's three mechanisms (its §3) are knowledge spillover, competition and cooperation, and factor allocation.
Nothing here constrains an estimate: competition may hurt, talent and capital may be drawn away from the neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KNOWLEDGE, COMPETITION, ALLOCATION = "knowledge spillover", "competition and cooperation", "factor allocation"


@dataclass(frozen=True)
class Channel:
    """One channel of the paper.

    Attributes
    ----------
    name : as results call it.
    mechanism : which of the paper's three mechanisms it belongs to.
    carries : what passes through it, in words.
    shape : "linear", or "inverted-u" where some may help and much may hurt.
    backwash : whether a gain in one region can be a loss in others (a negative spillover).
    also : other names under which it is found.
    """

    name: str
    mechanism: str
    carries: str
    shape: Literal["linear", "inverted-u"] = "linear"
    backwash: bool = False
    also: tuple[str, ...] = ()


CHANNELS = (
    Channel(
        "personnel mobility",
        KNOWLEDGE,
        "skilled people who change employer take what they know with them",
        also=("mobility", "talent mobility", "talent inflow"),
    ),
    Channel(
        "inter-firm cooperation",
        KNOWLEDGE,
        "joint projects and technology transfers between firms",
        also=("cooperation", "firm cooperation", "technology transfer", "knowledge flow"),
    ),
    Channel(
        "informal exchange",
        KNOWLEDGE,
        "meetings, fairs and conversations that no contract records",
        also=("informal", "informal communication"),
    ),
    Channel(
        "competition",
        COMPETITION,
        "pressure of many firms: a spur up to a point, wear beyond it",
        shape="inverted-u",
        backwash=True,
        also=("competition pressure", "market competition"),
    ),
    Channel(
        "industry–university–research cooperation",
        COMPETITION,
        "projects of firms with universities and institutes",
        also=("iur", "iur cooperation", "university cooperation", "industry-university-research cooperation"),
    ),
    Channel(
        "talent allocation",
        ALLOCATION,
        "skilled people move to where they are paid best, from somewhere",
        backwash=True,
        also=("talent", "r&d personnel", "human capital"),
    ),
    Channel(
        "capital allocation",
        ALLOCATION,
        "finance moves to where it earns most, from somewhere",
        backwash=True,
        also=("capital", "r&d funds", "venture capital"),
    ),
)


def find_channel(name: str) -> Channel | None:
    """The channel of the paper that a name stands for; None for other channels, which are as welcome.

    >>> find_channel("Talent mobility").name, find_channel("green patents")
    ('personnel mobility', None)
    """
    key = _key(name)
    return next((c for c in CHANNELS if key in {_key(c.name), *map(_key, c.also)}), None)


def _key(name: str) -> str:
    return " ".join(name.lower().replace("–", " ").replace("-", " ").replace("_", " ").split())
