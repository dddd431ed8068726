"""Learning-to-rank data: read LETOR svmlight text in one pass, and prepare it as the paper does.

``read_letor`` streams: with ``k`` it never holds more than k documents of a query, whatever the size of the file.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import FloatArray, IntArray

__all__ = ["MSLR_FEATURES", "RankingData", "parse_columns", "prepare", "read_letor"]


MSLR_FEATURES: Final = 136
"""Features of the MSLR-WEB sets; they want the logarithm of ``prepare``."""

_BLOCK_LINES = 5_000
_MOST_FEATURES = 100_000
"""Documents are held dense, so a feature beyond is taken for a slip; the widest published set has 700."""
_SENTINEL = 1e300
"""Istella writes the largest double where a value is missing; no real feature comes near."""
_QID = re.compile(rb"(?<=\s)qid:(\S+)")


@dataclass(frozen=True, eq=False)
class RankingData:
    """Documents with features and labels, those of a query side by side.

    Attributes:
        features: [N, F].
        labels: relevance grades, or synthetic real-valued ones, [N].
        offsets: documents of query q are ``offsets[q]:offsets[q + 1]``, [Q + 1].
        qids: names of the queries, Q of them.
    """

    features: Float64[FloatArray, "documents features"]
    labels: Float64[FloatArray, " documents"]
    offsets: Int64[IntArray, " bounds"]
    qids: tuple[str, ...]

    @property
    def n_queries(self) -> int:
        """Number of queries Q."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Int64[IntArray, " queries"]:
        """Documents of each query, [Q]."""
        return np.diff(self.offsets)

    @property
    def query(self) -> Int64[IntArray, " documents"]:
        """Index of each document's query, [N]."""
        return np.repeat(np.arange(self.n_queries), self.sizes)

    def with_labels(self, labels: Float64[FloatArray, " documents"]) -> RankingData:
        """The same documents with other labels, [N]."""
        return replace(self, labels=labels)

    def with_columns(self, columns: str) -> RankingData:
        """Only some features, e.g. ``"0-99"``; see :func:`parse_columns`."""
        return replace(self, features=self.features[:, parse_columns(columns, self.features.shape[1])])

    def take(self, rows: Int64[IntArray, " rows"]) -> RankingData:
        """Some documents, in the order of ``rows``, which must keep queries together; emptied queries go."""
        query = self.query[rows]
        kept, sizes = np.unique(query, return_counts=True)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return RankingData(self.features[rows], self.labels[rows], offsets, tuple(self.qids[q] for q in kept))


def prepare(data: RankingData, *, k: int = 25, min_label: float = 1.0, log: bool = True) -> RankingData:
    """The paper's preprocessing: the k best documents of a query by label, no query without relevance, logarithms.

    Args:
        data: as read.
        k: documents to keep of a query; ties keep the order of the file.
        min_label: queries whose best label is lower are dropped.
        log: whether to take x to sign(x) ln(1 + |x|): yes for MSLR, no for Yahoo, whose features lie in [0, 1].

    Raises:
        UserError: no query is left.
    """
    order = np.lexsort((-data.labels, data.query))
    rank = np.arange(len(order)) - np.repeat(data.offsets[:-1], data.sizes)
    best = np.full(data.n_queries, -np.inf)
    np.maximum.at(best, data.query, data.labels)
    kept = order[(rank < k) & (best >= min_label)[data.query]]
    if not len(kept):
        raise UserError(f"no query has a label of at least {min_label:g}; lower the smallest label that counts")
    taken = data.take(kept)
    if not log:
        return taken
    return replace(taken, features=np.sign(taken.features) * np.log1p(np.abs(taken.features)))


