"""Fixtures that several files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ir_shared.testing import Outcome, call, check_shapes

# Before the first import of the package.
check_shapes(Path(__file__).parents[1] / "src")

from twotower_ident.cells import CellTable  # noqa: E402
from twotower_ident.cli import app  # noqa: E402


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line as a shell would see it: exit code, stdout, stderr."""

    return lambda *arguments: call(app, arguments, capsys)


@pytest.fixture(scope="session")
def as_log() -> Callable[[CellTable], pl.DataFrame]:
    """Cells as aggregated rows with names, as a file of a log would hold them."""

    def convert(cells: CellTable) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "qid": cells.pair_query[cells.pair],
                "docid": cells.pair,
                "position": cells.position,
                "impressions": cells.impressions,
                "clicks": cells.clicks,
            }
        )

    return convert


@pytest.fixture(scope="session")
def impressions() -> pl.DataFrame:
    """A log of 6,000 sessions with six documents each, a third of the pages shuffled, and its features."""
    rng = np.random.default_rng(5)
    n, k, queries = 6000, 6, 60
    query = rng.integers(0, queries, n)
    order = np.where(rng.random((n, 1)) < 1 / 3, rng.permuted(np.tile(np.arange(k), (n, 1)), axis=1), np.arange(k))
    feature = rng.standard_normal((queries, k, 3))
    relevance = feature @ np.array([1.0, -0.5, 0.2])
    logits = np.take_along_axis(relevance[query], order, axis=1) - np.log(np.arange(1, k + 1))
    click = rng.random((n, k)) < 1 / (1 + np.exp(-logits))
    shown = np.take_along_axis(feature[query], order[:, :, None], axis=1).reshape(-1, 3)
    return pl.DataFrame(
        {
            "session": np.repeat(np.arange(n), k),
            "qid": [f"q{q}" for q in np.repeat(query, k)],
            "docid": [f"q{q}-d{d}" for q, d in zip(np.repeat(query, k), order.reshape(-1), strict=True)],
            "position": np.tile(np.arange(1, k + 1), n),
            "click": click.reshape(-1).astype(np.int8),
            **{f"f{j}": shown[:, j] for j in range(3)},
        }
    )
