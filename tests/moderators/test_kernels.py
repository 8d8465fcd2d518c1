"""Laws of decay: values by hand, half-distances, slopes against differences."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.errors import OptionError
from spillover.moderators.kernels import LAWS, Kernel

CASES = [("exponential", 0.009, 0.0), ("power", 1.3, 0.0), ("shifted", 0.009, 0.5), ("stretched", 0.009, 0.7)]


def test_values_by_hand():
    d = np.array([0.0, 30.0, 60.0, 120.0])
    assert Kernel("exponential").value(d, np.log(2) / 60) == pytest.approx([1, 2**-0.5, 0.5, 0.25])
    # d_min = 60: shorter distances count as 60; at 120 the ratio is 2, and 2^-2 = .25
    assert Kernel("power", 60.0).value(d, 2.0) == pytest.approx([1, 1, 1, 0.25])
    # (1 + d/60)^-1, half-distance 60: shape 1/α = 1
    assert Kernel("shifted").value(d, np.log(2) / 60, 1.0) == pytest.approx([1, 2 / 3, 0.5, 1 / 3])
    # exp(−ln 2 (d/60)²): 1, 2^(−1/4), 1/2, 2^-4
    assert Kernel("stretched").value(d, np.log(2) / 60, 2.0) == pytest.approx([1, 2**-0.25, 0.5, 2**-4])


@pytest.mark.parametrize(("law", "rate", "shape"), CASES)
def test_half_distance_is_where_half_is_left(law, rate, shape):
    kernel = Kernel(law, minimum_km=20.0)
    half = kernel.half_distance(rate)
    assert kernel.value(np.array([half]), rate, shape)[0] == pytest.approx(0.5, rel=1e-12)
    assert kernel.rate_of(half) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("law", "rate", "shape"), CASES)
def test_slopes_are_derivatives(law, rate, shape):
    kernel, d = Kernel(law, minimum_km=20.0), np.array([5.0, 40.0, 200.0, 700.0])
    h = 1e-5
    numeric = (kernel.value(d, rate * np.exp(h), shape) - kernel.value(d, rate * np.exp(-h), shape)) / (2 * h)
    assert kernel.rate_slope(d, rate, shape) == pytest.approx(numeric, rel=1e-6, abs=1e-12)
    if kernel.shapes is not None:
        numeric = (kernel.value(d, rate, shape + h) - kernel.value(d, rate, shape - h)) / (2 * h)
        assert kernel.shape_slope(d, rate, shape) == pytest.approx(numeric, rel=1e-5, abs=1e-10)


def test_laws_with_a_shape_contain_the_exponential():
    d = np.linspace(0.0, 800.0, 9)
    plain = Kernel("exponential").value(d, 0.009)
    assert Kernel("stretched").value(d, 0.009, 1.0) == pytest.approx(plain, rel=1e-12)
    assert Kernel("shifted").value(d, 0.009, 0.0) == pytest.approx(plain, rel=1e-12)
    # the limit is approached at a rate of s: s (ln 2/2)(x − x²/…) with x = d·rate below 8
    assert Kernel("shifted").value(d, 0.009, 1e-6) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize(
    ("law", "rate", "shape", "formula"),
    [
        ("shifted", 0.009, 0.5, lambda d, p: (1 + d / p["d0_km"]) ** -p["exponent"]),
        ("stretched", 0.009, 0.7, lambda d, p: np.exp(-((p["decay_per_km"] * d) ** p["shape"]))),
        ("exponential", 0.009, 0.0, lambda d, p: np.exp(-p["decay_per_km"] * d)),
    ],
)
def test_named_parameters_belong_to_their_formula(law, rate, shape, formula):
    kernel, d = Kernel(law), np.array([10.0, 100.0, 300.0])
    assert kernel.value(d, rate, shape) == pytest.approx(formula(d, kernel.parameters(rate, shape)), rel=1e-10)


def test_infinite_distance_has_no_weight():
    for law, rate, shape in CASES:
        assert Kernel(law).value(np.array([np.inf]), rate, shape)[0] == 0.0


def test_an_unknown_law_is_refused():
    with pytest.raises(OptionError, match="Did you mean 'exponential'"):
        Kernel("exponental")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="minimum_km"):
        Kernel("power", 0.0)
    assert {case[0] for case in CASES} == set(LAWS)


@pytest.mark.parametrize("wrong", ["3", 0.0, -1.0, np.inf, None])
def test_a_smallest_distance_is_a_number_above_zero(wrong):
    with pytest.raises(OptionError, match="minimum_km is out of range"):
        Kernel("power", wrong)
