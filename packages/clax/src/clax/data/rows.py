"""Padded rows on their way to batches: padding, shuffling within a bounded buffer, cutting to one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clax.batch import Batch, pad_batch
from clax.data.parquet import Unit
from clax.data.sessions import Sessions, pad_ragged

__all__ = ["concatenate", "cut", "shuffled", "to_rows", "to_sessions", "unit_order"]


def to_rows(sessions: Sessions, width: int) -> Batch:
    """Clean sessions as a batch of their number.

    Documents without ids (a log with features only) all get id 1.

    Args:
        sessions: see :func:`~clax.data.validation.clean`.
        width: P.
    """
    lengths = sessions.lengths
    place = np.arange(1, width + 1, dtype=np.int32)
    mask = place <= lengths[:, None]

    def padded(values: NDArray[np.generic] | None) -> NDArray[np.generic] | None:
        return None if values is None else pad_ragged(values, lengths, width)

    ids, positions = padded(sessions.pair_ids), padded(sessions.positions)
    return Batch(
        pair_ids=mask.astype(np.int32) if ids is None else ids,
        positions=mask * place if positions is None else positions,
        clicks=padded(sessions.clicks),
        mask=mask,
        features=padded(sessions.features),
        bias_features=padded(sessions.bias_features),
        labels=padded(sessions.labels),
        query_ids=sessions.query_ids,
    )


def unit_order(units: Sequence[Unit], start: int, stop: int, shuffle: int | None, epoch: int) -> list[Unit]:
    """The runs of rows that meet a window: in the order of the log, or in one given by seed and epoch."""
    met = [unit for unit in units if unit.start < stop and unit.stop > start]
    if shuffle is None:
        return met
    return [met[i] for i in np.random.default_rng((shuffle, epoch)).permutation(len(met))]


def shuffled(parts: Iterator[Batch], seed: tuple[int, int], buffer_bytes: int) -> Iterator[Batch]:
    """Collects rows until the buffer is full, and yields them in random order.

    Args:
        parts: batches of any sizes.
        seed: of the order: a number and the epoch.
        buffer_bytes: how much to collect.
    """
    random = np.random.default_rng((*seed, 1))
    held: list[Batch] = []
    size = 0
    for part in parts:
        held.append(part)
        size += sum(x.nbytes for x in part if x is not None)
        if size >= buffer_bytes:
            yield _permuted(held, random)
            held, size = [], 0
    if held:
        yield _permuted(held, random)


def cut(parts: Iterator[Batch], size: int) -> Iterator[Batch]:
    """Cuts rows into batches of one size, views wherever possible; the last is filled with empty sessions."""
    rest: list[Batch] = []
    waiting = 0
    for part in parts:
        n, start = len(part.mask), 0
        while waiting + n - start >= size:
            stop = start + size - waiting
            yield concatenate([*rest, _rows(part, slice(start, stop))])
            rest, waiting, start = [], 0, stop
        if start < n:
            rest.append(_rows(part, slice(start, n)))
            waiting += n - start
    if rest:
        yield pad_batch(concatenate(rest), size)


def concatenate(parts: Sequence[Batch]) -> Batch:
    """Batches one after the other; a single one is passed on as it is."""
    if len(parts) == 1:
        return parts[0]
    return Batch(*(None if column[0] is None else np.concatenate(column) for column in zip(*parts, strict=True)))


def _permuted(held: list[Batch], random: np.random.Generator) -> Batch:
    whole = concatenate(held)
    order = random.permutation(len(whole.mask))
    # take() copies whole rows, several times faster than indexing does.
    return Batch(*(x if x is None else np.take(x, order, axis=0) for x in whole))


def _rows(batch: Batch, rows: slice) -> Batch:
    return Batch(*(x if x is None else x[rows] for x in batch))


def to_sessions(batch: Batch) -> Sessions:
    """The valid ranks of a batch on the host as ragged sessions, the inverse of :func:`to_rows`."""
    mask = np.asarray(batch.mask)

    def flat(values: Any) -> Any:
        return None if values is None else np.asarray(values)[mask]

    positions = np.asarray(batch.positions)
    in_order = (positions == np.cumsum(mask, axis=1))[mask].all()
    return Sessions(
        offsets=np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64),
        clicks=np.asarray(batch.clicks)[mask],
        pair_ids=flat(batch.pair_ids),
        positions=None if in_order else positions[mask],
        features=flat(batch.features),
        bias_features=flat(batch.bias_features),
        labels=flat(batch.labels),
        query_ids=None if batch.query_ids is None else np.asarray(batch.query_ids),
    )
