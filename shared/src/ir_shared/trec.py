"""Strict readers and atomic writers for TREC topics, qrels and runs.

Identifiers are opaque strings. Files ending in ``.gz`` are read and written compressed. Every error names the file, the
line and what to do about it; what is odd but usable is a :class:`~ir_shared.console.DataWarning`, once a file.
"""

from __future__ import annotations

import gzip
import math
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from ir_shared.console import DataWarning, UserError
from ir_shared.run_dir import atomic_write

__all__ = [
    "Qrels",
    "Run",
    "Topics",
    "TrecFormatError",
    "read_qrels",
    "read_run",
    "read_topics",
    "run_name",
    "write_qrels",
    "write_run",
    "write_topics",
]

Topics: TypeAlias = dict[str, str]
"""Query text by qid."""
Qrels: TypeAlias = dict[str, dict[str, int]]
"""Grade by qid and docid."""
Run: TypeAlias = dict[str, dict[str, float]]
"""Score by qid and docid."""

T = TypeVar("T")
_SHOWN = 80
_NO_LINE = "\n"
"""What no line starts with."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


class TrecFormatError(UserError):
    """A line that is not what its file should hold.

    Attributes:
        path: the file.
        line: line number, from 1.
    """

    def __init__(self, path: Path, line: int, text: str, problem: str) -> None:
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        super().__init__(f"{path}:{line}: {problem}: {shown!r}")
        self.path = path
        self.line = line


def run_name(path: str | Path) -> str:
    """The name of a run: its file's name without ``.gz``, ``.txt``, ``.run`` (any number) and a leading ``input.``."""
    name = Path(path).name
    while True:
        stem = re.sub(r"\.(gz|txt|run|scores|qrels)$", "", name)
        if stem == name or not stem:
            return name.removeprefix("input.") or name
        name = stem


def read_topics(path: str | Path) -> Topics:
    """Reads ``qid<TAB>query`` lines.

    Raises:
        TrecFormatError: a line without a tab, an empty qid or query, or a qid given twice.
        UserError: the file is missing, empty or not UTF-8 text.
    """
    path = Path(path)
    topics: Topics = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        qid, tab, query = line.partition("\t")
        qid = qid.strip()
        if not tab:
            raise TrecFormatError(path, number, line, "expected 'qid<TAB>query', found no tab")
        if not qid or re.search(r"\s", qid):
            raise TrecFormatError(path, number, line, "a qid must be one word without blanks")
        if not query.strip():
            raise TrecFormatError(path, number, line, "the query is empty")
        if qid in topics:
            raise TrecFormatError(path, number, line, f"qid {qid} was given before; keep one line per topic")
        topics[qid] = " ".join(query.split())
    return _not_empty(path, topics, "topics")


def read_qrels(path: str | Path) -> Qrels:
    """Reads ``qid iteration docid grade`` lines (blanks or tabs).

    A pair given twice with one grade is kept once, with a warning.

    Raises:
        TrecFormatError: not four columns, a grade that is no integer, or a pair with two different grades.
        UserError: the file is missing, empty or not UTF-8 text.
    """
    path = Path(path)
    qrels: Qrels = {}
    repeated = 0
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4:
            raise TrecFormatError(
                path, number, line, f"expected 4 columns 'qid iteration docid grade', found {len(fields)}"
            )
        qid, _, docid, text = fields
        if not _INTEGER.fullmatch(text):
            problem = f"the grade must be an integer of at most nine digits, found {text!r}"
            raise TrecFormatError(path, number, line, problem)
        grade = int(text)
        grades = qrels.setdefault(qid, {})
        before = grades.get(docid)
        if before is not None and before != grade:
            problem = f"{qid} {docid} was given grade {before} before; keep one of the two"
            raise TrecFormatError(path, number, line, problem)
        repeated += before is not None
        grades[docid] = grade
    if repeated:
        message = f"{path}: {repeated} repeated line(s) with equal grades, each kept once"
        warnings.warn(message, DataWarning, stacklevel=2)
    return _not_empty(path, qrels, "qrels")


