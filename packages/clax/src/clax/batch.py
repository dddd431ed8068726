"""One fixed-shape batch of sessions, what may be derived from it, and batches from arrays in memory.

A data set is any re-iterable of :class:`Batch`. If it has a method ``set_epoch(epoch)``, training calls it before each
epoch: shuffling must depend on nothing but a seed and that number, so that a resumed run sees the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Int

__all__ = ["ArrayBatches", "Batch", "batches", "last_click_positions", "make_batch", "pad_batch"]


class Batch(NamedTuple):
    """B sessions of at most P ranks; a pytree. Hidden ranks may lie anywhere in the list.

    Attributes:
        pair_ids: int32 [B, P], the query-document pair, 1..num_pairs; 0 = padding.
        positions: int32 [B, P], where it was shown, 1..P, ascending over the valid ranks; 0 = padding.
        clicks: bool [B, P].
        mask: bool [B, P], false where the rank is padding or hidden.
        features: float32 [B, P, F], of the query-document pair.
        bias_features: float32 [B, P, G], of the presentation.
        labels: float32 [B, P], judgements, for ranking metrics.
        query_ids: int32 [B].
        weights: float32 [B, P], how often each rank counts; None = once. Set by exact aggregation.
        last_clicks: int32 [B, P], the position of the last click above each rank; None = derived from the clicks.
    """

    pair_ids: Any
    positions: Any
    clicks: Any
    mask: Any
    features: Any = None
    bias_features: Any = None
    labels: Any = None
    query_ids: Any = None
    weights: Any = None
    last_clicks: Any = None


_DTYPES = Batch(
    np.int32, np.int32, np.bool_, np.bool_, np.float32, np.float32, np.float32, np.int32, np.float32, np.int32
)


def make_batch(pair_ids: Any, *, clicks: Any = None, positions: Any = None, mask: Any = None, **others: Any) -> Batch:
    """A batch on the host with the right types and the usual defaults.

    Args:
        pair_ids: [B, P].
        clicks: [B, P]; none by default.
        positions: [B, P]; 1..P by default.
        mask: [B, P]; by default every rank with a pair is valid.
        others: further fields of :class:`Batch`; features at hidden ranks become 0, whatever they are.

    Raises:
        UserError: a click is neither 0 nor 1 or on a hidden rank, valid positions do not ascend from 1, or a column has
            another shape.
    """
    pair_ids = np.asarray(pair_ids)
    mask = pair_ids > 0 if mask is None else np.asarray(mask, bool)
    if positions is None:
        positions = np.where(mask, np.arange(1, pair_ids.shape[1] + 1), 0)
    clicks = np.zeros(pair_ids.shape, bool) if clicks is None else np.asarray(clicks)
    odd = clicks[(clicks != 0) & (clicks != 1)]
    if odd.size:
        raise UserError(f"clicks must be 0 or 1, but one is {odd[0]}; count a document as clicked or not first")
    batch = Batch(pair_ids, positions, clicks, mask, **others)
    batch = Batch(*(x if x is None else np.asarray(x, dtype) for x, dtype in zip(batch, _DTYPES, strict=True)))
    _check(batch)
    # A NaN that no likelihood reads would still spoil gradients, as 0 times NaN.
    vectors = {name: x for name in ("features", "bias_features") if (x := getattr(batch, name)) is not None}
    return batch._replace(**{name: np.where(mask[..., None], x, 0) for name, x in vectors.items()})


def _check(batch: Batch) -> None:
    shape = batch.pair_ids.shape
    for name, column in zip(batch._fields, batch, strict=True):
        wanted = shape[:1] if name == "query_ids" else shape
        if column is not None and column.shape[: len(wanted)] != wanted:
            raise UserError(f"{name} have the shape {column.shape}, but pair_ids {shape}")
    _refuse_row(batch.clicks & ~batch.mask, "click on a masked rank; a hidden document cannot be clicked")
    shown = np.where(batch.mask, batch.positions, 0)
    above = np.pad(np.maximum.accumulate(shown, 1)[:, :-1], ((0, 0), (1, 0)))
    _refuse_row(
        batch.mask & (shown <= above), "positions must ascend from 1; sort the session, and give each rank once"
    )


def _refuse_row(bad: np.ndarray, why: str) -> None:
    rows = np.flatnonzero(bad.any(1))
    if len(rows):
        raise UserError(f"session {rows[0]}: {why}")


def pad_batch(batch: Batch, rows: int) -> Batch:
    """The batch with empty sessions (mask false) appended until it has so many rows; on the host."""
    missing = rows - len(batch.mask)
    if missing <= 0:
        return batch

    def padded(x: Any) -> Any:
        return x if x is None else np.pad(np.asarray(x), [(0, missing)] + [(0, 0)] * (np.ndim(x) - 1))

    return Batch(*(padded(x) for x in batch))


def last_click_positions(batch: Batch) -> Int[jax.Array, "sessions ranks"]:
    """The position of the last click above each rank, 0 where there is none; int32 [B, P].

    An exclusive running maximum over the valid ranks, whose positions ascend.
    """
    if batch.last_clicks is not None:
        return jnp.asarray(batch.last_clicks)
    clicked = jnp.where(batch.clicks & batch.mask, batch.positions, 0)
    running = jax.lax.cummax(clicked, axis=1)
    return jnp.pad(running[:, :-1], ((0, 0), (1, 0)))


@dataclass
class ArrayBatches:
    """A re-iterable of equally shaped batches cut from arrays in memory; see :func:`batches`.

    Attributes:
        arrays: all sessions as one batch of NumPy arrays.
        batch_size: sessions per batch.
        shuffle: the seed of the shuffling; None keeps the order.
        num_documents: valid ranks in total.
    """

    arrays: Batch
    batch_size: int
    shuffle: int | None = None
    num_documents: int = field(init=False)
    _epoch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        weights = self.arrays.weights
        self.num_documents = int(self.arrays.mask.sum() if weights is None else weights[self.arrays.mask].sum())

    def __len__(self) -> int:
        """How many batches."""
        return -(-len(self.arrays.mask) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the sessions, a function of the seed and this number."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches; the last one is padded with empty sessions."""
        n = len(self.arrays.mask)
        order = None if self.shuffle is None else np.random.default_rng((self.shuffle, self._epoch)).permutation(n)
        for start in range(0, n, self.batch_size):
            stop = min(start + self.batch_size, n)
            rows = slice(start, stop) if order is None else order[start:stop]
            part = Batch(*(x if x is None else x[rows] for x in self.arrays))
            yield pad_batch(part, self.batch_size)


def batches(arrays: Batch, batch_size: int, *, shuffle: int | None = None) -> ArrayBatches:
    """Cuts sessions in memory into batches of one shape, the last padded with empty sessions.

    Args:
        arrays: all sessions.
        batch_size: sessions per batch.
        shuffle: seed of a new order in each epoch; None keeps the order.

    Raises:
        UserError: there is no session, or the batch size is not positive.
    """
    if len(arrays.mask) == 0:
        raise UserError("there are no sessions to cut into batches")
    if batch_size < 1:
        raise UserError(f"batch size {batch_size}: must be at least 1")
    return ArrayBatches(arrays, batch_size, shuffle)
