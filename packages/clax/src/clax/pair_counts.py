"""How often each pair was shown and clicked in training, which a fitted model alone does not tell.

A relevance learned from 100 impressions is not one learned from 10,000, and a pair never shown has none at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from clax.batch import Batch

__all__ = ["CountedData", "PairCounts", "load_pair_counts"]


@dataclass(frozen=True)
class PairCounts:
    """Counts by pair id; index 0 is padding.

    Attributes:
        impressions: int32 [num_pairs + 1].
        clicks: int32 [num_pairs + 1].
    """

    impressions: NDArray[np.int32]
    clicks: NDArray[np.int32]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which pairs were shown at all."""
        return self.impressions > 0

    def save(self, path: str | Path) -> None:
        """Writes both columns as safetensors."""
        atomic_write(path, save({"impressions": self.impressions, "clicks": self.clicks}))


def load_pair_counts(path: str | Path) -> PairCounts | None:
    """Reads what :meth:`PairCounts.save` wrote; None if there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    if not Path(path).exists():
        return None
    try:
        return PairCounts(**load_file(path))
    except (SafetensorError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); fit again") from error


@dataclass
class CountedData:
    """Passes batches on, and counts their pairs during the first complete pass.

    Attributes:
        data: any re-iterable of batches.
        num_pairs: the largest id.
        counts: None before the first pass is complete.
    """

    data: Iterable[Batch]
    num_pairs: int
    counts: PairCounts | None = field(default=None, init=False)

    def set_epoch(self, epoch: int) -> None:
        """Passed on."""
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def __iter__(self) -> Iterator[Batch]:
        """The batches."""
        if self.counts is not None:
            yield from self.data
            return
        shown, clicked = (np.zeros(self.num_pairs + 1, np.int32) for _ in range(2))
        for batch in self.data:
            ids = batch.pair_ids[batch.mask]
            # Not bincount: its result is as long as the table, for every batch.
            np.add.at(shown, ids, 1)
            np.add.at(clicked, batch.pair_ids[batch.mask & batch.clicks], 1)
            yield batch
        self.counts = PairCounts(shown, clicked)
