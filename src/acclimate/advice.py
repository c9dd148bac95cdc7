"""What advice is made of: facts about two domains, the nodes of a decision tree, and the advice itself."""

import html
import math
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

VERDICTS = ("no difference found", "different, but small", "different", "very different")
Shift = Literal["unknown", "no difference found", "different, but small", "different", "very different"]
"""How different the domains are: the verdict on whole examples; see `acclimate.shift.effects`."""
LabelShift = Literal["unknown", "none", "alone", "not alone"]
"""Whether the shares of the classes moved, and whether they explain the whole difference."""
Look = Literal["pretrained", "fresh", "table", "text", "vectors"]
"""What the default backbone learns from; images are ``pretrained`` if they are like those it was pretrained on."""


@dataclass(frozen=True)
class Facts:
    """What the advice rests on.

    Attributes:
        kind: The kind of examples: ``images``, ``image and text``, ``text``, ``table`` or ``vectors``.
        look: What the default backbone learns from.
        n_source: Examples of the source.
        n_target: Examples of the target.
        classes: Classes of the source; 0 if numbers are predicted.
        labels_per_class: Labelled target examples per class.
        shift: How different the domains are as a whole.
        overlap: Share of the two distributions that overlaps, from 0 to 1; None if unknown.
        label_shift: What is known of the shares of the classes.
        source: Whether examples of the source are at hand, or only a Run that learnt from them.
        same_classes: Whether the target has the source's classes.
        same_language: Whether texts of both domains are in one language.
        backbone: The backbone that the default uses; empty for none.
        better: A backbone whose features separate the target better, by PAS; empty if there is none.
    """

    kind: str = "vectors"
    look: Look = "vectors"
    n_source: int = 0
    n_target: int = 0
    classes: int = 2
    labels_per_class: float = 0
    shift: Shift = "unknown"
    overlap: float | None = None
    label_shift: LabelShift = "unknown"
    source: Literal["examples", "a Run"] = "examples"
    same_classes: bool = True
    same_language: bool = True
    backbone: str = ""
    better: str = ""

    @property
    def prefers(self) -> bool:
        """Whether there is a better backbone than the default's."""
        return bool(self.better)


@dataclass(frozen=True)
class Leaf:
    """A strategy.

    Attributes:
        name: Names it.
        does: What to do, as an instruction.
        why: The reason; where our benchmarks contradict the textbook, it says so.
        commands: Templates; ``{source}``, ``{target}``, ``{labels}``, ``{columns}``, ``{run}`` and ``{better}`` are
            replaced.
        gain: What to expect.
        page: The benchmark that says so.
        with_run: The templates where there is a finished Run, ``{model}``; empty if they are the same.
    """

    name: str
    does: str
    why: str
    commands: tuple[str, ...]
    gain: str
    page: str
    with_run: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A node with two branches.

    Attributes:
        asks: A question with the answer yes or no.
        fact: The attribute of `Facts` that answers it.
        yes: What follows if it is at least ``least``, or one of ``among``.
        no: What follows if not.
        least: The bound of a number.
        among: The values that count as yes.
        if_yes: The condition under which the answer would be yes, for what would change the advice; empty if nothing
            can make it so.
        if_no: The condition under which it would be no.
        far: Where there is no number: how far the other answer is, for the second choice.
    """

    asks: str
    fact: str
    yes: "Node"
    no: "Node"
    least: float | None = None
    among: tuple[object, ...] = ()
    if_yes: str = ""
    if_no: str = ""
    far: float = 1.0

    def answer(self, facts: Facts) -> bool:
        """Whether the facts answer it with yes."""
        value = getattr(facts, self.fact)
        return value >= self.least if self.least is not None else value in self.among

    def otherwise(self, facts: Facts) -> str:
        """The condition under which the answer would be the other; empty if there is none."""
        return self.if_no if self.answer(facts) else self.if_yes

    def doubt(self, facts: Facts) -> float:
        """How far the fact is from the other answer: the logarithm of the ratio to the bound, if it is a number."""
        value = getattr(facts, self.fact)
        return self.far if self.least is None else abs(math.log((value + 1) / (self.least + 1)))


Node: TypeAlias = Leaf | Question


@dataclass(frozen=True)
class Given:
    """What the commands name; by default placeholders.

    Attributes:
        source: The source's path.
        target: The target's path.
        labels: The path of the labelled target examples.
        columns: Options that name columns, as the command line takes them.
        run: The folder of a new Run.
        model: The finished Run, if there is one.
    """

    source: str = "SOURCE"
    target: str = "TARGET"
    labels: str = "TARGET_LABELS"
    columns: tuple[str, ...] = ()
    run: str = "runs/advised"
    model: str = ""


@dataclass(frozen=True)
class Advice:
    """What to do, and why.

    Attributes:
        name: Names the strategy.
        does: What to do, as an instruction.
        why: The reason.
        commands: The commands that do it, in their order.
        path: The questions on the way through the tree with their answers.
        gain: What to expect.
        page: The benchmark that the expectation comes from.
        runner_up: The second choice, with the command; empty if nothing comes near.
        changes: What would change the advice.
        first: What to do before: likely faults in the data, and what the backbones' scores say.
        facts: What the advice rests on.
    """

    name: str
    does: str
    why: str
    commands: tuple[str, ...]
    path: tuple[str, ...]
    gain: str
    page: str
    runner_up: str
    changes: tuple[str, ...]
    facts: Facts
    first: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The advice in plain sentences, after its first line."""
        return [
            *(f"First: {text}" for text in self.first),
            *(f"  {text}" for text in self.path),
            f"Why: {self.why}",
            *(f"Command: {text}" for text in self.commands),
            f"Expected: {self.gain} ({self.page})",
            *([f"Second choice: {self.runner_up}"] if self.runner_up else []),
            *(f"Would change it: {text}" for text in self.changes),
        ]

    def __str__(self) -> str:
        """All lines, under what to do."""
        return "\n".join([self.does, *self.lines()])

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """The advice as a notebook shows it."""
        items = "".join(f"<li>{html.escape(line)}</li>" for line in self.lines())
        return f"<p><b>{html.escape(self.does)}</b></p><ul>{items}</ul>"
