"""The recovery harness: arithmetic of its table, workers, resuming, refusals; recovery of every estimator (slow)."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spillover.errors import EstimationError, FileError, OptionError, UnknownColumnError
from spillover.inference.estimates import Estimates
from spillover.simulation.config import SystemConfig
from spillover.simulation.estimators import (
    CountEstimator,
    FitEstimator,
    RandomEstimator,
    StudyEstimator,
    TwoStageEstimator,
)
from spillover.simulation.harness import recover_estimator
from spillover.simulation.recovery_file import fingerprint
from spillover.simulation.recovery_round import Reading, Round, true_values
from spillover.simulation.recovery_table import binomial_band, tabulate
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig, SyntheticWeights

SLX = SpatialPanelConfig("slx", 30, 4, regressors=(Regressor("x0", 1.0, 0.0),))
FIT = FitEstimator("y ~ x0", "slx")


@dataclass(frozen=True)
class Answer:
    estimates: Estimates


def mean_of_y(panel: Any, weights: Any) -> Answer:
    """A deliberately silly estimator of x0 with variance 1."""
    return Answer(Estimates(("x0",), np.array([panel["y"].mean()]), np.eye(1), None, "none"))


def refuses_half(panel: Any, weights: Any) -> Answer:
    if panel["y"].mean() > 0:
        raise EstimationError("the mean is positive", got=str(panel["y"].mean()))
    return mean_of_y(panel, weights)


def always_refuses(panel: Any, weights: Any) -> Answer:
    raise EstimationError("never")


def names_nothing(panel: Any, weights: Any) -> Answer:
    return Answer(Estimates(("constant",), np.zeros(1), np.eye(1), None, "none"))


def test_the_table_is_arithmetic() -> None:
    # estimates 1, 2, 3, 6 of the truth 2, intervals ± 1.5, p-values .01, .2, .04, .06
    rows = [(1.0, 0.01), (2.0, 0.2), (3.0, 0.04), (6.0, 0.06)]
    rounds = [Round(i, (Reading("", "a", 2.0, e, 1.0, e - 1.5, e + 1.5, p),)) for i, (e, p) in enumerate(rows)]
    line = tabulate([rounds[2], rounds[0], rounds[3], rounds[1], Round(4, failure="no")], 0.95, 1).line("a")
    assert (line.rounds, line.truth, line.bias, line.mean_std_error) == (4, 2.0, 1.0, 1.0)
    assert line.rmse == pytest.approx(np.sqrt((1 + 0 + 1 + 16) / 4))
    assert line.sd == pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 3))
    assert line.bias_error == pytest.approx(line.sd / 2)
    assert (line.coverage, line.rejected, line.meaning) == (0.75, 0.5, "power")


def test_the_band_solves_the_equation_of_wilson() -> None:
    # its limits are the shares p at which the observed one is 1.96 standard deviations away
    low, high = binomial_band(37, 50)
    for p in (low, high):
        assert abs(0.74 - p) / np.sqrt(p * (1 - p) / 50) == pytest.approx(1.959964, abs=1e-6)
    assert binomial_band(0, 10)[0] == 0.0
    assert binomial_band(10, 10)[1] == pytest.approx(1.0)


def test_truth_of_zero_gives_size_and_other_truths_power() -> None:
    table = recover_estimator(SLX, FIT, rounds=20, seed=1)
    assert table.line("W*x0").meaning == "size"
    assert table.line("direct: x0").meaning == "power"
    assert table.line("direct: x0").rejected == 1.0
    frame = table.to_frame()
    assert list(frame["term"]) == ["x0", "W*x0", "direct: x0", "indirect: x0", "total: x0"]
    assert table.to_markdown().count("\n") == 6
    with pytest.raises(UnknownColumnError, match="indirect"):
        table.line("indirect x0")


def test_numbers_do_not_depend_on_the_workers_or_on_the_number_of_rounds(tmp_path: Path) -> None:
    alone = recover_estimator(SLX, FIT, rounds=24, seed=3)
    with ThreadPoolExecutor(3) as threads:
        assert recover_estimator(SLX, FIT, rounds=24, seed=3, executor=threads) == alone
    with ProcessPoolExecutor(2) as processes:
        assert recover_estimator(SLX, FIT, rounds=24, seed=3, executor=processes) == alone
    # resumed from a file of fewer rounds, which ends within a line
    file = tmp_path / "done.jsonl"
    recover_estimator(SLX, FIT, rounds=11, seed=3, resume=file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    told: list[float] = []
    assert recover_estimator(SLX, FIT, rounds=24, seed=3, resume=file, progress=lambda _, s: told.append(s)) == alone
    assert len(file.read_text().splitlines()) == 25
    assert told[-1] == 1.0
    assert told == sorted(told)
    # nothing is left to do
    assert recover_estimator(SLX, replace(FIT), rounds=24, seed=3, resume=file) == alone
    assert recover_estimator(SLX, FIT, rounds=24, seed=4) != alone


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "done.jsonl"
    recover_estimator(SLX, FIT, rounds=2, seed=3, resume=file)
    with pytest.raises(OptionError, match="other config and seed"):
        recover_estimator(SLX.with_changes(n_periods=5), FIT, rounds=2, seed=4, resume=file)
    with pytest.raises(OptionError, match="other estimator"):
        recover_estimator(SLX, replace(FIT, effects="individual"), rounds=2, seed=3, resume=file)
    other = tmp_path / "other.txt"
    other.write_text("region,period\n")
    with pytest.raises(FileError, match="not a file of finished rounds"):
        recover_estimator(SLX, FIT, rounds=2, seed=3, resume=other)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "{broken", lines[1]]) + "\n")
    with pytest.raises(FileError, match="cannot be read"):
        recover_estimator(SLX, FIT, rounds=2, seed=3, resume=file)
    assert json.loads(lines[1])["number"] == 0


def test_refusals_are_counted_by_message() -> None:
    table = recover_estimator(SLX, refuses_half, rounds=40, seed=1)
    assert list(table.failures) == ["the mean is positive"]
    assert table.failed + table.line("x0").rounds == 40
    assert 5 < table.failed < 35
    assert "Refused in" in table.to_markdown()
    with pytest.raises(EstimationError, match=r"every panel[\s\S]*never \(3 times\)"):
        recover_estimator(SLX, always_refuses, rounds=3, seed=1)
    with pytest.raises(EstimationError, match="true value"):
        recover_estimator(SLX, names_nothing, rounds=3, seed=1)


def test_bad_plans_are_told_together() -> None:
    with pytest.raises(OptionError, match=r"rounds = 1[\s\S]*level = 95"):
        recover_estimator(SLX, FIT, rounds=1, seed=1, level=95)
    with pytest.raises(OptionError, match="seed"):
        recover_estimator(SLX, FIT, rounds=2, seed=-1)
    with pytest.raises(OptionError, match="not a configuration"):
        recover_estimator("sdm", FIT, rounds=2, seed=1)
    with pytest.raises(OptionError, match="no named values"):  # a mistake of the plan, not a refusal of the estimator
        true_values(object())


def test_fingerprints_see_w_and_every_field() -> None:
    assert fingerprint(SLX) == fingerprint(SLX.with_changes())
    assert fingerprint(SLX) != fingerprint(SLX.with_changes(errors=ErrorLaw(1.0, "t5")))
    assert fingerprint(mean_of_y) != fingerprint(refuses_half)


def test_several_labels_share_the_panels_and_the_level_is_used() -> None:
    config = SpatialPanelConfig("sdm", 30, 5, rho=0.4)
    two = FitEstimator("y ~ x0", covariances=("information", "cluster"))
    table = recover_estimator(config, two, rounds=12, seed=1, level=0.5)
    one, other = table.line("rho", "information"), table.line("rho", "cluster")
    assert one.bias == other.bias
    assert one.mean_std_error != other.mean_std_error
    assert one.coverage < 0.95


def test_the_mechanistic_tier_is_recovered_by_the_recommended_study() -> None:
    config = SystemConfig(n_regions=40, n_periods=4, informal_decay_ratio=1.0)
    table = recover_estimator(config, StudyEstimator(), rounds=4, seed=1)
    line = table.line("direct: hti")
    # four panels: the mean of the estimates is within four Monte Carlo errors or a fifth of the truth
    assert abs(line.bias) < max(4 * line.bias_error, 0.2 * line.truth)


def test_agents_in_their_special_case_are_recovered_like_the_mechanistic_tier() -> None:
    from spillover.simulation.agents.config import AgentConfig

    agents = AgentConfig.like_system(SystemConfig(n_regions=40, n_periods=4, informal_decay_ratio=1.0))
    line = recover_estimator(agents, StudyEstimator(), rounds=3, seed=1).line("direct: hti")
    assert abs(line.bias) < max(4 * line.bias_error, 0.2 * line.truth)


# -- recovery of the estimators of the project ---------------------------------------------------------

BOTH = (Regressor("x0", 1.0, 0.5), Regressor("x1", -0.5, 0.3))
OWN = (Regressor("x0", 1.0), Regressor("x1", -0.5))
ERROR_MAP = SyntheticWeights("queen", map_seed=5)
ROUNDS = 200


def assert_recovered(config: SpatialPanelConfig, estimator: Any, terms: tuple[str, ...], bias: float = 2.6) -> None:
    with ProcessPoolExecutor(2) as pool:
        table = recover_estimator(config, estimator, rounds=ROUNDS, seed=11, executor=pool)
    for term in terms:
        line = table.line(term)
        # 200 rounds: the band holds 95 % unless coverage is off by more than 1.96 binomial errors; 2.6 for many lines.
        assert abs(line.coverage - 0.95) < 2.6 * np.sqrt(0.95 * 0.05 / line.rounds), line
        assert abs(line.bias) < bias * line.bias_error + 0.01, line
    assert table.failed <= ROUNDS // 50


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm", "sem", "sdem"])
@pytest.mark.parametrize("effects", ["individual", "two-way"])
def test_fit_recovers(model: str, effects: str) -> None:
    durbin = model in ("slx", "sdm", "sdem")
    config = SpatialPanelConfig(
        model,  # type: ignore[arg-type]
        60,
        8,
        regressors=BOTH if durbin else OWN,
        rho=0.4 if model in ("sar", "sdm") else 0.0,
        lam=0.4 if model in ("sem", "sdem") else 0.0,
        effects=effects,  # type: ignore[arg-type]
    )
    terms = ("x0", "x1", *(("W*x0", "indirect: x0") if durbin else ()), *(("rho",) if config.rho else ()))
    fit = FitEstimator("y ~ x0 + x1", model, effects, covariances=("information",))  # type: ignore[arg-type]
    assert_recovered(config, fit, (*terms, *(("lambda",) if config.lam else ())))


@pytest.mark.slow
def test_random_effects_counts_and_instruments_recover() -> None:
    random = SpatialPanelConfig("sar", 60, 8, rho=0.4, regressors=OWN, effects="individual")
    assert_recovered(random, RandomEstimator("y ~ x0 + x1", "sar"), ("x0", "rho", "indirect: x0"))
    counts = SpatialPanelConfig(
        "slx", 100, 8, regressors=(Regressor("x0", 0.3, 0.2),), counts=True, intercept=1.0, errors=ErrorLaw(0.0)
    )
    assert_recovered(counts, CountEstimator("y ~ x0"), ("x0", "W*x0"))
    endogenous = SpatialPanelConfig(
        "slx", 100, 8, regressors=(Regressor("x0", 1.0, 0.5),), endogeneity=0.6, instrument=0.7
    )
    assert_recovered(endogenous, TwoStageEstimator("y ~ 1 | x0 ~ instrument", "slx"), ("x0", "W*x0"))
    with ProcessPoolExecutor(2) as pool:  # and least squares does not recover it
        wrong = recover_estimator(endogenous, FitEstimator("y ~ x0", "slx"), rounds=50, seed=1, executor=pool)
    assert wrong.line("x0").bias > 0.2
    assert wrong.line("x0").coverage < 0.1


def test_the_w_of_the_error_is_the_designs_unless_another_is_given() -> None:
    own = SyntheticWeights("queen", map_seed=5)
    config = SpatialPanelConfig("sem", 30, 6, lam=0.6, weights_error=own)
    w = simulate(config, 1)[1].weights_error
    by_default = recover_estimator(config, FitEstimator("y ~ x0", "sem"), rounds=3, seed=1)
    named = recover_estimator(config, FitEstimator("y ~ x0", "sem", weights_error=w), rounds=3, seed=1)
    assert by_default.lines == named.lines
    other = simulate(config.with_changes(weights_error=None), 1)[1].weights
    wrong = recover_estimator(config, FitEstimator("y ~ x0", "sem", weights_error=other), rounds=3, seed=1)
    assert wrong.line("lambda").bias != named.line("lambda").bias
