"""A text encoder of transformers or sentence-transformers in a local folder."""

import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Built, InputSpec, Shape, TrainingDefaults, reads_weights
from acclimate.backbones.layers import transformer_depth
from acclimate.data.tokens import offline
from acclimate.errors import BadInput, did_you_mean, first_line
from acclimate.nn import Classifier

INPUT_KIND = "tokens"
CHUNK_TOKENS = 1024
"""Tokens that an encoder processes at once on a CPU, where padding costs as much as words, and attention over more
tokens does not fit into the processor's cache."""


def input_spec(*, model: str = "", length: int | None = None, pretrained: bool = True) -> InputSpec:
    """Return tokens of the folder's own tokenizer.

    Raises:
        BadInput: The folder is missing, is not an encoder's or has no safetensors, or the extra ``text`` is missing.
    """
    require_transformers("encoder")
    if not model:
        raise BadInput("backbone encoder: no folder given; use --backbone encoder:FOLDER with a local folder")
    if length is not None and length < 4:
        raise BadInput(f"backbone.length={length}: too short for a word; use 4 or more")
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise BadInput(f"backbone encoder: folder {model} not found; save the encoder to a local folder first")
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: has no config.json; use the folder that save_pretrained wrote")
    _pooling(folder)
    if pretrained and not _has_weights(folder):
        raise BadInput(
            f"{folder}: has no model.safetensors, and pickled weights are refused; "
            "save the encoder again with a recent version of transformers"
        )
    return InputSpec(encoder=folder, length=length)


def build(
    shape: Shape, n_classes: int, *, model: str = "", length: int | None = None, pretrained: bool = True
) -> Built:
    """The encoder's token states, pooled and normalised as its folder specifies, with a linear head.

    A folder of transformers does not specify pooling; its token states are averaged. Texts get no prompt, and a pooler
    trained for another task is removed.

    Args:
        shape: Tokens.
        n_classes: Number of classes.
        model: Local folder with ``config.json``, a tokenizer and ``model.safetensors``; ``--backbone encoder:FOLDER``
            sets it. Code in the folder is never run.
        length: Maximum number of tokens of a text; by default that of the encoder's training.
        pretrained: Use the folder's weights.

    Raises:
        BadInput: transformers cannot load an encoder from the folder.

    Reference:
        Reimers and Gurevych, Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, EMNLP 2019.
        arXiv:1908.10084
    """
    require_transformers("encoder")
    assert shape.encoder
    pool, normalize = _pooling(shape.encoder)
    # a Run's copy of the folder has no weights: the Run's own are loaded next
    load = pretrained and reads_weights() and _has_weights(shape.encoder)
    encoder = TextEncoder(_transformer(shape.encoder, load), pool, normalize=normalize)
    d = encoder.model.config.hidden_size
    # with features of length 1, logits would hardly change at an ordinary learning rate
    scale = Scale(math.sqrt(d) if normalize else 1.0)
    head = nn.Sequential(scale, nn.Linear(d, n_classes))
    rates: TrainingDefaults = {"lr": 5e-5, "head_lr": 10.0} if pretrained else {"lr": 5e-4}
    training: TrainingDefaults = {"optimizer": "adamw", **rates, "schedule": "cosine", "weight_decay": 1e-2}
    return Built(Classifier(encoder, head, n_features=d, n_classes=n_classes), training)


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """``factor · x``."""
        return self.factor * x


class TransformerConfig(Protocol):
    """What is read from the configuration of a transformer."""

    hidden_size: int
    pad_token_id: int | None


class EncoderModel(nn.Module):
    """What every text encoder of transformers has."""

    config: TransformerConfig
    pooler: nn.Module | None

    def get_input_embeddings(self) -> nn.Module:
        """Return the layer from tokens to vectors."""
        raise NotImplementedError


