"""Documents as an index takes them: docid and text, each docid once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from ir_shared.console import UserError

__all__ = ["Documents", "iter_documents"]

Documents: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Text by docid, or (docid, text) pairs from anything that can be iterated once."""


def iter_documents(documents: Documents) -> Iterator[tuple[str, str]]:
    """The (docid, text) pairs, checked one by one.

    Raises:
        UserError: a docid is given twice or is empty, a docid or text is no string, or there are no documents.
    """
    seen: set[str] = set()
    for docid, text in documents.items() if isinstance(documents, Mapping) else documents:
        if not isinstance(docid, str) or not isinstance(text, str):
            found = f"{type(docid).__name__} and {type(text).__name__}"
            raise UserError(f"document {docid!r}: docid and text must be strings, found {found}")
        if not docid:
            raise UserError(f"document {len(seen)}: the docid is empty; give every document a name")
        if docid in seen:
            raise UserError(f"docid {docid}: given twice; keep one document for each docid")
        seen.add(docid)
        yield docid, text
    if not seen:
        raise UserError("no documents: an index needs at least one")
