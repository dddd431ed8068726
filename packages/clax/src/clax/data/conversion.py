"""Raw logs to Parquet with one row per session, in bounded memory: one pass counts the pairs, a second one writes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir_shared.console import DataWarning, UserError

from clax.data.columns import LongColumns
from clax.data.long import LongFrame
from clax.data.memory import MemorySource
from clax.data.parquet import SessionWriter
from clax.data.raw import PairNumbering, RawLog, number
from clax.data.session_data import SessionData
from clax.data.validation import Counts, Rules, clean
from clax.data.vocabulary import Vocabulary

__all__ = ["Converted", "convert", "read_frame"]


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        sessions_file: one row per session.
        num_pairs: the largest id.
        max_positions: P.
        counts: what the log held.
    """

    sessions_file: Path
    num_pairs: int
    max_positions: int
    counts: Counts


def convert(
    log: RawLog,
    path: str | Path,
    numbering: PairNumbering,
    *,
    max_positions: int,
    binarise_clicks: bool = False,
) -> Converted:
    """Writes a raw log as Parquet.

    Args:
        log: read once.
        path: the file to write.
        numbering: of the query-document pairs.
        max_positions: P; documents below it are cut off and counted.
        binarise_clicks: counts of clicks become 1.

    Raises:
        UserError: see :func:`~clax.data.validation.clean`; or no session has a document.
    """
    rules = _rules(numbering, max_positions, binarise_clicks)
    counts = Counts()
    with SessionWriter(path, _metadata(numbering, max_positions)) as writer:
        for raw in log.chunks():
            sessions, met = clean(number(raw, numbering), rules)
            counts += met
            writer.write(sessions)
    if repairs := counts.repairs():
        warnings.warn(f"{path}: {', '.join(repairs)}", DataWarning, stacklevel=2)
    return Converted(Path(path), numbering.num_pairs, max_positions, counts)


def read_frame(
    frame: Any,
    *,
    columns: LongColumns | None = None,
    vocabulary: Vocabulary | None = None,
    min_count: int = 1,
    max_positions: int | None = None,
    binarise_clicks: bool = False,
    **options: Any,
) -> SessionData:
    """Opens a frame in memory, one row per document shown.

    Args:
        frame: polars, pandas, an Arrow table, or a dictionary of columns.
        columns: their names, where they differ from session, query, document, position and click.
        vocabulary: of the training log, for any other log; by default one is built.
        min_count: pairs shown less often share one id.
        max_positions: P; by default the longest list or the last position.
        binarise_clicks: counts of clicks become 1.
        options: of :class:`SessionData`.

    Raises:
        UserError: the frame cannot be used.
    """
    log = LongFrame(frame, columns or LongColumns())
    vocabulary = vocabulary or Vocabulary.build(log, min_count=min_count)
    sessions = number(next(iter(log.chunks())), vocabulary)
    deepest = int(sessions.lengths.max() if sessions.positions is None else sessions.positions.max())
    if deepest < 1:
        raise UserError("the frame has no position of 1 or more; positions count from 1")
    rules = _rules(vocabulary, max_positions or deepest, binarise_clicks)
    source = MemorySource(clean(sessions, rules)[0], _metadata(vocabulary, rules.max_positions))
    return SessionData.from_source(source, vocabulary=vocabulary, **options)


def _rules(numbering: PairNumbering, max_positions: int, binarise_clicks: bool) -> Rules:
    return Rules(numbering.num_pairs, max_positions, binarise_clicks=binarise_clicks, unknown_id=numbering.unknown_id)


def _metadata(numbering: PairNumbering, max_positions: int) -> dict[str, Any]:
    return {
        "num_pairs": numbering.num_pairs,
        "max_positions": max_positions,
        "unknown_id": numbering.unknown_id,
        "vocabulary": numbering.fingerprint,
    }
