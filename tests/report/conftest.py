"""A finished study made by hand: 30 square regions on a 5 × 6 grid, Chinese, accented and hostile names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from spillover.study.result import (
    Diagnostics,
    IndexSummary,
    Measure,
    ModelResult,
    MoranScatter,
    PanelSummary,
    Provenance,
    RegionalEffects,
    StudyResult,
    TruthRow,
    WeightsSummary,
)

ROWS, COLUMNS, PERIODS = 5, 6, (2018, 2019, 2020, 2021, 2022)
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example","click")',
    "江苏省",
    "Île-de-France",
    "</script><script>alert(2)</script>",
    "{{ 7 * 7 }}",
    "新疆维吾尔自治区",
    "$x_1$ & <b>bold</b>",
)


def tidy(term: str, estimate: float, error: float, **labels: str) -> dict[str, Any]:
    """A tidy row whose interval is estimate ± 1.96 standard errors and whose p-value is the normal one."""
    return {
        "term": term,
        "estimate": estimate,
        "std_error": error,
        "statistic": estimate / error,
        "p_value": math.erfc(abs(estimate / error) / math.sqrt(2)),
        "conf_low": estimate - 1.96 * error,
        "conf_high": estimate + 1.96 * error,
        **labels,
    }


def impact_rows(
    variable: str, direct: tuple[float, float], indirect: tuple[float, float]
) -> tuple[dict[str, Any], ...]:
    total = (direct[0] + indirect[0], math.hypot(direct[1], indirect[1]))
    return tuple(
        tidy(f"{effect} {variable}", value, error, variable=variable, effect=effect, horizon="long")
        for effect, (value, error) in (("direct", direct), ("indirect", indirect), ("total", total))
    )


def square(row: int, column: int) -> dict[str, Any]:
    x, y = 100.0 * column, 100.0 * row
    return {
        "type": "Polygon",
        "coordinates": [[[x, y], [x + 100, y], [x + 100, y + 100], [x, y + 100], [x, y]]],
    }


def build_result(
    *,
    formula: str = "log(patents) ~ log(lq) + log(rd)",
    treatment: str = "log(lq)",
    direct: tuple[float, float] = (0.12, 0.03),
    indirect: tuple[float, float] = (0.21, 0.07),
    model: str = "sdm",
    kind: str = "study",
    regional: bool = True,
    geometry: bool = True,
    periods: tuple[int | str, ...] = PERIODS,
    audit: dict[str, Any] | None = None,
    spread: float | None = 0.08,
    added: tuple[tuple[str, str, str], ...] = (),
    received: tuple[float, float] = (0.1, 0.01),
    treatment_unit: str = "ratio",
) -> StudyResult:
    n, t = ROWS * COLUMNS, len(periods)
    regions = tuple(f"R{i:02d}" for i in range(n))
    names = (*HOSTILE, *(f"Region {i:02d}" for i in range(len(HOSTILE), n)))
    lq = tuple(
        tuple(0.4 + 0.05 * (i % COLUMNS) + 0.03 * (i // COLUMNS) + 0.02 * j * math.sin(i) for j in range(t))
        for i in range(n)
    )
    patents = tuple(
        tuple(120.0 + 40.0 * (i % COLUMNS) ** 2 + 11.0 * j * (1 + math.cos(i)) for j in range(t)) for i in range(n)
    )
    patents = ((None, *patents[0][1:]), *patents[1:])
    features = [
        {"type": "Feature", "id": region, "properties": {}, "geometry": square(i // COLUMNS, i % COLUMNS)}
        for i, region in enumerate(regions)
    ]
    spatial = (tidy("W*log(lq)", 0.09, 0.05), tidy("rho", 0.35, 0.06)) if model == "sdm" else ()
    main = ModelResult(
        name="main",
        model=model,
        effects="two-way",
        correction="lee-yu" if model != "ols" else "none",
        covariance="cluster",
        weights="queen",
        formula=formula,
        treatment=treatment,
        coefficients=(tidy(treatment, direct[0] * 0.95, direct[1]), tidy("log(rd)", 0.3, 0.05), *spatial),
        impacts=()
        if model == "ols"
        else (*impact_rows(treatment, direct, indirect), *impact_rows("log(rd)", (0.31, 0.05), (0.02, 0.09))),
        information_errors=impact_rows(treatment, direct, (indirect[0], indirect[1] / 2)) if model == "sdm" else (),
        statistics={"log_likelihood": 123.456, "sigma2": 0.0123, "n_regions": n, "n_periods": t, "note": "text"},
        tests=(
            {
                "test": "Robust LM lag",
                "form": "valid",
                "null_model": "two-way",
                "statistic": 8.31,
                "df": 1.0,
                "distribution": "chi2(1)",
                "p_value": 0.0039,
                "null": "no spatial lag",
                "reference": "",
                "says": "“no spatial lag” is rejected at the 5 % level (p = 0.004).",
            },
            {
                "test": "Wald common factor",
                "form": "",
                "null_model": "",
                "statistic": 2.1,
                "df": 2.0,
                "distribution": "chi2(2)",
                "p_value": 0.35,
                "null": "the Durbin model reduces to a spatial error model (θ + ρβ = 0)",
                "reference": "",
                "says": "“the model reduces to SEM” is not rejected at the 5 % level (p = 0.350).",
            },
        ),
        notes=("Converged after 9 evaluations.",),
        spread=spread,
    )
    slx = main.model_copy(
        update={
            "name": "slx",
            "model": "slx",
            "correction": "none",
            "information_errors": (),
            "tests": (),
            "impacts": impact_rows(treatment, (0.13, 0.03), (0.1, 0.08)),
        }
    )
    moran = tuple(
        {
            "variable": v,
            "label": label,
            "period": p,
            "transform": transform,
            "statistic": base + 0.02 * j,
            "expected": -1 / (n - 1),
            "z": z,
            "p_value": pv,
        }
        for v, label, values in (
            ("lq", "HTI location quotient", ((0.42, "level", 4.0, 0.001), (0.03, "within", 0.5, 0.6))),
            ("patents", "Invention patents", ((0.31, "level", 3.0, 0.004), (-0.05, "within", 0.2, 0.8))),
        )
        for base, transform, z, pv in values
        for j, p in enumerate(periods)
    )
    z = tuple(math.sin(3.0 * i) * 1.4 for i in range(n))
    link_rows = tuple(
        {"sender": regions[i], "receiver": regions[i + 1], "effect": 0.05 - 0.002 * i}
        for i in range(12)
        if i % COLUMNS < 5
    )
    truth = (
        TruthRow(
            quantity="direct effect of log(lq)",
            truth=0.10,
            estimate=0.12,
            conf_low=0.0612,
            conf_high=0.1788,
            covered=True,
        ),
        TruthRow(
            quantity="spillover <b>all</b>", truth=0.40, estimate=0.21, conf_low=0.07, conf_high=0.35, covered=False
        ),
    )
    return StudyResult(
        title="High-tech agglomeration & regional innovation <test>",
        kind=kind,
        description="A synthetic study of 30 square regions, made to look at the report.",
        config={"study": {"title": "x"}},
        provenance=Provenance(
            version="0.1.0",
            python="3.11.9",
            created="2026-01-02T03:04:05Z",
            seed=7,
            hashes={"regions.csv": "0123456789abcdef"},
            packages={"numpy": "2.1.0"},
        ),
        panel=PanelSummary(
            regions=regions,
            names=names,
            periods=periods,
            variables=(
                {
                    "variable": "lq",
                    "label": "HTI location quotient",
                    "unit": treatment_unit,
                    "missing": 0,
                    "minimum": 0.31,
                    "median": 0.6,
                    "maximum": 1.02,
                    "within_share": 0.06,
                },
                {
                    "variable": "patents",
                    "label": "Invention patents",
                    "unit": "patents",
                    "missing": 1,
                    "minimum": 120.0,
                    "median": 540.5,
                    "maximum": 1234567.0,
                    "within_share": None,
                },
            ),
            log=("dropped period 2017: not in the table",),
            geometry={"type": "FeatureCollection", "features": features} if geometry else None,
            planar=True,
        ),
        weights=(
            WeightsSummary(
                name="queen",
                bounds=(-1.5, 1.0),
                facts={
                    "kind": "queen contiguity",
                    "standardisation": "row",
                    "links": 178,
                    "neighbours_mean": 5.93,
                    "islands": [],
                    "notes": ["R00 and R29 linked by hand"],
                    "added": [list(link) for link in added],
                },
            ),
        ),
        measures=(
            Measure(name="lq", label="HTI location quotient", unit=treatment_unit, role="agglomeration", values=lq),
            Measure(
                name="patents",
                label="Invention patents",
                unit="patents",
                role="innovation",
                values=patents,
                note="Applications, not grants.",
            ),
        ),
        index=IndexSummary(
            name="innovation_index",
            label="Innovation capability",
            note="",
            weights=(
                {
                    "indicator": "rd",
                    "dimension": "creation",
                    "direction": 1,
                    "weight": 0.6,
                    "goalpost_low": 0.0,
                    "goalpost_high": 9.5,
                },
                {
                    "indicator": "waste",
                    "dimension": "environment",
                    "direction": -1,
                    "weight": 0.4,
                    "goalpost_low": 1.0,
                    "goalpost_high": 12.0,
                },
            ),
            dimensions={"creation": lq},
        ),
        diagnostics=Diagnostics(
            moran=moran,
            scatters=(
                MoranScatter(variable="lq", period=periods[-1], z=z, lag=tuple(0.4 * v for v in z), regions=regions),
                MoranScatter(
                    variable="patents", period=periods[-1], z=z, lag=tuple(-0.1 * v for v in z), regions=regions
                ),
            ),
        ),
        models=(main, slx) if model == "sdm" else (main,),
        main="main",
        regional=RegionalEffects(
            variable=treatment,
            received=tuple(received[0] + received[1] * (i % 7) for i in range(n)),
            received_se=(0.03,) * n,
            emitted=tuple(0.02 * (i % COLUMNS) + 0.01 for i in range(n)),
            emitted_se=(0.02,) * n,
            own=(0.12,) * n,
            links=link_rows,
        )
        if regional
        else None,
        truth=truth if kind == "demo" else (),
        cautions=("Thirty regions cannot see a moderate spillover.",),
        audit=audit,
    )


@pytest.fixture
def make_result() -> Callable[..., StudyResult]:
    """The builder, so that a test can ask for another formula, sign or kind of study."""
    return build_result


@pytest.fixture(scope="session")
def study() -> StudyResult:
    """The plain study, shared: results are frozen."""
    return build_result()
