"""Power for a channel's share and for a threshold with the project's own estimators: command, file, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulation.power_cli import run
from spillover.errors import ConfigurationError, EstimationError, OptionError
from spillover.simulation.channel_shares import ShareEstimator
from spillover.simulation.config import SystemConfig
from spillover.simulation.designs import ready_estimator
from spillover.simulation.harness import recover_estimator
from spillover.simulation.power import PowerQuestion, simulate_power
from spillover.simulation.power_answer import power_sentence
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig, SyntheticWeights
from spillover.simulation.threshold_estimator import ThresholdEstimator
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.study.simulated import write_simulation
from spillover.study.simulation_file import read_simulation

X = Regressor("x", 0.3, 0.15, persistence=0.8)
PANEL = SpatialPanelConfig("sdm", 40, 10, regressors=(X,), rho=0.3)
TALENT = "share of spillover: talent"
PLANTED = ThresholdPanelConfig(PANEL, threshold=0.3, shift=0.6)
FILE = """
seed = 3
[panel]
model = "slx"
n_regions = 40
n_periods = 8
[[panel.regressors]]
name = "rd"
beta = 0.4
theta = 0.2
[threshold]
threshold = 0.3
shift = 0.6
neighbour_shift = 0.4
"""


def test_the_ready_estimator_of_shares_finds_the_truth() -> None:
    config = SystemConfig(n_regions=60, n_periods=8, n_clusters=12)
    estimator = ready_estimator(config, quantity="share of spillover: talent")
    assert estimator == ShareEstimator(config.decay_per_km, config.informal_decay_per_km, "spillover")
    table = recover_estimator(config, estimator, rounds=20, seed=1)
    for channel in ("talent", "cooperation", "informal"):
        line = table.line(f"share of spillover: {channel}")
        assert abs(line.bias) < 4 * line.bias_error
        assert line.sd < 0.1
    result = simulate_power(config, PowerQuestion(quantity="share of own: informal"), rounds=10)
    assert 0 < result.value < 1


def test_the_ready_estimator_of_a_threshold_finds_it() -> None:
    estimator = ready_estimator(PLANTED)
    assert estimator == ThresholdEstimator(("x",), ("x",), "sdm", "two-way")
    table = recover_estimator(PLANTED, estimator, rounds=20, seed=1)
    place, shift = table.line("threshold"), table.line("shift: x")
    assert abs(place.bias) < 0.1
    assert place.coverage >= 0.8  # 95 % nominal: 20 rounds below .8 have probability 3e-3
    assert shift.truth == pytest.approx(0.6, abs=1e-12)
    assert abs(shift.bias) < 0.1  # the best of many splits exaggerates a little
    assert shift.rejected > 0.9
    # no threshold: the bootstrap test keeps its level (binomial, 40 rounds: 5 % + 4 standard errors)
    nothing = ThresholdPanelConfig(PANEL.with_changes(n_regions=30, n_periods=6), 0.3, 0.0)
    line = recover_estimator(nothing, ready_estimator(nothing), rounds=40, seed=2).line("shift: x")
    assert line.meaning == "size"
    assert line.rejected < 0.05 + 4 * (0.05 * 0.95 / 40) ** 0.5


def test_what_switches_is_what_the_design_shifts() -> None:
    both = ThresholdPanelConfig(PANEL, 0.0, 0.5, 0.5)
    assert ready_estimator(both).switching == ("x", "W*x")  # type: ignore[attr-defined]
    next_door = ThresholdPanelConfig(PANEL, 0.0, 0.0, 0.5)
    assert ready_estimator(next_door).switching == ("W*x",)  # type: ignore[attr-defined]
    sem = SpatialPanelConfig("sem", 40, 10, regressors=(Regressor("x", 0.3),), lam=0.3)
    with pytest.raises(OptionError, match="model 'sem': thresholds are searched"):
        ready_estimator(ThresholdPanelConfig(sem))
    sar = SpatialPanelConfig("sar", 40, 10, regressors=(Regressor("x", 0.3),), rho=0.3)
    with pytest.raises(OptionError, match="which has no W x"):
        ready_estimator(ThresholdPanelConfig(sar, neighbour_shift=0.3))


def test_a_panel_without_a_map_needs_ten_periods() -> None:
    w = simulate(PANEL, 1)[1].weights
    for periods, right in ((10, True), (6, False)):
        config = ThresholdPanelConfig(PANEL.with_changes(n_periods=periods, weights=w), 0.0, 0.6)
        panel, truth = simulate(config, 1)
        if right:
            assert len(ready_estimator(config)(panel, truth.weights)) == 2
        else:
            with pytest.raises(OptionError, match="n_periods = 6 and a given W"):
                ready_estimator(config)
            blind = ThresholdEstimator(("x",), ("x",))
            with pytest.raises(OptionError, match="needs a map, or ten periods"):
                blind(panel, truth.weights)


@pytest.mark.parametrize(
    "change",
    [
        {"competition": 1.0},
        {"capital": 0.5},
        {"feedback": 0.2},
        {"environment_elasticity": 0.5},
        {"linkage_strength": 0.5},
        {"university_strength": 0.5},
        {"endogeneity": 0.3},
        {"distance": "road"},
    ],
)
def test_systems_of_more_than_three_channels_have_no_ready_shares(change: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(change))} = "):
        ready_estimator(SystemConfig(**change), quantity="share of total: talent")  # type: ignore[arg-type]


def test_the_command_asks_for_a_share() -> None:
    text = run("--share", "cooperation", "--effect", "direct", "--regions", "30", "--years", "5", "--rounds", "20")
    assert "With 30 regions and 5 years a share of 24 % of the effect at home through cooperation is seen in" in text
    found = json.loads(run("--share", "talent", "--rounds", "5", "--format", "json"))
    assert found["drawn"]["effect"] == "share of spillover: talent"


def test_the_command_asks_for_a_threshold(tmp_path: Path) -> None:
    text = run("--threshold", "0.3", "--shift", "0.9", "--rounds", "20")
    assert "a threshold beyond which the coefficient of x differs by 0.9 is seen in" in text
    assert "standard error" not in text  # a searched threshold has none
    file = tmp_path / "design.toml"
    file.write_text(FILE.replace("shift = 0.6\n", "shift = 0.0\n").replace("0.4\n", "1.2\n"))
    assert "the coefficient of W*rd differs by 1.2 is seen in" in run(str(file), "--rounds", "10")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--share", "talnt"), "Did you mean 'talent'"),
        (("--share", "talent", "--beta", "0.4"), "--beta beside --share"),
        (("--share", "talent", "--effect", "rho"), "--share is of an --effect"),
        (("--shift", "0.4"), "say where"),
        (("--threshold", "5"), "--threshold 5: q has variance 1"),
        (("--threshold", "0", "--shift", "nan"), "--shift nan is not a finite number"),
        (("--threshold", "0", "--shift", "1e200"), "more than 10000"),
        (("--threshold", "0", "--effect", "direct"), "--effect direct beside a threshold"),
        (("--threshold", "0", "--tau", "0.3"), "a panel with a threshold is static"),
        (("--threshold", "0", "--years", "1"), "--years 1: --effects 'two-way' need two periods"),
        (("--threshold", "0", "--covariance", "information"), "--covariance information beside a threshold"),
        (("--share", "talent", "--covariance", "cluster"), "--covariance cluster beside --share"),
        (("--share", "money"), "not one of talent, cooperation, informal"),
        (("--share", "money", "--alpha", "9"), r"--alpha 9[\s\S]*not one of talent"),
        (("--counts", "--covariance", "information"), "one test only"),
        (("--threshold", "nan", "--rho", "9"), r"--rho 9[\s\S]*--threshold nan"),  # all at once
        (("--shift", "1", "--rho", "9"), r"--rho 9[\s\S]*say where"),
        (("--threshold", "0", "--model", "sem"), "thresholds are searched"),
        (("--threshold", "0", "--share", "talent"), "--threshold beside --share"),
    ],
)
def test_questions_that_cannot_be_asked(options: tuple[str, ...], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        run(*options, "--rounds", "5")


def test_errors_below_rounding_leave_no_threshold_to_find() -> None:
    with pytest.raises(EstimationError, match="give the outcome exactly"):
        run("--threshold", "0", "--sigma", "1e-10", "--rounds", "4")


def test_no_size_is_promised_that_a_test_of_another_kind_would_see() -> None:
    # a share is seen by the test of its channel's part, a threshold by the bootstrap: neither is value / std_error
    share = simulate_power(SystemConfig(n_regions=30, n_periods=5), PowerQuestion(quantity=TALENT), rounds=5)
    assert np.isfinite(share.std_error)
    assert np.isnan(share.detectable)
    with pytest.raises(OptionError, match="no design on the grid") as caught:
        run("--threshold", "0.3", "--shift", "0.01", "--grid-years", "4", "--regions", "20", "--rounds", "5")
    assert "nan" not in str(caught.value)


def test_sentence_and_figures_round_alike() -> None:
    result = simulate_power(PLANTED.panel.with_changes(n_regions=12, n_periods=3), PowerQuestion(), rounds=3)
    assert "is seen in 51 of 100" in power_sentence(replace(result, power=0.505))  # 0.505 is shown as 0.51
    assert "12 regions and 1 year a" in power_sentence(replace(result, n_periods=1))


def test_a_share_is_of_a_system(tmp_path: Path) -> None:
    file = tmp_path / "design.toml"
    file.write_text(FILE)
    with pytest.raises(ConfigurationError, match="--share beside a threshold"):
        run(str(file), "--share", "talent")
    file.write_text("[panel]\nmodel = 'slx'\n")
    with pytest.raises(ConfigurationError, match=r"give a design file with \[system\]"):
        run(str(file), "--share", "talent")
    file.write_text("[system]\nn_regions = 40\ncompetition = 2.0\n")
    with pytest.raises(ConfigurationError, match="no estimator for competition = 2"):
        run(str(file), "--share", "talent")


def test_files_of_a_threshold(tmp_path: Path) -> None:
    source = tmp_path / "mine.toml"
    source.write_text(FILE)
    _, drawn = write_simulation(read_simulation(source), tmp_path / "lab")
    assert "above it (the sender's q) the coefficient of rd is larger by 0.6" in drawn.headline
    truth = json.loads((tmp_path / "lab" / "truth.json").read_text())["truth"]
    assert truth["threshold"]["rd (above)"] == 1.0  # .4 + .6
    write_simulation(read_simulation(tmp_path / "lab" / "simulation.toml"), tmp_path / "again")
    assert (tmp_path / "lab" / "regions.csv").read_text() == (tmp_path / "again" / "regions.csv").read_text()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("[threshold]\nthreshold = 9", r"\[threshold\] threshold = 9: q has variance 1"),
        ("[threshold]\nshft = 1", "'shft' is unknown"),
        ("threshold = 3", "threshold is not a section"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused_by_the_file(change: str, match: str, tmp_path: Path) -> None:
    source = tmp_path / "mine.toml"
    head, _ = FILE.split("[threshold]")
    source.write_text(head + change if change.startswith("[") else change + "\n" + head)
    with pytest.raises(ConfigurationError, match=match):
        read_simulation(source)
    source.write_text("[threshold]\nshift = 1.0\n")
    with pytest.raises(ConfigurationError, match=r"\[threshold\] is of a \[panel\]"):
        read_simulation(source)


def test_a_given_w_inside_a_threshold_panel_keeps_its_regions() -> None:
    from spillover.simulation.power_search import find_size

    w = simulate(PANEL, 1)[1].weights
    config = ThresholdPanelConfig(PANEL.with_changes(weights=w), 0.0, 0.5)
    with pytest.raises(OptionError, match="a given W has its number of regions"):
        find_size(config, PowerQuestion(quantity="shift: x"), "n_regions", rounds=5)
    assert isinstance(PANEL.weights, SyntheticWeights)
