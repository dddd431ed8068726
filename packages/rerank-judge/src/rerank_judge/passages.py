"""Where the texts of documents are: tab-separated files, JSON lines, and MS MARCO v2.

A plain file is read through an index of byte offsets, never as a whole; a large file's index is kept beside it. In MS
MARCO v2 the docid itself says where the passage begins.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from ir_shared.console import UserError
from ir_shared.trec import TrecFormatError

from rerank_judge.offsets import OffsetIndex
from rerank_judge.scorers.texts import clean_text

__all__ = ["MsMarcoV2", "Passage", "PassageFile", "PassageStore", "open_passages"]

_ID_KEYS = ("pid", "docid", "_id", "id")
_TEXT_KEYS = ("passage", "text", "contents")
_V2_FILE = re.compile(r"(?P<file>.+_\d+)_(?P<offset>\d+)")


@dataclass(frozen=True)
class Passage:
    """A document's text, whitespace normalised, and its title if it has one."""

    text: str
    title: str = ""


class PassageStore(Protocol):
    """What every source of texts offers."""

    def fetch(self, docids: Collection[str]) -> dict[str, Passage]:
        """Looks documents up; those that are not there are absent from the result.

        Raises:
            UserError: the source cannot be read or a line is broken.
        """
        ...


def open_passages(path: str | Path) -> PassageStore:
    """Opens passages by what is there.

    Args:
        path: a folder with the uncompressed files of MS MARCO v2; a file of ``docid<TAB>text`` lines, as MS MARCO v1's
            collection; or JSON lines with an id (pid, docid, _id or id), a text (passage, text or contents) and perhaps
            a title. Single files may end in ``.gz``: they are then read through on every use.

    Raises:
        UserError: there is nothing of the kind.
    """
    path = Path(path)
    if path.is_dir():
        return MsMarcoV2(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder")
    return PassageFile(path)


class PassageFile:
    """One file of tab-separated or JSON lines.

    Args:
        path: the file.

    Raises:
        UserError: it is empty or cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with _opened(self.path) as file:
            self._json = _first_byte(self.path, file) == b"{"

    def fetch(self, docids: Collection[str]) -> dict[str, Passage]:
        """Looks documents up, see :class:`PassageStore`."""
        wanted = frozenset(docids)
        if self.path.suffix == ".gz":
            return {docid: passage for docid, passage in self._all() if docid in wanted}
        index = OffsetIndex.of(self.path, self._docid)
        found: dict[str, Passage] = {}
        with self.path.open("rb") as file:
            for offset in index.find(wanted):
                file.seek(offset)
                docid, passage = self._parse(f"byte {offset}", file.readline())
                if docid in wanted:
                    found[docid] = passage
        return found

    def _all(self) -> Iterator[tuple[str, Passage]]:
        with _opened(self.path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._parse(str(number), line)

    def _docid(self, number: int, line: bytes) -> str:
        if self._json:
            return self._parse(str(number), line)[0]
        docid, tab, _ = line.partition(b"\t")
        if not tab:
            raise TrecFormatError(self.path, number, _text(line), "expected 'docid<TAB>text', found no tab")
        return docid.decode("utf-8", "replace").strip()

    def _parse(self, where: str, line: bytes) -> tuple[str, Passage]:
        if self._json:
            return parse_json(f"{self.path}:{where}", line)
        docid, _, text = _text(line).partition("\t")
        return docid.strip(), Passage(clean_text(text))


class MsMarcoV2:
    """The folder of MS MARCO v2's passages; ``msmarco_passage_03_4711`` begins at byte 4711 of ``msmarco_passage_03``.

    Args:
        folder: the folder with the uncompressed files.

    Raises:
        UserError: it holds none, or compressed ones only.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        names = [path.name for path in self.folder.iterdir() if re.match(r"msmarco_passage_\d+", path.name)]
        if not names:
            raise UserError(f"{self.folder}: holds no msmarco_passage_* files; give a file of passages or that folder")
        if all(name.endswith(".gz") for name in names):
            raise UserError(f"{self.folder}: its files are compressed, but docids are byte offsets; run gunzip on them")

    def fetch(self, docids: Collection[str]) -> dict[str, Passage]:
        """Looks documents up, see :class:`PassageStore`."""
        places: dict[str, list[tuple[int, str]]] = {}
        for docid in docids:
            match = _V2_FILE.fullmatch(docid)
            if match:
                places.setdefault(match["file"], []).append((int(match["offset"]), docid))
        found: dict[str, Passage] = {}
        for name, wanted in sorted(places.items()):
            path = self.folder / name
            if path.is_file():
                with path.open("rb") as file:
                    found |= _read_at(path, file, sorted(wanted))
        return found


def _read_at(path: Path, file: BinaryIO, wanted: list[tuple[int, str]]) -> dict[str, Passage]:
    found = {}
    for offset, docid in wanted:
        file.seek(offset)
        line = file.readline()
        if not line:
            continue
        name, passage = parse_json(f"{path}:byte {offset}", line)
        if name != docid:
            raise UserError(f"{path}: holds {name} where {docid} should begin; is the file the original one?")
        found[docid] = passage
    return found


def parse_json(where: str, line: bytes) -> tuple[str, Passage]:
    """The docid and the passage of a JSON line.

    Raises:
        UserError: it is no object with an id and a text.
    """
    try:
        record: Mapping[str, Any] = json.loads(line)
        docid = next(record[key] for key in _ID_KEYS if key in record)
        text = next(record[key] for key in _TEXT_KEYS if key in record)
        title = record.get("title") or ""
    except (ValueError, TypeError, AttributeError, StopIteration):
        docid = text = title = None
    if not (isinstance(docid, str) and isinstance(text, str) and isinstance(title, str)):
        keys = f"an id as text ({', '.join(_ID_KEYS)}) and a text ({', '.join(_TEXT_KEYS)})"
        raise UserError(f"{where}: expected a JSON object with {keys}: {_text(line)[:80]!r}")
    return docid, Passage(clean_text(text), clean_text(title))


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _first_byte(path: Path, file: BinaryIO) -> bytes:
    try:
        line = next((line for line in file if line.strip()), b"")
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); is the file complete?") from error
    if not line:
        raise UserError(f"{path}: holds no passages; is it the right file?")
    return line.strip()[:1]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
