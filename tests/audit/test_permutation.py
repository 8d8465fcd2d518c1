"""W shuffled: relabelling W is relabelling the data, p-values, groups, seeds, refusals, size under group shocks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from audit.maps import grouped_map, panel_of, shocked_panel
from simulated import named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.focus import focus_effects
from spillover.audit.permutation import Shuffled, audit_permutation
from spillover.audit.relabel import Recipe, draw_order, play_chunk
from spillover.errors import DesignError, OptionError
from spillover.models.result import SpatialFit
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights


def fitted(model: str = "sdm", **options: object) -> SpatialFit:
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    return so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 2), w, model=model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["slx", "sar", "sdm", "sdem"])
def test_shuffling_the_data_over_w_is_relabelling_the_regions_of_w(model: str) -> None:
    # P W P' with the data as they are: an explicit permutation of rows and columns, fitted from scratch.
    fit = fitted(model)
    w = fit.weights
    assert w is not None
    order = np.random.default_rng(1).permutation(w.n)
    place = np.argsort(order)  # the data of region order[i] go to i, so W's row i belongs to region order[i]
    relabelled = SpatialWeights(sp.csr_matrix(w.matrix[place][:, place]), w.regions, "relabelled", "row")
    again = so.fit("y ~ x0 + x1", fit.panel, relabelled, model=model)  # type: ignore[arg-type]
    effect = focus_effects(again, "x0").spillover
    assert effect is not None
    rho = again.rho if model in ("sar", "sdm") else 0.0
    found = Recipe.of(fit, "x0").statistics(order[None])
    assert found[0] == pytest.approx([effect.value, effect.t_ratio, rho], abs=1e-8)


def test_p_values_by_hand() -> None:
    shuffled = Shuffled(2.0, np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 0.5, -2.0, 0.1, 0.2]))
    assert shuffled.tail(1.0) == pytest.approx(0.3)  # 2 and 3 reach it: (1 + 2)/10
    assert shuffled.tail(-1.0) == pytest.approx(0.9)  # all but 3 are at most 2: (1 + 8)/10
    assert shuffled.p_value == pytest.approx(0.6)
    assert shuffled.share_as_large == pytest.approx(0.3)
    assert Shuffled(-2.0, -shuffled.values).share_as_large == pytest.approx(0.3)  # the other direction, mirrored


def test_a_true_spillover_stands_out_and_no_spillover_does_not() -> None:
    part = audit_permutation(fitted(), draws=99)
    assert part.facts["permutation_whole_map.p_value.spillover"] == pytest.approx(0.02)  # 2/100, the least there is
    assert part.facts["permutation_whole_map.p_value_rho"] == pytest.approx(0.02)
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    empty = simulate_sdm(w, 6, 3, rho=0.0, theta=(0.0, 0.0))
    part = audit_permutation(so.fit("y ~ x0 + x1", empty, w), draws=99)
    assert part.facts["permutation_whole_map.p_value.spillover"] > 0.05
    assert "W inside groups" in part.skipped[0]


def test_group_shocks_are_in_every_shuffle_inside_groups() -> None:
    # There is no spillover. Over the whole map the shuffles lose the groups, and the shocks pass for one.
    w, groups, codes = grouped_map(60, 3, 5, 1)
    fit = so.fit("y ~ x", shocked_panel(w, codes, 8, 0), w)
    part = audit_permutation(fit, groups=groups, draws=199)
    assert part.facts["permutation_whole_map.p_value.spillover"] < 0.05
    assert part.facts["permutation_within_groups.p_value.spillover"] > 0.05
    assert abs(part.facts["permutation_within_groups.median.spillover"]) > 5 * abs(
        part.facts["permutation_whole_map.median.spillover"]
    )
    assert "which group a region is in" in part.sentences[0]
    assert set(part.table["shuffle"]) == {"whole_map", "within_groups"}
    assert part.draws["permutation_within_groups.rho"].shape == (199,)
    part.to_dict()


def test_group_by_period_effects_shuffle_inside_groups_only() -> None:
    w, groups, codes = grouped_map(54, 3, 5, 1)
    inside = within_groups(w, groups)
    panel = shocked_panel(w, codes, 6, 4).select(regions=inside.regions)
    part = audit_permutation(so.fit("y ~ x", panel, inside, groups=groups), draws=59)
    assert set(part.table["shuffle"]) == {"within_groups"}
    assert part.skipped[0].startswith("W over the whole map")


def test_the_same_numbers_whatever_the_number_of_workers() -> None:
    fit = fitted()
    alone = audit_permutation(fit, draws=120, seed=7)
    with ThreadPoolExecutor(2) as executor:
        shared = audit_permutation(fit, draws=120, seed=7, executor=executor)
    assert alone.facts == shared.facts
    assert np.array_equal(alone.draws["permutation_whole_map.rho"], shared.draws["permutation_whole_map.rho"])
    other = audit_permutation(fit, draws=120, seed=8)
    assert not np.array_equal(alone.draws["permutation_whole_map.rho"], other.draws["permutation_whole_map.rho"])


def test_other_models_go_one_by_one() -> None:
    # Two W of the outcome have no replayed form; the draw equals a fit of shuffled data.
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    far = named_weights(row_standardised(nearest(24, 4, 6)))
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 2), {"near": w, "far": far}, model="sar")
    seeds = np.random.SeedSequence(3).spawn(2)
    found = play_chunk(Recipe.of(fit, "x0"), None, seeds)
    order = draw_order(np.random.default_rng(seeds[1]), 24, None)
    shuffled = replace(fit.panel, variables={name: values[order] for name, values in fit.panel.variables.items()})
    again = so.fit("y ~ x0 + x1", shuffled, {"near": w, "far": far}, model="sar")
    effect = focus_effects(again, "x0").spillover
    assert effect is not None
    assert found[1] == pytest.approx([effect.value, effect.t_ratio, 0.0])


def test_orders_move_regions_inside_their_group_only() -> None:
    members = (np.array([0, 2, 4]), np.array([1, 3]))
    for seed in range(20):
        order = draw_order(np.random.default_rng(seed), 6, members)
        assert set(order[[0, 2, 4]]) == {0, 2, 4}
        assert set(order[[1, 3]]) == {1, 3}
        assert order[5] == 5


def test_refusals_name_what_is_wrong() -> None:
    with pytest.raises(OptionError, match="has no spillover in this ols model"):
        audit_permutation(fitted("ols"))
    with pytest.raises(OptionError, match="'x0' has no spillover in this slx model"):
        audit_permutation(fitted("slx", lagged=("x1",)))
    with pytest.raises(OptionError, match="too few shuffles"):
        audit_permutation(fitted(), draws=10)
    fit = fitted()
    with pytest.raises(DesignError, match=r"every group has one region[\s\S]*r000"):
        audit_permutation(fit, groups={region: region for region in fit.panel.regions})
    with pytest.raises(DesignError, match="all regions belong to one group"):
        audit_permutation(fit, groups=dict.fromkeys(fit.panel.regions, "all"))


def test_groups_too_small_to_shuffle_are_said() -> None:
    # One group of two regions and singles: 2! relabellings are too few for any p-value.
    fit = fitted()
    alone = {region: region for region in fit.panel.regions} | {"r000": "pair", "r001": "pair"}
    part = audit_permutation(fit, groups=alone, draws=19)
    assert any("fewer than 20 relabellings" in why and "r002" in why for why in part.skipped)
    assert "permutation_within_groups.p_value.spillover" not in part.facts


@pytest.mark.slow
@pytest.mark.parametrize("model", ["slx", "sdm"])
def test_size_within_groups_under_group_shocks(model: str) -> None:
    # Regions of a group are exchangeable here, so the test is exact: 5 % (2 × 5/200); 600 rounds have a standard error
    # of 0.9 %.
    w, groups, codes = grouped_map(60, 3, 5, 1)
    inside, over, clustered = [], [], []
    for seed in range(600):
        fit = so.fit("y ~ x", shocked_panel(w, codes, 8, seed), w, model=model)  # type: ignore[arg-type]
        facts = audit_permutation(fit, groups=groups, draws=199, seed=seed).facts
        inside.append(facts["permutation_within_groups.p_value.spillover"])
        over.append(facts["permutation_whole_map.p_value.spillover"])
        effect = focus_effects(fit).spillover
        assert effect is not None
        clustered.append(effect.p_value)
    assert 0.03 <= np.mean(np.array(inside) <= 0.05) <= 0.07
    assert np.mean(np.array(over) <= 0.05) > 0.5  # shuffled over the map, shocks pass for a spillover
    assert np.mean(np.array(clustered) < 0.05) > 0.5


def test_a_model_without_rho_has_no_rho() -> None:
    w = named_weights(row_standardised(nearest(12, 3, 5)))
    panel = panel_of(
        w, y=np.random.default_rng(1).normal(size=(12, 8)), x=np.random.default_rng(2).normal(size=(12, 8))
    )
    part = audit_permutation(so.fit("y ~ x", panel, w, model="slx"), draws=19)
    assert "permutation_whole_map.rho" not in part.draws  # no ρ in the model
