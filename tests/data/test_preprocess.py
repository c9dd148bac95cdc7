import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse
import skrub
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from acclimate.data import Domain, load, preprocess, tables
from acclimate.data.arrays import from_arrays
from acclimate.data.domain import parted
from acclimate.data.packing import unpack
from acclimate.errors import BadInput


def _texts(*texts):
    return Domain("texts", "text", list(texts), [str(i) for i in range(len(texts))])


def _frame(**columns):
    frame = pl.DataFrame(columns)
    return Domain("table", "table", frame, [str(i) for i in range(frame.height)])


def _all(fitted, domain):
    batch = fitted.inputs(domain).batch(np.arange(len(domain)))
    return batch if batch.layout == torch.strided else batch.to_dense()


def _vectors(seed=0, d=3):
    return from_arrays(np.random.default_rng(seed).normal(2 + seed, 3, size=(50, d)), name=f"v{seed}")


def _sparse(seed=0):
    return from_arrays(scipy.sparse.random_array((9, 6), density=0.5, rng=seed, format="csr"), name="s")


def _greys(level, size=16):
    return from_arrays(np.full((4, size, size), level, dtype=np.uint8), name=f"grey {level}")


def _mixed(seed=0):
    rng = np.random.default_rng(seed)
    days = pl.date_range(pl.date(2024, 1, 1 + seed), pl.date(2024, 2, 19 + seed), eager=True)[:50]
    return _frame(
        age=[None if i % 7 == 0 else float(v) for i, v in enumerate(rng.normal(50, 10, 50))],
        income=[str(int(v)) for v in rng.normal(3000, 500, 50)],
        town=[str(t) for t in rng.choice(["Graz", "Linz", "Wien"], 50)],
        day=days,
        note=[f"patient {i} was here on {d}" for i, d in enumerate(days)],
        empty=[None] * 50,
    )


def _image_domains(tmp_path):
    return load(samples.images(tmp_path / "a")), load(samples.images(tmp_path / "b", each=2, size=20))


