import threading
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from acclimate.data import load
from acclimate.data.inputs import DenseInputs, ImageInputs
from acclimate.data.loaders import BalancedSampler, JoinedSampler, Loader, Sampler, pairs, rows_of_part, split, strata

rows, sizes, seeds = st.integers(1, 40), st.integers(1, 24), st.integers(0, 2**31)


@given(rows, sizes, seeds)
def test_every_row_comes_equally_often_in_whole_passes(n, size, seed):
    sampler = Sampler(n, size, seed=seed)
    drawn = np.concatenate([sampler.indices(i) for i in range(n)])  # n batches are `size` passes
    np.testing.assert_array_equal(np.bincount(drawn, minlength=n), size)


@given(rows, sizes, seeds, st.lists(st.integers(0, 60), max_size=8))
def test_a_batch_depends_on_nothing_before(n, size, seed, history):
    sampler = Sampler(n, size, seed=seed)
    for step in history:
        sampler.indices(step)
    np.testing.assert_array_equal(sampler.indices(5), Sampler(n, size, seed=seed).indices(5))


@given(rows, st.integers(1, 6), st.integers(1, 4), seeds)
def test_processes_share_out_the_batch(n, each, world, seed):
    parts = [Sampler(n, each * world, seed=seed, rank=r, world=world).indices(3) for r in range(world)]
    whole = Sampler(n, each * world, seed=seed).indices(3)
    assert {len(p) for p in parts} == {each}
    np.testing.assert_array_equal(np.stack(parts, axis=1).ravel(), whole)


@given(st.integers(1, 5), seeds)
def test_a_small_domain_comes_several_times_in_a_batch(n, seed):
    counts = np.bincount(Sampler(n, 12, seed=seed).indices(0), minlength=n)
    assert counts.sum() == 12
    assert counts.max() - counts.min() <= 1


@given(st.integers(10, 40), seeds)
def test_two_streams_are_in_different_order(n, seed):
    orders = [Sampler(n, 1, seed=seed, stream=s).order(0) for s in (0, 1)]
    assert not np.array_equal(*orders)


@given(st.integers(10, 40), seeds)
def test_two_passes_are_in_different_order(n, seed):
    sampler = Sampler(n, 1, seed=seed)
    assert not np.array_equal(sampler.order(0), sampler.order(1))


@st.composite
def classes(draw):
    """Labels of classes that are not equally frequent; some of those in between do not occur."""
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    return np.random.default_rng(0).permutation(np.repeat(2 * np.arange(len(counts)), counts))


@given(classes(), sizes, seeds)
def test_balanced_batches_have_each_class_equally_often(labels, size, seed):
    sampler = BalancedSampler(labels, size, seed=seed)
    drawn = np.concatenate([labels[sampler.indices(i)] for i in range(6)])
    counts = np.bincount(drawn)[np.unique(labels)]
    assert counts.sum() == 6 * size
    assert counts.max() - counts.min() <= 1


@given(classes(), seeds)
def test_balanced_rows_of_a_class_come_equally_often(labels, seed):
    sampler = BalancedSampler(labels, 1, seed=seed)
    times = np.bincount(np.concatenate([sampler.order(epoch) for epoch in range(20)]), minlength=len(labels))
    for c in np.unique(labels):
        assert np.ptp(times[labels == c]) <= 1


@given(classes(), sizes, seeds, st.lists(st.integers(0, 60), max_size=8))
def test_a_balanced_batch_depends_on_nothing_before(labels, size, seed, history):
    sampler = BalancedSampler(labels, size, seed=seed)
    for step in history:
        sampler.indices(step)
    np.testing.assert_array_equal(sampler.indices(5), BalancedSampler(labels, size, seed=seed).indices(5))


@given(classes(), st.integers(1, 6), st.integers(1, 4), seeds)
def test_processes_share_out_the_balanced_batch(labels, each, world, seed):
    parts = [BalancedSampler(labels, each * world, seed=seed, rank=r, world=world).indices(3) for r in range(world)]
    whole = BalancedSampler(labels, each * world, seed=seed).indices(3)
    np.testing.assert_array_equal(np.stack(parts, axis=1).ravel(), whole)


