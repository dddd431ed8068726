"""The lines of a score store: the judge's card, then one short JSON array for each pair."""

from __future__ import annotations

import gc
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ir_shared.console import UserError
from ir_shared.trec import TrecFormatError

from rerank_judge.scorers.base import Pair, ScoredPair

__all__ = ["FORMAT", "Row", "Rows", "checksum", "header_line", "load_rows", "row_line", "row_of", "scored_pair"]

FORMAT = "rerank-judge scores 1"
_CHUNK = 20_000
"""Lines that are parsed in one go; far fewer or far more is slower."""

Row: TypeAlias = list[Any]
"""``[qid, docid, score, status, check]`` and the trace where it was asked for; the score is None without an answer."""

Rows: TypeAlias = dict[str, dict[str, Row]]
"""Row by qid and docid."""


def load_rows(path: Path) -> tuple[dict[str, Any] | None, Rows, int]:
    """Reads a store.

    Returns:
        The card, None if not even that was written whole; the rows; and where the last complete line ends, in bytes.

    Raises:
        UserError: the file cannot be read, or a complete line is broken.
    """
    try:
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        lines = data[:end].decode().split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a score store ({error})") from error
    if not lines:
        if not b'{"format":'.startswith(data[:10]):
            raise UserError(f"{path}: is no score store; choose another file")
        return None, {}, 0
    card = _card(path, lines[0])
    rows: Rows = {}
    with _no_garbage_collection():
        for start in range(1, len(lines), _CHUNK):
            _add_rows(rows, path, start, lines[start : start + _CHUNK])
    return card, rows, end


def _card(path: Path, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
        if header["format"] == FORMAT:
            return dict(header["card"])
    except (ValueError, KeyError, TypeError):
        pass
    raise TrecFormatError(path, 1, line, f"is no score store of format {FORMAT!r}; choose another file")


def _add_rows(rows: Rows, path: Path, start: int, lines: Sequence[str]) -> None:
    try:
        # One call for many lines: a call for each would take most of the time.
        parsed = json.loads(f"[{','.join(lines)}]")
        for row in parsed:
            qid, docid, _, _, _, *_ = row
            docs = rows.get(qid)
            if docs is None:
                docs = rows[qid] = {}
            docs[docid] = row
        if len(parsed) == len(lines):
            return
    except (ValueError, TypeError):
        pass
    _report(path, start, lines)


def _report(path: Path, start: int, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines, start=start + 1):
        try:
            qid, docid, _, _, _, *_ = json.loads(line)
            {qid, docid}  # noqa: B018 - they must be hashable
        except (ValueError, TypeError):
            raise TrecFormatError(path, number, line, "is no row [qid, docid, score, status, check]") from None


def header_line(card: Mapping[str, Any]) -> str:
    """The first line of a store."""
    return row_line({"format": FORMAT, "card": card})


def row_line(value: object) -> str:
    """A value on a line of its own; scores round-trip exactly, and ASCII holds even what UTF-8 cannot."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"


def row_of(pair: Pair, scored: ScoredPair, traces: bool) -> Row:
    """The row of a scored pair, with its trace if there is one and it is wanted."""
    score = scored.score if math.isfinite(scored.score) else None
    row = [scored.qid, scored.docid, score, scored.status, checksum(pair)]
    return [*row, scored.trace] if traces and scored.trace is not None else row


def scored_pair(row: Row) -> ScoredPair:
    """The scored pair of a row."""
    qid, docid, score, status, _, *trace = row
    return ScoredPair(qid, docid, math.nan if score is None else score, status, *trace)


def checksum(pair: Pair) -> int:
    """Tells whether a pair still has the texts that it was scored with."""
    return zlib.crc32("\0".join((pair.query, pair.title, pair.text)).encode("utf-8", "surrogatepass"))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of new lists, none of them garbage, would be searched over and over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
