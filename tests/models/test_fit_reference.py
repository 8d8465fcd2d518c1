"""Fits against independent exact computations and other software.

Cigarettes: log sales on log real price and log real income, 46 US states 1963–1992 (Baltagi), exact ML computed
twice independently; reference numbers with six digits. Columbus: 49 tracts, spatialreg 1.2-6.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import spillover as so
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

SDM = {  # effects/correction: rho, logp, logy, W*logp, W*logy, sigma2, log-likelihood
    "individual/none": (0.457077, -0.929798, 0.548598, 0.579301, -0.577489, 0.00543396, 1598.7153),
    "individual/lee-yu": (0.457077, -0.929798, 0.548598, 0.579301, -0.577489, 0.00562134, 1522.8124),
    "time/none": (0.210886, -1.264972, 0.568820, 0.474304, -0.090007, 0.02679459, 531.3035),
    "time/lee-yu": (0.245991, -1.267654, 0.575073, 0.520200, -0.119692, 0.02729701, 512.4873),
    "two-way/none": (0.229200, -1.002451, 0.600653, 0.056462, -0.294995, 0.00497542, 1691.5383),
    "two-way/lee-yu": (0.271178, -0.999737, 0.599235, 0.107092, -0.308974, 0.00523721, 1571.2485),
}
ERRORS = {  # information matrix
    "individual/none": {"rho": 0.027356, "logp": 0.039455, "logy": 0.059114, "W*logp": 0.046104, "W*logy": 0.059922},
    "individual/lee-yu": {"rho": 0.027823, "logp": 0.040130, "logy": 0.060125},
}
EFFECTS = {  # direct, indirect, total of logp, then of logy
    "individual/none": (-0.907205, 0.261630, -0.645575, 0.500759, -0.553973, -0.053213),
    "time/lee-yu": (-1.253530, 0.262224, -0.991306, 0.576548, 0.027398, 0.603946),
    "two-way/none": (-1.013299, -0.213983, -1.227282, 0.590805, -0.194259, 0.396546),
    "two-way/lee-yu": (-1.012168, -0.212611, -1.224779, 0.588134, -0.189873, 0.398261),
}
LM = {  # form, null model → effects → LM lag, LM error, robust lag, robust error
    ("valid", "ols"): {
        "none": (66.4657, 153.0401, 58.2636, 144.8380),
        "individual": (131.8816, 247.1912, 28.5290, 143.8385),
        "time": (59.5515, 85.4093, 0.3251, 26.1830),
        "two-way": (60.4098, 73.0574, 1.1081, 13.7557),
    },
    ("valid", "slx"): {
        "none": (189.3224, 172.6466, 29.9035, 13.2277),
        "individual": (287.1526, 269.9226, 26.3800, 9.1500),
        "time": (80.3595, 76.4152, 25.9676, 22.0234),
        "two-way": (67.2153, 66.5944, 0.7797, 0.1588),
    },
    ("conventional", "ols"): {
        "none": (66.4657, 153.0401, 58.2636, 144.8380),
        "individual": (136.4292, 255.7150, 29.5127, 148.7985),
        "time": (44.0402, 62.8646, 0.3302, 19.1546),
        "two-way": (46.9005, 54.6548, 1.1563, 8.9106),
    },
}


@pytest.fixture(scope="module")
def cigarettes(data: Path) -> tuple[Panel, SpatialWeights]:
    panel = so.read_panel(data / "us_cigar" / "cigar.csv", region="state_name", period="year")
    weights = so.weights.from_file(data / "us_cigar" / "W_usa46_binary.csv", standardise="row")
    return panel, weights


FORMULA = "log(sales) ~ log(price / cpi) + log(ndi / cpi)"
NAMES = {"logp": "log(price / cpi)", "logy": "log(ndi / cpi)"}


def term(short: str) -> str:
    head, _, tail = short.rpartition("*")
    return short if short == "rho" else f"{head}*{NAMES[tail]}" if head else NAMES[tail]


@pytest.mark.data
@pytest.mark.parametrize("case", SDM)
def test_cigarettes_sdm(case: str, cigarettes: tuple[Panel, SpatialWeights]) -> None:
    effects, correction = case.split("/")
    fit = so.fit(FORMULA, *cigarettes, effects=effects, correction=correction, covariance="information")
    values = dict(zip(fit.estimates.names, fit.estimates.values, strict=True))
    found = [values[term(name)] for name in ("rho", "logp", "logy", "W*logp", "W*logy")]
    assert found == pytest.approx(SDM[case][:5], abs=1e-6)  # printed to six decimals
    assert fit.statistics["sigma2"] == pytest.approx(SDM[case][5], abs=1e-8)
    assert fit.statistics["log_likelihood"] == pytest.approx(SDM[case][6], abs=1e-4)
    errors = dict(zip(fit.estimates.names, fit.estimates.std_errors, strict=True))
    for name, expected in ERRORS.get(case, {}).items():
        assert errors[term(name)] == pytest.approx(expected, abs=1e-6)
    if case == "two-way/lee-yu":  # printed with five decimals
        assert errors["rho"] == pytest.approx(0.03461, abs=1e-5)
    if case in EFFECTS:
        assert fit.effects()["estimate"].tolist() == pytest.approx(EFFECTS[case], abs=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_cigarettes_lm_tests(effects: str, cigarettes: tuple[Panel, SpatialWeights]) -> None:
    tests = so.fit(FORMULA, *cigarettes, effects=effects).tests()
    for (form, null_model), values in LM.items():
        rows = tests[(tests["form"] == form) & (tests["null_model"] == null_model)]
        assert rows["statistic"].tolist() == pytest.approx(values[effects], abs=6e-5)  # printed to four decimals


COLUMBUS = {  # term: estimate, std. error; spatialreg 1.2-6, errors of lagsarlm analytic
    "ols": {
        "(Intercept)": (68.6189610950, 4.7354861338),
        "INC": (-1.5973108341, 0.3341307618),
        "HOVAL": (-0.2739314782, 0.1031986831),
    },
    "slx": {
        "(Intercept)": (74.5534269284, 6.7156410645),
        "INC": (-1.0973898268, 0.3738312813),
        "W*INC": (-1.3987456824, 0.5601246768),
        "W*HOVAL": (0.2148409543, 0.2079211899),
    },
    "sar": {
        "(Intercept)": (45.6032482483, 7.2574038533),
        "INC": (-1.0487281482, 0.3074059161),
        "HOVAL": (-0.2663348081, 0.0890962908),
        "rho": (0.4233254313, 0.1195104446),
    },
    "sdm": {
        "(Intercept)": (44.3200038816, 13.0454740226),
        "INC": (-0.9199061142, 0.3347419097),
        "W*INC": (-0.5839132860, 0.5742244987),
        "W*HOVAL": (0.2576843202, 0.1872348664),
        "rho": (0.4034626047, 0.1613338485),
    },
    "sem": {
        "(Intercept)": (60.2794691639, 5.3655939240),
        "INC": (-0.9573053017, 0.3342307542),
        "HOVAL": (-0.3045592596, 0.0920473153),
        "lambda": (0.5467530614, 0.1380507724),
    },
    "sdem": {
        "(Intercept)": (73.6450825278, 8.7238754404),
        "W*INC": (-1.2048760720, 0.5736415703),
        "lambda": (0.4035821371, 0.1635213798),
    },
    "sac": {
        "(Intercept)": (47.9153595809, 9.9855483050),
        "INC": (-1.0427493004, 0.3286279636),
        "rho": (0.3693742384, 0.1962525719),
        "lambda": (0.1464169932, 0.3010205483),
    },
    "gns": {
        "W*INC": (-0.7734097286, 1.7815272294),
        "rho": (0.2843764492, 0.9959490023),
        "lambda": (0.1632534649, 1.0908379697),
    },
}
COLUMBUS_LOGLIK = {
    "sem": -183.749428062057,
    "sdem": -181.778997106001,
    "sac": -182.555023803708,
    "gns": -181.580135621475,
    "ols": -187.377238812149,
    "slx": -183.970599187925,
    "sar": -182.673972010134,
    "sdm": -181.639254440351,
}
COLUMBUS_IMPACTS = {  # direct, indirect, total of INC, then of HOVAL
    "slx": (-1.0973898268, -1.3987456824, -2.4961355092, -0.2943897649, 0.2148409543, -0.0795488106),
    "sdem": (-1.0522584880, -1.2048760720, -2.2571345600, -0.2781741136, 0.1312450893, -0.1469290244),
    "sac": (-1.0804537662, -0.5730614626, -1.6535152288, -0.2899595856, -0.1537915545, -0.4437511401),
    "sar": (-1.1008954473, -0.7176833581, -1.8185788055, -0.2795832058, -0.1822627340, -0.4618459398),
    "sdm": (-1.0249878383, -1.4959260425, -2.5209138808, -0.2819673434, 0.2158440067, -0.0661233366),
}


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:ρ and λ share one W")
@pytest.mark.parametrize("model", COLUMBUS)
def test_columbus(model: str) -> None:
    import pandas as pd

    folder = Path(os.environ.get("SPILLOVER_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
    if not (folder / "data" / "columbus.csv").is_file():
        pytest.skip("the Columbus tracts are not here: set SPILLOVER_REFERENCE to the folder with data/columbus.csv")
    table = pd.read_csv(folder / "data" / "columbus.csv", skipinitialspace=True)
    table["tract"] = [f"{i:02d}" for i in range(1, len(table) + 1)]
    edges = pd.read_csv(folder / "data" / "columbus_queen_edges_1based.csv")
    links = pd.DataFrame({"focal": edges["row"].map("{:02d}".format), "neighbor": edges["col"].map("{:02d}".format)})
    panel = so.read_panel(table, region="tract")
    fit = so.fit("CRIME ~ INC + HOVAL", panel, so.weights.from_object(links), model=model)
    for name, (estimate, error) in COLUMBUS[model].items():
        at = fit.estimates.index(name)
        # nlminb stops at 1e-10 of the likelihood, so SAC and the nearly unidentified GNS are good to six digits.
        assert fit.estimates.values[at] == pytest.approx(estimate, rel=1e-6, abs=1e-6)
        assert fit.estimates.std_errors[at] == pytest.approx(error, rel=1e-6, abs=1e-6)
    assert fit.statistics["log_likelihood"] == pytest.approx(COLUMBUS_LOGLIK[model], abs=1e-9)
    if model in COLUMBUS_IMPACTS:
        assert fit.effects()["estimate"].tolist() == pytest.approx(COLUMBUS_IMPACTS[model], abs=1e-7)


def test_longley_keeps_nine_digits() -> None:
    # Longley (1967); NIST StRD certified values for the intercept and the GNP deflator, as carried by statsmodels.
    rows = [
        (60323, 83.0, 234289, 2356, 1590, 107608, 1947), (61122, 88.5, 259426, 2325, 1456, 108632, 1948),
        (60171, 88.2, 258054, 3682, 1616, 109773, 1949), (61187, 89.5, 284599, 3351, 1650, 110929, 1950),
        (63221, 96.2, 328975, 2099, 3099, 112075, 1951), (63639, 98.1, 346999, 1932, 3594, 113270, 1952),
        (64989, 99.0, 365385, 1870, 3547, 115094, 1953), (63761, 100.0, 363112, 3578, 3350, 116219, 1954),
        (66019, 101.2, 397469, 2904, 3048, 117388, 1955), (67857, 104.6, 419180, 2822, 2857, 118734, 1956),
        (68169, 108.4, 442769, 2936, 2798, 120445, 1957), (66513, 110.8, 444546, 4681, 2637, 121950, 1958),
        (68655, 112.6, 482704, 3813, 2552, 123366, 1959), (69564, 114.2, 502601, 3931, 2514, 125368, 1960),
        (69331, 115.7, 518173, 4806, 2572, 127852, 1961), (70551, 116.9, 554894, 4007, 2827, 130081, 1962),
    ]  # fmt: skip
    from fractions import Fraction

    from spillover.numerics.least_squares import Projection, project

    table = np.array(rows)
    columns = np.column_stack([np.ones(16), table[:, 1:], table[:, 0]])
    found = project(columns, 7)
    assert isinstance(found, Projection)
    exact = _solve_exactly([[Fraction(str(value)) for value in row] for row in columns.tolist()])
    assert found.coefficients[:, 0] == pytest.approx([float(value) for value in exact], rel=1e-9)


def _solve_exactly(rows: list[list]) -> list:  # type: ignore[type-arg]
    """Normal equations in rational arithmetic, by Gauss–Jordan elimination."""
    k = len(rows[0]) - 1
    system = [[sum(r[i] * r[j] for r in rows) for j in range(k + 1)] for i in range(k)]
    for i in range(k):
        system[i] = [value / system[i][i] for value in system[i]]
        for j in range(k):
            if j != i:
                factor = system[j][i]
                system[j] = [a - factor * b for a, b in zip(system[j], system[i], strict=True)]
    return [row[k] for row in system]