def test_classes_of_a_balanced_pass_have_no_fixed_order():
    labels = np.arange(30) % 3
    in_threes = labels[BalancedSampler(labels, 3, seed=0).order(0)].reshape(-1, 3)
    assert len(np.unique(in_threes, axis=0)) > 1


def test_the_balanced_loss_is_that_of_weighted_examples():
    losses, labels = np.random.default_rng(0).random(60), np.repeat([0, 1, 2], [40, 15, 5])
    weights = compute_sample_weight("balanced", labels)  # n / (k n_c)
    drawn = BalancedSampler(labels, 60 * 40, seed=0).indices(0)
    assert losses[drawn].mean() == pytest.approx((weights * losses).mean(), abs=1e-3)


@given(st.integers(0, 12))
def test_a_loader_goes_on_at_any_step(step):
    inputs = DenseInputs(np.arange(10, dtype=np.float32)[:, None])
    loader = Loader(inputs, Sampler(10, 4, seed=0), np.arange(10))
    later, first = next(loader.start(step)), next(islice(loader.start(0), step, None))
    assert all(torch.equal(a, b) for a, b in zip(later, first, strict=True))


@pytest.fixture
def fetching():
    """The threads that fetch batches, but for those of other tests."""
    before = threading.enumerate()
    return lambda: [t for t in threading.enumerate() if t.name.startswith("fetch") and t not in before]


def test_a_loader_that_fetches_ahead_gives_the_same(image_folder, fetching):
    inputs = ImageInputs(load(image_folder).examples, 8)
    batches = Loader(inputs, Sampler(6, 4, seed=0), np.arange(6)).start(0)
    for step, (batch, labels) in enumerate(islice(batches, 7)):
        index = Sampler(6, 4, seed=0).indices(step)
        np.testing.assert_array_equal(labels, index)
        assert torch.equal(batch, inputs.batch(index))
    assert len(fetching()) == 1
    batches.close()


def test_a_loader_of_rows_in_memory_starts_no_thread(fetching):
    batches = Loader(DenseInputs(np.zeros((6, 1), np.float32)), Sampler(6, 2, seed=0)).start(0)
    next(batches)
    assert fetching() == []


def test_labels_go_with_their_rows():
    x = np.arange(10, dtype=np.float32)[:, None]
    loader = Loader(DenseInputs(x), Sampler(10, 4, seed=0), np.arange(10) * 2)
    batch, labels = next(loader.start(0))
    np.testing.assert_array_equal(batch[:, 0] * 2, labels)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30))
