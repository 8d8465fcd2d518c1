"""W built from an economic variable: the control function finds out when it is endogenous, and repairs ρ."""

import numpy as np
import pytest

from spillover.errors import DesignError, OptionError
from spillover.models.endogenous_weights import weights_exogeneity
from spillover.panel.panel import Panel
from spillover.weights import build_economic, build_knn

IDS = tuple(f"r{i:03d}" for i in range(150))
NEAR = build_knn(np.random.default_rng(7).uniform(0, 100, (150, 2)), 8, regions=list(IDS), lonlat=False)


def simulate(seed, endogeneity, rho=0.5):
    """A cross-section: z = s + v, W of |z_i − z_j| among eight nearest, y = ρWy + x + ε, corr(ε, v) given."""
    rng = np.random.default_rng(seed)
    s, x, v = rng.normal(size=(3, 150))
    z = s + v
    e = endogeneity * v + np.sqrt(1 - endogeneity**2) * rng.normal(size=150)
    panel = Panel(IDS, (2020,), {"z": z[:, None], "s": s[:, None], "x": x[:, None]}, is_panel=False)
    w = build_economic(panel, "z", support=NEAR)
    y = np.linalg.solve(np.eye(150) - rho * w.matrix.toarray(), x + e)
    return panel.with_variables({"y": y[:, None]}), w


def test_residual_beside_the_regressors_by_hand():
    # The augmented model is the SAR with v̂ of z on s as one more regressor.
    panel, w = simulate(1, 0.6)
    found = weights_exogeneity("y ~ x", panel, w, "z ~ s")
    s, z = panel["s"][:, 0], panel["z"][:, 0]
    design = np.column_stack([np.ones(150), s])
    left = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
    from spillover.models.fit import fit

    by_hand = fit("y ~ x + v", panel.with_variables({"v": left[:, None]}), w, model="sar")
    assert np.allclose(found.fit.estimates.values, by_hand.estimates.values, rtol=1e-8)
    t = by_hand.estimates["v"] / by_hand.estimates.std_errors[by_hand.estimates.index("v")]
    assert found.test.statistic == pytest.approx(t**2, rel=1e-6)
    assert found.residual_terms == ("residual_of_w",)
    assert not found.exogenous
    assert "W is exogenous" in found.test.null


def test_exogenous_weights_are_not_suspected_here():
    panel, w = simulate(2, 0.0)
    assert weights_exogeneity("y ~ x", panel, w, "z ~ s").exogenous


def test_two_way_panel_and_durbin_model():
    rng = np.random.default_rng(3)
    n, t = 150, 6
    s, x, v, xi = rng.normal(size=(4, n, t))
    z = s + v + rng.normal(size=(n, 1))
    panel = Panel(IDS, tuple(range(t)), {"z": z, "s": s, "x": x})
    w = build_economic(panel, "z", support=NEAR)
    y = np.linalg.solve(
        np.eye(n) - 0.4 * w.matrix.toarray(), x + 0.5 * w.lag(x) + 0.7 * v + xi + rng.normal(size=(n, 1))
    )
    found = weights_exogeneity("y ~ x", panel.with_variables({"y": y}), w, "z ~ s", model="sdm")
    assert found.fit.estimates.names == ("x", "residual_of_w", "W*x", "rho")
    assert found.test.p_value < 1e-6
    assert found.fit.estimates["residual_of_w"] == pytest.approx(0.7, abs=0.15)  # 0.7 v is in the error; se ≈ .04


def test_what_cannot_be_tested():
    panel, w = simulate(4, 0.0)
    with pytest.raises(OptionError, match="W y is in the model"):
        weights_exogeneity("y ~ x", panel, w, "z ~ s", model="slx")
    with pytest.raises(DesignError, match="collinear"):
        weights_exogeneity("y ~ x + z", panel, w, "z ~ x")
    constant = Panel(IDS, (1, 2), {n: np.repeat(panel[n], 2, axis=1) + (n == "y") * np.array([[0, 1]]) for n in "yzsx"})
    moving = constant.with_variables(
        {"y": np.random.default_rng(0).normal(size=(150, 2)), "x": np.random.default_rng(1).normal(size=(150, 2)),
         "s": np.random.default_rng(2).normal(size=(150, 2))}
    )  # fmt: skip
    with pytest.raises(DesignError):
        weights_exogeneity("y ~ x", moving, w, "z ~ s", effects="individual")


@pytest.mark.slow
def test_size_power_and_repair():
    # 400 draws: the se of a size of 5 % is 1.1 %; of a mean of ρ̂ with sd .06 it is .003.
    rejected, plain, repaired = {0.0: 0, 0.5: 0}, [], []
    for endogeneity in rejected:
        for seed in range(400):
            panel, w = simulate(10_000 + seed, endogeneity)
            found = weights_exogeneity("y ~ x", panel, w, "z ~ s")
            rejected[endogeneity] += found.test.rejects()
            if endogeneity:
                plain.append(found.plain.rho)
                repaired.append(found.fit.rho)
    assert 0.02 <= rejected[0.0] / 400 <= 0.085
    assert rejected[0.5] / 400 > 0.95
    assert abs(np.mean(repaired) - 0.5) < 0.03
    assert abs(np.mean(repaired) - 0.5) <= abs(np.mean(plain) - 0.5) + 0.01
