"""Sparse rows in torch's CSR layout."""

import warnings
from functools import cache

import scipy.sparse
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class _RowsKept(FunctionCtx):
    rows: Tensor


class _SparseAffine(torch.autograd.Function):
    """Sparse rows times a dense matrix, plus a bias, on the CPU: the weighted sum of the matrix rows at the non-zeros.

    The backward pass is the same sum over SciPy's transpose, which avoids scattering gradients.
    """

    @staticmethod
    def forward(ctx: _RowsKept, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.rows = rows
        return _weighted_bags(rows.crow_indices(), rows.col_indices(), rows.values(), weight).add_(bias)

    @staticmethod
    def backward(ctx: _RowsKept, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        rows = ctx.rows
        kind = rows.values().dtype
        wide = rows.values().to(torch.promote_types(kind, torch.float32))  # NumPy has no bfloat16
        parts = wide.numpy(), rows.col_indices().numpy(), rows.crow_indices().numpy()
        columns = scipy.sparse.csr_array(parts, shape=tuple(rows.shape)).tocsc()
        crow, col, values = (torch.from_numpy(part) for part in (columns.indptr, columns.indices, columns.data))
        return None, _weighted_bags(crow, col, values.to(kind), grads[0].contiguous()), grads[0].sum(0)


def _weighted_bags(crow: Tensor, col: Tensor, values: Tensor, matrix: Tensor) -> Tensor:
    return nn.functional.embedding_bag(
        col, matrix, crow, mode="sum", per_sample_weights=values, include_last_offset=True
    )


class SparseLinear(nn.Module):
    """A linear layer for sparse rows: ``x W + b`` with ``x (n, d_in)`` in torch's CSR layout or dense.

    ``weight`` is ``(d_in, d_out)``, the transpose of `torch.nn.Linear`'s, so that each non-zero selects a whole row.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights as `torch.nn.Linear` does."""
        bound = self.weight.shape[0] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, d_out)``, dense."""
        on_cpu = x.layout == torch.sparse_csr and x.device.type == "cpu" and x.dtype == self.weight.dtype
        if not on_cpu:
            return x @ self.weight + self.bias
        product: Tensor = _SparseAffine.apply(x, self.weight, self.bias)
        return product


def csr_rows(crow: Tensor, col: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """Make a CSR tensor from its parts; does not check that they fit together."""
    _silence_beta_warning()
    shape = (len(crow) - 1, n_columns)
    return torch.sparse_csr_tensor(crow, col, values, shape, check_invariants=False)


@cache
def _silence_beta_warning() -> None:
    """Trigger torch's warning that its CSR layout may change, which comes once a process: users cannot act on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))


def join(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate the rows of both, dense or CSR. Adjacent halves of one tensor are not copied."""
    if a.layout != torch.sparse_csr:
        return whole if (whole := _shared_base(a, b)) is not None else torch.cat([a, b])
    crow = torch.cat([a.crow_indices(), b.crow_indices()[1:] + a.crow_indices()[-1]])
    col, values = torch.cat([a.col_indices(), b.col_indices()]), torch.cat([a.values(), b.values()])
    return csr_rows(crow, col, values, a.shape[1])


def _shared_base(a: Tensor, b: Tensor) -> Tensor | None:
    """Return the tensor of which ``a`` is the first and ``b`` the second part, if any."""
    whole = None if torch.compiler.is_compiling() else a._base
    if whole is None or whole is not b._base or whole.shape != (len(a) + len(b), *a.shape[1:]):
        return None
    follows = b.storage_offset() - a.storage_offset() == a.numel()
    return whole if follows and whole.is_contiguous() else None
