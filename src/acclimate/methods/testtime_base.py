"""The interface of every test-time method, and the guard that bounds what it changes."""

import copy
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.errors import BadInput
from acclimate.nn import Classifier, DomainName, DomainNorm
from acclimate.types import Outputs


class TestTime(nn.Module):
    """A trained classifier that adapts while it predicts: batches of a stream in, outputs out, no labels.

    Such methods assume that each batch mixes the classes of the stream. On a stream of one class they can do great
    harm, and without labels such a stream is hard to tell from a difficult one. So the change is bounded: the unadapted
    model also predicts each batch, and at most the share ``most_changed`` of it gets another class, namely the examples
    whose confidence rises most. **On no stream can accuracy fall by more than that.** If the classes are known to be
    mixed, set it to 1.

    Args:
        model: The model to adapt; a copy adapts, and this one stays as it is.
        most_changed: Share of a batch whose class may change, in [0, 1].

    Raises:
        BadInput: ``most_changed`` is not in [0, 1].
    """

    __test__ = False  # the name looks like a test's to pytest

    def __init__(self, model: Classifier, *, most_changed: float = 0.1):
        super().__init__()
        if not 0 <= most_changed <= 1:
            raise BadInput(f"most_changed={most_changed}: must be between 0 and 1")
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        self.before: Classifier = copy.deepcopy(model, shared).eval()  # the same weights in modules of its own
        self.model = copy.deepcopy(model).eval()
        self.most_changed = most_changed

    @abstractmethod
    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """Learn from a batch and predict it; ``before`` are the unadapted model's outputs."""

    def forward(self, inputs: Tensor, domain: DomainName = "target") -> Outputs:
        """Outputs for the next batch of the stream: the adapted model's, where the guard allows them."""
        with torch.no_grad():
            before: Outputs = self.before(inputs, domain)
        if len(inputs) == 1:
            return before
        with torch.enable_grad():
            after = self.adapt(inputs, before, domain)
        through = within(before.logits, after.logits.detach(), self.most_changed)[:, None]
        return Outputs(
            torch.where(through, after.features.detach(), before.features),
            torch.where(through, after.logits.detach(), before.logits),
        )


def within(before: Tensor, after: Tensor, most_changed: float) -> Tensor:
    """Which rows ``(n,)`` may use ``after`` instead of ``before``, both logits ``(n, k)``.

    Rows that keep their class may; of the others, the ``floor(most_changed · n)`` whose confidence rises most.
    """
    p, q = before.softmax(1), after.softmax(1)
    changed = p.argmax(1) != q.argmax(1)
    gain = torch.where(changed & after.isfinite().all(1), q.amax(1) - p.amax(1), -torch.inf)
    best = gain.topk(int(most_changed * len(gain))).indices
    allowed = torch.zeros_like(changed).index_fill_(0, best, True)
    return torch.where(changed, allowed & gain.isfinite(), after.isfinite().all(1))


def batch_norms(model: Classifier, method: str) -> list[DomainNorm | _BatchNorm]:
    """The batch norms of a model.

    Raises:
        BadInput: It has none.
    """
    norms = [m for m in model.modules() if isinstance(m, DomainNorm | _BatchNorm)]
    if not norms:
        raise BadInput(f"test-time {method} needs a model with batch norm, and this one has none; use lame")
    return norms
