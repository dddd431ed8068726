"""The two Parquet layouts of the Baidu-ULTR log.

The preprocessed log has one row per session with ids hashed to 31 bits, no positions, and needs compressed tables
(:class:`~clax.parameters.HashedTable`). The annotated subset (UVA) has a vector per document, and no ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clax.data.columns import Columns
from clax.data.session_data import SessionData

__all__ = ["read_baidu_annotations", "read_baidu_ultr", "read_baidu_uva"]

_HASH_SLOTS = 2**31 - 1
_MAX_POSITIONS = 22

Paths = str | Path | Sequence[str | Path]


def read_baidu_ultr(paths: Paths, *, max_positions: int = _MAX_POSITIONS, **options: Any) -> SessionData:
    """The preprocessed log, ``part-*.parquet``.

    Its ids are the slots 0 to 2^31 - 2 of a hash function, so that a real document may have 0: all are raised by one.

    Args:
        paths: files, folders or patterns.
        max_positions: P.
        options: of :class:`SessionData`.
    """
    return SessionData.from_parquet(
        paths,
        max_positions=max_positions,
        num_pairs=_HASH_SLOTS,
        columns=Columns(features=None, bias_features=None),
        zero_based=True,
        **options,
    )


def read_baidu_uva(paths: Paths, *, max_positions: int = 10, **options: Any) -> SessionData:
    """The clicks of the annotated subset, ``part-*_split-*.parquet``: positions and 768 features per document.

    Args:
        paths: files, folders or patterns.
        max_positions: P.
        options: of :class:`SessionData`; ``columns`` may name columns for ``bias_features``.
    """
    options.setdefault("columns", Columns(pair_ids=None))
    return SessionData.from_parquet(paths, max_positions=max_positions, **options)


def read_baidu_annotations(path: Paths, *, max_positions: int, **options: Any) -> SessionData:
    """The judgements of the subset, ``annotations.parquet``: features and labels, no clicks.

    Args:
        path: the file.
        max_positions: the longest list; longer ones are cut off and counted.
        options: of :class:`SessionData`.
    """
    return SessionData.from_parquet(
        path, max_positions=max_positions, columns=Columns(pair_ids=None, clicks=None), **options
    )
