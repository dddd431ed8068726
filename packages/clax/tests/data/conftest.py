"""Small logs for the tests of the data layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clax.data import Sessions, SessionWriter

Lists = Sequence[Sequence[Any]]


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns of lists as a Parquet file, as other people would."""

    def write(
        ids: Lists | None = None, clicks: Lists | None = None, *, name: str = "log", group: int = 1000, **more: Any
    ) -> Path:
        columns = {"query_doc_ids": ids, "clicks": clicks, **more}
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({n: v for n, v in columns.items() if v is not None}), path, row_group_size=group)
        return path

    return write


@pytest.fixture(scope="session")
def big_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300,000 sessions of 0 to 10 documents in three row groups; the query id of session i is i."""
    path = tmp_path_factory.mktemp("big") / "sessions.parquet"
    random = np.random.default_rng(0)
    with SessionWriter(path, {"num_pairs": 5000, "max_positions": 10}) as writer:
        for start in range(0, 300_000, 50_000):
            offsets = np.concatenate([[0], np.cumsum(random.integers(0, 11, 50_000))])
            sessions = Sessions(
                offsets=offsets,
                clicks=random.random(offsets[-1]) < 0.2,
                pair_ids=random.integers(1, 5001, offsets[-1]).astype(np.int32),
                query_ids=np.arange(start, start + 50_000, dtype=np.int32),
            )
            writer.write(sessions)
    return path
