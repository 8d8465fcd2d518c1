"""Power for any quantity of any estimator: a channel's share, a planted threshold; what cannot be asked is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spillover as so
from spillover.errors import ConfigurationError, EstimationError, OptionError, UnknownColumnError
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.numerics.least_squares import Projection, project
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.config import SystemConfig
from spillover.simulation.designs import ready_estimator, resize, size_of
from spillover.simulation.estimators import LaggedOutcomeEstimator, StudyEstimator
from spillover.simulation.harness import recover_estimator
from spillover.simulation.power import PowerQuestion, compute_power, simulate_power
from spillover.simulation.power_answer import answer_power
from spillover.simulation.power_grid import power_grid
from spillover.simulation.power_search import find_size
from spillover.simulation.recovery_round import Finding, true_values
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig, SyntheticWeights
from spillover.simulation.threshold_panel import ThresholdPanelConfig, simulate_threshold_panel
from spillover.weights.distance import build_exponential

SYSTEM = SystemConfig(n_regions=40, n_periods=5, informal_decay_ratio=1.0, n_clusters=8)
TALENT = PowerQuestion(quantity="share of spillover: talent")
X = Regressor("x0", 0.5, 0.0)
PLANTED = ThresholdPanelConfig(SpatialPanelConfig("ols", 40, 6, regressors=(X,)), threshold=0.3, shift=1.0)


def demeaned(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()).ravel()


def slopes(y: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares on two-way demeaned data, and its covariance."""
    z = np.column_stack([demeaned(each) for each in columns])
    found = project(np.column_stack([z, demeaned(y)]), z.shape[1])
    assert isinstance(found, Projection)
    value = np.linalg.lstsq(z, demeaned(y), rcond=None)[0]
    rest = demeaned(y) - z @ value
    return value, rest @ rest / (len(rest) - 60) * np.linalg.inv(z.T @ z)


