"""The text log of the Yandex relevance prediction challenge (WSCD 2012), parsed by array operations.

Two kinds of line, separated by tabs: a query ``SessionID Time Q QueryID RegionID URLID ...`` with the URLs in the
order shown, and a click ``SessionID Time C URLID``. A click belongs to the latest query of the same SessionID; a click
on a URL which that query did not show is dropped. Here every query line is a session of its own; the region is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.data.raw import RawSessions

__all__ = ["YandexJudgements", "YandexLog"]

Ints = NDArray[np.int64]

_BLOCK_BYTES = 1 << 24
_TAB, _NEWLINE, _QUERY, _CLICK, _ZERO = b"\t"[0], b"\n"[0], b"Q"[0], b"C"[0], b"0"[0]
_MOST_DIGITS = 18
_QUERY_FIELDS, _CLICK_FIELDS = 5, 4


@dataclass
class YandexLog:
    """A log file, plain or compressed (by its suffix), read a block at a time.

    Attributes:
        path: the file.
        dropped_clicks: clicks without a query or on a URL that was not shown, in the last complete pass.
    """

    path: Path
    dropped_clicks: int = field(default=0, init=False)

    def chunks(self) -> Iterator[RawSessions]:
        """The query lines with their clicks.

        Raises:
            UserError: with the line: not a query or click line, or a field that is no whole number.
        """
        dropped = 0
        for block, line in _blocks(self.path):
            sessions, lost = _parse(block, str(self.path), line)
            dropped += lost
            if len(sessions.queries):
                yield sessions
        self.dropped_clicks = dropped


@dataclass(frozen=True)
class YandexJudgements:
    """The judgements ``QueryID RegionID URLID label``, as one list without clicks for each query.

    Attributes:
        path: the file.
    """

    path: Path

    def chunks(self) -> Iterator[RawSessions]:
        """All queries; where regions disagree on a pair, its highest label holds."""
        data = np.frombuffer(_read_all(self.path), np.uint8)
        fields = _Fields(data, str(self.path), 1)
        fields.require(fields.per_line == 4, "a judgement has 4 fields: query, region, URL, label")
        columns = fields.numbers(np.arange(len(fields.starts))).reshape(-1, 4)
        order = np.lexsort((-columns[:, 3], columns[:, 2], columns[:, 0]))
        query, _, url, label = columns[order].T
        first = np.r_[True, (query[1:] != query[:-1]) | (url[1:] != url[:-1])]
        query, url, label = query[first], url[first], label[first]
        starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]])
        offsets = np.r_[starts, len(query)].astype(np.int64)
        yield RawSessions(
            offsets,
            pa.array(query[starts]),
            pa.array(url),
            np.zeros(len(url), bool),
            None,
            label.astype(np.float32),
            str(self.path),
            order[first][starts] + 1,
        )


class _Fields:
    """Where the fields of a block of lines are, and their values."""

    def __init__(self, data: NDArray[np.uint8], file: str, first_line: int) -> None:
        self.data, self.file, self.first_line = data, file, first_line
        ends = np.flatnonzero((data == _TAB) | (data == _NEWLINE))
        self.starts = np.r_[0, ends[:-1] + 1]
        # Lines may end with a carriage return too.
        self.lengths = ends - self.starts - ((ends > 0) & (data[ends - 1] == b"\r"[0]))
        last = np.flatnonzero(data[ends] == _NEWLINE)
        self.first = np.r_[0, last[:-1] + 1]
        self.per_line = last - self.first + 1

    def require(self, good: NDArray[np.bool_], rule: str) -> None:
        """Raises UserError for the first line that breaks a rule."""
        if not good.all():
            raise UserError(f"{self.file}:{self.first_line + int(np.argmin(good))}: {rule}")

    def numbers(self, which: Ints) -> Ints:
        """The whole numbers in some fields."""
        starts, lengths = self.starts[which], self.lengths[which]
        good = (lengths > 0) & (lengths <= _MOST_DIGITS)
        values = np.zeros(len(which), np.int64)
        for digit in range(int(lengths.max(initial=0)) if good.all() else 0):
            here = lengths > digit
            character = self.data[np.where(here, starts + digit, 0)].astype(np.int64) - _ZERO
            good &= ~here | ((character >= 0) & (character <= 9))
            values = np.where(here, values * 10 + character, values)
        if not good.all():
            at = which[int(np.argmin(good))]
            text = self.data[self.starts[at] : self.starts[at] + self.lengths[at]].tobytes().decode(errors="replace")
            line = int(np.searchsorted(self.first, at, side="right")) - 1
            raise UserError(f"{self.file}:{self.first_line + line}: {text!r} is not a whole number")
        return values


def _parse(data: NDArray[np.uint8], file: str, first_line: int) -> tuple[RawSessions, int]:
    """The sessions of a block of whole lines, and how many clicks were dropped."""
    fields = _Fields(data, file, first_line)
    fields.require(fields.per_line >= _CLICK_FIELDS, "a line has at least 4 fields, separated by tabs")
    kind = data[fields.starts[fields.first + 2]]
    single = fields.lengths[fields.first + 2] == 1
    is_query, is_click = single & (kind == _QUERY), single & (kind == _CLICK)
    fields.require(is_query | is_click, "the third field is Q or C")
    fields.require(~is_query | (fields.per_line >= _QUERY_FIELDS), "a query line has at least 5 fields")
    fields.require(~is_click | (fields.per_line == _CLICK_FIELDS), "a click line has 4 fields")
    query_lines, click_lines = np.flatnonzero(is_query), np.flatnonzero(is_click)
    lengths = fields.per_line[query_lines] - _QUERY_FIELDS
    offsets = np.r_[0, np.cumsum(lengths)]
    begin = fields.first[query_lines] + _QUERY_FIELDS
    urls = fields.numbers(np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths))
    session = fields.numbers(fields.first)
    clicked = fields.numbers(fields.first[click_lines] + 3)
    owner = np.cumsum(is_query)[click_lines] - 1
    valid = owner >= 0
    valid[valid] = session[click_lines][valid] == session[query_lines][owner[valid]]
    clicks = _clicked_documents(offsets, urls, owner[valid], clicked[valid])
    raw = RawSessions(
        offsets,
        pa.array(fields.numbers(fields.first[query_lines] + 3)),
        pa.array(urls),
        clicks.any_click,
        None,
        None,
        file,
        first_line + query_lines,
    )
    return raw, int(np.count_nonzero(~valid)) + clicks.missed


@dataclass(frozen=True)
class _Clicks:
    any_click: NDArray[np.bool_]
    missed: int


def _clicked_documents(offsets: Ints, urls: Ints, owner: Ints, clicked: Ints) -> _Clicks:
    """Finds each click's URL in the list of its query; of a URL shown twice, the first is clicked."""
    found = np.zeros(len(urls), bool)
    open_ = np.ones(len(owner), bool)
    for rank in range(int(np.diff(offsets).max(initial=0))):
        at = offsets[owner] + rank
        here = open_ & (at < offsets[owner + 1])
        hit = np.flatnonzero(here)[urls[at[here]] == clicked[here]]
        found[at[hit]] = True
        open_[hit] = False
    return _Clicks(found, int(np.count_nonzero(open_)))


def _blocks(path: Path) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Blocks of whole lines that start with a query line (but the first may not), and their first line's number."""
    rest, line = b"", 1
    with _open(path) as stream:
        while True:
            try:
                read = stream.read(_BLOCK_BYTES)
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{path}: cannot be read ({error})") from error
            data = rest + read
            if not read:
                break
            # A query line's third field is the only Q, so that the last one marks where the last session starts.
            cut = data.rfind(b"\n", 0, max(0, data.rfind(b"\tQ\t"))) + 1
            if cut:
                yield np.frombuffer(data[:cut], np.uint8), line
                line += data.count(b"\n", 0, cut)
            rest = data[cut:]
    if data:
        yield np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8), line


def _read_all(path: Path) -> bytes:
    with _open(path) as stream:
        data: bytes = stream.read()
    if not data:
        raise UserError(f"{path}: is empty")
    return data if data.endswith(b"\n") else data + b"\n"


def _open(path: Path) -> pa.NativeFile:
    try:
        return pa.input_stream(str(path), compression="detect")
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
