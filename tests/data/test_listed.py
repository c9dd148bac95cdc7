import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import samples

from acclimate import adapt
from acclimate.data import load
from acclimate.data.labels import choose_task
from acclimate.data.listed import ListedImages, Listing, require_files
from acclimate.errors import BadInput


@pytest.fixture
def items(tmp_path):
    return samples.catalogue(tmp_path / "shop")


def test_a_table_of_paths_is_a_domain_of_images(items):
    domain = load(items, label="mood", image="photo")
    assert (domain.kind, len(domain), domain.classes) == ("images", 12, ("bad", "good"))
    assert domain.names[3] == "photos/3.png"
    assert domain.examples.shape(3) == (16, 16)


def test_it_holds_what_the_folder_holds(items):
    listed, folder = load(items, image="photo"), load(items.parent / "photos")
    for i in range(12):
        np.testing.assert_array_equal(listed.examples.read(i), folder.examples.read(folder.names.index(f"{i}.png")))


def test_rows_that_are_taken_keep_their_numbers(items):
    taken = load(items, image="photo").take(np.array([5, 1]))
    (items.parent / "photos/1.png").unlink()
    with pytest.raises(BadInput, match=r"items.csv: row 1, photos/1.png: no such file"):
        taken.examples.read(1)
    assert taken.examples.read(0).shape == (16, 16, 3)


def test_a_path_may_be_absolute_below_the_tables_folder(items):
    photo = items.parent / "photos" / "0.png"
    assert ListedImages(Listing.of_file(items), [str(photo)], [0]).file(0) == photo


@pytest.mark.parametrize("path", ["../1.png", "photos/../../1.png", "/1.png"])
@pytest.mark.parametrize("table", ["items.csv", "./items.csv", "photos/../items.csv"])
def test_a_path_out_of_the_tables_folder_is_refused_however_that_is_called(items, monkeypatch, table, path):
    samples.picture().save(items.parent.parent / "1.png")
    monkeypatch.chdir(items.parent)
    with pytest.raises(BadInput, match="outside the table's folder"):
        ListedImages(Listing.of_file(Path(table)), [path], [0]).file(0)
    assert ListedImages(Listing.of_file(Path(table)), ["photos/1.png"], [0]).shape(0) == (16, 16)


def test_links_that_somebody_made_are_followed(items, tmp_path):
    (items.parent / "link").symlink_to(samples.images(tmp_path / "store"))
    assert ListedImages(Listing.of_file(items), ["link/cat/0.png"], [0]).shape(0) == (16, 16)


def test_a_changed_file_changes_the_digest(items):
    digest = load(items, image="photo").examples.digest
    before = digest()
    samples.picture(99).save(items.parent / "photos/7.png")
    assert digest() != before


def test_it_travels_to_other_processes(items):
    images = pickle.loads(pickle.dumps(load(items, image="photo").examples))
    assert images.shape(0) == (16, 16)


def test_paths_of_other_domains_are_not_looked_for(table):
    require_files(load(table))


def test_labels_of_a_table_may_be_numbers(items):
    pl.read_csv(items).with_columns(price=pl.Series(np.arange(12) + 0.5)).write_csv(items)
    assert choose_task(load(items, label="price", image="photo"), "auto") == "regression"


def test_with_a_text_it_is_a_domain_of_both(items):
    domain = load(items, label="mood", image="photo", text="text").take(np.array([4, 1]))
    assert (domain.kind, domain.names) == ("image and text", ["photos/4.png", "photos/1.png"])
    assert domain.examples.texts == ["the bad book", "the good book"]
    assert domain.examples.images.files == domain.names


@pytest.mark.slow
def test_a_run_of_listed_images_takes_tables_and_folders(items, tmp_path):
    target = samples.catalogue(tmp_path / "other", thing="film", seed=1)
    run = adapt(
        items, target.parent / "photos", tmp_path / "run", label="mood", image="photo", steps=40, score=target,
        settings={"train.batch_size": 8},
    )  # fmt: skip
    assert run.scores["target"]["accuracy"] == 1
    assert run.predict(tmp_path / "other" / "photos")["class"].null_count() == 0
    assert run.evaluate(target)["n"] == 12


def test_in_predictions_a_row_whose_image_is_not_there_says_so(items, tmp_path):
    run = adapt(items, items, tmp_path / "run", label="mood", image="photo", method="source_only", steps=2)
    (items.parent / "photos/2.png").unlink()
    predicted = run.predict(items)
    assert predicted["class"].is_null().to_list() == [i == 2 for i in range(12)]
    assert "row 2, photos/2.png: no such file" in predicted["error"][2]
