"""Which of a Run's models predict: one seed's model of a phase, or the mean over seeds."""

from collections.abc import Sequence
from typing import NamedTuple, cast, get_args

from acclimate.contents import Phase, Predictor
from acclimate.errors import BadInput, did_you_mean

MODELS = ("kept", *get_args(Predictor))
"""What can be chosen by name."""


class Choice(NamedTuple):
    """The models that predict.

    Attributes:
        phase: Of these models.
        seeds: Of these models; with several, the mean of their probabilities or numbers predicts.
    """

    phase: Phase
    seeds: tuple[int, ...]

    @property
    def model(self) -> Predictor:
        """The name by which it can be chosen."""
        return self.phase if len(self.seeds) == 1 else "ensemble"

    def __str__(self) -> str:
        """Words for it.

        Example:
            >>> str(Choice("adapted", (0, 1))), str(Choice("source_only", (3,)))
            ('the mean of the adapted models of seeds 0, 1', 'the source-only model of seed 3')
        """
        kind = self.phase.replace("_", "-")
        if len(self.seeds) == 1:
            return f"the {kind} model of seed {self.seeds[0]}"
        return f"the mean of the {kind} models of seeds {', '.join(map(str, self.seeds))}"


def choose(model: str, *, kept: Phase, phases: Sequence[Phase], seeds: Sequence[int], alone: str = "") -> Choice:
    """Return the models that predict; by default the ensemble if there are several seeds, else the model that is kept.

    Args:
        model: ``kept``, ``source_only``, ``adapted`` or ``ensemble``; empty for the default.
        kept: The phase that is kept.
        phases: The phases there are.
        seeds: All seeds; the first seed's model stands for a phase.
        alone: The option that works with one model only, if it is given.

    Raises:
        BadInput: There is no such model.
    """
    name = model or ("ensemble" if len(seeds) > 1 and not alone else "kept")
    if name not in MODELS:
        raise BadInput(f"--model {model}: {did_you_mean(model, MODELS)}")
    if name == "ensemble":
        if len(seeds) == 1:
            raise BadInput("--model ensemble: this Run has one seed only; use --model kept")
        if alone:
            raise BadInput(f"--model ensemble: {alone} needs one model; use --model kept")
        return Choice(kept, tuple(seeds))
    if name == "kept":
        return Choice(kept, (seeds[0],))
    phase = cast("Phase", name)
    if phase not in phases:
        raise BadInput(f"--model {name}: this Run has no {phase.replace('_', '-')} model; use --model kept")
    return Choice(phase, (seeds[0],))
