"""Several sources are one labelled domain whose examples know where they are from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse

from acclimate.data import load, paths_in
from acclimate.data.digests import digest
from acclimate.data.domain import Domain
from acclimate.data.labels import choose_task
from acclimate.data.several import lacking, pool, short_names, sources_of
from acclimate.errors import BadInput


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders with and without commas in their names."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c,d", "e,f,g"):
        Path(name).mkdir()


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a, b", ["a", "b"]),
        ("c,d", ["c,d"]),
        ("a,c,d,b", ["a", "c,d", "b"]),
        ("e,f,g,a", ["e,f,g", "a"]),
        ("a#x=1,b#x=2", ["a#x=1", "b#x=2"]),
        ("a#x=1,2,b", ["a#x=1,2", "b"]),
        ("c,d#x=1,b", ["c,d#x=1", "b"]),
        ("a,missing", ["a", "missing"]),
        ("a,missing#x=1", ["a", "missing#x=1"]),
        ("a,", ["a", ""]),
    ],
)
def test_paths_are_separated_by_commas_unless_the_comma_is_part_of_one(folders, text, paths):
    assert paths_in(text) == paths


X = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "n"),
    [
        (["a", Path("b")], 2),
        (("a", "b"), 2),
        (["a,b", "c,d"], 3),
        ([(X, [0, 1, 0, 1]), (X, np.zeros(4))], 2),
        (((X, [0, 1, 0, 1]), (X, [0, 1, 0, 1])), 2),
        ([pl.DataFrame({"x": [1]}), "a"], 2),
        (X, 1),
        ((X, [0, 1, 0, 1]), 1),
        ([(X[0], 0), (X[1], 1)], 1),
        ([("good", "pos"), ("bad", "neg")], 1),
        ([X, X], 1),
    ],
)
def test_lists_of_domains_are_told_from_lists_of_examples(folders, given, n):
    assert len(sources_of(given)) == n


def test_an_empty_list_is_refused():
    with pytest.raises(BadInput, match="empty"):
        sources_of([])


def vectors(name, labels, *, d=3, sparse=False, kind="text"):
    x = np.arange(d * len(labels), dtype=np.float32).reshape(-1, d)
    rows = scipy.sparse.csr_array(x) if sparse else x
    names = [str(i) for i in range(len(labels))]
    return Domain(name, "vectors", rows, names, np.array(labels), kind)


def test_vectors_follow_one_another_and_remember_their_source():
    one, other = vectors("a", ["u", "v"]), vectors("b", ["v", "w", "w"])
    both = pool([one, other])
    assert np.array_equal(both.vectors, np.concatenate([one.vectors, other.vectors]))
    assert both.labels.tolist() == ["u", "v", "v", "w", "w"]
    assert both.classes == ("u", "v", "w")
    assert both.take(np.array([4, 0])).origin.tolist() == [1, 0]
    assert both.names == ["a: row 0", "a: row 1", "b: row 0", "b: row 1", "b: row 2"]
    assert both.members == (one, other)


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False)])
def test_sparse_and_dense_rows_become_sparse(first, second):
    both = pool([vectors("a", ["u", "v"], sparse=first), vectors("b", ["u", "v"], sparse=second)])
    assert scipy.sparse.issparse(both.vectors)
    assert both.vectors.toarray().tolist() == 2 * [[0, 1, 2], [3, 4, 5]]


def test_one_source_stays_as_it_is():
    assert pool([one := vectors("a", ["u", "v"])]) is one


@pytest.mark.parametrize(
    ("kinds", "joint"),
    [(("integer", "integer"), "integer"), (("integer", "number"), "number"), (("text", "integer"), "text")],
)
def test_the_type_of_labels_holds_those_of_all(kinds, joint):
    assert pool([vectors("a", ["1", "2"], kind=kinds[0]), vectors("b", ["1", "2"], kind=kinds[1])]).label_type == joint


def test_what_does_not_fit_together_is_refused(tmp_path):
    one = vectors("a", ["u", "v"])
    text = Domain("t", "text", ["x", "y"], ["0", "1"], np.array(["u", "v"]))
    with pytest.raises(BadInput, match=r"^t: the examples are of kind 'text', those of a of kind 'vectors'"):
        pool([one, text])
    with pytest.raises(BadInput, match=r"^b: has 2 columns, a has 3"):
        pool([one, vectors("b", ["u", "v"], d=2)])
    with pytest.raises(BadInput, match=r"^b: the source has no labels"):
        pool([one, replace(vectors("b", ["u", "v"]), labels=None)])


def test_texts_follow_one_another(tmp_path):
    paths = [samples.reviews(tmp_path / f"{thing}.csv", n=4, thing=thing) for thing in ("book", "film")]
    both = pool([load(path, label="mood", text="text") for path in paths])
    assert [text.split()[-1] for text in both.texts] == 4 * ["book"] + 4 * ["film"]


def test_tables_keep_types_that_agree_and_spell_out_those_that_do_not(tmp_path):
    one = load(samples.table(tmp_path / "a.csv", code=range(12)), label="sick")
    other = load(samples.table(tmp_path / "b.csv", code=[f"x{i}" for i in range(12)]), label="sick")
    both = pool([one, other]).table
    assert both.schema == {"age": pl.Float64, "town": pl.String, "code": pl.String}
    assert both["code"].to_list()[10:14] == ["10", "11", "x0", "x1"]


@pytest.mark.parametrize(("first", "more"), [(True, "a.csv"), (False, "b.csv")])
def test_tables_with_other_columns_are_refused(tmp_path, first, more):
    extra = {"height": range(12)}
    paths = [
        samples.table(tmp_path / "a.csv", **(extra if first else {})),
        samples.table(tmp_path / "b.csv", **({} if first else extra)),
    ]
    with pytest.raises(BadInput, match=rf"{more}: column 'height' is not in .*, and sources need the same columns"):
        pool([load(path, label="sick") for path in paths])


def test_dates_in_one_table_alone_are_refused(tmp_path):
    one = load(samples.table(tmp_path / "a.csv", seen=[f"2024-01-{i + 1:02}" for i in range(12)]), label="sick")
    other = load(samples.table(tmp_path / "b.csv", seen=range(12)), label="sick")
    one = replace(one, examples=one.table.with_columns(pl.col("seen").cast(pl.String).str.to_date()))
    with pytest.raises(BadInput, match=r"b.csv: column 'seen' contains numbers, and dates in .*a.csv"):
        pool([one, other])


def test_images_of_folders_zips_and_arrays_are_read_where_they_are(tmp_path):
    folder = load(samples.images(tmp_path / "a", each=2, seed=1))
    arrays = load(samples.arrays(tmp_path / "b.npz", x=np.zeros((2, 16, 16), np.uint8), y=np.array(["cat", "dog"])))
    both = pool([folder, arrays]).take(np.array([4, 1, 0]))
    assert not both.images.read(0).any()
    assert np.array_equal(both.images.read(1), folder.images.read(1))
    assert both.images.shape(2) == (16, 16)
    assert both.names[1:] == ["a: cat/1.png", "a: cat/0.png"]


def test_the_files_of_several_folders_are_known_as_those_of_one(tmp_path):
    parts = [load(samples.images(tmp_path / name, each=2, seed=i)) for i, name in enumerate("ab")]
    both = pool(parts).images
    assert [file.digest for file in both.stored()] == [file.digest for p in parts for file in p.images.stored()]
    assert both.content(5) == (tmp_path / "b/cat/1.png").read_bytes()
    assert both.place(7) == tmp_path / "b/dog/1.png"


def test_class_folders_stay_classes_whatever_they_are_called(tmp_path):
    names = ["0.5", "1.5", "2.5"]
    both = pool([load(samples.images(tmp_path / name, names, each=2, seed=i)) for i, name in enumerate("ab")])
    assert choose_task(both, "auto") == "classification"


@pytest.mark.parametrize("change", ["content", "order", "source"])
def test_the_digest_depends_on_examples_order_and_source(tmp_path, change):
    x = np.random.default_rng(0).integers(0, 255, (4, 8, 8)).astype(np.uint8)
    y = np.array(["u", "v", "u", "v"])

    def domain(x, name):
        return load(samples.arrays(tmp_path / f"{name}.npz", x=x, y=y))

    folder = load(samples.images(tmp_path / "f", ["u", "v"], each=2))
    one, other = domain(x, "one"), domain(x + 1 if change == "content" else x, "one")
    before = pool([one, folder])
    after = {"content": [other, folder], "order": [folder, one], "source": [one, folder.take(np.arange(3))]}[change]
    assert digest(before) == digest(pool([one, folder]))
    assert digest(before) != digest(pool(after))


def test_short_names_tell_domains_apart():
    assert short_names(["x/photo/", "x/art"]) == ["photo", "art"]
    assert short_names(["a.csv#site=1", "b.csv#site=1"]) == ["a.csv#site=1", "b.csv#site=1"]
    assert short_names(["1/a.csv", "2/a.csv"]) == ["1/a.csv", "2/a.csv"]


def test_missing_classes_are_found_by_source():
    one, other = vectors("a", ["u", "v"]), vectors("b", ["v", "w", "w"])
    assert lacking(pool([one, other])) == [(one, ["w"]), (other, ["u"])]
