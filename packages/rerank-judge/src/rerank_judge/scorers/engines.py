"""What a reasoning judge asks of a language model: to think aloud, and to weigh two answers.

Two engines offer it: transformers, and vLLM for many pairs on a GPU. vLLM is no dependency; install it beside this
package (``pip install vllm``) on a machine with a CUDA device and say ``?engine=vllm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from ir_shared.console import UserError

from rerank_judge.scorers.checkpoints import Checkpoint
from rerank_judge.scorers.encoding import encode_texts
from rerank_judge.scorers.heads import float_rows, last_hidden, log_odds
from rerank_judge.scorers.packing import Example, collate

__all__ = ["END_OF_THOUGHT", "Engine", "Trace", "TransformersEngine", "VllmEngine", "require_vllm"]

END_OF_THOUGHT = "</think>"


@dataclass(frozen=True)
class Trace:
    """What a model thought.

    Attributes:
        text: the reasoning, without the tag that ends it.
        finished: whether the model ended it, rather than the budget.
    """

    text: str
    finished: bool


class Engine(Protocol):
    """A language model behind the two phases."""

    def think(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Trace]:
        """Continues prompts greedily until the end of the thought.

        Args:
            prompts: token ids.
            max_new_tokens: budget of each trace.
        """
        ...

    def weigh(self, texts: Sequence[str]) -> list[float]:
        """The log-odds of the positive answer against the negative as the next token of each text."""
        ...


class TransformersEngine:
    """A causal model of transformers.

    Args:
        checkpoint: the model.
        answers: ids of the positive and the negative answer.
    """

    def __init__(self, checkpoint: Checkpoint, answers: tuple[int, int]) -> None:
        self._checkpoint = checkpoint
        # As a part of the model the rows move with it from device to device.
        checkpoint.model.add_module("answer_rows", float_rows(checkpoint.model.get_output_embeddings(), answers))

    def think(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Trace]:
        """Continues prompts in one batch, padded on the left; see :class:`Engine`."""
        import torch
        from transformers import GenerationConfig

        checkpoint, tokenizer = self._checkpoint, self._checkpoint.tokenizer
        rows = [Example({"input_ids": list(ids)}) for ids in prompts]
        batch = collate(rows, checkpoint.pad_id, checkpoint.device, left=True)
        # The checkpoint's own settings may sample or penalise repetition; the protocol is plain greedy decoding.
        make_config: Any = GenerationConfig  # its signature carries no types
        greedy = make_config(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=checkpoint.pad_id,
            eos_token_id=tokenizer.eos_token_id,
            stop_strings=[END_OF_THOUGHT],
        )
        with torch.inference_mode():
            output = checkpoint.model.generate(**batch, generation_config=greedy, tokenizer=tokenizer)
        return [self._trace(ids) for ids in output[:, batch["input_ids"].shape[1] :].tolist()]

    def weigh(self, texts: Sequence[str]) -> list[float]:
        """One forward pass over right-padded texts; see :class:`Engine`."""
        import torch

        checkpoint = self._checkpoint
        ids = encode_texts(checkpoint.tokenizer, texts, special=True)
        batch = collate([Example({"input_ids": row}) for row in ids], checkpoint.pad_id, checkpoint.device)
        with torch.inference_mode():
            hidden = last_hidden(checkpoint.model, batch, [len(row) for row in ids])
            return log_odds(checkpoint.model.answer_rows(hidden))

    def _trace(self, ids: list[int]) -> Trace:
        end = self._checkpoint.tokenizer.eos_token_id
        if end in ids:
            ids = ids[: ids.index(end)]
        text = self._checkpoint.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        text, tag, _ = text.partition(END_OF_THOUGHT)
        return Trace(text, bool(tag))


def require_vllm() -> None:
    """Checks that vLLM is installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("vllm") is None:
        raise UserError(
            "engine=vllm: vLLM is not installed; install it on a machine with a CUDA device (pip install vllm), "
            "or leave engine out to use transformers"
        )


class VllmEngine:
    """A model served by vLLM in this process.

    Args:
        location: folder or hub id.
        tokenizer: its tokenizer.
        answers: ids of the positive and the negative answer.
        max_model_len: tokens of prompt, trace and answer together.
        dtype: number format.

    Raises:
        UserError: vLLM is not installed.
    """

    def __init__(
        self, location: str, tokenizer: Any, answers: tuple[int, int], *, max_model_len: int, dtype: str
    ) -> None:
        require_vllm()
        from importlib import import_module

        self._vllm: Any = import_module("vllm")
        self._tokenizer = tokenizer
        self._answers = answers
        self._model = self._vllm.LLM(
            model=location, dtype=dtype, max_model_len=max_model_len, enable_prefix_caching=True, seed=0
        )

    def think(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Trace]:
        """Continues prompts; vLLM batches them itself; see :class:`Engine`."""
        settings = self._vllm.SamplingParams(temperature=0.0, max_tokens=max_new_tokens, stop=[END_OF_THOUGHT])
        outputs = self._model.generate([{"prompt_token_ids": list(ids)} for ids in prompts], settings, use_tqdm=False)
        done = [output.outputs[0] for output in outputs]
        return [Trace(answer.text, answer.stop_reason == END_OF_THOUGHT) for answer in done]

    def weigh(self, texts: Sequence[str]) -> list[float]:
        """Each text with either answer behind it, as a prompt; see :class:`Engine`.

        The log-probability of a prompt's token comes from the whole vocabulary, so the answers need not be among the
        likeliest few, and nothing depends on how a release treats restricted sampling.
        """
        settings = self._vllm.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        ids = encode_texts(self._tokenizer, texts, special=True)
        prompts = [{"prompt_token_ids": [*row, answer]} for row in ids for answer in self._answers]
        outputs = self._model.generate(prompts, settings, use_tqdm=False)
        logs = [output.prompt_logprobs[-1][output.prompt_token_ids[-1]].logprob for output in outputs]
        return [float(logs[i] - logs[i + 1]) for i in range(0, len(logs), 2)]
