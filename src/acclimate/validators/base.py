"""The protocol of validators: larger is better."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate

CONFIDENT = frozenset(
    {"adamatch", "bnm", "deepjdot", "mcc", "mean_teacher", "nrc", "self_training", "shot", "tent", "vada"}
)
"""Methods whose loss makes the model confident on the target: by entropy, class confusion, pseudo-labels or pairs."""
PARTS = {
    "source_features": "features of the source's validation split",
    "target_features": "features of the target",
    "head": "the weights of the last linear layer",
    "second_view": "predictions for a second random view of the target",
    "mixed": "predictions for mixtures of target examples",
}
"""What validators may need beyond probabilities and source labels."""


class Score(NamedTuple):
    """What a validator says of one candidate: ``value``, or NaN and the reason why it ``refused``."""

    value: float
    refused: str = ""


class Validator(ABC):
    """Scores trained models without target labels; larger is better.

    Attributes:
        shares: Methods that minimise, or nearly minimise, the same quantity. Such a method's models score high whether
            they are right or wrong, so the validator has no say about them; see `selection`.
        needs: Parts of a `Candidate` without which there is no score, from `PARTS`.
    """

    shares: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The name of its file."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def scores(self, pool: Sequence[Candidate]) -> list[Score]:
        """The score of every candidate in the pool; a candidate that cannot be scored has NaN and the reason."""

    def may_judge(self, candidate: Candidate) -> bool:
        """Whether no method that shaped this candidate minimises what the validator measures."""
        return not self.shares & candidate.methods

    def check(self, candidate: Candidate) -> None:
        """Refuse a candidate that lacks a part.

        Raises:
            BadInput: It does; the message names the part.
        """
        for part in self.needs:
            if getattr(candidate, part) is None:
                raise BadInput(
                    f"{self.name}: needs {PARTS[part]}, which candidate {candidate.method} lacks; "
                    f"add them, or leave {self.name} out"
                )


class SingleValidator(Validator):
    """A validator that looks at one candidate at a time."""

    def score(self, candidate: Candidate) -> float:
        """The candidate's score.

        Raises:
            BadInput: It lacks a part, or its outputs do not suffice.
        """
        self.check(candidate)
        return self._score(candidate)

    def scores(self, pool: Sequence[Candidate]) -> list[Score]:
        """The score of every candidate, each by itself."""
        return [self._score_or_reason(candidate) for candidate in pool]

    @abstractmethod
    def _score(self, candidate: Candidate) -> float:
        """The score of a candidate that has all parts."""

    def _score_or_reason(self, candidate: Candidate) -> Score:
        try:
            return Score(self.score(candidate))
        except BadInput as refusal:
            return Score(float("nan"), refusal.message)
