import io
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import samples
from PIL import Image

from acclimate.data import images, load
from acclimate.data.images import decode, measure
from acclimate.data.inputs import ImageInputs
from acclimate.errors import BadInput

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def _read(image: Image.Image, form: str = "PNG", **options: object) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, form, **options)
    return decode(file, "here")


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def _packed(folder: Path, path: Path, wrap: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, wrap + file.relative_to(folder).as_posix())
    return path


def test_colours_stay_as_they_are():
    pixels = np.asarray(samples.picture())
    np.testing.assert_array_equal(_read(Image.fromarray(pixels)), pixels)


def test_grey_becomes_three_equal_channels():
    np.testing.assert_array_equal(_read(Image.fromarray(RAMP)), _grey(RAMP))


def test_black_and_white_becomes_0_and_255():
    np.testing.assert_array_equal(_read(Image.fromarray(RAMP > 100)), _grey(np.where(RAMP > 100, 255, 0)))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(form):
    deep = RAMP.astype(np.uint16) * 257
    np.testing.assert_array_equal(_read(Image.fromarray(deep), form), _grey(RAMP))


@pytest.mark.parametrize(("values", "expected"), [(RAMP / 255, RAMP), (RAMP.astype(float), RAMP)])
def test_floats_go_from_0_to_1_or_to_255(values, expected):
    got = _read(Image.fromarray(values.astype(np.float32)), "TIFF")
    np.testing.assert_allclose(got, _grey(expected), atol=1)


def test_transparency_lies_over_white():
    rgba = np.full((2, 2, 4), [10, 20, 30, 255], dtype=np.uint8)
    rgba[0, 0, 3] = 0
    rgba[1, 1, 3] = 51  # a fifth: 0.2 · 10 + 0.8 · 255 = 206
    got = _read(Image.fromarray(rgba))
    assert got[0, 0].tolist() == [255, 255, 255]
    assert got[0, 1].tolist() == [10, 20, 30]
    assert got[1, 1].tolist() == [206, 208, 210]


def test_a_transparent_colour_of_a_palette_is_white():
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert _read(image, transparency=0).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk_is_read():
    image = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert _read(image, "JPEG").min() > 250


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (1, lambda x: x),
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (4, np.flipud),
        (5, lambda x: np.swapaxes(x, 0, 1)),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(np.swapaxes(x, 0, 1), 2)),
        (8, np.rot90),
    ],
)
def test_exif_rotation_is_undone(orientation, undo):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(_read(Image.fromarray(RAMP), exif=exif), undo(_grey(RAMP)))


def test_a_jpeg_decoded_small_is_large_enough():
    file = io.BytesIO()
    samples.picture(size=400).save(file, "JPEG")
    assert 50 <= min(decode(file, "here", 50).shape[:2]) < 400


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(touched) (w) file closefile\n"


@pytest.mark.parametrize("read", [decode, measure])
def test_an_eps_named_png_starts_no_interpreter(tmp_path, monkeypatch, read):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript is started"))
    (tmp_path / "1.png").write_bytes(EPS)
    with pytest.raises(BadInput, match="unknown format or damaged"):
        read(tmp_path / "1.png", "1.png")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "MPO", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_every_raster_format_is_read_whatever_the_name(tmp_path, form):
    samples.picture().save(tmp_path / "1.png", form)
    assert decode(tmp_path / "1.png", "1.png").shape == (16, 16, 3)


def test_folders_are_classes_and_paths_are_names(image_folder):
    domain = load(image_folder)
    assert domain.labels.tolist() == ["cat"] * 3 + ["dog"] * 3
    assert domain.names == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]


def test_images_without_folders_have_no_labels(tmp_path):
    assert load(samples.images(tmp_path, [""])).labels is None


def test_a_part_is_a_subfolder(tmp_path):
    samples.images(tmp_path / "phone")
    samples.images(tmp_path / "studio")
    assert load(f"{tmp_path}#phone/").names == load(tmp_path / "phone").names


