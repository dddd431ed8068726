"""Stable 64-bit codes of queries and query-document pairs: the same on every machine and in every release.

Whole numbers are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), a bijection of 64 bits; texts are
hashed by BLAKE2b. Two different pairs share a code with probability 2^-64, and building a vocabulary checks for it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from ir_shared.console import UserError
from numpy.typing import NDArray

__all__ = ["codes", "mix", "pair_codes", "query_numbers"]

Codes = NDArray[np.uint64]

_LARGEST_NUMBER = np.iinfo(np.int32).max


def mix(values: Codes) -> Codes:
    """The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def pair_codes(queries: Any, documents: Any, lengths: NDArray[np.int64]) -> Codes:
    """A code of each query-document pair, [M].

    Args:
        queries: Arrow array of whole numbers or texts, one per session; [N].
        documents: the same, [M].
        lengths: documents of each session, [N].
    """
    with np.errstate(over="ignore"):
        return mix(np.repeat(mix(codes(queries)), lengths) + codes(documents))


def query_numbers(queries: Any) -> NDArray[np.int32]:
    """One int32 per query: itself if it is a whole number that fits, else 31 bits of its code.

    Args:
        queries: Arrow array of whole numbers or texts.
    """
    numbers = codes(queries)
    hashed = mix(numbers) & np.uint64(_LARGEST_NUMBER)
    if not pa.types.is_integer(queries.type):
        return hashed.astype(np.int32)
    return np.where(numbers <= _LARGEST_NUMBER, numbers, hashed).astype(np.int32)


def codes(column: Any) -> Codes:
    """A code of each value of an Arrow array of whole numbers (themselves) or texts (hashed)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_integer(column.type):
        whole: NDArray[np.int64] = np.asarray(column.to_numpy(zero_copy_only=False), np.int64)
        return whole.view(np.uint64)
    if not _is_text(column.type):
        raise UserError(f"queries and documents are whole numbers or texts, not {column.type}")
    encoded = column.cast(pa.large_string()).dictionary_encode()
    hashed = np.array(_hash_all(encoded.dictionary.to_pylist()), np.uint64)
    indices: NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
    return hashed[indices]


def _hash_all(texts: list[str]) -> list[int]:
    return [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