def test_vectors_of_both_domains_together_have_mean_0_and_variance_1():
    source, target = _vectors(0), _vectors(1)
    fitted = preprocess.fit(source, target)
    both = torch.cat([_all(fitted, source), _all(fitted, target)]).double()
    torch.testing.assert_close(both.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(both.std(0, correction=0), torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0)


def test_a_constant_column_becomes_zero():
    domain = from_arrays(np.full((4, 1), 7.0), name="constant")
    assert _all(preprocess.fit(domain, domain), domain).eq(0).all()


def test_sparse_rows_stay_as_they_are():
    source, target = _sparse(0), _sparse(1)
    np.testing.assert_array_equal(_all(preprocess.fit(source, target), target), target.examples.toarray())


def test_sparse_and_dense_of_the_same_numbers_are_the_same():
    dense, sparse = _vectors(0), _vectors(0)
    sparse = from_arrays(scipy.sparse.csr_array(sparse.examples), name="sparse")
    fitted = preprocess.fit(dense, dense)
    assert torch.equal(_all(fitted, dense), _all(fitted, sparse))


def test_channel_statistics_are_those_of_both_domains():
    fitted = preprocess.fit(_greys(100), _greys(200))
    assert (fitted.mean, fitted.std) == ([150.0] * 3, [50.0] * 3)


def test_channel_statistics_of_files_are_numpys(tmp_path):
    source, _ = _image_domains(tmp_path)
    pixels = np.stack([source.examples.read(i) for i in range(len(source))]).astype(float)
    fitted = preprocess.fit(source, source)
    np.testing.assert_allclose(fitted.mean, pixels.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(fitted.std, pixels.std((0, 1, 2)), atol=1e-3)


@pytest.mark.parametrize(("sizes", "usual"), [((28, 28), 28), ((28, 32), 32), ((8, 8), 16), ((300, 300), 224)])
def test_images_are_brought_to_the_larger_of_the_usual_sizes(sizes, usual):
    assert preprocess.fit(*(_greys(9, size) for size in sizes)).size == usual


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_images_are_brought_to_size_as_asked_when_they_are_read_again(tmp_path, how):
    source, target = _image_domains(tmp_path)
    preprocess.fit(source, target, size=24, interpolation=how).save(tmp_path)
    batch = preprocess.load(tmp_path).inputs(target).batch(np.array([3]))
    picture = Image.fromarray(target.examples.read(3)).resize((24, 24), Image.Resampling[how.upper()])
    np.testing.assert_array_equal(batch[0].permute(1, 2, 0), np.asarray(picture))


def test_a_run_of_before_knew_one_interpolation(tmp_path):
    (tmp_path / "preprocess.json").write_text('{"kind": "images", "size": 24, "mean": [0.5, 0, 1], "std": [1, 1, 1]}')
    assert preprocess.load(tmp_path).interpolation == "bilinear"


def test_arrays_that_would_fill_the_memory_are_brought_to_size_batch_by_batch():
    domain = from_arrays(np.random.default_rng(0).integers(0, 256, (6, 16, 16)).astype(np.uint8), name="grey")
    fitted = preprocess.fit(domain, domain, size=32, interpolation="bicubic")
    large, small = (fitted.inputs(domain, cache_bytes=n) for n in (2**20, 2**10))
    assert (large.in_memory, small.in_memory) == (True, False)
    assert len(small.x) * small.x[0].numel() == 6 * 16 * 16
    assert torch.equal(large.batch(np.array([4, 1])), small.batch(np.array([4, 1])))


def test_tf_idf_knows_the_words_of_both_domains():
    source, target = _texts("good film", "bad film"), _texts("good vacuum", "loud vacuum")
    words = preprocess.fit(source, target).vectorizer.vocabulary_
    assert set(words) == {"good", "film", "vacuum"}


def test_tf_idf_is_scikit_learns():
    texts = ["a good film", "a good good book", "a bad film indeed", "a book"]
    fitted = preprocess.fit(_texts(*texts[:2]), _texts(*texts[2:]))
    oracle = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts)
    np.testing.assert_allclose(_all(fitted, _texts(*texts)), oracle.toarray(), rtol=1e-6)


def test_texts_without_a_common_word_are_refused():
    with pytest.raises(BadInput, match="no word occurs in two texts"):
        preprocess.fit(_texts("one two"), _texts("three four"))


def test_a_table_becomes_finite_numbers_for_both_domains():
    source, target = _mixed(0), _mixed(3)
    fitted = preprocess.fit(source, target)
    for domain in source, target:
        x = _all(fitted, domain)
        assert x.shape == (50, fitted.n_features)
        assert x.isfinite().all()


def test_numbers_as_text_count_as_numbers():
    numbers = list(np.random.default_rng(0).normal(50, 10, 60).round(1))
    one, two = _frame(a=numbers), _frame(a=[str(v) for v in numbers])
    torch.testing.assert_close(_all(preprocess.fit(one, one), one), _all(preprocess.fit(two, two), two))


def test_a_missing_value_is_flagged():
    domain = _frame(a=[1.0, 2.0, None, 4.0])
    x = _all(preprocess.fit(domain, domain), domain)
    flags = x[:, 1]
    assert flags[2] > flags[0] == flags[1] == flags[3]


def test_a_category_never_seen_is_no_error():
    fitted = preprocess.fit(_frame(t=["a", "b"] * 3), _frame(t=["a", "c"] * 3))
    assert _all(fitted, _frame(t=["z", None])).isfinite().all()


def test_a_column_that_is_missing_in_the_new_rows_is_no_error():
    fitted = preprocess.fit(_mixed(0), _mixed(1))
    new = _frame(**{name: [None] for name in fitted.columns})
    assert _all(fitted, new).isfinite().all()


def _texts_both():
    return _texts("good film", "bad film"), _texts("good book")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (_vectors(0), _vectors(1)),
        (_sparse(0), _sparse(1)),
        (_greys(1), _greys(9)),
        (_mixed(0), _mixed(1)),
        _texts_both(),
    ],
    ids=["vectors", "sparse", "images", "table", "text"],
)
def test_what_was_saved_gives_the_same_inputs(tmp_path, source, target):
    fitted = preprocess.fit(source, target)
    fitted.save(tmp_path)
    assert torch.equal(_all(preprocess.load(tmp_path), target), _all(fitted, target))


def test_images_and_texts_are_each_as_alone(tmp_path):
    source, target = (load(samples.catalogue(tmp_path / n), image="photo", text="text") for n in "ab")
    whole = preprocess.fit(source, target)
    seen, read = unpack(_all(whole, target), 16, torch.float32)
    images, texts = zip(parted(source), parted(target), strict=True)
    for got, domains in ((seen, images), (read, texts)):
        np.testing.assert_array_equal(got, _all(preprocess.fit(*domains), domains[1]))


def test_images_and_texts_that_were_saved_give_the_same_inputs(tmp_path):
    source = load(samples.catalogue(tmp_path / "a"), image="photo", text="text")
    fitted = preprocess.fit(source, source, encoder=samples.encoder(tmp_path / "tiny"), size=12)
    (tmp_path / "saved").mkdir()
    fitted.save(tmp_path / "saved")
    assert torch.equal(_all(preprocess.load(tmp_path / "saved"), source), _all(fitted, source))


