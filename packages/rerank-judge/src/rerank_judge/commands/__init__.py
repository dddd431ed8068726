"""The commands behind ``rerank-judge``, each a thin layer over one call of the library."""
