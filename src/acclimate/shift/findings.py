"""What a diagnosis finds, as typed values that print, show in a notebook and become JSON."""

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from acclimate.shift.effects import SMALL, VERDICTS, Verdict

Where = Literal["harm", "concept", "domains", "column", "outputs", "label"]
"""What a test looks at: harm to a model, the classes of like examples, whole examples, one column or word, a model's
outputs, the shares of the classes."""
FaultKind = Literal[
    "missing column", "type", "empty column", "unseen values", "spelling", "units", "stand-in", "repeated", "size",
    "colour", "class names",
]  # fmt: skip
Typical: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Rows of the source and of the target."""
ORDER: tuple[Where, ...] = ("harm", "concept", "domains", "outputs", "label", "column")
"""In which findings of one verdict are told."""
HARM = ("is unlikely to harm {}", "is unlikely to harm {} much", "may harm {}", "likely harms {}")
"""What is said of harm, by its level."""
SHOWN = 12
"""Most columns or words that are printed."""


@dataclass(frozen=True)
class Bars:
    """The distribution of one column in both domains.

    Attributes:
        names: What each bar stands for: an interval of numbers, or a value.
        source: Share of the source's examples in each bar.
        target: Share of the target's.
    """

    names: tuple[str, ...]
    source: tuple[float, ...]
    target: tuple[float, ...]


@dataclass(frozen=True)
class Finding:
    """The result of one test.

    Attributes:
        where: What the test looks at.
        name: The column, word or part.
        test: The test.
        statistic: Its statistic.
        p: The p-value, corrected over all findings of the diagnosis.
        effect: How different the domains are, in standard deviations; see `acclimate.shift.effects`.
        verdict: How different they are in words: the corrected p-value decides whether, the effect how much.
        text: A sentence with the effect in a person's terms.
        bars: The distribution in both domains, of a column.
    """

    where: Where
    name: str
    test: str
    statistic: float
    p: float
    effect: float
    verdict: Verdict
    text: str
    bars: Bars | None = None

    @property
    def level(self) -> int:
        """The place of the verdict, from 0, no difference found, to 3, very different."""
        return VERDICTS.index(self.verdict)

    @property
    def sentence(self) -> str:
        """What was found, without numbers of the test."""
        if self.where == "harm":
            return f"{self._harm}: {self.text}"
        if self.where == "concept":
            return f"{self._drift}: {self.text}"
        return self.text

    @property
    def _drift(self) -> str:
        if self.level:
            return f"Concept drift{', but small' * (self.level == 1)}"
        unclear = abs(self.effect) >= SMALL
        return "Concept drift cannot be told from other shifts" if unclear else "No concept drift found"

    @property
    def _harm(self) -> str:
        if not self.level and abs(self.effect) >= SMALL:
            return f"These examples cannot tell whether the shift harms {self.name}"
        return f"The shift {HARM[self.level].format(self.name)}"

    def __str__(self) -> str:
        """One line."""
        verdict = "" if self.where in ("harm", "concept") else f"{self.verdict}: "
        return f"{verdict}{self.sentence} ({self.test}, p {format_p(self.p)})"


@dataclass(frozen=True)
class Fault:
    """What is likely a mistake in the data rather than a shift."""

    kind: FaultKind
    name: str
    text: str


@dataclass(frozen=True)
class Bound:
    """The terms of the bound on the target's error by Ben-David and others.

    Attributes:
        distance: The proxy A-distance, from 0 to 2.
        source_error: Error on held-out examples of the source; None without a model.
        text: The bound in words.
    """

    distance: float
    source_error: float | None
    text: str


@dataclass(frozen=True)
class Findings:
    """What differs between two domains.

    Attributes:
        source: The source's name.
        target: The target's name.
        kind: The kind of examples.
        n_source: Examples of the source.
        n_target: Examples of the target.
        faults: Likely mistakes in the data, to mend first.
        tests: Results of all tests, the largest difference first.
        bound: The terms of the bound on the target's error; None with too few examples.
        label_shift: What is known of the shares of the classes, in sentences.
        unknown: What cannot be told from what was given, in sentences.
        accuracy: What a Run says about its accuracy on the target, if it says anything.
        typical: Rows of the source and of the target that are most typical of the difference.
    """

    source: str
    target: str
    kind: str
    n_source: int
    n_target: int
    faults: tuple[Fault, ...] = ()
    tests: tuple[Finding, ...] = ()
    bound: Bound | None = None
    label_shift: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    accuracy: str = ""
    typical: Typical = ((), ())

    @property
    def verdict(self) -> Verdict:
        """How different the domains are as a whole: the largest verdict of any test."""
        return VERDICTS[max((one.level for one in self.tests), default=0)]

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        if not self.tests:
            return f"{_last(self.source)} and {_last(self.target)} could not be compared{self.first}"
        return f"{self.verdict}: {_last(self.source)} and {_last(self.target)}{self.first}"

    @property
    def first(self) -> str:
        """The end of a sentence about likely faults, if there are any."""
        n = len(self.faults)
        return (
            f"; {n} likely faults in the data come first" if n > 1 else "; a likely fault in the data comes first" * n
        )

    def of(self, where: Where) -> list[Finding]:
        """The tests of one part, the largest difference first."""
        return [one for one in self.tests if one.where == where]

    @property
    def of_model(self) -> list[str]:
        """What the shift means for a model, in sentences: harm, the accuracy that a Run estimates, concept drift."""
        return [*map(str, self.of("harm")), *([self.accuracy] * bool(self.accuracy)), *map(str, self.of("concept"))]

    def lines(self) -> list[str]:
        """The findings in plain sentences: faults, what they mean for a model, and differences, the largest first."""
        faults = [f"Likely fault: {one.text}" for one in self.faults]
        found = [one for one in self.tests if one.level and one.where not in ("column", "harm", "concept")]
        columns = [one for one in self.of("column") if one.level]
        none = [one for one in self.tests if not one.level and one.where not in ("column", "harm", "concept")]
        more = [f"… and {len(columns) - SHOWN} smaller differences between columns"] * (len(columns) > SHOWN)
        quiet = sum(not one.level for one in self.of("column"))
        same = [f"No difference found in {quiet} test{'s' * (quiet > 1)} of columns"] * bool(quiet)
        worst = sorted([*found, *columns[:SHOWN]], key=lambda one: (-one.level, ORDER.index(one.where)))
        parts = [
            *faults,
            *self.of_model,
            *(_capital(str(one)) for one in worst),
            *more,
            *(_capital(str(one)) for one in none),
            *same,
        ]
        rest = [*self.label_shift, *([self.bound.text] if self.bound else [])]
        return [*parts, *rest, *(f"Unknown: {text}" for text in self.unknown)]

    def __str__(self) -> str:
        """All lines, under the headline."""
        return "\n".join([_capital(self.headline), *self.lines()])

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it."""
        return {"verdict": self.verdict, "headline": self.headline, **asdict(self)}

    def _repr_html_(self) -> str:
        """The findings as a notebook shows them."""
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines())
        return f"<p><b>{html.escape(_capital(self.headline))}</b></p><ul>{items}</ul>"


def format_p(p: float) -> str:
    """Return a p-value as people write it.

    Example:
        >>> format_p(0.0312), format_p(1e-9), format_p(1.0)
        ('= 0.031', '< 0.001', '= 1')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def by_size(tests: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return tests in the order of their verdicts and effects, the largest first."""
    return tuple(sorted(tests, key=lambda one: (-one.level, -abs(one.effect))))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _last(path: str) -> str:
    """The last part of a path, before and after its ``#``."""
    where, hash_, part = path.partition("#")
    return where.rstrip("/").rsplit("/", 1)[-1] + hash_ + part
