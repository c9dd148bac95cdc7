import numpy as np
import polars as pl
import pytest
import scipy.sparse
from PIL import Image

from acclimate.data import load
from acclimate.data.digests import digest
from acclimate.data.source import as_domain
from acclimate.errors import BadInput

X = np.arange(12, dtype=np.float32).reshape(4, 3)
FRAME = pl.DataFrame({"age": [1.5, None, 3.0], "town": ["a", None, "c"], "on": [True, False, None]})


def of(given, **more):
    return digest(as_domain(given, name="source", **more))


@pytest.mark.parametrize(
    ("given", "other"),
    [
        (X, X + np.eye(4, 3, dtype=np.float32)),
        (X, X[::-1]),
        (X, X[:3]),
        ((X, [0, 1, 0, 1]), (X, [0, 1, 1, 0])),
        (scipy.sparse.csr_array(X), scipy.sparse.csr_array(X[:, ::-1])),
        (["a", "bc"], ["ab", "c"]),
        (FRAME, FRAME.with_columns(pl.col("age").fill_null(0.0))),
        (FRAME, FRAME.with_columns(pl.col("town").fill_null(""))),
        (FRAME, FRAME.rename({"age": "years"})),
        (np.zeros((4, 8, 8), np.uint8), np.ones((4, 8, 8), np.uint8)),
    ],
)
def test_what_differs_has_another_digest(given, other):
    assert of(given) == of(given)
    assert of(given) != of(other)


def change_a_pixel(folder):
    path = next(iter(sorted(folder.rglob("*.png"))))
    image = Image.open(path).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path)


def rename_an_image(folder):
    path = next(iter(sorted(folder.rglob("*.png"))))
    path.rename(path.with_name("renamed.png"))


def remove_an_image(folder):
    next(iter(sorted(folder.rglob("*.png")))).unlink()


@pytest.mark.parametrize("change", [change_a_pixel, rename_an_image, remove_an_image])
def test_a_changed_folder_has_another_digest(image_folder, change):
    before = digest(load(image_folder))
    assert digest(load(image_folder)) == before
    change(image_folder)
    assert digest(load(image_folder)) != before


def test_an_image_that_may_not_be_read_is_bad_input(image_folder, monkeypatch):
    domain = load(image_folder)

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(BadInput, match=r"\.png: not a readable image \(.*Permission denied"):
        digest(domain)


def test_items_that_change_at_random_are_not_read():
    class Random(list):
        def __getitem__(self, i):
            return np.random.default_rng().integers(0, 256, (8, 8, 3)).astype(np.uint8)

    assert of(Random(range(3))) == of(Random(range(3)))


def test_the_digest_of_a_table_is_the_same_on_every_reading(table):
    assert digest(load(table, label="sick")) == digest(load(table, label="sick")) != digest(load(table, label="town"))
