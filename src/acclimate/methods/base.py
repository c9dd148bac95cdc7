"""What every method is."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from acclimate.nn import Classifier
from acclimate.nn.replicas import gather, gather_outputs
from acclimate.types import Labeled, Losses, Outputs, Turn, Unlabeled


class Method(nn.Module):
    """A way to learn from a labelled source and an unlabelled target: a module whose forward is its loss.

    A method owns the model it trains and whatever else it learns (a discriminator, a teacher), so one
    ``state_dict`` resumes it and one ``fabric.setup`` distributes it. A subclass writes `losses`, a pure
    function of tensors; it overrides `forward` only where it needs more than one pass of the model.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"source", "target"})
    """The domains it learns from: ``source``, ``target``, or ``target_labels``, an explicitly labelled target
    that stands in the place of the source. Of a domain that is not named it gets an empty batch."""

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    """What it can learn: ``classification``, and ``regression`` where no part of it is a matter of classes; nothing if
    it learns features alone, on which another method goes on."""

    batched: ClassVar[bool] = True
    """Whether seeds can be stacked by ``torch.func`` and trained as one; not where a loss leaves torch."""

    whole_batch: ClassVar[bool] = False
    """Whether `losses` needs all rows of a batch, because it is not a mean over examples: several processes then gather
    their outputs first."""

    looks_at_inputs: ClassVar[bool] = False
    """Whether it makes views of the inputs or changes them, so that features cannot stand in their place."""

    moves_inputs: ClassVar[bool] = False
    """Whether it changes inputs by small amounts, so that they cannot be tokens."""

    frozen: ClassVar[tuple[str, ...]] = ()
    """Sub-modules that never move (``"model.head"``): no gradient reaches them, and `trainable` leaves them out."""

    layers: tuple[str, ...] = ()
    """Parts of the backbone whose outputs `losses` needs, by name; they come as ``Outputs.layers``."""

    turns: tuple[Turn, ...] = ()
    """The alternating steps of one training step, in order; none means that all parts move at once."""

    starts_from: ClassVar[str] = ""
    """The phase of the same seed whose weights its model takes over, e.g. ``source_only``; none by default."""

    start_options: ClassVar[Mapping[str, float]] = {}
    """Options of the method that trained those weights, where they are not its defaults."""

    rate: ClassVar[float] = 1.0
    """What the learning rate is multiplied with; less for a method that goes on from trained weights."""

    def __init__(self, model: Classifier):
        super().__init__()
        self.model = model

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that an optimizer moves: those that require a gradient, without the `frozen` parts'."""
        frozen = {id(p) for part in self.frozen for p in self.get_submodule(part).parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in frozen]

    def before_pass(self, target: Iterable[Outputs]) -> None:
        """Called before each pass over the target with what the model, in evaluation mode, says of all of it.

        A method that has no use for that leaves ``target`` alone, and nothing is computed. What it learns goes into
        buffers, so that a training that is cut off within a pass goes on to the same weights.
        """

    def after_step(self, progress: float) -> None:
        """Called when all turns of a step are done, for what follows the weights without a gradient: a teacher.

        Args:
            progress: What `forward` was told in this step.
        """

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Losses of one step, or of one ``turn`` of it. ``progress`` in [0, 1] is how much of the training is done."""
        out_source, out_target = self.model.both(source.inputs, target.inputs, layers=self.layers)
        labels = source.labels
        if self.whole_batch:
            out_source, out_target, labels = gather_outputs(out_source), gather_outputs(out_target), gather(labels)
        return self.losses(out_source, labels, out_target, progress)

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Named scalars whose sum is minimised; ``labels`` are the source's."""
        raise NotImplementedError
