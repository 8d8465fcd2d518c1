"""The environment in parts and as an index; several networks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from simulated import named_weights, nearest, row_standardised
from spillover.errors import OptionError, ValueDomainError
from spillover.models.fit import fit
from spillover.moderators.environment import moderate_environment
from spillover.moderators.interaction import moderate
from spillover.moderators.linkage import compare_networks
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(60, 5, seed=3)))


def draw_environment(weights: SpatialWeights, t: int, seed: int, loads: tuple[float, float, float]) -> Panel:
    """y = x + (.6 + Σ loads_k ln part_k)(W x) + two-way effects + ε; parts log-normal and constant in time."""
    rng = np.random.default_rng(seed)
    n = weights.n
    parts = np.exp(0.5 * rng.normal(size=(3, n)))
    x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    strength = 0.6 + np.array(loads) @ np.log(parts)
    y = x + strength[:, None] * weights.lag(x) + rng.normal(size=(n, 1)) + rng.normal(size=(1, t))
    y = y + 0.5 * rng.normal(size=(n, t))
    names = dict(zip(("policy", "infrastructure", "culture"), parts, strict=True))
    panel = Panel(weights.regions, tuple(range(t)), {"y": y, "x": x})
    return panel.with_variables(names)


def test_equal_parts_are_one_index(weights: SpatialWeights) -> None:
    panel = draw_environment(weights, 10, 1, (0.2, 0.2, 0.2))
    found = moderate_environment("y ~ x", panel, weights, treatment="x", side="receiver", model="slx")
    p = found.tests()
    assert p[p["model"] == "both"]["p_value"].min() > 0.005
    # the index is the mean of three logs: its coefficient is the sum of theirs
    at = found.together.estimates.index("x:environment_receiver")
    assert abs(found.together.estimates.values[at] - 0.6) < 3.5 * found.together.estimates.std_errors[at]
    index = np.log(panel["policy"] * panel["infrastructure"] * panel["culture"]) / 3
    direct = moderate(
        "y ~ x",
        panel.with_variables({"e": index}),
        weights,
        treatment="x",
        moderators="e",
        side="receiver",
        model="slx",
    )
    assert found.together.estimates.values == pytest.approx(direct.estimates.values, rel=1e-10)
    effects = found.effects()
    assert set(effects["moderator"]) == {"log(policy)", "log(infrastructure)", "log(culture)", "environment"}


def test_unequal_parts_are_told_apart(weights: SpatialWeights) -> None:
    """Policy strengthens, culture weakens: the index sees nothing, and the tests say that it is not enough."""
    panel = draw_environment(weights, 10, 2, (0.4, 0.0, -0.4))
    found = moderate_environment("y ~ x", panel, weights, treatment="x", side="receiver", model="slx")
    assert all(test.p_value < 1e-6 for test in found.hypothesis_tests())
    b = found.apart.estimates
    for part, truth in (("policy", 0.4), ("infrastructure", 0.0), ("culture", -0.4)):
        at = b.index(f"x:log({part})_receiver")
        assert abs(b.values[at] - truth) < 3.5 * b.std_errors[at]
    wald, ratio = found.hypothesis_tests()
    assert ratio.df == 4  # two differences, of the own and of the receiver's interaction
    assert wald.distribution.startswith("F(4")


def test_environment_in_standard_deviations_and_refusals(weights: SpatialWeights) -> None:
    panel = draw_environment(weights, 5, 3, (0.2, 0.2, 0.2))
    found = moderate_environment("y ~ x", panel, weights, treatment="x", scale="sd", side="receiver", model="slx")
    assert found.parts == ("policy (sd)", "infrastructure (sd)", "culture (sd)")
    scaled = panel.with_variables({"policy": 100.0 + 7.0 * panel["policy"]})
    again = moderate_environment("y ~ x", scaled, weights, treatment="x", scale="sd", side="receiver", model="slx")
    assert again.apart.estimates.values == pytest.approx(found.apart.estimates.values, rel=1e-8)
    with pytest.raises(ValueDomainError, match="not positive"):
        moderate_environment("y ~ x", panel.with_variables({"policy": -panel["policy"]}), weights, treatment="x")
    with pytest.raises(OptionError, match="two parts or more"):
        moderate_environment("y ~ x", panel, weights, treatment="x", parts=("policy",))
    with pytest.raises(OptionError, match="are its parts"):
        moderate_environment("y ~ x", panel, weights, treatment="x", moderators="policy")


def test_networks_side_by_side(weights: SpatialWeights) -> None:
    rng = np.random.default_rng(4)
    other = named_weights(row_standardised(nearest(60, 6, seed=9)))
    x = rng.normal(size=(60, 10)) + rng.normal(size=(60, 1))
    c = rng.normal(size=(60, 10))
    y = x + 0.3 * weights.lag(x) + 0.6 * other.lag(x) - c + rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=(60, 10))
    y = np.linalg.solve(np.eye(60) - 0.3 * weights.matrix.toarray(), y)
    panel = Panel(weights.regions, tuple(range(10)), {"y": y, "x": x, "c": c})
    found = compare_networks(
        "y ~ x + c", panel, {"geo": weights, "io": other}, treatment="x", weights=weights, effects="individual"
    )
    b = found.estimates
    for name, truth in {"x": 1.0, "W_geo*x": 0.3, "W_io*x": 0.6, "c": -1.0, "rho": 0.3}.items():
        assert abs(b[name] - truth) < 3.5 * b.std_errors[b.index(name)], name
    direct = fit(
        "y ~ x + c + g + i",
        panel.with_variables({"g": weights.lag(x), "i": other.lag(x)}),
        weights,
        model="sar",
        effects="individual",
    )
    assert b.values == pytest.approx([direct.estimates[n] for n in ("x", "c", "g", "i", "rho")], rel=1e-8)
    geo, io = weights.matrix.toarray(), other.matrix.toarray()
    u = np.linalg.inv(np.eye(60) - b["rho"] * geo)
    parts = {"own": b["x"] * u, "geo": b["W_geo*x"] * u @ geo, "io": b["W_io*x"] * u @ io}
    parts["all"] = sum(parts.values())
    table = found.effects().set_index(["road", "effect"])["estimate"]
    for road, m in parts.items():
        assert table[road, "direct"] == pytest.approx(np.trace(m) / 60, abs=1e-10)
        assert table[road, "indirect"] == pytest.approx((m.sum() - np.trace(m)) / 60, abs=1e-10)
    compared = found.compare().set_index("network")
    assert compared["probability"].idxmax() == "all"
    assert compared["probability"].sum() == pytest.approx(1.0)
    assert (found.tests()["p_value"] < 0.01).all()
    with pytest.raises(OptionError, match="two or more named"):
        compare_networks("y ~ x", panel, {"geo": weights}, treatment="x")
    same = named_weights(sp.csr_matrix(weights.matrix))
    with pytest.raises(Exception, match="exact combinations"):
        compare_networks("y ~ x", panel, {"geo": weights, "io": same}, treatment="x")
