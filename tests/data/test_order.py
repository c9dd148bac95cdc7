"""Images of a target are in an order that says nothing of their class folders."""

import zipfile

import numpy as np
import pytest
import samples
from PIL import Image

from acclimate.data import load, order
from acclimate.data.order import by_content
from acclimate.errors import BadInput


def pixels(domain):
    return [domain.images.read(i).tobytes() for i in range(len(domain))]


@pytest.fixture
def two_layouts(tmp_path):
    """The same twenty pictures in class folders, and in others."""
    for i in range(20):
        for place, label in (("one", i % 2), ("other", i % 3)):
            (tmp_path / place / str(label)).mkdir(parents=True, exist_ok=True)
            samples.picture(i).save(tmp_path / place / str(label) / f"{i}.png")
    return tmp_path / "one", tmp_path / "other"


def test_the_order_does_not_depend_on_the_class_folders(two_layouts):
    one, other = (by_content(load(folder)) for folder in two_layouts)
    assert pixels(one) == pixels(other)
    assert [name[2:] for name in one.names] == [name[2:] for name in other.names]
    assert pixels(load(two_layouts[0])) != pixels(load(two_layouts[1]))


def test_files_that_begin_alike_are_told_apart(two_layouts, monkeypatch):
    monkeypatch.setattr(order, "HEAD", 8)  # PNG's signature
    one, other = (by_content(load(folder)) for folder in two_layouts)
    assert pixels(one) == pixels(other)


def test_images_in_a_zip_have_such_an_order_too(two_layouts, tmp_path):
    found = []
    for folder in two_layouts:
        with zipfile.ZipFile(tmp_path / f"{folder.name}.zip", "w") as archive:
            for file in folder.rglob("*.png"):
                archive.write(file, file.relative_to(folder))
        found.append(pixels(by_content(load(tmp_path / f"{folder.name}.zip"))))
    assert found[0] == found[1]


def test_classes_are_mixed(tmp_path):
    for name, level in (("dark", 0), ("bright", 255)):
        (tmp_path / name).mkdir()
        for i in range(50):
            Image.fromarray(np.full((8, 8 + i), level, np.uint8)).save(tmp_path / name / f"{i}.png")
    labels = by_content(load(tmp_path)).labels
    assert (labels[1:] != labels[:-1]).sum() > 30


def test_rows_of_a_table_stay_in_their_order(tmp_path):
    listed = load(samples.catalogue(tmp_path), image="photo")
    assert by_content(listed) is listed


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (samples.images(tmp_path) / "cat/9.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(BadInput, match=r"cat/9.png: not a readable image"):
        by_content(load(tmp_path))
