import torch
from torch import nn

from acclimate.nn import Classifier, Ensemble

X = torch.arange(12.0).view(4, 3)


def member(seed):
    torch.manual_seed(seed)
    return Classifier(nn.Linear(3, 5), nn.Linear(5, 2), n_features=5, n_classes=2)


def test_its_probabilities_are_the_mean_of_its_members():
    members = [member(0), member(1)]
    mean = sum(one(X).logits.softmax(1) for one in members) / 2
    torch.testing.assert_close(Ensemble(members)(X).logits.softmax(1), mean)


def test_its_features_are_those_of_the_first_member():
    members = [member(0), member(1)]
    assert torch.equal(Ensemble(members)(X).features, members[0](X).features)


def test_one_member_predicts_as_alone():
    torch.testing.assert_close(Ensemble([member(0)])(X).logits.softmax(1), member(0)(X).logits.softmax(1))
