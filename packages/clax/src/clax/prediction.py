"""The relevance that a model found, as a frame and as a file.

Scores are log-probabilities and compare documents of one query. Impressions stand beside them, since a score learned
from ten impressions is not one learned from ten thousand.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from ir_shared.console import DataWarning, UserError
from ir_shared.run_dir import atomic_write
from numpy.typing import NDArray

from clax.batch import Batch, make_batch
from clax.models import ClickModel
from clax.pair_counts import PairCounts
from clax.parameters import Params

if TYPE_CHECKING:
    import polars as pl

    from clax.data.vocabulary import Vocabulary

__all__ = ["relevance_of_lists", "relevance_of_pairs", "write_predictions"]

_CHUNK = 1 << 16


def relevance_of_pairs(
    model: ClickModel,
    params: Params,
    num_pairs: int,
    counts: PairCounts | None = None,
    vocabulary: Vocabulary | None = None,
) -> pl.DataFrame:
    """The relevance of every pair by its id.

    Args:
        model: whose relevance depends on ids only.
        params: its weights.
        num_pairs: the largest id.
        counts: of the training log.
        vocabulary: the pairs' names.

    Returns:
        Columns ``id``, ``query`` and ``document`` (with a vocabulary; null for the id of unknown pairs), ``relevance``,
        ``impressions`` and ``clicks`` (with counts).

    Raises:
        UserError: the model reads features, or the vocabulary is of another size.
    """
    import polars as pl

    _warn_if_constant(model)
    ids = np.arange(1, num_pairs + 1, dtype=np.int32)
    columns: dict[str, object] = {"id": ids}
    if vocabulary is not None:
        if vocabulary.num_pairs != num_pairs:
            raise UserError(f"the vocabulary numbers {vocabulary.num_pairs} pairs, the model has {num_pairs}")
        columns["query"] = vocabulary.pairs["query"].extend_constant(None, 1)
        columns["document"] = vocabulary.pairs["document"].extend_constant(None, 1)
    scores = [s for _, s in _scores(model, params, _single_pairs(ids))]
    columns["relevance"] = np.concatenate(scores)[:num_pairs]
    if counts is not None:
        columns |= {"impressions": counts.impressions[1:], "clicks": counts.clicks[1:]}
    return pl.DataFrame(columns)


def relevance_of_lists(model: ClickModel, params: Params, data: Iterable[Batch]) -> pl.DataFrame:
    """The relevance of every document of every list.

    Args:
        model: any model.
        params: its weights.
        data: batches.

    Returns:
        Columns ``session`` (its number in the data), ``query_id`` (where known), ``id``, ``position``, ``relevance``.
    """
    import polars as pl

    _warn_if_constant(model)
    frames: list[pl.DataFrame] = []
    for batch, scores in _scores(model, params, data):
        rows, _ = np.nonzero(batch.mask)
        columns: dict[str, Any] = {"session": rows + len(frames) * len(batch.mask)}
        if batch.query_ids is not None:
            columns["query_id"] = batch.query_ids[rows]
        columns |= {"id": batch.pair_ids[batch.mask], "position": batch.positions[batch.mask], "relevance": scores}
        frames.append(pl.DataFrame(columns))
    return pl.concat(frames)


def write_predictions(frame: pl.DataFrame, path: Path, tag: str) -> None:
    """Writes a frame by its suffix: ``.parquet``, ``.csv``, ``.tsv``, or ``.run`` for a TREC run.

    Raises:
        UserError: another suffix, or a run without the names of queries and documents.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix in (".csv", ".tsv"):
        atomic_write(path, frame.write_csv(separator="\t" if path.suffix == ".tsv" else ","))
    elif path.suffix == ".run":
        atomic_write(path, _trec_run(frame, tag))
    else:
        raise UserError(f"{path}: name it .parquet, .csv, .tsv or .run")


def _trec_run(frame: pl.DataFrame, tag: str) -> str:
    import polars as pl

    if "document" not in frame.columns:
        raise UserError("a TREC run names queries and documents: give --vocabulary")
    ranked = frame.drop_nulls("document").sort("query", "relevance", "document", descending=[False, True, False])
    rank = pl.int_range(1, pl.len() + 1).over("query")
    columns = [pl.col("query"), pl.lit("Q0").alias("q0"), pl.col("document"), rank.alias("rank")]
    return ranked.select(*columns, pl.col("relevance"), pl.lit(tag).alias("tag")).write_csv(
        separator=" ", include_header=False
    )


def _single_pairs(ids: NDArray[np.int32]) -> Iterator[Batch]:
    """Each pair as a list of one, in batches of one shape; the last is filled with pair 1."""
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        size = _CHUNK if len(ids) > _CHUNK else len(ids)
        yield make_batch(np.pad(part, (0, size - len(part)), constant_values=1)[:, None])


def _scores(model: ClickModel, params: Params, data: Iterable[Batch]) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    relevance = jax.jit(model.relevance)
    for batch in data:
        try:
            model.check(batch)
        except UserError as error:
            if batch.features is None and "features" in str(error):
                raise UserError(f"{error}; give a log with them as --data") from error
            raise
        yield batch, np.asarray(relevance(params, batch))[np.asarray(batch.mask)]


def _warn_if_constant(model: ClickModel) -> None:
    if model.constant_relevance:
        warnings.warn(f"{model.name} gives all documents the same relevance", DataWarning, stacklevel=3)
