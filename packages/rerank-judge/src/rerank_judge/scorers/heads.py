"""A few rows of a model's head instead of all, and the hidden state that they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["float_rows", "last_hidden", "log_odds"]


def float_rows(head: Any, rows: Sequence[int]) -> Any:
    """Rows of a linear head as a module of its own: hidden states [..., d] to logits [..., rows].

    They are computed in float32 whatever the model's dtype: two bfloat16 logits near 16 differ in steps of 1/8, which
    would tie most scores.
    """
    import torch

    skip_init: Any = torch.nn.utils.skip_init  # its signature carries no types
    few = skip_init(
        torch.nn.Linear,
        head.weight.shape[1],
        len(rows),
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=torch.float32,
    )
    with torch.no_grad():
        few.weight.copy_(head.weight[list(rows)])
        if head.bias is not None:
            few.bias.copy_(head.bias[list(rows)])
    few.register_forward_pre_hook(lambda rows, inputs: (inputs[0].to(rows.weight.dtype),))
    return few.requires_grad_(False)


def last_hidden(model: Any, batch: Mapping[str, Any], lengths: Sequence[int]) -> Any:
    """Hidden states [batch, d] of a decoder at the last token of each sequence of a batch padded on the right."""
    import torch

    hidden = model.base_model(**batch, use_cache=False).last_hidden_state
    last = torch.tensor(lengths, device=hidden.device) - 1
    return hidden[torch.arange(len(lengths), device=hidden.device), last]


def log_odds(logits: Any) -> list[float]:
    """z_true - z_false in float64 from logits of shape [batch, 2]; the probability is the sigmoid of it."""
    both = logits.double()
    return list(map(float, (both[:, 0] - both[:, 1]).tolist()))
