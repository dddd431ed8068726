"""Exact aggregation: a log as counts of distinct (pair, position, last click, clicked) cells.

The likelihoods of the click-through-rate models, PBM and UBM depend on the log only through these counts. A log shrinks
to as many one-rank "sessions" as there are distinct cells, each with a weight; every function of this package that
takes batches takes these too, for those models.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.batch import Batch, make_batch
from clax.models.base import ClickModel

__all__ = ["aggregate"]

_BITS = 10
_POSITIONS = 1 << _BITS
_PENDING = 1 << 23
"""Keys held back before they are merged, which bounds memory: 64 MiB and the distinct cells."""

_Counts = tuple[NDArray[np.int64], NDArray[np.float64]]


def aggregate(data: Iterable[Batch], columns: ClickModel | tuple[str, ...]) -> Batch:
    """Counts the distinct cells of a log in one streaming pass.

    Args:
        data: batches of sessions (or of cells).
        columns: the model to be trained, or which of ``pair_ids``, ``positions`` and ``last_clicks`` to keep apart.

    Returns:
        N cells as a batch [N, 1] with ``weights``; columns that are not kept apart are 1 (pairs, positions) or 0 (last
        clicks). Features and labels are gone.

    Raises:
        UserError: the model needs whole sessions, the log holds no valid rank, or a position is above 1023.
    """
    key = columns.cell_key if isinstance(columns, ClickModel) else columns
    if key is None:
        raise UserError(f"{getattr(columns, 'name', columns)} needs whole sessions: its log cannot be aggregated")
    merged: _Counts = (np.empty(0, np.int64), np.empty(0))
    pending: list[_Counts] = []
    for batch in data:
        pending.append(_count(batch, key))
        if sum(len(keys) for keys, _ in pending) > _PENDING:
            merged, pending = _merge([merged, *pending]), []
    keys, counts = _merge([merged, *pending])
    if not len(keys):
        raise UserError("the log holds no session with a valid rank")
    return _cells(keys, counts)


def _count(batch: Batch, key: tuple[str, ...]) -> _Counts:
    mask = np.asarray(batch.mask)
    positions = np.asarray(batch.positions)
    if positions.size and positions.max() >= _POSITIONS:
        raise UserError(f"position {positions.max()}: aggregation takes positions up to {_POSITIONS - 1}")
    columns = {"pair_ids": np.asarray(batch.pair_ids), "positions": positions}
    if "last_clicks" in key:
        columns["last_clicks"] = _last_clicks(batch)
    packed = np.where("pair_ids" in key, columns["pair_ids"], 1)[mask].astype(np.int64)
    packed = packed << _BITS | (positions[mask] if "positions" in key else 1)
    packed = packed << _BITS | (columns["last_clicks"][mask] if "last_clicks" in key else 0)
    packed = packed << 1 | np.asarray(batch.clicks)[mask]
    if batch.weights is not None:
        return _merge([(packed, np.asarray(batch.weights)[mask].astype(float))])
    keys, counts = np.unique(packed, return_counts=True)
    return keys, counts.astype(float)


def _last_clicks(batch: Batch) -> NDArray[np.int32]:
    if batch.last_clicks is not None:
        return np.asarray(batch.last_clicks)
    clicked = np.where(np.asarray(batch.clicks) & np.asarray(batch.mask), np.asarray(batch.positions), 0)
    running = np.maximum.accumulate(clicked, axis=1)
    return np.pad(running[:, :-1], ((0, 0), (1, 0)))


def _merge(parts: list[_Counts]) -> _Counts:
    keys, places = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
    counts = np.bincount(places, np.concatenate([counts for _, counts in parts]), minlength=len(keys))
    return keys, counts.astype(float)


def _cells(keys: NDArray[np.int64], counts: NDArray[np.float64]) -> Batch:
    low = _POSITIONS - 1
    return make_batch(
        (keys >> (2 * _BITS + 1))[:, None],
        positions=(keys >> (_BITS + 1) & low)[:, None],
        clicks=(keys & 1)[:, None],
        mask=np.ones((len(keys), 1), bool),
        weights=counts[:, None],
        last_clicks=(keys >> 1 & low)[:, None],
    )
