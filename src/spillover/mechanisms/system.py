"""`System`: the equations of a mediation system in causal order, their arrows and their paths; all checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spillover.errors import DesignError, FormulaError, OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.mechanisms.equation import OUTCOME, Equation, Term, variables_of
from spillover.models.formula import plain
from spillover.panel.expressions import divisors_in

TREATMENT = "treatment"
DIRECT = "not through a channel"
MOST_MEDIATORS = 5  # on one path
RESERVED = (TREATMENT, OUTCOME, DIRECT, "all channels", "total")


@dataclass(frozen=True)
class Path:
    """The mediators that an effect passes, in order; none for the effect not through a channel."""

    mediators: tuple[str, ...]

    @property
    def name(self) -> str:
        """ "personnel mobility", or "transfers → cooperation"."""
        return " → ".join(self.mediators) or DIRECT

    @property
    def channel(self) -> str:
        """The channel through which the path enters the outcome: its last mediator."""
        return self.mediators[-1] if self.mediators else DIRECT


@dataclass(frozen=True)
class System:
    """A recursive system. Made by `build_system`.

    Attributes
    ----------
    treatment : expression whose effect is divided over the channels.
    equations : those of the mediators in causal order, then that of the outcome.
    """

    treatment: str
    equations: tuple[Equation, ...]

    @property
    def outcome(self) -> Equation:
        """The last equation."""
        return self.equations[-1]

    @property
    def mediators(self) -> tuple[Equation, ...]:
        """All equations but the outcome's."""
        return self.equations[:-1]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the mediators."""
        return tuple(equation.name for equation in self.mediators)

    @cached_property
    def nodes(self) -> dict[str, str]:
        """Expression → node: the treatment and the mediators."""
        return {plain(self.treatment): TREATMENT, **{plain(e.response): e.name for e in self.mediators}}

    def sources_of(self, term: Term) -> list[str]:
        """The nodes among the factors of a term, with repetition: ["competition", "competition"] for its square."""
        return [self.nodes[key] for key in map(plain, term.factors) if key in self.nodes]

    @cached_property
    def arrows(self) -> frozenset[tuple[str, str]]:
        """(source node, target equation)."""
        return frozenset(
            (source, e.name) for e in self.equations for term in e.terms for source in self.sources_of(term)
        )

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Every directed path from the treatment to the outcome; the one without mediators first, if it is there."""
        found: list[tuple[str, ...]] = []

        def walk(at: str, passed: tuple[str, ...]) -> None:
            for equation in self.equations:
                if (at, equation.name) in self.arrows:
                    if equation.name == OUTCOME:
                        found.append(passed)
                    else:
                        walk(equation.name, (*passed, equation.name))

        walk(TREATMENT, ())
        order = {name: i for i, name in enumerate(self.channels)}
        return tuple(Path(p) for p in sorted(found, key=lambda p: (len(p) > 0, [order[m] for m in p[::-1]])))

    def equation(self, name: str) -> Equation:
        """The equation of a channel, or "outcome"."""
        for found in self.equations:
            if found.name == name:
                return found
        raise UnknownColumnError(
            f"there is no channel {name!r}",
            expected=show_labels(self.channels, 12),
            fix=did_you_mean(name, self.channels) or None,
        )


def build_system(
    treatment: str, mediators: Mapping[str, Equation], outcome: Equation, outcome_parts: Sequence[str] = ()
) -> System:
    """Order the equations and refuse what is no mediation.

    Raises
    ------
    OptionError : a variable that is treatment and mediator, mediator and outcome, or mediator and part of the outcome
        index (`outcome_parts`); a mediator that stands for two channels.
    DesignError : a cycle; a mediator that the treatment does not reach or that leads nowhere.
    FormulaError : a treatment or mediator inside another expression, where its effect could not be told.
    """
    _check_overlap(treatment, mediators, outcome, outcome_parts)
    unordered = System(plain(treatment), (*mediators.values(), outcome))
    system = System(unordered.treatment, (*_causal_order(unordered), outcome))
    for equation in system.equations:
        _check_hidden(system, equation)
    _check_reach(system)
    return system


def check_names(mediators: Mapping[str, object]) -> None:
    """Refuse an empty system and names that results could not tell apart."""
    if not mediators:
        raise OptionError("a mediation needs a mediator", fix='give mediators={"personnel mobility": "talent ~ hti"}')
    bad = [
        name for name in mediators if not name.strip() or name.strip().lower() in RESERVED or "→" in name or ":" in name
    ]
    if bad:
        raise OptionError(
            "names that channels cannot have",
            got=show_labels(map(repr, bad)),
            expected=f"a name without ':' and '→' that is none of {', '.join(RESERVED)}",
        )