def test_the_same_texts_in_a_table_give_the_same_numbers_again():
    words = [f"street {i} number {i * 7 % 50} of town {i % 11}" for i in range(60)]
    domain = _frame(address=words, age=[float(i) for i in range(60)])
    first, second = (_all(preprocess.fit(domain, domain), domain) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_a_saved_table_is_small(tmp_path):
    preprocess.fit(_mixed(0), _mixed(1)).save(tmp_path)
    assert (tmp_path / "pipeline.skops").stat().st_size < 500_000


def _columns():
    """A column of each type that a table can have, with values missing, few or many."""
    n = 60
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 6, 1), "1h", eager=True)[:n]
    columns = {
        "number": np.random.default_rng(0).normal(size=n),
        "boolean": [i % 2 == 0 for i in range(n)],
        "few": [f"c{i % 3}" for i in range(n)],
        "many": [f"patient {i} came on day {i * 7 % 31}" for i in range(n)],
        "category": pl.Series([f"k{i % 4}" for i in range(n)], dtype=pl.Categorical),
        "date": times.dt.date(),
        "zone": times.dt.replace_time_zone("Europe/Vienna"),
        "clock": times.dt.time(),
        "duration": pl.Series(range(n)).cast(pl.Duration("ms")),
        "number as text": [str(i) for i in range(n)],
        "zone as text": [f"2024-01-{1 + i % 28:02d}T10:00:00+02:00" for i in range(n)],
    }
    holes = pl.DataFrame(columns).select(pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.all()))
    return {**holes.to_dict(), "integer": list(range(n)), "nothing": [None] * n}


ALONE = [pytest.param(name, marks=pytest.mark.slow) for name in ("boolean", "few", "many", "date", "zone as text")]


@pytest.mark.parametrize("name", ["", "number", *ALONE])
def test_columns_of_every_type_come_back_from_disk(name, tmp_path):
    columns = _columns()
    domain = _frame(**({name: columns[name]} if name else columns))
    fitted = preprocess.fit(domain, domain)
    fitted.save(tmp_path)
    assert torch.equal(_all(preprocess.load(tmp_path), domain), _all(fitted, domain))


class _Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["table", "text"])
def test_a_file_that_would_unpickle_code_is_refused_before_it_does(kind, tmp_path):
    import skops.io
    import skrub

    settings = {"kind": kind, "n_features": 3, **({"columns": {}} if kind == "table" else {})}
    (tmp_path / "preprocess.json").write_text(json.dumps(settings))
    skops.io.dump(skrub.SkrubLearner(_Evil(tmp_path / "touched")), tmp_path / "pipeline.skops")
    with pytest.raises(BadInput, match=r"pipeline\.skops: contains skrub\.SkrubLearner .*; refused"):
        preprocess.load(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_another_kind_is_refused():
    with pytest.raises(BadInput, match="of kind 'text', the source's of kind 'vectors'"):
        preprocess.fit(_vectors(0), _vectors(1)).inputs(_texts("a"))


def test_the_cache_is_as_large_as_asked(tmp_path):
    source, target = _image_domains(tmp_path)
    fitted = preprocess.fit(source, target, size=16)
    assert fitted.inputs(source, cache_bytes=5 * 3 * 16 * 16).room == 5


def test_real_heart_disease_sites_are_learnt_from(shared_data):
    table = shared_data / "heart_disease_sites" / "heart_disease_sites.csv.gz"
    source, target = (load(f"{table}#site={site}", label="num") for site in ("cleveland", "va"))
    assert _all(preprocess.fit(source, target), target).isfinite().all()


def _every_kind(path, n=80):
    """A table with every kind of column, with values missing."""
    pl.DataFrame({
        "a": [None if i % 7 == 0 else 1e6 + i for i in range(n)],
        "town": ["x", "y", None, "z"] * (n // 4),
        "day": [f"2024-01-{1 + i % 28:02d}" for i in range(n)],
        "name": [f"person {i} of {i * 7 % 13}" for i in range(n)],
        "none": [None] * n,
        "flag": [i % 2 == 0 for i in range(n)],
        "y": ["p", "q"] * (n // 2),
    }).write_csv(path)  # fmt: skip
    return load(path, label="y")


def test_numbers_as_a_block_give_what_skrub_gives_column_by_column(tmp_path):
    table = _every_kind(tmp_path / "mixed.csv")
    fitted = preprocess.fit(table, table)
    frame = tables.as_fitted(table, fitted.columns)
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    vectorizer = skrub.TableVectorizer(high_cardinality=skrub.StringEncoder(random_state=0))
    rows = make_pipeline(vectorizer, imputer, StandardScaler()).fit_transform(pl.concat([frame, frame]))
    assert np.array_equal(fitted.inputs(table).x.numpy(), rows[: len(table)].astype(np.float32))


@pytest.mark.slow
def test_a_wide_table_takes_seconds(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 2000))
    table = Domain("wide", "table", pl.DataFrame(x, [f"c{i}" for i in range(2000)]), [str(i) for i in range(20)])
    began = time.process_time()
    fitted = preprocess.fit(table, table)
    fitted.save(tmp_path)
    assert preprocess.load(tmp_path).inputs(table).x.shape == (20, 2000)
    assert time.process_time() - began < 10


@pytest.mark.slow
def test_the_same_fit_gives_the_same_bytes(tmp_path):
    for name in "a", "b":
        (tmp_path / name).mkdir()
        table = _every_kind(tmp_path / "mixed.csv")
        preprocess.fit(table, table).save(tmp_path / name)
    assert (tmp_path / "a/pipeline.skops").read_bytes() == (tmp_path / "b/pipeline.skops").read_bytes()
