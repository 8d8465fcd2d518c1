"""The literature behind the methods, and how to cite them."""

from __future__ import annotations

from spillover.report.words import COVARIANCE_NAMES, MODEL_NAMES, describe_effects, describe_weights
from spillover.study.result import Moderators, StudyResult

_ALWAYS = (
    "Elhorst, J. P. (2014). Spatial Econometrics: From Cross-Sectional Data to Spatial Panels. Springer.",
    "LeSage, J. & Pace, R. K. (2009). Introduction to Spatial Econometrics. CRC Press.",
)
_LEE_YU = (
    "Lee, L.-F. & Yu, J. (2010). Estimation of spatial autoregressive panel data models with fixed effects. "
    "Journal of Econometrics 154: 165–185."
)
_LM_PANEL = (
    "Anselin, L., Le Gallo, J. & Jayet, H. (2008). Spatial panel econometrics. In: Mátyás, L. & Sevestre, P. (eds), "
    "The Econometrics of Panel Data, 3rd edition. Springer."
)
_SLX = "Halleck Vega, S. & Elhorst, J. P. (2015). The SLX model. Journal of Regional Science 55: 339–363."
_DISTANCE = (
    "Conley, T. G. (1999). GMM estimation with cross sectional dependence. Journal of Econometrics 92: 1–45.",
    "Davies, R. B. (1977). Hypothesis testing when a nuisance parameter is present only under the alternative. "
    "Biometrika 64: 247–254.",
    "Montiel Olea, J. L. & Plagborg-Møller, M. (2019). Simultaneous confidence bands: theory, implementation, and an "
    "application to SVARs. Journal of Applied Econometrics 34: 1–17.",
    "Wolak, F. A. (1987). An exact test for multiple inequality and equality constraints in the linear regression "
    "model. Journal of the American Statistical Association 82: 782–793.",
)
_CHANNELS = (
    "Cinelli, C. & Hazlett, C. (2020). Making sense of sensitivity: extending omitted variable bias. Journal of the "
    "Royal Statistical Society B 82: 39–67.",
    "Imai, K., Keele, L. & Yamamoto, T. (2010). Identification, inference and sensitivity analysis for causal "
    "mediation effects. Statistical Science 25: 51–71.",
    "Shapley, L. S. (1953). A value for n-person games. In: Contributions to the Theory of Games II. Princeton "
    "University Press.",
    "Tchetgen Tchetgen, E. J. & VanderWeele, T. J. (2012). On causal inference in the presence of interference. "
    "Statistical Methods in Medical Research 21: 55–75.",
)
_INTERACTIONS = (
    "Bauer, D. J. & Curran, P. J. (2005). Probing interactions in fixed and multilevel regression. Multivariate "
    "Behavioral Research 40: 373–400.",
    "Johnson, P. O. & Fay, L. C. (1950). The Johnson–Neyman technique, its theory and application. Psychometrika 15: "
    "349–367.",
)
_THRESHOLDS = (
    "Hansen, B. E. (1999). Threshold effects in non-dynamic panels: estimation, testing, and inference. Journal of "
    "Econometrics 93: 345–368.",
    "Hansen, B. E. (2000). Sample splitting and threshold estimation. Econometrica 68: 575–603.",
)
_MORAN = "Moran, P. A. P. (1950). Notes on continuous stochastic phenomena. Biometrika 37: 17–23."
_CLIFF_ORD = "Cliff, A. D. & Ord, J. K. (1981). Spatial Processes: Models and Applications. Pion."


def references(result: StudyResult) -> tuple[str, ...]:
    """The works that the methods of this study rest on, in alphabetical order."""
    works = list(_ALWAYS)
    if any(model.correction == "lee-yu" for model in result.models):
        works.append(_LEE_YU)
    if any("lm" in str(row.get("test", "")).lower() for model in result.models for row in model.tests):
        works.append(_LM_PANEL)
    if any(model.model in ("slx", "sdm", "sdem", "gns") for model in result.models):
        works.append(_SLX)
    if result.diagnostics.moran:
        works += [_MORAN, _CLIFF_ORD]
    if result.distance is not None:
        works += (_SLX, *_DISTANCE)
    if result.mechanisms is not None:
        works += _CHANNELS
    if result.moderators is not None:
        works += _INTERACTIONS if result.moderators.interactions or result.moderators.environment else ()
        works += _THRESHOLDS if result.moderators.thresholds else ()
    return tuple(sorted(set(works)))


def methods_text(result: StudyResult) -> tuple[str, ...]:
    """A methods paragraph that a paper can take over, one sentence each."""
    model = result.model()
    lagged = "" if model.model == "ols" else f" with W: {describe_weights(result, model.weights)}"
    likelihood = "quasi-maximum likelihood with the exact log-determinant"
    estimator = "least squares" if model.model in ("ols", "slx") else likelihood
    sentences = [
        f"The {MODEL_NAMES.get(model.model, model.model)}, {model.formula}, with "
        f"{describe_effects(model)}, was estimated by {estimator}{lagged}.",
    ]
    if model.correction == "lee-yu":
        sentences.append("Fixed effects were removed with the orthonormal transformation of Lee and Yu (2010).")
    covariance = COVARIANCE_NAMES.get(model.covariance, model.covariance)
    sentences.append(
        f"Inference uses {covariance}; direct, indirect and total effects follow LeSage and Pace (2009), with standard "
        "errors by the delta method; intervals are at the 95 % level."
    )
    if result.distance is not None:
        found = result.distance
        sentences.append(
            f"The decay with distance ({found.distances}) was estimated by profile likelihood in an "
            f"{MODEL_NAMES.get(found.model, found.model)} with the {found.decay['law']} law; the interval of the "
            f"half-distance is by {found.decay['interval_method'].replace('chi2', 'χ²')}. Effects by ring have "
            "simultaneous (sup-t) bands."
        )
    if result.mechanisms is not None:
        sentences.append(
            "Effects by channel are products of matrices along the paths of a recursive system of equations, with "
            f"standard errors by the delta method from the joint covariance of all its coefficients "
            f"({result.mechanisms.covariance})."
        )
    if result.moderators is not None:
        sentences += _moderators(result.moderators)
    if result.index is not None:
        sentences.append(
            "The innovation-capability index uses goalposts and entropy weights pooled over all regions and periods."
        )
    return tuple(sentences)


def _moderators(found: Moderators) -> list[str]:
    sentences = []
    if found.interactions or found.environment is not None:
        sentences.append(
            "Moderators enter as products with the treatment, its own and next door; effects at their values have "
            "simultaneous (sup-t) bands, and regions of significance (Johnson–Neyman) are those of the bands."
        )
    if found.thresholds:
        sentences.append(
            "Thresholds were searched over all values of their variable (Hansen 1999), tested by a wild bootstrap "
            "whose multipliers are correlated in space, and have likelihood-ratio sets scaled for unequal variances "
            "(Hansen 2000)."
        )
    if found.strengths:
        sentences.append(
            "Strengths of the feedback that depend on a moderator were estimated from score equations that remove what "
            "all regions share and what goes with the moderator in each period."
        )
    return sentences


def citation(result: StudyResult) -> str:
    """How to cite the software with which the numbers were made."""
    year = result.provenance.created[:4]
    return (
        f"spillover {result.provenance.version} ({year}): spatial spillovers of high-tech agglomeration on regional "
        "innovation. Python package."
    )
