"""From token sequences to batches: length buckets under a token budget, padding, and what to do when memory runs out.

Sequences are complete before they are padded and padding comes last, so a score does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ir_shared.console import UserError

__all__ = ["Example", "Halving", "collate", "length_batches"]

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One pair as a model takes it.

    Attributes:
        features: token ids and whatever has one number for each token, by the model's name for it; equally long.
        query_truncated: whether the query had to be cut.
        extra_tokens: tokens that the model will add to the sequence.
        text: the text that was encoded, for a judge that goes on writing it.
    """

    features: dict[str, list[int]]
    query_truncated: bool = False
    extra_tokens: int = 0
    text: str = ""

    @property
    def ids(self) -> list[int]:
        """Its token ids."""
        return self.features["input_ids"]

    @property
    def cost(self) -> int:
        """Its length in tokens."""
        return len(self.ids) + self.extra_tokens


def length_batches(costs: Sequence[int], budget: int) -> list[list[int]]:
    """Groups sequences of similar length, longest first, ties in the given order.

    Args:
        costs: length of each sequence.
        budget: most tokens of a batch with its padding; one sequence may exceed it alone.

    Returns:
        Positions of the sequences of each batch.
    """
    batches: list[list[int]] = []
    longest = 0
    for i in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        if not batches or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = costs[i]
        batches[-1].append(i)
    return batches


def collate(examples: Sequence[Example], pad_id: int, device: str, *, left: bool = False) -> dict[str, Any]:
    """Pads a batch with an attention mask of 0 on the pads.

    Args:
        examples: sequences that all have the same features.
        pad_id: token id of a pad; other features are padded with 0.
        device: where the tensors go.
        left: puts the pads before the sequences, as generation wants it.

    Returns:
        Tensors of shape [batch, length] by feature, with ``attention_mask``.
    """
    import torch

    length = max(len(example.ids) for example in examples)

    def padded(rows: list[list[int]], fill: int) -> Any:
        pads = [[fill] * (length - len(row)) for row in rows]
        full = [pad + row if left else row + pad for row, pad in zip(rows, pads, strict=True)]
        return torch.tensor(full, dtype=torch.long, device=device)

    batch = {
        name: padded([example.features[name] for example in examples], pad_id if name == "input_ids" else 0)
        for name in examples[0].features
    }
    return batch | {"attention_mask": padded([[1] * len(example.ids) for example in examples], 0)}


@dataclass
class Halving:
    """Runs batches and halves the token budget for all that follow where the GPU's memory does not suffice.

    Halved batches may differ from whole ones in the last bits of a score, as any two batch shapes do.

    Attributes:
        to_cpu: moves the work to the CPU, for a sequence that does not fit alone. None makes that an error.
        limit: the budget that has been found to fit; None until memory ran out once.
    """

    to_cpu: Callable[[], None] | None = None
    limit: int | None = field(default=None, init=False)

    def run(
        self, batches: Sequence[list[int]], costs: Sequence[int], forward: Callable[[list[int]], T]
    ) -> Iterator[tuple[list[int], T]]:
        """Yields batches, or their halves, with what ``forward`` makes of them.

        Raises:
            UserError: one sequence alone does not fit.
        """
        waiting = list(reversed(batches))
        while waiting:
            batch = waiting.pop()
            size = len(batch) * max(costs[i] for i in batch)
            if len(batch) > 1 and self.limit is not None and size > self.limit:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
                continue
            result = _unless_memory_is_out(forward, batch)
            if result is not None:
                yield batch, result[0]
                continue
            self._shrink(batch, size)
            waiting.append(batch)

    def _shrink(self, batch: list[int], size: int) -> None:
        import torch

        torch.cuda.empty_cache()
        if len(batch) > 1:
            self.limit = size // 2
        elif self.to_cpu is not None:
            self.to_cpu()
            self.to_cpu = None
        else:
            raise UserError(
                f"the GPU's memory does not hold one sequence of {size} tokens; use a smaller max_length or dtype, "
                "another GPU, or allow the CPU to take over"
            )


def _unless_memory_is_out(forward: Callable[[list[int]], T], batch: list[int]) -> tuple[T] | None:
    """The result in a tuple, or None; on return no traceback keeps the tensors of the failed attempt alive."""
    import torch

    try:
        return (forward(batch),)
    except torch.cuda.OutOfMemoryError:
        return None
