import numpy as np
import scipy.linalg
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.align.bnm import BNM, nuclear_norm


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 999))
def test_nuclear_norm_is_the_trace_of_the_root_of_the_gram_matrix(n, k, seed):
    p = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(1)
    eigenvalues = scipy.linalg.eigvalsh(p.T @ p).clip(min=0)
    np.testing.assert_allclose(nuclear_norm(p), np.sqrt(eigenvalues).sum(), rtol=1e-5)


def test_loss_is_the_norm_over_the_number_of_examples():
    method, (source, target) = build(lambda model: BNM(model, weight=0.5)), batches()
    p = method.model(target.inputs).logits.softmax(1).detach().numpy()
    expected = -0.5 * np.linalg.norm(p, "nuc") / len(p)
    np.testing.assert_allclose(method(source, target, 0.5)["nuclear norm"].item(), expected, rtol=1e-5)


def test_sure_and_diverse_beats_sure_of_one_class_beats_unsure():
    sure, same, unsure = torch.eye(4), torch.eye(4)[[0, 0, 0, 0]], torch.full((4, 4), 0.25)
    torch.testing.assert_close([nuclear_norm(p).item() for p in (sure, same, unsure)], [4.0, 2.0, 1.0])


def test_equal_predictions_have_a_finite_gradient():
    logits = torch.zeros(4, 3, requires_grad=True)
    nuclear_norm(logits.softmax(1)).backward()
    assert logits.grad.isfinite().all()
