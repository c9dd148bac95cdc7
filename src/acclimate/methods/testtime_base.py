"""What every test-time method is, and the guard that all of them stand behind."""

import copy
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.errors import BadInput
from acclimate.nn import Classifier, DomainName, DomainNorm
from acclimate.types import Outputs


class TestTime(nn.Module):
    r"""A finished classifier that adapts as it predicts: batches of a stream in, outputs out, no labels anywhere.

    What such methods assume is that a batch shows the stream's classes mixed. On a stream of one class they can do
    great harm, and without labels a stream of one class is hard to tell from a hard one. So the change is bounded
    instead: the unadapted model sees every batch too, and of each batch at most the share ``most_changed`` gets
    another class than it says, the examples on which the adapted model is surer by most. **On no stream can the
    accuracy fall by more than that.** Who knows that the classes come mixed sets it to 1.

    Args:
        model: What it adapts; a copy is taken.
        most_changed: Share of a batch whose class may change, in [0, 1].

    Raises:
        BadInput: ``most_changed`` is no share.
    """

    __test__ = False  # pytest takes the name for a test's

    def __init__(self, model: Classifier, *, most_changed: float = 0.1):
        super().__init__()
        if not 0 <= most_changed <= 1:
            raise BadInput(f"most_changed={most_changed} is no share of a batch; give one from 0 to 1")
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        self.before: Classifier = copy.deepcopy(model, shared).eval()  # the same weights in modules of its own
        self.model = copy.deepcopy(model).eval()
        self.most_changed = most_changed

    @abstractmethod
    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """Learn from a batch and answer it; ``before`` is what the unadapted model says."""

    def forward(self, inputs: Tensor, domain: DomainName = "target") -> Outputs:
        """Outputs of the next batch of the stream: the adapted model's where the guard lets them through."""
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
    """Which rows ``(n,)`` may answer by ``after`` and not by ``before``, both logits ``(n, k)``.

    All that keep their class may; of the others the floor of ``most_changed · n`` that gain most in confidence.
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
        raise BadInput(f"test-time {method} works through batch norm, and this model has none; use lame")
    return norms
