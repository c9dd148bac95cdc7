"""What the report says of the curves of losses."""

import polars as pl
import pytest
import torch

from acclimate.nn.losses import domain_loss
from acclimate.report.loss_words import CHANCE, explain_losses


def curves(**losses):
    rows = [
        {"phase": "adapted", "seed": 0, "name": name, "bin": i, "step": float(i + 1), "value": float(value)}
        for name, values in losses.items()
        for i, value in enumerate(values)
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("share", "said"), [(0.01, "still told apart"), (0.5, "partly aligned"), (0.97, "hardly tells the domains apart")]
)
def test_a_discriminator_is_compared_with_chance(share, said):
    assert said in explain_losses(curves(domain=[CHANCE, CHANCE * share]))["domain"]


def test_chance_is_the_loss_of_a_discriminator_that_knows_nothing():
    assert domain_loss(torch.zeros(7, 1), 3).item() == pytest.approx(CHANCE)


def test_overfitting_on_the_source_is_told():
    fits = curves(**{"class": [1, 0.1], "source_val_loss": [1, 0.5]})
    overfits = curves(**{"class": [1, 0.1], "source_val_loss": [1, 2]})
    assert "overfits" not in explain_losses(fits)["class"]
    assert "overfits" in explain_losses(overfits)["class"]


def test_a_loss_of_another_package_is_described_by_its_curve():
    assert explain_losses(curves(mystery=[2, 1]))["mystery"] == "It falls from 2 to 1."


def test_no_curve_no_words():
    assert explain_losses(curves(domain=[1])) == {}
