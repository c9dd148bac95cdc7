"""A teacher whose weights are an exponential moving average of a student's."""

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Averaging = Callable[[float], Callable[[list[nn.Parameter], list[nn.Parameter], int], None]]


def follow(teacher: Iterable[nn.Parameter], student: Iterable[nn.Parameter], decay: float) -> None:
    """Move each weight of the teacher, in place, to ``decay`` of itself plus ``1 − decay`` of the student's.

    `torch.optim.swa_utils.AveragedModel` is not used: its decay cannot change during training, and its first update
    copies the student.
    """
    averaging: Averaging = get_ema_multi_avg_fn  # torch gives it no types
    averaging(decay)([*teacher], [*student], 0)
