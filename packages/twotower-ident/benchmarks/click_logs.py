"""Synthetic Parquet logs of any length for the benchmarks, written in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

POSITIONS = 10
_SESSIONS_EACH = 500_000


def write_log(path: Path, rows: int, *, shuffled: float = 0.3, seed: int = 0) -> None:
    """Pages of ten results, head queries oftener than tail ones, a share of the pages shuffled.

    Args:
        path: Parquet file to write: qid, docid, position, click; no session column.
        rows: about how many; a whole number of pages is written.
        shuffled: share of the pages in random order.
        seed: the same seed gives the same log.
    """
    rng = np.random.default_rng(seed)
    sessions = rows // POSITIONS
    queries = max(sessions // 10, 10)
    schema = pa.schema([("qid", pa.int64()), ("docid", pa.int64()), ("position", pa.int16()), ("click", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, sessions, _SESSIONS_EACH):
            n = min(_SESSIONS_EACH, sessions - start)
            query = (queries * rng.random(n) ** 3).astype(np.int64)
            order = np.argsort(rng.random((n, POSITIONS), dtype=np.float32), axis=1)
            order = np.where(rng.random((n, 1)) < shuffled, order, np.arange(POSITIONS))
            docid = query[:, None] * POSITIONS + order
            quality = ((docid * 2654435761) % 997) / 997 * 3 - 1.5
            logits = quality - np.log(np.arange(1, POSITIONS + 1))
            click = rng.random((n, POSITIONS)) < 1 / (1 + np.exp(-logits))
            frame = pl.DataFrame(
                {
                    "qid": np.repeat(query, POSITIONS),
                    "docid": docid.reshape(-1),
                    "position": np.tile(np.arange(1, POSITIONS + 1, dtype=np.int16), n),
                    "click": click.reshape(-1).astype(np.int8),
                }
            )
            writer.write_table(frame.to_arrow().cast(schema))
