"""Weights of packages: the published bytes or none."""

import hashlib

import pytest

from acclimate import backbones
from acclimate.backbones import efficientnet_lite0, minilm
from acclimate.backbones.base import Shape
from acclimate.backbones.published import check_published
from acclimate.errors import BadInput


def test_the_published_bytes_pass_and_one_other_byte_does_not(tmp_path):
    (right := tmp_path / "right.pth").write_bytes(b"weights")
    (wrong := tmp_path / "wrong.pth").write_bytes(b"weightz")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    check_published(right, sha256)
    with pytest.raises(BadInput, match="not the published weights"):
        check_published(wrong, sha256)
    with pytest.raises(BadInput, match="not found"):
        check_published(tmp_path / "none.pth", sha256)


IMAGES = Shape(images=True, size=32, mean=[0.0] * 3, std=[1.0] * 3)
TOKENS = Shape(images=False, n_features=8, encoder=minilm._folder())


@pytest.mark.parametrize(("module", "shape"), [(efficientnet_lite0, IMAGES), (minilm, TOKENS)])
def test_each_package_is_checked(module, shape, monkeypatch):
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(BadInput, match="not the published weights"):
        backbones.build(module.__name__.rpartition(".")[2], shape, 2, {})
