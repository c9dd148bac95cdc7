"""Building blocks that methods and backbones share."""

from acclimate.nn.classifier import Bottlenecked, Classifier, fresh_copy, mlp, projector, size_buffers_as_loaded
from acclimate.nn.ensemble import Ensemble
from acclimate.nn.losses import aligned, certainty, domain_loss, label_loss, ramp_up, reverse_grad, warm_up
from acclimate.nn.norm import DomainName, DomainNorm, Normalize, StandardizeImages, keeping_statistics
from acclimate.nn.sparse import SparseLinear, csr_rows, join

__all__ = [
    "Bottlenecked",
    "Classifier",
    "DomainName",
    "DomainNorm",
    "Ensemble",
    "Normalize",
    "SparseLinear",
    "StandardizeImages",
    "aligned",
    "certainty",
    "csr_rows",
    "domain_loss",
    "fresh_copy",
    "join",
    "keeping_statistics",
    "label_loss",
    "mlp",
    "projector",
    "ramp_up",
    "reverse_grad",
    "size_buffers_as_loaded",
    "warm_up",
]
