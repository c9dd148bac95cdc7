"""Texts to the tokens of an encoder."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NONE = -1
"""The padding after a text's last token; no vocabulary contains it."""
LONGEST = 512
"""Most tokens of a text, if the encoder states no limit."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""Files of which a tokenizer has at least one; without any, transformers silently creates an empty tokenizer."""
KEPT = ("*.json", "*.txt", "*.model", "[0-9]*_*/config.json")
"""The files that a Run keeps of an encoder's folder: those that define its tokens, not its weights."""


class _Settings(NamedTuple):
    """What an encoder's JSON files say of its tokens."""

    do_lower_case: bool | None = None
    max_seq_length: int | None = None
    max_position_embeddings: int | None = None
    vocab_size: int | None = None


class Tokenizer:
    """The tokenizer in an encoder's folder. It runs no code from there and downloads nothing.

    Args:
        folder: The folder with the tokenizer's files and the encoder's ``config.json``.

    Raises:
        BadInput: transformers cannot read a tokenizer from it.
    """

    def __init__(self, folder: Path):
        from transformers import AutoTokenizer

        if not any(file for pattern in VOCABULARIES for file in folder.glob(pattern)):
            raise BadInput(f"{folder}: contains no tokenizer; save the tokenizer there too, with its save_pretrained")
        try:
            with offline():
                self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        except Exception as error:  # damaged files raise all kinds of exceptions
            raise BadInput(
                f"{folder}: contains no readable tokenizer ({first_line(error)}); save model and tokenizer again"
            ) from error
        of_sentences, of_model = (_settings(folder / name) for name in ("sentence_bert_config.json", "config.json"))
        if len(self.tokenizer) > (of_model.vocab_size or len(self.tokenizer)):
            raise BadInput(f"{folder}: the tokenizer has more tokens than the encoder; save both from the same model")
        self.lower = bool(of_sentences.do_lower_case)
        limits = of_sentences.max_seq_length, of_model.max_position_embeddings, self.tokenizer.model_max_length
        known = [
            int(n) for n in limits if n and n < 10**6
        ]  # transformers has an astronomical limit where there is none
        self.longest = min(known) if known else LONGEST

    def __call__(self, texts: Sequence[str], length: int) -> NDArray[np.int32]:
        """Return tokens ``(n, w)`` for ``w`` the longest text's, at most ``length``; -1 after a text's end."""
        texts = [text.lower() for text in texts] if self.lower else list(texts)
        rows: list[list[int]] = self.tokenizer(texts, truncation=True, max_length=length)["input_ids"] if texts else []
        table = np.full((len(rows), max(map(len, rows), default=1)), NONE, dtype=np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        return table


@contextmanager
def offline() -> Iterator[None]:
    """Within it, no file of an encoder can send transformers to the hub, whatever it names."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def keep_files(folder: Path, to: Path) -> None:
    """Copy the files that a Run needs from an encoder's folder, without the weights."""
    files = [file for pattern in KEPT for file in folder.glob(pattern) if not file.name.endswith(".index.json")]
    for file in files:
        place = to / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _settings(path: Path) -> _Settings:
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return _Settings(**{name: found.get(name) for name in _Settings._fields})
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: not a readable file of an encoder ({first_line(error)}); save it again") from error
