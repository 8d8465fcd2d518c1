"""Several W made into one: mixtures, products, unions, intersections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError, check_option, show_labels
from spillover.typing import IslandPolicy, Standardisation
from spillover.weights.assemble import check_choices
from spillover.weights.islands import apply_island_policy
from spillover.weights.labels import check_same_ids
from spillover.weights.standardise import standardise as scale
from spillover.weights.weights import SpatialWeights

How = Literal["convex", "hadamard", "union", "intersection"]


def combine(
    weights: Mapping[str, SpatialWeights],
    how: How,
    shares: Mapping[str, float] | None = None,
    *,
    islands: IslandPolicy = "error",
    standardise: Standardisation | None = None,
) -> SpatialWeights:
    """One W from several of the same regions, aligned by id.

    ==============  =====================================================================================
    how             w_ij before standardisation
    ==============  =====================================================================================
    convex          Σ_k γ_k w_ij,k, γ_k ≥ 0, Σ γ_k = 1, of components in one standardisation
    hadamard        Π_k w_ij,k: near in every sense (geography × technology)
    union           1 where any of them has a link
    intersection    1 where all of them have a link
    ==============  =====================================================================================

    Parameters
    ----------
    weights : name → W, two or more.
    shares : name → γ, for "convex"; equal shares by default.
    islands : policy for regions that are left without a neighbour.
    standardise : of the result; by default that of the components for "convex", else "row".

    Raises
    ------
    AlignmentError : other regions. WeightsError : components of a mixture that are not standardised alike, since units
    would be added; row-standardised components of a product that is not row-standardised; no link left.
    OptionError : shares that are negative, do not sum to one or name others.

    Mixtures: Debarsy and LeSage (2018), Regional Science and Urban Economics 71. For W within groups see
    `spillover.weights.within_groups`.

    >>> from scipy.sparse import csr_matrix
    >>> a = SpatialWeights(csr_matrix([[0, 1.0, 0], [1, 0, 0], [1, 0, 0]]), ("x", "y", "z"), "a", "row")
    >>> b = SpatialWeights(csr_matrix([[0, 0, 1.0], [0, 0, 1], [0, 1, 0]]), ("x", "y", "z"), "b", "row")
    >>> combine({"a": a, "b": b}, "convex", {"a": 0.75, "b": 0.25}).matrix.toarray()[0].tolist()
    [0.0, 0.75, 0.25]
    """
    check_option("how", how, get_args(How))
    names = list(weights)
    if len(names) < 2:
        raise OptionError("a combination takes two or more W", got=show_labels(names) or "none")
    if shares is not None and how != "convex":
        raise OptionError(f"shares= are for a mixture, not for how={how!r}", fix='leave them out, or use how="convex"')
    chosen = standardise or (_common(weights) if how == "convex" else "row")
    check_choices(islands, chosen)
    first = weights[names[0]]
    for name in names[1:]:
        check_same_ids(first.regions, weights[name].regions, f"W {names[0]!r}", f"W {name!r}")
    aligned = {name: w.align(first.regions) for name, w in weights.items()}
    parts = [w.matrix for w in aligned.values()]
    if how == "convex":
        gammas = _shares(names, shares)
        matrix = reduce(lambda a, b: a + b, (g * part for g, part in zip(gammas, parts, strict=True)))
        kind = " + ".join(f"{g:.3g} × {aligned[name].kind}" for g, name in zip(gammas, names, strict=True))
    elif how == "hadamard":
        _check_product(aligned, chosen)
        # Scaled to a mean of one each, so that products of small numbers stay numbers; no standardisation changes.
        matrix = reduce(lambda a, b: a.multiply(b), (part / part.data.mean() for part in parts))
        kind = " × ".join(w.kind for w in aligned.values())
    else:
        patterns = [(part != 0).astype(float) for part in parts]
        matrix = reduce((lambda a, b: a.maximum(b)) if how == "union" else (lambda a, b: a.multiply(b)), patterns)
        kind = (" or " if how == "union" else " and ").join(w.kind for w in aligned.values())
    notes = tuple(dict.fromkeys(note for w in aligned.values() for note in w.notes))
    raw = SpatialWeights(
        sp.csr_matrix(matrix), first.regions, kind, island_policy="keep", notes=notes, names=first.names
    )
    if raw.matrix.nnz == 0:
        raise WeightsError(
            "no link is left",
            got=f"{how} of {show_labels(w.kind for w in aligned.values())}",
            causes=("the W link different pairs of regions",),
        )
    added = tuple(dict.fromkeys(link for w in aligned.values() for link in w.added))
    made = replace(raw, added=added if how in ("convex", "union") else ())
    return scale(apply_island_policy(made, islands), chosen)


def _common(weights: Mapping[str, SpatialWeights]) -> Standardisation:
    """The standardisation that all components of a mixture have."""
    forms = {name: w.standardisation for name, w in weights.items()}
    found = sorted(set(forms.values()))
    if len(found) > 1 or found == ["none"]:
        raise WeightsError(
            "components of a mixture are not standardised alike, so that shares would mix units",
            got=show_labels(f"{name}: {form}" for name, form in forms.items()),
            expected='all of them "row", or all "spectral", "scalar" or "min-max"',
            fix='standardise each first, for example W.standardise("spectral")',
        )
    return next(iter(forms.values()))


def _shares(names: list[str], shares: Mapping[str, float] | None) -> list[float]:
    if shares is None:
        return [1.0 / len(names)] * len(names)
    if set(shares) != set(names):
        raise OptionError("shares do not name the same W", got=show_labels(shares), expected=show_labels(names))
    gammas = [float(shares[name]) for name in names]
    if min(gammas) < 0.0 or not np.isclose(sum(gammas), 1.0, rtol=0.0, atol=1e-9):
        raise OptionError(
            "shares of a mixture are zero or more and sum to one",
            got=", ".join(f"{name} {g:g}" for name, g in zip(names, gammas, strict=True)) + f"; sum {sum(gammas):g}",
        )
    return gammas


def _check_product(weights: Mapping[str, SpatialWeights], standardise: Standardisation) -> None:
    rows = [name for name, w in weights.items() if w.standardisation == "row"]
    if rows and standardise != "row":
        raise WeightsError(
            "a row-standardised W in a product gives every receiver a scale of its own",
            got=f"{show_labels(rows)} row-standardised, the product {standardise!r}",
            fix='build these W with standardise="none", or take standardise="row" for the product',
        )