def _check_overlap(
    treatment: str, mediators: Mapping[str, Equation], outcome: Equation, outcome_parts: Sequence[str]
) -> None:
    """A variable has one part in the story; a common divisor (population) is no such part."""
    responses: dict[str, str] = {}
    for name, equation in mediators.items():
        other = responses.setdefault(plain(equation.response), name)
        if other != name:
            raise OptionError(
                f"{equation.response!r} stands for two channels", got=f"{other}, {name}", fix="name it once"
            )
    told = {"the treatment": treatment, **{f"the mediator {name!r}": e.response for name, e in mediators.items()}}
    told["the outcome"] = outcome.response
    named = list(told.items())
    for i, (first, left) in enumerate(named):
        for second, right in named[i + 1 :]:
            shared = variables_of(left) & variables_of(right)
            shared -= set(_divisors(left)) & set(_divisors(right))
            if shared:
                raise OptionError(
                    f"{show_labels(sorted(shared))} is part of {first} and of {second}",
                    got=f"{left}; {right}",
                    expected="different variables: what is partly itself explains itself",
                    causes=("a share, a ratio or an index that contains the other variable",),
                    fix="use another variable for one of the two, or take it out of the index",
                )
    for name, equation in mediators.items():
        inside = sorted(variables_of(equation.response) & set(outcome_parts))
        if inside:
            raise OptionError(
                f"the mediator {name!r} is part of the outcome index",
                got=show_labels(inside),
                expected=f"a mediator outside the {len(outcome_parts)} indicators of the index",
                fix="take the indicator out of the index, or leave the channel out",
            )


def _divisors(expression: str) -> tuple[str, ...]:
    return divisors_in(plain(expression))


def _causal_order(system: System) -> list[Equation]:
    """Mediators such that sources come first, in the order given where several could; names the cycle otherwise."""
    left, done, ordered = list(system.mediators), set(), []
    response = plain(system.outcome.response)
    for equation in system.mediators:
        if any(plain(factor) == response for factor in equation.expressions):
            raise DesignError(
                f"the outcome stands in the equation of {equation.name!r}",
                got=equation.text,
                causes=("reverse causation within a period cannot be told from mediation",),
                fix="leave it out, or use its time lag as a control: lag(...)",
            )
    while left:
        free = [e for e in left if not any((other.name, e.name) in system.arrows for other in left)]
        if not free:
            raise DesignError(
                "the mediators form a cycle, so that none comes first",
                got=" → ".join(_find_cycle(system, left)),
                expected="an order: personnel mobility may drive cooperation, or the other way round, not both",
                fix="leave out one of the arrows, or let one of them act with a time lag: lag(...)",
            )
        ordered.append(free[0])
        done.add(free[0].name)
        left.remove(free[0])
    return ordered


def _find_cycle(system: System, among: Sequence[Equation]) -> list[str]:
    """One cycle, following arrows backwards from any mediator until one comes again."""
    names = [e.name for e in among]
    walk = [names[0]]
    while True:
        source = next(s for s in names if (s, walk[-1]) in system.arrows)
        if source in walk:
            return [source, *walk[walk.index(source) :][::-1]]
        walk.append(source)


def _check_hidden(system: System, equation: Equation) -> None:
    """A treatment or mediator may stand as a factor, not inside another expression."""
    for factor in equation.expressions:
        if plain(factor) in system.nodes:
            continue
        for expression, node in system.nodes.items():
            if variables_of(expression) <= variables_of(factor) and not _is_lag(factor):
                role = "the treatment" if node == TREATMENT else f"channel {node!r}"
                raise FormulaError(
                    f"equation of {equation.name!r}: {factor!r} contains {expression!r} ({role}), so that its effect "
                    "is not told",
                    got=equation.text,
                    fix=f"write the term as {expression!r} itself, its square as {expression}:{expression}, or take "
                    "the same expression for both",
                )


def _is_lag(factor: str) -> bool:
    """A value of the past is another variable."""
    return plain(factor).startswith("lag(")


def _check_reach(system: System) -> None:
    on_paths = {m for path in system.paths for m in path.mediators}
    lost = [e for e in system.mediators if e.name not in on_paths]
    if not lost:
        long = max(system.paths, key=lambda p: len(p.mediators))
        if len(long.mediators) > MOST_MEDIATORS:
            raise DesignError(
                f"a path passes more than {MOST_MEDIATORS} mediators", got=long.name, fix="let some act side by side"
            )
        return
    reached = {TREATMENT}
    for e in system.equations:
        if any((source, e.name) in system.arrows for source in reached):
            reached.add(e.name)
    said = [
        f"{e.name!r} (the treatment {system.treatment!r} does not stand in its equation)"
        if e.name not in reached
        else f"{e.name!r} ({e.response!r} stands in no equation of a later mediator or of the outcome)"
        for e in lost
    ]
    raise DesignError(
        "some mediators are on no path from the treatment to the outcome",
        got=show_labels(said),
        causes=("the expression is spelled in another way: log(rd) here, rd there",),
        fix="write the mediator in the later equation exactly as on the left side of its own",
    )
