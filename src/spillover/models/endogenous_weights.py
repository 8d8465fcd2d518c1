"""Is a W that is built from economic variables exogenous? A control function tests it.

z = κ'x + v is what W is built from; y = ρ W y + X β + v δ + e. If v moves with the error of y, W does, too, and ρ is
biased. Given v, W is exogenous: with the residuals v̂ of z among the regressors, δ = 0 is the hypothesis of an exogenous
W, and the augmented model estimates ρ whatever δ is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spillover.errors import DesignError, OptionError, show_labels
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import fit_spec
from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

SOURCE = "Qu and Lee (2015), Journal of Econometrics 184, 209–232"


@dataclass(frozen=True, eq=False, repr=False)
class WeightsExogeneity:
    """A test that W is exogenous.

    Attributes
    ----------
    test : Wald test that the first-stage residuals do not enter the outcome.
    fit : the augmented model; its ρ takes the residuals into account, its errors do not know that they were estimated.
    plain : the same model without residuals.
    first_stages : one least-squares fit per variable of W.
    residual_terms : names of the residuals among the coefficients.
    """

    test: HypothesisTest
    fit: SpatialFit
    plain: SpatialFit
    first_stages: tuple[SpatialFit, ...]
    residual_terms: tuple[str, ...]

    @property
    def exogenous(self) -> bool:
        """Whether exogeneity is not rejected at 5 %."""
        return not self.test.rejects()

    def __repr__(self) -> str:
        return (
            f"WeightsExogeneity: {self.test.sentence()} ρ is {self.plain.rho:.3f} without and {self.fit.rho:.3f} with "
            "the control function"
        )


def weights_exogeneity(
    formula: str,
    panel: Panel,
    weights: SpatialWeights,
    first_stage: str | Sequence[str],
    *,
    model: ModelName = "sar",
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
) -> WeightsExogeneity:
    """Test whether a W built from economic variables is exogenous to the outcome.

    Parameters
    ----------
    formula : of the outcome, "log(patents) ~ log(rd)".
    weights : W as built from the variables on the left of `first_stage`.
    first_stage : "gdp ~ ports + rd" for each variable of W; regressors that are exogenous to the outcome. If the
        variable is also a regressor of the outcome, it needs at least one that is not.
    model : with a spatial lag of the outcome. effects, covariance, lagged : as in `spillover.fit`, effects also of the
        first stage.

    Raises
    ------
    OptionError : a model without W y. DesignError : the variable of W does not vary within regions while region effects
    are removed, or its residuals are collinear with the regressors.

    The Wald test is right under its null, where estimating v̂ does not matter. Region effects absorb what is constant
    in v: then only changes of v can show an endogenous W.
    Cost: three fits. Source: Qu and Lee (2015), Journal of Econometrics 184, 209–232.
    """
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        covariance=covariance,
        lagged=lagged,
    )
    if not spec.has_spatial_lag:
        raise OptionError(
            "an endogenous W matters where W y is in the model",
            got=f"model={model!r}",
            expected="sar, sdm, sac or gns",
        )
    plain = fit_spec(spec, panel, weights)
    stages, residuals, names = [], {}, []
    for number, text in enumerate([first_stage] if isinstance(first_stage, str) else first_stage):
        stage = _first_stage(text, panel, spec)
        name = _unused(f"residual_of_w{number or ''}", panel)
        stages.append(stage)
        names.append(name)
        residuals[name] = stage.residuals
    own = parse_formula(formula)
    again = spec.with_changes(
        formula=f"{formula} + {' + '.join(names)}",
        lagged=(tuple(own.names) if spec.lagged is None else spec.lagged) if spec.has_lagged_regressors else None,
    )
    try:
        augmented = fit_spec(again, panel.with_variables(residuals), weights)
    except DesignError as error:
        raise DesignError(
            "the residuals of the first stage are collinear with the regressors of the outcome",
            got=str(error).splitlines()[0],
            causes=("the variable of W is a regressor of the outcome, and its first stage has no other regressor",),
            fix="give the first stage a regressor that the outcome does not have",
        ) from None
    rows = np.zeros((len(names), len(augmented.estimates.names)))
    for row, name in enumerate(names):
        rows[row, augmented.estimates.index(name)] = 1.0
    what = show_labels(stage.spec.formula.split("~")[0].strip() for stage in stages)
    wald = augmented.estimates.wald(rows, f"W is exogenous (the residuals of {what} do not enter the outcome)")
    test = HypothesisTest(
        name="exogeneity of W (control function)",
        statistic=wald.statistic,
        null=wald.null,
        distribution=wald.distribution,
        p_value=wald.p_value,
        df=wald.df,
        reference=SOURCE,
    )
    return WeightsExogeneity(test, augmented, plain, tuple(stages), tuple(names))


def _first_stage(text: str, panel: Panel, spec: ModelSpec) -> SpatialFit:
    """Least squares of a variable of W, with the effects of the outcome."""
    found = fit_spec(ModelSpec(text, model="ols", effects=spec.effects, correction=spec.correction), panel)
    left: FloatArray = found.residuals
    if float(np.sqrt(np.mean(left**2))) <= 1e-9 * float(np.abs(found.point.design.y_raw).max(initial=0.0)):
        raise DesignError(
            "nothing is left of a variable of W once effects and regressors are removed",
            got=text,
            causes=(
                "the variable is constant in time and region effects absorb it",
                "its regressors explain it completely",
            ),
            fix='use effects="time" or "none", or a variable that changes over time',
        )
    return found


def _unused(stem: str, panel: Panel) -> str:
    while stem in panel:
        stem += "_"
    return stem
