"""The innovation environment: policy, infrastructure and culture apart, and as one index; which do the data ask for?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from spillover.errors import OptionError, ValueDomainError, check_option, show_labels
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula
from spillover.moderators.interaction import moderate
from spillover.moderators.moderated import ModeratedFit
from spillover.moderators.moderator import read_moderators
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("policy", "infrastructure", "culture")
Scale: TypeAlias = Literal["log", "sd"]


@dataclass(frozen=True, eq=False, repr=False)
class EnvironmentFit:
    """An environment with its parts apart and as one index.

    Attributes
    ----------
    apart : the model in which every part moderates on its own.
    together : the model in which their index does.
    name : of the index. parts : names of the scaled parts.
    """

    apart: ModeratedFit
    together: ModeratedFit
    name: str
    parts: tuple[str, ...]

    def hypothesis_tests(self) -> tuple[HypothesisTest, ...]:
        """Whether one index is enough: every part counts alike on every side (Wald), or nothing is lost (LR).

        The index is the mean of the scaled parts, so that the model with the index is the model with the parts and
        equal coefficients.
        """
        estimates = self.apart.estimates
        columns = [column for column in self.apart.columns if column.moderator]
        rows = []
        for side, variable in dict.fromkeys((column.side, column.variable) for column in columns):
            same = [c.name for c in columns if (c.side, c.variable) == (side, variable)]
            for other in same[1:]:
                row = np.zeros(estimates.values.size)
                row[estimates.index(same[0])], row[estimates.index(other)] = -1.0, 1.0
                rows.append(row)
        null = f"one index is enough: {', '.join(self.parts)} moderate alike"
        ratio = 2.0 * (self.apart.statistics["log_likelihood"] - self.together.statistics["log_likelihood"])
        count = self.apart.estimates.values.size - self.together.estimates.values.size
        wald = estimates.wald(np.array(rows), null)
        named = {**vars(wald), "name": "Wald one index"}
        return (
            HypothesisTest(**named),
            HypothesisTest.chi2("LR one index", ratio, df=count, null=null, reference="likelihood ratio"),
        )

    def tests(self) -> pd.DataFrame:
        """`hypothesis_tests`, and those of either model (column model)."""
        import pandas as pd

        rows = [{"model": "both", **test.row()} for test in self.hypothesis_tests()]
        for label, fitted in (("parts", self.apart), ("index", self.together)):
            rows += [{"model": label, **test.row()} for test in fitted.hypothesis_tests()]
        return pd.DataFrame(rows)

    def effects(self, *, level: float = 0.95) -> pd.DataFrame:
        """Effects at quantiles of every part and of the index (column moderator), the others at their means."""
        import pandas as pd

        tables = [self.apart.effects(moderator=name, level=level) for name in self.parts]
        return pd.concat([*tables, self.together.effects(level=level)], ignore_index=True)

    def __repr__(self) -> str:
        return f"EnvironmentFit: {self.name} of {', '.join(self.parts)}; {self.together.fit!r}"


def moderate_environment(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    treatment: str | Sequence[str],
    parts: Sequence[str] | Mapping[str, str] = PARTS,
    scale: Scale = "log",
    name: str = "environment",
    **options: Any,
) -> EnvironmentFit:
    """`moderate` with the parts of an environment each on its own, and with their mean as one index.

    Parameters
    ----------
    parts : two or more expressions of panel variables, or name → expression.
    scale : "log" (parts must be positive; the index is the logarithm of their geometric mean, and coefficients relative
        to the effect at the centre are elasticities) or "sd" (standard deviations over all cells; the index is their
        mean).
    name : of the index. options : as in `moderate` (side, model, effects, covariance, …).

    Raises
    ------
    OptionError : fewer than two parts, or options that `moderate` gets from here. ValueDomainError : a part that is
        not positive, with scale="log". Everything that `moderate` raises.
    """
    given = sorted({"moderators", "pairs", "centre"} & set(options))
    if given:
        raise OptionError("the moderators of an environment are its parts", got=show_labels(given))
    check_kinds(panel, weights)
    index = build_index(panel, parts, scale, name, outcome=parse_formula(formula).response)
    shared = {"treatment": treatment, **options}
    return EnvironmentFit(
        moderate(formula, index.panel, weights, moderators=index.apart, **shared),
        moderate(formula, index.panel, weights, moderators=index.together, **shared),
        name,
        tuple(index.apart),
    )


@dataclass(frozen=True, eq=False)
class EnvironmentIndex:
    """The scaled parts of an environment and their mean as variables of a panel.

    Attributes
    ----------
    panel : with them. apart : name of each scaled part → its expression. together : the same of the index.
    """

    panel: Panel
    apart: dict[str, str]
    together: dict[str, str]


def build_index(
    panel: Panel,
    parts: Sequence[str] | Mapping[str, str],
    scale: Scale = "log",
    name: str = "environment",
    *,
    outcome: str | None = None,
) -> EnvironmentIndex:
    """Parts and index of an environment; parameters and errors as in `moderate_environment`.

    outcome : expression that no part may be made of.
    """
    check_option("scale", scale, get_args(Scale))
    if not isinstance(parts, Sequence | Mapping) or isinstance(parts, str) or len(parts) < 2:
        raise OptionError(
            "an environment has two parts or more, which are its moderators",
            got=f"parts={parts!r}",
            fix='give parts=("policy", "infrastructure", "culture")',
        )
    named = dict(parts) if isinstance(parts, Mapping) else list(parts)
    scaled = {z.name: _scaled(z.name, z.values, scale, panel) for z in read_moderators(panel, named, outcome=outcome)}
    labels = {f"log({part})" if scale == "log" else f"{part} (sd)": values for part, values in scaled.items()}
    if name in labels:
        raise OptionError("the index of an environment needs a name of its own", got=repr(name))
    labels[name] = np.mean(list(scaled.values()), axis=0)
    wide = panel.with_variables({f"environment part {label}": values for label, values in labels.items()})
    expressions = {label: f"`environment part {label}`" for label in labels}
    together = {name: expressions.pop(name)}
    return EnvironmentIndex(wide, expressions, together)


def _scaled(name: str, values: FloatArray, scale: str, panel: Panel) -> FloatArray:
    if scale == "sd":
        return np.asarray((values - values.mean()) / values.std())
    if (values <= 0).any():
        at = [f"{panel.regions[i]} in {panel.periods[j]}" for i, j in np.argwhere(values <= 0)]
        raise ValueDomainError(
            f"{name!r} is not positive everywhere, so it has no logarithm",
            got=show_labels(at),
            fix='use scale="sd"',
        )
    return np.asarray(np.log(values))
