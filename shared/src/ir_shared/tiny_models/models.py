"""Tiny T5, BERT, Llama and Qwen2 models with weights from a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ir_shared.console import UserError
from ir_shared.folders import new_folder
from ir_shared.tiny_models.tokenizers import Kind, byte_tokenizer, check_installed, word_tokenizer, words_of

__all__ = ["make_tiny"]


@dataclass(frozen=True)
class _Family:
    """Names of the classes in transformers, and a configuration that trains in seconds on one core."""

    config: str
    model: str
    classifier: str | None
    defaults: dict[str, int]


_DECODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_FAMILIES: dict[Kind, _Family] = {
    "t5": _Family(
        "T5Config",
        "T5ForConditionalGeneration",
        None,
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    ),
    "bert": _Family(
        "BertConfig",
        "BertModel",
        "BertForSequenceClassification",
        {name: value for name, value in _DECODER.items() if name != "num_key_value_heads"},
    ),
    "llama": _Family("LlamaConfig", "LlamaForCausalLM", "LlamaForSequenceClassification", _DECODER),
    "qwen2": _Family("Qwen2Config", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification", _DECODER),
}


def make_tiny(
    folder: str | Path,
    kind: Kind,
    *,
    words: Iterable[str] | None = None,
    texts: Iterable[str] | None = None,
    tags: Sequence[str] = (),
    num_labels: int | None = None,
    seed: int = 0,
    std: float = 0.3,
    max_vocabulary: int = 1024,
    **config: Any,
) -> Path:
    """Makes a tiny model and its tokenizer and saves both; the same arguments give the same bytes.

    ``t5`` is a ``T5ForConditionalGeneration``, ``bert`` a ``BertModel``, ``llama`` and ``qwen2`` are causal language
    models; with ``num_labels`` all but T5 become sequence classifiers. The folder loads with ``AutoTokenizer`` and the
    ``AutoModel`` class that fits. Matrices are drawn from N(0, std²), biases are 0 and norms 1: with the far smaller
    weights that transformers starts from, all outputs of a tiny model are almost equal, and a test could not see a
    mistake.

    Args:
        folder: a new folder.
        kind: the model family.
        words: the tokenizer's words, for ``t5``, ``bert`` and ``llama``.
        texts: in place of words: their words are taken. ``qwen2`` needs texts, see :func:`byte_tokenizer`.
        tags: strings that are one token wherever they stand, e.g. ``"<think>"``.
        num_labels: makes a sequence classifier with so many outputs.
        seed: seed of the weights; the global state of torch is neither used nor changed.
        std: standard deviation of the weights.
        max_vocabulary: upper bound of the byte-level vocabulary of ``qwen2``.
        config: settings of the family's configuration, in place of the defaults (width 32, two layers).

    Returns:
        The folder.

    Raises:
        UserError: ``ir-shared[tiny]`` is not installed, an argument does not fit, or the folder holds something.
    """
    family = _FAMILIES.get(kind)
    if family is None:
        raise UserError(f"kind {kind!r}: not known; choose one of {', '.join(_FAMILIES)}")
    if num_labels is not None and family.classifier is None:
        raise UserError(f"kind {kind!r}: makes no sequence classifier; leave num_labels out or choose another kind")
    check_installed()
    settings = family.defaults | config
    # T5 has relative positions and no limit of its own.
    length = settings.get("max_position_embeddings", 512)
    tokenizer = _tokenizer(kind, words, texts, tags, max_vocabulary, length)
    model = _model(family, tokenizer, num_labels, settings)
    _draw_weights(model, seed, std)
    with new_folder(folder) as temporary, _no_progress_bar():
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary)
    return Path(folder)


def _tokenizer(
    kind: Kind,
    words: Iterable[str] | None,
    texts: Iterable[str] | None,
    tags: Sequence[str],
    max_vocabulary: int,
    max_length: int,
) -> Any:
    if (words is None) == (texts is None):
        raise UserError("a tiny model's tokenizer is made of words or of texts: give one of the two")
    if kind == "qwen2":
        if texts is None:
            raise UserError("kind 'qwen2': its tokenizer splits texts into bytes; give texts in place of words")
        return byte_tokenizer(texts, tags=tags, max_vocabulary=max_vocabulary, max_length=max_length)
    return word_tokenizer(kind, words_of(texts or ()) if words is None else words, tags=tags, max_length=max_length)


def _model(family: _Family, tokenizer: Any, num_labels: int | None, settings: dict[str, Any]) -> Any:
    import torch
    import transformers

    config_class = getattr(transformers, family.config)
    unknown = [name for name in settings if not hasattr(config_class(), name)]
    if unknown:
        raise UserError(f"{family.config}: knows no setting {', '.join(unknown)}; check the spelling")
    special = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    if family.config == "T5Config":
        special["decoder_start_token_id"] = tokenizer.pad_token_id
    if num_labels is not None:
        settings = settings | {"num_labels": num_labels}
    name = family.model if num_labels is None else family.classifier
    with torch.random.fork_rng(devices=[]):
        return getattr(transformers, str(name))(config_class(vocab_size=len(tokenizer), **special, **settings))


def _draw_weights(model: Any, seed: int, std: float) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weights in sorted(model.named_parameters()):
            if weights.ndim >= 2:
                weights.normal_(0.0, std, generator=generator)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    logging: Any = import_module("transformers.utils.logging")  # its functions carry no types
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
