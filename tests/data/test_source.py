"""Whatever a domain is given as, it is the same domain."""

import pickle

import numpy as np
import pandas
import polars as pl
import pytest
import samples
import scipy.sparse
import torch
from PIL import Image

from acclimate.data import Domain, load
from acclimate.data.labels import choose_task
from acclimate.data.source import as_domain
from acclimate.errors import BadInput

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.array([3, 1, 3, 1, 3, 1])
TEXTS, MOODS = ["a good book", "a bad book", "the book"], ["good", "bad", "good"]


class Own(torch.utils.data.Dataset):
    """A dataset as people write it."""

    def __init__(self, *columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, i):
        return tuple(column[i] for column in self.columns) if len(self.columns) > 1 else self.columns[0][i]


def same(domain: Domain, expected: Domain) -> None:
    """The two are equal, but for what they and their examples are called."""
    assert (domain.kind, len(domain), domain.label_type) == (expected.kind, len(expected), expected.label_type)
    assert (domain.labels is None) == (expected.labels is None)
    np.testing.assert_array_equal(domain.labels, expected.labels)
    if domain.kind == "images":
        for i in range(len(domain)):
            pixels, others = (np.broadcast_to(d.images.read(i), (*d.images.shape(i), 3)) for d in (domain, expected))
            np.testing.assert_array_equal(pixels, others)
    elif domain.kind == "table":
        assert domain.table.equals(expected.table)
    elif domain.kind == "text":
        assert domain.texts == expected.texts
    else:
        dense = (d.vectors.toarray() if scipy.sparse.issparse(d.vectors) else d.vectors for d in (domain, expected))
        np.testing.assert_array_equal(*dense)


VECTORS = {
    "arrays": (X, Y),
    "lists": (X.tolist(), Y.tolist()),
    "tensors": (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
    "half a tensor": (torch.from_numpy(X), Y),
    "sparse": (scipy.sparse.coo_array(X), Y),
    "sparse matrix": (scipy.sparse.csr_matrix(X), Y),
    "tensor dataset": torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
    "dataset of arrays": Own(X, Y),
    "subset": torch.utils.data.Subset(Own(np.tile(X, (2, 1)), np.tile(Y, 2)), range(6)),
    "dataset and labels": (Own(X), pl.Series(Y)),
    "list of pairs": list(zip(X, Y.tolist(), strict=True)),
}


@pytest.mark.parametrize("given", VECTORS.values(), ids=VECTORS)
def test_vectors_are_those_of_the_npz(given, tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    same(as_domain(given, name="source"), load(tmp_path / "a.npz"))


@pytest.mark.parametrize("given", [X, (X, None), torch.from_numpy(X), Own(X), list(X)])
def test_without_labels_there_are_none(given, tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    same(as_domain(given, name="target"), load(tmp_path / "a.npz"))


TEXT_FORMS = {
    "lists": (TEXTS, MOODS),
    "array": (np.array(TEXTS), np.array(MOODS)),
    "objects": (np.array(TEXTS, dtype=object), np.array(MOODS, dtype=object)),
    "series": (pl.Series(TEXTS), pl.Series(MOODS)),
    "categories": (TEXTS, pl.Series(MOODS, dtype=pl.Categorical)),
    "list of pairs": list(zip(TEXTS, MOODS, strict=True)),
    "dataset": Own(TEXTS, MOODS),
    "frame": pl.DataFrame({"text": TEXTS, "mood": MOODS}),
}


@pytest.mark.parametrize("given", TEXT_FORMS.values(), ids=TEXT_FORMS)
def test_texts_are_those_of_the_csv(given, tmp_path):
    pl.DataFrame({"text": TEXTS, "mood": MOODS}).write_csv(tmp_path / "a.csv")
    columns = {"label": "mood", "text": "text"}
    same(as_domain(given, name="source", **columns), load(tmp_path / "a.csv", **columns))


@pytest.mark.parametrize(
    "form",
    [
        lambda images, labels: list(zip(images, labels, strict=True)),
        lambda images, labels: (images, labels),
        lambda images, labels: Own(images, labels),
        lambda images, labels: Own([np.asarray(image) for image in images], labels),
        lambda images, labels: Own([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images], labels),
        lambda images, labels: Own([torch.from_numpy(np.array(i)).permute(2, 0, 1) / 255 for i in images], labels),
        lambda images, labels: (torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images]), labels),
        lambda images, labels: (np.stack(images), labels),
    ],
    ids=["pairs", "images and labels", "PIL", "arrays", "tensors", "tensors to 1", "one tensor", "one array"],
)
def test_images_are_those_of_the_folder(form, image_folder):
    expected = load(image_folder)
    images = [Image.open(image_folder / name) for name in expected.names]
    same(as_domain(form(images, expected.labels.tolist()), name="source"), expected)


def test_a_table_is_that_of_the_csv(table):
    same(
        as_domain(pl.read_csv(table), name="source", label="sick", drop=["town"]),
        load(table, label="sick", drop=["town"]),
    )


def test_listed_images_of_a_frame_start_at_the_current_folder_and_may_be_anywhere(tmp_path, monkeypatch):
    items = samples.catalogue(tmp_path / "shop")
    columns = {"label": "mood", "image": "photo"}
    expected, frame = load(items, **columns), pl.read_csv(items)
    monkeypatch.chdir(items.parent)
    same(as_domain(frame, name="source", **columns), expected)
    monkeypatch.chdir(tmp_path / "shop" / "photos")
    absolute = frame.with_columns(photo=pl.lit(f"{items.parent}/") + pl.col("photo"))
    same(as_domain(absolute, name="source", **columns), expected)


def test_a_domain_stays_as_it_is():
    domain = as_domain((X, Y), name="source")
    assert as_domain(domain, name="other") is domain


def test_what_has_no_columns_passes_over_their_names():
    same(as_domain((X, Y), name="source", label="y", text="t", drop=["a"]), as_domain((X, Y), name="source"))


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (Y, "integer"),
        (Y.astype(np.uint8), "integer"),
        (Y.astype(object), "integer"),
        (pl.Series(Y), "integer"),
        (Y.astype(float), "number"),
        (Y / 2, "number"),
        (Y.astype(str), "text"),
        (Y > 2, "text"),
    ],
)
def test_it_is_known_how_labels_were_given(y, kind):
    domain = as_domain((X, y), name="source")
    assert (domain.label_type, domain.take(np.array([0])).integer_labels) == (kind, kind == "integer")


