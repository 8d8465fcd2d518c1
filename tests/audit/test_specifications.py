"""A list of W on the same regions, W of other regions refused, identification, bridges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.bridges import component_sizes, find_bridges
from spillover.audit.specifications import audit_specifications, identification
from spillover.errors import AlignmentError, OptionError
from spillover.models.result import SpatialFit
from spillover.weights.weights import SpatialWeights


def several() -> dict[str, SpatialWeights]:
    return {f"{k} nearest": named_weights(row_standardised(nearest(30, k, 5))) for k in (3, 4, 6)}


def fitted(**options: object) -> SpatialFit:
    w = several()["4 nearest"]
    return so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 1), w, **options)  # type: ignore[arg-type]


def test_every_w_gives_the_fit_it_would_give_alone() -> None:
    fit = fitted()
    assert fit.weights is not None
    part = audit_specifications(fit, weights=several() | {"4 nearest": fit.weights})
    table = part.table.set_index(["weights", "effect"])
    for label, w in several().items():
        alone = so.fit("y ~ x0 + x1", fit.panel, w).effects(variables=["x0"])
        assert table.loc[(label, "spillover"), "estimate"] == pytest.approx(alone.estimate[1])
        assert table.loc[(label, "own"), "conf_low"] == pytest.approx(alone.conf_low[0])
    spillovers = part.table.query("effect == 'spillover'")["estimate"]
    assert part.facts["weights.count"] == 3.0  # the fit's own W is not counted twice
    assert part.facts["weights.low.spillover"] == spillovers.min()
    assert part.facts["weights.high.spillover"] == spillovers.max()
    part.to_dict()


def test_the_true_w_has_the_highest_likelihood() -> None:
    w = several()
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w["4 nearest"], 12, 1, rho=0.5), w["6 nearest"])
    part = audit_specifications(fit, weights={"4 nearest": w["4 nearest"]})
    assert any("highest with 4 nearest" in said for said in part.sentences)


def test_w_of_other_regions_are_refused_and_named() -> None:
    fit = fitted()
    short = several()["6 nearest"].subset(fit.panel.regions[2:])
    more = named_weights(row_standardised(nearest(31, 4, 5)))
    with pytest.raises(AlignmentError, match=r"different regions[\s\S]*short \(without r000, r001\); more \(with r030"):
        audit_specifications(fit, weights={"short": short, "more": more})
    with pytest.raises(OptionError, match="'plain' is not a SpatialWeights"):
        audit_specifications(fit, weights={"plain": np.eye(30)})  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="no W to compare"):
        audit_specifications(so.fit("y ~ x0", fit.panel, model="ols"))


def test_on_the_regions_they_share_everything_is_estimated_anew() -> None:
    fit = fitted()
    assert fit.weights is not None
    kept = fit.panel.regions[2:]
    short = several()["6 nearest"].subset(kept)
    part = audit_specifications(fit, weights={"short": short}, common=True)
    own = so.fit("y ~ x0 + x1", fit.panel.select(regions=kept), fit.weights.subset(kept)).effects(variables=["x0"])
    first = part.table.query("effect == 'spillover'").iloc[0]
    assert first["estimate"] == pytest.approx(own.estimate[1])
    assert set(part.table["regions"]) == {28}
    assert "without r000, r001" in part.sentences[0]
    assert part.facts["weights.regions_left_out"] == 2.0


def test_a_w_that_cannot_be_used_is_said() -> None:
    fit = fitted()
    raw = SpatialWeights(several()["6 nearest"].matrix * 2.0, fit.panel.regions, "rows of two")
    part = audit_specifications(fit, weights={"rows of two": raw})
    assert any("rows of two" in why and "rows sum to one" in why for why in part.skipped)


def test_identification_equals_singular_values_by_brute_force() -> None:
    w = several()["4 nearest"]
    dense = w.matrix.toarray()
    for effects, centre in (("none", np.eye(30)), ("two-way", np.eye(30) - 1.0 / 30)):
        fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 1), w, effects=effects)  # type: ignore[arg-type]
        parts = [centre @ matrix @ centre for matrix in (np.eye(30), dense, dense @ dense)]
        stacked = np.column_stack([part.ravel() / np.linalg.norm(part) for part in parts])
        expected = np.linalg.svd(stacked, compute_uv=False)[-1]
        assert identification(w, fit) == pytest.approx(expected, abs=1e-8)


def test_a_complete_w_identifies_nothing_between_rho_and_theta() -> None:
    # All others are neighbours: J W J = −J/(n − 1).
    w = named_weights(row_standardised(np.ones((20, 20)) - np.eye(20)))
    near = named_weights(row_standardised(nearest(20, 4, 5)))
    fit = so.fit("y ~ x0 + x1", simulate_sdm(near, 6, 1), near)
    assert identification(w, fit) < 1e-6
    assert identification(near, fit) > 0.05


def test_bridges_by_hand() -> None:
    # Two triangles joined by one link, and a tail of two regions behind the second one.
    links = np.zeros((8, 8))
    for i, j in ((0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (3, 5), (5, 6), (6, 7)):
        links[i, j] = links[j, i] = 1.0
    w = named_weights(row_standardised(links))
    found = {frozenset((each.one, each.other)): each.behind for each in find_bridges(w)}
    assert found == {frozenset(("r002", "r003")): 3, frozenset(("r005", "r006")): 2, frozenset(("r006", "r007")): 1}
    assert component_sizes(w) == (8,)
    assert find_bridges(named_weights(row_standardised(lattice(4, 4)))) == ()


def test_islands_parts_and_chosen_links_are_named() -> None:
    links = lattice(5, 5)
    links[:, 24] = links[24, :] = 0.0
    links[23, :] = links[:, 23] = 0.0
    links[23, 24] = links[24, 23] = 1.0  # a pair apart from the rest
    w = named_weights(row_standardised(links))
    w = replace(w, added=(("r023", "r024", "by hand"),), names={"r024": "Hainan"})
    part = audit_specifications(so.fit("y ~ x0 + x1", simulate_sdm(w, 5, 1), w))
    said = " ".join(part.sentences)
    assert "2 parts of 23, 2 regions" in said
    assert "r023 and r024 (Hainan) (by hand)" in said
    assert part.facts["weights.components"] == 2.0
    assert part.facts["weights.bridges"] >= 1.0
    assert any("none were given" in why for why in part.skipped)


def test_large_maps_have_bridges_without_recursion() -> None:
    n = 5_000  # a chain: every link is a bridge
    links = np.arange(n - 1)
    import scipy.sparse as sp

    matrix = sp.csr_matrix((np.ones(n - 1), (links, links + 1)), shape=(n, n))
    w = SpatialWeights(matrix + matrix.T, tuple(f"{i:05d}" for i in range(n)), "chain")
    assert len(find_bridges(w)) == n - 1
