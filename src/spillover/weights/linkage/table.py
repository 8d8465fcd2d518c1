"""`InputOutputTable`: flows between sectors, and the inverses of Leontief and Ghosh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import AlignmentError, UnknownColumnError, WeightsError, did_you_mean, show_labels
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class InputOutputTable:
    """Flows between S sectors in one currency. Made by `read_input_output`.

    With z_ss' the sales of sector s to sector s' and x gross output, A = Z x̂⁻¹ holds what a unit of s' needs of each s
    (its columns), B = x̂⁻¹ Z where a unit of s goes (its rows). L = (I − A)⁻¹ and G = (I − B)⁻¹ = x̂⁻¹ L x̂ add up all
    rounds. Source: Miller and Blair (2009), Input-Output Analysis, chapters 2 and 12.

    Attributes
    ----------
    sectors : S codes, text. labels : S names.
    flows : (S, S) Z; row sells, column buys.
    output : (S,) x, above zero.
    final_use : (S,) sales that are no input of a sector, or None.
    other_inputs : (S,) value added, imported inputs and taxes, or None.
    unit : currency and year.
    notes : how it was made.
    """

    sectors: tuple[str, ...]
    flows: FloatArray
    output: FloatArray
    labels: tuple[str, ...] = ()
    final_use: FloatArray | None = None
    other_inputs: FloatArray | None = None
    unit: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        s = len(self.sectors)
        flows, output = np.array(self.flows, dtype=float), np.array(self.output, dtype=float)
        if flows.shape != (s, s) or output.shape != (s,):
            raise WeightsError(
                "an input–output table has one row and one column of flows and one output per sector",
                got=f"flows {flows.shape} and output {output.shape} for {s} sectors",
                expected=f"({s}, {s}) and ({s},)",
            )
        if len(set(self.sectors)) < s:
            raise WeightsError("sector codes are not unique", got=show_labels(sorted(self.sectors), 12))
        if not (np.isfinite(flows).all() and np.isfinite(output).all()):
            i, j = np.nonzero(~np.isfinite(flows))
            told = [f"{self.sectors[a]} → {self.sectors[b]}" for a, b in zip(i, j, strict=True)]
            raise WeightsError("flows or outputs that are no finite numbers", got=show_labels(told) or "in the outputs")
        idle = ~(output > 0.0)
        if idle.any():
            raise WeightsError(
                "sectors without an output above zero have no coefficients",
                got=show_labels(f"{self.tell(k)}: {output[k]:g}" for k in np.flatnonzero(idle).tolist()),
                fix='leave them out with read_input_output(…, empty="drop"), or add them up with others',
            )
        negative = np.argwhere(flows < 0.0)
        if len(negative):
            raise WeightsError(
                "negative flows between sectors",
                got=show_labels(f"{self.sectors[a]} → {self.sectors[b]}: {flows[a, b]:g}" for a, b in negative),
                expected="sales of zero or more",
                causes=("by-products or subsidies booked as negative sales", "balancing of the table"),
                fix='read it with negatives="clip" (they become zero, which is noted)',
            )
        for name, array in (("flows", flows), ("output", output)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not self.labels:
            object.__setattr__(self, "labels", self.sectors)
        self._check_productive()

    def _check_productive(self) -> None:
        radius = self.spectral_radius
        if radius < 1.0:
            return
        need = self.flows.sum(axis=0) / self.output
        worst = np.argsort(-need)[:5].tolist()
        raise WeightsError(
            "the table is not productive: its sectors need more of each other than they make",
            got=f"spectral radius {radius:.4g} of the input coefficients; inputs per unit of output: "
            + show_labels(f"{self.tell(k)} {need[k]:.3g}" for k in worst),
            expected="a spectral radius below one (Hawkins and Simon)",
            causes=("flows and output in different units or prices", "flows that include imports, output that does not",
                    "rows and columns swapped"),
            fix="take output and flows of the same table and valuation",
        )  # fmt: skip

    # -- coefficients and inverses --------------------------------------------------------------

    @cached_property
    def spectral_radius(self) -> float:
        """Largest modulus of an eigenvalue of A, the same for B."""
        return float(np.abs(np.linalg.eigvals(self.input_coefficients)).max(initial=0.0))

    @cached_property
    def input_coefficients(self) -> FloatArray:
        """(S, S) A: a_ss' = z_ss' / x_s', what a unit of s' needs of s."""
        return self.flows / self.output[None, :]

    @cached_property
    def allocation_coefficients(self) -> FloatArray:
        """(S, S) B: b_ss' = z_ss' / x_s, the share of s that goes to s'."""
        return self.flows / self.output[:, None]

    @cached_property
    def leontief(self) -> FloatArray:
        """(S, S) L = (I − A)⁻¹: output of s for one unit of final use of s', over all rounds."""
        return np.asarray(np.linalg.inv(np.eye(len(self.sectors)) - self.input_coefficients), dtype=float)

    @cached_property
    def ghosh(self) -> FloatArray:
        """(S, S) G = (I − B)⁻¹: output of s' that one unit of primary input of s goes into, over all rounds."""
        return np.asarray(np.linalg.inv(np.eye(len(self.sectors)) - self.allocation_coefficients), dtype=float)

    @cached_property
    def upstreamness(self) -> FloatArray:
        """(S,) G ι: average number of stages between a sector and final use, 1 for what goes there at once.

        Source: Antràs, Chor, Fally and Hillberry (2012), American Economic Review 102(3), 412–416.
        """
        return self.ghosh.sum(axis=1)

    @cached_property
    def downstreamness(self) -> FloatArray:
        """(S,) ι'L: output of all sectors for one unit of final use of a sector (its output multiplier)."""
        return self.leontief.sum(axis=0)

    # -- balance --------------------------------------------------------------------------------

    def balance(self) -> pd.DataFrame:
        """One row per sector: what is missing in its row and in its column, in units and relative to output.

        row_gap = sales to sectors + final use − output; column_gap = inputs from sectors + other inputs − output. NaN
        where final use or other inputs are not known.
        """
        import pandas as pd

        unknown = np.full(len(self.sectors), np.nan)
        final = unknown if self.final_use is None else self.final_use
        other = unknown if self.other_inputs is None else self.other_inputs
        rows = self.flows.sum(axis=1) + final - self.output
        columns = self.flows.sum(axis=0) + other - self.output
        return pd.DataFrame(
            {
                "sector": list(self.sectors),
                "label": list(self.labels),
                "output": self.output,
                "row_gap": rows,
                "row_share": rows / self.output,
                "column_gap": columns,
                "column_share": columns / self.output,
            }
        )

    def check_balance(self, tolerance: float = 0.01) -> None:
        """`WeightsError` naming the sectors whose row or column misses output by more than this share, and how far."""
        table = self.balance()
        told = []
        for side in ("row", "column"):
            share = table[f"{side}_share"].to_numpy()
            for k in np.flatnonzero(np.abs(share) > tolerance).tolist():
                told.append((abs(float(share[k])), f"{side} of {self.tell(k)}: {100 * share[k]:+.3g} % of output"))
        if told:
            raise WeightsError(
                "the input–output table does not balance",
                got=show_labels(text for _, text in sorted(told, key=lambda pair: -pair[0])),
                expected=f"sales, and costs, within {100 * tolerance:g} % of output",
                causes=("final use or value added of another table", "imports counted on one side only",
                        "a statistical discrepancy that has its own column"),
                fix="name all columns of final use and all rows of other inputs, or give a larger tolerance",
            )  # fmt: skip

    # -- changes return copies ------------------------------------------------------------------

    def aggregate(self, groups: Mapping[str, str]) -> InputOutputTable:
        """Sectors added up into groups: sector → group; every sector needs one.

        >>> table = InputOutputTable(("a", "b", "c"), np.ones((3, 3)), np.full(3, 9.0))
        >>> table.aggregate({"a": "X", "b": "X", "c": "Y"}).flows.tolist()
        [[4.0, 2.0], [2.0, 1.0]]
        """
        lost = [code for code in self.sectors if not groups.get(code)]
        if lost:
            raise AlignmentError(f"{len(lost)} sectors have no group", got=show_labels(lost))
        names = tuple(dict.fromkeys(groups[code] for code in self.sectors))
        sums = np.zeros((len(names), len(self.sectors)))
        sums[[names.index(groups[code]) for code in self.sectors], np.arange(len(self.sectors))] = 1.0
        return replace(
            self,
            sectors=names,
            labels=names,
            flows=sums @ self.flows @ sums.T,
            output=sums @ self.output,
            final_use=None if self.final_use is None else sums @ self.final_use,
            other_inputs=None if self.other_inputs is None else sums @ self.other_inputs,
            notes=(*self.notes, f"{len(self.sectors)} sectors added up into {len(names)}"),
        )

    def positions(self, sectors: Sequence[str]) -> list[int]:
        """Positions of sectors; `UnknownColumnError` with a suggestion."""
        unknown = [code for code in sectors if code not in self.sectors]
        if unknown:
            raise UnknownColumnError(
                "sectors that the input–output table does not have",
                got=show_labels(unknown),
                expected="codes such as " + show_labels(self.sectors, 12),
                fix=did_you_mean(unknown[0], self.sectors) or None,
            )
        return [self.sectors.index(code) for code in sectors]

    def tell(self, k: int) -> str:
        """A sector as messages show it: code and name."""
        label = self.labels[k] if self.labels else self.sectors[k]
        return self.sectors[k] if label == self.sectors[k] else f"{self.sectors[k]} ({label})"

    def to_frame(self) -> pd.DataFrame:
        """One row per sector: output, upstreamness, downstreamness."""
        import pandas as pd

        return pd.DataFrame(
            {
                "sector": list(self.sectors),
                "label": list(self.labels),
                "output": self.output,
                "upstreamness": self.upstreamness,
                "downstreamness": self.downstreamness,
            }
        )

    def __repr__(self) -> str:
        return f"InputOutputTable: {len(self.sectors)} sectors, spectral radius {self.spectral_radius:.3f}"
