"""A text encoder of transformers or sentence-transformers, from a local folder."""

import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Built, InputSpec, Shape
from acclimate.backbones.layers import transformer_depth
from acclimate.errors import BadInput, did_you_mean, first_line
from acclimate.nn import Classifier

INPUT_KIND = "tokens"
PART = 1024
"""Tokens that go through an encoder at once on a CPU, where padding costs what words do, and attention over more of
them leaves the cache."""


def input_spec(*, model: str = "", length: int | None = None, pretrained: bool = True) -> InputSpec:
    """Tokens by the folder's own tokenizer.

    Raises:
        BadInput: No folder, one that is none of an encoder's, weights that are no safetensors, or an extra is missing.
    """
    require_transformers("encoder")
    if not model:
        raise BadInput("backbone encoder: which one? give its local folder, --backbone encoder:FOLDER")
    if length is not None and length < 4:
        raise BadInput(f"backbone.length={length}: leaves no room for a word; give at least 4")
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise BadInput(
            f"backbone encoder: {model} is no folder here; nothing is fetched from a hub, save it there first"
        )
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: has no config.json; give the folder that save_pretrained wrote")
    _pooling(folder)
    if pretrained and not _has_weights(folder):
        raise BadInput(
            f"{folder}: has no model.safetensors, and pickled weights are refused; "
            "save it again with a recent transformers, which writes them"
        )
    return InputSpec(encoder=folder, length=length)


def build(
    shape: Shape, n_classes: int, *, model: str = "", length: int | None = None, pretrained: bool = True
) -> Built:
    """The encoder's token states, pooled and maybe brought to length 1 as its folder says, under a linear head.

    A folder of transformers alone says nothing of it: its token states are averaged. No prompt is put before a text,
    and a pooler that was trained for another task is left out.

    Args:
        shape: Tokens.
        n_classes: Classes to tell apart.
        model: Local folder with ``config.json``, a tokenizer and ``model.safetensors``; ``--backbone encoder:FOLDER``
            sets it. No code in it is run.
        length: Tokens of a text at the most; by default what the encoder was trained with.
        pretrained: Take the folder's weights.

    Raises:
        BadInput: transformers cannot make an encoder of what is there.

    Reference:
        Reimers and Gurevych, Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, EMNLP 2019.
        arXiv:1908.10084
    """
    require_transformers("encoder")
    assert shape.encoder
    pool, normalize = _pooling(shape.encoder)
    # a Run keeps none of these weights, but its own, which are loaded next
    there = pretrained and _has_weights(shape.encoder)
    encoder = TextEncoder(_transformer(shape.encoder, there), pool, normalize=normalize)
    d = int(encoder.model.config.hidden_size)
    # of features of length 1 an ordinary rate would hardly move the logits
    scale = Scale(math.sqrt(d) if normalize else 1.0)
    head = nn.Sequential(scale, nn.Linear(d, n_classes))
    rates = {"lr": 5e-5, "head_lr": 10.0} if pretrained else {"lr": 5e-4}
    training = {"optimizer": "adamw", **rates, "schedule": "cosine", "weight_decay": 1e-2}
    return Built(Classifier(encoder, head, n_features=d, n_classes=n_classes), training)


class Scale(nn.Module):
    """Multiplies by a number."""

    def __init__(self, by: float):
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        """``by · x``."""
        return self.by * x


class TextEncoder(nn.Module):
    """Tokens ``(n, length)``, -1 where there is none, to features ``(n, d)``.

    Args:
        model: A transformer that gives a state for each token.
        pool: States ``(n, length, d)`` and which of them count ``(n, length, 1)`` to ``(n, d)``.
        normalize: Bring each to length 1.
    """

    def __init__(self, model: Any, pool: "Pool", *, normalize: bool):
        super().__init__()
        self.model, self.pool, self.normalize = model, pool, normalize

    def forward(self, tokens: Tensor) -> Tensor:
        """Features ``(n, d)``; of texts of unlike length each part of the batch is as long as its own longest."""
        there = tokens >= 0
        # once for all parts, as each look-up has a gradient as large as the vocabulary
        words = self.model.get_input_embeddings()(tokens.masked_fill(~there, self.model.config.pad_token_id or 0))
        lengths = (there * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)).amax(1)
        n_parts = 1 if tokens.is_cuda else math.ceil(len(tokens) * int(lengths.max()) / PART)
        if n_parts <= 1:
            return self._features(words, there, lengths)
        order = lengths.argsort()
        parts = [self._features(words[rows], there[rows], lengths[rows]) for rows in order.chunk(n_parts)]
        return torch.cat(parts)[order.argsort()]

    def _features(self, words: Tensor, there: Tensor, lengths: Tensor) -> Tensor:
        """Of embeddings ``(n, length, d)``; what lies behind the longest text costs nothing."""
        longest = int(lengths.max())
        words, there = words[:, :longest], there[:, :longest]
        states = self.model(inputs_embeds=words, attention_mask=there.long()).last_hidden_state
        pooled = self.pool(states, there[:, :, None])
        return nn.functional.normalize(pooled) if self.normalize else pooled

    def extra_repr(self) -> str:
        """What no weight tells of it."""
        return f"pool={self.pool.__name__}, normalize={self.normalize}"

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """As timm's models: which layer a parameter is of."""
        return transformer_depth


