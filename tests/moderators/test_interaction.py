"""Moderated effects against brute-force derivatives of the outcome; what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import DesignError, OptionError, UnknownColumnError
from spillover.models.fit import fit
from spillover.moderators.interaction import moderate
from spillover.moderators.moderated import ModeratedFit
from spillover.moderators.moderator import Moderator, PairModerator
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def draw_panel(weights: SpatialWeights, t: int, seed: int, *, rho: float = 0.4, fixed: bool = False) -> Panel:
    """y = ρWy + x(1 + .4z) + .5 Wx + .3 W(xz) − .2 z∘(Wx) − .5 c + effects + ε, z around 2."""
    rng = np.random.default_rng(seed)
    n = weights.n
    x, c = rng.normal(size=(2, n, t)) + rng.normal(size=(2, n, 1))
    z = 2.0 + 0.5 * rng.normal(size=(n, 1)) + (0.0 if fixed else 0.3) * rng.normal(size=(n, t))
    mean = x + 0.4 * x * (z - 2) + 0.5 * weights.lag(x) + 0.3 * weights.lag(x * (z - 2))
    mean = mean - 0.2 * (z - 2) * weights.lag(x) - 0.5 * c + 0.1 * z
    mean = mean + rng.normal(size=(n, 1)) + rng.normal(size=(1, t)) + 0.5 * rng.normal(size=(n, t))
    y = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), mean)
    return Panel(weights.regions, tuple(range(2000, 2000 + t)), {"y": y, "x": x, "c": c, "z": z})


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(30, 4, seed=3)))


@pytest.fixture(scope="module")
def panel(weights: SpatialWeights) -> Panel:
    return draw_panel(weights, 5, seed=1)


def brute_derivative(moderated: ModeratedFit, w: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(n, n) ∂y_i/∂x_j by central differences of the solved model, at z (n,), z centred."""
    b = dict(zip(moderated.estimates.names, moderated.estimates.values, strict=True))
    n = len(w)
    zc = z - moderated.moderators[0].centre
    s = np.eye(n) - b.get("rho", 0.0) * w

    def outcome(x: np.ndarray) -> np.ndarray:
        right = b["x"] * x + b["x:z"] * zc * x + b.get("W*x", 0.0) * (w @ x)
        right = right + b.get("x:z_sender", 0.0) * (w @ (zc * x)) + b.get("x:z_receiver", 0.0) * zc * (w @ x)
        return np.linalg.solve(s, right)

    start, h = np.random.default_rng(0).normal(size=n), 1e-3
    unit = np.eye(n) * h
    return np.column_stack([(outcome(start + d) - outcome(start - d)) / (2 * h) for d in unit])


def kinds(matrix: np.ndarray) -> np.ndarray:
    direct = np.trace(matrix) / len(matrix)
    total = matrix.sum() / len(matrix)
    return np.array([direct, total - direct, total])


@pytest.mark.parametrize("model", ["slx", "sdm", "sdem"])
@pytest.mark.parametrize("standardise", ["row", "scalar"])
def test_effects_are_derivatives_of_the_outcome(panel: Panel, model: str, standardise: str) -> None:
    w = named_weights(nearest(30, 4, seed=3) * np.random.default_rng(2).uniform(0.5, 1.5, (30, 30)), "none")
    w = w.standardise(standardise)  # type: ignore[arg-type]
    effects = "two-way" if standardise == "row" or model == "slx" else "individual"
    found = moderate("y ~ x + c", panel, w, treatment="x", moderators="z", model=model, effects=effects)
    dense, n = w.matrix.toarray(), w.n
    value = 2.6
    # every region at the value
    everywhere = kinds(brute_derivative(found, dense, np.full(n, value)))
    assert found.effects([value])["estimate"].to_numpy() == pytest.approx(everywhere, abs=1e-6)
    # one region at the value, the others at the centre: its own row, or its own column
    centre = found.moderators[0].centre
    rows, columns = np.zeros(2), np.zeros(2)
    for i in range(n):
        z = np.full(n, centre)
        z[i] = value
        m = brute_derivative(found, dense, z)
        rows += np.array([m[i, i], m[i].sum() - m[i, i]]) / n
        columns += np.array([m[i, i], m[:, i].sum() - m[i, i]]) / n
    assert found.effects([value], where="receiver")["estimate"].to_numpy()[:2] == pytest.approx(rows, abs=1e-6)
    assert found.effects([value], where="sender")["estimate"].to_numpy()[:2] == pytest.approx(columns, abs=1e-6)


