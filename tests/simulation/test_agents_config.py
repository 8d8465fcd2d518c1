"""Parameters of the agents, their checks, and the special case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spillover.errors import OptionError
from spillover.simulation.agents.config import SPECIAL_CASE, AgentConfig, expected_agents
from spillover.simulation.config import SystemConfig


def test_all_mistakes_are_reported_together():
    with pytest.raises(OptionError) as caught:
        AgentConfig(
            system=SystemConfig(n_regions=12, endogeneity=0.1, patent_size=50.0),
            sector_shares=(0.5, 0.4, -0.1),
            institutes=13,
            leave_probability=1.2,
            fixed_cost=-1.0,
            depreciation=0.0,
            partnership_years=0,
            mobility="free",  # type: ignore[arg-type]
            persons_per_researcher=0.001,
            closure=float("nan"),
            burn_in=2.5,  # type: ignore[arg-type]
            returns=0.0,
        )
    message = str(caught.value)
    for text in (
        "endogeneity",
        "patent_size",
        "negative share",
        "sum to 0.8, not 1",
        "institutes = 13 are more than the 12 regions",
        "leave_probability = 1.2 is outside",
        "fixed_cost = -1 is negative",
        "knowledge would grow without end",
        "partnership_years",
        "neither 'constant' nor 'opportunity'",
        "agents, more than 2,000,000",
        "closure = nan",
        "burn_in = 2.5",
        "returns = 0 is not positive",
    ):
        assert text in message
    assert "14 inadmissible parameters" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"sector_shares": ()},
        {"sector_shares": (0.3, 0.3)},
        {"sector_shares": 1.0},
        {"system": "default"},
        {"persons_per_researcher": 0.0},
        {"institutes": -1},
        {"spin_off": 1.5},
        {"saturation": True},
    ],
)
def test_one_mistake_is_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        AgentConfig(**wrong)


def test_the_special_case_says_what_it_fixes():
    system = SystemConfig(n_regions=12)
    special = AgentConfig.like_system(system, persons_per_researcher=20.0, sector_shares=(0.5, 0.5))
    assert special.is_like_system
    assert (special.system, special.persons_per_researcher) == (system, 20.0)
    with pytest.raises(OptionError, match=r"closure, returns"):
        AgentConfig.like_system(system, returns=0.8, closure=1.0)


@pytest.mark.parametrize("name", SPECIAL_CASE)
def test_every_condition_of_the_special_case_counts(name):
    # the defaults differ from the special case in each of its conditions
    special = AgentConfig.like_system(SystemConfig(n_regions=12))
    assert not replace(special, **{name: getattr(AgentConfig(), name)}).is_like_system


def test_number_of_agents_by_hand():
    # 10 clusters and 290 regions at .11 on average: A = 41.9; 20,000 / 5 researchers and 200 firms for each
    assert expected_agents(AgentConfig()) == pytest.approx(41.9 * 4200)
