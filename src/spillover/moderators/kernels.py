"""Laws of decay with distance, κ(0) = 1, and what they say in km.

Every law has one parameter of reach, the *rate*, that is searched on its logarithm. For the three laws that are
families of scale (exponential, shifted, stretched) the rate is ln 2 / half-distance, so that half-distances of
different laws can be compared; for the pure power law it is the exponent α. Shifted and stretched laws have a second
parameter of shape.

============  ==========================================  ==================================  =====================
law           κ(d)                                        shape                               half-distance
============  ==========================================  ==================================  =====================
exponential   exp(−δ d)                                   none                                ln 2 / δ
power         (max(d, d_min) / d_min)^(−α)                none                                d_min 2^(1/α)
shifted       (1 + d / d0)^(−α)                           s = 1/α; s = 0 is exponential       d0 (2^(1/α) − 1)
stretched     exp(−(δ d)^κ)                               κ; κ = 1 is exponential             (ln 2)^(1/κ) / δ
============  ==========================================  ==================================  =====================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from spillover.errors import OptionError, check_option, is_amount
from spillover.typing import FloatArray

Law: TypeAlias = Literal["exponential", "power", "shifted", "stretched"]
LAWS: tuple[str, ...] = get_args(Law)

LN2 = float(np.log(2.0))
_FLAT = 1e-7  # below it s of the shifted law is its limit: the difference is of order s
_SHAPES = {"shifted": (0.0, 5.0), "stretched": (0.25, 4.0)}
_PLAIN = {"shifted": 0.0, "stretched": 1.0}  # where both are the exponential law


@dataclass(frozen=True)
class Kernel:
    """A law of decay.

    Attributes
    ----------
    law : "exponential", "power", "shifted" or "stretched".
    minimum_km : d_min of the power law: shorter distances count as this; unused by the others.
    """

    law: Law
    minimum_km: float = 1.0

    def __post_init__(self) -> None:
        check_option("kernel", self.law, LAWS)
        if not is_amount(self.minimum_km):
            raise OptionError("minimum_km is out of range", got=repr(self.minimum_km), expected="km above zero")

    @property
    def shapes(self) -> tuple[float, float] | None:
        """Admissible range of the shape, or None for laws that have none."""
        return _SHAPES.get(self.law)

    @property
    def plain_shape(self) -> float:
        """The shape at which the law is exponential; 0 for laws without a shape."""
        return _PLAIN.get(self.law, 0.0)

    @property
    def count(self) -> int:
        """Number of parameters."""
        return 1 + (self.shapes is not None)

    def value(self, d: FloatArray, rate: float, shape: float = 0.0) -> FloatArray:
        """κ(d), elementwise, for d ≥ 0 in km."""
        if self.law == "exponential" or (self.law == "shifted" and shape < _FLAT):
            return np.asarray(np.exp(-rate * d))
        if self.law == "power":
            return np.asarray((np.maximum(d, self.minimum_km) / self.minimum_km) ** -rate)
        if self.law == "shifted":
            return np.asarray(np.exp(-np.log1p(np.expm1(shape * LN2) / LN2 * rate * d) / shape))
        return np.asarray(np.exp(-LN2 * (rate * d / LN2) ** shape))

    def rate_slope(self, d: FloatArray, rate: float, shape: float = 0.0) -> FloatArray:
        """∂κ/∂ln(rate), elementwise: for the exponential law −δd e^(−δd)."""
        k = self.value(d, rate, shape)
        if self.law == "exponential" or (self.law == "shifted" and shape < _FLAT):
            return np.asarray(-rate * d * k)
        if self.law == "power":
            return np.asarray(-rate * np.log(np.maximum(d, self.minimum_km) / self.minimum_km) * k)
        if self.law == "shifted":
            z = np.expm1(shape * LN2) / LN2 * rate * d
            return np.asarray(-z / (1.0 + z) / shape * k)
        return np.asarray(-LN2 * shape * (rate * d / LN2) ** shape * k)

    def shape_slope(self, d: FloatArray, rate: float, shape: float) -> FloatArray:
        """∂κ/∂shape, elementwise; by central differences, one-sided at the lower end of the range."""
        low, high = self.shapes or (0.0, 0.0)
        step = 1e-5 * (1.0 + shape)
        left, right = max(shape - step, low), min(shape + step, high)
        return np.asarray((self.value(d, rate, right) - self.value(d, rate, left)) / (right - left))

    def half_distance(self, rate: float) -> float:
        """Distance in km at which κ is 1/2, whatever the shape."""
        return float(self.minimum_km * 2.0 ** (1.0 / rate)) if self.law == "power" else LN2 / rate

    def rate_of(self, half_km: float) -> float:
        """The rate whose half-distance is this many km (above d_min for the power law)."""
        return float(LN2 / np.log(half_km / self.minimum_km)) if self.law == "power" else LN2 / half_km

    def parameters(self, rate: float, shape: float = 0.0, unit: str = "km") -> dict[str, float]:
        """The parameters under the names of their formulas, in the unit of the distances."""
        if self.law == "exponential":
            return {f"decay_per_{unit}": rate}
        if self.law == "power":
            return {"exponent": rate}
        if self.law == "stretched":
            return {f"decay_per_{unit}": rate * LN2 ** (1.0 / shape - 1.0), "shape": shape}
        if shape < _FLAT:
            return {"exponent": np.inf, f"d0_{unit}": np.inf}
        return {"exponent": 1.0 / shape, f"d0_{unit}": LN2 / rate / float(np.expm1(shape * LN2))}

    def searched(self, unit: str = "km") -> tuple[str, ...]:
        """Names of the parameters that are searched: the rate, and the shape where there is one."""
        if self.shapes is None:
            return tuple(self.parameters(1.0, 0.0, unit))
        return (f"rate_per_{unit}", "shape")

    @property
    def formula(self) -> str:
        """κ(d) in symbols."""
        return {
            "exponential": "exp(−δd)",
            "power": f"(max(d, {self.minimum_km:.4g} km) / {self.minimum_km:.4g} km)^(−α)",
            "shifted": "(1 + d/d0)^(−α)",
            "stretched": "exp(−(δd)^κ)",
        }[self.law]