def test_hidden_and_strange_files_are_no_images(image_folder):
    (image_folder / ".DS_Store").touch()
    (image_folder / "cat" / "notes.txt").touch()
    (image_folder / ".cache").mkdir()
    (image_folder / ".cache" / "a.png").touch()
    assert len(load(image_folder)) == 6


def test_a_path_with_a_hash_in_its_name_is_read(tmp_path):
    assert len(load(samples.images(tmp_path / "my#photos"))) == 6


@pytest.mark.parametrize(("wrap", "part"), [("", ""), ("products/", ""), ("phone/", "#phone/"), ("a/phone/", "#phone")])
def test_a_zip_is_the_folder_in_it(tmp_path, image_folder, wrap, part):
    packed = _packed(image_folder, tmp_path / "packed.zip", wrap)
    if part:  # another part beside it, so that there is a choice
        with zipfile.ZipFile(packed, "a") as archive:
            archive.write(image_folder / "cat/0.png", f"{wrap.replace('phone', 'studio')}cat/0.png")
    zipped, folder = load(f"{packed}{part}"), load(image_folder)
    assert zipped.names == folder.names
    assert zipped.labels.tolist() == folder.labels.tolist()
    for i in range(len(folder)):
        np.testing.assert_array_equal(zipped.examples.read(i), folder.examples.read(i))


def test_a_zip_of_one_class_keeps_it(tmp_path):
    packed = _packed(samples.images(tmp_path / "images", ["cat"]), tmp_path / "packed.zip")
    assert load(packed).classes == ("cat",)


def test_what_a_mac_adds_to_a_zip_is_left_out(tmp_path, image_folder):
    packed = _packed(image_folder, tmp_path / "packed.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("__MACOSX/cat/._0.png", b"junk")
    assert len(load(packed)) == 6


def test_a_zip_is_looked_at_once_for_all_its_images(tmp_path, image_folder, monkeypatch):
    examples = load(_packed(image_folder, tmp_path / "packed.zip")).examples
    first, seen = examples.digest(), []
    usual = images._stamp
    monkeypatch.setattr(images, "_stamp", lambda path: seen.append(path) or usual(path))
    assert examples.digest() == first
    assert seen == [tmp_path / "packed.zip"]


def test_a_zip_goes_to_another_process(tmp_path, image_folder):
    examples = load(_packed(image_folder, tmp_path / "packed.zip")).examples
    before = examples.read(0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(examples)).read(0), before)


def test_nothing_is_decoded_before_it_is_asked_for(image_folder):
    (image_folder / "cat" / "0.png").write_bytes(b"no image")
    domain = load(image_folder)
    assert domain.examples.read(1).shape == (16, 16, 3)
    with pytest.raises(BadInput, match="not a readable image"):
        domain.examples.read(0)


def test_the_cache_keeps_no_more_than_it_may(image_folder):
    inputs = ImageInputs(load(image_folder).examples, 8, cache_bytes=2 * 3 * 8 * 8 + 1)
    first = inputs.batch(np.arange(6))
    assert len(inputs.kept) == 2
    np.testing.assert_array_equal(inputs.batch(np.arange(6)), first)


def test_what_is_kept_does_not_travel(image_folder):
    inputs = ImageInputs(load(image_folder).examples, 8)
    before = inputs.batch(np.arange(6))
    there = pickle.loads(pickle.dumps(inputs))
    assert there.kept == {}
    np.testing.assert_array_equal(there.batch(np.arange(6)), before)


def test_a_real_zip_is_looked_through(shared_data):
    domain = load(shared_data / "pacs" / "pacs_photo_160.zip")
    assert {"dog", "giraffe"} < set(domain.classes)
    assert domain.examples.read(0).shape[2] == 3


def test_threads_share_the_memory_for_decoding():
    room, taken = images._Room(100), []

    def decode(size):
        with room.room_for(size):
            taken.append(room.taken)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(decode, [60, 30, 500, 60, 10] * 40))
    assert max(size for size in taken if size != 500) <= 100
    assert room.taken == 0
