"""The draws behind the bootstrap and the permutation test, in pieces of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ir_shared.console import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["flip_patterns", "resampled_means"]

_DRAWS_AT_ONCE = 2**21
"""Numbers drawn at a time, which bounds memory near 50 MB."""


def resampled_means(sample: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """The means of ``resamples`` samples drawn from ``sample`` with replacement, each as large as it."""
    import numpy as np

    rng = np.random.default_rng(seed)
    n = len(sample)
    return np.concatenate([sample[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in _pieces(resamples, n)])


def flip_patterns(n: int, patterns: int, seed: int | None) -> Iterator[NDArray[np.int64]]:
    """Rows of n zeros and ones: all 2^n = ``patterns`` of them where there is no seed, else a sample, in pieces."""
    import numpy as np

    if seed is None:
        yield np.arange(patterns)[:, None] >> np.arange(n) & 1
        return
    rng = np.random.default_rng(seed)
    for rows in _pieces(patterns, n):
        yield rng.integers(0, 2, (rows, n))


def _pieces(total: int, width: int) -> list[int]:
    """Splits ``total`` rows of ``width`` numbers into pieces of bounded size."""
    if total < 1:
        raise UserError(f"resamples {total}: give at least 1")
    rows = max(1, _DRAWS_AT_ONCE // width)
    return [min(rows, total - start) for start in range(0, total, rows)]
