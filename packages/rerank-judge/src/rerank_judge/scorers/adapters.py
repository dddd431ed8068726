"""Loads sequence classifiers with one output: whole models, and LoRA adapters, which are merged into their base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ir_shared.console import UserError

from rerank_judge.scorers.card import text_hash
from rerank_judge.scorers.checkpoints import (
    Checkpoint,
    dtype_of,
    kind_of,
    load_checkpoint,
    load_config,
    load_model,
    load_tokenizer,
    require_models_extra,
    resolve_device,
)
from rerank_judge.scorers.hub import Source, find_source

__all__ = ["load_classifier"]

_HEADS = ("score", "classifier")
_ADAPTER_FILE = "adapter_config.json"


def load_classifier(name: str, *, base: str | None = None, device: str = "auto", dtype: str = "auto") -> Checkpoint:
    """Loads a sequence classifier or an adapter of one.

    Args:
        name: folder or hub id of either.
        base: folder or hub id of an adapter's base model. None takes the one that the adapter names; for an adapter in
            a folder nothing is downloaded then.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: see :func:`rerank_judge.scorers.checkpoints.load_checkpoint`.

    Raises:
        UserError: it cannot be found, is no sequence classifier, has several outputs, or no trained head.
    """
    source = find_source(name)
    if _has_file(source, _ADAPTER_FILE):
        return _load_adapter(source, base, resolve_device(device), dtype)
    if base is not None:
        raise UserError(f"{source.name}: is no adapter, so it has no base; leave ?base out")
    return load_checkpoint(name, "seqcls", device=device, dtype=dtype)


def _load_adapter(source: Source, base: str | None, device: str, dtype: str) -> Checkpoint:
    require_models_extra("a LoRA adapter", "peft")
    from peft import PeftConfig, PeftModel
    from peft.utils import load_peft_weights

    options: dict[str, Any] = {"revision": source.revision} if source.revision else {}
    named = PeftConfig.from_pretrained(source.location, **options).base_model_name_or_path
    try:
        below = find_source(base or named, download=base is not None or not source.local)
    except UserError as error:
        raise UserError(f"{source.name}: its base model is not there; name it with ?base=FOLDER ({error})") from error
    model = load_model(below, "seqcls", device="cpu", dtype=dtype, untrained=_HEADS, num_labels=1)
    weights = load_peft_weights(source.location, device="cpu", **options)
    if kind_of(load_config(below)) != "seqcls" and not any(f".{head}." in key for head in _HEADS for key in weights):
        raise UserError(f"{source.name}: neither the adapter nor its base {below.name} holds a trained scoring head")
    merged: Any = PeftModel.from_pretrained(model, source.location, **options).merge_and_unload()
    tokenizer = load_tokenizer(source if _has_file(source, "tokenizer_config.json") else below)
    digest = text_hash(f"{source.digest} {below.digest}")
    return Checkpoint(source.name, digest, merged.to(device).eval(), tokenizer, device, dtype_of(merged))


def _has_file(source: Source, file: str) -> bool:
    if source.local:
        return (Path(source.location) / file).exists()
    from huggingface_hub import file_exists

    return bool(file_exists(source.location, file, revision=source.revision))
