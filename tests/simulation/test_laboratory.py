"""Flows between regions, experiments by hand, and what-if questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spillover.errors import ConfigurationError, OptionError
from spillover.simulation.config import SystemConfig
from spillover.simulation.experiment import do
from spillover.simulation.flows import draw_flows
from spillover.simulation.laboratory import open_laboratory
from spillover.simulation.system import draw_system
from spillover.simulation.truth import compute_truth

CONFIG = SystemConfig(n_regions=40, n_periods=3)


@pytest.fixture(scope="module")
def drawn():
    return draw_system(replace(CONFIG, linkage_strength=0.5, university_strength=0.3), seed=1)


@pytest.fixture(scope="module")
def lab():
    return open_laboratory(CONFIG, seed=1)


@pytest.mark.parametrize("flow", ["talent_inflow", "transfers", "cooperation", "informal"])
def test_flows_add_up_to_the_panel(drawn, flow):
    flows = draw_flows(drawn, flow, 2012)
    assert np.asarray(flows.sum(axis=1)).ravel() == pytest.approx(drawn.panel[flow][:, 1])
    again = draw_flows(drawn, flow, 2012)
    assert (flows != again).nnz == 0
    assert (draw_flows(drawn, flow, 2013) != flows).nnz > 0


def test_flows_follow_kernel_times_agglomeration(drawn):
    """Given totals, E[flow_ij] = total_i k_ij A_j / Σ_j k_ij A_j: χ² of all cells with an expectation of 5 or more."""
    flows = draw_flows(drawn, "talent_inflow", 2011).toarray()
    chances = drawn.system.talent_kernel.toarray() * drawn.outcomes.hti[:, 0]
    expected = drawn.panel["talent_inflow"][:, [0]] * chances / chances.sum(axis=1, keepdims=True)
    cells = expected >= 5
    chi2 = ((flows - expected)[cells] ** 2 / expected[cells]).sum()
    assert abs(chi2 - cells.sum()) < 4 * np.sqrt(2 * cells.sum())  # at most one df lost per row


def test_flows_of_nothing(drawn):
    with pytest.raises(OptionError, match="period 1999"):
        draw_flows(drawn, "transfers", 1999)
    with pytest.raises(OptionError, match="flow"):
        draw_flows(drawn, "people", 2011)  # type: ignore[arg-type]


def test_do_reproduces_table_1():
    """Protocol T1 on a whole system: 60 + dose-response, the other channels at (35, 1.5, 1)."""
    drawn = draw_system(SystemConfig(n_regions=300, n_periods=4), seed=2)
    for channel, doses, means in (
        ("talent", (25.0, 75.0), (125.0, 175.0)),
        ("cooperation", (2.5, 7.5), (145.0, 195.0)),
        ("informal", (1.0, 3.0), (135.0, 185.0)),
    ):
        for dose, mean in zip(doses, means, strict=True):
            patents = do(drawn, hold_others=True, **{channel: dose}).patents
            assert patents.mean() == pytest.approx(mean, abs=1.5)  # 1,200 Poisson counts: se √(195/1200) = .4


def test_do_leaves_all_other_luck_alone(drawn):
    held = do(drawn, talent=np.full(40, 10.0))
    assert np.array_equal(held.cooperation, drawn.outcomes.cooperation)
    assert np.array_equal(held.informal, drawn.outcomes.informal)
    assert (held.talent_inflow == 10.0).all()
    same = do(drawn, talent=drawn.outcomes.talent_inflow)
    assert np.array_equal(same.patents, drawn.outcomes.patents)


def test_experiments_that_cannot_be(drawn):
    with pytest.raises(OptionError, match=r"(?s)'talnt' is no channel.*informal: doses are") as caught:
        do(drawn, talnt=3.0, informal=-1.0)
    assert "talent" in str(caught.value)
    with pytest.raises(OptionError, match="no channel is named"):
        do(drawn)
    with pytest.raises(OptionError, match="shape"):
        do(drawn, talent=np.ones(7))


def test_mobility_doubles(lab):
    """Patents are linear in each channel: the gain is what the channel gave before."""
    change = lab.change(mobility=2.0).compare(lab)
    assert change.difference.mean(axis=1) == pytest.approx(lab.channel_patents()["talent"])
    table = change.by_channel().set_index("channel")["difference"]
    assert table.drop("talent").abs().max() < 1e-9
    assert sum(part.mean() for part in lab.channel_patents().values()) == pytest.approx(lab.patents.mean())


def test_environment_improves(lab):
    moderated = lab.change(environment_elasticity=0.5)
    region = lab.system.geography.regions[7]
    gain = moderated.change(environment={region: 1.44}).compare(moderated).by_region().set_index("region")
    # 1.44^.5 = 1.2: knowledge that is absorbed rises by a fifth, in that region only
    knowledge = sum(v for name, v in moderated.channel_patents().items() if name != "other")[7]
    assert gain["difference"][region] == pytest.approx(0.2 * knowledge)
    assert gain["difference"].drop(region).abs().max() < 1e-9
    assert (lab.change(environment=2.0).compare(lab).difference == 0).all()  # elasticity 0: no effect


def test_linkages_strengthen(lab):
    linked = lab.change(linkage_strength=0.5)
    partners = list(lab.system.geography.regions[:6])
    gain = linked.change(linkage=0.4, partners=partners).compare(linked)
    members = np.arange(40) < 6
    kernel = lab.system.talent_kernel.toarray()[:6, :6]
    np.fill_diagonal(kernel, 0.0)
    by_hand = 78.4 * 0.5 * 0.4 * (kernel @ lab.hti[:6])  # 10 patents × .1 of the transfers
    assert gain.difference[members] == pytest.approx(by_hand)
    assert np.abs(gain.difference[~members]).max() < 1e-9


def test_a_railway_brings_regions_near(lab):
    ids, hti = lab.system.geography.regions, lab.hti.mean(axis=1)
    cluster, far = ids[int(np.argmax(hti))], ids[int(np.argmin(hti))]
    change = lab.change(railway=[cluster, far], time_ratio=0.5).compare(lab)
    assert (change.difference >= -1e-9).all()  # no distance grows
    gain = change.by_region().set_index("region")["difference"]
    assert gain[far] > gain[cluster]


def test_capital_moves_but_does_not_grow(lab):
    region = lab.system.geography.regions[0]
    with_capital = lab.change(capital=0.5)
    raised = with_capital.change(agglomeration={region: 1.2}).compare(with_capital).difference
    plain = lab.change(agglomeration={region: 1.2}).compare(lab).difference
    backwash = raised - plain
    assert (backwash[0] > 0).all()
    assert (backwash[1:] < 0).all()
    assert backwash.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_simulated_and_expected_differences_agree(lab):
    change = lab.change(mobility=1.5, informal=0.8).compare(lab)
    found = change.simulate(draws=30, seed=4)
    estimate, error = found.summed()
    assert abs(estimate - change.difference.mean(axis=1).sum()) < 2 * error
    assert error < 0.1 * estimate
    assert np.multiply(found.mean(), len(found.estimate)) == pytest.approx((estimate, error), rel=1e-12)


def test_changes_that_cannot_be(lab):
    with pytest.raises(OptionError, match="mobility"):
        lab.change(mobility=-1.0)
    with pytest.raises(OptionError, match="Atlantis"):
        lab.change(environment={"Atlantis": 2.0})
    with pytest.raises(OptionError, match="n_regions"):
        lab.change(n_regions=50)
    with pytest.raises(OptionError, match="feedback"):
        lab.change(feedback=0.9)
    with pytest.raises(OptionError, match="floor of 1"):
        lab.change(capital=50.0)


def test_truth_by_channel_region_and_distance():
    """Every table of the truth adds up to the dense matrices of its channels, with all options on."""
    config = replace(CONFIG, capital=0.3, competition=20.0, feedback=0.3, linkage_strength=0.5)
    drawn = draw_system(config, seed=3)
    truth = drawn.truth
    dense = sum(part.to_array() for part in truth.parts.values())
    assert truth.to_array() == pytest.approx(dense)
    regions = truth.by_region()
    assert set(regions["channel"]) == {"talent", "cooperation", "informal", "feedback", "competition", "capital", "all"}
    sums = regions.groupby("channel")[["own", "received", "emitted"]].mean()
    assert sums.drop("all").sum().to_numpy() == pytest.approx(sums.loc["all"].to_numpy())
    i, j = np.divmod(np.arange(1600), 40)
    gaps = np.where(i == j, -1.0, drawn.system.geography.distances(i, j)).reshape(40, 40)
    profile = truth.by_distance()
    for name, part in {**truth.parts, "all": truth.effect}.items():
        bands = profile[profile["channel"] == name]
        matrix = part.to_array()
        for band in bands.itertuples():
            inside = (gaps >= band.low_km) & (gaps < band.high_km)
            assert band.pairs == inside.sum()
            assert band.effect_per_pair == pytest.approx(matrix[inside].mean(), abs=1e-9)
        assert bands["per_region"].sum() == pytest.approx(part.received.mean(), abs=1e-9)
    assert compute_truth(drawn.system, drawn.outcomes.hti).direct == truth.direct


def test_everything_wrong_with_a_change_is_told_at_once(lab):
    with pytest.raises(ConfigurationError) as caught:
        lab.change(
            mobility=0.0,
            informal="twice",
            environment={"Atlantis": 2.0, "R001": -1.0},
            agglomeration=float("nan"),
            linkage="strong",
            partners=["R001", "Lemuria"],
            railway=["R001"],
            time_ratio=2,
            n_regions=50,
            feedback=0.9,
            capitl=1.0,
        )
    assert len(caught.value.problems) == 11
    told = str(caught.value)
    for part in ("mobility = 0.0", "'twice'", "Atlantis", "R001: -1.0", "agglomeration", "'strong'", "Lemuria"):
        assert part in told
    for part in ("railway has 1 stops", "time_ratio = 2", "n_regions, capitl", "feedback = 0.9"):
        assert part in told
    # twelve times as many projects would be more than one for each transfer
    with pytest.raises(ConfigurationError, match="cooperation_share"):
        lab.change(cooperation=12.0)
    with pytest.raises(ConfigurationError, match="list of ids"):
        lab.change(railway="R001", partners="R002", linkage=0.1)