class TextEncoder(nn.Module):
    """Tokens ``(n, length)``, padded with -1, to features ``(n, d)``.

    Args:
        model: A transformer that returns a state for each token.
        pool: Maps states ``(n, length, d)`` and the mask of tokens ``(n, length, 1)`` to ``(n, d)``.
        normalize: Whether to normalise features to length 1.
    """

    def __init__(self, model: EncoderModel, pool: "Pool", *, normalize: bool):
        super().__init__()
        self.model, self.pool, self.normalize = model, pool, normalize

    def forward(self, tokens: Tensor) -> Tensor:
        """Features ``(n, d)``; processes texts in chunks of similar length, each padded to its own longest text."""
        mask = tokens >= 0
        # once for all chunks, as each look-up has a gradient as large as the vocabulary
        words = self.model.get_input_embeddings()(tokens.masked_fill(~mask, self.model.config.pad_token_id or 0))
        lengths = (mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)).amax(1)
        n_chunks = 1 if tokens.is_cuda else math.ceil(len(tokens) * int(lengths.max()) / CHUNK_TOKENS)
        if n_chunks <= 1:
            return self._features(words, mask, lengths)
        order = lengths.argsort()
        chunks = [self._features(words[rows], mask[rows], lengths[rows]) for rows in order.chunk(n_chunks)]
        return torch.cat(chunks)[order.argsort()]

    def _features(self, words: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        """Features of embeddings ``(n, length, d)``, without the padding after the longest text."""
        longest = int(lengths.max())
        words, mask = words[:, :longest], mask[:, :longest]
        states = self.model(inputs_embeds=words, attention_mask=mask.long()).last_hidden_state
        pooled = self.pool(states, mask[:, :, None])
        return nn.functional.normalize(pooled) if self.normalize else pooled

    def extra_repr(self) -> str:
        """The settings that its weights do not include."""
        return f"pool={self.pool.__name__}, normalize={self.normalize}"

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """Return the function from a parameter's name to its layer, as timm's models do."""
        return transformer_depth


Pool = Callable[[Tensor, Tensor], Tensor]


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of the states of tokens."""
    return (states * mask).sum(1) / mask.sum(1).clamp(min=1)


def cls(states: Tensor, mask: Tensor) -> Tensor:
    """State of the first token, which represents the text."""
    return states[:, 0]


def largest(states: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each feature over the states of tokens."""
    return states.masked_fill(~mask, -math.inf).amax(1)


POOLS: dict[str, Pool] = {"mean": mean, "cls": cls, "max": largest}
"""Pooling functions by their names in sentence-transformers."""
LEGACY = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Names of poolings in older versions of sentence-transformers."""


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _pooling(folder: Path) -> tuple[Pool, bool]:
    """Return how a folder pools states into one vector, and whether it normalises that to length 1."""
    if not (folder / "modules.json").is_file():
        return mean, False
    try:
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        kinds = {m["type"].rpartition(".")[2]: str(m["path"]) for m in modules}
        config = json.loads((folder / kinds["Pooling"] / "config.json").read_text("utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{folder}: modules.json does not describe the pooling ({first_line(error)}); save the encoder again"
        ) from error
    if unknown := sorted(kinds.keys() - {"Transformer", "Pooling", "Normalize"}):
        raise BadInput(f"{folder}: modules.json has the unsupported module {unknown[0]!r}; use another encoder")
    if kinds.get("Transformer"):
        raise BadInput(
            f"{folder}: the transformer is in the sub-folder {kinds['Transformer']!r}; save it to the top folder"
        )
    modes = config.get("pooling_mode") or [name for key, name in LEGACY.items() if config.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) > 1 or modes[0] not in POOLS:
        unsupported = " and ".join(map(str, modes))
        raise BadInput(f"{folder}: unsupported pooling {unsupported}; {did_you_mean(str(modes[0]), POOLS)}")
    return POOLS[modes[0]], "Normalize" in kinds


def _transformer(folder: Path, pretrained: bool) -> EncoderModel:
    from transformers import AutoConfig, AutoModel

    kinds: Any = AutoModel  # is only partly typed
    model: EncoderModel
    safely = {"local_files_only": True, "trust_remote_code": False}
    try:
        with offline():
            config = AutoConfig.from_pretrained(folder, **safely)
        if config.is_encoder_decoder or not getattr(config, "vocab_size", None):
            raise BadInput(f"{folder}: {config.model_type} is not a text encoder; use one like BERT")
        with _quiet(), offline():
            if pretrained:
                more = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
                model, info = kinds.from_pretrained(folder, config=config, **safely, **more)
            else:
                model, info = kinds.from_config(config, trust_remote_code=False).float(), {}
    except BadInput:
        raise
    except Exception as error:  # each kind of damage raises its own error
        raise BadInput(
            f"{folder}: transformers cannot load an encoder from it ({first_line(error)}); save the encoder again"
        ) from error
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    if missing := sorted(k for k in info.get("missing_keys", ()) if not k.startswith("pooler.")):
        raise BadInput(
            f"{folder}: its weights lack {len(missing)} tensors, the first is {missing[0]!r}; save the encoder again"
        )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log lines of transformers on unused weights, and its progress bar: users cannot act on them."""
    from transformers import logging as untyped

    logging: Any = untyped
    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()


def require_transformers(backbone: str, *more: str) -> None:
    """Check that transformers and the packages ``more`` of the extra ``text`` are installed.

    Raises:
        BadInput: One of them is not.
    """
    find_spec = importlib.util.find_spec
    if any(find_spec(name) is None for name in ("transformers", *more)):
        raise BadInput(f"backbone {backbone}: the extra `text` is not installed; run `pip install acclimate[text]`")
