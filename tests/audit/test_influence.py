"""Without one region, period, group; halves; small counts; Poisson: each equals a fit by hand, and what they find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from audit.maps import grouped_map, panel_of, shocked_panel
from simulated import named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.influence import audit_influence
from spillover.errors import UnknownColumnError
from spillover.weights.weights import SpatialWeights


def weights(n: int = 24) -> SpatialWeights:
    return named_weights(row_standardised(nearest(n, 4, 5)))


def test_one_region_out_equals_a_fit_by_hand() -> None:
    w = weights()
    panel = simulate_sdm(w, 6, 1)
    part = audit_influence(so.fit("y ~ x0 + x1", panel, w))
    rows = part.table[part.table["without"] == "region"]
    assert len(rows) == 2 * 24
    kept = [region for region in panel.regions if region != "r007"]
    fit = so.fit("y ~ x0 + x1", panel.select(regions=kept), w.subset(kept)).effects(variables=["x0"])
    by_hand = rows[rows["name"] == "r007"].set_index("effect")
    assert by_hand.loc["own", "estimate"] == pytest.approx(fit.estimate[0])
    assert by_hand.loc["spillover", "std_error"] == pytest.approx(fit.std_error[1])
    spillovers = rows[rows["effect"] == "spillover"]["estimate"]
    assert part.facts["influence.region_low.spillover"] == spillovers.min()
    assert part.facts["influence.region_high.spillover"] == spillovers.max()
    part.to_dict()


def test_periods_halves_and_groups_equal_fits_by_hand() -> None:
    """Of five periods the first half has two and the second three: none is in both."""
    w, groups, codes = grouped_map(40, 2, 4, 1)
    panel = shocked_panel(w, codes, 5, 2)
    part = audit_influence(so.fit("y ~ x", panel, w), groups=groups)
    first = so.fit("y ~ x", panel.select(periods=panel.periods[:2]), w).effects()
    assert part.facts["influence.first_half.spillover"] == pytest.approx(first.estimate[1])
    second = so.fit("y ~ x", panel.select(periods=panel.periods[2:]), w).effects()
    assert part.facts["influence.second_half.own"] == pytest.approx(second.estimate[0])
    without = so.fit("y ~ x", panel.select(periods=[2001, 2002, 2004, 2005]), w).effects()
    row = part.table.query("without == 'period' and name == '2003' and effect == 'own'")
    assert row["estimate"].item() == pytest.approx(without.estimate[0])
    kept = [region for region, group in groups.items() if group != "g0"]
    rest = so.fit("y ~ x", panel.select(regions=kept), w.subset(kept)).effects()
    row = part.table.query("without == 'group' and name == 'g0' and effect == 'spillover'")
    assert row["estimate"].item() == pytest.approx(rest.estimate[1])


def test_one_region_that_makes_the_result_is_named() -> None:
    rng = np.random.default_rng(1)
    w = weights(30)
    x, y = rng.normal(size=(30, 8)), rng.normal(size=(30, 8))
    course = np.linspace(-6.0, 6.0, 8)
    x[3], y[3] = course + x[3], course + y[3]  # a trend in one region
    panel = replace(panel_of(w, y=y, x=x), names=tuple("Farland" if i == 3 else r for i, r in enumerate(w.regions)))
    part = audit_influence(so.fit("y ~ x", panel, w, covariance="information"))
    assert part.facts["influence.region_changes.own"] == 1.0
    assert part.facts["influence.largest_share.variable"] > 0.3
    assert "Farland (r003)" in part.sentences[0]
    assert any(
        "without Farland (r003) a 5 % test with errors from the information matrix does not" in said
        for said in part.sentences
    )


def test_a_region_that_loses_its_last_neighbour_goes_too_and_is_named() -> None:
    links = nearest(20, 4, 5)
    links[0] = 0.0
    links[0, 7] = 1.0  # region 0 has one neighbour only
    w = named_weights(row_standardised(links))
    part = audit_influence(so.fit("y ~ x0 + x1", simulate_sdm(w, 5, 1), w))
    assert any("go too: r000 with r007." in said for said in part.sentences)
    row = part.table.query("without == 'region' and name == 'r007' and effect == 'own'")
    assert row["regions"].item() == 18


def test_small_counts_are_left_out_by_name_of_the_count() -> None:
    w = weights()
    panel = simulate_sdm(w, 5, 1)
    counts = np.full(panel.shape, 50.0)
    counts[:6] = 10.0
    panel = panel.with_variables({"patents": counts})
    fit = so.fit("y ~ x0 + x1", panel, w)
    part = audit_influence(fit, counts="patents")
    kept = list(panel.regions[6:])
    by_hand = so.fit("y ~ x0 + x1", panel.select(regions=kept), w.subset(kept)).effects(variables=["x0"])
    assert part.facts["influence.small_regions"] == 6.0
    assert part.facts["influence.without_small.own"] == pytest.approx(by_hand.estimate[0])
    with pytest.raises(UnknownColumnError, match="'patent'"):
        audit_influence(fit, counts="patent")
    none = audit_influence(fit, counts="patents", small=5)
    assert any("No region has fewer than 5" in said for said in none.sentences)


def test_poisson_sees_through_small_counts() -> None:
    # Counts with E = exp(0.4 log x + effects): Poisson is consistent. Small regions count with noise of their own that
    # follows x, which logs take at full weight and Poisson hardly at all.
    rng = np.random.default_rng(4)
    w = weights(60)
    log_x = rng.normal(size=(60, 10)) * 0.5
    size = np.where(np.arange(60) < 30, 3_000.0, 30.0)[:, None]
    extra = np.where(np.arange(60) < 30, 0.0, 0.8)[:, None] * log_x
    patents = rng.poisson(size * np.exp(0.4 * log_x + extra)) + 1.0
    panel = panel_of(w, patents=patents, x=np.exp(log_x))
    part = audit_influence(so.fit("log(patents) ~ log(x)", panel, w), counts="patents")
    assert part.facts["influence.poisson.own"] == pytest.approx(0.4, abs=0.06)
    assert part.facts["influence.log_slx.own"] > 0.7
    by_hand = so.fit_counts("patents ~ log(x)", panel, w).semi_elasticities()
    assert part.facts["influence.poisson.spillover"] == pytest.approx(by_hand["indirect: log(x)"])


def test_what_does_not_apply_is_said() -> None:
    w = weights()
    panel = simulate_sdm(w, 2, 1)
    part = audit_influence(so.fit("y ~ x0 + x1", panel, w))
    said = " ".join(part.skipped)
    for words in ("one period at a time", "one group at a time", "Earlier against later", "Poisson", "option counts"):
        assert words in said
    w, groups, codes = grouped_map(40, 2, 4, 1)
    logs = panel_of(w, y=np.exp(shocked_panel(w, codes, 5, 2)["y"]), x=shocked_panel(w, codes, 5, 2)["x"])
    part = audit_influence(so.fit("log(y) ~ x", logs, w, segments=("a", "a", "b", "b", "b")))
    assert any("groups or segments" in why for why in part.skipped)


def test_large_maps_leave_out_those_that_vary_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spillover.audit.influence.MOST", 5)
    w = weights()
    part = audit_influence(so.fit("y ~ x0 + x1", simulate_sdm(w, 5, 1), w))
    assert len(part.table.query("without == 'region' and effect == 'own'")) == 5
    assert any("only the 5 with most of the variance" in why for why in part.skipped)