def share_of_talent(panel: Any, weights: Any) -> Estimates:
    """Product of coefficients: A of neighbours → people → patents, as a share of what goes through three channels."""
    near = build_exponential(panel, SYSTEM.decay_per_km, standardise="none").lag(panel["hti"])
    flows = [panel[name] for name in ("talent_inflow", "cooperation", "informal")]
    to_flow = [slopes(flow, panel["hti"], near) for flow in flows]
    to_patents, cov = slopes(panel["patents"], *flows)
    values = np.array([a[1] for a, _ in to_flow] + list(to_patents))
    block = np.zeros((6, 6))
    block[:3, :3] = np.diag([v[1, 1] for _, v in to_flow])
    block[3:, 3:] = cov
    parts = Estimates(tuple("abcdef"), values, block, None, "two steps")

    def share(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        through = p[:3] * p[3:]
        whole = through.sum()
        slope = (np.array([1.0, 0.0, 0.0]) - through[0] / whole) / whole
        return np.array([through[0] / whole]), np.concatenate([slope * p[3:], slope * p[:3]])[None]

    return delta_method(share, parts, names=("share of spillover: talent",))


def find_threshold(panel: Any, weights: Any) -> list[Finding]:
    """Least squares over a grid of γ; the p-value that the best of so many is nothing by Bonferroni."""
    grid = np.quantile(panel["q"], np.linspace(0.15, 0.85, 29))
    fits = []
    for gamma in grid:
        above = np.where(panel["q"] > gamma, panel["x0"], 0.0)
        value, cov = slopes(panel["y"], panel["x0"], above)
        fits.append((abs(value[1]) / np.sqrt(cov[1, 1]), gamma, value[1]))
    t, gamma, shift = max(fits)
    from scipy import stats

    p = min(1.0, len(grid) * 2 * stats.norm.sf(t))
    nan = float("nan")
    return [
        Finding("threshold", gamma, nan, gamma - 0.5, gamma + 0.5, p),
        Finding("shift: x0", shift, nan, nan, nan, p),
    ]


def nothing_known(panel: Any, weights: Any) -> list[Finding]:
    return [Finding("gap", float(panel["y"].max() - panel["y"].min()), 1.0, 0.0, 9.0, 0.5)]


def gap_of(truth: Any) -> dict[str, float]:
    return {"gap": 4.0}


def test_a_channels_share() -> None:
    known = true_values(simulate(SYSTEM, 1)[1])
    # one kernel for all: 154.8 people, 100 × .784 through projects, 4 × 25 informal, of 333.2 at any distance
    assert known["share of spillover: talent"] == pytest.approx(154.8 / (154.8 + 78.4 + 100.0), abs=1e-12)
    assert known["share of own: talent"] == pytest.approx(154.8 / 333.2, abs=1e-12)
    result = simulate_power(SYSTEM, TALENT, estimator=share_of_talent, rounds=20)
    assert result.value == pytest.approx(known["share of spillover: talent"], abs=1e-12)
    assert (result.n_regions, result.n_periods, result.effect) == (40, 5, "share of spillover: talent")
    assert result.power > 0.8
    # 20 panels of a consistent estimator: within four Monte Carlo errors
    line = recover_estimator(SYSTEM, share_of_talent, rounds=20, seed=1).line("share of spillover: talent")
    assert abs(line.bias) < 4 * line.bias_error
    small = find_size(
        SYSTEM, TALENT, limits=(2, 5), rounds=10, estimator=share_of_talent, along="n_periods"
    )  # the smallest number of years for a share
    assert small.size is not None
    answer = answer_power(SYSTEM, TALENT, estimator=share_of_talent, rounds=10)
    assert answer.closed is None
    assert "a share of 46 % of the spillover through talent is seen in" in answer.text()
    assert "an estimator of your own" in answer.text()


def test_a_planted_threshold() -> None:
    panel, truth = simulate_threshold_panel(PLANTED, 3)
    # above γ the slope of x is 1.5, below .5: with an error of 1e-6 the right regression must say so
    exact = ThresholdPanelConfig(PLANTED.panel.with_changes(errors=ErrorLaw(1e-6)), 0.3, 1.0, 0.4)
    clean, _ = simulate_threshold_panel(exact, 3)
    above = np.where(clean["q"] > 0.3, clean["x0"], 0.0)
    value, _ = slopes(clean["y"], clean["x0"], above, truth.weights.lag(above))
    assert value == pytest.approx([0.5, 1.0, 0.4], abs=1e-4)
    assert truth.targets() == {
        "threshold": 0.3,
        "x0 (below)": 0.5,
        "x0 (above)": 1.5,
        "shift: x0": 1.0,
        "W*x0 (below)": 0.0,
        "W*x0 (above)": 0.0,
        "shift: W*x0": 0.0,
    }
    # without a shift the panel is the one without a threshold
    nothing = ThresholdPanelConfig(PLANTED.panel, 0.3, 0.0)
    assert (simulate(nothing, 3)[0]["y"] == simulate(PLANTED.panel, 3)[0]["y"]).all()
    question = PowerQuestion(quantity="threshold")
    strong = simulate_power(PLANTED, question, estimator=find_threshold, rounds=30)
    none = simulate_power(nothing, question, estimator=find_threshold, rounds=30)
    assert strong.power > 0.9
    assert none.power < 0.2  # Bonferroni is conservative: at most .05 in expectation
    assert np.isnan(strong.detectable)
    grid = power_grid(PLANTED, (20, 40), (4,), question, rounds=10, estimator=find_threshold)
    assert grid.at(20, 4).power <= grid.at(40, 4).power
    # ρ: what the threshold adds spreads like everything else
    spread = ThresholdPanelConfig(SpatialPanelConfig("sar", 20, 3, rho=0.5, regressors=(X,)), 0.0, 1.0)
    panel, truth = simulate(spread, 1)
    d = np.where(panel["q"] > 0.0, panel["x0"], 0.0)
    s = np.eye(20) - 0.5 * truth.weights.matrix.toarray()
    added = panel["y"] - simulate(spread.panel, 1)[0]["y"]
    np.testing.assert_allclose(s @ added, d, atol=1e-10)


def test_a_quantity_of_ones_own() -> None:
    config = SpatialPanelConfig("ols", 12, 3)
    question = PowerQuestion(quantity="gap")
    found = simulate_power(config, question, estimator=nothing_known, truths=gap_of, rounds=5)
    assert (found.value, found.power) == (4.0, 0.0)
    with pytest.raises(UnknownColumnError, match=r"nothing is known to be true of 'gap'[\s\S]*truths="):
        simulate_power(config, question, estimator=nothing_known, rounds=5)
    with pytest.raises(UnknownColumnError, match="Did you mean 'share of spillover: talent'"):
        simulate_power(SYSTEM, PowerQuestion(quantity="shares of spillover: talent"), rounds=5)
    with pytest.raises(ConfigurationError, match="of which the expected information says nothing"):
        compute_power(config, question)
    with pytest.raises(TypeError, match="answers with"):
        recover_estimator(config, lambda panel, weights: 3.0, rounds=2, seed=1)


def test_a_file_of_rounds_knows_its_truths(tmp_path: Any) -> None:
    config, file = SpatialPanelConfig("ols", 12, 3), tmp_path / "rounds.jsonl"
    recover_estimator(config, nothing_known, rounds=3, seed=1, truths=gap_of, resume=file)
    with pytest.raises(OptionError, match="other truths"):
        recover_estimator(config, nothing_known, rounds=3, seed=1, resume=file)


def test_sizes_of_every_kind_of_configuration() -> None:
    agents = AgentConfig(system=SystemConfig(n_regions=60, n_clusters=12))
    assert size_of(agents) == (60, 10)
    assert resize(agents, n_regions=30, n_periods=4).system == SystemConfig(n_regions=30, n_periods=4, n_clusters=6)
    assert size_of(resize(PLANTED, n_periods=9)) == (40, 9)
    with pytest.raises(OptionError, match="size of this configuration"):
        size_of(object())


def test_designs_without_a_closed_form_are_drawn_and_say_so() -> None:
    x = (Regressor("x0", 0.6, 0.4, persistence=0.5),)
    dynamic = SpatialPanelConfig("sdm", 40, 6, rho=0.3, tau=0.3, eta=0.1, regressors=x)
    counts = SpatialPanelConfig("slx", 40, 6, regressors=x, counts=True, errors=ErrorLaw(0.0), intercept=1.0)
    for config, reason in ((dynamic, "dynamics"), (counts, "counts")):
        answer = answer_power(config, rounds=20)
        assert answer.closed is None
        assert answer.drawn is not None
        assert answer.best.panels == 20
        assert f"no closed form: {reason}" in answer.text()
        assert answer.as_dict()["closed_form"] is None
        assert answer.as_dict()["no_closed_form"][0].startswith(reason)
        assert answer.best.value == pytest.approx(simulate(config, 1)[1].indirect("x0"), abs=1e-12)
    few = answer_power(dynamic.with_changes(n_regions=20, n_periods=4, errors=ErrorLaw(2.0)), rounds=10)
    assert [search.along for search in few.searches] == ["n_periods"]
    assert "80 of 100 need about " in few.sentence or "nothing that was tried" in few.sentence
    # too few years for the estimator are not enough, and not a stop
    search = find_size(dynamic, limits=(2, 30), rounds=10)
    assert search.size is not None
    assert search.refused


def test_the_outcome_of_last_year_is_a_regressor() -> None:
    x = (Regressor("x0", 1.0, 0.5),)
    clean = {"regressors": x, "errors": ErrorLaw(1e-6), "effects": "individual"}
    for model, space in (("sdm", True), ("sdm", False), ("slx", False)):
        given = {"rho": 0.3 if model == "sdm" else 0.0, "tau": 0.4, "eta": 0.1 if space else 0.0, **clean}
        config = SpatialPanelConfig(model, 30, 6, **given)  # type: ignore[arg-type]
        panel, truth = simulate(config, 1)
        found = LaggedOutcomeEstimator(("x0",), model, "individual", space)(panel, truth.weights)  # type: ignore
        known = truth.targets()
        for name, value in zip(found.estimates.names, found.estimates.values, strict=True):
            assert value == pytest.approx(known[name], abs=1e-3), (model, name)
        effects = found.effects().set_index("term")["estimate"]
        assert effects["indirect: x0"] == pytest.approx(known["indirect: x0"], abs=1e-3)
    for model in ("sar", "sem", "sac", "ols"):
        rho = {"rho": 0.3} if model in ("sar", "sac") else {}
        config = SpatialPanelConfig(
            model,  # type: ignore[arg-type]
            30,
            8,
            regressors=(Regressor("x0", 1.0),),
            tau=0.4,
            eta=0.1 if rho else 0.0,
            errors=ErrorLaw(0.01),
            **rho,  # type: ignore[arg-type]
        )
        panel, truth = simulate(config, 1)
        estimator = ready_estimator(config)
        assert isinstance(estimator, LaggedOutcomeEstimator)
        assert estimator(panel, truth.weights).estimates["tau"] == pytest.approx(0.4, abs=0.02)


def test_the_mechanistic_tier_has_an_estimator_of_its_own_decay() -> None:
    config = SystemConfig(n_regions=40, n_periods=5, informal_decay_ratio=1.0, decay_per_km=0.02, n_clusters=8)
    estimator = ready_estimator(config)
    assert isinstance(estimator, StudyEstimator)
    assert estimator.study.decay_per_km == 0.02
    # METHODS I.6 R2: with the right kernel the estimate is centred on the truth
    line = recover_estimator(config, estimator, rounds=10, seed=1).line("indirect: hti")
    assert abs(line.bias) < 4 * line.bias_error
    assert simulate_power(config, rounds=5).value == pytest.approx(line.truth, rel=0.2)
    with pytest.raises(OptionError, match="along roads"):
        ready_estimator(SystemConfig(distance="road"))
    with pytest.raises(OptionError, match="no ρ"):
        simulate_power(config, PowerQuestion("rho"), rounds=5)


def test_an_answer_of_a_w_with_few_regions_raises_when_nothing_can_be_estimated() -> None:
    tiny = SpatialPanelConfig("sdm", 8, 4, tau=0.2, rho=0.2, weights=SyntheticWeights(neighbours=2))
    with pytest.raises(EstimationError, match="refused every panel"):
        answer_power(tiny, rounds=4)


def test_thresholds_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ThresholdPanelConfig(
            SpatialPanelConfig("sdm", tau=0.2, regressors=(Regressor("q"),)), 9.0, float("inf"), region_share=2.0
        )
    assert len(caught.value.problems) == 5
    assert so.simulate(PLANTED, 1)[0].label("q") == "Threshold variable"
