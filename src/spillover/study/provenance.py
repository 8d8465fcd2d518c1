"""Where the numbers of a study come from: versions, hashes, seed and time."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

from spillover import __version__
from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.study.result import Provenance
from spillover.weights.weights import SpatialWeights

_PACKAGES = ("numpy", "scipy", "pandas", "geopandas", "libpysal", "esda", "pydantic", "shapely")
_LENGTH = 16  # hex digits of a SHA-256: 64 bits tell files apart; this is no signature


def describe_provenance(seed: int, hashes: Mapping[str, str]) -> Provenance:
    """Versions and time beside the given seed and hashes; SOURCE_DATE_EPOCH sets the time."""
    return Provenance(
        version=__version__,
        python=platform.python_version(),
        created=created(),
        seed=seed,
        hashes=dict(hashes),
        packages={name: metadata.version(name) for name in _PACKAGES},
    )


def created() -> str:
    """Now, or SOURCE_DATE_EPOCH seconds after 1970, in UTC, to the second (ISO 8601)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        moment = datetime.datetime.now(datetime.UTC)
    else:
        try:
            moment = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        except (ValueError, OverflowError, OSError):
            raise OptionError(
                "the environment variable SOURCE_DATE_EPOCH is not a time",
                got=repr(epoch),
                expected="whole seconds since 1970, for example 1700000000",
            ) from None
    return moment.replace(microsecond=0).isoformat()


def hash_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, first 16 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:_LENGTH]


def hash_weights(weights: SpatialWeights) -> str:
    """SHA-256 of ids, positions and weights of W, first 16 hex digits.

    Weights enter with 12 significant digits, so that the last bit of a square root on another machine is not
    another W.
    """
    digest = hashlib.sha256("\n".join(weights.regions).encode())
    digest.update(np.asarray(weights.matrix.indptr, dtype="<i8").tobytes())
    digest.update(np.asarray(weights.matrix.indices, dtype="<i8").tobytes())
    digest.update(" ".join(f"{value:.11e}" for value in weights.matrix.data).encode())
    return digest.hexdigest()[:_LENGTH]


def hash_panel(panel: Panel) -> str:
    """SHA-256 of ids, periods and values of a panel, first 16 hex digits; for panels that no file holds."""
    digest = hashlib.sha256("\n".join((*panel.regions, *map(str, panel.periods))).encode())
    for name in sorted(panel.variables):
        digest.update(name.encode())
        digest.update(" ".join(f"{value:.11e}" for value in panel[name].ravel()).encode())
    return digest.hexdigest()[:_LENGTH]
