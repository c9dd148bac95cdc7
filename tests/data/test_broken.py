import zipfile

import numpy as np
import pytest
import samples

from acclimate.data import load
from acclimate.data.broken import readable
from acclimate.errors import BadInput


@pytest.fixture
def damaged(tmp_path):
    """Twenty pictures, two of them broken: one cut off, one that is text."""
    folder = samples.images(tmp_path / "images", each=10)
    (folder / "cat/3.png").write_bytes((folder / "cat/3.png").read_bytes()[:300])
    (folder / "dog/7.png").write_bytes(b"hello" * 50)
    return folder


def test_broken_images_are_left_out_and_named(damaged, caplog):
    kept = readable(load(damaged), 0.1)
    assert len(kept) == len(kept.labels) == 18
    assert not {"cat/3.png", "dog/7.png"} & set(kept.names)
    assert caplog.messages == [f"{damaged}: left out 2 of 20 images, which cannot be read: cat/3.png, dog/7.png"]


def test_more_than_the_share_are_refused_by_the_first(damaged):
    with pytest.raises(BadInput, match=r"cat/3.png: not a readable image \(.*2 of 20 images are like that"):
        readable(load(damaged), 0.09)


def test_a_zip_is_read_the_same_way(damaged, tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(damaged.rglob("*.png")):
            archive.write(path, path.relative_to(damaged))
    assert len(readable(load(tmp_path / "images.zip"), 0.1)) == 18


def test_a_text_goes_with_its_image(tmp_path):
    items = samples.catalogue(tmp_path / "shop")
    (tmp_path / "shop/photos/3.png").write_bytes(b"broken")
    kept = readable(load(items, image="photo", text="text", label="mood"), 0.1)
    assert len(kept) == len(kept.examples.texts) == len(kept.examples.images) == 11


def test_whole_domains_and_those_without_files_stay_as_they_are(tmp_path):
    for given in (load(samples.images(tmp_path / "images")), load(samples.arrays(tmp_path / "x.npz"))):
        assert readable(given, 0) is given
        assert np.array_equal(given.labels, readable(given, 0).labels)
