from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.data import Domain, preprocess
from acclimate.data.inputs import TokenInputs
from acclimate.data.tokens import NONE, Tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "book"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tokenizer of eight words, beside weights and notes."""
    from transformers import BertTokenizer

    place = tmp_path_factory.mktemp("tokenizer")
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(place)
    (place / "config.json").write_text('{"max_position_embeddings": 6}')
    (place / "1_Pooling").mkdir()
    for name in ("1_Pooling/config.json", "model.safetensors", "model.safetensors.index.json", "README.md"):
        (place / name).write_text("{}")
    return place


def _domain(*texts):
    return Domain("texts", "text", list(texts), [str(i) for i in range(len(texts))])


def test_a_text_is_its_words_between_two_marks_and_nothing_behind(folder):
    assert Tokenizer(folder)(["good book", "odd"], 6).tolist() == [[2, 5, 7, 3], [2, 1, 3, NONE]]


def test_a_text_is_cut_where_the_encoder_ends(folder):
    assert Tokenizer(folder).longest == 6
    assert Tokenizer(folder)(["good " * 9], 6).tolist() == [[2, 5, 5, 5, 5, 3]]


def test_batches_are_whole_numbers_of_the_same_length(folder):
    fitted = preprocess.fit(_domain("good"), _domain("bad bad book"), encoder=folder)
    batch = fitted.inputs(_domain("book")).batch(np.array([0, 0]))
    assert batch.tolist() == [[2, 7, 3, NONE, NONE]] * 2
    assert batch.dtype == torch.int64


def test_the_encoder_may_lower_case(folder, tmp_path):
    preprocess.TokenPreprocess(folder, 6).save(tmp_path)
    for value, token in (("false", 5), ("true", 5)):
        (tmp_path / "encoder" / "sentence_bert_config.json").write_text(f'{{"do_lower_case": {value}}}')
        assert Tokenizer(tmp_path / "encoder")(["GOOD"], 6)[0, 1] == token


def test_what_was_saved_gives_the_same_tokens_without_the_folder(folder, tmp_path):
    fitted = preprocess.fit(_domain("good"), _domain("bad bad book"), encoder=folder)
    fitted.save(tmp_path)
    there = preprocess.load(tmp_path)
    assert there.folder == tmp_path / "encoder"
    torch.testing.assert_close(there.inputs(_domain("bad good")).x, fitted.inputs(_domain("bad good")).x)
    kept = {p.relative_to(tmp_path / "encoder").as_posix() for p in (tmp_path / "encoder").rglob("*") if p.is_file()}
    assert kept == {"config.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"}


def test_rows_come_by_index():
    inputs = TokenInputs(np.arange(6, dtype=np.int32).reshape(3, 2))
    assert len(inputs) == 3
    assert inputs.batch(np.array([2, 0])).tolist() == [[4, 5], [0, 1]]