def read_run(
    path: str | Path,
    *,
    topics: Collection[str] | None = None,
    on_duplicate: Literal["error", "keep-best"] = "error",
) -> Run:
    """Reads ``qid Q0 docid rank score tag`` lines (blanks or tabs).

    Scores decide the order, as in trec_eval; where the rank column says otherwise, one warning counts the topics.

    Args:
        path: the run file.
        topics: topics to keep; of others the first line is checked, the next ones are only counted for their columns,
            and all are dropped. None keeps all.
        on_duplicate: what to do with a docid retrieved twice for a topic.

    Raises:
        TrecFormatError: not six columns, a score or rank that is no finite number, or a duplicate.
        UserError: the file is missing, empty or not UTF-8 text.
    """
    path = Path(path)
    wanted = None if topics is None else frozenset(topics)
    run: Run = {}
    ranks: dict[str, list[str]] = {}
    unwanted = _NO_LINE  # what a line of the topic last dropped starts with
    for number, line in enumerate(_lines(path), start=1):
        # Nearly all lines of a large run may belong to topics without judgements; counting costs a third of splitting.
        if line.startswith(unwanted) and line.count(" ") == 5:
            continue
        fields = line.split()
        if len(fields) != 6:
            if not fields:
                continue
            found = f"expected 6 columns 'qid Q0 docid rank score tag', found {len(fields)}"
            raise TrecFormatError(path, number, line, found)
        qid = fields[0]
        if wanted is not None and qid not in wanted:
            unwanted = f"{qid} "
            _score(path, number, line, fields[4])  # or a header would pass for a topic
            continue
        scores = run.get(qid)
        if scores is None:
            scores = run[qid] = {}
            ranks[qid] = []
        docid = fields[2]
        score = _score(path, number, line, fields[4])
        if docid in scores:
            if on_duplicate == "error":
                remedy = f"{qid} {docid} was retrieved before; remove one line, or keep the best score of each"
                raise TrecFormatError(path, number, line, remedy)
            score = max(score, scores[docid])
        else:
            ranks[qid].append(fields[3])
        scores[docid] = score
    _check_ranks(path, run, ranks)
    if not run and unwanted != _NO_LINE:
        message = f"{path}: none of the {len(topics or ())} wanted topics is in this run"
        warnings.warn(message, DataWarning, stacklevel=2)
        return run
    return _not_empty(path, run, "run")


def write_topics(path: str | Path, topics: Mapping[str, str]) -> None:
    """Writes ``qid<TAB>query`` lines, whitespace within queries normalised to single blanks."""
    lines = (f"{qid}\t{' '.join(query.split())}\n" for qid, query in topics.items())
    _write(path, "".join(lines))


def write_qrels(path: str | Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Writes ``qid 0 docid grade`` lines in the order of the mapping."""
    lines = (f"{qid} 0 {docid} {grade}\n" for qid, grades in qrels.items() for docid, grade in grades.items())
    _write(path, "".join(lines))


def write_run(path: str | Path, run: Mapping[str, Mapping[str, float]], tag: str) -> None:
    """Writes a run, each topic in trec_eval's order, ranks from 1; scores round-trip exactly."""
    lines = (
        f"{qid} Q0 {docid} {rank} {float(scores[docid])!r} {tag}\n"
        for qid, scores in run.items()
        for rank, docid in enumerate(_trec_order(scores), start=1)
    )
    _write(path, "".join(lines))


def _score(path: Path, number: int, line: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    # float() also takes 1_000 and the digits of every script; a run file may hold neither.
    if not math.isfinite(score) or "_" in text or not text.isascii():
        raise TrecFormatError(path, number, line, f"the score must be a finite number, found {text!r}")
    return score


def _check_ranks(path: Path, run: Run, ranks: dict[str, list[str]]) -> None:
    """Warns once where following the rank column would order two documents against their scores."""
    contradicted = 0
    for qid, column in ranks.items():
        try:
            positions = list(map(float, column))
        except ValueError:
            continue  # a placeholder, which says nothing about the order
        scores = list(run[qid].values())
        # Files are nearly always written in rank order, so the cheap test decides most topics.
        if _is_sorted(scores, float.__ge__) and _is_sorted(positions, float.__le__):
            continue
        single = _float32(scores)
        by_rank = [single[i] for i in sorted(range(len(positions)), key=positions.__getitem__)]
        contradicted += not _is_sorted(by_rank, float.__ge__)
    if contradicted:
        message = (
            f"{path}: the rank column contradicts the scores in {contradicted} topic(s); scores decide, as in trec_eval"
        )
        warnings.warn(message, DataWarning, stacklevel=3)


def _is_sorted(values: list[float], compare: Callable[[float, float], bool]) -> bool:
    return all(map(compare, values, values[1:]))


def _float32(scores: Iterable[float]) -> list[float]:
    """Scores as trec_eval holds them; what differs only in double precision is tied."""
    import numpy as np

    with np.errstate(over="ignore"):
        return list(map(float, np.array(list(scores), dtype=np.float64).astype(np.float32)))


def _trec_order(scores: Mapping[str, float]) -> list[str]:
    single = dict(zip(scores, _float32(scores.values()), strict=True))
    return sorted(single, key=lambda docid: (single[docid], docid.encode()), reverse=True)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); is the file complete?") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text; convert the file to UTF-8") from error
    # Not splitlines(): form feeds and Unicode separators may stand inside a query.
    return text.split("\n")


def _not_empty(path: Path, content: dict[str, T], what: str) -> dict[str, T]:
    if not content:
        raise UserError(f"{path}: holds no {what}; is it the right file?")
    return content


def _write(path: str | Path, text: str) -> None:
    path = Path(path)
    data = text.encode()
    # mtime=0 keeps the bytes the same from run to run.
    atomic_write(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
