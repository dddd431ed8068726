"""An index of the lines of a large text file: where the line of a given docid begins."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ir_shared.console import DataWarning, UserError
from ir_shared.run_dir import atomic_write

__all__ = ["OffsetIndex"]

_KEPT_FROM_BYTES = 64 * 2**20
"""Smaller files are indexed anew each time, in about a second."""


@dataclass(frozen=True, eq=False)
class OffsetIndex:
    """Byte offsets by docid; docids are held as 64-bit hashes, so a line that is found must be checked.

    Attributes:
        hashes: sorted hashes of the docids, [N].
        offsets: where the lines of these docids begin, in bytes, [N].
    """

    hashes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, path: Path, docid_of: Callable[[int, bytes], str], *, kept_from: int = _KEPT_FROM_BYTES) -> OffsetIndex:
        """The index of a file, which for a large one is kept in ``<file>.offsets.npz`` until the file changes.

        Args:
            path: the file.
            docid_of: reads the docid from a line's number (from 1) and content.
            kept_from: size in bytes from which the index is kept.
        """
        status = path.stat()
        stamp = np.array([status.st_size, status.st_mtime_ns], dtype=np.int64)
        beside = path.with_name(f"{path.name}.offsets.npz")
        if status.st_size < kept_from:
            return cls.build(path, docid_of)
        if beside.exists():
            with np.load(beside) as kept:
                if np.array_equal(kept["stamp"], stamp):
                    return cls(kept["hashes"], kept["offsets"])
        index = cls.build(path, docid_of)
        buffer = io.BytesIO()
        np.savez(buffer, stamp=stamp, hashes=index.hashes, offsets=index.offsets)
        try:
            atomic_write(beside, buffer.getvalue())
        except UserError as error:
            warnings.warn(f"{error}; the index will be made anew each time", DataWarning, stacklevel=2)
        return index

    @classmethod
    def build(cls, path: Path, docid_of: Callable[[int, bytes], str]) -> OffsetIndex:
        """Reads a file once, line by line."""
        hashes: list[int] = []
        offsets: list[int] = []
        position = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    hashes.append(_hash(docid_of(number, line)))
                    offsets.append(position)
                position += len(line)
        keys = np.array(hashes, dtype=np.uint64)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], np.array(offsets, dtype=np.int64)[order])

    def find(self, docids: Collection[str]) -> list[int]:
        """Offsets of the lines that may be those of the docids, ascending, as a disk likes them."""
        wanted = np.array(sorted(map(_hash, docids)), dtype=np.uint64)
        first = np.searchsorted(self.hashes, wanted, side="left")
        last = np.searchsorted(self.hashes, wanted, side="right")
        found = [self.offsets[a:b] for a, b in zip(first, last, strict=True)]
        return sorted(np.concatenate([np.zeros(0, dtype=np.int64), *found]).tolist())


def _hash(docid: str) -> int:
    return int.from_bytes(hashlib.blake2b(docid.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
