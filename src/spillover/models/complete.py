"""What every design asks of its variables: no cell missing, and something left once the effects are removed."""

from __future__ import annotations

import numpy as np

from spillover.errors import MissingCellError, show_labels
from spillover.panel.panel import Panel
from spillover.typing import FloatArray

ABSORBED_SHARE = 1e-9
"""Of a column's length that must survive the removal of effects; less is rounding."""


def check_complete(
    columns: dict[str, FloatArray], panel: Panel, *, causes: tuple[str, ...], fix: str, of: str = "the model"
) -> None:
    """Refuse missing and infinite cells of (n, t) columns, naming variable, region and period.

    Raises
    ------
    MissingCellError : with the `causes` and the `fix` that suit the model.
    """
    holes = [
        f"{name} of {panel.regions[i]} in {panel.periods[j]}"
        for name, values in columns.items()
        if not np.isfinite(values).all()
        for i, j in np.argwhere(~np.isfinite(values))
    ]
    if holes:
        raise MissingCellError(
            f"{len(holes)} cells of {of} are missing or not finite", got=show_labels(holes), causes=causes, fix=fix
        )


def is_absorbed(left: FloatArray, values: FloatArray) -> bool:
    """Whether `left`, what the effects leave of `values`, is rounding."""
    return bool(np.linalg.norm(left) <= ABSORBED_SHARE * float(np.linalg.norm(values)))
