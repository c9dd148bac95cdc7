"""Datasets of Hugging Face's library are the tables and folders that hold the same."""

import numpy as np
import polars as pl
import pytest
import samples

from acclimate.data import Domain, load
from acclimate.data.source import as_domain
from acclimate.errors import BadInput

datasets = pytest.importorskip("datasets")
MOODS = datasets.ClassLabel(names=["bad", "good"])


def reviews(codes: list[int]) -> object:
    """Texts with a class, unless it is -1, and a number of stars."""
    columns = {"text": [f"the book {i}" for i in range(len(codes))], "mood": codes, "stars": list(range(len(codes)))}
    features = {"text": datasets.Value("string"), "mood": MOODS, "stars": datasets.Value("int64")}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def photos(folder) -> tuple[object, Domain]:
    """The images of a folder as a dataset, and as the folder."""
    expected = load(samples.images(folder))
    columns = {"photo": [str(folder / name) for name in expected.names], "kind": [0] * 3 + [1] * 3}
    features = {"photo": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features)), expected


def same_images(given: Domain, expected: Domain) -> None:
    assert (given.kind, given.labels.tolist()) == ("images", expected.labels.tolist())
    for i in range(len(expected)):
        np.testing.assert_array_equal(given.images.read(i), expected.images.read(i))


def test_texts_and_classes_are_those_of_the_csv(tmp_path):
    given = reviews([1, 0, 1])
    pl.DataFrame({"text": given["text"][:], "mood": ["good", "bad", "good"]}).write_csv(tmp_path / "a.csv")
    domain, expected = (as_domain(x, name="s", label="mood", text="text") for x in (given, tmp_path / "a.csv"))
    assert (domain.texts, domain.labels.tolist()) == (expected.texts, expected.labels.tolist())
    assert domain.label_type == "text"


def test_integers_without_names_stay_integers():
    domain = as_domain(reviews([1, 0, 1]), name="s", label="stars", text="text")
    assert (domain.labels.tolist(), domain.integer_labels) == (["0", "1", "2"], True)


def test_without_text_and_images_it_is_a_table():
    domain = as_domain(reviews([1, 0, 1]), name="s", label="mood", drop=["text"])
    assert (domain.kind, domain.table.to_dict(as_series=False)) == ("table", {"stars": [0, 1, 2]})


@pytest.mark.parametrize("image", [None, "photo"])
@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_images_are_decoded_whatever_the_format(tmp_path, image, form):
    given, expected = photos(tmp_path / "images")
    same_images(as_domain(given.with_format(form), name="s", label="kind", image=image), expected)


def test_rows_that_were_selected_are_read(tmp_path):
    given, expected = photos(tmp_path / "images")
    rows = np.array([4, 0])
    same_images(as_domain(given.select(rows), name="s", label="kind"), expected.take(rows))


def test_images_may_come_with_texts(tmp_path):
    given, expected = photos(tmp_path / "images")
    given = given.add_column("text", [f"a photo {i}" for i in range(6)])
    domain = as_domain(given, name="s", label="kind", text="text", image="photo")
    assert (domain.kind, domain.examples.texts[5]) == ("image and text", "a photo 5")
    np.testing.assert_array_equal(domain.examples.images.read(5), expected.images.read(5))


def test_labels_that_are_withheld_are_none():
    assert as_domain(reviews([-1, -1]), name="target", label="mood", text="text").labels is None
    with pytest.raises(BadInput, match="label 'mood' is missing in 2 of 2 rows"):
        as_domain(reviews([-1, -1]), name="source", label="mood", text="text", must_have_label=True)


def test_one_of_two_columns_of_images_is_chosen(tmp_path):
    given, expected = photos(tmp_path / "images")
    given = given.add_column("other", [given.data["photo"][0].as_py()] * 6, feature=datasets.Image())
    with pytest.raises(BadInput, match="s: has images in the columns photo, other; choose one with image"):
        as_domain(given, name="s", label="kind")
    same_images(as_domain(given, name="s", label="kind", drop=["other"]), expected)


def test_a_split_is_chosen():
    with pytest.raises(BadInput, match=r"choose a split, e.g. dataset\['train'\]"):
        as_domain(datasets.DatasetDict({"train": reviews([0, 1])}), name="s")
