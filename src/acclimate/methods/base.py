"""The interface of every method."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from acclimate.nn import Classifier
from acclimate.nn.replicas import gather, gather_outputs
from acclimate.types import Labeled, Losses, Outputs, Turn, Unlabeled


class Method(nn.Module):
    """A way to learn from a labelled source and an unlabelled target: a module whose forward is its loss.

    A method owns the model it trains and whatever else it learns (a discriminator, a teacher), so one ``state_dict``
    resumes it and one ``fabric.setup`` distributes it. A subclass writes `losses`, a pure function of tensors; it
    overrides `forward` only if it needs more than one pass of the model. Until an optimizer moves its weights, the
    model stays as it was given: a method changes none of its flags, modes or parts.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"source", "target"})
    """The domains it learns from: ``source``, ``target``, or ``target_labels``, a labelled target that takes the
    place of the source. For any other domain it receives an empty batch."""

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    """What it can learn: ``classification``; ``regression`` if no part of it depends on classes; empty if it only
    learns features for another method."""

    batched: ClassVar[bool] = True
    """Whether several seeds and settings of it can be trained as one model (`acclimate.fit_many`).

    It promises that ``torch.func`` can stack the losses, which then give each member the gradient it has alone. So they
    do not leave torch, do not depend on the values of tensors in Python, and take no gradient themselves. They draw
    random numbers by ``torch.rand``, ``randn``, their ``_like`` forms and dropout alone. In a stack ``progress``, and
    numbers among the options that differ between members, are tensors."""

    whole_batch: ClassVar[bool] = False
    """Whether `losses` needs all rows of a batch because it is not a mean over examples. Several processes then
    gather their outputs first."""

    looks_at_inputs: ClassVar[bool] = False
    """Whether it makes views of the inputs or changes them, so that cached features cannot replace them."""

    moves_inputs: ClassVar[bool] = False
    """Whether it adds small changes to the inputs, so that they cannot be tokens."""

    frozen: ClassVar[tuple[str, ...]] = ()
    """Sub-modules that are not trained (``"model.head"``): they receive no gradient, and `trainable` omits them."""

    layers: tuple[str, ...] = ()
    """Parts of the backbone, by name, whose outputs `losses` finds in ``Outputs.layers``."""

    turns: tuple[Turn, ...] = ()
    """The alternating steps of one training step, in order; if there are none, all parts train at once."""

    starts_from: ClassVar[str] = ""
    """The phase of the same seed whose weights the model starts from, e.g. ``source_only``; none by default."""

    start_options: ClassVar[Mapping[str, float]] = {}
    """Options of the method that trains those weights, where they differ from its defaults."""

    batch_norm: ClassVar[str] = "separate"
    """How batch norm treats the two domains unless the recipe says otherwise; a value of ``train.batch_norm``."""

    rate: ClassVar[float] = 1.0
    """Factor on the learning rate; below 1 for a method that starts from trained weights."""

    def __init__(self, model: Classifier):
        super().__init__()
        self.model = model

    def trainable(self) -> list[nn.Parameter]:
        """The parameters for the optimizer: those that require a gradient, without those of `frozen` parts."""
        frozen = {id(p) for part in self.frozen for p in self.get_submodule(part).parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in frozen]

    def before_pass(self, target: Iterable[Outputs]) -> None:
        """Called before each pass over the target with the model's outputs, in evaluation mode, for all of it.

        A method that does not need them leaves ``target`` unread, and nothing is computed. What it learns belongs in
        buffers, so that training interrupted within a pass resumes to the same weights.
        """

    def after_step(self, progress: float) -> None:
        """Called after all turns of a step, for what follows the weights without a gradient, such as a teacher.

        Args:
            progress: The progress that `forward` received in this step.
        """

    def after_training(self) -> None:
        """Called once after the last step, before batch norm's statistics are taken anew.

        A method overrides it if other weights than the last step's are to predict. It is not called where early
        stopping brings back the weights that did best on the source.
        """

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Losses of one step, or of one ``turn`` of it. ``progress`` in [0, 1] is the share of training done."""
        out_source, out_target = self.model.both(source.inputs, target.inputs, layers=self.layers)
        labels = source.labels
        if self.whole_batch:
            out_source, out_target, labels = gather_outputs(out_source), gather_outputs(out_target), gather(labels)
        return self.losses(out_source, labels, out_target, progress)

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Named scalars whose sum is minimised; ``labels`` are the source's."""
        raise NotImplementedError
