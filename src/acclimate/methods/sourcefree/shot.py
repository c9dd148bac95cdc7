"""Source hypothesis transfer."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy, normalize, pad

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.nn.replicas import gather
from acclimate.types import Labeled, Losses, Outputs, Unlabeled


class SHOT(Method):
    r"""Keep the source's classifier and learn target features on which it is confident and predicts all classes.

    .. math::
        \min_f \; \frac{1}{n} \sum_i H(p_i) - H(\bar p)
            + \text{weight} \cdot \mathrm{CE}(c(f(x_i)), \hat y_i), \qquad
        \hat y_i = \arg\max_k \cos([f(x_i); 1], \mu_k)

    It starts from the source-only model, trained with a label smoothing of 0.1 as in the paper, and learns at a tenth
    of its rate; the head :math:`c` is frozen, and no source example is used. The centroids :math:`\mu_k` are computed
    from the whole target before each pass over it, in two rounds: weighted by the probabilities, then by the resulting
    pseudo-labels. The paper fixes the pseudo-labels for a whole pass; here an example has that of the centroid nearest
    to its current features, so that the state is ``k`` centroids. The entropy of the mean prediction :math:`\bar p`
    favours equally frequent classes, and does harm where they are not.

    When to use:
        Where the source is no longer available, source-only is mostly right on the target, and its classes are about
        equally frequent; with rare classes lower ``diversity``. It starts from those predictions, and no source data
        keeps it from drifting. To train a Run for it to start from, use
        ``--method source_only --set label_smoothing=0.1``.

    Shapes: features ``(n_t, d)``, logits ``(n_t, k)``.

    Args:
        weight: Weight of the pseudo-labels; 0.3 in the paper.
        diversity: Weight of the mean prediction's entropy; 1 in the paper.

    Reference:
        Liang et al., Do We Really Need to Access the Source Data? Source Hypothesis Transfer for Unsupervised Domain
        Adaptation, ICML 2020. arXiv:2002.08546
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target"})
    starts_from: ClassVar[str] = "source_only"
    start_options: ClassVar[Mapping[str, float]] = {"label_smoothing": 0.1}
    rate: ClassVar[float] = 0.1
    frozen: ClassVar[tuple[str, ...]] = ("model.head",)
    centroids: Tensor

    def __init__(self, model: Classifier, *, weight: float = 0.3, diversity: float = 1.0):
        super().__init__(model)
        self.weight, self.diversity = weight, diversity
        self.register_buffer("centroids", torch.zeros(model.n_classes, model.n_features + 1))

    def before_pass(self, target: Iterable[Outputs]) -> None:
        """Compute the centroids from the model's outputs for the whole target."""
        outputs = list(target)
        features = append_one(torch.cat([out.features for out in outputs]))
        p = torch.cat([out.logits for out in outputs]).softmax(1)
        first = means(features, p, torch.zeros_like(self.centroids))
        labels = torch.nn.functional.one_hot(nearest(features, first), p.shape[1]).to(p)
        self.centroids.copy_(means(features, labels, first))

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Entropy of the predictions, negative entropy of their mean, and the loss of the pseudo-labels."""
        head = {f"head.{name}": weight.detach() for name, weight in self.model.head.named_parameters()}
        out: Outputs = functional_call(self.model, head, (target.inputs, "target"))
        log_p = out.logits.log_softmax(1)
        mean = gather(log_p.exp()).mean(0)
        pseudo = nearest(append_one(out.features.detach()), self.centroids)
        return {
            "entropy": -(log_p.exp() * log_p).sum(1).mean(),
            "diversity": -self.diversity * torch.special.entr(mean).sum(),
            "pseudo-labels": self.weight * cross_entropy(out.logits, pseudo),
        }


def append_one(features: Tensor) -> Tensor:
    """Rows ``(n, d + 1)`` of unit length: features with a 1 appended, which stands for the bias."""
    return normalize(pad(features, (0, 1), value=1.0))


def means(features: Tensor, shares: Tensor, otherwise: Tensor) -> Tensor:
    """Centroids ``(k, d)``: means of ``features (n, d)`` by ``shares (n, k)``; ``otherwise`` for empty classes."""
    counts = shares.sum(0)[:, None]
    return torch.where(counts > 0, shares.T @ features / counts.clamp(min=1e-8), otherwise)


def nearest(features: Tensor, centroids: Tensor) -> Tensor:
    """The class ``(n,)`` whose centroid has the largest cosine with each row of ``features``."""
    return (normalize(features) @ normalize(centroids).T).argmax(1)
