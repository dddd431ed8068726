"""Loads models and tokenizers, with messages that name the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ir_shared.console import UserError, missing_extra

from rerank_judge.scorers.hub import Source, find_source

__all__ = [
    "DTYPES",
    "MODEL_KINDS",
    "Checkpoint",
    "check_kind",
    "dtype_of",
    "kind_of",
    "load_checkpoint",
    "load_config",
    "load_model",
    "load_tokenizer",
    "quiet_transformers",
    "require_models_extra",
    "resolve_device",
]

MODEL_KINDS = {
    "monot5": ("AutoModelForSeq2SeqLM", "an encoder-decoder model such as T5"),
    "seqcls": ("AutoModelForSequenceClassification", "a sequence classifier with one output"),
    "rank1": ("AutoModelForCausalLM", "a causal language model"),
}
"""For each kind of judge the class of transformers that loads its model, and the model in words."""

DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass
class Checkpoint:
    """A loaded model.

    Attributes:
        name: short name, the last part of its path or id.
        digest: what tells this version from others.
        model: the model, on its device, in evaluation mode.
        tokenizer: its tokenizer.
        device: "cpu", "cuda" or "cuda:N".
        dtype: number format of its weights.
    """

    name: str
    digest: str
    model: Any
    tokenizer: Any
    device: str
    dtype: str

    @property
    def pad_id(self) -> int:
        """Token id of a pad: the tokenizer's, or 0; under an attention mask of 0 its value decides nothing."""
        found = self.tokenizer.pad_token_id
        return 0 if found is None else int(found)

    def to_cpu(self) -> None:
        """Moves the model to the CPU for good."""
        self.model.to("cpu")
        self.device = "cpu"


def require_models_extra(why: str, *modules: str) -> None:
    """Checks that what a judge with a model needs is installed.

    Raises:
        UserError: the extra ``models`` is missing.
    """
    if any(find_spec(name) is None for name in ("torch", "transformers", *modules)):
        raise missing_extra("rerank-judge", "models", why)


def resolve_device(device: str) -> str:
    """Turns "auto" into "cuda" where there is a GPU and "cpu" elsewhere, and checks any other name.

    Raises:
        UserError: no such device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UserError(f"device {device!r}: not known; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UserError(f"device {device!r}: this machine has {torch.cuda.device_count()} usable GPUs; use cpu or auto")
    return device


def load_checkpoint(name: str, kind: str, *, device: str, dtype: str) -> Checkpoint:
    """Loads a whole model with its tokenizer.

    Args:
        name: folder or hub id.
        kind: kind of judge, one of :data:`MODEL_KINDS`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: one of :data:`DTYPES`; "auto" is float32 on a CPU and the checkpoint's own format on a GPU.

    Raises:
        UserError: it cannot be found, or is something else.
    """
    device = resolve_device(device)
    source = find_source(name)
    check_kind(source, kind)
    model = load_model(source, kind, device=device, dtype=dtype)
    return Checkpoint(source.name, source.digest, model, load_tokenizer(source), device, dtype_of(model))


def check_kind(source: Source, kind: str) -> None:
    """Checks that a checkpoint is what a kind of judge needs.

    Raises:
        UserError: it is another kind of model, or a classifier with several outputs.
    """
    config = load_config(source)
    found = kind_of(config)
    if found != kind:
        remedy = f"use {found}: for it, or give" if found else "give"
        architecture = (config.architectures or [f"a {config.model_type} model without a head"])[0]
        wanted = MODEL_KINDS[kind][1]
        raise UserError(f"{source.name}: is {architecture}, not {wanted}; {remedy} a checkpoint trained as such")
    if kind == "seqcls" and config.num_labels != 1:
        raise UserError(f"{source.name}: has {config.num_labels} outputs; seqcls needs a checkpoint trained with one")


def kind_of(config: Any) -> str | None:
    """The kind of judge that a model's configuration fits, if any."""
    architectures = config.architectures or ()
    if any("ForSequenceClassification" in name for name in architectures):
        return "seqcls"
    if config.is_encoder_decoder:
        return "monot5"
    return "rank1" if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures) else None


def load_config(source: Source) -> Any:
    """A model's configuration.

    Raises:
        UserError: there is none.
    """
    return _load("AutoConfig", source, "a checkpoint")


def load_tokenizer(source: Source) -> Any:
    """A model's tokenizer.

    Raises:
        UserError: there is none.
    """
    return _load("AutoTokenizer", source, "a tokenizer")


def load_model(
    source: Source,
    kind: str,
    *,
    device: str,
    dtype: str,
    untrained: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """A model in evaluation mode on its device; arguments as :func:`load_checkpoint`.

    Args:
        source: the model.
        kind: kind of judge.
        device: where it goes.
        dtype: one of :data:`DTYPES`.
        untrained: beginnings of the names of weights that the checkpoint may lack.
        options: further arguments of ``from_pretrained``.

    Raises:
        UserError: the checkpoint is of another kind, or lacks weights, which would be drawn at random.
    """
    import torch

    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r}: not known; use {', '.join(DTYPES)}")
    auto_class, what = MODEL_KINDS[kind]
    own = "auto" if device.startswith("cuda") else torch.float32
    number = own if dtype == "auto" else getattr(torch, dtype)
    model, info = _load(auto_class, source, what, dtype=number, output_loading_info=True, **options)
    lacking = sorted(name for name in info["missing_keys"] if not name.startswith(untrained))
    if lacking:
        shown = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        raise UserError(f"{source.name}: holds no trained weights for {shown}; it is not {what}")
    return model.to(device).eval()


def _load(auto_class: str, source: Source, what: str, **options: Any) -> Any:
    loader = getattr(import_module("transformers"), auto_class)
    try:
        with quiet_transformers():
            return loader.from_pretrained(
                source.location, revision=source.revision, local_files_only=source.local, **options
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{source.name}: cannot be loaded as {what} ({reason})") from error


def dtype_of(model: Any) -> str:
    """The number format of a model's weights."""
    return str(model.dtype).removeprefix("torch.")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers' bars and its report of missing weights, which we turn into an error, off the screen."""
    logging: Any = import_module("transformers.utils.logging")  # its functions carry no types
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