def test_labels_left_behind_leave_no_type():
    assert as_domain((X, Y), name="source").without_labels().label_type == "text"


def test_images_of_a_dataset_may_have_numbers():
    images = [samples.picture(i) for i in range(12)]
    assert choose_task(as_domain((images, np.arange(12) / 4), name="source"), "auto") == "regression"


def test_images_are_fetched_when_they_are_read_and_in_the_order_asked_for():
    fetched = []

    class Counting(Own):
        def __getitem__(self, i):
            fetched.append(i)
            return super().__getitem__(i)

    domain = as_domain(Counting([samples.picture(i) for i in range(5)]), name="target").take(np.array([4, 2]))
    assert fetched == [0]
    np.testing.assert_array_equal(domain.images.read(1), np.asarray(samples.picture(2)))
    assert fetched == [0, 2]


def test_images_of_a_dataset_travel_to_other_processes_and_keep_their_digest():
    images = as_domain([samples.picture(i) for i in range(3)], name="target").images
    there = pickle.loads(pickle.dumps(images))
    assert there.digest() == images.digest() != images.take_rows(np.array([1, 0, 2])).digest()


WRONG = {
    "a set": ({1, 2}, "target: cannot read a set; give a path, a Domain, an array"),
    "a dictionary": ({"x": X}, "cannot read a dict; give a path"),
    "nothing": (None, "cannot read a NoneType"),
    "bytes": (b"a.npz", "cannot read a bytes"),
    "a generator": (iter(X), "cannot read a"),
    "three": ((X, Y, Y), "cannot read a tuple"),
    "two paths": (("a.npz", "b.npz"), "cannot read a str"),
    "a loader": (torch.utils.data.DataLoader(Own(X)), "is a torch.utils.data.dataloader.DataLoader; give its dataset"),
    "a lazy frame": (pl.LazyFrame({"a": [1]}), "call its collect() first"),
    "no items": ([], "target: has no items"),
    "items of three": (Own(X, Y, Y), "items have 3 parts; give examples, or pairs (example, label)"),
    "texts and numbers": (["a", 1.5], "item 1 is of type float, and others are texts"),
    "empty texts": (["", None], "every text is empty"),
    "rows of two lengths": ([np.zeros(3), np.zeros(4)], "not an array (setting an array element"),
    "labels twice": ((pl.DataFrame({"a": [1, 2], "y": [0, 1]}), [0, 1]), "has labels in x and in y; give them once"),
    "a label missing": ((X, [*"abcde", None]), "'y' is missing in 1 of 6 rows, first in row 5"),
    "a label not a number": ((X, np.array([*"abcde", np.nan], dtype=object)), "'y' is missing in 1 of 6 rows"),
    "too few labels": ((X, pl.Series([1, 2])), "y has shape (2,), and x has 6 rows"),
    "images normalised": (torch.randn(2, 3, 4, 4), "give uint8, or floats from 0 to 1 (without Normalize)"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_gets_one_line(given, message):
    with pytest.raises(BadInput) as told:
        as_domain(given, name="target", label="y")
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.randn(3, 4, 4), "target: item 1: the images are float32 from"),
        (np.zeros((4, 4, 3)), "target: item 1: is float64 (4, 4, 3); give images as uint8"),
        (None, "target: item 1: has no image"),
        ("a.png", "target: item 1: is <U5 ()"),
    ],
)
def test_an_item_that_is_no_image_is_named(image, message):
    images = as_domain([samples.picture(), image], name="target").images
    with pytest.raises(BadInput) as told:
        images.read(1)
    assert message in str(told.value)


