"""Search: one protocol, BM25 in process, and Lucene where it is installed.

``Retriever`` is what searches; ``Hit`` is what it finds. ``BM25Retriever`` needs nothing else, ``LuceneRetriever`` the
extra ``ir-shared[lucene]``.
"""

from ir_shared.retrieval.bm25 import BM25Retriever
from ir_shared.retrieval.documents import Documents
from ir_shared.retrieval.lucene import LuceneRetriever
from ir_shared.retrieval.protocol import Hit, Ranking, Retriever, as_run

__all__ = ["BM25Retriever", "Documents", "Hit", "LuceneRetriever", "Ranking", "Retriever", "as_run"]
