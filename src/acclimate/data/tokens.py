"""Texts to the tokens that an encoder was trained on."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput, first_line

NONE = -1
"""Stands where a text has no token any more; no vocabulary has it."""
LONGEST = 512
"""Tokens of a text at the most, where the encoder says nothing."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""One of these a tokenizer has; without any transformers would make an empty one and say nothing."""
KEPT = ("*.json", "*.txt", "*.model", "[0-9]*_*/config.json")
"""What of an encoder's folder a Run keeps: all that says what its tokens mean, none of its weights."""


class Tokenizer:
    """The tokenizer in an encoder's folder; no code there is run, and nothing is fetched.

    Args:
        folder: With the tokenizer's files and the encoder's ``config.json``.

    Raises:
        BadInput: transformers cannot read a tokenizer there.
    """

    def __init__(self, folder: Path):
        from transformers import AutoTokenizer

        if not any(file for pattern in VOCABULARIES for file in folder.glob(pattern)):
            raise BadInput(f"{folder}: holds no tokenizer; save it there too, with its own save_pretrained")
        try:
            self.of: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # each way of damage fails in its own way
            raise BadInput(
                f"{folder}: holds no tokenizer that can be read ({first_line(error)}); is it whole?"
            ) from error
        of_sentences, of_model = (_settings(folder / name) for name in ("sentence_bert_config.json", "config.json"))
        if len(self.of) > of_model.get("vocab_size", len(self.of)):
            raise BadInput(f"{folder}: its tokenizer knows more words than its encoder; save both from one model")
        self.lower = bool(of_sentences.get("do_lower_case"))
        limits = (of_sentences.get("max_seq_length"), of_model.get("max_position_embeddings"), self.of.model_max_length)
        known = [int(n) for n in limits if n and n < 10**6]  # where there is none transformers has an astronomic one
        self.longest = min(known) if known else LONGEST

    def __call__(self, texts: Sequence[str], length: int) -> NDArray[np.int32]:
        """``(n, w)`` with ``w`` at most ``length``: as long as the longest text, -1 where a text has ended."""
        texts = [text.lower() for text in texts] if self.lower else list(texts)
        rows: list[list[int]] = self.of(texts, truncation=True, max_length=length)["input_ids"] if texts else []
        table = np.full((len(rows), max(map(len, rows), default=1)), NONE, dtype=np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        return table


def keep_files(folder: Path, to: Path) -> None:
    """Copy what a Run needs of an encoder's folder, and none of the weights."""
    files = [file for pattern in KEPT for file in folder.glob(pattern) if not file.name.endswith(".index.json")]
    for file in files:
        place = to / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: not a readable part of an encoder ({first_line(error)}); save it again") from error
