"""The equations of the methods as pure functions of tensors, for your own loops.

Each is defined once, where its method is: follow the import to its docstring.
"""

from acclimate.distances import coral, joint_mmd, mmd, squared_distances
from acclimate.methods.align.bnm import nuclear_norm
from acclimate.methods.align.mcc import class_confusion
from acclimate.nn.losses import certainty, domain_loss, label_loss, ramp_up, reverse_grad

__all__ = [
    "certainty",
    "class_confusion",
    "coral",
    "domain_loss",
    "joint_mmd",
    "label_loss",
    "mmd",
    "nuclear_norm",
    "ramp_up",
    "reverse_grad",
    "squared_distances",
]
