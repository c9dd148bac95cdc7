"""No file and no class of a folder of images vanishes in silence."""

import logging
import os
import zipfile
from pathlib import Path

import pytest
import samples
from PIL import Image

from acclimate.data import folders, images, load
from acclimate.errors import BadInput

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
"""How a file of that format starts."""


def test_a_class_folder_that_is_a_link_is_read(tmp_path):
    samples.images(tmp_path / "photos", ["cat"])
    samples.images(tmp_path / "elsewhere", ["dog"])
    (tmp_path / "photos/dog").symlink_to(tmp_path / "elsewhere/dog")
    assert load(tmp_path / "photos").labels.tolist() == ["cat"] * 3 + ["dog"] * 3


def test_a_link_to_a_folder_above_is_refused_by_name(tmp_path):
    samples.images(tmp_path / "photos")
    (tmp_path / "photos/dog/again").symlink_to(tmp_path / "photos")
    with pytest.raises(BadInput, match=r"dog/again: is a link to a folder that contains it"):
        load(tmp_path / "photos")


def test_a_folder_that_may_not_be_read_is_refused_by_name(tmp_path, monkeypatch):
    samples.images(tmp_path / "photos")
    scandir = os.scandir

    def refuse_dogs(place):
        if Path(place).name == "dog":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse_dogs)
    with pytest.raises(BadInput, match=r"photos/dog: cannot be read \(Permission denied\)"):
        load(tmp_path / "photos")


def test_a_broken_link_to_an_image_is_named_when_it_is_read(tmp_path):
    (samples.images(tmp_path) / "cat/9.png").symlink_to(tmp_path / "gone.png")
    domain = load(tmp_path)
    with pytest.raises(BadInput, match=r"cat/9.png: not a readable image"):
        domain.images.read(domain.names.index("cat/9.png"))


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_an_unknown_format_are_counted_and_named(tmp_path, caplog, packed):
    samples.images(tmp_path / "photos")
    for file in ("cat/1.cr2", "cat/2.cr2", "dog/notes.txt", ".hidden", "cat/Thumbs.db"):
        (tmp_path / "photos" / file).touch()
    if packed:
        with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
            for file in sorted((tmp_path / "photos").rglob("*.*")):
                archive.write(file, file.relative_to(tmp_path / "photos"))
    with caplog.at_level(logging.WARNING):
        load(tmp_path / f"photos{'.zip' if packed else ''}")
    assert "skipped 3 of 9 files, whose formats are not read: 2 .cr2, 1 .txt, e.g. cat/1.cr2" in caplog.text


def test_class_folders_without_images_are_named(tmp_path, caplog):
    samples.images(tmp_path)
    (tmp_path / "bird").mkdir()
    (tmp_path / "fox/young").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert load(tmp_path).classes == ("cat", "dog")
    assert f"{tmp_path}: no images in bird/, fox/" in caplog.text


def test_without_any_image_the_message_says_what_is_found_instead(tmp_path):
    with pytest.raises(BadInput, match=r"^photos: contains no images but 2 .cr2, 1 no ending; names of images end in"):
        folders.images_of(["cat/1.cr2", "dog/1.CR2", "dog/README"], name="photos")


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "val", "cat"), ("train",)])
@pytest.mark.parametrize("inner", ["", "cat"])
def test_folders_named_as_parts_of_a_data_set_are_asked_about(tmp_path, names, inner):
    for name in names:
        samples.images(tmp_path / name, [inner])
    with pytest.raises(BadInput, match=rf"parts of a data set.*; give one of them, e\.g\. {tmp_path}#{names[0]}/$"):
        load(tmp_path)
    assert len(load(f"{tmp_path}#{names[0]}/")) == 3


def test_a_class_may_be_called_train(tmp_path):
    assert load(samples.images(tmp_path, ["bus", "train"])).classes == ("bus", "train")


def test_parts_in_a_zip_are_asked_about_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("data/train/cat/1.png", "data/test/cat/1.png"):
            archive.writestr(name, b"")
    with pytest.raises(BadInput, match=r"train/ and test/, which look like parts"):
        load(tmp_path / "a.zip")
    assert load(f"{tmp_path}/a.zip#train/").names == ["cat/1.png"]


@pytest.fixture
def without_heic(monkeypatch):
    """As if pillow-heif were not installed."""
    monkeypatch.setattr(folders, "reads_heic", lambda: False)
    for cached in (folders._endings_read, images.formats):
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in (folders._endings_read, images.formats):
        cached.cache_clear()


@pytest.mark.usefixtures("without_heic")
def test_where_heic_is_not_read_the_package_is_named(tmp_path, caplog):
    (samples.images(tmp_path) / "cat/1.heic").write_bytes(HEIC)
    with caplog.at_level(logging.WARNING):
        load(tmp_path)
    assert "e.g. cat/1.heic (HEIC needs the package pillow-heif; run `pip install acclimate[heic]`)" in caplog.text
    with pytest.raises(BadInput, match=r"no images but 1 .heic \(HEIC needs the package pillow-heif"):
        folders.images_of(["1.heic"], name="photos")
    with pytest.raises(BadInput, match=r"1\.heic: not a readable image \(HEIC needs the package pillow-heif"):
        images.decode(tmp_path / "cat/1.heic", "1.heic")


@pytest.mark.parametrize("name", ["cat/1.HEIC", "cat/renamed.jpg"])
def test_heic_is_read_where_it_can_be(tmp_path, name):
    heif = pytest.importorskip("pillow_heif")
    grey = Image.new("RGB", (64, 48), (40, 80, 120))
    samples.images(tmp_path)
    heif.from_pillow(grey).save(tmp_path / "x.heic")
    (tmp_path / "x.heic").rename(tmp_path / name)
    domain = load(tmp_path)
    pixels = domain.images.read(domain.names.index(name))
    assert pixels.shape == (48, 64, 3)
    assert abs(pixels.mean((0, 1)) - [40, 80, 120]).max() < 6
