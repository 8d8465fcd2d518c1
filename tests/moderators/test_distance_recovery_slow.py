"""Coverage, size and power of the distance estimators, by the rounds of benchmarks/distance_recovery.py.

Bounds are the target (.93–.97 coverage, .03–.07 size) plus two binomial errors of the number of rounds; the benchmark's
own page has 400 rounds.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROUNDS = 150  # binomial error of a 5 % share: .018
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "distance_recovery.py"

pytestmark = pytest.mark.slow


@lru_cache(maxsize=1)
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distance_recovery", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["distance_recovery"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def play(part: str, name: str, rounds: int = ROUNDS) -> dict[str, np.ndarray]:
    module = benchmark()
    function, options = module.PARTS[part][name]
    found = [module.play(function, options, 10_000 + seed) for seed in range(rounds)]
    assert not any("refused" in each for each in found)
    return {key: np.array([each[key] for each in found]) for key in found[0]}


def test_decay_of_the_reference_system():
    found = play("decay", "one kernel, N = 300, T = 10, two-way")
    assert found["delta"].mean() == pytest.approx(0.00892, abs=0.00072 / np.sqrt(ROUNDS) * 3)
    assert 0.93 - 0.036 < found["cover chosen"].mean() < 0.97 + 0.03
    assert found["within two se"].mean() > 0.9
    assert found["spill cover"].mean() > 0.9


def test_default_kernels_have_another_pseudo_true_decay():
    found = play("decay", "default kernels, N = 300, T = 10, two-way", 80)
    # the one exponential nearest to a mixture of δ and 1.5 δ: .00978 without noise
    assert found["delta"].mean() == pytest.approx(0.00978, abs=0.0003)


def test_size_without_a_spillover():
    for name in ("SLX, independent", "SLX, range 150 km"):
        size = play("null", name)["reject"].mean()
        assert size < 0.07 + 0.036, name


def test_the_ring_band_covers_under_spatial_errors():
    found = play("rings", "range 100 km, N = 150, T = 20", 100)
    assert found["band conley"].mean() > 0.93 - 0.044
    assert found["band cluster"].mean() < 0.8


def test_rings_and_spline_bracket_the_kernel():
    found = play("bracket", "one kernel, N = 300, T = 10", 100)
    assert found["rings"].mean() > 0.88
    assert found["spline share"].mean() > 0.9


def test_the_nested_boundary_ends_where_the_spillover_ends_and_the_legacy_curve_does_not():
    found = play("boundary", "step at 150 km", 100)
    for h in (150, 200, 250, 300, 400, 500, 600):
        assert found[f"reject {h}"].mean() < 0.15, h  # .10 and a binomial error of .022
    assert found["reject 100"].mean() > 0.99
    assert found["reach covers"].mean() > 0.9
    assert found["distance"].mean() == pytest.approx(150.0, abs=15.0)
    assert min(found[f"legacy {h}"].mean() for h in (200, 250, 300, 400)) > 0.6
