"""Which regressors also enter as W x: chosen by name, refused in the same words by every estimator."""

from __future__ import annotations

from collections.abc import Sequence

from spillover.errors import OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.models.formula import term_name

DURBIN_MODELS = ("slx", "sdm", "sdem", "gns")
"""The models with W x."""


def check_lagged(model: str, lagged: Sequence[str] | None) -> None:
    """Raise OptionError where `lagged` is given to a model without W x."""
    if lagged is not None and model not in DURBIN_MODELS:
        raise OptionError(
            f"a {model} model has no W x terms, so 'lagged' does not apply",
            fix="leave it out, or use a model with W x, such as 'slx' or 'sdm'",
        )


def choose_lagged(names: Sequence[str], model: str, lagged: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the regressors that also enter as W x, in the order of `names`.

    Parameters
    ----------
    names : the regressors of the formula. lagged : those asked for, as a user writes them; None for all.

    Raises
    ------
    OptionError : a model without W x; an empty choice. UnknownColumnError : a name that is no regressor.
    """
    check_lagged(model, lagged)
    if model not in DURBIN_MODELS:
        return ()
    if lagged is None:
        return tuple(names)
    if not lagged:
        raise OptionError(f"a {model} model with no lagged regressor", fix="use model='ols' or 'sar'")
    chosen = {asked: term_name(asked) for asked in lagged}
    for asked, name in chosen.items():
        if name not in names:
            raise UnknownColumnError(
                f"{asked!r} is to be lagged in space but is not a regressor of the formula",
                expected=show_labels(names, 12),
                fix=did_you_mean(name, names) or "write the term as it stands in the formula, e.g. log(lq)",
            )
    return tuple(name for name in names if name in chosen.values())
