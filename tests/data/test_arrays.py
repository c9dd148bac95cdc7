import numpy as np
import pytest
import samples
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from acclimate.data import load
from acclimate.data.arrays import from_arrays
from acclimate.data.inputs import ArrayImageInputs, DenseInputs, SparseInputs


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 8, 8, 3)])
def test_uint8_cubes_are_images(shape):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    domain = from_arrays(x, name="x")
    assert domain.kind == "images"
    np.testing.assert_array_equal(domain.examples.read(2).squeeze(), x[2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64, bool])
def test_numbers_in_rows_are_vectors(dtype):
    x = np.eye(4, dtype=dtype)
    domain = from_arrays(x, name="x")
    assert domain.kind == "vectors"
    np.testing.assert_array_equal(domain.examples, np.eye(4, dtype=np.float32))


def test_a_part_picks_its_arrays(tmp_path):
    parts = {"x_train": np.eye(3), "y_train": [1, 2, 3], "x_test": np.eye(2, 3)}
    np.savez(tmp_path / "a.npz", **parts)
    train, test = load(f"{tmp_path}/a.npz#train"), load(f"{tmp_path}/a.npz", part="test")
    assert train.labels.tolist() == ["1", "2", "3"]
    assert test.labels is None
    assert len(test) == 2


def test_rows_are_named_by_number(tmp_path):
    assert load(samples.arrays(tmp_path / "a.npz", n=3)).names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([10, 9, 2], ("2", "9", "10")),
        ([1.0, 0.0, -1.0], ("-1", "0", "1")),
        (np.array([b"a", b"\xc3\xb6", b"b"]), ("a", "b", "ö")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_classes_are_in_the_order_of_their_value(y, classes):
    assert from_arrays(np.eye(3), np.asarray(y), name="x").classes == classes


def test_codes_are_positions_among_the_classes():
    domain = from_arrays(np.eye(3), [10, 9, 2], name="x")
    assert domain.codes(("2", "9", "10")).tolist() == [2, 1, 0]


def test_taking_rows_takes_all_of_them():
    taken = from_arrays(np.eye(3), ["a", "b", "c"], name="x").take(np.array([2, 0]))
    assert (taken.names, taken.labels.tolist()) == (["2", "0"], ["c", "a"])
    np.testing.assert_array_equal(taken.examples, np.eye(3)[[2, 0]])


def test_labels_left_behind_are_nowhere():
    assert from_arrays(np.eye(2), ["a", "b"], name="x").without_labels().labels is None


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_rows_are_what_was_saved(tmp_path, form):
    x = scipy.sparse.random_array((6, 9), density=0.3, format=form, rng=0)
    scipy.sparse.save_npz(tmp_path / "a.npz", x)
    np.testing.assert_allclose(load(tmp_path / "a.npz").examples.toarray(), x.toarray(), rtol=1e-6)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=20), st.integers(0, 1000))
def test_sparse_batches_are_the_dense_rows(index, seed):
    x = scipy.sparse.random_array((8, 5), density=0.4, format="csr", rng=seed, dtype=np.float32)
    rows = np.array(index)
    np.testing.assert_array_equal(SparseInputs(x).batch(rows).to_dense(), x.toarray()[rows])


def test_dense_batches_are_the_rows():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(DenseInputs(x).batch(np.array([3, 0, 3])), x[[3, 0, 3]])


def test_grey_arrays_give_three_equal_channels():
    x = np.random.default_rng(0).integers(0, 256, (4, 6, 6)).astype(np.uint8)
    batch = ArrayImageInputs(x, 6).batch(np.array([2, 1])).numpy()
    np.testing.assert_array_equal(batch, np.repeat(x[[2, 1], None], 3, axis=1))


def test_resizing_an_even_picture_keeps_it_even():
    x = np.full((2, 10, 12, 3), [10, 20, 30], dtype=np.uint8)
    batch = ArrayImageInputs(x, 7).batch(np.array([1])).numpy()
    np.testing.assert_array_equal(batch, np.broadcast_to(np.array([10, 20, 30])[:, None, None], (1, 3, 7, 7)))


def test_a_real_bag_of_words_is_read(shared_data):
    domain = load(shared_data / "amazon_bow" / "books_train.npz")
    assert (domain.examples.shape, domain.classes) == ((2000, 5000), ("-1", "1"))