def test_observed_effects_are_derivatives_with_the_moderator_as_it_was(panel: Panel, weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    m = brute_derivative(found, weights.matrix.toarray(), panel["z"].mean(axis=1))
    table = found.by_region()
    for kind, expected in (
        ("own", np.diag(m)),
        ("received", m.sum(axis=1) - np.diag(m)),
        ("emitted", m.sum(axis=0) - np.diag(m)),
    ):
        assert table[table["effect"] == kind]["estimate"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert found.average()["estimate"].to_numpy() == pytest.approx(kinds(m), abs=1e-6)


@pytest.mark.parametrize("where", ["all", "receiver", "sender"])
def test_standard_errors_are_the_delta_method(panel: Panel, weights: SpatialWeights, where: str) -> None:
    """Gradients by central differences in every parameter: moved estimates in the same fit."""
    from dataclasses import replace

    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    values, cov = found.estimates.values, found.estimates.cov

    def at(parameters: np.ndarray) -> np.ndarray:
        fitted, rho = found.fit, parameters[-1]
        terms = tuple(
            replace(t, value=rho, operator=replace(t.operator, rho=rho))  # type: ignore[type-var]
            for t in fitted.point.terms
        )
        moved = replace(
            fitted,
            point=replace(fitted.point, terms=terms),
            estimates=replace(fitted.estimates, values=parameters),
        )
        return replace(found, fit=moved).effects([1.5, 2.5], where=where)["estimate"].to_numpy()

    h = 1e-5
    gradient = np.column_stack([(at(values + d) - at(values - d)) / (2 * h) for d in h * np.eye(values.size)])
    expected = np.sqrt(np.diag(gradient @ cov @ gradient.T))
    assert found.effects([1.5, 2.5], where=where)["std_error"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_at_the_centre_effects_are_those_of_the_fit_itself(panel: Panel, weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    centre = found.moderators[0].centre
    ours = found.effects([centre])
    theirs = found.fit.effects(variables=["x"])
    for column in ("estimate", "std_error"):
        assert ours[column].to_numpy() == pytest.approx(theirs[column].to_numpy(), rel=1e-10)


def test_the_interactions_are_what_a_formula_would_estimate(weights: SpatialWeights) -> None:
    """Without the receiver's side the same model can be written as a formula: same likelihood, same coefficients."""
    panel = draw_panel(weights, 5, seed=4)
    zc = panel["z"] - panel["z"].mean()
    ours = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", side="sender")
    theirs = fit("y ~ x + c + z + x:zc", panel.with_variables({"zc": zc}), weights)
    assert ours.statistics["log_likelihood"] == pytest.approx(theirs.statistics["log_likelihood"], abs=1e-8)
    names = {"x:zc": "x:z", "W*x:zc": "x:z_sender"}
    for name, value, error in zip(
        theirs.estimates.names, theirs.estimates.values, theirs.estimates.std_errors, strict=True
    ):
        assert ours.estimates[names.get(name, name)] == pytest.approx(value, rel=1e-7)
        at = ours.estimates.index(names.get(name, name))
        assert ours.estimates.std_errors[at] == pytest.approx(error, rel=1e-6)


def test_planted_interactions_are_found() -> None:
    w = named_weights(row_standardised(lattice(15, 10, queen=True)))
    found = moderate("y ~ x + c", draw_panel(w, 12, seed=5), w, treatment="x", moderators="z", centre=2.0)
    truth = {"x": 1.0, "x:z": 0.4, "W*x": 0.5, "x:z_sender": 0.3, "x:z_receiver": -0.2, "c": -0.5, "rho": 0.4, "z": 0.1}
    for name, value in truth.items():
        at = found.estimates.index(name)
        assert abs(found.estimates.values[at] - value) < 3.5 * found.estimates.std_errors[at], name
    assert found.tests().set_index("test").loc["all sides: z", "p_value"] < 1e-6


def test_shift_of_the_centre_changes_words_but_not_effects(panel: Panel, weights: SpatialWeights) -> None:
    first = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    second = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", centre=0.0)
    assert second.moderators[0].centre == 0.0
    a, b = first.effects([1.0, 2.0, 3.0]), second.effects([1.0, 2.0, 3.0])
    for column in ("estimate", "std_error", "band_low"):
        assert a[column].to_numpy() == pytest.approx(b[column].to_numpy(), rel=1e-6, abs=1e-8)
    scaled = moderate(
        "y ~ x + c", panel.with_variables({"z": 1e4 * panel["z"]}), weights, treatment="x", moderators="z"
    )
    assert scaled.effects([1e4, 2e4])["estimate"].to_numpy() == pytest.approx(
        first.effects([1.0, 2.0])["estimate"].to_numpy(), rel=1e-7
    )


def test_reordering_regions_changes_nothing(panel: Panel, weights: SpatialWeights) -> None:
    order = np.random.default_rng(3).permutation(weights.n)
    other = SpatialWeights(
        weights.matrix[order][:, order], tuple(weights.regions[i] for i in order), weights.kind, "row"
    )
    a = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z").effects()
    b = moderate("y ~ x + c", panel, other, treatment="x", moderators="z").effects()
    assert a["estimate"].to_numpy() == pytest.approx(b["estimate"].to_numpy(), rel=1e-8)


# -- curve and Johnson–Neyman ------------------------------------------------------------------------


def test_johnson_neyman_bounds_are_where_the_interval_touches_zero(panel: Panel, weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    curve = found.curve("indirect", points=401)
    table = curve.tidy()
    critical = {
        "pointwise": stats.t.isf(0.025, found.estimates.df),
        "simultaneous": curve.band.critical,
    }
    assert critical["simultaneous"] > critical["pointwise"]
    ranges = curve.ranges()
    assert len(ranges)
    low, high = found.moderators[0].range
    for kind, c in critical.items():
        significant = np.abs(table["estimate"]) > c * table["std_error"]
        inside = np.zeros(len(table), dtype=bool)
        for row in ranges[ranges["kind"] == kind].itertuples():
            inside |= (table["value"] >= row.low) & (table["value"] <= row.high)
            for end in (row.low, row.high):
                if low < end < high:  # an inner bound: there the interval touches zero
                    at = found.effects([end]).set_index("effect").loc["indirect"]
                    assert abs(at["estimate"]) == pytest.approx(c * at["std_error"], rel=1e-8)
        assert (inside == significant).mean() > 0.99  # grid points next to a bound may round either way
    shares = ranges[ranges["kind"] == "pointwise"]["share"]
    assert shares.max() <= 1.0


def test_the_slope_of_the_curve_is_its_difference(panel: Panel, weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    curve = found.curve("total")
    table = found.effects([2.0, 3.0]).set_index("effect").loc["total"]
    assert curve.slope["slope"] == pytest.approx(float(np.diff(table["estimate"])[0]), rel=1e-9)


def test_band_is_wider_than_the_intervals_and_covers_the_line(panel: Panel, weights: SpatialWeights) -> None:
    """Truth of a line inside the whole band in 95 % of draws around it."""
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    z = found.moderators[0]
    grid = np.linspace(*z.range, 41)
    estimates = found.effects_at("x", "indirect", z, grid)
    curve = found.curve("indirect", points=41)
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(found.estimates.cov)
    df = found.estimates.df
    assert df is not None
    ends = found.effects_at("x", "indirect", z, np.array([grid[0], grid[-1]]))
    values, vectors = np.linalg.eigh(ends.cov)
    assert root.shape[0] == found.estimates.values.size
    draws = rng.standard_normal((4000, 2)) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    draws = draws / np.sqrt(rng.chisquare(df, (4000, 1)) / df)
    share = (grid - grid[0]) / (grid[-1] - grid[0])
    lines = draws[:, :1] * (1 - share) + draws[:, 1:] * share
    covered = (np.abs(lines) <= curve.band.critical * estimates.std_errors).all(axis=1).mean()
    assert covered == pytest.approx(0.95, abs=0.015)


# -- several moderators, pairs -----------------------------------------------------------------------


def test_several_moderators_are_separate_and_tested_together(panel: Panel, weights: SpatialWeights) -> None:
    rng = np.random.default_rng(9)
    wide = panel.with_variables({"u": rng.normal(size=panel.shape)})
    found = moderate("y ~ x + c", wide, weights, treatment="x", moderators={"env": "z", "noise": "u"}, side="receiver")
    assert {"x:env", "x:env_receiver", "x:noise", "x:noise_receiver", "W*env"} <= set(found.estimates.names)
    assert set(found.tests()["test"]) == {
        "own: env",
        "receiver: env",
        "all sides: env",
        "own: noise",
        "receiver: noise",
        "all sides: noise",
        "all moderators",
    }
    with pytest.raises(OptionError, match="several moderators"):
        found.effects()
    assert len(found.effects(moderator="env")) == 15


def test_pairs_moderate_the_links(panel: Panel, weights: SpatialWeights) -> None:
    """M = S^{-1}(βI + θW + θ_L W∘(L − L̄)) by brute force, and with all pairs at one L."""
    rng = np.random.default_rng(2)
    linkage = named_weights(sp.csr_matrix(rng.uniform(0.5, 1.5, (30, 30)) * (1 - np.eye(30))), "none")
    found = moderate("y ~ x + c", panel, weights, treatment="x", pairs={"linkage": linkage})
    pair = found.moderators[0]
    assert isinstance(pair, PairModerator)
    b, w = found.estimates, weights.matrix.toarray()
    gap = w * (linkage.matrix.toarray() - pair.centre)
    assert gap.sum() == pytest.approx(0.0, abs=1e-10)
    s = np.eye(30) - b["rho"] * w
    m = np.linalg.solve(s, b["x"] * np.eye(30) + b["W*x"] * w + b["x:linkage_pair"] * gap)
    assert found.average()["estimate"].to_numpy() == pytest.approx(kinds(m), abs=1e-10)
    at = np.linalg.solve(s, b["x"] * np.eye(30) + (b["W*x"] + b["x:linkage_pair"] * (1.4 - pair.centre)) * w)
    assert found.effects([1.4])["estimate"].to_numpy() == pytest.approx(kinds(at), abs=1e-10)
    with pytest.raises(OptionError, match="no value of one region"):
        found.effects([1.4], where="receiver")


def test_a_receivers_moderator_is_the_pair_moderator_of_its_rows(panel: Panel, weights: SpatialWeights) -> None:
    """L_ij = z_i gives the same column as the receiver's side (fixed z), up to the centre."""
    fixed = panel.with_variables({"z": panel["z"].mean(axis=1) + 5.0})
    rows = np.repeat(np.array(fixed["z"])[:, :1], 30, axis=1) * (1 - np.eye(30))
    table = named_weights(sp.csr_matrix(rows), "none")
    one = moderate("y ~ x + c", fixed, weights, treatment="x", moderators="z", side="receiver")
    two = moderate("y ~ x + c + I(x * z)", fixed, weights, treatment="x", pairs={"L": table}, lagged=["x", "c"])
    assert one.statistics["log_likelihood"] == pytest.approx(two.statistics["log_likelihood"], abs=1e-7)
    assert one.estimates["x:z_receiver"] == pytest.approx(two.estimates["x:L_pair"], rel=1e-6)


# -- words and refusals ------------------------------------------------------------------------------


def test_a_fixed_moderator_leaves_only_its_interactions(weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", draw_panel(weights, 5, 3, fixed=True), weights, treatment="x", moderators="z")
    assert "z" not in found.estimates.names
    assert any("absorb z, W*z" in note for note in found.notes)
    assert isinstance(found.moderators[0], Moderator)


def test_relative_is_the_ratio_with_its_delta_error(panel: Panel, weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", side="receiver")
    table = found.relative().set_index("term")
    b, cov = found.estimates, found.estimates.cov
    i, j = b.index("x:z_receiver"), b.index("W*x")
    ratio = b.values[i] / b.values[j]
    variance = (cov[i, i] - 2 * ratio * cov[i, j] + ratio**2 * cov[j, j]) / b.values[j] ** 2
    row = table.loc["x:z_receiver / W*x"]
    assert row["estimate"] == pytest.approx(ratio, rel=1e-12)
    assert row["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert row["base_t"] == pytest.approx(b.values[j] / b.std_errors[j], rel=1e-12)


def test_without_weights_there_is_an_own_effect_only(panel: Panel) -> None:
    found = moderate("y ~ x + c", panel, treatment="x", moderators="z", side="none", model="ols")
    table = found.effects([2.5]).set_index("effect")
    assert table.loc["indirect", "estimate"] == 0.0
    assert table.loc["indirect", "band_high"] == 0.0
    at = found.estimates["x"] + found.estimates["x:z"] * (2.5 - found.moderators[0].centre)
    assert table.loc["total", "estimate"] == pytest.approx(at, rel=1e-12)


def test_summary_shows_coefficients_effects_tests_and_notes(weights: SpatialWeights) -> None:
    found = moderate("y ~ x + c", draw_panel(weights, 5, 3, fixed=True), weights, treatment="x", moderators="z")
    text = found.summary()
    for part in (
        "x moderated by z · y ~ x + c",
        "x:z_receiver",
        "indirect: x | z =",
        "all sides: z",
        "note: The effects",
    ):
        assert part in text


def test_bad_input_is_refused_in_words(panel: Panel, weights: SpatialWeights) -> None:
    constant = panel.with_variables({"k": np.full(panel.shape, 3.0)})
    with pytest.raises(DesignError, match="the moderator 'k' is the same everywhere"):
        moderate("y ~ x + c", constant, weights, treatment="x", moderators="k")
    with pytest.raises(UnknownColumnError, match="the treatment"):
        moderate("y ~ x + c", panel, weights, treatment="q", moderators="z")
    with pytest.raises(OptionError, match="at least one moderator"):
        moderate("y ~ x + c", panel, weights, treatment="x")
    with pytest.raises(OptionError, match="no W x whose effect could be moderated"):
        moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", model="sar")
    with pytest.raises(OptionError, match="unknown value for side"):
        moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", side="left")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="centre"):
        moderate("y ~ x + c", panel, weights, treatment="x", moderators="z", centre=float("nan"))
    with pytest.raises(DesignError, match=r"x:[ab]_receiver`' is a combination of"):
        moderate("y ~ x + c", panel, weights, treatment="x", moderators={"a": "z", "b": "2 * z"}, model="slx")
    with pytest.raises(OptionError, match="table of pairs"):
        moderate("y ~ x + c", panel, weights, treatment="x", pairs={"L": pd.DataFrame()})  # type: ignore[dict-item]
    found = moderate("y ~ x + c", panel, weights, treatment="x", moderators="z")
    with pytest.raises(OptionError, match="finite values"):
        found.effects([np.nan])
    with pytest.raises(UnknownColumnError, match="no moderator"):
        found.effects(moderator="rd")
