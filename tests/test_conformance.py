"""The suite catches deliberately wrong methods, each by the check that is there for it."""

import random

import pytest
import torch
from conformance import CHECKS, differ_in_two_processes
from torch.nn.functional import cross_entropy

from acclimate import methods
from acclimate.methods.base import Method

GOOD = methods.get("mcc")


class ReadsTargetLabels(GOOD):
    __doc__ = GOOD.__doc__

    def forward(self, source, target, progress=0.0, turn=""):
        return {"class": cross_entropy(self.model(target.inputs).logits, target.labels)}


class CountsItsOwnSteps(GOOD):
    __doc__ = GOOD.__doc__
    steps = 0

    def losses(self, source, labels, target, progress):
        self.steps += 1
        return {n: loss * self.steps for n, loss in super().losses(source, labels, target, progress).items()}


class DetachesTheTarget(GOOD):
    __doc__ = GOOD.__doc__

    def losses(self, source, labels, target, progress):
        return super().losses(source, labels, target._replace(logits=target.logits.detach()), progress)


class PairsExamplesByOrder(GOOD):
    __doc__ = GOOD.__doc__

    def losses(self, source, labels, target, progress):
        n = min(len(source.features), len(target.features))
        pairs = (source.features[:n] - target.features[:n]).square().mean()
        return super().losses(source, labels, target, progress) | {"pairs": pairs}


class SeesItsOwnRowsAlone(GOOD):
    __doc__ = GOOD.__doc__
    whole_batch = False


class ReturnsAVector(GOOD):
    __doc__ = GOOD.__doc__

    def losses(self, source, labels, target, progress):
        return {"class": cross_entropy(source.logits, labels, reduction="none"), "t": target.logits.mean()}


class LeavesTorch(GOOD):
    __doc__ = GOOD.__doc__

    def losses(self, source, labels, target, progress):
        constant = float(target.logits.detach().numpy().mean())
        return {n: loss + constant for n, loss in super().losses(source, labels, target, progress).items()}


class DrawsFromElsewhere(GOOD):
    __doc__ = GOOD.__doc__
    elsewhere = random.Random(0)

    def losses(self, source, labels, target, progress):
        return super().losses(source, labels, target, progress) | {
            "drawn": self.elsewhere.random() * target.logits.sum()
        }


class ForgetsWhatItSurveyed(GOOD):
    __doc__ = GOOD.__doc__
    mean = 0.0

    def before_pass(self, target):
        self.mean = torch.cat([out.features for out in target]).mean(0)

    def losses(self, source, labels, target, progress):
        far = (target.features - self.mean).square().mean()
        return super().losses(source, labels, target, progress) | {"far": far}


class FreezesTheCallersHead(GOOD):
    __doc__ = GOOD.__doc__

    def __init__(self, model):
        super().__init__(model)
        model.head.requires_grad_(False)


class SwitchesTheCallersModel(GOOD):
    __doc__ = GOOD.__doc__

    def __init__(self, model):
        super().__init__(model)
        model.one_pass = False


class HasOtherGradientsInAStack(GOOD):
    __doc__ = GOOD.__doc__

    def losses(self, source, labels, target, progress):
        alone = not torch._C._functorch.is_functorch_wrapped_tensor(target.logits)
        return super().losses(
            source, labels, target if alone else target._replace(logits=target.logits.detach()), progress
        )


class SaysItCannotBeBatched(GOOD):
    __doc__ = GOOD.__doc__
    batched = False


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (ReadsTargetLabels, "losses_are_named_finite_scalars"),
        (CountsItsOwnSteps, "progress_alone_decides_the_schedule"),
        (CountsItsOwnSteps, "resumes_where_it_stopped"),
        (DetachesTheTarget, "what_it_needs_reaches_the_backbone"),
        (DrawsFromElsewhere, "resumes_where_it_stopped"),
        (DrawsFromElsewhere, "progress_alone_decides_the_schedule"),
        (ForgetsWhatItSurveyed, "resumes_where_it_stopped"),
        (PairsExamplesByOrder, "order_in_the_batch_does_not_matter"),
        (FreezesTheCallersHead, "the_callers_model_stays_as_it_was"),
        (SwitchesTheCallersModel, "the_callers_model_stays_as_it_was"),
        (ReturnsAVector, "losses_are_named_finite_scalars"),
        (LeavesTorch, "batched_seeds_agree_with_single_ones"),
        (HasOtherGradientsInAStack, "batched_seeds_agree_with_single_ones"),
        (SaysItCannotBeBatched, "batched_seeds_agree_with_single_ones"),
    ],
)
def test_a_wrong_method_is_caught(wrong, check):
    with pytest.raises((AssertionError, AttributeError, RuntimeError)):
        CHECKS[check](wrong)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_does_not_see_the_whole_batch_is_caught(tmp_path):
    named = {"right": (GOOD, "classification"), "wrong": (SeesItsOwnRowsAlone, "classification")}
    assert differ_in_two_processes(tmp_path, named) == {"wrong"}


def test_a_method_that_takes_numbers_for_classes_is_caught():
    claims = type("Claims", (GOOD,), {"tasks": frozenset({"classification", "regression"})})
    with pytest.raises(RuntimeError):
        CHECKS["losses_are_named_finite_scalars"](claims, "regression")


def test_an_unchanged_method_is_not_caught():
    same = type("Same", (GOOD,), {"__doc__": GOOD.__doc__})
    assert issubclass(same, Method)
    for check in CHECKS.values():
        check(same)
