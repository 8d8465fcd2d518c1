"""Industry–university–research ties: whose firms invent or publish together with whose universities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, ValueDomainError, check_option, show_labels
from spillover.panel.clean import to_ids, to_periods
from spillover.panel.panel import Period
from spillover.panel.tables import RawTable, open_table
from spillover.panel.wording import count_of
from spillover.typing import BoolArray, FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True, eq=False, repr=False)
class Ties:
    """Joint documents of firms and universities. Made by `read_ties`.

    Attributes
    ----------
    regions : n region ids.
    joint : (n, n) CSR of documents, counted in fractions; row = region of the firm, column = of the university. The
        diagonal holds the ties inside a region. A document counts one in sum.
    documents : (n,) documents in which a region takes part at all, each counted as one.
    window : periods that were counted, or ().
    notes : how it was made.
    """

    regions: tuple[str, ...]
    joint: sp.csr_matrix
    documents: FloatArray
    window: tuple[Period, ...] = ()
    notes: tuple[str, ...] = ()

    def tie_share(self) -> FloatArray:
        """(n,) share of a region's documents in which its firms work with a university anywhere; 0 without documents.

        In fractions as `joint`; a region index of industry–university–research correlation.
        """
        own = np.asarray(self.joint.sum(axis=1)).ravel()
        return np.divide(own, self.documents, out=np.zeros_like(own), where=self.documents > 0.0)

    def __repr__(self) -> str:
        span = f", {self.window[0]}–{self.window[-1]}" if self.window else ""
        return f"Ties: {len(self.regions)} regions, {self.joint.sum():.0f} joint documents{span}"


def read_ties(
    table: Any,
    *,
    document: str,
    region: str,
    role: str,
    period: str | None = None,
    window: tuple[int, int] | None = None,
    outcome_from: int | None = None,
    firms: Sequence[str] = ("firm",),
    universities: Sequence[str] = ("university", "institute"),
    regions: Sequence[str] | None = None,
    encoding: str | None = None,
) -> Ties:
    """Ties from a table with one row per document and participant.

    A document with F firms and U universities counts 1/(F U) for each pair of one and the other.

    Parameters
    ----------
    document, region, role : columns: id of the document (patent, paper), region of the participant, and what it is.
    firms, universities : texts of `role` that count as one and the other; other roles count for `documents` only.
    period, window : column of years, and the first and last year that count.
    outcome_from : first year of the outcome that W shall explain; the window must end before it, or W is made of the
        outcome.
    regions : all regions of the study; those of the table by default.

    Raises
    ------
    OptionError : a window that reaches into the outcome, or without `period`. ValueDomainError : no row in the window,
    no joint document. UnknownColumnError, AlignmentError : columns, regions.

    >>> import pandas as pd
    >>> rows = [("p1", "A", "firm"), ("p1", "B", "university"), ("p2", "A", "firm"), ("p2", "A", "university")]
    >>> ties = read_ties(pd.DataFrame(rows, columns=["id", "r", "is"]), document="id", region="r", role="is")
    >>> ties.joint.toarray().tolist(), ties.tie_share().tolist()
    ([[1.0, 1.0], [0.0, 0.0]], [1.0, 0.0])
    """
    raw = open_table(table, encoding)
    papers, _ = to_ids(raw, document, "document")
    places, _ = to_ids(raw, region, "region")
    roles, _ = to_ids(raw, role, "role")
    inside = _in_window(raw, period, window, outcome_from)
    names = tuple(sorted(set(places))) if regions is None else tuple(regions)
    position = {name: k for k, name in enumerate(names)}
    outside = sorted({place for place in places if place not in position})
    known = np.array([place in position for place in places])
    of_firm = np.isin(np.array(roles, dtype=object), list(firms))
    of_university = np.isin(np.array(roles, dtype=object), list(universities))
    _check_roles(of_firm, of_university, roles, firms, universities)
    where = np.array([position.get(place, -1) for place in places], dtype=np.int64)
    _, paper = np.unique(np.array(papers, dtype=object).astype(str), return_inverse=True)
    notes = [*raw.notes]
    if outside:
        notes.append(
            f"participants in {count_of(len(outside), 'region')} outside of the study count for fractions only"
        )
    joint = _pair_up(paper, where, of_firm & inside, of_university & inside, len(names))
    if joint.nnz == 0:
        raise ValueDomainError(
            "no document joins a firm with a university",
            got=f"{int(inside.sum())} rows in the window",
            causes=("document ids that are not shared by participants", "a window without data"),
        )
    both = np.unique(np.column_stack([paper, where])[inside & known], axis=0)
    documents = np.bincount(both[:, 1], minlength=len(names)).astype(float)
    years: tuple[Period, ...] = () if window is None else tuple(range(window[0], window[1] + 1))
    return Ties(names, joint, documents, years, tuple(notes))


def build_university_ties(
    ties: Ties,
    normalise: Literal["none", "salton"] = "none",
    direction: Literal["firms", "both"] = "firms",
    *,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
    names: Any = None,
) -> SpatialWeights:
    """Ties: w_ij = joint documents of firms in i and universities in j before standardisation.

    Parameters
    ----------
    normalise : "salton" divides by √(c_i c_j), c the documents of a region, so that large regions do not count twice.
    direction : "firms", who receive from universities, as above; "both" adds the ties of universities in i with firms
        in j.
    islands, standardise, links : as in `build_contiguity`. Ties inside a region are not part of a W.

    Raises
    ------
    IslandError : regions without a tie to another region, and no policy.
    """
    check_option("normalise", normalise, ("none", "salton"))
    check_option("direction", direction, ("firms", "both"))
    check_choices(islands, standardise)
    matrix = sp.lil_matrix(ties.joint)
    matrix.setdiag(0.0)
    counts = sp.csr_matrix(matrix)
    if direction == "both":
        counts = counts + counts.T
    if normalise == "salton":
        scale = np.divide(1.0, np.sqrt(ties.documents), out=np.zeros(len(ties.regions)), where=ties.documents > 0.0)
        counts = sp.diags_array(scale) @ counts @ sp.diags_array(scale)
    kind = "ties of firms with universities" + (", both ways" if direction == "both" else "")
    kind += ", Salton" if normalise == "salton" else ""
    raw = SpatialWeights(sp.csr_matrix(counts), ties.regions, kind, island_policy="keep", notes=ties.notes)
    return assemble(raw, links=links, islands=islands, standardise=standardise, names=names)


def _in_window(
    raw: RawTable, period: str | None, window: tuple[int, int] | None, outcome_from: int | None
) -> BoolArray:
    if window is None and outcome_from is None:
        return np.ones(len(raw.lines), dtype=bool)
    if period is None:
        raise OptionError("a window needs the column of years", fix='name it with period="…"')
    periods, _ = to_periods(raw, period)
    wrong = sorted({str(each) for each in periods if not isinstance(each, int)})
    if wrong:
        raise ValueDomainError("a window needs whole years", got=show_labels(wrong))
    years = np.array(periods, dtype=np.int64)
    first, last = (int(years.min()), int(years.max())) if window is None else window
    if outcome_from is not None and last >= outcome_from:
        raise OptionError(
            "the window of ties reaches into the years of the outcome: W would be made of what it explains",
            got=f"ties to {last}, outcome from {outcome_from}",
            expected=f"a window that ends in {outcome_from - 1} at the latest",
            fix=f"window=({outcome_from - 3}, {outcome_from - 1})",
        )
    inside: BoolArray = (years >= first) & (years <= last)
    if not inside.any():
        raise ValueDomainError(
            "no row is in the window", got=f"{first} to {last}", expected=f"years {years.min()} to {years.max()}"
        )
    return inside


def _check_roles(
    of_firm: BoolArray, of_university: BoolArray, roles: list[str], firms: Sequence[str], universities: Sequence[str]
) -> None:
    both = set(firms) & set(universities)
    if both:
        raise OptionError("a role is firm and university at once", got=show_labels(sorted(both)))
    for which, said in ((of_firm, "firms"), (of_university, "universities")):
        if not which.any():
            raise ValueDomainError(
                f"no participant has a role of {said}",
                got=show_labels(dict.fromkeys(roles)),
                fix=f"name the texts with {said}=[…]",
            )


def _pair_up(paper: IntArray, where: IntArray, firm: BoolArray, university: BoolArray, n: int) -> sp.csr_matrix:
    """(n, n) fractional counts; participants with position −1 take part in the fractions only."""
    papers = int(paper.max()) + 1
    size = np.bincount(paper[firm], minlength=papers), np.bincount(paper[university], minlength=papers)

    def table(which: BoolArray, shares: IntArray) -> sp.csr_matrix:
        rows, columns = paper[which], where[which]
        inside = columns >= 0
        values = 1.0 / shares[rows[inside]]
        return sp.csr_matrix((values, (rows[inside], columns[inside])), shape=(papers, n))

    made = sp.csr_matrix(table(firm, size[0]).T @ table(university, size[1]))
    made.eliminate_zeros()
    return made
