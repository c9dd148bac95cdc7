import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import samples
import torch

from acclimate import backbones, methods
from acclimate.backbones import encoder
from acclimate.backbones.layers import layer_groups
from acclimate.data import Domain, preprocess
from acclimate.errors import BadInput
from acclimate.nn import join
from acclimate.runs.models import shape_of
from acclimate.types import Labeled, Unlabeled

TEXTS = ["a good book", "", "bad film! " * 300, "I did not [PAD] like it, [MASK]", "Ünïcode — naïve café"]


@pytest.fixture(scope="module")
def oracle():
    """What sentence-transformers makes of a folder, or of modules; slow to import."""
    from sentence_transformers import SentenceTransformer

    return lambda *folder, **more: SentenceTransformer(*folder, device="cpu", local_files_only=True, **more)


def _modules_of(folder, mode, normalize=False):
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    return [Transformer(str(folder)), Pooling(8, mode), *([Normalize()] if normalize else [])]


def _domain(texts):
    return Domain("texts", "text", texts, [str(i) for i in range(len(texts))])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return samples.encoder(tmp_path_factory.mktemp("encoder") / "tiny")


def _built(folder, domain, **options):
    spec = backbones.input_spec(f"encoder:{folder}", "text", options)
    fitted = preprocess.fit(domain, domain, encoder=spec.encoder, length=spec.length)
    return fitted, backbones.build(f"encoder:{folder}", shape_of(fitted), 3, options).classifier.eval()


@torch.no_grad()
def _features(folder, texts, **options):
    fitted, model = _built(folder, _domain(texts), **options)
    return model(fitted.inputs(_domain(texts)).batch(np.arange(len(texts)))).features


@pytest.mark.slow
def test_minilm_embeds_as_sentence_transformers_does(oracle):
    spec = backbones.input_spec("minilm", "text", {})
    domain = _domain(TEXTS)
    fitted = preprocess.fit(domain, domain, encoder=spec.encoder, length=spec.length)
    model = backbones.build("minilm", shape_of(fitted), 2, {}).classifier.eval()
    theirs = oracle(str(spec.encoder)).encode(TEXTS)
    rows = [0, 1, 2, 4]  # ours counts a word that is spelled like padding, theirs does not
    with torch.no_grad():
        features = model(fitted.inputs(domain).batch(np.array(rows))).features
    np.testing.assert_allclose(features, theirs[rows], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "normalize"), [("mean", True), ("mean", False), ("cls", False), ("max", True)])
def test_pooling_is_what_the_folder_says(oracle, tiny, tmp_path, mode, normalize):
    model = oracle(modules=_modules_of(tiny, mode, normalize))
    model.save(str(tmp_path / "saved"))
    texts = ["good book", "bad the film !", "a"]
    np.testing.assert_allclose(_features(tmp_path / "saved", texts), model.encode(texts), atol=1e-5)


@pytest.mark.slow
def test_a_folder_of_transformers_alone_is_averaged(oracle, tiny):
    model = oracle(modules=_modules_of(tiny, "mean"))
    np.testing.assert_allclose(_features(tiny, ["good book", "bad"]), model.encode(["good book", "bad"]), atol=1e-5)


def test_padding_changes_nothing(tiny):
    alone, among = _features(tiny, ["good book"]), _features(tiny, ["good book", "bad " * 9])
    torch.testing.assert_close(alone[0], among[0], atol=1e-6, rtol=0)


def test_a_batch_in_chunks_gives_the_same_features(tiny, monkeypatch):
    texts = ["word " * n for n in (3, 200, 1, 50, 7, 120, 30)]
    at_once = _features(tiny, texts)
    monkeypatch.setattr(encoder, "CHUNK_TOKENS", 30)
    torch.testing.assert_close(_features(tiny, texts), at_once)


def test_texts_are_as_long_as_the_longest_or_as_requested(tiny):
    domain = _domain(["good", "bad " * 5, "film " * 50])
    assert [_built(tiny, domain, length=n)[0].length for n in (None, 7, 99)] == [20, 7, 20]
    assert _built(tiny, _domain(["good", "bad " * 5]))[0].length == 7