Pool = Callable[[Tensor, Tensor], Tensor]


def mean(states: Tensor, there: Tensor) -> Tensor:
    """The mean of the states that count."""
    return (states * there).sum(1) / there.sum(1).clamp(min=1)


def cls(states: Tensor, there: Tensor) -> Tensor:
    """The state of the first token, which stands for all."""
    return states[:, 0]


def largest(states: Tensor, there: Tensor) -> Tensor:
    """The largest value of each feature over the states that count."""
    return states.masked_fill(~there, -math.inf).amax(1)


POOLS: dict[str, Pool] = {"mean": mean, "cls": cls, "max": largest}
"""By the names that sentence-transformers has for them."""
LEGACY = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""And those that it had."""


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _pooling(folder: Path) -> tuple[Pool, bool]:
    """How states become one vector, and whether that is brought to length 1, as the folder says."""
    if not (folder / "modules.json").is_file():
        return mean, False
    try:
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        kinds = {m["type"].rpartition(".")[2]: str(m["path"]) for m in modules}
        config = json.loads((folder / kinds["Pooling"] / "config.json").read_text("utf-8"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{folder}: its modules.json says not how it pools ({first_line(error)}); save it again"
        ) from error
    if strange := sorted(kinds.keys() - {"Transformer", "Pooling", "Normalize"}):
        raise BadInput(f"{folder}: its modules.json has {strange[0]!r}, which is not read here; take another encoder")
    if kinds.get("Transformer"):
        raise BadInput(f"{folder}: its transformer lies in {kinds['Transformer']!r}; save it again, so that none does")
    modes = config.get("pooling_mode") or [name for key, name in LEGACY.items() if config.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) > 1 or modes[0] not in POOLS:
        raise BadInput(f"{folder}: pools by {' and '.join(map(str, modes))}; {did_you_mean(str(modes[0]), POOLS)}")
    return POOLS[modes[0]], "Normalize" in kinds


def _transformer(folder: Path, pretrained: bool) -> Any:
    from transformers import AutoConfig, AutoModel

    kinds: Any = AutoModel  # which is typed in part
    safely = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **safely)
        if config.is_encoder_decoder or not getattr(config, "vocab_size", None):
            raise BadInput(f"{folder}: a {config.model_type} is no encoder of text; take one like BERT")
        with _quiet():
            if pretrained:
                more = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
                model, info = kinds.from_pretrained(folder, config=config, **safely, **more)
            else:
                model, info = kinds.from_config(config, trust_remote_code=False).float(), {}
    except BadInput:
        raise
    except Exception as error:  # each way of damage fails in its own way
        raise BadInput(
            f"{folder}: transformers cannot make an encoder of it ({first_line(error)}); is it whole?"
        ) from error
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    if missing := sorted(k for k in info.get("missing_keys", ()) if not k.startswith("pooler.")):
        raise BadInput(f"{folder}: its weights lack {len(missing)} tensors, first {missing[0]!r}; is it whole?")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Transformers tells of weights that go unused, and draws a bar; a person who adapts can act on neither."""
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
    """Refuse to go on where the extra is not installed, transformers or what else of it is needed.

    Raises:
        BadInput: It is not.
    """
    find_spec = importlib.util.find_spec
    if any(find_spec(name) is None for name in ("transformers", *more)):
        raise BadInput(f"backbone {backbone}: needs the extra `text`; install it with `pip install acclimate[text]`")