def test_pairs_are_what_both_loaders_give_in_one_tensor(n, m, step):
    x, z, y = np.random.default_rng(0).random((n, 3), np.float32), np.ones((m, 3), np.float32), np.arange(n)
    source, target = Loader(DenseInputs(x), Sampler(n, 4, seed=1), y), Loader(DenseInputs(z), Sampler(m, 4, seed=2))
    inputs, labels, others = next(pairs(source, target, step))
    assert inputs._base is others._base is not None
    apart = (*next(source.start(step)), next(target.start(step))[0])
    for found, wanted in zip((inputs, labels, others), apart, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_pairs_of_unlike_domains_are_what_both_loaders_give():
    source, target = (Loader(DenseInputs(np.ones((5, d), np.float32)), Sampler(5, 4, seed=1)) for d in (3, 0))
    inputs, _, others = next(pairs(source, target, 0))
    assert (inputs.shape, others.shape) == ((4, 3), (4, 0))


def test_a_domain_without_labels_gives_none():
    loader = Loader(DenseInputs(np.zeros((3, 1), np.float32)), Sampler(3, 2, seed=0))
    assert next(loader.start(0))[1].numel() == 0


def test_a_loader_left_early_stops_its_thread(image_folder, fetching):
    batches = Loader(ImageInputs(load(image_folder).examples, 8), Sampler(6, 2, seed=0)).start(0)
    next(batches)
    assert len(fetching()) == 1
    batches.close()
    assert fetching() == []


@given(st.integers(40, 300), seeds)
def test_of_numbers_a_share_of_each_range_is_kept_to_validate_on(n, seed):
    numbers = np.random.default_rng(seed).lognormal(size=n).astype(np.float32)
    rows, held = split(numbers, 0.25, seed=seed)
    assert sorted([*rows, *held]) == list(range(n))
    k = min(10, n // 20)
    ranges = np.digitize(numbers, np.quantile(numbers, np.arange(1, k) / k), right=True)
    for of_range in (ranges == i for i in range(k)):
        assert abs(of_range[held].sum() - of_range.sum() / 4) <= 0.5


@pytest.mark.parametrize("n", [2, 3, 20, 21])
def test_few_numbers_are_shared_out_too(n):
    rows, held = split(np.arange(n, dtype=np.float32), 0.1, seed=0)
    assert len(rows) + len(held) == n
    assert len(held) >= 1


def test_which_rows_a_split_holds_depends_on_the_seed():
    labels = np.zeros(100, dtype=np.int64)
    first, same, other = (split(labels, 0.2, seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("share", "of_each"), [(0.1, [1, 1, 0]), (0.5, [2, 1, 0]), (0.99, [3, 1, 0])])
def test_a_split_holds_some_of_each_class_and_leaves_at_least_one(share, of_each):
    labels = np.repeat([0, 1, 2], [4, 2, 1])
    rows, held = split(labels, share, seed=0)
    assert np.bincount(labels[held], minlength=3).tolist() == of_each
    assert sorted([*rows, *held]) == list(range(7))


def test_one_number_many_times_is_one_range():
    rows, held = split(np.r_[np.zeros(95), 1:6].astype(np.float32), 0.1, seed=0)
    assert len(held) == pytest.approx(10, abs=2)
    assert len(rows) + len(held) == 100


def joined(n, m, parts, seed, **of_world):
    first, second = (
        Sampler(k, size, seed=seed, stream=i) for i, (k, size) in enumerate(zip((n, m), parts, strict=True))
    )
    return JoinedSampler(first, second, n, **of_world)


@given(rows, rows, st.tuples(sizes, sizes), seeds)
def test_each_of_two_domains_has_its_part_of_every_batch(n, m, parts, seed):
    drawn = joined(n, m, parts, seed).indices(3)
    assert ((drawn < n).sum(), (drawn >= n).sum()) == parts
    assert drawn.max() < n + m


@given(rows, rows, st.tuples(st.integers(1, 6), st.integers(1, 6)), seeds)
def test_processes_share_out_a_batch_of_two_domains(n, m, parts, seed):
    doubled = (2 * parts[0], 2 * parts[1])
    halves = [joined(n, m, doubled, seed, rank=rank, world=2).indices(3) for rank in (0, 1)]
    np.testing.assert_array_equal(np.stack(halves, axis=1).ravel(), joined(n, m, doubled, seed).indices(3))
    assert [(half < n).sum() for half in halves] == [parts[0]] * 2


@given(st.lists(st.integers(0, 3), min_size=6, max_size=40), st.integers(2, 4), seeds)
def test_every_row_is_in_one_part_and_every_part_has_its_share_of_each_class(labels, parts, seed):
    labels = np.array(labels)
    rows = [rows_of_part(labels, part, parts, seed) for part in range(parts)]
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in rows])), np.arange(len(labels)))
    for learnt, held in rows:
        np.testing.assert_array_equal(np.sort(np.concatenate([learnt, held])), np.arange(len(labels)))
        assert np.abs(np.bincount(labels[held], minlength=4) - np.bincount(labels, minlength=4) / parts).max() < 1


def test_strata_divide_each_class_of_each_source():
    labels, origin = np.repeat([0, 1, 0, 1], [10, 20, 30, 40]), np.repeat([0, 0, 1, 1], [10, 20, 30, 40])
    _, held = split(strata(labels, origin), 0.2, 0)
    assert np.bincount(2 * labels[held] + origin[held]).tolist() == [2, 6, 4, 8]


def test_rows_that_are_alone_in_their_source_are_divided_by_class():
    labels, origin = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 1])
    _, held = split(strata(labels, origin), 0.2, 0)
    assert sorted(labels[held].tolist()) == [0, 1]


def test_strata_of_numbers_are_ranges_within_each_source():
    numbers, origin = np.arange(80, dtype=np.float32), np.tile([0, 1], 40)
    found = strata(numbers, origin)
    assert len(np.unique(found)) == 8
    assert all(len({origin[i] for i in np.flatnonzero(found == s)}) == 1 for s in np.unique(found))