def test_batches_of_both_domains_join(tiny):
    fitted, model = _built(tiny, _domain(["good", "bad " * 5]))
    short, long = (fitted.inputs(_domain([text])).batch(np.array([0])) for text in ("good", "bad " * 5))
    assert join(short, long).shape == (2, 7)
    source, target = model.both(short, long)
    torch.testing.assert_close(source.features, model(short).features)
    torch.testing.assert_close(target.logits, model(long).logits)


def test_every_weight_of_it_can_learn(tiny):
    fitted, model = _built(tiny, _domain(TEXTS))
    model.train()(fitted.inputs(_domain(TEXTS)).batch(np.arange(5))).logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", [n for n in methods.names() if not methods.get(n).moves_inputs])
def test_every_method_learns_from_tokens(tiny, name):
    fitted, model = _built(tiny, _domain(TEXTS))
    method = methods.get(name)(model).train()
    x = fitted.inputs(_domain(TEXTS)).batch(np.arange(5))
    method.before_pass([model(x)])
    for turn in method.turns or ("",):
        losses = method(Labeled(x, torch.arange(5) % 3), Unlabeled(x.flip(0)), 0.5, getattr(turn, "name", ""))
        assert sum(losses.values()).isfinite()


def test_pretrained_it_learns_at_a_tenth_of_its_heads_rate(tiny):
    shape = shape_of(_built(tiny, _domain(["good", "bad"]))[0])
    both = (backbones.build(f"encoder:{tiny}", shape, 3, {"pretrained": p}) for p in (True, False))
    pretrained, fresh = (built.training for built in both)
    assert pretrained["lr"] * pretrained["head_lr"] == fresh["lr"] == 5e-4
    assert "head_lr" not in fresh


def test_its_layers_are_embeddings_and_each_layer(tiny):
    groups = layer_groups(_built(tiny, _domain(TEXTS))[1].backbone)
    assert [group[0].split(".")[1:4] for group in groups] == [
        ["embeddings", "word_embeddings", "weight"],
        ["encoder", "layer", "0"],
        ["encoder", "layer", "1"],
    ]


def _without(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


def _pickled(folder):
    _without("model.safetensors")(folder)
    torch.save({}, folder / "pytorch_model.bin")


def _write(name, value):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))

    return change


def _modules(*kinds, **pooling):
    def change(folder):
        paths = [
            {"type": f"sentence_transformers.models.{k}", "path": "" if i == 0 else k} for i, k in enumerate(kinds)
        ]
        _write("modules.json", paths)(folder)
        _write("Pooling/config.json", pooling)(folder)

    return change


def _more_words(folder):
    config = json.loads((folder / "config.json").read_text())
    _write("config.json", {**config, "vocab_size": 9})(folder)


def _foreign(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    _write("config.json", config)(folder)
    _write("evil.py", f"open({str(folder / 'ran')!r}, 'w')")(folder)


BAD = {
    "no config": (_without("config.json"), "has no config.json"),
    "no weights": (_without("model.safetensors"), "has no model.safetensors, and pickled weights are refused"),
    "pickled weights": (_pickled, "has no model.safetensors, and pickled weights are refused"),
    "damaged weights": (_write("model.safetensors", "x"), "transformers cannot load an encoder from it"),
    "damaged config": (_write("config.json", "{"), "is not a valid JSON file"),
    "no tokenizer": (_without("tokenizer.json", "tokenizer_config.json"), "contains no tokenizer; save the"),
    "damaged tokenizer": (_write("tokenizer.json", "{"), "contains no readable tokenizer"),
    "another tokenizer": (_more_words, "the tokenizer has more tokens than the encoder"),
    "code": (_foreign, "transformers cannot load an encoder"),
    "damaged modules": (_write("modules.json", "[1"), "modules.json does not describe the pooling"),
    "unknown module": (_modules("Transformer", "Pooling", "Dense"), "has the unsupported module 'Dense'"),
    "unknown pooling": (_modules("Transformer", "Pooling", pooling_mode="lasttoken"), "unsupported pooling lasttoken"),
    "no encoder": (_write("config.json", {"model_type": "t5", "vocab_size": 12}), "t5 is not a text encoder"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD)
def test_an_unusable_folder_is_refused(tiny, tmp_path, change, says):
    shutil.copytree(tiny, tmp_path / "odd")
    change(tmp_path / "odd")
    with pytest.raises(BadInput, match=says) as refused:
        _built(tmp_path / "odd", _domain(TEXTS))
    assert str(tmp_path / "odd") in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "odd" / "ran").exists()
