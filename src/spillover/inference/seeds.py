"""What a seed may be."""

from __future__ import annotations

import numpy as np

from spillover.errors import OptionError


def check_seed(seed: int) -> int:
    """The seed as a plain int; `OptionError` unless it is a whole number of zero or more."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError("a seed is a whole number of zero or more", got=repr(seed), fix="use seed=1")
    return int(seed)
