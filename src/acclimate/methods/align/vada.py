"""Virtual adversarial domain adaptation."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from acclimate.methods.base import Method
from acclimate.nn import Classifier, DomainName, domain_loss, join, keeping_statistics, mlp, reverse_grad
from acclimate.nn.replicas import current_replica
from acclimate.types import Labeled, Losses, Outputs, Unlabeled


class VADA(Method):
    r"""Fool a discriminator, and keep decision boundaries away from dense regions of the target.

    .. math::
        \min_{f, c} \max_{d} \; \mathrm{CE}(c(f(x_s)), y_s)
            - \lambda_d \, [\mathrm{BCE}(d(f(x_s)), 1) + \mathrm{BCE}(d(f(x_t)), 0)]
            + \lambda_s V(x_s) + \lambda_t \, [V(x_t) + H(p(x_t))], \qquad
        V(x) = \max_{\lVert r \rVert \le \epsilon} \mathrm{KL}\bigl(p(x) \,\Vert\, p(x + r)\bigr)

    The worst :math:`r` is found as in virtual adversarial training: it is the gradient of the divergence at a tenth of
    a random :math:`r`, scaled to length; :math:`p(x)` is a constant to it. The perturbation applies to normalised
    inputs (sparse rows become dense), and :math:`\epsilon` is relative to the length of each one, so that one number
    serves images, vectors and text. The discriminator learns through a reversed gradient, where the authors alternate.
    Their second stage, DIRT-T, is not included; it starts from the weights of this one.

    When to use:
        Where DANN mixes the domains but target examples lie on the boundary between classes. Each step passes the model
        four more times. The paper shows gains on digits and small photographs; on vectors, note that ``radius`` is
        relative to the length of each one.

    Shapes: normalised inputs ``(n, …)``, features ``(n_s, d)`` and ``(n_t, d)``, logits ``(n, k)``.

    Args:
        weight: :math:`\lambda_d`; 0.01 in the paper.
        source: :math:`\lambda_s`; 1 in the paper, and 0 for some pairs of domains.
        target: :math:`\lambda_t`; 0.01 in the paper, 0.1 for pairs of photographs.
        radius: :math:`\epsilon / \lVert x \rVert`; the authors' 3.5 on standardised images of 3 · 32² is 0.063.
        widths: Hidden units of the discriminator's layers; one layer of 100 in the paper.

    Reference:
        Shu et al., A DIRT-T Approach to Unsupervised Domain Adaptation, ICLR 2018. arXiv:1802.08735; Miyato et al.,
        Virtual Adversarial Training, TPAMI 2018. arXiv:1704.03976
    """

    batched: ClassVar[bool] = False
    looks_at_inputs: ClassVar[bool] = True
    moves_inputs: ClassVar[bool] = True

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 0.01,
        source: float = 1.0,
        target: float = 0.01,
        radius: float = 0.063,
        widths: Sequence[int] = (100,),
    ):
        super().__init__(model)
        self.weight, self.source, self.target, self.radius = weight, source, target, radius
        self.discriminator = mlp(model.n_features, *widths, 1)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Class loss, domain loss, smoothness around the examples of both domains, and the target's entropy."""
        out_source, out_target = self.model.both(source.inputs, target.inputs)
        log_p = out_target.logits.log_softmax(1)
        smooth = self.target * self.smoothness(target.inputs, out_target, "target")
        if self.source:
            smooth = smooth + self.source * self.smoothness(source.inputs, out_source, "source")
        return {
            "class": cross_entropy(out_source.logits, source.labels),
            "domain": self.domain_loss(out_source.features, out_target.features),
            "smoothness": smooth,
            "entropy": self.target * -(log_p.exp() * log_p).sum(1).mean(),
        }

    def domain_loss(self, source: Tensor, target: Tensor) -> Tensor:
        """The discriminator's loss; features ``(n_s, d)`` and ``(n_t, d)`` receive its gradient reversed."""
        features = reverse_grad(join(source, target), self.weight)
        return domain_loss(self.discriminator(features), len(source))

    def smoothness(self, inputs: Tensor, outputs: Outputs, domain: DomainName) -> Tensor:
        """Divergence of the predictions from ``outputs`` under the worst small change of ``inputs``: a scalar."""
        dense = inputs.to_dense() if inputs.layout == torch.sparse_csr else inputs
        x, log_p = self.model.normalize(dense).detach(), outputs.logits.detach().log_softmax(1)
        size = self.radius * torch.linalg.vector_norm(x.flatten(1), dim=1)

        def divergence(r: Tensor) -> Tensor:
            log_q = self.model.of_normalized(x + r, domain).logits.log_softmax(1)
            kl: Tensor = kl_div(log_q, log_p, reduction="batchmean", log_target=True)
            return kl

        with keeping_statistics(self.model):
            with torch.enable_grad():
                guess = of_length(current_replica().normal_like(x), 0.1 * size).requires_grad_()
                [steepest] = torch.autograd.grad(divergence(guess), guess)
            return divergence(of_length(steepest, size))


def of_length(r: Tensor, size: Tensor) -> Tensor:
    """Each of ``r (n, …)`` scaled to its length in ``size (n,)``; one of length 0 stays."""
    scale: Tensor = size / torch.linalg.vector_norm(r.flatten(1), dim=1).clamp(min=1e-30)
    return r * scale.view(-1, *[1] * (r.ndim - 1))
