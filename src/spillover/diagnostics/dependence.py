"""Cross-section dependence of residuals that no W describes: Pesaran's CD, and its form after period effects.

CD averages all pairwise correlations. Removing period means forces residuals of a period to sum to zero, which pins
CD near −√(T/2) whatever the data: it is refused there. A weighted CD, in which each region carries a random sign, is
centred again (Juodis & Reese 2022). Random signs take away most of the power, so large single correlations are added
(the "+" of CDw+). The correction of Pesaran & Xie is not offered after additive effects: its divisor 1 − θ tends to
zero there when regions have equal variances.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

NULL = "residuals of different regions are unrelated"
CD_REFERENCE = "Pesaran (2015, Econometric Reviews 34:1089)"
CDW_REFERENCE = "Juodis & Reese (2022, J. Business & Economic Statistics 40:1191), signs drawn from seed {seed}"
DENSE_REGIONS = 5_000  # the screening of single correlations needs n × n numbers


def cd_test(residuals: FloatArray, transformation: Transformation) -> HypothesisTest | NotApplicable:
    """CD = √(2T/(N(N−1))) Σ_{i<j} r_ij, N(0, 1) under the null.

    Parameters
    ----------
    residuals : (n, t). They are demeaned over time and scaled here, so that r_ij are correlations.
    transformation : `NotApplicable` when period means were removed.

    Cost: O(n t); the sum of all r_ij is ½[Σ_t(Σ_i z_it)²/T − N].
    """
    n, t = residuals.shape
    reason = _too_short(residuals)
    if transformation.removes_periods:
        reason = (
            "period effects force the residuals of a period to sum to zero, so that CD is near "
            f"{-np.sqrt(t * n / (2.0 * (n - 1))):.2f} whatever the data; read the weighted CD"
        )
    if reason:
        return NotApplicable("Pesaran CD", reason)
    z = _scaled(residuals)
    pairs = 0.5 * (float(np.sum(z.sum(axis=0) ** 2)) / t - n)
    statistic = float(np.sqrt(2.0 * t / (n * (n - 1.0))) * pairs)
    return _normal("Pesaran CD", statistic, CD_REFERENCE)


def weighted_cd_test(
    residuals: FloatArray, transformation: Transformation, seed: int = 1
) -> HypothesisTest | NotApplicable:
    """CDw+ = |CDw| + Σ_{i<j}|r_ij| 1(|r_ij| > 2√(ln N/T)), CDw with independent random signs of the regions.

    Under the null CDw is N(0, 1) and no single correlation passes the bar; the p-value is that of |N(0, 1)|.
    Correlations of demeaned residuals have variance 1/(T − 1), which the scale uses.

    Parameters
    ----------
    residuals : (n, t), from any effects.
    seed : of the signs; same seed, same test. The verdict near the level depends on it, as in every randomised test.
    """
    n, t = residuals.shape
    name = "weighted CD (CDw+)"
    reason = _too_short(residuals)
    if reason:
        return NotApplicable(name, reason)
    z = _scaled(residuals)
    # Signs follow the rank of a region in the panel, which is sorted by region id: results do not depend on row order.
    signs: FloatArray = np.random.default_rng(seed).integers(0, 2, size=n).astype(float) * 2.0 - 1.0
    pairs = 0.5 * (float(np.sum((signs[:, None] * z).sum(axis=0) ** 2)) / t - n)
    statistic = abs(float(np.sqrt(2.0 * (t - 1.0) / (n * (n - 1.0))) * pairs)) + _large_correlations(z)
    return _normal(name, statistic, CDW_REFERENCE.format(seed=seed))


def _large_correlations(z: FloatArray) -> float:
    """Σ_{i<j} |r_ij| over correlations above 2√(ln n/t); 0 beyond `DENSE_REGIONS` and when the bar is above one."""
    n, t = z.shape
    bar = 2.0 * np.sqrt(np.log(n) / t)
    if n > DENSE_REGIONS or bar >= 1.0:
        return 0.0
    r = np.abs(z @ z.T) / t
    np.fill_diagonal(r, 0.0)
    return float(r[r > bar].sum()) / 2.0


def _scaled(residuals: FloatArray) -> FloatArray:
    """Residuals with mean zero and mean square one over time in every region."""
    z = residuals - residuals.mean(axis=1, keepdims=True)
    return np.asarray(z / np.sqrt((z * z).mean(axis=1, keepdims=True)))


def _too_short(residuals: FloatArray) -> str:
    n, t = residuals.shape
    if t < 3 or n < 2:
        return f"correlations over time need at least three periods, and there are {t}"
    spread = np.ptp(residuals, axis=1)
    flat = int((spread <= 1e-12 * np.abs(residuals).max()).sum())
    return f"the residuals of {flat} regions do not vary over time" if flat else ""


def _normal(name: str, statistic: float, reference: str) -> HypothesisTest:
    return HypothesisTest(
        name=name,
        statistic=statistic,
        null=NULL,
        distribution="N(0, 1)",
        p_value=float(2.0 * stats.norm.sf(abs(statistic))),
        reference=reference,
    )