def parse_columns(columns: str, n_features: int) -> Int64[IntArray, " columns"]:
    """Reads ``all``, ``0-99`` or ``1,3,5-7``: columns from 0, ranges with both ends.

    Raises:
        UserError: another form, or a column that is not there.
    """
    if columns == "all":
        return np.arange(n_features)
    chosen: list[int] = []
    for part in columns.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise UserError(
                f"columns {columns!r}: {part!r} is neither a column nor a range; write e.g. 0-99 or 1,3,5-7"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= n_features or first > last:
            raise UserError(f"columns {columns!r}: {part!r} is no range within 0-{n_features - 1}")
        chosen += range(first, last + 1)
    return np.array(sorted(set(chosen)), dtype=np.int64)


def read_letor(path: str | Path, *, n_features: int | None = None, k: int | None = None) -> RankingData:
    """Reads ``label qid:ID 1:v 2:v … # comment`` lines, plain or gzipped.

    A qid may be any text, a query's lines may lie apart, and features may come in any order: queries keep the order of
    their first lines. Missing values written as the largest double become 0, with a warning.

    Args:
        path: the file.
        n_features: number of features; a file that names fewer is filled with zeros. Default: the highest named.
        k: keep only the k documents of a query with the highest labels (the earlier line wins a tie), which bounds the
            memory. Default: all.

    Raises:
        UserError: a line cannot be read (with its number), a value is no number, or a feature lies beyond n_features.
    """
    path = Path(path)
    reader = _Reader(path, n_features, k)
    first = 1
    try:
        with _open(path) as file:
            while lines := list(islice(file, _BLOCK_LINES)):
                reader.add(lines, first)
                first += len(lines)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: a broken gzip file ({error}); fetch it again") from error
    return reader.result()


def _open(path: Path) -> io.BufferedIOBase:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a LETOR file") from error
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return gzip.open(path, "rb")
    file.seek(0)
    return file


class _Reader:
    """Collects blocks of lines by query; a query never grows beyond its k best documents."""

    def __init__(self, path: Path, n_features: int | None, k: int | None) -> None:
        self.path, self.n_features, self.k = path, n_features, k
        self.index: dict[bytes, int] = {}
        self.parts: list[list[tuple[FloatArray, FloatArray]]] = []
        self.sentinels = 0

    def add(self, lines: list[bytes], first: int) -> None:
        features, labels, query = self._parse(lines, first)
        order = np.argsort(query, kind="stable")
        cuts = np.flatnonzero(np.diff(query[order])) + 1
        for rows in np.split(order, cuts) if len(order) else []:
            parts = self.parts[query[rows[0]]]
            parts.append((features[rows], labels[rows]))
            if self.k is not None:
                parts[:] = [_best(parts, self.k)]

    def result(self) -> RankingData:
        if not self.parts:
            raise UserError(f"{self.path}: holds no line; expected 'label qid:ID 1:v 2:v …'")
        if self.sentinels:
            warnings.warn(
                f"{self.path}: {self.sentinels} values are the largest double, which marks a missing value; read as 0",
                DataWarning,
                stacklevel=3,
            )
        merged = [_merge(parts) for parts in self.parts]
        width = self.n_features or max(features.shape[1] for features, _ in merged)
        sizes = [len(labels) for _, labels in merged]
        features = np.zeros((sum(sizes), width))
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        for (block, _), start in zip(merged, offsets[:-1], strict=True):
            features[start : start + len(block), : block.shape[1]] = block
        labels = np.concatenate([labels for _, labels in merged])
        qids = tuple(qid.decode(errors="backslashreplace") for qid in self.index)
        return RankingData(features, labels, offsets, qids)

    def _parse(self, lines: list[bytes], first: int) -> tuple[FloatArray, FloatArray, IntArray]:
        kept = [number for number, line in enumerate(lines) if line.split(b"#", 1)[0].strip()]
        numbered = [self._number_qid(lines[number], first + number) for number in kept]
        try:
            features, labels, query = self._read(numbered)
        except (ValueError, OverflowError) as error:
            raise self._locate(numbered, [first + number for number in kept], error) from error
        bad = ~np.isfinite(features)
        if bad.any() or not np.isfinite(labels).all():
            row = int(np.flatnonzero(bad.any(axis=1) | ~np.isfinite(labels))[0])
            raise UserError(
                f"{self.path}:{first + kept[row]}: a value is no number (nan or inf); mend or drop the line"
            )
        missing = np.abs(features) >= _SENTINEL
        self.sentinels += int(missing.sum())
        features[missing] = 0.0
        return features, labels, query

    def _read(self, lines: list[bytes]) -> tuple[FloatArray, FloatArray, IntArray]:
        """Reads the lines; where that fails, once more with the features of each in order."""
        try:
            return _load(lines, self.n_features)
        except (ValueError, OverflowError):
            lines[:] = [_in_order(line) for line in lines]
            return _load(lines, self.n_features)

    def _number_qid(self, line: bytes, number: int) -> bytes:
        """The line without comment, its qid replaced by a number: the parser knows only numbers."""
        content = line.split(b"#", 1)[0]
        match = _QID.search(content)
        if match is None:
            raise UserError(f"{self.path}:{number}: no qid; expected 'label qid:ID 1:v 2:v …'")
        qid = match[1]
        if qid not in self.index:
            self.index[qid] = len(self.index)
            self.parts.append([])
        return content[: match.start(1)] + str(self.index[qid]).encode() + content[match.end(1) :] + b"\n"

    def _locate(self, lines: list[bytes], numbers: list[int], error: Exception) -> UserError:
        for line, number in zip(lines, numbers, strict=True):
            try:
                _load([line], self.n_features)
            except (ValueError, OverflowError) as fault:
                indices = [int(index) for index in re.findall(rb"\s(\d+):", line)]
                cause = fault if len(set(indices)) == len(indices) else "a feature is given twice"
                if self.n_features and (named := max(indices, default=0)) > self.n_features:
                    return UserError(
                        f"{self.path}:{number}: feature {named} lies beyond the {self.n_features} declared; "
                        "raise --n-features"
                    )
                return UserError(f"{self.path}:{number}: {cause}; expected 'label qid:ID 1:v 2:v …', features from 1")
        return UserError(f"{self.path}: {error}")


def _load(lines: list[bytes], n_features: int | None) -> tuple[FloatArray, FloatArray, IntArray]:
    if not lines:
        return np.zeros((0, n_features or 0)), np.zeros(0), np.zeros(0, dtype=np.int64)
    from sklearn.datasets import load_svmlight_file

    loaded: Any = load_svmlight_file(
        io.BytesIO(b"".join(lines)), n_features=n_features, zero_based=False, query_id=True
    )
    features, labels, query = loaded
    if features.shape[1] > _MOST_FEATURES:
        raise ValueError(f"feature {features.shape[1]} lies beyond {_MOST_FEATURES}")
    return features.toarray(), labels, query.astype(np.int64)


def _in_order(line: bytes) -> bytes:
    """The line with its features by rising index; as it is where one has no index."""
    label, qid, *features = line.split()
    try:
        features.sort(key=lambda feature: int(feature.partition(b":")[0]))
    except ValueError:
        return line
    return b" ".join((label, qid, *features)) + b"\n"


def _merge(parts: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    width = max(features.shape[1] for features, _ in parts)
    padded = [np.pad(features, ((0, 0), (0, width - features.shape[1]))) for features, _ in parts]
    return np.concatenate(padded), np.concatenate([labels for _, labels in parts])


def _best(parts: list[tuple[FloatArray, FloatArray]], k: int) -> tuple[FloatArray, FloatArray]:
    features, labels = _merge(parts)
    order = np.sort(np.argsort(-labels, kind="stable")[:k])
    return features[order], labels[order]
