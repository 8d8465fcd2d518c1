"""What raising A does: brute force with common random numbers against the closed form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from spillover.errors import OptionError, UnknownColumnError
from spillover.simulation.agents.average import average_effects
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.config import SystemConfig

SYSTEM = SystemConfig(n_regions=15, n_periods=2, environment_elasticity=0.5, linkage_strength=0.5)
SPECIAL = AgentConfig.like_system(SYSTEM, persons_per_researcher=20.0)
DEFAULT = AgentConfig(system=SYSTEM, persons_per_researcher=40.0, burn_in=2)


@pytest.fixture(scope="module")
def special():
    return simulate_agents(SPECIAL, 1)[1]


@pytest.mark.parametrize("region", ["R003", "R011"])
def test_brute_force_agrees_with_the_closed_form(special, region):
    j = special.regions.index(region)
    found = special.effect_of(region, step=0.5, draws=60, seed=11)
    matrix = special.closed_form.to_array()
    others = np.arange(15) != j
    for (estimate, error), expected in (
        (found.own, matrix[j, j]),
        (found.emitted, matrix[others, j].sum()),
        (found.total, matrix[:, j].sum()),
    ):
        assert abs(estimate - expected) < 2.0 * error
        assert error < 0.05 * expected  # and it says something
    z = (found.effect - matrix[:, j]) / found.std_error
    assert np.sqrt((z**2).mean()) < 1.6  # rms of 15: 1 ± .18
    assert np.abs(z).max() < 3.5


def test_several_regions_at_once(special):
    raised = ("R001", "R002", "R009")
    rows = [special.regions.index(region) for region in raised]
    found = special.effect_of(raised, step=0.4, draws=30, seed=3)
    matrix = special.closed_form.to_array()[:, rows]
    total, error = found.total
    assert abs(total - matrix.sum() / 3) < 2.0 * error
    own, error = found.own
    assert abs(own - matrix[rows].sum() / 3) < 2.0 * error


def test_common_numbers_save_draws(special):
    """Regions that nothing changed for keep their luck: the error is that of the added flows alone."""
    found = special.effect_of("R003", step=0.5, draws=20, seed=4)
    one = special.config
    # added events a year at d = 0 are Poisson-like with variance of about 0.5 · (20 · 155 + 100 · 7.8 + 625 · 4/12):
    # persons in groups of 20, projects of 10, meetings of 25/12 each; two worlds would have that of all of A's flows
    assert one.persons_per_researcher == 20.0
    j = special.regions.index("R003")
    added = 0.5 * (20 * 154.8 + 100 * 7.84 + 25**2 * 4 / 12) / 0.5**2 / special.hti.shape[1]
    assert found.draws[:, j].std(ddof=1) < 2.0 * np.sqrt(added)


def test_same_numbers_whatever_the_workers():
    truth = simulate_agents(DEFAULT, 1)[1]
    alone = truth.effect_of("R002", draws=4, seed=9)
    with ThreadPoolExecutor(3) as executor:
        together = truth.effect_of("R002", draws=4, seed=9, executor=executor)
    assert np.array_equal(alone.draws, together.draws)
    fewer = truth.effect_of("R002", draws=2, seed=9)
    assert np.array_equal(fewer.draws, alone.draws[:2])
    assert not np.array_equal(alone.draws, truth.effect_of("R002", draws=4, seed=10).draws)


def test_agents_outside_the_special_case_have_a_truth_too():
    truth = simulate_agents(DEFAULT, 1)[1]
    assert truth.closed_form is None
    found = truth.effect_of("R004", step=0.3, draws=8)
    own, error = found.own
    assert own > 3 * error
    assert found.total[0] == pytest.approx(found.own[0] + found.emitted[0])
    assert found.effect.sum() == pytest.approx(found.total[0])


def test_everything_that_is_wrong_is_said(special):
    with pytest.raises(UnknownColumnError, match="R001"):
        special.effect_of("R01")
    with pytest.raises(UnknownColumnError, match="no region"):
        special.effect_of([])
    with pytest.raises(OptionError) as caught:
        special.effect_of("R001", step=-50.0, draws=1)
    assert "zero or below" in str(caught.value)
    assert "draws = 1" in str(caught.value)
    with pytest.raises(OptionError, match="step = 0"):
        special.effect_of("R001", step=0.0)
    with pytest.raises(OptionError, match="seed"):
        special.effect_of("R001", seed=-1)


def test_truth_as_plain_numbers(special):
    import json

    plain = json.loads(json.dumps(special.as_dict(), allow_nan=False))
    assert plain["closed_form"] is True
    assert plain["spillover"] == special.closed_form.spillover
    effect = special.effect_of("R003", draws=2)
    plain = json.loads(json.dumps(effect.as_dict(), allow_nan=False))
    assert plain["regions"]["R003"] == plain["own"]["effect"] == pytest.approx(effect.own[0])


def test_the_truth_is_computed_from_the_configuration():
    doubled = replace(SYSTEM, patents_per_person=2.0)
    one, two = (simulate_agents(AgentConfig.like_system(s), 1)[1].closed_form for s in (SYSTEM, doubled))
    talent = {name: next(c for c in truth.channels if c.name == "talent") for name, truth in (("1", one), ("2", two))}
    assert talent["2"].spillover == pytest.approx(2 * talent["1"].spillover)


def test_average_effects_agree_with_the_closed_form(special):
    found = average_effects(special, step=0.5, draws=60)
    closed = special.closed_form
    for (estimate, error), expected in (
        (found.direct, closed.direct),
        (found.spillover, closed.spillover),
        (found.total, closed.total),
    ):
        assert abs(estimate - expected) < 2.6 * error  # 3,000 draws are .8, 1.3 and .9 standard errors away
        assert error < 0.06 * expected
    z = (found.received - closed.own - closed.received) / found.received_error
    assert np.sqrt((z**2).mean()) < 1.6
    assert found.as_dict()["total"] == pytest.approx(found.direct[0] + found.spillover[0])


def test_average_effects_do_not_depend_on_the_workers(special):
    alone = average_effects(special, draws=3, seed=2)
    with ThreadPoolExecutor(2) as executor:
        together = average_effects(special, draws=3, seed=2, executor=executor)
    assert np.array_equal(alone.draws, together.draws)
    with pytest.raises(OptionError, match=r"step = -1[\s\S]*draws = 1"):
        average_effects(special, step=-1, draws=1)