def test_a_damaged_file_of_a_dataset_is_named(image_folder):
    (image_folder / "cat/1.png").write_bytes(b"no image")

    class Files(Own):
        def __getitem__(self, i):
            with Image.open(super().__getitem__(i)) as image:
                return image.convert("RGB")

    images = as_domain(Files(sorted(image_folder.rglob("*.png"))), name="target").images
    with pytest.raises(BadInput, match="target: item 1: not a readable image"):
        images.read(1)


BLANK = {
    "nan": (X, np.full(6, np.nan)),
    "one infinite": (X, [0, 1, np.inf, 1, 0, 1]),
    "none": (X, [None] * 6),
    "too few": (X, Y[:2]),
    "column": pl.DataFrame({"a": X[:, 0], "y": [None, "a", "", "b", "a", "b"]}),
    "floats in a column": pl.DataFrame({"a": X[:, 0], "y": [np.inf, np.nan, 1, 2, 3, 4]}),
    "pandas column of mixed types": pandas.DataFrame({"a": X[:, 0], "y": [1, "a", None, {}, [], 2]}),
    "pairs": Own(list(X), [None, np.nan, 1, 0, 1, 0]),
    "pairs of texts": Own(TEXTS, ["good", None, np.inf]),
}


@pytest.mark.parametrize("given", BLANK.values(), ids=BLANK)
def test_labels_that_are_not_read_may_be_anything(given):
    domain = as_domain(given, name="target", label="y", read_labels=False)
    assert domain.labels is None
    assert domain.labels_set_aside
    with pytest.raises(BadInput, match=r"^source: "):
        as_domain(given, name="source", label="y")


@pytest.mark.parametrize("y", [np.full(6, np.nan), np.array([{}] * 6, dtype=object)])
def test_y_of_an_npz_is_not_unpacked_if_it_is_not_read(tmp_path, y):
    np.savez(tmp_path / "target.npz", x=X, y=y)
    domain = load(tmp_path / "target.npz", read_labels=False)
    assert (domain.labels, domain.labels_set_aside) == (None, True)


def test_a_table_of_which_nothing_is_labelled_has_no_labels_set_aside():
    assert not as_domain(pl.DataFrame({"a": X[:, 0]}), name="target", label="y", read_labels=False).labels_set_aside
